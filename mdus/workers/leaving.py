"""What of a claim may leave for its head end: asked in the transaction of the intent, at the last instant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from mdus.domain.capability import Capabilities
from mdus.domain.command import Command, CommandKind
from mdus.domain.end_device import EndDevice, EndDeviceStatus
from mdus.domain.end_device_control import (
    ACTING,
    EndDeviceControl,
    GovernorRules,
    Refusal,
    incapable,
    misdirected,
    permit,
    permit_restraint,
    restrains,
)
from mdus.domain.local_time import local_day
from mdus.domain.usage_point import DeviceLocation
from mdus.settings import Settings
from mdus.storage import submission
from mdus.storage.access_token import clients_behind
from mdus.storage.end_device_control import stop_reason
from mdus.storage.session import UnitOfWork
from mdus.storage.submission import Claimed

DeviceKey = tuple[object, ...]  # sender system, device id


@dataclass(frozen=True, kw_only=True, slots=True)
class _Abilities:
    """What the head end takes, and what its devices can do."""

    takes: frozenset[CommandKind]
    matrix: Capabilities

    def refusal(self, command: Command, device: EndDevice | None) -> Refusal | None:
        return incapable(command, device=device, takes=self.takes, matrix=self.matrix)


def may_leave(
    uow: UnitOfWork,
    claimed: Sequence[Claimed],
    *,
    kind: CommandKind,
    rules: GovernorRules,
    takes: frozenset[CommandKind],
    now: datetime,
) -> tuple[list[Claimed], list[tuple[Claimed, Refusal]]]:
    """Part commands of one kind into those that may leave and those refused, each with why.

    A switch whose order somebody else holds is in neither: it stays for another turn. What the head end does not take,
    or its device cannot do, never leaves. Switches, and whatever else acts on a customer, pass the governor.
    """
    devices = {device.key: device for device in uow.load(EndDevice, EndDevice.KEY, _keys(claimed), lock=False)}
    abilities = _Abilities(takes=takes, matrix=Capabilities.of(uow.settings))
    if kind is CommandKind.SWITCH:
        return _permitted(uow, claimed, devices=devices, rules=rules, abilities=abilities, now=now)
    if kind in ACTING:
        return _restrained(uow, claimed, devices=devices, rules=rules, abilities=abilities, now=now)
    return _directed(claimed, devices=devices, abilities=abilities)


def _permitted(
    uow: UnitOfWork,
    claimed: Sequence[Claimed],
    *,
    devices: Mapping[DeviceKey, EndDevice],
    rules: GovernorRules,
    abilities: _Abilities,
    now: datetime,
) -> tuple[list[Claimed], list[tuple[Claimed, Refusal]]]:
    """Ask the governor for each switch."""
    controls, held_elsewhere = submission.controls_of(uow.connection, claimed)
    keys = _keys(claimed)
    # Read without holding: a status only ever learns that there is no breaker, and field workers write it often.
    statuses = {status.key: status for status in uow.load(EndDeviceStatus, EndDeviceStatus.KEY, keys, lock=False)}
    ordered: dict[DeviceKey, list[EndDeviceControl]] = {}
    for control in uow.load(EndDeviceControl, EndDevice.KEY, keys, lock=False):
        ordered.setdefault((control.sender_system, control.device_id), []).append(control)
    locations: dict[DeviceKey, list[DeviceLocation]] = {}
    for location in uow.load(DeviceLocation, EndDevice.KEY, keys, lock=False):
        locations.setdefault((location.sender_system, location.device_id), []).append(location)
    stopped = stop_reason(uow.connection)
    permitted: list[Claimed] = []
    refusals: list[tuple[Claimed, Refusal]] = []
    for each in claimed:
        command = each.command
        if command.control_key in held_elsewhere:
            continue
        key = (command.sender_system, command.device_id)
        refusal = permit(
            command,
            control=controls.get(command.control_key or ""),
            device=devices.get(key),
            status=statuses.get(key),
            others=ordered.get(key, ()),
            locations=locations.get(key, ()),
            stopped=stopped,
            rules=rules,
            today=local_day(now, zone=_zone_of(uow.settings, command.sender_system)),
            now=now,
        ) or abilities.refusal(command, devices.get(key))
        if refusal is None:
            permitted.append(each)
        else:
            refusals.append((each, refusal))
    return permitted, refusals


def _restrained(
    uow: UnitOfWork,
    claimed: Sequence[Claimed],
    *,
    devices: Mapping[DeviceKey, EndDevice],
    rules: GovernorRules,
    abilities: _Abilities,
    now: datetime,
) -> tuple[list[Claimed], list[tuple[Claimed, Refusal]]]:
    """Ask the governor for each command that acts on a customer."""
    restraining = [each.command for each in claimed if restrains(each.command)]
    stopped = stop_reason(uow.connection) if restraining else None
    clients = clients_behind(uow.connection, restraining)
    permitted: list[Claimed] = []
    refusals: list[tuple[Claimed, Refusal]] = []
    for each in claimed:
        command = each.command
        client = clients.get(command.owner_key)
        device = devices.get((command.sender_system, command.device_id))
        refusal = permit_restraint(
            command,
            device=device,
            may_switch=client is not None and client.may_switch,
            stopped=stopped,
            rules=rules,
            today=local_day(now, zone=_zone_of(uow.settings, command.sender_system)),
        ) or abilities.refusal(command, device)
        if refusal is None:
            permitted.append(each)
        else:
            refusals.append((each, refusal))
    return permitted, refusals


def _directed(
    claimed: Sequence[Claimed], *, devices: Mapping[DeviceKey, EndDevice], abilities: _Abilities
) -> tuple[list[Claimed], list[tuple[Claimed, Refusal]]]:
    """Part the commands whose device is still served by their head end, and able, from those whose device is not."""
    directed: list[Claimed] = []
    refusals: list[tuple[Claimed, Refusal]] = []
    for each in claimed:
        device = devices.get((each.command.sender_system, each.command.device_id))
        refusal = misdirected(each.command, device=device) or abilities.refusal(each.command, device)
        if refusal is None:
            directed.append(each)
        else:
            refusals.append((each, refusal))
    return directed, refusals


def _keys(claimed: Sequence[Claimed]) -> set[tuple[str, str]]:
    return {(each.command.sender_system, each.command.device_id) for each in claimed}


def _zone_of(settings: Settings, sender_system: str) -> str:
    named = settings.sender_for(sender_system)
    return named.time_zone if named else settings.time_zone
