"""Raw interval values become final ones, on both databases."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Final

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from mdus.bootstrap.composition import examine
from mdus.bootstrap.database import seed_rule_sets
from mdus.domain.channel import MISSING, Channel
from mdus.domain.command import Command
from mdus.domain.end_device import EndDevice, EndDeviceStatus, SwitchState
from mdus.domain.end_device_event import EndDeviceEvent, EventState
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.interval_block import Cause, IntervalBlock, Layer, empty_block
from mdus.domain.reading import MeterReading
from mdus.domain.reading_quality import ESTIMATED, QualitySet
from mdus.domain.register import Register
from mdus.domain.time_series_policy import TimeSeriesPolicy
from mdus.domain.usage_point import DeviceLocation
from mdus.storage import validation
from mdus.storage.facts import EXCEPTION_CASE
from mdus.storage.interval_block import (
    INTERVAL_BLOCK,
    VALIDATION_LOOK,
    current_blocks,
    ensure_channels,
    note_used,
    quality_marks,
    write_blocks,
)
from mdus.storage.session import Database
from mdus.storage.validation import next_due
from mdus.vee.days import Fact
from mdus.workers import estimate_missing, interval_corrections
from mdus.workers.rule_sets import stored
from mdus.workers.validation import NOT_FIT, ValidationWorker
from mdus.workers.validation_facts import Facts
from mdus.workers.validation_registers import Target

ENERGY: Final = "1-0:1.8.0*255"
DAY: Final = date(2026, 2, 11)
CHANNEL: Final = Channel(
    sender_system="P11",
    device_id="000000000000000042",
    reading_type="1-0:1.29.0*255",
    interval_minutes=15,
    time_zone="Europe/Berlin",
    unit="KWH",
    decimals=3,
)
END: Final = CHANNEL.day(DAY).end
TABLES: Final = """
[[load_profiles]]
name = "test"
reading_type = "1-0:1.8.0*255"
intervals = "1-0:1.29.0*255"
"""


class Clock:
    """Business time that a test moves."""

    def __init__(self, instant: datetime) -> None:
        self.instant = instant

    def now(self) -> datetime:
        return self.instant


class Validating:
    """An installation with one channel, whose raw values a test writes."""

    def __init__(self, url: str, folder: str) -> None:
        examined = examine({"MDUS_CONFIG": folder, "MDUS_TIME_ZONE": "Europe/Berlin"})
        assert examined.settings is not None, examined.problems
        self.settings = examined.settings
        self.clock = Clock(END + timedelta(hours=1))
        self.database = Database(url, settings=examined.settings)
        self.worker = ValidationWorker(
            database=self.database,
            settings=examined.settings,
            clock=self.clock,
            rule_sets=stored(examined.found.tools),
        )
        seed_rule_sets(self.database)
        with self.database.begin() as uow:
            ensure_channels(uow.connection, [CHANNEL])

    def close(self) -> None:
        """Let go of the database."""
        self.database.close()

    def tell(self, values: Sequence[int], *, day: date = DAY, version: int = 1, codes: Sequence[str] = ()) -> None:
        """Write a raw version of a day; with `codes` all its values have these qualities."""
        with self.database.begin() as uow:
            block = empty_block(CHANNEL, day, at=self.clock.now(), by="delivery/1")
            marks = quality_marks(uow.connection, [QualitySet.of(codes)])[QualitySet.of(codes)]
            told = np.array(values, dtype=np.int64)
            write_blocks(
                uow.connection,
                [replace(block, values=told, qualities=np.full(len(told), marks, dtype=np.uint16), version=version)],
            )

    def read(self, at: datetime, shown: str, *, of: str = ENERGY) -> None:
        """Store a reading of the channel's register."""
        with self.database.begin() as uow:
            uow.save(
                [
                    MeterReading(
                        sender_system="P11",
                        device_id=CHANNEL.device_id,
                        reading_type=of,
                        measured_at=at,
                        value=Decimal(shown),
                        unit="KWH",
                        received_at=at,
                    )
                ]
            )

    def register(self) -> None:
        """Store the device and its register."""
        with self.database.begin() as uow:
            uow.save(
                [
                    EndDevice(
                        sender_system="P11",
                        device_id=CHANNEL.device_id,
                        serial_id="42",
                        material_id="LX100",
                        valid_from=date(2026, 1, 1),
                    ),
                    Register(
                        sender_system="P11",
                        device_id=CHANNEL.device_id,
                        measurement_task_id="1",
                        valid_from=date(2026, 1, 1),
                        reading_type=ENERGY,
                        unit="KWH",
                        total_digits=8,
                        fraction_digits=2,
                    ),
                ]
            )

    def work(self, *, at: datetime | None = None) -> None:
        """Turn until nothing is due."""
        self.clock.instant = at or self.clock.instant
        while self.worker.turn():
            pass

    def final(self, day: date = DAY) -> IntervalBlock:
        """Return the final version of a day."""
        return self.blocks(Layer.FINAL, day)[CHANNEL, day]

    def blocks(self, layer: Layer, day: date = DAY) -> dict[tuple[Channel, date], IntervalBlock]:
        """Return the current version of a day in a layer."""
        with self.database.read() as uow:
            return current_blocks(uow.connection, [(CHANNEL, day)], layer=layer)

    def codes(self, block: IntervalBlock, place: int) -> tuple[str, ...]:
        """Return the qualities of one value."""
        with self.database.read() as uow:
            return uow.quality_sets([block])[int(block.qualities[place])].codes

    def cases(self) -> list[ExceptionCase]:
        """Return the open cases of the day."""
        key = f"P11/{CHANNEL.device_id}/{CHANNEL.reading_type}/{DAY}"
        with self.database.read() as uow:
            cases = uow.load(ExceptionCase, ExceptionCase.KEY, [(NOT_FIT, key)], lock=False)
        return [case for case in cases if case.closed_at is None]

    def next_look(self) -> datetime | None:
        """Return when the next day is due."""
        with self.database.read() as uow:
            return next_due(uow.connection)


