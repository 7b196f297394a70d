"""SmartMeterMeterReadingDocumentERPCancellationRequest: SAP takes a reading order back.

Answered by SmartMeterMeterReadingDocumentERPCancellationConfirmation. An order can be taken back until SAP has
confirmed its result.

```
SAP   --CancellationRequest-->        the order is not there yet: wait for it, 30 minutes at most
                                      SAP has sent the reading itself: it counts no more
                                      no result yet: cancelled, none will be sent
                                      a result is just leaving: it cannot be called back, so wait until it has arrived
                                      a result arrived, SAP has not confirmed it: cancelled, whatever SAP answers to it
                                      confirmed: too late
SAP   <--CancellationConfirmation--   3, or 5 with the reason; never before SAP has the answer to the order itself
```
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import ClassVar, Final

from mdus.contracts.binding import wire
from mdus.contracts.log import Log
from mdus.domain.command import Command, called_back
from mdus.domain.exception_case import ExceptionCase, closed
from mdus.domain.meter_reading_collection import READING_MISSING, READING_SUSPECT, document_owner
from mdus.domain.meter_reading_document import (
    RESULT_REFUSED,
    RESULT_UNCONFIRMED,
    DocumentStatus,
    MeterReadingDocument,
    document_arrival,
)
from mdus.domain.reading import MeterReading, ReadingOrigin
from mdus.domain.value import Remove, Value
from mdus.messaging.commanded_device import check_real
from mdus.messaging.known import Known
from mdus.messaging.outcome import Await, BusinessError, Change, Done, Outcome, Park, Received, Result
from mdus.messaging.patterns import Door, RequestConfirmation
from mdus.storage.session import UnitOfWork

#: How long a cancellation waits before it asks again whether what is leaving has arrived.
_PAUSE: Final = timedelta(seconds=30)


@dataclass(frozen=True, kw_only=True, slots=True)
class Request(Received):
    """The order to take back."""

    document_id: str = wire("MeterReadingDocument/ID")
    ams_id: str = wire("MeterReadingDocument/UtilitiesDeviceSmartMeter/UtilitiesAdvancedMeteringSystemID")


@dataclass(frozen=True, kw_only=True, slots=True)
class Confirmation:
    """What SAP reads: the order and whether it was taken back."""

    document_id: str = wire("MeterReadingDocument/ID")
    log: Log = wire("Log")


@dataclass(frozen=True, kw_only=True, slots=True)
class LeavingResult(Value):
    """A result stored for sending that has not arrived at SAP yet."""

    KEY: ClassVar[tuple[str, ...]] = ("sender_system", "document_id")

    sender_system: str
    document_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LeavingAnswer(Value):
    """The answer to an order that has not arrived at SAP yet."""

    KEY: ClassVar[tuple[str, ...]] = ("sender_system", "document_id")

    sender_system: str
    document_id: str


class DocumentUnknown(BusinessError):
    """No reading order with this ID has come."""

    type_id = "230(MDUS)"


class SystemDiffers(BusinessError):
    """The order is for another advanced metering system."""

    type_id = "111(MDUS)"


class AlreadyProcessed(BusinessError):
    """The order is processed: who gave it has its value."""

    type_id = "231(MDUS)"


class ResultLeaving(BusinessError):
    """The result of the order is being sent and cannot be called back."""

    type_id = "232(MDUS)"


def load(requests: Sequence[Request], uow: UnitOfWork) -> Known:
    """Fetch the orders, the readings SAP sent, commands, open cases, and which results and answers are just leaving."""
    keys = {(request.origin.sender_system, request.document_id) for request in requests}
    documents = uow.load(MeterReadingDocument, ("sender_system", "document_id"), keys)
    owners = [document_owner(document) for document in documents]
    sent = [document for document in documents if document.status is DocumentStatus.RESULT_SENT]
    entered = [document for document in documents if document.status is DocumentStatus.ENTERED]
    instants = {(one.sender_system, one.device_id, one.measured_at) for one in entered}
    kinds = (READING_MISSING, READING_SUSPECT, RESULT_REFUSED, RESULT_UNCONFIRMED)
    return Known(
        documents,
        uow.load(MeterReading, ("sender_system", "device_id", "measured_at"), instants, lock=False),
        uow.load_commands_of_documents(owners),
        uow.load(ExceptionCase, ("kind", "case_key"), {(kind, owner) for kind in kinds for owner in owners}),
        [
            LeavingResult(sender_system=document.sender_system, document_id=document.document_id)
            for document in uow.documents_leaving(sent)
        ],
        [
            LeavingAnswer(sender_system=document.sender_system, document_id=document.document_id)
            for document in uow.documents_unanswered(documents)
        ],
    )


def decide(request: Request, known: Known, *, now: datetime) -> Outcome:
    """Cancel the order, or raise why not (SAP contract 3.5).

    - Cancelled again: the same answer. Not there yet: wait for it.
    - Open, read, failed, refused by SAP, or sent and not confirmed: cancelled, with what it still wanted of the head
      end and with its open cases. While its result is leaving, the answer waits: else SAP would read that the order is
      cancelled, and then its result.
    - A reading a person has made, that SAP sent itself, no longer counts; what the field told of that instant stays.
    - Cancelled before SAP has the answer to the order: that answer goes first, however long SAP cannot be reached, else
      SAP would read that the order is cancelled, and then that it is accepted.
    - Confirmed by SAP, or there for the REST client that gave the order: too late.
    - Test data takes nothing back, as it orders nothing.
    """
    origin = request.origin
    check_real(origin)
    document = known.one(MeterReadingDocument, origin.sender_system, request.document_id)
    if document is None:
        waits_for = document_arrival(origin.sender_system, request.document_id)
        return Park(waits_for=waits_for, until=origin.park_until, otherwise=DocumentUnknown())
    if document.ams_id is not None and document.ams_id != request.ams_id:
        raise SystemDiffers(f"The order is for the advanced metering system {document.ams_id}")
    if document.status is DocumentStatus.CANCELLED:
        return _after_answer(document, known, changes=(), now=now)
    if document.status in (DocumentStatus.CONFIRMED, DocumentStatus.AVAILABLE):
        raise AlreadyProcessed
    if known.one(LeavingResult, *document.key) is not None:
        if now >= origin.park_until:
            raise ResultLeaving
        return Await(commands=(), until=min(now + _PAUSE, origin.park_until))
    commands = known.find(Command, owner_key=document_owner(document))
    cases = known.find(ExceptionCase, case_key=document_owner(document))
    reading = known.one(MeterReading, *document.reading_key)
    is_entered = reading is not None and reading.origin is ReadingOrigin.MANUAL
    changes: tuple[Change, ...] = (
        replace(document, status=DocumentStatus.CANCELLED, next_try_at=None),
        *((Remove(MeterReading, document.reading_key),) if is_entered else ()),
        *called_back(commands, reason="The reading order was cancelled", now=now),
        *closed(cases, now=now),
    )
    return _after_answer(document, known, changes=changes, now=now)


def _after_answer(
    document: MeterReadingDocument, known: Known, *, changes: tuple[Change, ...], now: datetime
) -> Outcome:
    """Return that the order is cancelled: at once, though SAP is told only after the answer to its order."""
    if known.one(LeavingAnswer, *document.key) is not None:
        return Await(commands=(), until=now + _PAUSE, changes=changes)
    return Done(changes=changes)


def confirm(request: Request, result: Result) -> Confirmation:
    """Return the confirmation of one cancellation."""
    return Confirmation(document_id=request.document_id, log=result.log)


SERVICE = RequestConfirmation(
    request="SmartMeterMeterReadingDocumentERPCancellationRequest",
    bulk_request="SmartMeterMeterReadingDocumentERPBulkCancellationRequest",
    confirmation="SmartMeterMeterReadingDocumentERPCancellationConfirmation",
    bulk_confirmation="SmartMeterMeterReadingDocumentERPBulkCancellationConfirmation",
    shape=Request,
    confirmation_shape=Confirmation,
    order_by="document_id",
    load=load,
    decide=decide,
    confirm=confirm,
    door=Door(path="reading-order-cancellations"),
)
