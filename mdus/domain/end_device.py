"""The smart meter as SAP describes it, and what the head end has told about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar

from mdus.domain.value import Value


class SwitchState(StrEnum):
    """The position of a meter's breaker, as last read back."""

    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    UNKNOWN = "unknown"  # never read, or a switch whose result could not be verified


def device_arrival(sender_system: str, device_id: str) -> str:
    """Return the name under which items wait for a device SAP has not created yet."""
    return f"device/{sender_system}/{device_id}"


def _without_zeros(device_id: str) -> str:
    """Return an id as it compares: SAP fills numbers up with zeros, head ends drop these."""
    is_number = device_id.isascii() and device_id.isdigit()
    return device_id.lstrip("0") or "0" if is_number else device_id


@dataclass(frozen=True, kw_only=True, slots=True)
class EndDevice(Value):
    """A smart meter's master data, from UtilitiesDeviceERPSmartMeterCreateRequest; written by SAP's messages only.

    `valid_from`/`valid_to` are SAP local dates, half-open. `head_end` is the name of the configured head end that
    serves the device (default by AMS id). `create_item_id` is the inbox item that first asked for the device: SAP hears
    nothing of a device before that item's confirmation was delivered.
    """

    KEY: ClassVar[tuple[str, ...]] = ("sender_system", "device_id")

    sender_system: str
    device_id: str
    serial_id: str  # SAP's serial number: the name under which the head end knows the meter
    material_id: str
    valid_from: date
    valid_to: date | None = None
    ams_id: str | None = None
    head_end: str | None = None
    manufacturer_id: str | None = None
    manufacturer_serial_id: str | None = None
    manufacturer_part_id: str | None = None
    create_item_id: int | None = None

    @property
    def wakes(self) -> tuple[str, ...]:
        """Return the one name items wait for until this device exists."""
        return (device_arrival(self.sender_system, self.device_id),)

    def is_valid_on(self, day: date) -> bool:
        """Tell whether the device is in SAP's books on a local date."""
        return self.valid_from <= day and (self.valid_to is None or day < self.valid_to)

    def is_called(self, device_id: str | None) -> bool:
        """Tell whether an id is the device's: one of digits alone is the same with any number of leading zeros."""
        return device_id is not None and _without_zeros(device_id) == _without_zeros(self.device_id)

    def serves_on(self, day: date, *, removal: bool = False) -> bool:
        """Tell whether what the device shows on a local date counts; at its removal that is the day after its last."""
        return self.is_valid_on(day) or (removal and self.valid_to == day)


@dataclass(frozen=True, kw_only=True, slots=True)
class EndDeviceStatus(Value):
    """What is known of a meter from the field: one row per device, written by workers and never by SAP's messages.

    Instants are aware UTC. `registered_at` is set when the registered notification was put into the outbox. `told_at`
    is when the head end last told its own record of the meter, with what it said then: whose meter it is,
    multipliers that are not those of our registers, how many seconds the meter's clock is ahead.
    """

    KEY: ClassVar[tuple[str, ...]] = ("sender_system", "device_id")

    sender_system: str
    device_id: str
    provisioned_at: datetime | None = None
    first_heard_at: datetime | None = None
    last_heard_at: datetime | None = None
    registered_at: datetime | None = None
    has_breaker: bool | None = None  # None: the head end has not said
    switch_state: SwitchState = SwitchState.UNKNOWN
    switch_state_at: datetime | None = None
    told_at: datetime | None = None
    told_device_id: str | None = None
    told_factors: tuple[tuple[str, str], ...] | None = None  # (reading type, multiplier)
    clock_offset_seconds: Decimal | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RegistrationResend(Value):
    """An operator's order to tell SAP once more that a device is registered; the row stays as the audit.

    `attempt` counts the notifications of the device: the first was due by itself, so orders begin with 2. `sent_at` is
    set when the notification was put into the outbox.
    """

    KEY: ClassVar[tuple[str, ...]] = ("sender_system", "device_id", "attempt")

    sender_system: str
    device_id: str
    attempt: int
    reason: str
    ordered_by: str
    ordered_at: datetime
    sent_at: datetime | None = None
