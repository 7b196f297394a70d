"""A part of the job `head_end_poll`: catches up what meters measured while their head end was not heard.

```
heard again -> what is on its way comes by itself -> who has not told all of it is asked, four times at most
```

Head ends that are asked for all their meters at once need it not: this is for those whose meters are asked one by one.
The commands leave when commands of more urgent kinds have, among reading orders of stored values as they come, and no
more of them at once than the head end bears.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Final

import numpy as np
import structlog

from mdus.domain.channel import MISSING, Channel
from mdus.domain.command import Command, CommandKind
from mdus.domain.end_device import EndDevice
from mdus.domain.end_device_control import NOT_CAPABLE
from mdus.domain.interval_block import IntervalBlock
from mdus.domain.local_time import local_day
from mdus.domain.unheard_time import SETTLES_IN, Lack, UnheardTime
from mdus.domain.value import Remove
from mdus.storage.interval_block import current_blocks
from mdus.storage.session import Database, UnitOfWork
from mdus.storage.unheard_time import devices_served, snapshots_told, times_due

log = structlog.get_logger(__name__)

#: How often a meter is asked that does not answer.
_ASKED_AT_MOST: Final = 4

#: Devices looked at at once: of each there are some days of interval values.
_AT_ONCE: Final = 200

#: Answers that would be the same another time: the meter has nothing of the period, or cannot be asked.
_HOPELESS: Final = frozenset({"NO_DATA", NOT_CAPABLE})

_A_DAY: Final = timedelta(days=1)
_MOMENT: Final = timedelta(seconds=1)


def run(database: Database, zones: Mapping[str, str], *, now: datetime) -> str:
    """Ask for what was told and not heard, where that is due; returns what was done, nothing where nothing was.

    `zones` are those of the midnights of the configured head ends.
    """
    with database.read() as uow:
        due = times_due(uow.connection, now=now)
    return "; ".join(_look(database, time, zone=zones.get(time.head_end), now=now) for time in due)


def _look(database: Database, time: UnheardTime, *, zone: str | None, now: datetime) -> str:
    """Ask whoever has not told, or give up; done again before it was settled, it asks for nothing more."""
    silent = 0 if zone is None else sum(_asked(database, time, zone=zone, now=now))
    is_over = silent == 0 or time.asked >= _ASKED_AT_MOST
    with database.begin() as uow:
        if uow.load(UnheardTime, UnheardTime.KEY, [time.key]) == [time]:  # else it has become longer meanwhile
            later = replace(time, asked=time.asked + 1, look_at=now + SETTLES_IN)
            uow.save([Remove(UnheardTime, time.key) if is_over else later])
    what = f"unheard from {time.begins_at:%Y-%m-%dT%H:%MZ} to {time.ends_at:%Y-%m-%dT%H:%MZ}"
    if silent and is_over:
        log.warning("readings_not_caught_up", head_end=time.head_end, devices=silent, until=time.ends_at.isoformat())
        return f"{time.head_end}, {what}: {silent} meters have not told all they measured, and are asked no more"
    return f"{time.head_end}, {what}: {silent} meters are asked what they measured"


def _asked(database: Database, time: UnheardTime, *, zone: str, now: datetime) -> Iterator[int]:
    """Ask those who have not told, a page and a transaction at a time; yields how many of each page there are."""
    after = ""
    while True:
        with database.read() as uow:
            page = devices_served(uow.connection, time.head_end, after=after, limit=_AT_ONCE)
            lacks = _unanswered(uow, time, [*_snapshots(uow, time, page, zone=zone), *_intervals(uow, time, page)])
        if lacks and time.asked < _ASKED_AT_MOST:
            with database.begin() as uow:
                uow.save([lack.command(time, now=now) for lack in lacks])
        yield len({lack.device.key for lack in lacks})
        if len(page) < _AT_ONCE:
            return
        after = page[-1].serial_id


def _snapshots(uow: UnitOfWork, time: UnheardTime, devices: Sequence[EndDevice], *, zone: str) -> Iterator[Lack]:
    """Yield of each device the midnights, from the first to the last, of which no snapshot is here."""
    midnights = time.midnights(zone=zone)
    told = snapshots_told(uow.connection, devices, midnights)
    for device in devices:
        serving = [at for at in midnights if device.is_valid_on(local_day(at, zone=zone))]
        some = [at for at in serving if (device.sender_system, device.device_id, at) not in told]
        if some:
            end = some[-1] + _MOMENT
            yield Lack(device=device, kind=CommandKind.READ_REGISTERS, period_from=some[0], period_to=end)


def _intervals(uow: UnitOfWork, time: UnheardTime, devices: Sequence[EndDevice]) -> Iterator[Lack]:
    """Yield of each device the time from its first interval to its last of which no value is here.

    A device of which no interval value ever came has no channel, and none to miss.
    """
    by_key = {(device.sender_system, device.device_id): device for device in devices}
    days = [
        (channel, day)
        for channel in uow.load(Channel, EndDevice.KEY, by_key, lock=False)
        for day in _days(time, channel)
        if by_key[channel.sender_system, channel.device_id].is_valid_on(day)
    ]
    blocks = current_blocks(uow.connection, days)
    gaps: dict[tuple[str, str], list[tuple[datetime, datetime]]] = {}
    for channel, day in days:
        gap = _gap(time, channel, day, blocks.get((channel, day)))
        if gap is not None:
            gaps.setdefault((channel.sender_system, channel.device_id), []).append(gap)
    for key, some in gaps.items():
        begin, end = min(gap[0] for gap in some), max(gap[1] for gap in some)
        yield Lack(device=by_key[key], kind=CommandKind.READ_INTERVALS, period_from=begin, period_to=end)


def _days(time: UnheardTime, channel: Channel) -> list[date]:
    first, last = (local_day(at, zone=channel.time_zone) for at in (time.measured_from, time.ends_at))
    return [first + number * _A_DAY for number in range((last - first).days + 1)]


def _gap(
    time: UnheardTime, channel: Channel, day: date, block: IntervalBlock | None
) -> tuple[datetime, datetime] | None:
    """Return the time from the first interval of a day to the last that may have been told and is not here."""
    grid = channel.day(day)
    absent = range(grid.count) if block is None else np.flatnonzero(block.values == MISSING).tolist()
    some = [
        each for each in absent if time.measured_from <= grid.starts_at(each) and grid.ends_at(each) <= time.ends_at
    ]
    return (grid.starts_at(some[0]), grid.ends_at(some[-1])) if some else None


def _unanswered(uow: UnitOfWork, time: UnheardTime, lacks: Sequence[Lack]) -> list[Lack]:
    """Return the lacks without those whose meters have answered for this time: they have told what they have."""
    keys = {
        lack.key(time, attempt=attempt): place
        for place, lack in enumerate(lacks)
        for attempt in range(1, time.asked + 1)
    }
    asked = uow.load(Command, Command.KEY, [(key,) for key in keys], lock=False)
    answered = {keys[each.command_key] for each in asked if each.succeeded or each.result_code in _HOPELESS}
    return [lack for place, lack in enumerate(lacks) if place not in answered]
