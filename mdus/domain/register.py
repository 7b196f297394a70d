"""A register of a meter under its logical register number (SAP: measurement task), dated."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import ROUND_DOWN, Decimal
from typing import ClassVar

from mdus.domain.value import Value


def register_arrival(sender_system: str, device_id: str, measurement_task_id: str) -> str:
    """Return the name under which items wait for a register SAP has not created yet."""
    return f"register/{sender_system}/{device_id}/{measurement_task_id}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Register(Value):
    """One register in one span of validity, from UtilitiesDeviceERPSmartMeterRegisterCreateRequest.

    `reading_type` is the channel this logical register number is assigned to: the OBIS code (or site text) under which
    the head end delivers its values. `valid_from`/`valid_to` are SAP local dates, half-open. `factor` multiplies the
    register's difference to a consumption; SAP applies it, results carry the value as shown.
    """

    KEY: ClassVar[tuple[str, ...]] = ("sender_system", "device_id", "measurement_task_id", "valid_from")

    sender_system: str
    device_id: str
    measurement_task_id: str
    valid_from: date
    valid_to: date | None = None
    reading_type: str
    obis_text: str | None = None
    division: str | None = None
    unit: str
    total_digits: int | None = None
    fraction_digits: int = 0
    factor: Decimal | None = None
    time_of_use_code: str | None = None
    recurrence_code: str | None = None
    time_zone_code: str | None = None
    task_category_code: str | None = None
    validation_profile_code: str | None = None

    @property
    def wakes(self) -> tuple[str, ...]:
        """Return the one name items wait for until this register exists."""
        return (register_arrival(self.sender_system, self.device_id, self.measurement_task_id),)

    def is_valid_on(self, day: date) -> bool:
        """Tell whether the register carries this logical register number on a local date."""
        return self.valid_from <= day and (self.valid_to is None or day < self.valid_to)

    def overlaps(self, other: Register) -> bool:
        """Tell whether two half-open spans share a day; spans that only touch do not."""
        return (other.valid_to is None or self.valid_from < other.valid_to) and (
            self.valid_to is None or other.valid_from < self.valid_to
        )

    def as_shown(self, value: Decimal) -> Decimal:
        """Return the value cut to the register's decimals, never rounded up: a counter shows only what was consumed."""
        return value.quantize(Decimal(1).scaleb(-self.fraction_digits), rounding=ROUND_DOWN)