@pytest.fixture
def meter(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Validating]:
    """An installation on an empty database."""
    folder = tmp_path_factory.mktemp("config")
    (folder / "test.toml").write_text(TABLES)
    found = Validating(database_url, str(folder))
    yield found
    found.close()


FULL: Final = [100 + place % 7 for place in range(96)]


class TestValidationWorker:
    def test_takes_a_sound_day_as_it_is(self, meter: Validating) -> None:
        meter.tell(FULL)
        meter.work()

        block = meter.final()
        assert block.values.tolist() == FULL
        assert not block.qualities.any()
        assert (block.version, block.cause, block.estimated, block.basis) == (1, Cause.VALIDATED, 0, None)
        assert block.written_by.startswith("vee/electricity@")
        assert meter.cases() == []

    def test_waits_for_values_before_it_estimates(self, meter: Validating) -> None:
        meter.tell([*FULL[:50], *[MISSING] * 4, *FULL[54:]])
        meter.work()
        assert meter.final().values[49:55].tolist() == [FULL[49], *[MISSING] * 4, FULL[54]]
        assert meter.cases() == []

        last = END + timedelta(minutes=1200)
        meter.work(at=last - timedelta(seconds=1))
        assert not meter.final().is_complete
        meter.work(at=last)
        block = meter.final()
        assert block.is_complete
        assert (block.version, block.estimated) == (1, 4)  # nobody has acted on it: it is extended
        assert meter.codes(block, 50) == (ESTIMATED,)
        assert json.loads(block.basis or "")["estimates"][0]["method"] == "linear"

    def test_never_changes_the_raw_values(self, meter: Validating) -> None:
        told = [*FULL[:50], MISSING, *FULL[51:90], 10_000_000, *FULL[91:]]
        meter.tell(told)
        meter.work(at=END + timedelta(days=2))
        assert meter.blocks(Layer.RAW)[CHANNEL, DAY].values.tolist() == told
        assert meter.final().values[90] < 1000

    def test_lets_a_value_that_came_late_replace_its_estimate(self, meter: Validating) -> None:
        meter.tell([*FULL[:50], MISSING, *FULL[51:]])
        meter.work(at=END + timedelta(days=2))
        with meter.database.begin() as uow:
            note_used(uow.connection, [meter.final()])

        meter.tell([*FULL[:50], 150, *FULL[51:]], version=2)
        meter.work()
        block = meter.final()
        assert (int(block.values[50]), block.version, block.cause, block.estimated) == (150, 2, Cause.REVISED, 0)

    def test_keeps_an_estimate_that_somebody_has_acted_on(self, meter: Validating) -> None:
        meter.tell([*FULL[:50], MISSING, *FULL[51:]])
        meter.work(at=END + timedelta(days=2))
        estimated = int(meter.final().values[50])
        with meter.database.begin() as uow:
            note_used(uow.connection, [meter.final()])

        changed = [*FULL[:49], 180, MISSING, *FULL[51:]]  # its neighbour differs now: it would be estimated otherwise
        meter.tell(changed, version=2)
        meter.work()
        block = meter.final()
        assert (int(block.values[49]), int(block.values[50])) == (180, estimated)

    def test_scales_estimates_to_what_the_register_moved(self, meter: Validating) -> None:
        meter.register()
        meter.read(CHANNEL.day(DAY).start, "1000.00")
        meter.read(END, "1010.50")
        meter.tell([*FULL[:50], *[MISSING] * 4, *FULL[54:]])
        meter.work(at=END + timedelta(days=2))
        block = meter.final()
        assert int(block.values.sum()) == 10_500
        assert np.delete(block.values, range(50, 54)).tolist() == FULL[:50] + FULL[54:]

    def test_shows_a_day_that_is_not_what_its_register_moved_until_it_is(self, meter: Validating) -> None:
        meter.register()
        meter.read(CHANNEL.day(DAY).start, "1000.00")
        meter.read(END, "1020.00")
        meter.tell(FULL)
        meter.work()
        [case] = meter.cases()
        assert case.note.startswith("sum_check: the values and the register's advance are 10.")

        more, rest = divmod(20_000 - sum(FULL), 96)
        meter.tell([FULL[0] + more + rest, *(each + more for each in FULL[1:])], version=2)
        meter.work()
        assert meter.cases() == []

    def test_looks_again_when_the_readings_of_its_register_should_be_there(self, meter: Validating) -> None:
        meter.register()
        meter.tell(FULL)
        meter.work()
        assert meter.next_look() == END + timedelta(minutes=360)

        meter.read(CHANNEL.day(DAY).start, "1000.00")
        meter.read(END, "1020.00")
        meter.work(at=END + timedelta(minutes=360))
        assert len(meter.cases()) == 1
        assert meter.next_look() is None

    def test_estimates_nothing_after_the_meter_was_taken_away(self, meter: Validating) -> None:
        """A meter exchanged at mid-day: what the new one measures is not estimated for the old one too."""
        meter.register()
        noon = CHANNEL.day(DAY).start + timedelta(hours=12)
        with meter.database.begin() as uow:
            uow.save(
                [
                    DeviceLocation(
                        sender_system="P11",
                        device_id=CHANNEL.device_id,
                        installation_point_id="1",
                        valid_from=date(2026, 1, 1),
                        valid_to=DAY + timedelta(days=1),
                        parent_installation_point_id="2",
                        removed_at=noon,
                    )
                ]
            )
        meter.tell([*FULL[:40], MISSING, *FULL[41:48], *[MISSING] * 48])
        meter.work(at=END + timedelta(days=2))
        block = meter.final()
        assert int(block.present.sum()) == 48  # the value that lacks before noon is estimated, none after
        assert block.estimated == 1
        assert meter.cases() == []

    def test_estimates_nothing_of_a_device_that_is_in_the_books_no_more(self, meter: Validating) -> None:
        meter.register()
        with meter.database.begin() as uow:
            [device] = uow.load(EndDevice, EndDevice.KEY, [("P11", CHANNEL.device_id)])
            uow.save([replace(device, valid_to=DAY)])
        meter.tell([MISSING] * 96)
        meter.work(at=END + timedelta(days=2))
        assert not meter.final().present.any()
        assert meter.cases() == []


