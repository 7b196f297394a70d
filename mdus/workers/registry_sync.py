"""The job `registry_sync`: compares the meters SAP told us of with those each head end has, nightly.

| found                                              | done                                             |
|----------------------------------------------------|--------------------------------------------------|
| not provisioned, other device id, other registers  | a PROVISION command, unless one is under way     |
| the same, and the last PROVISION failed            | the command again, and a case `provisioning_failed` |
| a device of ours the head end does not have        | a case `meter_missing`                           |
| one provisioned there that another serves now      | a case `meter_left_behind`                       |
| a meter provisioned there that SAP never told of   | a case `meter_unknown`                           |

What is found in order closes its case. First communications and breakers come along: a lost push is made good here. So
does what rules of validation ask of head ends: whose meter it is there, multipliers, how far clocks are off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from operator import itemgetter

import structlog

from mdus.domain.command import Command, command_key
from mdus.domain.end_device import EndDevice
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.head_end import ConcentratorTold, FieldMeter, HeadEnd
from mdus.domain.provisioning import provision
from mdus.domain.register import Register
from mdus.messaging.outcome import Change
from mdus.messaging.retry import TransientError, UncertainError
from mdus.storage.command import asked_about
from mdus.storage.concentrator import note_concentrators
from mdus.storage.mapping import chunks
from mdus.storage.paging import sender_systems
from mdus.storage.registry import END_DEVICE, MeterRecord, note_breakers, note_heard, note_told
from mdus.storage.session import Database, UnitOfWork
from mdus.workers.validation_told import look_again_at_others

log = structlog.get_logger(__name__)

MISSING = "meter_missing"
UNKNOWN = "meter_unknown"
LEFT_BEHIND = "meter_left_behind"
FAILED = "provisioning_failed"

_KINDS = (MISSING, UNKNOWN, LEFT_BEHIND, FAILED)

#: Devices compared in one transaction.
_DEVICES = 200


@dataclass(kw_only=True, slots=True)
class _Findings:
    """What one comparison found: the open cases by (kind, key), and how many commands were made."""

    cases: dict[tuple[str, str], str] = field(default_factory=dict)
    devices: int = 0
    provisioned: int = 0


def run(database: Database, head_ends: Mapping[str, HeadEnd], *, now: datetime, day: date) -> str:
    """Compare the registry of every head end with ours on a local date; returns what was found.

    A head end that does not answer is named and left as it is.
    """
    parts = []
    for name, head_end in head_ends.items():
        try:
            meters = {meter.serial_id: meter for meter in head_end.meters()}
        except (TransientError, UncertainError) as error:
            log.warning("registry_not_compared", head_end=name, reason=str(error))
            parts.append(f"{name}: {error}")
            continue
        findings = _compare(database, name, meters, now=now, day=day)
        counted = {kind: sum(found == kind for found, _ in findings.cases) for kind in _KINDS}
        parts.append(
            f"{name}: {findings.devices} devices compared, {findings.provisioned} to be provisioned, "
            f"{counted[MISSING]} missing, {counted[UNKNOWN]} unknown, {counted[LEFT_BEHIND]} left behind, "
            f"{counted[FAILED]} failed to provision"
        )
    return "; ".join(parts) or "no head end is configured"


def _compare(
    database: Database, head_end: str, meters: Mapping[str, FieldMeter], *, now: datetime, day: date
) -> _Findings:
    findings = _Findings()
    with database.read() as uow:
        devices = uow.load(EndDevice, ("head_end",), [(head_end,)], lock=False)
    _note_concentrators(database, head_end, meters, now=now)
    known = {device.serial_id for device in devices}
    strangers = {serial: meter for serial, meter in meters.items() if meter.provisioned and serial not in known}
    with database.read() as uow:
        moved = _moved(uow, head_end, strangers)
    for serial in strangers:
        if (device := moved.get(serial)) is None:
            findings.cases[UNKNOWN, f"{head_end}/{serial}"] = (
                f"{head_end} serves the meter {serial}, SAP never told of it"
            )
        else:
            findings.cases[LEFT_BEHIND, f"{head_end}/{serial}"] = (
                f"{head_end} still serves the meter {serial} (device {device.device_id}), "
                f"{device.head_end or 'no head end'} does by what SAP told"
            )
    for some in chunks([device for device in devices if device.is_valid_on(day)], _DEVICES):
        with database.begin() as uow:
            _compare_devices(uow, some, meters, findings, now=now, day=day)
    with database.begin() as uow:
        uow.save(_cases(uow, head_end, findings.cases, now=now))
    return findings


def _moved(uow: UnitOfWork, head_end: str, meters: Mapping[str, FieldMeter]) -> dict[str, EndDevice]:
    """Return the devices, by serial number, whose meters a head end serves though SAP has moved them to another.

    A serial number alone says little: another manufacturer's meter may have it. The device is meant where the head end
    calls the meter by its id or, telling none, was once asked about it.
    """
    systems = sender_systems(uow.connection, END_DEVICE.table) if meters else []
    names = {(system, serial) for system in systems for serial in meters}
    devices = uow.load(EndDevice, ("sender_system", "serial_id"), names, lock=False)
    nameless = {
        (device.sender_system, device.device_id, device.serial_id)
        for device in devices
        if meters[device.serial_id].device_id is None
    }
    was_there = asked_about(uow.connection, head_end, nameless)
    return {
        device.serial_id: device
        for device in devices
        if device.is_called(meters[device.serial_id].device_id) or (*device.key, device.serial_id) in was_there
    }


def _note_concentrators(database: Database, head_end: str, meters: Mapping[str, FieldMeter], *, now: datetime) -> None:
    """Note behind which data concentrators the meters are, where the head end says so."""
    behind: dict[str, list[str]] = {}
    for serial, meter in meters.items():
        if meter.concentrator is not None:
            behind.setdefault(meter.concentrator, []).append(serial)
    told = [
        (head_end, ConcentratorTold(concentrator=name, at=now, serials=tuple(some))) for name, some in behind.items()
    ]
    if told:
        with database.begin() as uow:
            note_concentrators(uow.connection, told)


def _compare_devices(
    uow: UnitOfWork,
    devices: Sequence[EndDevice],
    meters: Mapping[str, FieldMeter],
    findings: _Findings,
    *,
    now: datetime,
    day: date,
) -> None:
    by_key: dict[tuple[object, ...], list[Register]] = {}
    for register in uow.load(Register, EndDevice.KEY, {(each.sender_system, each.device_id) for each in devices}):
        if register.is_collected_on(day):
            by_key.setdefault((register.sender_system, register.device_id), []).append(register)
    provisionings: dict[tuple[object, ...], list[Command]] = {}
    for command in uow.load_provisionings([(each.sender_system, each.device_id) for each in devices]):
        provisionings.setdefault((command.sender_system, command.device_id), []).append(command)
    commands: list[Change] = []
    for device in devices:
        findings.devices += 1
        meter = meters.get(device.serial_id)
        case_key = f"{device.head_end}/{device.serial_id}"
        if meter is None:
            note = f"{device.head_end} has no meter {device.serial_id} (device {device.device_id})"
            findings.cases[MISSING, case_key] = note
            continue
        difference = differing(device, by_key.get(device.key, ()), meter)
        if difference is None:
            continue
        earlier = provisionings.get(device.key, [])
        if any(not command.has_ended for command in earlier):
            continue
        again = _again(device, by_key.get(device.key, ()), earlier, now=now, day=day)
        if again is None:
            continue
        log.info("meter_differs", head_end=device.head_end, device_id=device.device_id, difference=difference)
        commands.append(again)
        findings.provisioned += 1
        if earlier and not earlier[-1].succeeded:
            last = earlier[-1]
            findings.cases[FAILED, case_key] = (
                f"device {device.device_id}: {difference}; the last attempt ended {last.status}: "
                f"{last.result_code} {last.result_text or ''}".rstrip()
            )
    uow.save(commands)
    _note(uow, devices, by_key, meters, now=now)


def differing(device: EndDevice, registers: Sequence[Register], meter: FieldMeter) -> str | None:
    """Return in what the head end's record of a meter differs from ours, or None when it serves the meter as it should.

    A device without registers asks nothing of its head end yet. What a head end does not tell of a meter it serves
    (whose it is, which registers it has) is nothing that differs.
    """
    if not registers:
        return None
    if not meter.provisioned:
        return "it is not provisioned"
    if not _is_its(device, meter):
        return f"the head end has it as device {meter.device_id}"
    if meter.reading_types is None:
        return None
    ours, theirs = {register.reading_type for register in registers}, set(meter.reading_types)
    if ours != theirs:
        missing, extra = ", ".join(sorted(ours - theirs)) or "none", ", ".join(sorted(theirs - ours)) or "none"
        return f"registers missing: {missing}, extra: {extra}"
    return None


def _is_its(device: EndDevice, meter: FieldMeter) -> bool:
    """Tell whether a meter of a device's serial number is the device's, as far as the head end says whose it is."""
    return device.is_called(meter.device_id) or (meter.device_id is None and meter.provisioned)


def _again(
    device: EndDevice, registers: Sequence[Register], earlier: Sequence[Command], *, now: datetime, day: date
) -> Command | None:
    """Return the command that provisions the device once more: a new one, where the same was carried out or failed."""
    command = provision(device, registers, now=now)
    if command is None or all(command.command_key != known.command_key for known in earlier):
        return command
    purpose = f"{command.purpose}/{day.isoformat()}"
    key = command_key(
        owner_kind=command.owner_kind, owner_key=command.owner_key, device_id=command.device_id, purpose=purpose
    )
    return replace(command, command_key=key, purpose=purpose)


def _other_factors(meter: FieldMeter, registers: Sequence[Register]) -> tuple[tuple[str, str], ...] | None:
    """Return the multipliers that a head end has and that are of none of our registers, None without any.

    It was told of all that are collected, later spans included, and has one of each reading type.
    """
    ours = {(each.reading_type, each.factor or 1) for each in registers}
    return tuple((name, format(factor, "f")) for name, factor in meter.factors if (name, factor) not in ours) or None


def _note(
    uow: UnitOfWork,
    devices: Sequence[EndDevice],
    registers: Mapping[tuple[object, ...], Sequence[Register]],
    meters: Mapping[str, FieldMeter],
    *,
    now: datetime,
) -> None:
    served = [(device, meters[device.serial_id]) for device in devices if device.serial_id in meters]
    told: dict[tuple[str, str], MeterRecord] = {
        (device.sender_system, device.device_id): (
            device.device_id if device.is_called(meter.device_id) else meter.device_id,
            _other_factors(meter, registers.get(device.key, ())),
            meter.clock_offset_seconds,
        )
        for device, meter in sorted(served, key=lambda each: each[0].key)
        if meter.provisioned
    }
    found = [
        ((device.sender_system, device.device_id), meters[device.serial_id])
        for device in devices
        if device.serial_id in meters and _is_its(device, meters[device.serial_id])
    ]
    heard = {
        key: (meter.first_heard_at, meter.last_heard_at or meter.first_heard_at)
        for key, meter in sorted(found, key=itemgetter(0))
        if meter.first_heard_at is not None
    }
    note_heard(uow.connection, heard)
    note_breakers(
        uow.connection,
        {key: meter.has_breaker for key, meter in sorted(found, key=itemgetter(0)) if meter.has_breaker is not None},
    )
    look_again_at_others(uow, [key for key, (device_id, *_) in told.items() if device_id in (None, key[1])], now=now)
    note_told(uow.connection, told, at=now)


def _cases(
    uow: UnitOfWork, head_end: str, found: Mapping[tuple[str, str], str], *, now: datetime
) -> list[ExceptionCase]:
    """Return the cases to open, and to close because what they told is mended."""
    kinds = [(kind,) for kind in _KINDS]
    stored = {(case.kind, case.case_key): case for case in uow.load(ExceptionCase, ("kind",), kinds)}
    cases = []
    for (kind, key), note in found.items():
        case = stored.get((kind, key))
        if case is None or case.closed_at is not None:
            cases.append(ExceptionCase(kind=kind, case_key=key, opened_at=now, note=note))
        elif case.note != note:
            cases.append(replace(case, note=note))
    for name, case in stored.items():
        if case.closed_at is None and name not in found and case.case_key.startswith(f"{head_end}/"):
            cases.append(replace(case, closed_at=now))
    return cases
