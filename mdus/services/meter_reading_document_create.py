"""SmartMeterMeterReadingDocumentERPCreateRequest: SAP orders one reading of one register.

Answered by SmartMeterMeterReadingDocumentERPCreateConfirmation as soon as the order is accepted. The reading follows
when it is due, in a message of its own (meter_reading_document_result); one that cannot be had, as a smart meter event.

```
SAP   --CreateRequest-->           device or register not there yet: wait for it, 30 minutes at most
SAP   <--CreateConfirmation--      code 3: the order is accepted, or 5 with the reason
                                   stored values: looked for when the scheduled day is over and collected
                                   on demand: the meter is asked today, or on the scheduled day
SAP   <--ResultCreateRequest--     the value
```
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Final

from mdus.contracts.binding import wire
from mdus.contracts.log import Log
from mdus.domain.capability import Capabilities, Capability
from mdus.domain.end_device import EndDevice
from mdus.domain.meter_reading_collection import read_command
from mdus.domain.meter_reading_document import DocumentStatus, MeterReadingDocument
from mdus.domain.meter_reading_selection import (
    OutOfReach,
    ReadingPolicies,
    ReadingPolicy,
    ReadingReason,
    reason_number,
)
from mdus.domain.meter_reading_timing import AskedTooLate, Timing, of_stored_values, on_demand
from mdus.domain.obis import printed
from mdus.domain.register import Register, register_arrival, register_on
from mdus.messaging.addressed_device import awaited, check_system
from mdus.messaging.commanded_device import NotCapable, check_real
from mdus.messaging.known import Known
from mdus.messaging.outcome import BusinessError, Done, Outcome, Park, Received, Result
from mdus.messaging.patterns import Door, RequestConfirmation
from mdus.settings import Section
from mdus.storage.session import UnitOfWork

#: The tables of config/ this service reads, with the shape of their rows.
TABLES: Final[Mapping[str, type[Section]]] = {"reading_reasons": ReadingReason}

#: UtilitiesAdvancedMeteringDataSourceTypeCode -> on demand?
_DATA_SOURCES: Final[Mapping[str, bool]] = {
    "0": False,  # stored values: periodic collection
    "1": True,  # the meter is asked
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Request(Received):
    """One reading order; `scheduled_on` is a local date of the sender system."""

    document_id: str = wire("MeterReadingDocument/ID")
    reason_code: str = wire("MeterReadingDocument/MeterReadingReasonCode")
    scheduled_on: date = wire("MeterReadingDocument/ScheduledMeterReadingDate")
    data_source_code: str | None = wire("MeterReadingDocument/UtilitiesAdvancedMeteringDataSourceTypeCode")
    measurement_task_id: str = wire("MeterReadingDocument/UtiltiesMeasurementTask/UtilitiesMeasurementTaskID")
    obis_text: str = wire("MeterReadingDocument/UtiltiesMeasurementTask/UtilitiesObjectIdentificationSystemCodeText")
    device_id: str = wire("MeterReadingDocument/UtiltiesMeasurementTask/UtiltiesDevice/UtilitiesDeviceID")
    ams_id: str = wire(
        "MeterReadingDocument/UtiltiesMeasurementTask/UtiltiesDevice/SmartMeter/UtilitiesAdvancedMeteringSystemID"
    )
    point_of_delivery_id: str | None = wire(
        "MeterReadingDocument/UtiltiesMeasurementTask/UtilitiesPointOfDelivery/UtilitiesPointOfDeliveryPartyID"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Confirmation:
    """What SAP reads: the order and whether it is accepted."""

    document_id: str = wire("MeterReadingDocument/ID")
    log: Log = wire("Log")


class RegisterUnknown(BusinessError):
    """The device has no register with this logical register number."""

    type_id = "201(MDUS)"


class RegisterNotValid(BusinessError):
    """The register is not valid on the scheduled date."""

    type_id = "202(MDUS)"


class CodeTextDiffers(BusinessError):
    """The register measures something else than the order asks for."""

    type_id = "203(MDUS)"


class ReasonNotSupported(BusinessError):
    """The meter reading reason is not in config/reading_reasons.toml."""

    type_id = "204(MDUS)"


class DataSourceNotSupported(BusinessError):
    """The data source type is neither 0 (stored values) nor 1 (on demand)."""

    type_id = "205(MDUS)"


class DateOutOfReach(BusinessError):
    """The scheduled date lies beyond the calendar."""

    type_id = "206(MDUS)"


class TooLateOnDemand(BusinessError):
    """A meter asked now cannot tell what it showed on a scheduled date so long ago."""

    type_id = "207(MDUS)"


class NotReadable(BusinessError):
    """No head end serves the device, so that it cannot be read."""

    type_id = "208(MDUS)"


class DocumentDiffers(BusinessError):
    """A document with this ID was ordered before with other content."""

    type_id = "209(MDUS)"


class DocumentCancelled(BusinessError):
    """A document with this ID was ordered before and cancelled."""

    type_id = "210(MDUS)"


class NotInService(BusinessError):
    """The device is not in service on the scheduled date."""

    type_id = "211(MDUS)"


class DocumentFailed(BusinessError):
    """A document with this ID was ordered before and failed."""

    type_id = "212(MDUS)"


def load(requests: Sequence[Request], uow: UnitOfWork) -> Known:
    """Fetch the devices, registers and documents of a batch, the policies, and what devices can do."""
    devices = {(request.origin.sender_system, request.device_id) for request in requests}
    documents = {(request.origin.sender_system, request.document_id) for request in requests}
    return Known(
        [ReadingPolicies.of(uow.settings), Capabilities.of(uow.settings)],
        uow.load(EndDevice, ("sender_system", "device_id"), devices, lock=False),
        uow.load(Register, ("sender_system", "device_id"), devices, lock=False),
        uow.load(MeterReadingDocument, ("sender_system", "document_id"), documents),
    )


def decide(request: Request, known: Known, *, now: datetime) -> Outcome:
    """Accept the order, or raise why not (SAP contract 3.5).

    - The same document again with the same content is accepted again without effect, also when a person has made its
      reading and SAP has sent that; with other content refused. Codes are the same however many leading zeros and
      groups they are written with.
    - The same document again after it failed is refused with the reason: nothing would look for its value any more. A
      result that SAP refused for good, or never answered, is sent once more.
    - Device or register not there yet: wait for it. Both must be valid on the scheduled date (at a removal: or have
      ended with the day before), and the register measure what the order says.
    - On demand or not is decided by the data source type, and only without one by the policy of the reason. Unknown
      codes are refused, and so is what the device cannot do.
    - Stored values: the window of the policy around the scheduled day of the sender's zone; first looked for when its
      best value may be there and has been collected.
    - On demand: now for today and for past dates within the policy's window, else when the scheduled day begins.
    - Test data orders nothing: its result would be a value like any other.
    """
    origin = request.origin
    check_real(origin)
    stored = known.one(MeterReadingDocument, origin.sender_system, request.document_id)
    if stored is not None:
        return _repeated(request, stored)
    device = known.one(EndDevice, origin.sender_system, request.device_id)
    if device is None:
        return awaited(origin, request.device_id)
    check_system(device, request.ams_id)
    registers = known.find(
        Register,
        sender_system=origin.sender_system,
        device_id=request.device_id,
        measurement_task_id=request.measurement_task_id,
    )
    if not registers:
        waits_for = register_arrival(origin.sender_system, request.device_id, request.measurement_task_id)
        return Park(waits_for=waits_for, until=origin.park_until, otherwise=RegisterUnknown())
    policies = known.one(ReadingPolicies) or ReadingPolicies(by_reason={})
    policy = policies.for_reason(request.reason_code)
    at_removal = policy is not None and policy.removal
    register = register_on(registers, request.scheduled_on, removal=at_removal)
    if register is None:
        raise RegisterNotValid(f"The register is not valid on {request.scheduled_on}")
    if not device.serves_on(request.scheduled_on, removal=at_removal):
        raise NotInService(f"The device is not in service on {request.scheduled_on}")
    if not register.measures(request.obis_text):
        raise CodeTextDiffers(f"The register measures {register.obis_text or register.reading_type}")
    if device.head_end is None:
        raise NotReadable
    if policy is None:
        raise ReasonNotSupported(f"The meter reading reason {request.reason_code} is not supported")
    is_on_demand = _is_on_demand(request, policy)
    _check_ability(device, known, is_on_demand=is_on_demand)
    timing = _timing(request, is_on_demand=is_on_demand, policy=policy, policies=policies, now=now)
    document = _document(request, register, timing, is_on_demand=is_on_demand)
    if not is_on_demand:
        return Done(changes=(document,))
    lasts = policies.on_demand_timeout
    command = read_command(document, device, attempt=1, not_before=document.due_at, lasts=lasts)
    if command is None:
        raise NotReadable
    return Done(changes=(document, command))


def _repeated(request: Request, stored: MeterReadingDocument) -> Done:
    origin = request.origin
    is_same = stored.ams_id == request.ams_id and stored.is_for(
        device_id=request.device_id,
        measurement_task_id=request.measurement_task_id,
        reason_code=request.reason_code,
    )
    # A reading that a person made does not say what else its order, overtaken by it, asks for.
    is_entered = stored.status is DocumentStatus.ENTERED
    if not is_same or not (is_entered or _is_ordered_alike(request, stored)):
        raise DocumentDiffers
    if stored.status is DocumentStatus.CANCELLED:
        raise DocumentCancelled
    if stored.status is DocumentStatus.FAILED:
        raise DocumentFailed(f"The document was ordered before and failed: {stored.note}")
    if not stored.is_given_up or origin.client is not None:
        return Done()
    # As the result of this order: it must not overtake the answer to it.
    again = replace(
        stored,
        status=DocumentStatus.READ,
        next_try_at=None,
        note=None,
        order_item_id=origin.item_id,
        order_uuid=origin.uuid,
        order_id=origin.id,
        bulk=origin.bulk,
    )
    return Done(changes=(again,))


def _is_ordered_alike(request: Request, stored: MeterReadingDocument) -> bool:
    return (
        printed(stored.obis_text) == printed(request.obis_text)
        and stored.scheduled_on == request.scheduled_on
        and stored.data_source_code == request.data_source_code
        and stored.point_of_delivery_id == request.point_of_delivery_id
    )


def _is_on_demand(request: Request, policy: ReadingPolicy) -> bool:
    if request.data_source_code is None:
        return policy.on_demand
    code = reason_number(request.data_source_code)
    if code not in _DATA_SOURCES:
        raise DataSourceNotSupported(f"The data source type {request.data_source_code} is not supported")
    return _DATA_SOURCES[code]


def _check_ability(device: EndDevice, known: Known, *, is_on_demand: bool) -> None:
    matrix = known.one(Capabilities) or Capabilities()
    lack = matrix.lack(device, Capability.ON_DEMAND_READING if is_on_demand else Capability.REMOTE_READING)
    if lack is not None:
        raise NotCapable(lack)


def _timing(
    request: Request, *, is_on_demand: bool, policy: ReadingPolicy, policies: ReadingPolicies, now: datetime
) -> Timing:
    of_kind = on_demand if is_on_demand else of_stored_values
    try:
        return of_kind(request.scheduled_on, zone=request.origin.zone, policy=policy, policies=policies, now=now)
    except OutOfReach as error:
        raise DateOutOfReach from error
    except AskedTooLate as error:
        raise TooLateOnDemand from error


def _document(request: Request, register: Register, timing: Timing, *, is_on_demand: bool) -> MeterReadingDocument:
    origin = request.origin
    return MeterReadingDocument(
        sender_system=origin.sender_system,
        document_id=request.document_id,
        device_id=request.device_id,
        measurement_task_id=request.measurement_task_id,
        obis_text=request.obis_text,
        reading_type=register.reading_type,
        reason_code=request.reason_code,
        scheduled_on=request.scheduled_on,
        data_source_code=request.data_source_code,
        ams_id=request.ams_id,
        point_of_delivery_id=request.point_of_delivery_id,
        on_demand=is_on_demand,
        time_zone=origin.zone,
        due_at=timing.window.target_at,
        window_from=timing.window.starts_at,
        window_until=timing.window.ends_at,
        next_try_at=timing.next_try_at,
        attempts=1 if is_on_demand else 0,
        order_item_id=origin.item_id,
        order_uuid=origin.uuid,
        order_id=origin.id,
        bulk=origin.bulk,
        client=origin.client,
    )


def confirm(request: Request, result: Result) -> Confirmation:
    """Return the confirmation of one order."""
    return Confirmation(document_id=request.document_id, log=result.log)


SERVICE = RequestConfirmation(
    request="SmartMeterMeterReadingDocumentERPCreateRequest",
    bulk_request="SmartMeterMeterReadingDocumentERPBulkCreateRequest",
    confirmation="SmartMeterMeterReadingDocumentERPCreateConfirmation",
    bulk_confirmation="SmartMeterMeterReadingDocumentERPBulkCreateConfirmation",
    shape=Request,
    confirmation_shape=Confirmation,
    order_by="device_id",
    load=load,
    decide=decide,
    confirm=confirm,
    door=Door(path="reading-orders", made="document_id"),
)