class TestJobs:
    def test_a_day_without_any_value_is_estimated_from_the_days_before(self, meter: Validating) -> None:
        for back in range(1, 22):
            meter.tell(FULL, day=DAY - timedelta(days=back))
        meter.work(at=END + timedelta(days=1))
        ran = estimate_missing.run(
            meter.database, settings=meter.settings, now=meter.clock.now(), day=DAY + timedelta(days=2)
        )
        assert ran == "2 days without any value"  # of the day after, too: its values may still come
        meter.work()
        assert meter.final().values.tolist() == FULL
        assert meter.final().estimated == 96
        assert (CHANNEL, DAY + timedelta(days=1)) in meter.blocks(Layer.FINAL, DAY + timedelta(days=1))
        again = estimate_missing.run(
            meter.database, settings=meter.settings, now=meter.clock.now(), day=DAY + timedelta(days=2)
        )
        assert again == "0 days without any value"

    def test_what_was_estimated_is_asked_for_once_a_day(self, meter: Validating) -> None:
        meter.register()
        with meter.database.begin() as uow:
            [device] = uow.load(EndDevice, EndDevice.KEY, [("P11", CHANNEL.device_id)])
            uow.save([replace(device, head_end="city")])
        meter.tell([*FULL[:50], MISSING, MISSING, *FULL[52:]])
        meter.work(at=END + timedelta(days=1))
        for expected in ("1 readings", "1 readings"):
            ran = interval_corrections.run(
                meter.database, settings=meter.settings, now=meter.clock.now(), day=DAY + timedelta(days=2)
            )
            assert ran == f"1 days with estimates, {expected} of their meters ordered"
        with meter.database.read() as uow:
            [command] = uow.load(Command, ("device_id",), [(CHANNEL.device_id,)], lock=False)
        start = CHANNEL.day(DAY).start
        assert (command.period_from, command.period_to) == (
            start + timedelta(minutes=50 * 15),
            start + timedelta(minutes=52 * 15),
        )
        late = interval_corrections.run(
            meter.database, settings=meter.settings, now=meter.clock.now(), day=DAY + timedelta(days=6)
        )
        assert late == "0 days with estimates, 0 readings of their meters ordered"


