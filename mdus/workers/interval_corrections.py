"""The job `interval_corrections`: asks meters again for the values that were estimated in their stead.

A value that comes replaces its estimate, and what SAP was sent is changed. Each gap is asked for once a day, as long as
meters keep what they measured (setting); then the estimate stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Final

import numpy as np

from mdus.domain.channel import MISSING, Channel
from mdus.domain.command import Command
from mdus.domain.end_device import EndDevice
from mdus.domain.interval_block import Layer
from mdus.domain.interval_reading import read_intervals
from mdus.settings import Settings
from mdus.storage import validation
from mdus.storage.session import Database, UnitOfWork

#: Days looked through in one transaction.
_AT_ONCE: Final = 500
_A_DAY: Final = timedelta(days=1)


def run(database: Database, *, settings: Settings, now: datetime, day: date) -> str:
    """Ask for what was estimated of the days before a business date; returns what was done."""
    since, after, looked, asked = day - timedelta(days=settings.vee.ask_days), 0, 0, 0
    while True:
        with database.begin() as uow:
            page = validation.estimated_days(uow.connection, since=since, before=day, after=after, limit=_AT_ONCE)
            if not page:
                return f"{looked} days with estimates, {asked} readings of their meters ordered"
            commands = list(_commands(uow, [found[1:] for found in page], now=now, day=day))
            uow.save(commands)
        looked, asked, after = looked + len(page), asked + len(commands), page[-1][0]


def _commands(
    uow: UnitOfWork, days: Sequence[tuple[int, Channel, date]], *, now: datetime, day: date
) -> Iterator[Command]:
    """Yield a reading of each day from its first interval that never came to its last."""
    channels = {channel_id: channel for channel_id, channel, _ in days}
    keys = {(channel.sender_system, channel.device_id) for channel in channels.values()}
    devices = {each.key: each for each in uow.load(EndDevice, EndDevice.KEY, keys, lock=False)}
    raw = validation.blocks_of(
        uow.connection, [(channel_id, on) for channel_id, _, on in days], channels, layer=Layer.RAW
    )
    for channel_id, channel, on in days:
        device, block = devices.get((channel.sender_system, channel.device_id)), raw.get((channel_id, on))
        grid = channel.day(on)
        gaps = list(range(grid.count)) if block is None else np.flatnonzero(block.values == MISSING).tolist()
        if device is None or not gaps:
            continue
        command = read_intervals(
            device,
            begin=grid.starts_at(gaps[0]),
            end=grid.ends_at(gaps[-1]),
            attempt=1000 + (day - on).days,  # apart from those who ask before values are estimated
            now=now,
            lasts=_A_DAY,
        )
        if command is not None:
            yield command
