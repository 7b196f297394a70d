"""Takes in what meters tell of themselves (EndDeviceEvent), a whole batch at once.

It stores what was told and decides nothing: `event_sorting` does, of all events in the order they came.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from mdus.domain.end_device_event import EndDeviceEvent, event_id
from mdus.domain.head_end import FieldAlarm
from mdus.storage.registry import KnownDevice
from mdus.storage.session import UnitOfWork
from mdus.workers.told import Taken, Told


def take_alarms(
    uow: UnitOfWork, told: Sequence[Told], devices: Mapping[tuple[str, str], KnownDevice], *, now: datetime
) -> Taken:
    """Store the alarms among these events, each once however often it is told: one statement for the batch.

    `devices` are those named, by (head end, serial number). An alarm of a meter unknown as yet has no place. A meter
    that tells something was heard. What it tells changes nothing that is known of it, its breaker least of all.
    """
    taken = Taken()
    area_property = uow.settings.events.area_property
    events: list[EndDeviceEvent] = []
    for each in told:
        for alarm in each.events:
            if not isinstance(alarm, FieldAlarm):
                continue
            device = devices.get((each.head_end, alarm.serial_id))
            if device is None:
                taken.note_unplaced(each.delivery_id, f"no device with serial number {alarm.serial_id}")
                continue
            event = _event(alarm, device, each, area_property=area_property, now=now)
            taken.note_heard((device.sender_system, device.device_id), event.at)
            events.append(event)
    uow.save(events)
    return taken


def _event(alarm: FieldAlarm, device: KnownDevice, told: Told, *, area_property: str, now: datetime) -> EndDeviceEvent:
    """Return the event that a head end tells; a meter whose clock is ahead cannot tell of the future."""
    return EndDeviceEvent(
        event_id=event_id(device=device.device_id, event_type=alarm.event_type, at=alarm.at, source=told.head_end),
        sender_system=device.sender_system,
        device_id=device.device_id,
        event_type=alarm.event_type,
        at=min(alarm.at, now),
        source=told.head_end,
        area=dict(alarm.properties).get(area_property, told.head_end),
        text=alarm.text,
        properties=alarm.properties,
        told_at=told.received_at,
    )