class TestTheOrderOfArrival:
    @hypothesis.settings(
        max_examples=15, deadline=None, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
    )
    @hypothesis.given(order=st.permutations(range(6)), looks=st.lists(st.booleans(), min_size=6, max_size=6))
    def test_does_not_change_the_final_state(
        self, meter: Validating, order: Sequence[int], looks: Sequence[bool]
    ) -> None:
        """Parts of a day come in any order, looked at in between or not: one lacks values, one has a spike."""
        with meter.database.begin() as uow:
            for table in (INTERVAL_BLOCK, VALIDATION_LOOK, EXCEPTION_CASE.table):
                uow.connection.execute(table.delete())
        whole = [*FULL[:35], MISSING, MISSING, *FULL[37:60], 9_000_000, *FULL[61:]]
        told = [MISSING] * 96
        meter.clock.instant = END + timedelta(hours=1)
        for part, is_looked_at in zip(order, looks, strict=True):
            told[part * 16 : part * 16 + 16] = whole[part * 16 : part * 16 + 16]
            meter.tell(told)
            if is_looked_at:
                meter.work()
        meter.work(at=END + timedelta(days=2))
        final = meter.final()
        expected = [*FULL[:35], 102, 102, *FULL[37:60], 104, *FULL[61:]]
        assert np.abs(final.values - np.array(expected)).max() <= 4  # estimated between their neighbours
        assert [place for place in range(96) if meter.codes(final, place)] == [35, 36, 60]
        first = self.seen.setdefault("values", final.values.tolist())
        assert final.values.tolist() == first

    seen: ClassVar[dict[str, list[int]]] = {}


class TestADayStillComingIn:
    def test_is_judged_by_no_rule_about_whole_days(self, meter: Validating) -> None:
        """The first values of a morning stand out against those of the night before them."""
        told = [*[10] * 28, 2000, *[MISSING] * 67]
        meter.clock.instant = CHANNEL.day(DAY).starts_at(30)
        meter.tell(told)
        meter.work()
        assert meter.final().values.tolist() == told
        meter.tell([*[10] * 28, 2000, *[10] * 67])
        meter.work(at=END + timedelta(hours=1))
        assert meter.final().values[28] == 10


