"""Raw interval values become final ones, on both databases."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import ClassVar

import hypothesis
import numpy as np
from hypothesis import strategies as st

from mdus.domain.channel import MISSING
from mdus.domain.command import Command
from mdus.domain.end_device import EndDevice
from mdus.domain.interval_block import Cause, Layer
from mdus.domain.reading_quality import ESTIMATED
from mdus.domain.usage_point import DeviceLocation
from mdus.storage.facts import EXCEPTION_CASE
from mdus.storage.interval_block import INTERVAL_BLOCK, VALIDATION_LOOK, note_used
from mdus.workers import estimate_missing, interval_corrections
from tests.unit.workers.validating import CHANNEL, DAY, END, FULL, Validating


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
