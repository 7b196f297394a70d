"""MeterReadingDocumentERPResultCreateRequest: we send SAP the value of a reading it has ordered.

Settled by SAP's MeterReadingDocumentERPResultCreateConfirmation. A result never overtakes its order's confirmation.

```
SAP   <--ResultCreateRequest--         the value, with date and time in the sender's zone, bulk if the order was
SAP   --ResultCreateConfirmation-->    any code but 5: done
                                       5: sent again as a new message after a pause, then a case for a human
                                       silence: the same (meter_reading_documents in the workers)
```
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from mdus.contracts.binding import wire
from mdus.contracts.log import ProcessingResultCode, SeverityCode
from mdus.domain.exception_case import ExceptionCase, closed
from mdus.domain.meter_reading_collection import document_owner
from mdus.domain.meter_reading_document import (
    RESULT_REFUSED,
    RESULT_UNCONFIRMED,
    DocumentStatus,
    MeterReadingDocument,
)
from mdus.domain.value import Value, changed
from mdus.messaging.answer import Answer
from mdus.messaging.known import Known
from mdus.messaging.log_types import accepted_types
from mdus.messaging.outcome import Done, Outcome
from mdus.messaging.patterns import Due, RequestSent
from mdus.messaging.sent_item import SentItem
from mdus.settings import Settings
from mdus.storage.session import UnitOfWork

#: MeterReadingTypeCode: a value read, neither calculated nor estimated. Estimates bring theirs along.
_COLLECTED: Final = "01"


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """One result; date and time are local to the sender system, the scheduled date is the order's, unchanged."""

    document_id: str = wire("MeterReadingDocument/ID")
    reason_code: str = wire("MeterReadingDocument/MeterReadingReasonCode")
    scheduled_on: date = wire("MeterReadingDocument/ScheduledMeterReadingDate")
    measurement_task_id: str = wire("MeterReadingDocument/UtiltiesMeasurementTask/UtilitiesMeasurementTaskID")
    obis_text: str = wire("MeterReadingDocument/UtiltiesMeasurementTask/UtilitiesObjectIdentificationSystemCodeText")
    device_id: str = wire("MeterReadingDocument/UtiltiesMeasurementTask/UtiltiesDevice/UtilitiesDeviceID")
    point_of_delivery_id: str | None = wire(
        "MeterReadingDocument/UtiltiesMeasurementTask/UtilitiesPointOfDelivery/UtilitiesPointOfDeliveryPartyID"
    )
    read_on: date = wire("MeterReadingDocument/Result/ActualMeterReadingDate")
    read_time: time = wire("MeterReadingDocument/Result/ActualMeterReadingTime")
    type_code: str = wire("MeterReadingDocument/Result/MeterReadingTypeCode")
    value: Decimal = wire("MeterReadingDocument/Result/MeterReadingResultValue")


@dataclass(frozen=True, kw_only=True, slots=True)
class Confirmation(Answer):
    """SAP's answer to one result."""

    document_id: str | None = wire("MeterReadingDocument/ID")


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy(Value):
    """How often and how far apart a refused result is sent again, and which refusals count as success."""

    send_attempts: int = 3
    resend_interval: timedelta = timedelta(minutes=10)
    accepted_type_ids: tuple[str, ...] = ()

    @classmethod
    def of(cls, settings: Settings) -> Policy:
        """Return the policy that the section `reading` and config/log_types.toml say."""
        return cls(
            send_attempts=settings.reading.send_attempts,
            resend_interval=timedelta(minutes=settings.reading.resend_interval_minutes),
            accepted_type_ids=accepted_types(settings, service=SERVICE.name),
        )


def select(uow: UnitOfWork, *, now: datetime, limit: int) -> Sequence[Due]:
    """Claim documents with a value whose order SAP knows to be accepted."""
    return [_due(document) for document in uow.documents_due_for_result(limit)]


def _due(document: MeterReadingDocument) -> Due:
    attempt = document.result_attempts + 1
    sent = changed(document, status=DocumentStatus.RESULT_SENT, next_try_at=None, result_attempts=attempt)
    return Due(
        subject=document,
        sender_system=document.sender_system,
        key=document.document_id,
        attempt=attempt,
        reference_uuid=document.order_uuid,
        reference_id=document.order_id,
        bulk=document.bulk,
        changes=(sent,),
    )


def build(document: MeterReadingDocument) -> Content:
    """Return the result of a document that has its value."""
    if document.value is None or document.measured_at is None:
        raise ValueError(f"document {document.document_id} has no value")
    if document.is_estimated and document.type_code in (None, _COLLECTED):
        raise ValueError(f"document {document.document_id} has an estimate that does not say so")
    local = document.measured_at.astimezone(ZoneInfo(document.time_zone))
    return Content(
        document_id=document.document_id,
        reason_code=document.reason_code,
        scheduled_on=document.scheduled_on,
        measurement_task_id=document.measurement_task_id,
        obis_text=document.obis_text,
        device_id=document.device_id,
        point_of_delivery_id=document.point_of_delivery_id,
        read_on=local.date(),
        read_time=local.time().replace(microsecond=0),
        type_code=document.type_code or _COLLECTED,
        value=document.value,
    )


