"""UtilitiesDeviceERPSmartMeterRegisterCreateRequest: SAP tells the registers of a smart meter.

Answered by UtilitiesDeviceERPSmartMeterRegisterCreateConfirmation, one per device. Each register comes with its logical
register number (UtilitiesMeasurementTaskID) and a span of validity.

```
SAP   --RegisterCreateRequest-->        device not there yet, or a number still in use on another device: wait for
                                        that, 30 minutes at most
                                        all registers are stored, or none
MDUS  --provision--> head end           so that it collects them; it hears the meter: device_registered
SAP   <--RegisterCreateConfirmation--   code 3, or 5 with a line per register at fault
```
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from mdus.contracts.binding import wire, wire_end
from mdus.contracts.log import Log
from mdus.domain.end_device import EndDevice
from mdus.domain.register import Register, holder_elsewhere, taken
from mdus.domain.register_policy import ReadingTypeRow, RegisterFault, RegisterPolicy, described
from mdus.messaging.addressed_device import awaited, check_system
from mdus.messaging.known import Known
from mdus.messaging.outcome import BusinessError, Change, Done, Outcome, Park, Problem, Received, Result
from mdus.messaging.patterns import Door, RequestConfirmation
from mdus.messaging.provisioned_device import provisioning
from mdus.settings import Section
from mdus.storage.session import UnitOfWork


@dataclass(frozen=True, kw_only=True, slots=True)
class SentRegister:
    """One register as SAP sends it, in the words of `Register`; the dates are local, the end exclusive."""

    measurement_task_id: str = wire("UtilitiesMeasurementTaskID")
    valid_from: date = wire("StartDate")
    valid_to: date | None = wire_end("EndDate")
    obis_text: str | None = wire("UtilitiesObjectIdentificationSystemCodeText")
    task_category_code: str | None = wire("UtiltiesMeasurementTaskCategoryCode")
    division: str | None = wire("UtilitiesDivisionCategoryCode")
    recurrence_code: str | None = wire("UtilitiesMeasurementRecurrenceCode")
    time_zone_code: str | None = wire("TimeZoneCode")
    time_of_use_code: str | None = wire("Specifications/UtilitiesTimeOfUseCode")
    unit: str = wire("Specifications/MeasureUnitCode")
    total_digits: int | None = wire("Specifications/DecimalValuePrecision/TotalDigitNumberValue")
    fraction_digits: int = wire("Specifications/DecimalValuePrecision/FractionDigitNumberValue", default=0)
    factor: Decimal | None = wire("Specifications/MeterReadingResultAdjustmentFactorValue")
    validation_profile_code: str | None = wire("Specifications/UtilitiesMeasurementTaskValidationProfileCode")


@dataclass(frozen=True, kw_only=True, slots=True)
class Request(Received):
    """The registers of one device. SAP's register groups say nothing that is used."""

    device_id: str = wire("UtilitiesDevice/ID")
    registers: tuple[SentRegister, ...] = wire("UtilitiesDevice/Register")
    ams_id: str = wire("UtilitiesDevice/SmartMeter/UtilitiesAdvancedMeteringSystemID")


@dataclass(frozen=True, kw_only=True, slots=True)
class Confirmation:
    """What SAP reads: the device and how it went; registers are named in the notes only."""

    device_id: str = wire("UtilitiesDevice/ID")
    log: Log = wire("Log")


class RegisterDiffers(BusinessError):
    """It is known from the same date with other content; changes come as a register change."""

    type_id = "118(MDUS)"


class RegisterOverlaps(BusinessError):
    """Its number or what it measures is taken in this span."""

    type_id = "119(MDUS)"


#: The tables of config/ that this service reads, with the shape of their rows.
TABLES: Final[Mapping[str, type[Section]]] = {"reading_types": ReadingTypeRow}


