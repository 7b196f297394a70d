"""UtilitiesDeviceERPSmartMeterRegisterChangeRequest: SAP changes, closes, replaces or adds registers of a smart meter.

Answered by UtilitiesDeviceERPSmartMeterRegisterChangeConfirmation, one per device.

```
SAP   --RegisterChangeRequest-->        device or number not there yet, or a number still in use on another device:
                                        wait for that, 30 minutes at most
                                        all listed registers become what SAP says, or none does
                                        no register listed: the installation is reversed
MDUS  --provision--> head end           when it has to collect others than before
SAP   <--RegisterChangeConfirmation--   code 3, or 5 with a line per register at fault
```
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Final

from mdus.contracts.binding import wire, wire_end
from mdus.contracts.log import Log
from mdus.domain.end_device import EndDevice
from mdus.domain.local_time import local_day
from mdus.domain.register import Register, register_arrival
from mdus.domain.register_history import ContentMissing, Listed, conflicts, difference, listed_anew
from mdus.domain.register_policy import DatesReversed, ReadingTypeRow, RegisterFault, RegisterPolicy, described
from mdus.domain.usage_point import UsagePoint
from mdus.domain.value import Remove, Value
from mdus.messaging.addressed_device import awaited, check_system
from mdus.messaging.known import Known
from mdus.messaging.outcome import BusinessError, Change, Done, Outcome, Park, Problem, Received, Result
from mdus.messaging.patterns import Door, RequestConfirmation
from mdus.messaging.provisioned_device import provisioning
from mdus.settings import Section, Settings
from mdus.storage.session import UnitOfWork


@dataclass(frozen=True, kw_only=True, slots=True)
class SentSpecification:
    """What a register is in one span, in the words of `Register`; the dates are local, the end exclusive."""

    valid_from: date = wire("StartDate")
    valid_to: date | None = wire_end("EndDate")
    time_of_use_code: str | None = wire("UtilitiesTimeOfUseCode")
    unit: str = wire("MeasureUnitCode")
    total_digits: int | None = wire("DecimalValuePrecision/TotalDigitNumberValue")
    fraction_digits: int = wire("DecimalValuePrecision/FractionDigitNumberValue", default=0)
    factor: Decimal | None = wire("MeterReadingResultAdjustmentFactorValue")
    validation_profile_code: str | None = wire("UtilitiesMeasurementTaskValidationProfileCode")


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
    specifications: tuple[SentSpecification, ...] = wire("Specifications")


@dataclass(frozen=True, kw_only=True, slots=True)
class Request(Received):
    """The registers of one device that change. SAP's register groups say nothing that is used."""

    device_id: str = wire("UtilitiesDevice/ID")
    complete: bool | None = wire("UtilitiesDevice/RegisterListCompleteTransmissionIndicator")
    registers: tuple[SentRegister, ...] = wire("UtilitiesDevice/Register")
    ams_id: str = wire("UtilitiesDevice/SmartMeter/UtilitiesAdvancedMeteringSystemID")

    @property
    def by_number(self) -> Mapping[str, Sequence[SentRegister]]:
        """Return the registers by logical register number, each once, in the order of their dates."""
        found: dict[str, list[SentRegister]] = {}
        for sent in sorted(
            dict.fromkeys(self.registers), key=lambda sent: (sent.valid_from, sent.valid_to or date.max)
        ):
            found.setdefault(sent.measurement_task_id, []).append(sent)
        return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Confirmation:
    """What SAP reads: the device and how it went; registers are named in the notes only."""

    device_id: str = wire("UtilitiesDevice/ID")
    log: Log = wire("Log")


class RegisterOverlaps(BusinessError):
    """Its number or what it measures is taken in this span."""

    type_id = "119(MDUS)"


class RegisterUnknown(BusinessError):
    """The device has no register with this number: no create request for it has come."""

    type_id = "130(MDUS)"


class SpecificationMissing(BusinessError):
    """On some of its days no specification says what it is."""

    type_id = "140(MDUS)"


class NothingListed(BusinessError):
    """The change lists no register."""

    type_id = "141(MDUS)"


