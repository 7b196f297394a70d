"""Interval values from head ends find their channel and day, whatever their order, on both databases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import event

from mdus.domain.channel import Channel
from mdus.domain.end_device import EndDevice
from mdus.domain.head_end import FieldIntervals
from mdus.domain.interval_block import IntervalBlock
from mdus.domain.quantities import Qualities, Quantities
from mdus.domain.usage_point import DeviceLocation
from mdus.settings import load_settings
from mdus.storage.interval_block import current_blocks, qualities_of
from mdus.storage.session import Database, UnitOfWork
from mdus.workers.interval_intake import take_intervals
from mdus.workers.told import Taken, Told

NOW = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)
START = datetime(2026, 3, 28, 23, 0, tzinfo=UTC)  # local midnight of the day of 23 hours
DAY = date(2026, 3, 29)
OBIS = "1-0:1.29.0*255"
ENVIRON = {
    "MDUS_TIME_ZONE": "Europe/Berlin",
    "MDUS_TIME_ZONES__UK": "Europe/London",
    "MDUS_HEAD_ENDS__CITY__KIND": "rest",
    "MDUS_HEAD_ENDS__CITY__URL": "http://127.0.0.1:9",
}


@pytest.fixture
def uow(database_url: str) -> Iterator[UnitOfWork]:
    """A writing transaction on an empty database."""
    database = Database(database_url, settings=load_settings(ENVIRON))
    with database.begin() as found:
        yield found
    database.close()


def device(number: int = 42, system: str = "P11") -> EndDevice:
    return EndDevice(
        sender_system=system,
        device_id=f"{number:018}",
        serial_id=f"{number:010}",
        material_id="LX100",
        valid_from=date(2026, 1, 1),
        head_end="city",
    )


def told(
    *values: str | None,
    start: datetime = START,
    of: int = 42,
    delivery: int = 1,
    minutes: int = 15,
    qualities: Sequence[str | None] = (),
    unit: str = "kWh",
) -> Told:
    intervals = FieldIntervals(
        serial_id=device(of).serial_id,
        reading_type=OBIS,
        unit=unit,
        interval_minutes=minutes,
        start_at=start,
        values=Quantities.of(None if value is None else Decimal(value) for value in values),
        qualities=Qualities.of(qualities),
    )
    return Told(delivery_id=delivery, head_end="city", received_at=NOW, events=(intervals,))


def take(uow: UnitOfWork, *some: Told, known: Sequence[EndDevice] = ()) -> Taken:
    devices = {("city", each.serial_id): each for each in known or (device(),)}
    return take_intervals(uow, some, devices, now=NOW)


def blocks(uow: UnitOfWork, *days: date, of: EndDevice | None = None) -> dict[date, IntervalBlock]:
    found = of or device()
    channels = uow.load(Channel, EndDevice.KEY, [(found.sender_system, found.device_id)])
    keys = [(channel, day) for channel in channels for day in days or (DAY,)]
    return {key[1]: block for key, block in current_blocks(uow.connection, keys).items()}


class TestTakeIntervals:
    def test_fills_a_day_of_23_hours_and_goes_on_in_the_next(self, uow: UnitOfWork) -> None:
        taken = take(uow, told(*["0.1"] * 100))
        assert taken.unplaced == {}
        assert taken.heard == {("P11", device().device_id): (NOW, NOW)}  # no clock that is ahead is believed

        found = blocks(uow, DAY, date(2026, 3, 30))
        assert {day: (len(block.values), int(block.present.sum())) for day, block in found.items()} == {
            DAY: (92, 92),
            date(2026, 3, 30): (96, 8),
        }
        channel = found[DAY].channel
        assert (channel.unit, channel.time_zone, channel.decimals) == ("KWH", "Europe/Berlin", 6)

    def test_is_the_same_in_any_order_and_told_again(self, uow: UnitOfWork) -> None:
        second = told("0.3", "0.4", start=START + timedelta(minutes=30), delivery=2)
        take(uow, second, told("0.1", "0.2"))
        take(uow, second)

        [block] = blocks(uow).values()
        assert block.quantities()[:5] == [Decimal("0.1"), Decimal("0.2"), Decimal("0.3"), Decimal("0.4"), None]
        assert block.version == 1

    def test_keeps_what_was_before_a_revised_value(self, uow: UnitOfWork) -> None:
        take(uow, told("0.1"))
        take(uow, told("0.2", delivery=9))
        [block] = blocks(uow).values()
        assert (block.version, block.written_by) == (2, "delivery/9")

    def test_sets_nothing_back_that_was_told_since_when_a_delivery_is_read_again(self, uow: UnitOfWork) -> None:
        estimate = told("0.9", "0.9", qualities=["2.8.0", "2.8.0"], delivery=1)
        take(uow, estimate)
        take(uow, told("0.1", delivery=2))

        take(uow, replace(estimate, is_again=True))

        [block] = blocks(uow).values()
        assert block.quantities()[:2] == [Decimal("0.1"), Decimal("0.9")]
        assert (block.version, block.written_by) == (2, "delivery/2")

    def test_adds_a_quality_that_new_tables_explain_though_a_later_delivery_told_of_the_day(
        self, uow: UnitOfWork
    ) -> None:
        take(uow, told("0.1"))
        take(uow, told("0.3", start=START + timedelta(minutes=30), delivery=2))
        explained = replace(told("0.1", qualities=["2.8.0"]), is_again=True, is_explained=True)

        take(uow, explained)

        [block] = blocks(uow).values()
        assert block.quantities()[:3] == [Decimal("0.1"), None, Decimal("0.3")]
        assert [bool(each) for each in block.qualities[:3]] == [True, False, False]

    def test_takes_what_waited_in_the_order_it_was_told(self, uow: UnitOfWork) -> None:
        waited = [told("0.9", "0.8", qualities=["2.8.0", None]), told("0.1", delivery=2)]
        newer = told("0.3", start=START + timedelta(minutes=30), delivery=3)

        take(uow, newer, *(replace(each, is_again=True) for each in waited))  # what is new comes first

        [block] = blocks(uow).values()
        assert block.quantities()[:3] == [Decimal("0.1"), Decimal("0.8"), Decimal("0.3")]

    def test_keeps_qualities_by_interval(self, uow: UnitOfWork) -> None:
        take(uow, told("0.1", "0.2", "0.3", qualities=[None, "1.2.32", "1.0.0"]))
        [block] = blocks(uow).values()
        sets = qualities_of(uow.connection, set(block.qualities.tolist()))
        assert [str(sets[mark]) for mark in block.qualities[:3].tolist()] == ["", "1.2.32", ""]

    def test_begins_days_where_the_meter_hangs(self, uow: UnitOfWork) -> None:
        place = DeviceLocation(
            sender_system="P11",
            device_id=device().device_id,
            installation_point_id="A",
            valid_from=date(2026, 1, 1),
            parent_installation_point_id="H",
            time_zone_code="UK",
        )
        uow.save([place])
        take(uow, told("0.1", start=datetime(2026, 3, 29, 0, 0, tzinfo=UTC)))
        [block] = blocks(uow).values()
        assert (block.channel.time_zone, block.quantities()[0]) == ("Europe/London", Decimal("0.1"))

    def test_goes_on_in_the_channel_there_is(self, uow: UnitOfWork) -> None:
        take(uow, told("0.1"))
        take(uow, told("0.2", start=START + timedelta(minutes=15)))
        assert len(uow.load(Channel, EndDevice.KEY, [("P11", device().device_id)])) == 1

    def test_keeps_meters_of_two_systems_apart(self, uow: UnitOfWork) -> None:
        other = device(system="P12")
        take(uow, told("0.1"))
        take(uow, told("0.2"), known=[other])
        assert [blocks(uow, of=each)[DAY].quantities()[0] for each in (device(), other)] == [
            Decimal("0.1"),
            Decimal("0.2"),
        ]

    @pytest.mark.parametrize(
        ("wrong", "reason"),
        [
            pytest.param(told("1", start=START + timedelta(minutes=7)), "between two intervals", id="off the grid"),
            pytest.param(told("1", minutes=7), "intervals of 7 minutes", id="no grid of a day"),
            pytest.param(told("1", "2", qualities=["1.2.32"]), "1 qualities for 2 values", id="qualities missing"),
            pytest.param(told("1", qualities=["bad"]), "no reading quality", id="no quality"),
        ],
    )
    def test_tells_back_what_has_no_place_and_takes_the_rest(self, uow: UnitOfWork, wrong: Told, reason: str) -> None:
        other = told("0.5", of=43, delivery=2)
        unplaced = take(uow, wrong, other, known=[device(), device(43)]).unplaced

        assert list(unplaced) == [1]
        assert reason in unplaced[1][0]
        assert blocks(uow) == {}
        assert blocks(uow, of=device(43))[DAY].quantities()[0] == Decimal("0.5")

    def test_tells_back_what_a_meter_unknown_as_yet_told(self, uow: UnitOfWork) -> None:
        assert take(uow, told("1", of=44)).unplaced == {1: ["no device with serial number 0000000044"]}

    def test_hears_a_meter_until_its_last_measured_interval(self, uow: UnitOfWork) -> None:
        until = START + timedelta(minutes=30)
        assert take(uow, told("1", "2", None)).heard == {("P11", device().device_id): (until, until)}
        assert take(uow, told(None)).heard == {}

    def test_runs_a_bounded_number_of_statements(self, uow: UnitOfWork) -> None:
        def statements(meters: int) -> int:
            counted: list[str] = []

            def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
                counted.append(statement)

            event.listen(uow.connection, "before_cursor_execute", note)
            numbers = [1000 * meters + number for number in range(meters)]
            some = [told(*["0.1"] * 92, of=number) for number in numbers]
            take(uow, *some, known=[device(number) for number in numbers])
            event.remove(uow.connection, "before_cursor_execute", note)
            return len(counted)

        assert statements(75) == statements(125) <= 16