def load(requests: Sequence[Request], uow: UnitOfWork) -> Known:
    """Fetch the devices, their registers and provisionings, registers with the same numbers, and the policy."""
    devices = {(request.origin.sender_system, request.device_id) for request in requests}
    tasks = {(r.origin.sender_system, sent.measurement_task_id) for r in requests for sent in r.registers}
    return Known(
        [RegisterPolicy.of(uow.settings)],
        uow.load(EndDevice, ("sender_system", "device_id"), devices),
        uow.load(Register, ("sender_system", "device_id"), devices),
        uow.load(Register, ("sender_system", "measurement_task_id"), tasks),
        uow.load_provisionings(devices),
    )


def decide(request: Request, known: Known, *, now: datetime) -> Outcome:
    """Store all registers of the device, or none and say why not (SAP contract 3.2).

    - The device is not known: wait for it, then fail. Another metering system than the device's: refused.
    - A register known with the same content is done already; with other content from the same date it is refused.
    - What a register may be, and which channel it measures: see `RegisterPolicy`. Spans are half-open; two that only
      touch do not overlap.
    - In an overlapping span a logical register number belongs to one register of one device, and what a register
      measures (reading type and interval length) to one logical register number.
    - A number that another device has in the span is waited for: at a replacement the change that ends it there may
      come later.
    """
    policy = known.one(RegisterPolicy) or RegisterPolicy()
    origin = request.origin
    sender = origin.sender_system
    device = known.one(EndDevice, sender, request.device_id)
    if device is None:
        return awaited(origin, request.device_id)
    check_system(device, request.ams_id)

    present = list(known.find(Register, sender_system=sender, device_id=request.device_id))
    fresh: list[Register] = []
    problems: list[Problem] = []
    held: dict[str, RegisterOverlaps] = {}  # by the name under which the register that has the number is announced
    for sent in request.registers:
        try:
            register = policy.placed(described(device, sent), device=device)
            if register in present:
                continue
            _check_room(register, present)
        except (BusinessError, RegisterFault) as error:
            problems.append(_problem(error, sent))
            continue
        present.append(register)
        fresh.append(register)
        numbered = known.find(Register, sender_system=sender, measurement_task_id=sent.measurement_task_id)
        holder = holder_elsewhere(register, numbered)
        if holder is not None:
            note = f"[{sent.measurement_task_id}] Its number is in use on device {holder.device_id}"
            held[holder.wakes[0]] = RegisterOverlaps(f"{note} from {holder.valid_from}")
    if held and not problems and now < origin.park_until:
        waits_for, otherwise = next(iter(held.items()))
        return Park(waits_for=waits_for, until=origin.park_until, otherwise=otherwise)
    problems += [overlap.problem for overlap in held.values()]
    if problems:
        return Done(result=Result(problems=tuple(problems)))
    changes: list[Change] = [*fresh]
    if fresh:
        changes += provisioning(device, present, known, origin=origin, now=now)
    return Done(changes=tuple(changes))


def _check_room(register: Register, present: Sequence[Register]) -> None:
    if any(other.key == register.key for other in present):
        raise RegisterDiffers
    note = taken(register, present)
    if note is not None:
        raise RegisterOverlaps(note)


def _problem(error: BusinessError | RegisterFault, sent: SentRegister) -> Problem:
    return Problem(type_id=error.type_id, note=f"[{sent.measurement_task_id}] {error}")


def confirm(request: Request, result: Result) -> Confirmation:
    """Return the confirmation of one device."""
    return Confirmation(device_id=request.device_id, log=result.log)


SERVICE = RequestConfirmation(
    request="UtilitiesDeviceERPSmartMeterRegisterCreateRequest",
    bulk_request="UtilitiesDeviceERPSmartMeterRegisterBulkCreateRequest",
    confirmation="UtilitiesDeviceERPSmartMeterRegisterCreateConfirmation",
    bulk_confirmation="UtilitiesDeviceERPSmartMeterRegisterBulkCreateConfirmation",
    shape=Request,
    confirmation_shape=Confirmation,
    order_by="device_id",
    load=load,
    decide=decide,
    confirm=confirm,
    door=Door(path="registers"),
)
