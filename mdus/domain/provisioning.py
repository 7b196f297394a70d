"""Making a meter known to its head end: which command that takes, and when it takes another one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from mdus.domain.command import Command, CommandKind, OwnerKind, command_key
from mdus.domain.end_device import EndDevice
from mdus.domain.register import Register

#: How long a head end may be unreachable before provisioning is given up; the nightly comparison begins it anew.
PROVISIONING_LASTS: Final = timedelta(days=30)


def provision(
    device: EndDevice, registers: Iterable[Register], *, test_data: bool = False, now: datetime
) -> Command | None:
    """Return the command by which the device's head end learns the meter and its registers.

    Its key contains a digest of what the head end is told: deciding the same again names the same command, which the
    store keeps as it is, and anything new names another. Registers whose last value can only have been fetched before
    are left out. None while there is nothing to tell: no head end, no register.
    """
    channels = sorted(
        {
            "|".join(map(str, (r.reading_type, r.unit, r.total_digits, r.fraction_digits, r.factor, r.division)))
            for r in registers
            if r.is_collected_on(now.date())
        }
    )
    if device.head_end is None or not channels:
        return None
    told = "\n".join((device.head_end, device.serial_id, device.device_id, *channels))
    purpose = f"provision/{hashlib.sha256(told.encode()).hexdigest()[:16]}"
    owner_key = f"{device.sender_system}/{device.device_id}"
    return Command(
        command_key=command_key(
            owner_kind=OwnerKind.REGISTRY, owner_key=owner_key, device_id=device.device_id, purpose=purpose
        ),
        owner_kind=OwnerKind.REGISTRY,
        owner_key=owner_key,
        sender_system=device.sender_system,
        device_id=device.device_id,
        serial_id=device.serial_id,
        head_end=device.head_end,
        kind=CommandKind.PROVISION,
        purpose=purpose,
        not_before=now,
        expires_at=now + PROVISIONING_LASTS,
        test_data=test_data,
    )
