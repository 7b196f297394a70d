"""UtilitiesDeviceERPSmartMeterRegisterCreateRequest: SAP tells the registers of a smart meter.

Answered by UtilitiesDeviceERPSmartMeterRegisterCreateConfirmation, one per device. Each register comes with its logical
register number (UtilitiesMeasurementTaskID) and a span of validity.

```
SAP   --RegisterCreateRequest-->        device not there yet: wait for it, 30 minutes at most
                                        all registers are stored, or none
MDUS  --provision--> head end           so that it collects them; it hears the meter: device_registered
SAP   <--RegisterCreateConfirmation--   code 3, or 5 with a line per register at fault
```
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated

from pydantic import Field, model_validator

from mdus.contracts.binding import wire, wire_end
from mdus.contracts.log import Log
from mdus.domain.end_device import EndDevice, device_arrival
from mdus.domain.obis import Obis
from mdus.domain.provisioning import provision
from mdus.domain.register import Register
from mdus.domain.value import Value
from mdus.messaging.known import Known
from mdus.messaging.outcome import BusinessError, Change, Done, Outcome, Park, Problem, Received, Result
from mdus.messaging.patterns import RequestConfirmation
from mdus.settings import Section, Settings
from mdus.storage.session import UnitOfWork


@dataclass(frozen=True, kw_only=True, slots=True)
class SentRegister:
    """One register as SAP sends it; the dates are local, the end exclusive."""

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
    fraction_digits: int | None = wire("Specifications/DecimalValuePrecision/FractionDigitNumberValue")
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


class DatesReversed(BusinessError):
    """The validity ends before it starts."""

    type_id = "106(MDUS)"


class DeviceUnknown(BusinessError):
    """The device is not known: no create request for it has come."""

    type_id = "110(MDUS)"


class SystemDiffers(BusinessError):
    """The device belongs to another advanced metering system."""

    type_id = "111(MDUS)"


class RegisterOutsideDevice(BusinessError):
    """It starts when the device is not valid."""

    type_id = "112(MDUS)"


class ReadingTypeUnknown(BusinessError):
    """Neither its code text nor its division says what it measures."""

    type_id = "113(MDUS)"


class ReadingTypeAmbiguous(BusinessError):
    """Several rows of config/reading_types.toml say what it measures."""

    type_id = "114(MDUS)"


class PrecisionImpossible(BusinessError):
    """It has no digit, or more decimals than digits."""

    type_id = "115(MDUS)"


class FactorImpossible(BusinessError):
    """Its factor is not above zero."""

    type_id = "116(MDUS)"


class TimeZoneUnknown(BusinessError):
    """Its time zone code is not in config/time_zones.toml."""

    type_id = "117(MDUS)"


class RegisterDiffers(BusinessError):
    """It is known from the same date with other content; changes come as a register change."""

    type_id = "118(MDUS)"


class RegisterOverlaps(BusinessError):
    """Its number or what it measures is taken in this span."""

    type_id = "119(MDUS)"


class ReadingTypeRow(Section):
    """A row of config/reading_types.toml: what registers measure that give no OBIS code."""

    name: str
    reading_type: Annotated[str, Field(min_length=1)]
    text: str | None = None
    division: str | None = None
    unit: str | None = None
    time_of_use: str | None = None
    head_end: str | None = None

    @model_validator(mode="after")
    def _states_enough(self) -> ReadingTypeRow:
        if self.text is None and self.division is None:
            raise ValueError("a row states a text or a division")
        return self

    def weight(self, register: SentRegister, *, head_end: str | None) -> int:
        """Return how many things the row states that are so, 0 when one is not."""
        pairs = (
            (self.text, register.obis_text),
            (_code(self.division), _code(register.division)),
            (self.unit, register.unit),
            (_code(self.time_of_use), _code(register.time_of_use_code)),
            (self.head_end, head_end),
        )
        stated = [said == present for said, present in pairs if said is not None]
        # A text that is there has to be known: guessing by division would bill the wrong quantity.
        return len(stated) if all(stated) and (register.obis_text is None) == (self.text is None) else 0


#: The tables of config/ that this service owns.
TABLES = {"reading_types": ReadingTypeRow}


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy(Value):
    """What the settings say of registers."""

    reading_types: tuple[ReadingTypeRow, ...]
    time_zone_codes: frozenset[str]

    @classmethod
    def of(cls, settings: Settings) -> Policy:
        """Return the policy that config/reading_types.toml and config/time_zones.toml say."""
        return cls(
            reading_types=settings.rows("reading_types", ReadingTypeRow),
            time_zone_codes=frozenset(settings.time_zones),
        )

    def reading_type(self, register: SentRegister, *, head_end: str | None) -> str:
        """Return the channel of a register: by its text (a row, else an OBIS code), without text by its division."""
        weighed = [(row.weight(register, head_end=head_end), row.reading_type) for row in self.reading_types]
        most = max((weight for weight, _ in weighed), default=0)
        found = {reading_type for weight, reading_type in weighed if weight == most and weight > 0}
        if len(found) > 1:
            raise ReadingTypeAmbiguous
        if found:
            return found.pop()
        try:
            return str(Obis.parse(register.obis_text or ""))
        except ValueError:
            raise ReadingTypeUnknown from None


def load(requests: Sequence[Request], uow: UnitOfWork) -> Known:
    """Fetch the devices of a batch, their registers, those with the same logical register numbers, and the policy."""
    devices = {(request.origin.sender_system, request.device_id) for request in requests}
    tasks = {(r.origin.sender_system, sent.measurement_task_id) for r in requests for sent in r.registers}
    return Known(
        [Policy.of(uow.settings)],
        uow.load(EndDevice, ("sender_system", "device_id"), devices),
        uow.load(Register, ("sender_system", "device_id"), devices),
        uow.load(Register, ("sender_system", "measurement_task_id"), tasks),
    )


def decide(request: Request, known: Known, *, now: datetime) -> Outcome:
    """Store all registers of the device, or none and say why not (SAP contract 3.2).

    - The device is not known: wait for it, then fail. Another metering system than the device's: refused.
    - A register known with the same content is done already; with other content from the same date it is refused.
    - Spans are half-open, hold at least a day and start while the device is valid. Two that only touch do not overlap.
    - In an overlapping span a logical register number belongs to one register of one device, and what a register
      measures (reading type and interval length) to one logical register number.
    - What it measures: see `Policy.reading_type`. Time zone codes are known, decimals fit, a factor is above zero; SAP
      applies the factor, results carry the value as shown.
    """
    policy = known.one(Policy) or Policy(reading_types=(), time_zone_codes=frozenset())
    sender = request.origin.sender_system
    device = known.one(EndDevice, sender, request.device_id)
    if device is None:
        arrival = device_arrival(sender, request.device_id)
        return Park(waits_for=arrival, until=request.origin.park_until, otherwise=DeviceUnknown())
    if device.ams_id not in (None, request.ams_id):
        raise SystemDiffers(f"The device belongs to the advanced metering system {device.ams_id}")

    present = list(known.find(Register, sender_system=sender, device_id=request.device_id))
    fresh: list[Register] = []
    problems: list[Problem] = []
    for sent in request.registers:
        try:
            register = _register(sent, device=device, policy=policy)
            if register in present:
                continue
            elsewhere = known.find(Register, sender_system=sender, measurement_task_id=sent.measurement_task_id)
            _check_room(register, present=present, elsewhere=elsewhere)
        except BusinessError as error:
            problems.append(Problem(type_id=error.type_id, note=f"[{sent.measurement_task_id}] {error}"))
        else:
            present.append(register)
            fresh.append(register)
    if problems:
        return Done(result=Result(problems=tuple(problems)))
    changes: list[Change] = [*fresh]
    command = provision(device, present, test_data=request.origin.test_data, now=now) if fresh else None
    if command is not None:
        changes.append(command)
    return Done(changes=tuple(changes))


def _register(sent: SentRegister, *, device: EndDevice, policy: Policy) -> Register:
    if sent.valid_to is not None and sent.valid_to <= sent.valid_from:
        raise DatesReversed
    if not device.is_valid_on(sent.valid_from):
        raise RegisterOutsideDevice
    if sent.total_digits is not None and not max(1, sent.fraction_digits or 0) <= sent.total_digits:
        raise PrecisionImpossible
    if sent.factor is not None and sent.factor <= 0:
        raise FactorImpossible
    if sent.time_zone_code is not None and sent.time_zone_code not in policy.time_zone_codes:
        raise TimeZoneUnknown(f"Its time zone code {sent.time_zone_code} is not in config/time_zones.toml")
    return Register(
        sender_system=device.sender_system,
        device_id=device.device_id,
        measurement_task_id=sent.measurement_task_id,
        valid_from=sent.valid_from,
        valid_to=sent.valid_to,
        reading_type=policy.reading_type(sent, head_end=device.head_end),
        obis_text=sent.obis_text,
        division=sent.division,
        unit=sent.unit,
        total_digits=sent.total_digits,
        fraction_digits=sent.fraction_digits or 0,
        factor=sent.factor,
        time_of_use_code=sent.time_of_use_code,
        recurrence_code=sent.recurrence_code,
        time_zone_code=sent.time_zone_code,
        task_category_code=sent.task_category_code,
        validation_profile_code=sent.validation_profile_code,
    )


def _check_room(register: Register, *, present: Iterable[Register], elsewhere: Iterable[Register]) -> None:
    for other in present:
        if other.key == register.key:
            raise RegisterDiffers
        if not register.overlaps(other):
            continue
        if other.measurement_task_id == register.measurement_task_id:
            raise RegisterOverlaps(f"Its number is in use on this device from {other.valid_from}")
        if _channel(other) == _channel(register):
            note = f"{register.reading_type} is register {other.measurement_task_id} from {other.valid_from}"
            raise RegisterOverlaps(note)
    for other in elsewhere:
        if other.device_id != register.device_id and register.overlaps(other):
            raise RegisterOverlaps(f"Its number is in use on device {other.device_id} from {other.valid_from}")


def _channel(register: Register) -> tuple[str, str | None]:
    return register.reading_type, _code(register.recurrence_code) or "0"


def _code(text: str | None) -> str | None:
    """Return a code as it compares: senders drop and add leading zeros."""
    return text if text is None else text.lstrip("0") or "0"


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
)
