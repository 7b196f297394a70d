"""Telling a head end of a device in the transaction that changes it: once for what is new, anew for what comes back."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from mdus.domain.command import Command
from mdus.domain.end_device import EndDevice
from mdus.domain.provisioning import provision
from mdus.domain.register import Register
from mdus.messaging.known import Known
from mdus.messaging.outcome import Origin


def provisioning(
    device: EndDevice, registers: Iterable[Register], known: Known, *, origin: Origin, now: datetime
) -> tuple[Command, ...]:
    """Return the command by which the device's head end learns of it, none where it has nothing new to learn.

    `known` has what was told of the device before (`UnitOfWork.load_provisionings`).
    """
    earlier = known.find(Command, sender_system=device.sender_system, device_id=device.device_id)
    command = provision(device, registers, earlier=earlier, test_data=origin.test_data, now=now)
    return () if command is None else (command,)
