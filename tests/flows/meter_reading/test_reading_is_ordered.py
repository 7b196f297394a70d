"""Reading orders through SOAP: accepted, read, sent, confirmed, refused, cancelled; on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from mdus.domain.command import Command, CommandKind, CommandStatus
from mdus.domain.end_device_event import EndDeviceEvent
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.meter_reading_document import DocumentStatus, MeterReadingDocument
from mdus.workers.meter_reading_documents import due_readings
from tests.flows.both_sides import BothSides, texts

START = datetime(2026, 3, 29, 10, 0, tzinfo=UTC)  # the day clocks go forward in Berlin
MIDNIGHT = datetime(2026, 3, 29, 22, 0, tzinfo=UTC)  # its end: 23 hours after it began
ORDER = "SmartMeterMeterReadingDocumentERPCreateRequest"
ORDERS = "SmartMeterMeterReadingDocumentERPBulkCreateRequest"
ACCEPTED = "SmartMeterMeterReadingDocumentERPCreateConfirmation"
ALL_ACCEPTED = "SmartMeterMeterReadingDocumentERPBulkCreateConfirmation"
RESULT = "MeterReadingDocumentERPResultCreateRequest"
RESULTS = "MeterReadingDocumentERPResultBulkCreateRequest"
CONFIRMED = "MeterReadingDocumentERPResultCreateConfirmation"
CANCEL = "SmartMeterMeterReadingDocumentERPCancellationRequest"
CANCELLED = "SmartMeterMeterReadingDocumentERPCancellationConfirmation"
CODE = "Log/BusinessDocumentProcessingResultCode"
DEVICE = "000000000000000042"
DOCUMENT = "00000000000000000007"


def order(
    document: str = DOCUMENT, device: str = DEVICE, *, source: str = "0", reason: str = "01", on: str = "2026-03-29"
) -> str:
    return (
        f"<MeterReadingDocument><ID>{document}</ID><MeterReadingReasonCode>{reason}</MeterReadingReasonCode>"
        f"<ScheduledMeterReadingDate>{on}</ScheduledMeterReadingDate>"
        f"<UtilitiesAdvancedMeteringDataSourceTypeCode>{source}</UtilitiesAdvancedMeteringDataSourceTypeCode>"
        f"<UtiltiesMeasurementTask><UtilitiesMeasurementTaskID>{device}</UtilitiesMeasurementTaskID>"
        f"<UtilitiesObjectIdentificationSystemCodeText>1-0:1.8.0</UtilitiesObjectIdentificationSystemCodeText>"
        f"<UtiltiesDevice><UtilitiesDeviceID>{device}</UtilitiesDeviceID><SmartMeter>"
        f"<UtilitiesAdvancedMeteringSystemID>AM01</UtilitiesAdvancedMeteringSystemID></SmartMeter></UtiltiesDevice>"
        f"</UtiltiesMeasurementTask></MeterReadingDocument>"
    )


def cancellation(document: str = DOCUMENT) -> str:
    return (
        f"<MeterReadingDocument><ID>{document}</ID><UtilitiesDeviceSmartMeter>"
        f"<UtilitiesAdvancedMeteringSystemID>AM01</UtilitiesAdvancedMeteringSystemID>"
        f"</UtilitiesDeviceSmartMeter></MeterReadingDocument>"
    )


def confirmation(code: str, document: str = DOCUMENT) -> str:
    return (
        f"<MeterReadingDocument><ID>{document}</ID></MeterReadingDocument>"
        f"<Log><BusinessDocumentProcessingResultCode>{code}</BusinessDocumentProcessingResultCode>"
        f"<Item><TypeID>001(EL)</TypeID><Note>as told</Note></Item></Log>"
    )


@pytest.fixture
def sides(database_url: str, tmp_path: Path) -> Iterator[BothSides]:
    made = BothSides(database_url, tmp_path, now=START)
    made.meter(DEVICE)
    yield made
    made.close()


def document(sides: BothSides) -> MeterReadingDocument:
    [one] = sides.all(MeterReadingDocument)
    assert isinstance(one, MeterReadingDocument)
    return one


def read_and_sent(sides: BothSides) -> None:
    """Bring one order so far that SAP has its result and has not answered."""
    sides.tell(ORDER, order())
    sides.clock.instant = MIDNIGHT
    sides.snapshot(MIDNIGHT, (DEVICE, "12345.679"))
    sides.clock.move(hours=1)
    sides.rest()
    assert document(sides).status is DocumentStatus.RESULT_SENT


class TestAPeriodicReading:
    def test_is_accepted_read_sent_and_confirmed(self, sides: BothSides) -> None:
        uuid = sides.tell(ORDER, order())
        sides.rest()

        [accepted] = sides.sap.messages(ACCEPTED)
        assert texts(accepted, CODE) == ["3"]
        assert texts(accepted, "MessageHeader/ReferenceUUID") == [uuid]

        sides.clock.instant = MIDNIGHT
        sides.snapshot(MIDNIGHT, (DEVICE, "12345.679"))
        sides.rest()
        assert sides.sap.messages(RESULT) == []

        sides.clock.move(hours=1)
        sides.rest()
        [result] = sides.sap.messages(RESULT)
        assert texts(result, "MeterReadingDocument/ScheduledMeterReadingDate") == ["2026-03-29"]
        assert texts(result, "MeterReadingDocument/Result/ActualMeterReadingDate") == ["2026-03-30"]
        assert texts(result, "MeterReadingDocument/Result/ActualMeterReadingTime") == ["00:00:00"]
        assert texts(result, "MeterReadingDocument/Result/MeterReadingResultValue") == ["12345.67"]
        assert texts(result, "MessageHeader/ReferenceUUID") == [uuid]
        assert sides.submitted(CommandKind.READ_REGISTERS) == []

        sides.tell(CONFIRMED, confirmation("3"))
        sides.rest()
        assert document(sides).status is DocumentStatus.CONFIRMED

    def test_asks_the_head_end_for_what_has_not_come(self, sides: BothSides) -> None:
        sides.tell(ORDER, order())
        sides.clock.instant = MIDNIGHT
        sides.clock.move(hours=1)
        sides.rest()
        assert [one["serial"] for one in sides.submitted(CommandKind.READ_REGISTERS)] == [f"S{DEVICE}"]

        reading = {"obis": "1-0:1.8.0*255", "at": MIDNIGHT.isoformat(), "value": "12345.67", "unit": "kWh"}
        sides.answer(CommandKind.READ_REGISTERS, readings=[reading])
        sides.rest()

        [result] = sides.sap.messages(RESULT)
        assert texts(result, "MeterReadingDocument/Result/MeterReadingResultValue") == ["12345.67"]

    def test_fails_aloud_when_no_value_can_be_had(self, sides: BothSides) -> None:
        sides.tell(ORDER, order())
        sides.clock.instant = MIDNIGHT
        sides.clock.move(hours=1)
        for _ in range(3):
            sides.rest()
            assert document(sides).status is DocumentStatus.ORDERED
            sides.answer(CommandKind.READ_REGISTERS, status="failed", code="NO_DATA", text="nothing stored")
            sides.rest()
            sides.clock.move(days=1)

        assert document(sides).status is DocumentStatus.FAILED
        assert len(sides.submitted(CommandKind.READ_REGISTERS)) == 3
        assert [case.kind for case in sides.all(ExceptionCase)] == ["reading_missing"]
        assert len(sides.all(EndDeviceEvent)) == 1
        assert sides.sap.messages(RESULT) == []

    def test_is_fetched_ahead_by_the_job(self, sides: BothSides) -> None:
        sides.tell(ORDER, order())
        sides.rest()
        settings = sides.mdus.runtime.settings
        sides.clock.instant = MIDNIGHT
        sides.clock.move(minutes=44)
        assert due_readings(sides.database, settings=settings, now=sides.clock.now()).startswith("0 documents")

        sides.clock.move(minutes=1)
        assert due_readings(sides.database, settings=settings, now=sides.clock.now()).startswith("1 documents")
        assert due_readings(sides.database, settings=settings, now=sides.clock.now()).startswith("0 documents")
        sides.rest()

        assert len(sides.submitted(CommandKind.READ_REGISTERS)) == 1


class TestAReadingOnDemand:
    def test_is_read_now(self, sides: BothSides) -> None:
        sides.tell(ORDER, order(source="1"))
        sides.rest()
        assert len(sides.submitted(CommandKind.READ_ON_DEMAND)) == 1
        assert len(sides.sap.messages(ACCEPTED)) == 1

        sides.clock.move(minutes=3)
        reading = {"obis": "1-0:1.8.0*255", "at": sides.clock.now().isoformat(), "value": "12345.67", "unit": "kWh"}
        sides.answer(CommandKind.READ_ON_DEMAND, readings=[reading])
        sides.rest()

        [result] = sides.sap.messages(RESULT)
        assert texts(result, "MeterReadingDocument/Result/ActualMeterReadingTime") == ["12:03:00"]

    def test_is_asked_for_again_after_a_failure(self, sides: BothSides) -> None:
        sides.tell(ORDER, order(source="1"))
        sides.rest()
        sides.answer(CommandKind.READ_ON_DEMAND, status="failed", code="BUSY", text="later")
        sides.rest()
        sides.clock.move(minutes=14)
        sides.rest()
        assert len(sides.submitted(CommandKind.READ_ON_DEMAND)) == 1

        sides.clock.move(minutes=1)
        sides.rest()
        assert len(sides.submitted(CommandKind.READ_ON_DEMAND)) == 2


class TestABulk:
    def test_has_one_confirmation_and_one_bulk_of_results(self, sides: BothSides) -> None:
        meters = [f"{number:018d}" for number in range(100, 130)]
        for device in meters:
            sides.meter(device)
        bad = order("99", meters[0], reason="99")
        sides.tell(ORDERS, *(order(f"{number}", device) for number, device in enumerate(meters, start=1)), bad)
        sides.rest()

        [accepted] = sides.sap.messages(ALL_ACCEPTED)
        assert texts(accepted, CODE) == ["4"]
        assert texts(accepted, f"{ACCEPTED}Message/{CODE}") == ["3"] * 30 + ["5"]

        sides.clock.instant = MIDNIGHT
        sides.clock.move(hours=1)
        sides.snapshot(MIDNIGHT, *((device, "1.00") for device in meters))
        sides.rest()

        [results] = sides.sap.messages(RESULTS)
        assert texts(results, f"{RESULT}Message/MeterReadingDocument/ID") == [str(number) for number in range(1, 31)]

    def test_is_looked_at_in_a_bounded_number_of_statements(self, sides: BothSides) -> None:
        def statements(count: int) -> int:
            meters = [f"{number:018d}" for number in range(count * 1000, count * 1001)]
            for device in meters:
                sides.meter(device)
            sides.tell(ORDERS, *(order(f"{count}-{device[-6:]}", device) for device in meters))
            sides.decide()
            sides.snapshot(MIDNIGHT, *((device, "1.00") for device in meters))
            executed: list[str] = []

            def note(*arguments: Any) -> None:
                executed.append(arguments[2])

            sides.clock.instant = MIDNIGHT
            sides.clock.move(hours=2)
            event.listen(sides.database.engine, "before_cursor_execute", note)
            assert sides.documents.turn() == count
            event.remove(sides.database.engine, "before_cursor_execute", note)
            sides.clock.instant = START
            return len(executed)

        statements(1)  # the first turn also looks for unanswered results
        # SQLite is given rows by the handful, and those left over in one more statement.
        few, many = statements(75), statements(125)
        assert many == few <= 22


class TestARefusedResult:
    def test_is_sent_again_as_another_message_then_given_up(self, sides: BothSides) -> None:
        read_and_sent(sides)
        for attempt in (1, 2, 3):
            assert len(sides.sap.messages(RESULT)) == attempt
            sides.tell(CONFIRMED, confirmation("5"))
            sides.rest()
            sides.clock.move(minutes=10)
            sides.rest()

        uuids = [texts(message, "MessageHeader/UUID")[0] for message in sides.sap.messages(RESULT)]
        assert len(set(uuids)) == 3
        assert document(sides).status is DocumentStatus.REJECTED
        assert [case.kind for case in sides.all(ExceptionCase)] == ["reading_result_refused"]

    def test_that_was_given_up_is_still_closed_by_a_late_success(self, sides: BothSides) -> None:
        self.test_is_sent_again_as_another_message_then_given_up(sides)

        sides.tell(CONFIRMED, confirmation("3"))
        sides.rest()

        assert document(sides).status is DocumentStatus.CONFIRMED
        assert [case.closed_at for case in sides.all(ExceptionCase)] == [sides.clock.now()]


class TestAnUnansweredResult:
    def test_is_sent_again_then_shown(self, sides: BothSides) -> None:
        read_and_sent(sides)
        for attempt in (1, 2, 3):
            sides.clock.move(minutes=59)
            sides.rest()
            assert len(sides.sap.messages(RESULT)) == attempt
            sides.clock.move(minutes=1)
            sides.rest()

        assert len(sides.sap.messages(RESULT)) == 3
        assert document(sides).status is DocumentStatus.RESULT_SENT
        assert [case.kind for case in sides.all(ExceptionCase)] == ["reading_result_unconfirmed"]

    def test_is_not_sent_again_while_the_first_has_not_arrived(self, sides: BothSides) -> None:
        sides.tell(ORDER, order())
        sides.rest()
        sides.sap.closed = True
        sides.clock.instant = MIDNIGHT
        sides.snapshot(MIDNIGHT, (DEVICE, "1.00"))
        sides.clock.move(hours=1)
        sides.documents.turn()
        sides.outbox.start_messages()
        sides.clock.move(hours=5)
        sides.documents.turn()

        assert document(sides).result_attempts == 1
        assert sides.outbox.start_messages() == 0


class TestACancellation:
    def test_before_the_reading_leaves_nothing_to_send(self, sides: BothSides) -> None:
        sides.tell(ORDER, order(source="1", on="2026-03-30"))
        sides.rest()
        sides.tell(CANCEL, cancellation())
        sides.rest()

        [cancelled] = sides.sap.messages(CANCELLED)
        assert texts(cancelled, CODE) == ["3"]
        assert [command.status for command in sides.all(Command)] == [CommandStatus.CANCELLED]
        sides.clock.move(days=3)
        sides.rest()
        assert sides.head_end.submitted == []
        assert sides.sap.messages(RESULT) == []

    def test_before_its_order_waits_and_wins(self, sides: BothSides) -> None:
        sides.tell(CANCEL, cancellation())
        sides.rest()
        assert sides.sap.messages(CANCELLED) == []

        sides.tell(ORDER, order())
        sides.rest()

        assert [texts(message, CODE) for message in sides.sap.messages(CANCELLED)] == [["3"]]
        assert document(sides).status is DocumentStatus.CANCELLED

    def test_of_an_order_that_never_comes_fails_after_half_an_hour(self, sides: BothSides) -> None:
        sides.tell(CANCEL, cancellation())
        sides.rest()
        sides.clock.move(minutes=30)
        sides.rest()

        assert [texts(message, CODE) for message in sides.sap.messages(CANCELLED)] == [["5"]]

    def test_waits_while_the_result_is_leaving(self, sides: BothSides) -> None:
        sides.tell(ORDER, order())
        sides.rest()
        sides.clock.instant = MIDNIGHT
        sides.snapshot(MIDNIGHT, (DEVICE, "1.00"))
        sides.clock.move(hours=1)
        sides.documents.turn()
        sides.outbox.start_messages()

        sides.tell(CANCEL, cancellation())
        sides.decide()
        assert document(sides).status is DocumentStatus.RESULT_SENT

        sides.rest()
        sides.clock.move(seconds=30)
        sides.rest()
        assert document(sides).status is DocumentStatus.CANCELLED
        assert [texts(message, CODE) for message in sides.sap.messages(CANCELLED)] == [["3"]]

    def test_while_sap_has_not_confirmed_wins_over_the_confirmation(self, sides: BothSides) -> None:
        read_and_sent(sides)
        sides.tell(CANCEL, cancellation())
        sides.rest()
        sides.tell(CONFIRMED, confirmation("3"))
        sides.rest()

        assert document(sides).status is DocumentStatus.CANCELLED
        assert [texts(message, CODE) for message in sides.sap.messages(CANCELLED)] == [["3"]]

    def test_after_the_confirmation_is_too_late(self, sides: BothSides) -> None:
        read_and_sent(sides)
        sides.tell(CONFIRMED, confirmation("3"))
        sides.rest()
        sides.tell(CANCEL, cancellation())
        sides.rest()

        [cancelled] = sides.sap.messages(CANCELLED)
        assert texts(cancelled, CODE) == ["5"]
        assert texts(cancelled, "Log/Item/TypeID") == ["231(MDUS)"]
