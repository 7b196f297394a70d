"""Why SAP wants a reading decides which value it gets: periodic, interim, control, on demand; through SOAP."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mdus.domain.command import CommandKind
from mdus.domain.meter_reading_document import DocumentStatus, MeterReadingDocument
from tests.flows import orders
from tests.flows.both_sides import BothSides, texts

START = datetime(2026, 3, 28, 10, 0, tzinfo=UTC)
MIDNIGHT = datetime(2026, 3, 28, 23, 0, tzinfo=UTC)
TODAY = "2026-03-28"
DEVICE = "000000000000000042"
ROUTE = [f"{number:018d}" for number in range(1, 11)]


@pytest.fixture
def sides(sqlite_url: str, tmp_path: Path) -> Iterator[BothSides]:
    made = BothSides(sqlite_url, tmp_path, now=START)
    for device in (DEVICE, *ROUTE):
        made.meter(device)
    yield made
    made.close()


def statuses(sides: BothSides) -> dict[str, DocumentStatus]:
    return {one.document_id: one.status for one in sides.all(MeterReadingDocument)}


class TestAPeriodicReading:
    """Reason 01: a meter reading route on its date, in one bulk."""

    def test_of_a_route_is_ordered_once_and_told_in_one_message(self, sides: BothSides) -> None:
        sides.tell(orders.READINGS, *(orders.reading(one, one, reason="01", on=TODAY) for one in ROUTE))
        sides.rest()
        sides.clock.instant = MIDNIGHT
        sides.snapshot(MIDNIGHT, *((device, f"{place}.00") for place, device in enumerate(ROUTE)))
        sides.clock.move(hours=1)
        sides.rest()

        assert len(sides.sap.messages(orders.RESULTS)) == 1
        assert {one: told["value"] for one, told in orders.results(sides).items()} == {
            device: f"{place}.00" for place, device in enumerate(ROUTE)
        }
        for document in ROUTE:
            sides.tell(orders.RESULT_CONFIRMED, orders.result_confirmed(document))
        sides.rest()
        assert set(statuses(sides).values()) == {DocumentStatus.CONFIRMED}

    def test_of_a_meter_without_a_value_does_not_hold_up_the_route(self, sides: BothSides) -> None:
        sides.tell(orders.READINGS, *(orders.reading(one, one, reason="1", on=TODAY) for one in ROUTE))
        sides.clock.instant = MIDNIGHT
        sides.snapshot(MIDNIGHT, *((device, "1.00") for device in ROUTE[1:]))
        sides.clock.move(hours=1)
        sides.rest()
        assert set(orders.results(sides)) == set(ROUTE[1:])
        assert [one["serial"] for one in sides.submitted(CommandKind.READ_REGISTERS)] == [f"S{ROUTE[0]}"]

        late = MIDNIGHT + timedelta(days=1)
        sides.clock.instant = late
        sides.snapshot(late, (ROUTE[0], "9.00"))
        sides.answer(CommandKind.READ_REGISTERS, status="failed", code="NO_RESPONSE", text="silence")
        sides.rest()
        assert orders.results(sides)[ROUTE[0]]["value"] == "9.00"

    def test_has_no_value_from_before_the_end_of_its_day(self, sides: BothSides) -> None:
        sides.tell(orders.READING, orders.reading("1", DEVICE, reason="01", on=TODAY))
        sides.snapshot(MIDNIGHT - timedelta(minutes=1), (DEVICE, "1.00"))
        sides.clock.instant = MIDNIGHT + timedelta(hours=1)
        sides.rest()
        assert orders.results(sides) == {}
        assert len(sides.submitted(CommandKind.READ_REGISTERS)) == 1


class TestAnInterimReading:
    """Reasons 02 (with a bill) and 09 (without): between two periodic ones, for a day or for now."""

    @pytest.mark.parametrize("reason", ["02", "09"])
    def test_for_a_day_is_what_the_register_shows_when_it_is_over(self, sides: BothSides, reason: str) -> None:
        sides.tell(orders.READING, orders.reading("1", DEVICE, reason=reason, on=TODAY))
        sides.rest()
        sides.clock.instant = MIDNIGHT
        sides.snapshot(MIDNIGHT, (DEVICE, "55.00"))
        sides.clock.move(hours=1)
        sides.rest()
        assert orders.results(sides)["1"] == {
            "reason": reason,
            "on": "2026-03-29",
            "at": "00:00:00",
            "value": "55.00",
            "point": "",
        }
        assert sides.head_end.submitted == []

    @pytest.mark.parametrize("reason", ["02", "09"])
    def test_for_now_is_read_now(self, sides: BothSides, reason: str) -> None:
        sides.tell(orders.READING, orders.reading("1", DEVICE, reason=reason, on=TODAY, source="1"))
        assert orders.read_now(sides, "50.00") == 1
        assert orders.results(sides)["1"] == {
            "reason": reason,
            "on": TODAY,
            "at": "11:00:30",
            "value": "50.00",
            "point": "",
        }

    def test_of_the_past_is_taken_from_what_is_stored(self, sides: BothSides) -> None:
        sides.snapshot(MIDNIGHT - timedelta(days=10), (DEVICE, "40.00"))
        sides.tell(orders.READING, orders.reading("1", DEVICE, reason="02", on="2026-03-18"))
        sides.rest()
        assert orders.results(sides)["1"]["value"] == "40.00"

    def test_beside_a_periodic_one_of_the_same_day_has_the_same_value(self, sides: BothSides) -> None:
        sides.tell(orders.READING, orders.reading("1", DEVICE, reason="01", on=TODAY))
        sides.tell(orders.READING, orders.reading("2", DEVICE, reason="09", on=TODAY))
        sides.clock.instant = MIDNIGHT
        sides.snapshot(MIDNIGHT, (DEVICE, "55.00"))
        sides.clock.move(hours=1)
        sides.rest()
        told = orders.results(sides)
        assert told["1"]["value"] == told["2"]["value"] == "55.00"


class TestAControlReading:
    """Reason 10: somebody doubts a value, so the meter is asked, though SAP does not say so."""

    def test_is_read_from_the_meter_itself(self, sides: BothSides) -> None:
        sides.snapshot(START - timedelta(hours=11), (DEVICE, "49.00"))
        sides.tell(orders.READING, orders.reading("1", DEVICE, reason="10", on=TODAY))
        assert orders.read_now(sides, "50.00") == 1
        assert orders.results(sides)["1"]["value"] == "50.00"

    def test_planned_ahead_is_read_when_its_day_begins(self, sides: BothSides) -> None:
        sides.tell(orders.READING, orders.reading("1", DEVICE, reason="10", on="2026-03-29"))
        sides.rest()
        sides.clock.instant = MIDNIGHT - timedelta(seconds=1)
        sides.rest()
        assert sides.head_end.submitted == []
        sides.clock.instant = MIDNIGHT
        assert orders.read_now(sides, "50.00") == 1
        assert orders.results(sides)["1"]["at"] == "00:00:30"

    def test_of_stored_values_does_not_ask_the_meter(self, sides: BothSides) -> None:
        sides.tell(orders.READING, orders.reading("1", DEVICE, reason="10", on=TODAY, source="0"))
        sides.clock.instant = MIDNIGHT
        sides.snapshot(MIDNIGHT, (DEVICE, "55.00"))
        sides.clock.move(hours=1)
        sides.rest()
        assert orders.results(sides)["1"]["value"] == "55.00"
        assert sides.submitted(CommandKind.READ_ON_DEMAND) == []


class TestAReadingOnDemand:
    """Data source type 1: whatever the reason, the meter is asked."""

    @pytest.mark.parametrize("reason", ["01", "02", "03", "06", "09", "10", "13", "18"])
    def test_is_asked_for_whatever_the_reason(self, sides: BothSides, reason: str) -> None:
        sides.tell(orders.READING, orders.reading("1", DEVICE, reason=reason, on=TODAY, source="1"))
        assert orders.read_now(sides, "50.00") == 1
        assert orders.results(sides)["1"]["reason"] == reason

    def test_is_accepted_before_it_is_read(self, sides: BothSides) -> None:
        sides.tell(orders.READING, orders.reading("1", DEVICE, reason="09", on=TODAY, source="1"))
        sides.rest()
        assert [texts(one, orders.CODE) for one in sides.sap.messages(orders.READING_ACCEPTED)] == [["3"]]
        assert orders.results(sides) == {}

    def test_of_several_registers_asks_each_meter_by_itself(self, sides: BothSides) -> None:
        sides.tell(orders.READINGS, *(orders.reading(one, one, reason="09", on=TODAY, source="1") for one in ROUTE[:3]))
        assert orders.read_now(sides, "50.00") == 3
        assert set(orders.results(sides)) == set(ROUTE[:3])