class TestFacts:
    """What rules are told is what the tables say."""

    def facts(self, meter: Validating, *wanted: Fact) -> dict[Fact, Any]:
        with meter.database.begin() as uow:
            looks = validation.due(uow.connection, now=END + timedelta(days=1), limit=10)
            targets = [Target(look=look, grid=CHANNEL.day(look.day), told=None) for look in looks]
            assert targets
            facts = Facts(uow, targets, policy=TimeSeriesPolicy.of(meter.settings))
            return {fact: known[0] for fact, known in facts.of(frozenset(wanted)).items()}

    def test_a_supply_that_failed_is_an_outage_until_it_came_back(self, meter: Validating) -> None:
        start = CHANNEL.day(DAY).start
        with meter.database.begin() as uow:
            uow.save(
                [
                    EndDeviceEvent(
                        sender_system="P11",
                        event_id=f"event {number}",
                        device_id=CHANNEL.device_id,
                        event_type=kind,
                        at=start + timedelta(minutes=minutes),
                        told_at=END,
                        source="city",
                        area="city",
                        state=EventState.TOLD,
                    )
                    for number, (kind, minutes) in enumerate([("3.26.0.85", 20), ("3.26.0.216", 61)])
                ]
            )
        meter.tell(FULL)
        outage = self.facts(meter, Fact.OUTAGE)[Fact.OUTAGE]
        assert np.flatnonzero(outage).tolist() == [1, 2, 3, 4]  # failed at 00:20, back at 01:01

    def test_time_of_use_registers_move_together_what_the_total_moves(self, meter: Validating) -> None:
        meter.register()
        with meter.database.begin() as uow:
            [total] = uow.load(Register, ("device_id",), [(CHANNEL.device_id,)])
            tariffs = [
                replace(total, measurement_task_id=f"1{tariff}", reading_type=f"1-0:1.8.{tariff}*255")
                for tariff in (1, 2)
            ]
            uow.save([*tariffs, replace(total, measurement_task_id="2", reading_type="1-0:2.8.0*255")])
        grid = CHANNEL.day(DAY)
        for reading_type, before, after in (("1-0:1.8.1*255", "10", "13.5"), ("1-0:1.8.2*255", "99", "100")):
            meter.read(grid.start, before, of=reading_type)
            meter.read(grid.end, after, of=reading_type)
        meter.tell(FULL)
        facts = self.facts(meter, Fact.TIME_OF_USE_ADVANCE, Fact.FEEDS_IN, Fact.FLOWS_BACK, Fact.UNIT_FITS)
        assert int(facts[Fact.TIME_OF_USE_ADVANCE]) == 4500
        assert (bool(facts[Fact.FEEDS_IN]), bool(facts[Fact.FLOWS_BACK]), bool(facts[Fact.UNIT_FITS])) == (
            True,
            False,
            True,
        )

    @pytest.mark.parametrize(
        ("shown", "moved"), [("99999990.00", 20_000), ("50000010.00", -50_000_000_000), ("50000010.01", 49_999_999_990)]
    )
    def test_a_register_that_turned_over_moved_on(self, meter: Validating, shown: str, moved: int) -> None:
        """At 99,999,999.99; less than half its range is believed to have been used, more is a decrease."""
        meter.register()
        grid = CHANNEL.day(DAY)
        with meter.database.begin() as uow:
            [register] = uow.load(Register, ("device_id",), [(CHANNEL.device_id,)])
            uow.save([replace(register, total_digits=10)])
        meter.read(grid.start, shown)
        meter.read(grid.end, "10.00")
        meter.tell(FULL)
        facts = self.facts(meter, Fact.ADVANCE, Fact.REGISTER_STEP)
        assert int(facts[Fact.ADVANCE]) == moved
        assert int(facts[Fact.REGISTER_STEP]) == 10

    def test_what_is_disconnected_since_noon_was_connected_before(self, meter: Validating) -> None:
        meter.register()
        noon = CHANNEL.day(DAY).start + timedelta(hours=12)
        with meter.database.begin() as uow:
            uow.save(
                [
                    EndDeviceStatus(
                        sender_system="P11",
                        device_id=CHANNEL.device_id,
                        switch_state=SwitchState.DISCONNECTED,
                        switch_state_at=noon,
                    )
                ]
            )
        meter.tell(FULL)
        facts = self.facts(meter, Fact.DISCONNECTED, Fact.IN_SERVICE)
        assert np.flatnonzero(facts[Fact.DISCONNECTED]).tolist() == list(range(48, 96))
        assert bool(facts[Fact.IN_SERVICE])
