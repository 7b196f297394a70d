"""UtilitiesDeviceERPSmartMeterRegisteredNotification: we tell SAP that a smart meter answers in its metering system.

From then on SAP uses the meter for remote processes. Nothing comes back.

```
device_create     the device is stored, its confirmation delivered
register_create   it has a register (setting registered_when); its head end is told
head end          hears the meter for the first time
SAP   <--RegisteredNotification--   once for each device; again when an operator orders it
```
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from mdus.contracts.binding import wire
from mdus.domain.end_device import EndDevice
from mdus.domain.local_time import local_day
from mdus.domain.register import Register
from mdus.domain.registration import Registration, registration
from mdus.messaging.outcome import Change
from mdus.messaging.patterns import Due, NotificationSent
from mdus.settings import Settings
from mdus.storage.session import UnitOfWork


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """What SAP reads of one device."""

    device_id: str = wire("UtilitiesDevice/ID")
    start_on: date | None = wire("UtilitiesDevice/SmartMeter/StartDate")
    ams_id: str = wire("UtilitiesDevice/SmartMeter/UtilitiesAdvancedMeteringSystemID")


def select(uow: UnitOfWork, *, now: datetime, limit: int) -> Sequence[Due]:
    """Claim the devices whose notification is due, and mark it sent in the same transaction.

    Due once: the head end has heard the meter, the confirmation of its creation was delivered, and, unless the setting
    `registered_when` is `seen`, it has a register that is or will be valid. A failed delivery the outbox repeats. Due
    again, as another message, whenever an operator orders it: `mdus registered resend`.
    """
    needs_register = uow.settings.registered_when == "seen_and_register"
    # Calendars differ by less than a day: a register that ends today somewhere counts everywhere.
    statuses = uow.devices_to_register(day=now.date(), needs_register=needs_register, limit=limit)
    resends = uow.registrations_to_resend(limit - len(statuses))
    marks: list[tuple[tuple[str, str], int, Change]] = [
        *(((one.sender_system, one.device_id), 1, replace(one, registered_at=now)) for one in statuses),
        *(((one.sender_system, one.device_id), one.attempt, replace(one, sent_at=now)) for one in resends),
    ]
    keys = {key for key, _, _ in marks}
    devices = {device.key: device for device in uow.load(EndDevice, ("sender_system", "device_id"), keys)}
    registers: dict[tuple[str, str], list[Register]] = {}
    for register in uow.load(Register, ("sender_system", "device_id"), keys):
        registers.setdefault((register.sender_system, register.device_id), []).append(register)
    due = []
    for key, attempt, mark in marks:
        device = devices[key]
        today = local_day(now, zone=_zone(uow.settings, device.sender_system))
        due.append(
            Due(
                subject=registration(device, registers=registers.get(key, ()), today=today),
                sender_system=device.sender_system,
                key=device.device_id,
                attempt=attempt,
                changes=(mark,),
            )
        )
    return due


def _zone(settings: Settings, sender_system: str) -> str:
    sender = settings.sender_for(sender_system)
    return settings.time_zone if sender is None else sender.time_zone


def build(subject: Registration) -> Content:
    """Return the notification of one device."""
    return Content(device_id=subject.device_id, start_on=subject.start_on, ams_id=subject.ams_id)


SERVICE = NotificationSent(
    notification="UtilitiesDeviceERPSmartMeterRegisteredNotification",
    bulk_notification="UtilitiesDeviceERPSmartMeterRegisteredBulkNotification",
    content_shape=Content,
    select=select,
    build=build,
)