def load(confirmations: Sequence[Confirmation], uow: UnitOfWork) -> Known:
    """Fetch the documents SAP speaks of, or means by the message it answers, and their open cases."""
    nameless = {
        (one.origin.sender_system, one.origin.answers)
        for one in confirmations
        if one.document_id is None and one.origin.answers is not None
    }
    items = uow.sole_items(nameless)
    named = {(one.origin.sender_system, one.document_id) for one in confirmations if one.document_id is not None}
    keys = named | {(item.sender_system, item.about) for item in items}
    documents = uow.load(MeterReadingDocument, ("sender_system", "document_id"), keys)
    cases = {(kind, document_owner(one)) for one in documents for kind in (RESULT_REFUSED, RESULT_UNCONFIRMED)}
    return Known(
        [Policy.of(uow.settings)],
        items,
        documents,
        uow.load(ExceptionCase, ("kind", "case_key"), cases),
    )


def settle(confirmation: Confirmation, known: Known, *, now: datetime) -> Outcome:
    """Close the document, send its result again later, or call for a human.

    - Success closes it whatever was noted before, also late: after a refusal or after silence.
    - A refusal counts while the result is not settled: it is sent again, up to the setting; then a case is opened.
    - A cancelled document stays cancelled, a confirmed one confirmed, and one whose value SAP sent itself entered,
      whatever comes.
    - SAP may leave out the document of a message that holds one only. What names and answers no result of ours opens a
      case: there is nothing to tell SAP.
    """
    document = _document(confirmation, known)
    if document is None or document.result_attempts == 0:
        what = f"a meter reading result that was never sent: {confirmation.document_id or 'no document'}"
        return Done(changes=(confirmation.unmatched(what, now=now),))
    if document.status in (DocumentStatus.CONFIRMED, DocumentStatus.ENTERED, DocumentStatus.CANCELLED):
        return Done()
    policy = known.one(Policy) or Policy()
    if _is_success(confirmation, policy):
        confirmed = replace(document, status=DocumentStatus.CONFIRMED, next_try_at=None, note=None)
        cases = known.find(ExceptionCase, case_key=document_owner(document))
        return Done(changes=(confirmed, *closed(cases, now=now)))
    if document.status is not DocumentStatus.RESULT_SENT:
        return Done()  # an earlier attempt's refusal: the present one is still to be answered, or all are given up
    note = confirmation.reason
    if document.result_attempts < policy.send_attempts:
        return Done(changes=(replace(document, next_try_at=now + policy.resend_interval, note=note),))
    refused = f"SAP refused the reading of document {document.document_id}: {note}"
    return Done(
        changes=(
            replace(document, status=DocumentStatus.REJECTED, next_try_at=None, note=note),
            ExceptionCase(kind=RESULT_REFUSED, case_key=document_owner(document), opened_at=now, note=refused),
        )
    )


def _document(confirmation: Confirmation, known: Known) -> MeterReadingDocument | None:
    origin, name = confirmation.origin, confirmation.document_id
    if name is None:
        items = known.find(SentItem, sender_system=origin.sender_system, message_key=origin.answers)
        name = items[0].about if items else None
    return known.one(MeterReadingDocument, origin.sender_system, name)


def _is_success(confirmation: Confirmation, policy: Policy) -> bool:
    """Tell whether SAP took the result: any code but 5, or 5 for reasons that are all accepted by setting.

    Where the item's own log says nothing, the code of the whole message counts.
    """
    code = confirmation.result_code
    if code is None and confirmation.max_severity is None:
        code = confirmation.origin.overall_code
    if code is None:
        return confirmation.max_severity is None or confirmation.max_severity < SeverityCode.ERROR
    if code.lstrip("0") != ProcessingResultCode.FAILED:
        return True
    return confirmation.says_only(policy.accepted_type_ids)


SERVICE = RequestSent(
    request="MeterReadingDocumentERPResultCreateRequest",
    bulk_request="MeterReadingDocumentERPResultBulkCreateRequest",
    confirmation="MeterReadingDocumentERPResultCreateConfirmation",
    bulk_confirmation="MeterReadingDocumentERPResultBulkCreateConfirmation",
    content_shape=Content,
    select=select,
    build=build,
    shape=Confirmation,
    order_by="document_id",
    settled_by=lambda confirmation: confirmation.document_id,
    load=load,
    settle=settle,
)
