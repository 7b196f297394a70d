"""Asking meters for what was told while nobody heard their head end, on both databases."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import update

from mdus.domain.command import Command, CommandKind, CommandStatus
from mdus.domain.end_device import EndDevice
from mdus.domain.head_end import FieldIntervals
from mdus.domain.quantities import Quantities
from mdus.domain.reading import MeterReading, ReadingOrigin
from mdus.domain.unheard_time import UnheardTime
from mdus.storage.command import COMMAND
from mdus.workers import unheard_time
from tests.head_ends.field import ENERGY, NOON, SENDER, Field
from tests.head_ends.rehearsed import RehearsedHeadEnd

BERLIN = {"city": "Europe/Berlin"}

#: Nobody heard for an hour of the Friday: what was told may be of these midnights in Berlin.
TIME = UnheardTime(
    head_end="city", begins_at=NOON - timedelta(hours=1), ends_at=NOON, look_at=NOON + timedelta(hours=6)
)
MIDNIGHTS = [datetime.fromisoformat(f"2026-03-{day}T23:00:00Z") for day in range(20, 27)]
BEGIN = TIME.begins_at - timedelta(days=7)
A_MOMENT = timedelta(seconds=1)
QUARTER = timedelta(minutes=15)


@pytest.fixture
def field(database_url: str, head_end: RehearsedHeadEnd) -> Iterator[Field]:
    field = Field(database_url, "http://127.0.0.1:1", head_end=head_end, decode=head_end.decode)
    field.save(TIME)
    field.clock.present = TIME.look_at
    yield field
    field.close()


def meter(field: Field, number: int, *, told: Collection[datetime] = ()) -> EndDevice:
    """Store a device that has told some snapshots."""
    device = field.device(f"000000000{number}", f"00000000000001004{number}")
    field.save(*(reading(device, at) for at in told))
    return device


def reading(device: EndDevice, at: datetime, origin: ReadingOrigin = ReadingOrigin.SNAPSHOT) -> MeterReading:
    return MeterReading(
        sender_system=SENDER,
        device_id=device.device_id,
        reading_type=ENERGY,
        measured_at=at,
        value=Decimal(7),
        unit="kWh",
        origin=origin,
        received_at=at,
    )


def tell(field: Field, number: int, *, since: datetime, until: datetime) -> None:
    """Let a meter tell its quarters of an hour."""
    told = FieldIntervals(
        serial_id=f"000000000{number}",
        reading_type="1-0:1.29.0*255",
        unit="kWh",
        interval_minutes=15,
        start_at=since,
        values=Quantities.of([Decimal("0.25")] * int((until - since) / QUARTER)),
    )
    assert isinstance(field.head_end, RehearsedHeadEnd)
    name = since.isoformat()
    field.head_end.tells[name] = [told]
    field.push("told", name.encode())
    while field.readings.turn():
        pass


def look(field: Field, zones: dict[str, str] = BERLIN) -> str:
    return unheard_time.run(field.database, zones, now=field.clock.now())


def asked(field: Field) -> list[tuple[str, datetime | None, datetime | None]]:
    """Return who was asked for which periods, in order."""
    return [(each.serial_id, each.period_from, each.period_to) for each in field.all(Command)]


def end_all(field: Field, status: CommandStatus, code: str | None = None) -> None:
    with field.database.begin() as uow:
        uow.connection.execute(update(COMMAND.table).values(status=status, result_code=code))


class TestAsking:
    def test_goes_to_who_has_not_told_each_midnight(self, field: Field) -> None:
        meter(field, 1, told=MIDNIGHTS)
        meter(field, 2, told=[MIDNIGHTS[0], *MIDNIGHTS[2:4], *MIDNIGHTS[5:]])
        meter(field, 3, told=MIDNIGHTS[:-1])

        look(field)

        assert asked(field) == [
            ("0000000002", MIDNIGHTS[1], MIDNIGHTS[4] + A_MOMENT),
            ("0000000003", MIDNIGHTS[6], MIDNIGHTS[6] + A_MOMENT),
        ]
        (first, _) = field.all(Command)
        assert (first.kind, first.status, first.head_end) == (CommandKind.READ_REGISTERS, CommandStatus.READY, "city")
        assert (first.not_before, first.expires_at) == (field.clock.now(), field.clock.now() + timedelta(hours=6))

    def test_waits_for_what_is_on_its_way(self, field: Field) -> None:
        meter(field, 1)
        field.clock.present = TIME.look_at - A_MOMENT

        assert look(field) == ""
        assert (asked(field), field.all(UnheardTime)) == ([], [TIME])

    def test_takes_a_reading_on_demand_for_no_snapshot(self, field: Field) -> None:
        device = meter(field, 1, told=MIDNIGHTS[1:])
        field.save(reading(device, MIDNIGHTS[0], ReadingOrigin.ON_DEMAND))

        look(field)

        assert asked(field) == [("0000000001", MIDNIGHTS[0], MIDNIGHTS[0] + A_MOMENT)]

    def test_is_of_the_days_in_which_a_device_is_in_saps_books(self, field: Field) -> None:
        device = meter(field, 1)
        field.save(replace(device, valid_from=date(2026, 3, 24), valid_to=date(2026, 3, 26)))

        look(field)

        assert asked(field) == [("0000000001", MIDNIGHTS[3], MIDNIGHTS[4] + A_MOMENT)]

    def test_leaves_the_meters_of_other_head_ends_alone(self, field: Field) -> None:
        field.save(replace(meter(field, 1), head_end="valley"))

        look(field)

        assert (asked(field), field.all(UnheardTime)) == ([], [])

    def test_goes_to_all_of_many_pages(self, field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("mdus.workers.unheard_time._AT_ONCE", 2)
        for number in range(4):
            meter(field, number, told=MIDNIGHTS if number == 2 else ())

        assert look(field).endswith("3 meters are asked what they measured")
        assert [serial for serial, *_ in asked(field)] == ["0000000000", "0000000001", "0000000003"]

    def test_is_done_once_where_a_look_broke_off(self, field: Field) -> None:
        meter(field, 1)
        look(field)
        field.save(TIME)

        look(field)

        assert len(asked(field)) == 1


class TestAskingForIntervals:
    def test_goes_from_the_first_that_lacks_to_the_last(self, field: Field) -> None:
        meter(field, 1, told=MIDNIGHTS)
        tell(field, 1, since=BEGIN, until=BEGIN + timedelta(days=2, hours=1))
        tell(field, 1, since=BEGIN + timedelta(days=2, hours=3), until=BEGIN + timedelta(days=4))
        tell(field, 1, since=BEGIN + timedelta(days=4, hours=5), until=NOON)

        look(field)

        assert asked(field) == [("0000000001", BEGIN + timedelta(days=2, hours=1), BEGIN + timedelta(days=4, hours=5))]
        (command,) = field.all(Command)
        assert command.kind is CommandKind.READ_INTERVALS

    def test_begins_and_ends_with_what_may_have_been_told(self, field: Field) -> None:
        meter(field, 1, told=MIDNIGHTS)
        tell(field, 1, since=BEGIN - timedelta(days=1), until=BEGIN - timedelta(hours=1))

        look(field)

        assert asked(field) == [("0000000001", BEGIN, NOON)]

    @pytest.mark.parametrize("told", [True, False], ids=["that has told all", "of which none ever came"])
    def test_leaves_alone_a_meter(self, field: Field, told: bool) -> None:
        meter(field, 1, told=MIDNIGHTS)
        if told:
            tell(field, 1, since=BEGIN, until=NOON)

        look(field)

        assert (asked(field), field.all(UnheardTime)) == ([], [])

    def test_is_apart_from_asking_for_snapshots(self, field: Field) -> None:
        meter(field, 1)
        tell(field, 1, since=BEGIN, until=NOON - timedelta(hours=1))

        assert look(field).endswith("1 meters are asked what they measured")
        (registers, intervals) = field.all(Command)
        with field.database.begin() as uow:
            is_it = COMMAND.table.c.command_key == registers.command_key
            uow.connection.execute(update(COMMAND.table).where(is_it).values(status=CommandStatus.DONE))
        field.clock.advance(hours=6)
        look(field)

        assert [each.kind for each in field.all(Command)[2:]] == [intervals.kind] == [CommandKind.READ_INTERVALS]


class TestAskingAgain:
    def test_follows_where_a_meter_did_not_answer(self, field: Field) -> None:
        meter(field, 1)
        look(field)
        end_all(field, CommandStatus.TIMED_OUT)
        assert look(field) == ""

        field.clock.advance(hours=6)
        look(field)

        assert len(asked(field)) == 2

    @pytest.mark.parametrize(
        ("status", "code"),
        [
            pytest.param(CommandStatus.DONE, None, id="it told what it has"),
            pytest.param(CommandStatus.FAILED, "NO_DATA", id="it has nothing"),
            pytest.param(CommandStatus.FAILED, "NOT_CAPABLE", id="it cannot be asked"),
        ],
    )
    def test_does_not_follow_an_answer(self, field: Field, status: CommandStatus, code: str | None) -> None:
        meter(field, 1)
        look(field)
        end_all(field, status, code)

        field.clock.advance(hours=6)
        look(field)

        assert (len(asked(field)), field.all(UnheardTime)) == (1, [])

    def test_ends_when_what_was_late_has_come(self, field: Field) -> None:
        device = meter(field, 1)
        look(field)
        end_all(field, CommandStatus.TIMED_OUT)
        field.save(*(reading(device, at) for at in MIDNIGHTS))

        field.clock.advance(hours=6)
        look(field)

        assert (len(asked(field)), field.all(UnheardTime)) == (1, [])

    def test_is_given_up_after_the_fourth_time(self, field: Field) -> None:
        meter(field, 1)
        for number in range(1, 5):
            look(field)
            assert len(asked(field)) == number
            assert len(field.all(UnheardTime)) == 1
            end_all(field, CommandStatus.FAILED, "NO_RESPONSE")
            field.clock.advance(hours=6)

        assert look(field).endswith("1 meters have not told all they measured, and are asked no more")
        assert (len(asked(field)), field.all(UnheardTime)) == (4, [])


class TestTime:
    def test_is_over_when_everybody_has_told(self, field: Field) -> None:
        meter(field, 1, told=MIDNIGHTS)

        look(field)

        assert (asked(field), field.all(UnheardTime)) == ([], [])

    def test_stays_where_it_has_become_longer_meanwhile(self, field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
        meter(field, 1, told=MIDNIGHTS)
        longer = replace(TIME, ends_at=NOON + timedelta(hours=1))
        field.save(longer)
        monkeypatch.setattr("mdus.workers.unheard_time.times_due", lambda *_, **__: [TIME])

        look(field)

        assert field.all(UnheardTime) == [longer]

    def test_of_a_head_end_that_is_not_configured_any_more_is_forgotten(self, field: Field) -> None:
        meter(field, 1)

        look(field, {})

        assert (asked(field), field.all(UnheardTime)) == ([], [])
