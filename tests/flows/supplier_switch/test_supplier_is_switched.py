"""The market tells of another supplier weeks later: final (03), first (06) and interim (02) readings of the past."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mdus.domain.command import CommandKind
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.meter_reading_document import DocumentStatus, MeterReadingDocument
from tests.flows import orders
from tests.flows.both_sides import ENERGY, BothSides, texts

#: Six weeks after the switch: the supplier of 2026-02-01 is known on 2026-03-15.
START = datetime(2026, 3, 15, 10, 0, tzinfo=UTC)
SWITCHED_AT = datetime(2026, 1, 31, 23, 0, tzinfo=UTC)
DEVICE, POINT = "000000000000000042", "DE0001234500000000000000000000042"
OLD, NEW, INTERIM = "3", "6", "2"


@pytest.fixture
def sides(sqlite_url: str, tmp_path: Path) -> Iterator[BothSides]:
    made = BothSides(sqlite_url, tmp_path, now=START)
    made.meter(DEVICE)
    yield made
    made.close()


def order(sides: BothSides) -> None:
    """The old supplier's last day, the new one's first, and a reading for a bill at the end of February."""
    sides.tell(
        orders.READINGS,
        orders.reading(OLD, DEVICE, reason="03", on="2026-01-31", point=POINT),
        orders.reading(NEW, DEVICE, reason="06", on="2026-02-01", point=POINT),
        orders.reading(INTERIM, DEVICE, reason="02", on="2026-02-28", point=POINT),
    )
    sides.rest()


class TestASupplierSwitch:
    def test_is_read_from_history_for_its_point_of_delivery(self, sides: BothSides) -> None:
        for days in range(-3, 40):
            sides.snapshot(SWITCHED_AT + timedelta(days=days), (DEVICE, f"{1000 + days}.50"))
        order(sides)

        at_midnight = {"at": "00:00:00", "point": POINT}
        assert orders.results(sides) == {
            OLD: {"reason": "03", "on": "2026-02-01", "value": "1000.50", **at_midnight},
            NEW: {"reason": "06", "on": "2026-02-01", "value": "1000.50", **at_midnight},
            INTERIM: {"reason": "02", "on": "2026-03-01", "value": "1028.50", **at_midnight},
        }
        assert sides.head_end.submitted == []
        assert sides.sap.messages(orders.RESULTS) != []
        (accepted,) = sides.sap.messages(orders.READINGS_ACCEPTED)
        assert texts(accepted, orders.CODE) == ["3"]

    def test_is_read_from_the_meter_where_history_has_a_gap(self, sides: BothSides) -> None:
        sides.snapshot(SWITCHED_AT + timedelta(days=28), (DEVICE, "1028.50"))
        order(sides)
        assert set(orders.results(sides)) == {INTERIM}
        assert len(sides.submitted(CommandKind.READ_REGISTERS)) == 2

        reading = {"obis": ENERGY, "at": SWITCHED_AT.isoformat(), "value": "1000.50", "unit": "kWh"}
        sides.answer(CommandKind.READ_REGISTERS, readings=[reading])
        sides.rest()
        told = orders.results(sides)
        assert told[OLD]["value"] == told[NEW]["value"] == "1000.50"

    def test_that_nobody_has_a_value_for_is_a_case_each_and_holds_up_no_other(self, sides: BothSides) -> None:
        sides.snapshot(SWITCHED_AT + timedelta(days=28), (DEVICE, "1028.50"))
        order(sides)
        sides.answer(CommandKind.READ_REGISTERS, status="failed", code="NO_DATA", text="older than the meter stores")
        sides.rest()

        status = {one.document_id: one.status for one in sides.all(MeterReadingDocument)}
        assert status == {
            OLD: DocumentStatus.FAILED,
            NEW: DocumentStatus.FAILED,
            INTERIM: DocumentStatus.RESULT_SENT,
        }
        assert [case.kind for case in sides.all(ExceptionCase)] == ["reading_missing"] * 2

    def test_that_the_market_takes_back_is_cancelled(self, sides: BothSides) -> None:
        order(sides)
        sides.tell(orders.CANCEL_READINGS, *map(orders.reading_cancelled, (OLD, NEW, INTERIM)))
        sides.rest()
        (cancelled,) = sides.sap.messages(orders.READINGS_CANCELLED)
        assert texts(cancelled, orders.CODE) == ["3"]
        assert {one.status for one in sides.all(MeterReadingDocument)} == {DocumentStatus.CANCELLED}

    def test_ordered_again_under_new_documents_has_the_same_values(self, sides: BothSides) -> None:
        for days in range(-3, 40):
            sides.snapshot(SWITCHED_AT + timedelta(days=days), (DEVICE, f"{1000 + days}.50"))
        order(sides)
        sides.tell(orders.READING, orders.reading("33", DEVICE, reason="03", on="2026-01-31", point=POINT))
        sides.rest()
        told = orders.results(sides)
        assert told["33"] == told[OLD]

    def test_is_not_answered_with_what_the_meter_shows_now(self, sides: BothSides) -> None:
        """On demand, a meter can only tell of today: of a day six weeks ago it is not asked."""
        sides.tell(orders.READING, orders.reading(OLD, DEVICE, reason="03", on="2026-01-31", source="1"))
        sides.rest()
        (refused,) = sides.sap.messages(orders.READING_ACCEPTED)
        assert texts(refused, orders.TYPE_ID) == ["207(MDUS)"]
        assert sides.head_end.submitted == []