#: The tables of config/ that this service reads, with the shape of their rows.
TABLES: Final[Mapping[str, type[Section]]] = {"reading_types": ReadingTypeRow}


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy(Value):
    """What the section `register_change` says: which numbers may be new, and what an empty or complete list means."""

    new_numbers: str = "beside_known"
    reverses_installation: bool = True
    ends_unlisted: bool = False

    @classmethod
    def of(cls, settings: Settings) -> Policy:
        """Return the policy that the settings say."""
        change = settings.register_change
        return cls(
            new_numbers=change.new_numbers,
            reverses_installation=change.empty_list == "reverses_installation",
            ends_unlisted=change.unlisted == "end",
        )

    def lets_begin(self, sent: Sequence[SentRegister], *, beside_known: bool) -> bool:
        """Tell whether a number that the device has never had may begin with this change."""
        is_replacement = beside_known and sent[-1].valid_to is None
        return self.new_numbers == "always" or (self.new_numbers == "beside_known" and is_replacement)


def load(requests: Sequence[Request], uow: UnitOfWork) -> Known:
    """Fetch devices, their registers and provisionings, registers with the same numbers, assignments, the policies."""
    by_id = ("sender_system", "device_id")
    devices = {(request.origin.sender_system, request.device_id) for request in requests}
    tasks = {(r.origin.sender_system, sent.measurement_task_id) for r in requests for sent in r.registers}
    reversed_ = {(r.origin.sender_system, r.device_id) for r in requests if not r.registers}
    return Known(
        [Policy.of(uow.settings)],
        [RegisterPolicy.of(uow.settings)],
        uow.load(EndDevice, by_id, devices),
        uow.load(Register, by_id, devices),
        uow.load(Register, ("sender_system", "measurement_task_id"), tasks),
        uow.load(UsagePoint, by_id, reversed_),
        uow.load_provisionings(devices),
    )


def decide(request: Request, known: Known, *, now: datetime) -> Outcome:
    """Make the registers of the device what SAP lists, all or none, and say why not (SAP contract 3.2).

    - The device is not known: wait for it, then fail. Another metering system than the device's: refused.
    - Of a number, what is listed counts on the days listed; days before stay. An end inside a stored span closes the
      number, an end at that of a stored span leaves what follows: see `register_history`. So one register with an end
      is closed, two of which one ends as the other begins are a replacement, several numbers a change of tariff, and a
      number listed with new dates or specifications gets these. The same again changes nothing.
    - Specifications count on their days within the register's; on days without one what is stored counts, and if there
      is nothing the change is refused. An end on the day before the start: the register was not taken up after all.
    - A number the device has never had: new by the setting `new_numbers`, else waited for, then refused.
    - What a register may be and which channel it measures: as at its creation, see `RegisterPolicy`. Afterwards, in
      overlapping spans, a number belongs to one register of one device and a channel to one number; so two registers
      may swap their numbers. A number that another device has in a new span is waited for.
    - No register at all reverses the installation (setting `empty_list`): the registers that had not ended on the local
      day the message came never were, and what was assigned to their numbers neither.
    - Registers a complete list leaves out: by the setting `unlisted`.
    """
    origin = request.origin
    owner = {"sender_system": origin.sender_system, "device_id": request.device_id}
    device = known.one(EndDevice, *owner.values())
    if device is None:
        return awaited(origin, request.device_id)
    check_system(device, request.ams_id)
    policy = known.one(Policy) or Policy()
    if not request.registers:
        if not policy.reverses_installation:
            raise NothingListed
        return Done(changes=tuple(_taken_back(owner, known, on=local_day(origin.received_at, zone=origin.zone))))

    stored = known.find(Register, **owner)
    found = _restated(request, stored, device=device, known=known)
    if found.held and not found.problems and now < origin.park_until:
        waits_for, otherwise = next(iter(found.held.items()))
        return Park(waits_for=waits_for, until=origin.park_until, otherwise=otherwise)
    problems = (*found.problems.values(), *(error.problem for error in found.held.values()))
    if problems:
        return Done(result=Result(problems=problems))
    changes = difference(stored, found.registers)
    told = provisioning(device, found.registers, known, origin=origin, now=now) if changes else ()
    return Done(changes=(*changes, *told))


@dataclass(kw_only=True, slots=True)
class _Findings:
    """What becomes of a device's registers, and what stands against it: for good by number, else by what is awaited."""

    registers: list[Register] = field(default_factory=list)
    problems: dict[str, Problem] = field(default_factory=dict)
    held: dict[str, BusinessError] = field(default_factory=dict)

    def refuse(self, number: str, error: BusinessError | RegisterFault) -> None:
        self.problems.setdefault(number, Problem(type_id=error.type_id, note=f"[{number}] {error}"))


