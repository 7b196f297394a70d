"""The worker of demand limits: takes away those whose time is up, and sees to it that it was done.

One turn is one claim and one transaction:

```
hold the limits of devices with one to be looked at -> their devices, commands, cases -> next_step (pure) -> save
```
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from mdus.domain.clock import Clock
from mdus.domain.command import Command, CommandKind, OwnerKind
from mdus.domain.device_limit import LIMIT_DOUBTFUL, DeviceLimit, LimitRules, next_step
from mdus.domain.end_device import EndDevice
from mdus.domain.exception_case import ExceptionCase
from mdus.messaging.known import Known
from mdus.messaging.outcome import Change, Done
from mdus.settings import Settings
from mdus.storage import device_limit as limits
from mdus.storage.command import commands_of
from mdus.storage.concentrator import concentrators_of
from mdus.storage.session import Database, UnitOfWork

#: Limits looked at in one turn.
_AT_ONCE: Final = 500


class DeviceLimitWorker:
    """Brings demand limits to their end; `turn` returns how many it looked at, 0 when there was nothing to do."""

    def __init__(self, *, database: Database, settings: Settings, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._rules = LimitRules.of(settings)

    def turn(self) -> int:
        """Look at one batch of limits whose time is up."""
        with self._database.read() as uow:
            is_due = limits.is_any_due(uow.connection, now=self._clock.now())
        if not is_due:
            return 0
        with self._database.begin() as uow:
            return self._look(uow)

    def _look(self, uow: UnitOfWork) -> int:
        now = self._clock.now()
        keys = limits.due_devices(uow.connection, now=now, limit=_AT_ONCE)
        # All limits of a device are held, in the order in which whoever orders another holds them.
        known = Known(uow.load(DeviceLimit, EndDevice.KEY, keys))
        due = [limit for limit in known.find(DeviceLimit) if limit.look_at is not None and limit.look_at <= now]
        devices = {device.key: device for device in uow.load(EndDevice, EndDevice.KEY, keys, lock=False)}
        # Not held: whoever ends a command has it looked at again, and waits for the limit meanwhile.
        owners = [limit.owner_key for limit in due]
        lifts = _by_owner(commands_of(uow.connection, owner_kind=OwnerKind.LIMIT, owner_keys=owners))
        doubted = [limit.owner_key for limit in due if limit.in_doubt]
        ordered = _by_owner(commands_of(uow.connection, owner_kind=OwnerKind.ITEM, owner_keys=doubted))
        concentrated = _concentrated(uow, devices.values())
        under_way = Known(uow.load_open_commands(CommandKind.LIMIT_DEMAND, keys))
        names = {(LIMIT_DOUBTFUL, limit.case_key) for limit in due}
        cases: dict[str, list[ExceptionCase]] = {}
        for case in uow.load(ExceptionCase, ExceptionCase.KEY, names):
            cases.setdefault(case.case_key, []).append(case)
        changes: list[Change] = []
        for limit in due:
            of_device = {"sender_system": limit.sender_system, "device_id": limit.device_id}
            there = known.find(DeviceLimit, **of_device)
            if limit not in there:
                continue  # it went with another of its device just now
            steps = next_step(
                limit,
                device=devices.get(limit.device_key),
                ordered=ordered.get(limit.owner_key, ()),
                lifts=lifts.get(limit.owner_key, ()),
                others=[each for each in there if each != limit],
                is_busy=any(not limit.lifted_by(each) for each in under_way.find(Command, **of_device)),
                is_concentrated=limit.device_key in concentrated,
                cases=cases.get(limit.case_key, ()),
                rules=self._rules,
                now=now,
            )
            known.after(Done(changes=steps))
            under_way.after(Done(changes=tuple(each for each in steps if isinstance(each, Command))))
            changes += steps
        uow.save(changes)
        return len(due)


def _by_owner(commands: Iterable[Command]) -> dict[str, list[Command]]:
    owned: dict[str, list[Command]] = {}
    for command in commands:
        owned.setdefault(command.owner_key, []).append(command)
    return owned


def _concentrated(uow: UnitOfWork, devices: Iterable[EndDevice]) -> set[tuple[str, str]]:
    """Return those of the devices whose meters were found behind data concentrators: they may change them."""
    serials: dict[str, dict[str, tuple[str, str]]] = {}
    for device in devices:
        serials.setdefault(device.head_end or "", {})[device.serial_id] = (device.sender_system, device.device_id)
    return {
        keys[serial]
        for head_end, keys in serials.items()
        for serial in concentrators_of(uow.connection, head_end, keys)
    }
