"""Which values of a profile's day are to go to SAP now, how, and when to look again.

```
day in windows -- not over, or its cut-off is to come ----> later
                  complete enough -------------------------> what SAP lacks: Create; what it has otherwise: Change
                  not, and the second limit is to come ----> the meter is asked for them, later
                  not, and the second limit has passed ----> what there is, and a case that says what is missing
```

Windows are judged anew at every look; only what SAP was told is remembered. So an interval is created once, whatever
comes late, twice or never, and whenever a look is taken.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Final

import numpy as np

from mdus.domain.channel import MISSING, DayGrid
from mdus.domain.command import Command
from mdus.domain.end_device import EndDevice
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.interval_block import LATE_AFTER
from mdus.domain.interval_reading import read_intervals
from mdus.domain.local_time import day_start, local_day
from mdus.domain.reading_quality import QualitySet
from mdus.domain.time_series import (
    Blocks,
    DeviceKey,
    Grid,
    Mask,
    ProfileDay,
    Segment,
    Sources,
    TimeSeriesAssignment,
    profile_day,
)
from mdus.domain.time_series_policy import Gaps, Schedule, TimeSeriesPolicy
from mdus.domain.time_series_upload import (
    OTHERWISE,
    VALUES_MISSING,
    Marked,
    Operation,
    TimeSeriesDay,
    TimeSeriesLook,
    TimeSeriesUpload,
    runs,
    stored,
)
from mdus.domain.value import Remove, Value

#: When to look again at a day whose values are on their way to SAP, or still come in.
_SOON: Final = timedelta(minutes=15)
#: The same for a day whose device SAP may not hear of yet, and for one of which values are missing after all.
_LATER: Final = timedelta(hours=1)
#: The same for a day that waits for SAP to tell of a register.
_NEXT_DAY: Final = timedelta(days=1)
#: How long after the end of a day missing values are still looked for; those that come later say so themselves.
_LOOKED_FOR: Final = 2 * LATE_AFTER

_ONE_DAY: Final = timedelta(days=1)
_MINUTE: Final = timedelta(minutes=1)
#: Enough on both sides of a UTC date to hold the local day of any zone.
_ANY_ZONE: Final = timedelta(hours=15)


def case_key(sender_system: str, time_series_id: str, day: date) -> str:
    """Return the key of a profile day's cases."""
    return f"{sender_system}/{time_series_id}/{day}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A look and what feeds the profile on its day: what has to be loaded for it is known now."""

    look: TimeSeriesLook
    day: DayGrid
    grid: Grid
    segments: tuple[Segment, ...]
    schedule: Schedule
    following: TimeSeriesLook | None = None  # the look at the next day that the profile has values on


def prepared(
    look: TimeSeriesLook, assignments: Sequence[TimeSeriesAssignment], sources: Sources, *, now: datetime
) -> Prepared | TimeSeriesLook | None:
    """Return what a look needs; without anything to export that day only the look at the next, if there is one."""
    exported = [each for each in assignments if each.exported and not each.remotely_stored]
    midnight = datetime(look.day.year, look.day.month, look.day.day, tzinfo=UTC)
    around = sources.segments(exported, start=midnight - _ANY_ZONE, end=midnight + _ONE_DAY + _ANY_ZONE)
    grid = Grid.of(around, zone=sources.zone) if around else None
    zone = grid.zone if grid else sources.zone
    following = _following(look, exported, sources.policy, zone=zone, now=now) if look.onward else None
    if grid is None:
        return following
    day = grid.day(look.day)
    segments = tuple(sources.segments(exported, start=day.start, end=day.end))
    if not segments:
        return following
    schedule = _schedule(segments[-1].assignment, sources.policy)
    return Prepared(look=look, day=day, grid=grid, segments=segments, schedule=schedule, following=following)


def _schedule(assignment: TimeSeriesAssignment, policy: TimeSeriesPolicy) -> Schedule:
    return policy.schedule(
        assignment.sender_system,
        time_series=assignment.time_series_id,
        role=assignment.role_code,
        recurrence=assignment.recurrence_code,
    )


