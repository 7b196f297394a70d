"""The command that reads interval values of a period from a meter once more."""

from __future__ import annotations

from datetime import datetime, timedelta

from mdus.domain.command import Command, CommandKind, OwnerKind, command_key
from mdus.domain.end_device import EndDevice
from mdus.domain.provisioning import registry_owner


def read_intervals(
    device: EndDevice, *, begin: datetime, end: datetime, attempt: int, now: datetime, lasts: timedelta
) -> Command | None:
    """Return the command that asks a meter for what it has stored of a period, None where no head end serves it.

    Whoever asks for the same period in the same attempt asks once.
    """
    if device.head_end is None:
        return None
    owner_key = registry_owner(device.sender_system, device.device_id)
    purpose = f"intervals from {begin:%Y-%m-%dT%H:%MZ}"
    return Command(
        command_key=command_key(
            owner_kind=OwnerKind.REGISTRY,
            owner_key=owner_key,
            device_id=device.device_id,
            purpose=purpose,
            attempt=attempt,
        ),
        owner_kind=OwnerKind.REGISTRY,
        owner_key=owner_key,
        sender_system=device.sender_system,
        device_id=device.device_id,
        serial_id=device.serial_id,
        head_end=device.head_end,
        kind=CommandKind.READ_INTERVALS,
        purpose=purpose,
        not_before=now,
        expires_at=now + lasts,
        period_from=begin,
        period_to=end,
    )
