"""Takes in what meters tell of themselves (EndDeviceEvent), a whole batch at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from mdus.domain.end_device import EndDevice
from mdus.domain.head_end import FieldAlarm
from mdus.storage.session import UnitOfWork
from mdus.workers.told import Taken, Told


def take_alarms(
    uow: UnitOfWork, told: Sequence[Told], devices: Mapping[tuple[str, str], EndDevice], *, now: datetime
) -> Taken:
    """Take in the alarms among these events.

    `devices` are those named, by (head end, serial number). An alarm of a meter unknown as yet has no place.
    """
    del uow  # nothing is stored yet
    taken = Taken()
    for each in told:
        for alarm in each.events:
            if not isinstance(alarm, FieldAlarm):
                continue
            device = devices.get((each.head_end, alarm.serial_id))
            if device is None:
                taken.note_unplaced(each.delivery_id, f"no device with serial number {alarm.serial_id}")
                continue
            taken.note_heard((device.sender_system, device.device_id), min(alarm.at, now))
    return taken
