"""Taking reading orders back, decided without a database."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from mdus.domain.command import Command, CommandStatus
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.meter_reading_collection import READING_MISSING, document_owner, read_command
from mdus.domain.meter_reading_document import DocumentStatus, MeterReadingDocument, document_arrival
from mdus.domain.reading import MeterReading, ReadingOrigin
from mdus.domain.value import Remove
from mdus.messaging.known import Known
from mdus.messaging.outcome import Await, BusinessError, Done, Outcome, Park, Result
from mdus.services.meter_reading_document_cancellation import (
    AlreadyProcessed,
    LeavingAnswer,
    LeavingResult,
    Request,
    ResultLeaving,
    SystemDiffers,
    confirm,
    decide,
)
from tests.unit.services.device_initialization import DEVICE, NOW, SENDER, TASK, known_device, origin

DOCUMENT = MeterReadingDocument(
    sender_system=SENDER,
    document_id="00000000000000000007",
    device_id=DEVICE,
    measurement_task_id=TASK,
    obis_text="1-0:1.8.0",
    reading_type="1-0:1.8.0*255",
    reason_code="01",
    scheduled_on=date(2026, 3, 28),
    ams_id="AM01",
    on_demand=True,
    time_zone="Europe/Berlin",
    due_at=NOW,
    window_from=NOW,
    window_until=NOW,
    next_try_at=NOW,
    order_item_id=5,
)
LEAVING = LeavingResult(sender_system=SENDER, document_id="00000000000000000007")


def cancellation(**facts: Any) -> Request:
    told: dict[str, Any] = {"origin": origin(item_id=9), "document_id": "00000000000000000007", "ams_id": "AM01"}
    return Request(**{**told, **facts})


def command(status: CommandStatus) -> Command:
    made = read_command(DOCUMENT, known_device(), attempt=1, not_before=NOW, lasts=timedelta(hours=1))
    assert made is not None
    return replace(made, status=status)


def decided(document: MeterReadingDocument, *others: Any) -> Outcome:
    return decide(cancellation(), Known([document], others), now=NOW)


class TestDecide:
    @pytest.mark.parametrize(
        "status",
        [
            DocumentStatus.ORDERED,
            DocumentStatus.READ,
            DocumentStatus.RESULT_SENT,
            DocumentStatus.REJECTED,
            DocumentStatus.FAILED,
        ],
        ids=lambda status: status,
    )
    def test_cancels_an_order_that_sap_has_not_confirmed(self, status: DocumentStatus) -> None:
        outcome = decided(replace(DOCUMENT, status=status))

        assert isinstance(outcome, Done)
        assert outcome.result == Result()
        assert outcome.changes == (replace(DOCUMENT, status=DocumentStatus.CANCELLED, next_try_at=None),)

    def test_is_too_late_once_sap_has_confirmed(self) -> None:
        with pytest.raises(AlreadyProcessed):
            decided(replace(DOCUMENT, status=DocumentStatus.CONFIRMED))

    def test_has_the_same_answer_twice(self) -> None:
        assert decided(replace(DOCUMENT, status=DocumentStatus.CANCELLED)) == Done()

    @pytest.mark.parametrize(
        ("status", "taken_back"),
        [
            (CommandStatus.READY, True),
            (CommandStatus.SUBMITTING, False),
            (CommandStatus.ACCEPTED, False),
            (CommandStatus.DONE, False),
        ],
    )
    def test_takes_back_the_command_only_while_it_has_not_left(self, status: CommandStatus, taken_back: bool) -> None:
        outcome = decided(DOCUMENT, command(status))

        assert isinstance(outcome, Done)
        commands = [change for change in outcome.changes if isinstance(change, Command)]
        assert [one.status for one in commands] == ([CommandStatus.CANCELLED] if taken_back else [])

    def test_closes_the_open_case_of_the_order(self) -> None:
        case = ExceptionCase(kind=READING_MISSING, case_key=document_owner(DOCUMENT), opened_at=NOW, note="n")

        outcome = decided(replace(DOCUMENT, status=DocumentStatus.FAILED), case)

        assert isinstance(outcome, Done)
        assert outcome.changes[-1] == replace(case, closed_at=NOW)

    @pytest.mark.parametrize(
        ("origin_", "goes"), [(ReadingOrigin.MANUAL, True), (ReadingOrigin.SNAPSHOT, False)], ids=str
    )
    def test_takes_back_a_reading_that_a_person_made(self, origin_: ReadingOrigin, goes: bool) -> None:
        entered = replace(DOCUMENT, status=DocumentStatus.ENTERED, value=Decimal(7), measured_at=NOW)
        reading = MeterReading(
            sender_system=SENDER,
            device_id=DEVICE,
            reading_type="1-0:1.8.0*255",
            measured_at=NOW,
            value=Decimal("7.0"),
            origin=origin_,
            received_at=NOW,
        )

        outcome = decided(entered, reading, replace(reading, value=Decimal(8)))

        assert isinstance(outcome, Done)
        cancelled = replace(entered, status=DocumentStatus.CANCELLED, next_try_at=None)
        assert outcome.changes == (cancelled, *((Remove(MeterReading, reading.key),) if goes else ()))

    def test_waits_for_an_order_that_has_not_come(self) -> None:
        outcome = decide(cancellation(), Known(), now=NOW)

        assert isinstance(outcome, Park)
        assert outcome.waits_for == document_arrival(SENDER, "00000000000000000007") == DOCUMENT.wakes[0]
        assert outcome.until == NOW + timedelta(minutes=30)
        assert outcome.otherwise.type_id == "230(MDUS)"

    def test_does_not_take_the_order_of_another_system(self) -> None:
        assert isinstance(decided(replace(DOCUMENT, sender_system="P12")), Park)

    def test_does_not_take_an_order_without_its_zeros(self) -> None:
        assert isinstance(decide(cancellation(document_id="7"), Known([DOCUMENT]), now=NOW), Park)

    def test_refuses_another_metering_system(self) -> None:
        with pytest.raises(SystemDiffers):
            decide(cancellation(ams_id="AM02"), Known([DOCUMENT]), now=NOW)

    @pytest.mark.parametrize("documents", [[DOCUMENT], []], ids=["an order that is there", "one that may come"])
    def test_takes_nothing_back_for_test_data(self, documents: list[MeterReadingDocument]) -> None:
        with pytest.raises(BusinessError, match="test data") as refused:
            decide(cancellation(origin=origin(item_id=9, test_data=True)), Known(documents), now=NOW)
        assert refused.value.problem.type_id == "310(MDUS)"


class TestResultLeaving:
    def test_is_waited_for_until_it_has_arrived(self) -> None:
        sent = replace(DOCUMENT, status=DocumentStatus.RESULT_SENT)

        waiting = decided(sent, LEAVING)

        assert waiting == Await(commands=(), until=NOW + timedelta(seconds=30))
        assert isinstance(decided(sent), Done)

    def test_wins_when_it_does_not_arrive_in_time(self) -> None:
        request = cancellation()
        sent = replace(DOCUMENT, status=DocumentStatus.RESULT_SENT)
        at_end = request.origin.park_until

        with pytest.raises(ResultLeaving):
            decide(request, Known([sent, LEAVING]), now=at_end)
        assert isinstance(decide(request, Known([sent, LEAVING]), now=at_end - timedelta(seconds=1)), Await)

    def test_does_not_hold_back_the_answer_to_a_confirmed_order(self) -> None:
        with pytest.raises(AlreadyProcessed):
            decided(replace(DOCUMENT, status=DocumentStatus.CONFIRMED), LEAVING)


class TestAnswerLeaving:
    def test_goes_before_the_answer_to_the_cancellation(self) -> None:
        answer = LeavingAnswer(sender_system=SENDER, document_id="00000000000000000007")
        cancelled = replace(DOCUMENT, status=DocumentStatus.CANCELLED, next_try_at=None)

        first = decided(DOCUMENT, answer)
        second = decided(cancelled, answer)

        assert first == Await(commands=(), until=NOW + timedelta(seconds=30), changes=(cancelled,))
        assert second == Await(commands=(), until=NOW + timedelta(seconds=30))
        assert decided(cancelled) == Done()

    def test_of_another_order_is_not_waited_for(self) -> None:
        answer = LeavingAnswer(sender_system=SENDER, document_id="00000000000000000008")

        assert isinstance(decided(DOCUMENT, answer), Done)


class TestConfirm:
    def test_names_the_order(self) -> None:
        assert confirm(cancellation(), Result()).document_id == "00000000000000000007"
