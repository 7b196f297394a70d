"""What SAP is told of a smart meter that answers in its metering system."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import ClassVar

from mdus.domain.end_device import EndDevice
from mdus.domain.register import Register
from mdus.domain.value import Value


@dataclass(frozen=True, kw_only=True, slots=True)
class Registration(Value):
    """A device that answers; `start_on` is the local date its first register that has not ended begins."""

    KEY: ClassVar[tuple[str, ...]] = ("sender_system", "device_id")

    sender_system: str
    device_id: str
    ams_id: str
    start_on: date | None


def registration(device: EndDevice, *, registers: Sequence[Register], today: date) -> Registration:
    """Return what SAP is told of a device on a local date."""
    lasting = [register.valid_from for register in registers if register.valid_to is None or register.valid_to > today]
    return Registration(
        sender_system=device.sender_system,
        device_id=device.device_id,
        ams_id=device.ams_id or "",  # the service that creates devices never leaves it out
        start_on=min(lasting, default=None),
    )
