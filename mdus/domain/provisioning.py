"""Making a meter known to its head end: which command that takes, and when it takes another one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import count
from typing import Final

from mdus.domain.command import Command, CommandKind, CommandStatus, OwnerKind, command_key
from mdus.domain.end_device import EndDevice
from mdus.domain.register import Register

#: How long a head end may be unreachable before provisioning is given up; the nightly comparison begins it anew.
PROVISIONING_LASTS: Final = timedelta(days=30)


def registry_owner(sender_system: str, device_id: str) -> str:
    """Return the name under which the registry owns the commands about a device."""
    return f"{sender_system}/{device_id}"


def provision(
    device: EndDevice,
    registers: Iterable[Register],
    *,
    earlier: Iterable[Command] = (),
    test_data: bool = False,
    now: datetime,
) -> Command | None:
    """Return the command by which the device's head end learns the meter and its registers.

    Its key contains a digest of what the head end is told, so deciding the same again names the same command. What was
    told `earlier` and has been told otherwise since, at another head end or with other registers, is told anew, under
    another key. Registers whose last value can only have been fetched before are left out. None while there is nothing
    to tell: no head end, no register, or nothing else than what was told last.
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
    content = "\n".join((device.head_end, device.serial_id, device.device_id, *channels))
    told = f"provision/{hashlib.sha256(content.encode()).hexdigest()[:16]}"
    before = [each for each in earlier if each.kind is CommandKind.PROVISION]
    given = [each for each in before if each.status is not CommandStatus.CANCELLED]
    if given and f"{given[-1].purpose}/".startswith(f"{told}/"):
        return None
    names = (told if number == 1 else f"{told}/{number}" for number in count(1))
    taken = {each.purpose for each in before}
    purpose = next(name for name in names if name not in taken)
    owner_key = registry_owner(device.sender_system, device.device_id)
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