def _restated(request: Request, stored: Sequence[Register], *, device: EndDevice, known: Known) -> _Findings:
    """Return the device's registers once every listed number has its new spans."""
    found, policy = _Findings(), known.one(Policy) or Policy()
    placing = known.one(RegisterPolicy) or RegisterPolicy()
    present: dict[str, list[Register]] = {}
    for register in stored:
        present.setdefault(register.measurement_task_id, []).append(register)
    by_number = request.by_number
    ends_on = min(sent.valid_from for sent in request.registers) if request.complete and policy.ends_unlisted else None
    unlisted = [register for register in stored if register.measurement_task_id not in by_number]
    found.registers += [part for register in unlisted if (part := register.within(None, ends_on))]
    beside_known = not present.keys().isdisjoint(by_number)
    for number, sent in by_number.items():
        if number not in present and not policy.lets_begin(sent, beside_known=beside_known):
            name = register_arrival(device.sender_system, device.device_id, number)
            found.held[name] = RegisterUnknown(f"[{number}] {RegisterUnknown()}")
            continue
        try:
            listed = [_listed(one, device=device, policy=placing) for one in sent]
            found.registers += _history(listed, present.get(number, ()))
        except (BusinessError, RegisterFault) as error:
            found.refuse(number, error)
    for conflict in conflicts(
        found.registers,
        stored=stored,
        elsewhere=lambda number: known.find(Register, sender_system=device.sender_system, measurement_task_id=number),
    ):
        number = conflict.register.measurement_task_id
        if conflict.holder is None:
            found.refuse(number, RegisterOverlaps(conflict.note))
        else:
            found.held[conflict.holder.wakes[0]] = RegisterOverlaps(f"[{number}] {conflict.note}")
    return found


def _listed(sent: SentRegister, *, device: EndDevice, policy: RegisterPolicy) -> Listed:
    spans = [(sent.valid_from, sent.valid_to), *((one.valid_from, one.valid_to) for one in sent.specifications)]
    if any(end is not None and end < start for start, end in spans):
        raise DatesReversed
    told = [described(device, sent, specification) for specification in dict.fromkeys(sent.specifications)]
    parts = [part for register in told if (part := register.within(sent.valid_from, sent.valid_to))]
    contents = sorted((policy.placed(part, device=device) for part in parts), key=lambda part: part.valid_from)
    for earlier, later in pairwise(contents):
        if earlier.overlaps(later):
            raise RegisterOverlaps(f"Two of its specifications overlap from {later.valid_from}")
    return Listed(valid_from=sent.valid_from, valid_to=sent.valid_to, contents=tuple(contents))


def _history(listed: Sequence[Listed], stored: Sequence[Register]) -> tuple[Register, ...]:
    for earlier, later in pairwise(listed):
        if earlier.valid_to is None or later.valid_from < earlier.valid_to:
            raise RegisterOverlaps(f"It is listed twice from {later.valid_from}")
    try:
        return listed_anew(stored, listed)
    except ContentMissing as error:
        raise SpecificationMissing(f"No specification says what it is from {error.day}") from error


def _taken_back(owner: Mapping[str, str], known: Known, *, on: date) -> Iterator[Change]:
    """Yield what takes back the registers that have not ended on a day, and what was assigned to their numbers."""
    stored = known.find(Register, **owner)
    remaining = [register for register in stored if register.valid_to is not None and register.valid_to <= on]
    yield from difference(stored, remaining)
    kept = {register.measurement_task_id for register in remaining}
    assigned = known.find(UsagePoint, **owner)
    yield from (Remove(UsagePoint, point.key) for point in assigned if point.measurement_task_id not in kept)


def confirm(request: Request, result: Result) -> Confirmation:
    """Return the confirmation of one device."""
    return Confirmation(device_id=request.device_id, log=result.log)


SERVICE = RequestConfirmation(
    request="UtilitiesDeviceERPSmartMeterRegisterChangeRequest",
    bulk_request="UtilitiesDeviceERPSmartMeterRegisterBulkChangeRequest",
    confirmation="UtilitiesDeviceERPSmartMeterRegisterChangeConfirmation",
    bulk_confirmation="UtilitiesDeviceERPSmartMeterRegisterBulkChangeConfirmation",
    shape=Request,
    confirmation_shape=Confirmation,
    order_by="device_id",
    load=load,
    decide=decide,
    confirm=confirm,
    door=Door(path="register-changes"),
)
