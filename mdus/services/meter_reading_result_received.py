"""SmartMeterMeterReadingDocumentERPResultCreateRequest: SAP hands over a reading that a person has made.

Answered by SmartMeterMeterReadingDocumentERPResultCreateConfirmation; SAP's contract has no bulk of it. Such readings
come with technical work: an installation (08, 21), a removal (12, 22).

```
SAP   --ResultCreateRequest-->        device or register not there yet: wait for it, 30 minutes at most
                                      the reading is kept as one made by a person
                                      an order with this document is closed: the meter is not read for it any more
SAP   <--ResultCreateConfirmation--   code 3, or 5 with the reason
```
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal

from mdus.contracts.binding import END_OF_DAY, wire
from mdus.contracts.log import Log
from mdus.domain.command import Command, called_back
from mdus.domain.end_device import EndDevice
from mdus.domain.exception_case import ExceptionCase, closed
from mdus.domain.local_time import day_start, instant, local_day
from mdus.domain.meter_reading_collection import READING_MISSING, READING_SUSPECT, document_owner
from mdus.domain.meter_reading_document import (
    RESULT_REFUSED,
    RESULT_UNCONFIRMED,
    DocumentStatus,
    MeterReadingDocument,
)
from mdus.domain.meter_reading_selection import ReadingPolicies, ReadingPolicy, reason_number
from mdus.domain.reading import MeterReading, ReadingOrigin
from mdus.domain.register import Register, register_arrival, register_on
from mdus.domain.value import Value
from mdus.messaging.addressed_device import awaited, check_system
from mdus.messaging.commanded_device import check_real
from mdus.messaging.known import Known
from mdus.messaging.outcome import BusinessError, Done, Outcome, Park, Received, Result
from mdus.messaging.patterns import Door, RequestConfirmation
from mdus.settings import Settings
from mdus.storage.session import UnitOfWork


@dataclass(frozen=True, kw_only=True, slots=True)
class Request(Received):
    """One reading; date and time are those it counts for, local to the sender.

    When somebody looked (ActualMeterReadingDate and Time) is for SAP's information and not read.
    """

    document_id: str = wire("MeterReadingDocument/ID")
    reason_code: str = wire("MeterReadingDocument/MeterReadingReasonCode")
    measurement_task_id: str = wire("MeterReadingDocument/UtilitiesMeasurementTask/UtilitiesMeasurementTaskID")
    device_id: str = wire("MeterReadingDocument/UtilitiesMeasurementTask/UtilitiesDevice/UtilitiesDeviceID")
    ams_id: str = wire(
        "MeterReadingDocument/UtilitiesMeasurementTask/UtilitiesDevice/SmartMeter/UtilitiesAdvancedMeteringSystemID"
    )
    read_on: date = wire("MeterReadingDocument/Result/MeterReadingDate")
    read_time: time = wire("MeterReadingDocument/Result/MeterReadingTime")
    type_code: str = wire("MeterReadingDocument/Result/MeterReadingTypeCode")
    value: Decimal = wire("MeterReadingDocument/Result/MeterReadingResultValue")

    @property
    def measured_at(self) -> datetime:
        """Return the instant the reading counts for; 24:00:00 is the midnight after the date."""
        if self.read_time == END_OF_DAY:
            return day_start(self.read_on + timedelta(days=1), zone=self.origin.zone)
        return instant(self.read_on, self.read_time, zone=self.origin.zone)


@dataclass(frozen=True, kw_only=True, slots=True)
class Confirmation:
    """What SAP reads: the document and whether its reading was taken."""

    document_id: str = wire("MeterReadingDocument/ID")
    log: Log = wire("Log")


class RegisterUnknown(BusinessError):
    """The device has no register with this logical register number."""

    type_id = "201(MDUS)"


class RegisterNotValid(BusinessError):
    """The register is not valid on the date of the reading."""

    type_id = "202(MDUS)"


class ReasonNotSupported(BusinessError):
    """Readings for this reason are not taken over; see the setting reading.manual_reasons."""

    type_id = "204(MDUS)"


class DocumentDiffers(BusinessError):
    """A document with this ID is known with other content."""

    type_id = "209(MDUS)"


class ReadingTooEarly(BusinessError):
    """The reading is older than the device."""

    type_id = "240(MDUS)"


class ReadingInFuture(BusinessError):
    """The date of the reading is still to come."""

    type_id = "241(MDUS)"


class ValueImpossible(BusinessError):
    """The register cannot show this value: too many digits or decimals, or below zero."""

    type_id = "242(MDUS)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy(Value):
    """Which reasons are taken over, and which type codes stand for values SAP has calculated (codes as numbers)."""

    reasons: frozenset[str] = frozenset({"8", "12", "21", "22"})
    calculated: frozenset[str] = frozenset({"2"})

    @classmethod
    def of(cls, settings: Settings) -> Policy:
        """Return the policy that the section `reading` says."""
        return cls(
            reasons=frozenset(map(reason_number, settings.reading.manual_reasons)),
            calculated=frozenset(map(reason_number, settings.reading.calculated_type_codes)),
        )


def load(requests: Sequence[Request], uow: UnitOfWork) -> Known:
    """Fetch the devices, registers and documents of a batch, what the documents still want, and the policies."""
    devices = {(request.origin.sender_system, request.device_id) for request in requests}
    keys = {(request.origin.sender_system, request.document_id) for request in requests}
    documents = uow.load(MeterReadingDocument, ("sender_system", "document_id"), keys)
    owners = [document_owner(document) for document in documents]
    kinds = (READING_MISSING, READING_SUSPECT, RESULT_REFUSED, RESULT_UNCONFIRMED)
    return Known(
        [Policy.of(uow.settings)],
        [ReadingPolicies.of(uow.settings)],
        uow.load(EndDevice, ("sender_system", "device_id"), devices, lock=False),
        uow.load(Register, ("sender_system", "device_id"), devices, lock=False),
        documents,
        uow.load_commands_of_documents(owners),
        uow.load(ExceptionCase, ("kind", "case_key"), {(kind, owner) for kind in kinds for owner in owners}),
    )


def decide(request: Request, known: Known, *, now: datetime) -> Outcome:
    """Keep the reading, or raise why not (SAP contract 3.5).

    - The same document again with the same reading changes nothing; one for another register or reason, or with
      another reading after SAP has sent one, is refused.
    - Only reasons of the setting `manual_reasons`. Not before the device's first day, not after today.
    - The register is the one valid on the date of the reading, at a removal also one that ended with the day before.
      While there is none it is waited for: registers and readings of one installation come in any order.
    - The value is one the register can show. It counts at its local date and time in the sender's zone; of a time that
      clocks show twice it is the first.
    - An order with this document ends here: what it still wants of the head end is taken back, its cases are closed, no
      result is sent (again). A result that is leaving already SAP will refuse.
    - Sent by a REST client it is what SAP waits for: SAP gets it as the result of its order.
    - A value that SAP has calculated does all this but is no reading of the meter.
    - Test data is no reading and ends no order.
    """
    origin = request.origin
    check_real(origin)
    stored = known.one(MeterReadingDocument, origin.sender_system, request.document_id)
    if stored is not None and _is_repeated(request, stored):
        return Done()
    device = known.one(EndDevice, origin.sender_system, request.device_id)
    if device is None:
        return awaited(origin, request.device_id)
    check_system(device, request.ams_id)
    policy = known.one(Policy) or Policy()
    if reason_number(request.reason_code) not in policy.reasons:
        raise ReasonNotSupported(f"Readings for the reason {request.reason_code} are not taken over")
    if request.read_on < device.valid_from:
        raise ReadingTooEarly(f"The device is valid from {device.valid_from} on")
    if request.read_on > local_day(now, zone=origin.zone):
        raise ReadingInFuture
    registers = known.find(
        Register,
        sender_system=origin.sender_system,
        device_id=request.device_id,
        measurement_task_id=request.measurement_task_id,
    )
    reasons = known.one(ReadingPolicies) or ReadingPolicies(by_reason={})
    is_removal = (reasons.for_reason(request.reason_code) or ReadingPolicy()).removal
    register = register_on(registers, request.read_on, removal=is_removal)
    if register is None:
        waits_for = register_arrival(origin.sender_system, request.device_id, request.measurement_task_id)
        absent = RegisterNotValid(f"The register is not valid on {request.read_on}") if registers else RegisterUnknown()
        return Park(waits_for=waits_for, until=origin.park_until, otherwise=absent)
    if not register.can_show(request.value):
        raise ValueImpossible
    reading = MeterReading(
        sender_system=origin.sender_system,
        device_id=request.device_id,
        reading_type=register.reading_type,
        measured_at=request.measured_at,
        value=request.value,
        unit=register.unit,
        origin=ReadingOrigin.MANUAL,
        received_at=now,
    )
    by_client = origin.client is not None
    if by_client and stored is not None and not stored.is_awaited:
        raise DocumentDiffers(f"The document waits for no reading any more: it is {stored.status.value}")
    changes: list[Value] = [(stored or _document(request, register)).entered(reading, by_client=by_client)]
    if reason_number(request.type_code) not in policy.calculated:
        changes.append(reading)
    if stored is not None:
        key = document_owner(stored)
        changes += called_back(known.find(Command, owner_key=key), reason="A person has made the reading", now=now)
        changes += closed(known.find(ExceptionCase, case_key=key), now=now)
    return Done(changes=tuple(changes))


def _is_repeated(request: Request, stored: MeterReadingDocument) -> bool:
    """Tell whether SAP has sent this very reading before. Raises DocumentDiffers when the document says otherwise."""
    is_same = stored.is_for(
        device_id=request.device_id,
        measurement_task_id=request.measurement_task_id,
        reason_code=request.reason_code,
    )
    is_entered = stored.status is DocumentStatus.ENTERED
    has_same_reading = (stored.value, stored.measured_at) == (request.value, request.measured_at)
    if not is_same or (is_entered and not has_same_reading):
        raise DocumentDiffers
    return is_entered


def _document(request: Request, register: Register) -> MeterReadingDocument:
    """Return the document of a reading that SAP has not ordered."""
    at, origin = request.measured_at, request.origin
    return MeterReadingDocument(
        sender_system=origin.sender_system,
        document_id=request.document_id,
        device_id=request.device_id,
        measurement_task_id=request.measurement_task_id,
        obis_text=register.obis_text or register.reading_type,
        reading_type=register.reading_type,
        reason_code=request.reason_code,
        scheduled_on=request.read_on,
        ams_id=request.ams_id,
        time_zone=origin.zone,
        due_at=at,
        window_from=at,
        window_until=at,
        order_item_id=origin.item_id,
        order_uuid=origin.uuid,
        order_id=origin.id,
        client=origin.client,
    )


def confirm(request: Request, result: Result) -> Confirmation:
    """Return the confirmation of one reading."""
    return Confirmation(document_id=request.document_id, log=result.log)


SERVICE = RequestConfirmation(
    request="SmartMeterMeterReadingDocumentERPResultCreateRequest",
    confirmation="SmartMeterMeterReadingDocumentERPResultCreateConfirmation",
    shape=Request,
    confirmation_shape=Confirmation,
    order_by="device_id",
    load=load,
    decide=decide,
    confirm=confirm,
    door=Door(path="manual-readings"),
)
