"""Case 13. A reading that cannot be had: nothing is sent for it, for an item without a Result is no item.

SAP learns of it by an event, a person by a case; its neighbours in the bulk are sent.
"""

from __future__ import annotations

from mdus.domain.command import CommandKind
from mdus.domain.end_device_event import EndDeviceEvent
from mdus.domain.meter_reading_document import DocumentStatus
from tests.flows.both_sides import BothSides
from tests.flows.hard_cases.sap_messages import (
    METER,
    OTHER,
    READ_BULK,
    RESULT,
    RESULT_BULK,
    RESULT_CONFIRMED,
    VALUE,
    reading,
    result_confirmed,
)
from tests.flows.hard_cases.steps import MIDNIGHT, by_document, document, late_failures


def one_there_one_missing(sides: BothSides) -> None:
    sides.tell(READ_BULK, reading("1"), reading("2", device_id=OTHER))
    sides.clock.instant = MIDNIGHT
    sides.snapshot(MIDNIGHT, (METER, "1.25"))
    sides.clock.move(hours=1)
    sides.rest()
    sides.tell(RESULT_CONFIRMED, result_confirmed(document="1"))
    sides.rest()


def no_data(sides: BothSides) -> None:
    sides.answer(CommandKind.READ_REGISTERS, status="failed", code="NO_RESPONSE", text="silence")
    sides.rest()
    sides.clock.move(days=1)
    sides.rest()


class TestAReadingThatCannotBeHad:
    def test_is_no_item_of_the_results_and_an_event_instead(self, sides: BothSides) -> None:
        one_there_one_missing(sides)
        [results] = sides.sap.messages(RESULT_BULK)
        assert by_document(results, VALUE) == {"1": "1.25"}
        assert late_failures(sides) == []

        for _ in range(3):
            no_data(sides)

        assert document(sides, "2").status is DocumentStatus.FAILED
        assert late_failures(sides) == ["reading_missing"]
        [event] = sides.all(EndDeviceEvent)
        assert "document 2" in (event.text or "")

    def test_is_told_once_and_a_value_that_comes_too_late_changes_nothing(self, sides: BothSides) -> None:
        one_there_one_missing(sides)
        for _ in range(3):
            no_data(sides)
        sides.snapshot(MIDNIGHT, (OTHER, "2.25"))
        sides.clock.move(days=10)
        sides.rest()

        sent = [item for bulk in sides.sap.messages(RESULT_BULK) for item in bulk.iterfind(f"{RESULT}Message")]
        assert {item.findtext("MeterReadingDocument/ID") for item in sent} == {"1"}
        assert all(item.find("MeterReadingDocument/Result") is not None for item in sent)
        assert document(sides, "2").status is DocumentStatus.FAILED
        assert late_failures(sides) == ["reading_missing"]

    def test_has_all_its_attempts_before_that(self, sides: BothSides) -> None:
        one_there_one_missing(sides)
        for _ in range(2):
            no_data(sides)
        sides.snapshot(MIDNIGHT, (OTHER, "2.25"))
        sides.answer(CommandKind.READ_REGISTERS)
        sides.rest()

        assert document(sides, "2").status is DocumentStatus.RESULT_SENT
        assert late_failures(sides) == []
