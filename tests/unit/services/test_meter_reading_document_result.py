"""Results to SAP and what SAP answers, decided without a database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest

from mdus.domain.exception_case import CONFIRMATION_UNMATCHED, ExceptionCase
from mdus.domain.meter_reading_collection import document_owner
from mdus.domain.meter_reading_document import (
    RESULT_REFUSED,
    RESULT_UNCONFIRMED,
    DocumentStatus,
    MeterReadingDocument,
)
from mdus.messaging.answer import Remark
from mdus.messaging.known import Known
from mdus.messaging.outcome import Done
from mdus.messaging.patterns import Due
from mdus.messaging.sent_item import SentItem
from mdus.services.meter_reading_document_result import (
    SERVICE,
    Confirmation,
    Policy,
    build,
    select,
    settle,
)
from tests.unit.services.device_initialization import DEVICE, NOW, SENDER, TASK, origin

POLICY = Policy(send_attempts=3, resend_interval=timedelta(minutes=10), accepted_type_ids=("073(EL", "100"))
READ = MeterReadingDocument(
    sender_system=SENDER,
    document_id="00000000000000000007",
    device_id=DEVICE,
    measurement_task_id=TASK,
    obis_text="1-0:1.8.0",
    reading_type="1-0:1.8.0*255",
    reason_code="1",
    scheduled_on=date(2026, 3, 28),
    point_of_delivery_id="DE1",
    time_zone="Europe/Berlin",
    status=DocumentStatus.READ,
    due_at=NOW,
    window_from=NOW,
    window_until=NOW,
    order_item_id=5,
    order_uuid="U1",
    order_id="I1",
    bulk=True,
    value=Decimal("12345.60"),
    unit="KWH",
    measured_at=datetime(2026, 3, 28, 23, 0, 7, 123456, tzinfo=UTC),
)
SENT = replace(READ, status=DocumentStatus.RESULT_SENT, result_attempts=1)


class Waiting:
    """A unit of work that has documents due for their result."""

    def __init__(self, *documents: MeterReadingDocument) -> None:
        self.documents = documents

    def documents_due_for_result(self, limit: int) -> list[MeterReadingDocument]:
        return list(self.documents[:limit])


def due(document: MeterReadingDocument = READ) -> Due:
    [one] = select(Waiting(document), now=NOW, limit=10)  # type: ignore[arg-type]
    return one


def answer(code: str | None = "3", *type_ids: str, **facts: Any) -> Confirmation:
    told: dict[str, Any] = {
        "origin": origin(item_id=8),
        "document_id": "00000000000000000007",
        "result_code": code,
        "remarks": tuple(Remark(type_id=type_id, severity="3", note=f"because of {type_id}") for type_id in type_ids),
        **facts,
    }
    return Confirmation(**told)


def settled(
    confirmation: Confirmation, document: MeterReadingDocument = SENT, *cases: ExceptionCase
) -> MeterReadingDocument | None:
    outcome = settle(confirmation, Known([POLICY, document], cases), now=NOW)
    assert isinstance(outcome, Done)
    found = [change for change in outcome.changes if isinstance(change, MeterReadingDocument)]
    return found[0] if found else None


class TestAnAnswerWithoutADocument:
    @pytest.mark.parametrize(
        ("answers", "status"),
        [
            pytest.param("u1", DocumentStatus.CONFIRMED, id="means that of the message it answers"),
            pytest.param("u2", None, id="to another message means none"),
            pytest.param(None, None, id="to no message means none"),
        ],
    )
    def test_is_tied_by_the_message(self, answers: str | None, status: DocumentStatus | None) -> None:
        sent = SentItem(sender_system=SENDER, message_key="u1", about=SENT.document_id, attempt=1)
        nameless = answer(document_id=None, origin=replace(origin(item_id=8), answers=answers))
        outcome = settle(nameless, Known([POLICY, SENT, sent]), now=NOW)

        assert isinstance(outcome, Done)
        [change] = outcome.changes
        assert getattr(change, "status", None) is status
        assert isinstance(change, ExceptionCase) is (status is None)


class TestSelect:
    def test_sends_in_the_form_and_with_the_reference_of_the_order(self) -> None:
        one = due()

        assert (one.sender_system, one.key, one.attempt) == (SENDER, "00000000000000000007", 1)
        assert (one.reference_uuid, one.reference_id, one.bulk) == ("U1", "I1", True)

    def test_notes_that_the_result_is_sent(self) -> None:
        [document] = due().changes

        assert document == SENT

    def test_makes_a_resend_another_message(self) -> None:
        assert due(replace(READ, result_attempts=2)).attempt == 3


class TestBuild:
    def test_tells_the_value_and_what_was_ordered(self) -> None:
        content = build(READ)

        assert (content.document_id, content.reason_code) == ("00000000000000000007", "1")
        assert (content.device_id, content.measurement_task_id, content.obis_text) == (DEVICE, TASK, "1-0:1.8.0")
        assert (content.scheduled_on, content.point_of_delivery_id) == (date(2026, 3, 28), "DE1")
        assert (content.value, content.type_code) == (Decimal("12345.60"), "01")

    def test_tells_of_an_estimate_that_it_is_one(self) -> None:
        assert build(replace(READ, estimate="{}", type_code="02")).type_code == "02"

    @pytest.mark.parametrize("code", [None, "01"])
    def test_makes_nothing_of_an_estimate_that_would_go_unmarked(self, code: str | None) -> None:
        with pytest.raises(ValueError, match="does not say so"):
            build(replace(READ, estimate="{}", type_code=code))

    @pytest.mark.parametrize(
        ("measured_at", "read_on", "read_time"),
        [
            pytest.param(
                datetime(2026, 3, 28, 23, 0, 7, 123456, tzinfo=UTC), date(2026, 3, 29), time(0, 0, 7), id="winter"
            ),
            pytest.param(datetime(2026, 3, 29, 22, 0, tzinfo=UTC), date(2026, 3, 30), time(0), id="after the change"),
            pytest.param(
                datetime(2026, 3, 29, 21, 59, 59, tzinfo=UTC), date(2026, 3, 29), time(23, 59, 59), id="before"
            ),
            pytest.param(
                datetime(2026, 10, 25, 1, 30, tzinfo=UTC), date(2026, 10, 25), time(2, 30), id="repeated hour"
            ),
        ],
    )
    def test_tells_date_and_time_in_the_zone_of_the_sender(
        self, measured_at: datetime, read_on: date, read_time: time
    ) -> None:
        content = build(replace(READ, measured_at=measured_at))

        assert (content.read_on, content.read_time) == (read_on, read_time)

    def test_never_builds_a_result_without_a_value(self) -> None:
        with pytest.raises(ValueError, match="has no value"):
            build(replace(READ, value=None))


class TestSettle:
    @pytest.mark.parametrize("code", ["3", "1", "2", "4", "03", "9", None])
    def test_closes_the_document_on_any_code_but_5(self, code: str | None) -> None:
        document = settled(answer(code))

        assert document is not None
        assert document.status is DocumentStatus.CONFIRMED

    @pytest.mark.parametrize("code", ["5", "05"])
    def test_sends_a_refused_result_again_after_a_pause(self, code: str) -> None:
        document = settled(answer(code, "001(XY)"))

        assert document is not None
        assert (document.status, document.next_try_at) == (
            DocumentStatus.RESULT_SENT,
            NOW + timedelta(minutes=10),
        )
        assert document.note == "because of 001(XY)"

    def test_takes_a_missing_code_with_an_error_for_a_refusal(self) -> None:
        document = settled(answer(None, "001(XY)", max_severity="3"))

        assert document is not None
        assert document.status is DocumentStatus.RESULT_SENT

    @pytest.mark.parametrize(
        ("attempts", "status"),
        [
            pytest.param(2, DocumentStatus.RESULT_SENT, id="one attempt left"),
            pytest.param(3, DocumentStatus.REJECTED, id="none left"),
        ],
    )
    def test_gives_up_after_the_last_attempt(self, attempts: int, status: DocumentStatus) -> None:
        document = settled(answer("5", "001(XY)"), replace(SENT, result_attempts=attempts))

        assert document is not None
        assert document.status is status

    def test_opens_a_case_when_it_gives_up(self) -> None:
        outcome = settle(answer("5", "001(XY)"), Known([POLICY, replace(SENT, result_attempts=3)]), now=NOW)

        assert isinstance(outcome, Done)
        [case] = [change for change in outcome.changes if isinstance(change, ExceptionCase)]
        assert (case.kind, case.case_key) == (RESULT_REFUSED, document_owner(SENT))
        assert "because of 001(XY)" in case.note

    @pytest.mark.parametrize(
        ("type_ids", "accepted"),
        [
            pytest.param(("073(EL)",), True, id="one that counts as success"),
            pytest.param(("073(EL)", "100(AB)"), True, id="all count"),
            pytest.param(("073(EL)", "001(XY)"), False, id="one does not"),
            pytest.param(("1(XY)",), False, id="prefixes are compared from the start"),
            pytest.param((), False, id="no reason given"),
        ],
    )
    def test_takes_accepted_refusals_for_success(self, type_ids: tuple[str, ...], accepted: bool) -> None:
        document = settled(answer("5", *type_ids))

        assert document is not None
        assert (document.status is DocumentStatus.CONFIRMED) is accepted

    def test_accepts_no_refusal_where_none_is_configured(self) -> None:
        outcome = settle(answer("5", ""), Known([Policy(), SENT]), now=NOW)

        assert isinstance(outcome, Done)
        assert isinstance(outcome.changes[0], MeterReadingDocument)
        assert outcome.changes[0].status is DocumentStatus.RESULT_SENT

    @pytest.mark.parametrize(
        "status",
        [DocumentStatus.RESULT_SENT, DocumentStatus.READ, DocumentStatus.REJECTED],
        ids=lambda status: status,
    )
    def test_closes_the_document_on_a_late_success(self, status: DocumentStatus) -> None:
        document = settled(answer("3"), replace(SENT, status=status, result_attempts=3, note="silence"))

        assert document is not None
        assert (document.status, document.note) == (DocumentStatus.CONFIRMED, None)

    def test_closes_the_cases_with_the_document(self) -> None:
        cases = [
            ExceptionCase(kind=kind, case_key=document_owner(SENT), opened_at=NOW - timedelta(days=1), note="n")
            for kind in (RESULT_UNCONFIRMED, RESULT_REFUSED)
        ]

        outcome = settle(answer("3"), Known([POLICY, SENT], cases), now=NOW)

        assert isinstance(outcome, Done)
        closed = [change for change in outcome.changes if isinstance(change, ExceptionCase)]
        assert [(case.opened_at, case.closed_at) for case in closed] == [(NOW - timedelta(days=1), NOW)] * 2

    @pytest.mark.parametrize(
        "status",
        [DocumentStatus.CONFIRMED, DocumentStatus.CANCELLED, DocumentStatus.READ, DocumentStatus.REJECTED],
        ids=lambda status: status,
    )
    def test_changes_nothing_on_a_refusal_of_what_is_settled_or_sent_again(self, status: DocumentStatus) -> None:
        assert settled(answer("5", "001(XY)"), replace(SENT, status=status)) is None

    @pytest.mark.parametrize("code", ["3", "5"])
    def test_leaves_a_document_entered_whose_reading_sap_sent_itself(self, code: str) -> None:
        assert settled(answer(code), replace(SENT, status=DocumentStatus.ENTERED)) is None

    def test_leaves_a_cancelled_document_cancelled(self) -> None:
        assert settled(answer("3"), replace(SENT, status=DocumentStatus.CANCELLED)) is None

    @pytest.mark.parametrize(
        ("confirmation", "known"),
        [
            pytest.param(answer(document_id=None), Known([POLICY, SENT]), id="names no document"),
            pytest.param(answer(), Known([POLICY]), id="never ordered"),
            pytest.param(answer(), Known([POLICY, replace(SENT, sender_system="P12")]), id="of another system"),
            pytest.param(answer(), Known([POLICY, READ]), id="never sent"),
        ],
    )
    def test_is_shown_when_it_confirms_nothing_we_sent(self, confirmation: Confirmation, known: Known) -> None:
        outcome = settle(confirmation, known, now=NOW)

        assert isinstance(outcome, Done)
        [case] = outcome.changes
        assert isinstance(case, ExceptionCase)
        assert (case.kind, case.case_key) == (CONFIRMATION_UNMATCHED, "8")


class TestService:
    def test_matches_confirmations_by_the_document(self) -> None:
        assert SERVICE.settled_by(answer()) == "00000000000000000007"
        assert SERVICE.settled_by(answer(document_id=None)) is None
