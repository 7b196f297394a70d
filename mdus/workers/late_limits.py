"""Takes what meters tell of their demand limits after the orders for these have been decided.

Who decides an order holds its commands, as whoever takes a result in does: an order that is seen undecided here stays
so until this is through, and its result waits for it. Nobody is waited for who holds the limits themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mdus.domain.command import Command, CommandKind, OwnerKind
from mdus.domain.device_limit import LIMIT_DOUBTFUL, DeviceLimit, case_key
from mdus.domain.end_device import EndDevice
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.head_end import CommandResult
from mdus.domain.late_limit import ToldLimit, known_late
from mdus.messaging.known import Known
from mdus.messaging.outcome import Change, Done
from mdus.storage import device_limit as limits
from mdus.storage.session import UnitOfWork
from mdus.workers.told import DeviceKey, Taken


@dataclass(frozen=True, kw_only=True, slots=True)
class LateLimit:
    """What a delivery tells of a limit; `is_late`: after the command had ended."""

    delivery_id: int
    told: ToldLimit
    is_late: bool

    @property
    def device_key(self) -> DeviceKey:
        """Return the key of the device whose limit it is."""
        return self.told.command.sender_system, self.told.command.device_id


def limits_told(
    delivery_id: int, result: CommandResult, command: Command, *, is_late: bool, at: datetime
) -> list[LateLimit]:
    """Return what a result tells of a limit that its command may not have told yet; the command is as it was before."""
    carried_out = result.succeeded and result.is_final
    if command.kind is not CommandKind.LIMIT_DEMAND or not carried_out or command.succeeded:
        return []
    # Who takes limits away sees the command itself, unless it had ended before.
    is_late_lift = is_late and command.owner_kind is OwnerKind.LIMIT
    if command.owner_kind is not OwnerKind.ITEM and not is_late_lift:
        return []
    told = ToldLimit(command=command, acted_at=result.acted_at, at=at)
    return [LateLimit(delivery_id=delivery_id, told=told, is_late=is_late)]


def take_late_limits(uow: UnitOfWork, taken: Taken, told: Sequence[LateLimit], *, now: datetime) -> list[Change]:
    """Return what changes by these; notes what has to wait until its order is decided."""
    items = {int(each.told.command.owner_key) for each in told if each.told.command.owner_kind is OwnerKind.ITEM}
    undecided = limits.undecided(uow.connection, items)
    late: list[LateLimit] = []
    for each in told:
        command = each.told.command
        if command.owner_kind is not OwnerKind.ITEM or int(command.owner_key) not in undecided:
            late.append(each)
        elif each.is_late:
            taken.note_unplaced(each.delivery_id, f"the order {command.owner_key} is undecided")
    return _known(uow, taken, late, now=now) if late else []


def _known(uow: UnitOfWork, taken: Taken, late: Sequence[LateLimit], *, now: datetime) -> list[Change]:
    keys = {each.device_key for each in late}
    held, elsewhere = limits.held(uow.connection, keys)
    known = Known(
        held,
        uow.load(EndDevice, EndDevice.KEY, keys, lock=False),
        limits.commands_about(uow.connection, keys),
        uow.load(ExceptionCase, ExceptionCase.KEY, {(LIMIT_DOUBTFUL, case_key(*key)) for key in keys}),
    )
    changes: list[Change] = []
    for each in late:
        command = each.told.command
        device = known.one(EndDevice, *each.device_key)
        if device is None or device.serial_id != command.serial_id:
            continue  # the meter hangs there no more, and its limit went with it
        if each.device_key in elsewhere:
            taken.note_unplaced(each.delivery_id, f"the limit of device {command.device_id} is being seen to")
            continue
        of_meter = {
            "sender_system": command.sender_system,
            "device_id": command.device_id,
            "serial_id": command.serial_id,
        }
        steps = known_late(
            each.told,
            commands=known.find(Command, **of_meter),
            limits=known.find(DeviceLimit, **of_meter),
            cases=known.find(ExceptionCase, case_key=case_key(*each.device_key)),
            now=now,
        )
        known.after(Done(changes=steps))
        changes += steps
    return changes