def _following(
    look: TimeSeriesLook,
    assignments: Sequence[TimeSeriesAssignment],
    policy: TimeSeriesPolicy,
    *,
    zone: str,
    now: datetime,
) -> TimeSeriesLook | None:
    """Return the look at the next day that an assignment covers: when its first window may go."""
    found: list[tuple[date, TimeSeriesAssignment]] = []
    for assignment in assignments:
        day = max(look.day + _ONE_DAY, local_day(assignment.valid_from, zone=zone))
        if assignment.valid_to is None or day_start(day, zone=zone) < assignment.valid_to:
            found.append((day, assignment))
    if not found:
        return None
    day, assignment = min(found, key=lambda pair: pair[0])
    schedule = _schedule(assignment, policy)
    start, end = day_start(day, zone=zone), day_start(day + _ONE_DAY, zone=zone)
    first = end if schedule.cadence >= _ONE_DAY else min(start + schedule.cadence, end)
    return replace(look, day=day, due_at=max(now, first + schedule.cut_off), onward=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Background:
    """What is known beside a day's values: what SAP has, what is on its way, the case of values that are missing."""

    told: TimeSeriesDay | None = None
    is_under_way: bool = False  # an upload of this day has no outcome yet
    next_number: int = 1
    case: ExceptionCase | None = None


@dataclass(kw_only=True, slots=True)
class Looked:
    """What a look leads to; with `is_settled` nothing of the day is still awaited."""

    changes: list[Value | Remove] = field(default_factory=list)
    uploads: int = 0
    created: int = 0
    changed: int = 0
    is_settled: bool = False


def looked_at(
    there: Prepared,
    blocks: Blocks,
    background: Background,
    *,
    qualities: Mapping[int, QualitySet],
    held: Collection[DeviceKey],
    devices: Mapping[DeviceKey, EndDevice],
    policy: TimeSeriesPolicy,
    now: datetime,
) -> Looked:
    """Return what is to be stored: uploads of what SAP lacks or has otherwise, what it then has, and the next look."""
    look, told = there.look, background.told
    result = Looked(changes=[there.following] if there.following else [])
    if background.is_under_way:
        result.changes.append(replace(look, due_at=now + _SOON, onward=False))
        return result
    if told is not None and told.refusals >= policy.send_attempts:
        result.changes.append(Remove(TimeSeriesLook, look.key))  # until somebody has seen to it
        return result
    values = profile_day(
        there.day, there.segments, blocks, grid=there.grid, qualities=qualities, policy=policy, held=held
    )
    judged = _judged(values, there, now=now)
    _hand_over(result, there, values, judged, background, policy=policy, now=now)
    result.changes += _case(there, judged, background, now=now)
    result.changes += _asks(there, judged, devices, policy=policy, now=now)
    due_at = judged.due_at
    if due_at is None and judged.lacks.any() and now < there.day.end + _LOOKED_FOR:
        due_at = now + _LATER
    elif due_at is None and not _is_covered(there):
        due_at = now + _NEXT_DAY
    result.is_settled = judged.due_at is None
    result.changes.append(_again(there, due_at, policy=policy, now=now))
    return result


def _again(there: Prepared, due_at: datetime | None, *, policy: TimeSeriesPolicy, now: datetime) -> Value | Remove:
    """Return the next look at the day, or the removal of the present one; none after the time for late values."""
    look = there.look
    if due_at is None or due_at > max(there.day.end + policy.backfill, now):
        return Remove(TimeSeriesLook, look.key)
    return replace(look, due_at=due_at, onward=False)


def _is_covered(there: Prepared) -> bool:
    """Tell whether a register feeds the profile all the time it is assigned; one that does not yet may still come."""
    return all(segment.register is not None for segment in there.segments)


# -- windows ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Judged:
    """Which intervals may go, which of them have no value, and when the next window is to be judged.

    `gaps` are those without a value that were to have one, `missing` those of them that were waited for in vain;
    `awaited` those without a value whose cut-off is over.
    """

    goes: Mask
    lacks: Mask
    gaps: Mask
    missing: Mask
    awaited: Mask
    due_at: datetime | None


def _judged(values: ProfileDay, there: Prepared, *, now: datetime) -> _Judged:
    schedule, count = there.schedule, there.day.count
    goes, gaps, missing, awaited = (np.zeros(count, dtype=np.bool_) for _ in range(4))
    lacks = values.expected & ~values.held & ~values.present
    assigned_at = there.segments[-1].assignment.assigned_at
    dues: list[datetime] = []
    for span, ended_at in _windows(there.day, schedule.cadence):
        if ended_at + schedule.cut_off > now:
            dues.append(ended_at + schedule.cut_off)
            break  # those after it end later still
        if ended_at > assigned_at:
            awaited[span] = lacks[span]
        if values.held[span].any():
            dues.append(now + _LATER)
        wanted = int((values.expected[span] & ~values.held[span]).sum())
        is_enough = wanted - int(lacks[span].sum()) >= wanted * schedule.share
        if not is_enough and ended_at + schedule.give_up > now:
            dues.append(min(now + _SOON, ended_at + schedule.give_up))
            continue
        goes[span] = True
        if ended_at > assigned_at:  # of the time before SAP asked for values nobody has promised any
            gaps[span] = lacks[span]
            missing[span] = lacks[span] & ~is_enough
    return _Judged(
        goes=goes, lacks=goes & lacks, gaps=gaps, missing=missing, awaited=awaited, due_at=min(dues, default=None)
    )


def _windows(day: DayGrid, cadence: timedelta) -> Iterator[tuple[slice, datetime]]:
    """Yield the windows of a day: their intervals and the instant at which they end."""
    count = day.count
    size = count if cadence >= _ONE_DAY else max(1, -(-cadence // timedelta(minutes=day.minutes)))
    for first in range(0, count, size):
        last = min(first + size, count)
        yield slice(first, last), day.ends_at(last - 1)


# -- asking -----------------------------------------------------------------------------------------------------------


def _asks(
    there: Prepared,
    judged: _Judged,
    devices: Mapping[DeviceKey, EndDevice],
    *,
    policy: TimeSeriesPolicy,
    now: datetime,
) -> Iterator[Command]:
    """Yield the readings of what meters have stored and nobody has told: from the first gap of each to the last.

    Each is asked at the cut-off, and again after a pause; profiles with the same gap share one command.
    """
    pause, day = policy.ask_again, there.day
    if pause is None or not judged.awaited.any() or now >= day.end + _LOOKED_FOR:
        return
    for segment in there.segments:
        device = None if segment.device is None else devices.get(segment.device)
        if device is None:
            continue
        # An interval is the register's in whose time it ends.
        gaps = [
            place
            for place in np.flatnonzero(judged.awaited).tolist()
            if segment.start < day.ends_at(place) <= segment.end
        ]
        if not gaps:
            continue
        first = gaps[0]
        ended_at = next(end for span, end in _windows(day, there.schedule.cadence) if span.start <= first < span.stop)
        command = read_intervals(
            device,
            begin=day.starts_at(first),
            end=day.ends_at(gaps[-1]),
            attempt=1 + (now - ended_at - there.schedule.cut_off) // pause,
            now=now,
            lasts=pause,
        )
        if command is not None:
            yield command


# -- handing over -----------------------------------------------------------------------------------------------------


def _hand_over(
    result: Looked,
    there: Prepared,
    values: ProfileDay,
    judged: _Judged,
    background: Background,
    *,
    policy: TimeSeriesPolicy,
    now: datetime,
) -> None:
    """Add the uploads of what SAP lacks or has otherwise to the result, and what SAP then has."""
    day, grid, told = there.day, there.grid, background.told
    has = Marked.nothing(day.count) if told is None else told.had_in(day, unit=grid.unit, decimals=grid.decimals)
    wanted, codes = _wanted(values, judged, there.schedule, told.codes.split() if told else [], policy)
    may = (wanted.values != MISSING) & ~values.held
    creates = judged.goes & may & (has.values == MISSING)
    differs = (has.values != wanted.values) | (has.statuses != wanted.statuses)
    changes = may & (has.values != MISSING) & differs
    for operation, which in ((Operation.CREATE, creates), (Operation.CHANGE, changes)):
        places = np.flatnonzero(which).tolist()
        for start in range(0, len(places), policy.values_per_message):
            some = places[start : start + policy.values_per_message]
            before = [place for place in some if has.values[place] not in (MISSING, OTHERWISE)]
            upload = TimeSeriesUpload(
                sender_system=there.look.sender_system,
                time_series_id=there.look.time_series_id,
                number=background.next_number + result.uploads,
                day=there.look.day,
                operation=operation,
                unit=grid.unit,
                decimals=grid.decimals,
                count=len(some),
                content=stored(wanted.at(some, day=day, codes=codes)),
                before=stored(has.at(before, day=day, codes=codes)),
                made_at=now,
            )
            result.changes.append(upload)
            result.uploads += 1
    result.created, result.changed = int(creates.sum()), int(changes.sum())
    if result.created or result.changed:
        has = wanted.where(creates | changes, has)
        result.changes.append(
            TimeSeriesDay(
                sender_system=there.look.sender_system,
                time_series_id=there.look.time_series_id,
                day=there.look.day,
                time_zone=grid.zone,
                interval_minutes=grid.minutes,
                unit=grid.unit,
                decimals=grid.decimals,
                told=has.values.astype("<i8").tobytes(),
                statuses=has.statuses.tobytes(),
                codes=" ".join(codes),
                refusals=told.refusals if told else 0,
            )
        )


def _wanted(
    values: ProfileDay, judged: _Judged, schedule: Schedule, codes: Sequence[str], policy: TimeSeriesPolicy
) -> tuple[Marked, list[str]]:
    """Return what SAP should have, with statuses as places in the codes given and those that are new."""
    known = list(dict.fromkeys([*codes, *values.codes]))
    place_of = np.array([known.index(code) for code in values.codes] or [0], dtype=np.uint8)
    wanted = Marked(values.values, place_of[values.statuses])
    if schedule.gaps is Gaps.OMIT or not judged.gaps.any():
        return wanted, known
    if policy.missing_status not in known:
        known.append(policy.missing_status)
    zeros = Marked(np.zeros_like(wanted.values), np.full_like(wanted.statuses, known.index(policy.missing_status)))
    return zeros.where(judged.gaps, wanted), known


# -- cases ------------------------------------------------------------------------------------------------------------


def _case(there: Prepared, judged: _Judged, background: Background, *, now: datetime) -> Iterator[ExceptionCase]:
    """Yield the case of values that are missing for good, or its end."""
    known = background.case if background.case is not None and background.case.closed_at is None else None
    missing = np.flatnonzero(judged.missing).tolist()
    if not missing:
        if known is not None and judged.due_at is None:
            yield replace(known, closed_at=now)
        return
    look = there.look
    spans = "; ".join(_spans(there.day, missing))
    note = f"{len(missing)} of {there.day.count} values of profile {look.time_series_id} are missing: {spans}"[:1000]
    if known is None or known.note != note:
        key = case_key(look.sender_system, look.time_series_id, look.day)
        opened_at = now if known is None else known.opened_at
        yield ExceptionCase(kind=VALUES_MISSING, case_key=key, opened_at=opened_at, note=note)


def _spans(day: DayGrid, places: Sequence[int]) -> Iterator[str]:
    """Yield the spans of time that intervals make up, for people."""
    for run in runs(day, places, places, [""] * len(places)):
        end = run.start + len(run.values) * run.minutes * _MINUTE
        yield f"{run.start:%Y-%m-%d %H:%M} to {end:%H:%M} UTC"
