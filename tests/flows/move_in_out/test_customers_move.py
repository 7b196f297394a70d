"""Customers move: a final reading (03) and a first one (06), announced or told late, with a vacant home between."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mdus.domain.command import CommandKind
from mdus.domain.end_device_event import EndDeviceEvent
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.meter_reading_document import MeterReadingDocument
from tests.flows import orders
from tests.flows.both_sides import ENERGY, BothSides, texts

START = datetime(2026, 3, 26, 10, 0, tzinfo=UTC)
#: The midnight after the last day of the one and before the first of the other: clocks went forward in the day between.
MIDNIGHT = datetime(2026, 3, 29, 22, 0, tzinfo=UTC)
LAST_DAY, FIRST_DAY = "2026-03-29", "2026-03-30"
DEVICE = "000000000000000042"
OUT, IN = "00000000000000000003", "00000000000000000006"


@pytest.fixture
def sides(sqlite_url: str, tmp_path: Path) -> Iterator[BothSides]:
    made = BothSides(sqlite_url, tmp_path, now=START)
    made.meter(DEVICE)
    yield made
    made.close()


def move_out(on: str = LAST_DAY) -> str:
    return orders.reading(OUT, DEVICE, reason="03", on=on)


def move_in(on: str = FIRST_DAY) -> str:
    return orders.reading(IN, DEVICE, reason="06", on=on)


class TestAMove:
    def test_announced_ahead_gives_both_customers_the_same_value(self, sides: BothSides) -> None:
        sides.tell(orders.READINGS, move_out(), move_in())
        sides.rest()
        (accepted,) = sides.sap.messages(orders.READINGS_ACCEPTED)
        assert texts(accepted, orders.CODE) == ["3"]
        assert orders.results(sides) == {}

        sides.clock.instant = MIDNIGHT
        sides.snapshot(MIDNIGHT, (DEVICE, "12345.67"))
        sides.clock.move(hours=1)
        sides.rest()

        same = {"on": "2026-03-30", "at": "00:00:00", "value": "12345.67", "point": ""}
        assert orders.results(sides) == {OUT: {"reason": "03", **same}, IN: {"reason": "06", **same}}
        assert sides.head_end.submitted == []

    def test_told_late_is_read_from_what_is_stored(self, sides: BothSides) -> None:
        for days in range(-5, 3):
            sides.snapshot(MIDNIGHT + timedelta(days=days), (DEVICE, f"{100 + days}.00"))
        sides.clock.instant = MIDNIGHT + timedelta(days=20)
        sides.tell(orders.READING, move_out())
        sides.tell(orders.READING, move_in())
        sides.rest()

        told = orders.results(sides)
        assert [told[document]["value"] for document in (OUT, IN)] == ["100.00", "100.00"]
        assert sides.head_end.submitted == []

    def test_told_late_is_read_from_what_the_meter_stores(self, sides: BothSides) -> None:
        sides.clock.instant = MIDNIGHT + timedelta(days=20)
        sides.tell(orders.READING, move_out())
        sides.rest()
        assert len(sides.submitted(CommandKind.READ_REGISTERS)) == 1

        reading = {"obis": ENERGY, "at": MIDNIGHT.isoformat(), "value": "12345.67", "unit": "kWh"}
        sides.answer(CommandKind.READ_REGISTERS, readings=[reading])
        sides.rest()
        assert orders.results(sides)[OUT]["value"] == "12345.67"

    def test_without_a_value_of_that_midnight_takes_the_nearest_that_counts(self, sides: BothSides) -> None:
        """The day before and three days after count; of the meter, asked first, nothing nearer can be had."""
        sides.snapshot(MIDNIGHT - timedelta(hours=23), (DEVICE, "90.00"))  # the day had 23 hours
        sides.snapshot(MIDNIGHT + timedelta(days=2), (DEVICE, "120.00"))
        sides.clock.instant = MIDNIGHT + timedelta(days=5)
        sides.tell(orders.READING, move_out())
        sides.tell(orders.READING, move_in())
        sides.rest()
        assert orders.results(sides) == {}

        sides.answer(CommandKind.READ_REGISTERS, status="failed", code="NO_DATA", text="nothing stored")
        sides.rest()
        told = orders.results(sides)
        assert [told[document]["value"] for document in (OUT, IN)] == ["90.00", "90.00"]
        assert told[OUT]["on"] == "2026-03-29"

    def test_without_any_value_is_not_silent(self, sides: BothSides) -> None:
        sides.clock.instant = MIDNIGHT + timedelta(days=5)
        sides.tell(orders.READING, move_out())
        sides.rest()
        sides.answer(CommandKind.READ_REGISTERS, status="failed", code="NO_DATA", text="nothing stored")
        sides.rest()
        assert [case.kind for case in sides.all(ExceptionCase)] == ["reading_missing"]
        assert len(sides.all(EndDeviceEvent)) == 1
        assert orders.results(sides) == {}

    def test_that_is_called_off_is_not_read(self, sides: BothSides) -> None:
        sides.tell(orders.READINGS, move_out(), move_in())
        sides.rest()
        sides.tell(orders.CANCEL_READINGS, orders.reading_cancelled(OUT), orders.reading_cancelled(IN))
        sides.rest()
        (cancelled,) = sides.sap.messages(orders.READINGS_CANCELLED)
        assert texts(cancelled, orders.CODE) == ["3"]

        sides.clock.instant = MIDNIGHT + timedelta(days=4)
        sides.snapshot(MIDNIGHT, (DEVICE, "12345.67"))
        sides.rest()
        assert orders.results(sides) == {}

    def test_to_another_day_is_a_new_order(self, sides: BothSides) -> None:
        sides.tell(orders.READING, move_out())
        sides.rest()
        sides.tell(orders.CANCEL_READING, orders.reading_cancelled(OUT))
        sides.tell(orders.READING, orders.reading("7", DEVICE, reason="03", on="2026-03-31"))
        sides.rest()
        due = {one.document_id: one.scheduled_on.day for one in sides.all(MeterReadingDocument)}
        assert due == {OUT: 29, "7": 31}

    def test_on_a_day_without_the_meter_is_refused(self, sides: BothSides) -> None:
        sides.tell(orders.READING, move_out(on="2025-12-31"))
        sides.rest()
        (refused,) = sides.sap.messages(orders.READING_ACCEPTED)
        assert texts(refused, orders.TYPE_ID) == ["202(MDUS)"]


class TestAVacantHome:
    def test_is_disconnected_after_the_last_and_reconnected_for_the_next_customer(self, sides: BothSides) -> None:
        sides.tell(orders.READING, move_out())
        sides.clock.instant = MIDNIGHT
        sides.snapshot(MIDNIGHT, (DEVICE, "100.00"))
        sides.clock.move(hours=1)
        sides.tell(orders.SWITCH, orders.switch("1", DEVICE, at=sides.clock.now(), reason="02"))
        orders.carry_out(sides, "disconnected")
        assert orders.switches(sides) == {"1": ("3", [])}

        moved_in = MIDNIGHT + timedelta(days=30)
        sides.clock.instant = moved_in
        sides.snapshot(moved_in, (DEVICE, "100.00"))
        sides.tell(orders.SWITCH, orders.switch("2", DEVICE, at=moved_in, category="2"))
        sides.tell(orders.READING, move_in(on="2026-04-29"))
        orders.carry_out(sides, "connected")
        sides.clock.move(hours=1)
        sides.rest()

        assert orders.switches(sides)["2"] == ("3", [])
        told = orders.results(sides)
        assert told[OUT]["value"] == told[IN]["value"] == "100.00"  # nothing was used while it stood empty
