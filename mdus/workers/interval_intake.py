"""Takes in the interval values head ends tell, a whole batch at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from mdus.domain.end_device import EndDevice
from mdus.domain.head_end import FieldIntervals
from mdus.storage.session import UnitOfWork
from mdus.workers.told import Taken, Told


def take_intervals(
    uow: UnitOfWork, told: Sequence[Told], devices: Mapping[tuple[str, str], EndDevice], *, now: datetime
) -> Taken:
    """Take in the interval values among these events, pushed, fetched or read by a command.

    `devices` are those named, by (head end, serial number). A block of a meter unknown as yet has no place.
    """
    del uow  # nothing is stored yet
    taken = Taken()
    for each in told:
        for block in each.events:
            if not isinstance(block, FieldIntervals):
                continue
            device = devices.get((each.head_end, block.serial_id))
            if device is None:
                taken.note_unplaced(each.delivery_id, f"no device with serial number {block.serial_id}")
                continue
            measured_until = _measured_until(block)
            if measured_until is not None:
                taken.note_heard((device.sender_system, device.device_id), min(measured_until, now))
    return taken


def _measured_until(block: FieldIntervals) -> datetime | None:
    """Return the end of the last interval with a value: the meter has communicated since."""
    measured = [place for place, value in enumerate(block.values, start=1) if value is not None]
    return block.start_at + measured[-1] * timedelta(minutes=block.interval_minutes) if measured else None
