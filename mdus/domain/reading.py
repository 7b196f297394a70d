"""A register reading as it came from the field; raw values are never overwritten."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar

from mdus.domain.value import Value


class ReadingOrigin(StrEnum):
    """How a register reading came to us."""

    SNAPSHOT = "snapshot"  # pushed or fetched by period
    ON_DEMAND = "on_demand"  # answer to a command of ours
    MANUAL = "manual"  # read by a person, entered in SAP


@dataclass(frozen=True, kw_only=True, slots=True)
class MeterReading(Value):
    """One register value at one instant; a differing value for the same instant is a further row, the newest counts.

    `value` is as shown on the register, before any factor. `reading_type` names the channel within the device.
    """

    KEY: ClassVar[tuple[str, ...]] = ("sender_system", "device_id", "reading_type", "measured_at", "value")

    sender_system: str
    device_id: str
    reading_type: str
    measured_at: datetime
    value: Decimal
    unit: str | None = None
    origin: ReadingOrigin = ReadingOrigin.SNAPSHOT
    received_at: datetime
