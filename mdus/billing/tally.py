"""Adds the parts of days up to the quantities of a period, exactly: whole numbers, then fractions, rounded once.

Days that a channel measures a point of delivery the whole of come from their stored parts. Days of an exchange are
parted anew, each value under the meter that had it; what meters measured one after the other is one day then, so that
an average is taken over the exchange. Windows of rolling demand reach over midnight. What is measured side by side is
added up, but for demand: that is the highest of any.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mdus.billing.day_parts import DayParts, Mask, Numbers, day_parts, highest, rolling
from mdus.billing.determinant_set import BillingPolicy, DeterminantSetRow
from mdus.billing.measured import Span
from mdus.billing.period import Period
from mdus.billing.register_advance import Advance
from mdus.billing.schedule import Recipe, Schedule
from mdus.domain.channel import MISSING, Channel
from mdus.domain.interval_block import Elements, IntervalBlock

_LARGEST: Final = 2**63 - 1

ChannelDay = tuple[Channel, date]


class Peak(NamedTuple):
    """The highest average: its height in the unit of demand, and when its window began."""

    height: Fraction
    at: datetime


class Flags(NamedTuple):
    """Which marks of values say that they are estimated, and that they are suspect: by the number of the mark."""

    estimated: Mask
    suspect: Mask

    def of(self, block: IntervalBlock) -> tuple[Mask, Mask]:
        """Return which values of a block are."""
        return self.estimated[block.qualities], self.suspect[block.qualities]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StoredParts:
    """Stored parts of days, by channel and day. Days are proleptic ordinals; rows of `numbers` are filled up with 0."""

    spans: Mapping[Channel, slice]
    days: NDArray[np.int64]
    recipes: NDArray[np.int64]
    numbers: Numbers
    missing: NDArray[np.int64]
    estimated: NDArray[np.int64]
    suspect: NDArray[np.int64]

    def between(self, channel: Channel, start: date, end: date) -> slice:
        """Return the rows of a channel's days, half-open."""
        rows = self.spans.get(channel, slice(0, 0))
        first, last = np.searchsorted(self.days[rows], (start.toordinal(), end.toordinal()))
        return slice(rows.start + int(first), rows.start + int(last))


@dataclass(kw_only=True, slots=True)
class Tally:
    """What a period comes to for one reading type: energy by bucket, the highest averages, and how good the values are.

    `advance` is what the registers moved, where that is known; `misfit` says why values could not be counted at all.
    """

    sums: dict[str, Fraction] = field(default_factory=dict)
    peaks: dict[str, Peak] = field(default_factory=dict)
    intervals: int = 0
    missing: int = 0
    estimated: int = 0
    suspect: int = 0
    first_estimated: date | None = None
    advance: Advance | None = None
    misfit: str | None = None

    def add(self, buckets: Sequence[str], numbers: Sequence[int], scale: Fraction) -> None:
        """Add sums by bucket."""
        for bucket, number in zip(buckets, numbers, strict=True):
            self.sums[bucket] = self.sums.get(bucket, Fraction(0)) + number * scale

    def rise(self, bucket: str, height: Fraction, at: datetime) -> None:
        """Take an average that may be the highest; of equals the earliest."""
        known = self.peaks.get(bucket)
        if known is None or (height, -at.timestamp()) > (known.height, -known.at.timestamp()):
            self.peaks[bucket] = Peak(height, at)

    def note_estimated(self, day: date, count: int) -> None:
        """Count estimated values of a day."""
        self.estimated += count
        if count and (self.first_estimated is None or day < self.first_estimated):
            self.first_estimated = day


def lacking(
    spans: Sequence[Span], period: Period, row: DeterminantSetRow, stored: StoredParts, policy: BillingPolicy
) -> tuple[set[ChannelDay], set[ChannelDay]]:
    """Return the whole days without parts that are good, and the days in part: their blocks are to be had."""
    whole: set[ChannelDay] = set()
    partial: set[ChannelDay] = set()
    for span in spans:
        first, after, some = span.days(period.start, period.end)
        partial |= {(span.channel, day) for day in some}
        if first < after:
            plan = policy.plan(row, span.channel, first, after - timedelta(days=1))
            rows = stored.between(span.channel, first, after)
            there = np.zeros((after - first).days, dtype=np.bool_)
            places = stored.days[rows] - first.toordinal()
            there[places] = stored.recipes[rows] == plan.recipes[places]
            whole |= {(span.channel, first + timedelta(days=int(number))) for number in np.flatnonzero(~there)}
    return whole, partial


def tally(
    spans: Sequence[Span],
    period: Period,
    row: DeterminantSetRow,
    stored: StoredParts,
    blocks: Mapping[ChannelDay, IntervalBlock],
    flags: Flags,
    policy: BillingPolicy,
) -> Tally:
    """Return what a period comes to for the reading type of a row; `blocks` has the final values of days in part."""
    found = Tally()
    groups: dict[str, list[Span]] = defaultdict(list)
    for span in spans:
        ratio = policy.ratio(row, span.channel)
        if ratio is None:
            found.misfit = f"values in {span.channel.unit} are none in {row.unit}"
            continue
        groups[span.channel.device_id].append(span)
    for of_device in groups.values():
        _count_days(found, of_device, period, row, stored, policy)
    lanes = list(_lanes([span for some in groups.values() for span in some], period, blocks, flags))
    for lane in lanes:
        _add_lane(found, lane, period, row, stored, policy)
    return found


# -- whole days -------------------------------------------------------------------------------------------------------


def _count_days(
    found: Tally,
    spans: Sequence[Span],
    period: Period,
    row: DeterminantSetRow,
    stored: StoredParts,
    policy: BillingPolicy,
) -> None:
    """Add the whole days of one device; a day lacks where none of its channels has it."""
    length = (period.end - period.start).days
    expected = np.zeros(length, dtype=np.int64)
    there = np.zeros(length, dtype=np.bool_)
    for span in spans:
        first, after, _ = span.days(period.start, period.end)
        if first >= after:
            continue
        plan = policy.plan(row, span.channel, first, after - timedelta(days=1))
        ahead = (first - period.start).days
        expected[ahead : ahead + len(plan.counts)] = plan.counts
        rows = stored.between(span.channel, first, after)
        places = stored.days[rows] - first.toordinal()
        good = stored.recipes[rows] == plan.recipes[places]
        numbers, places = stored.numbers[rows][good], places[good]
        there[ahead + places] = True
        found.missing += int(stored.missing[rows][good].sum())
        found.suspect += int(stored.suspect[rows][good].sum())
        estimated = stored.estimated[rows][good]
        if estimated.any():
            earliest = int(places[np.flatnonzero(estimated)[0]])
            found.note_estimated(first + timedelta(days=earliest), int(estimated.sum()))
        scale = _scale(span, row, policy)
        for layout in plan.layouts:
            mine = layout.days[places]
            if not mine.any():
                continue
            schedule, at = layout.schedule, layout.offset
            count = len(schedule.buckets)
            found.add(schedule.buckets, _sums(numbers[mine][:, at : at + count]), scale)
            if schedule.width:
                part = numbers[mine][:, at : at + schedule.size]
                _raise_whole(found, span, first, places[mine], part, schedule, scale * policy.per_hour(row))
                if schedule.edge:
                    _raise_over_midnight(
                        found, span.channel, first, places[mine], part, plan.schedules, scale * policy.per_hour(row)
                    )
    found.intervals += int(expected.sum())
    found.missing += int(expected[~there].sum())


def _sums(numbers: Numbers) -> list[int]:
    """Return the sums of columns, exact however large."""
    if numbers.size and int(np.abs(numbers).max()) > _LARGEST // len(numbers):
        return [sum(column) for column in numbers.T.tolist()]
    sums: list[int] = numbers.sum(axis=0).tolist()
    return sums


def _raise_whole(
    found: Tally,
    span: Span,
    first: date,
    places: NDArray[np.int64],
    part: Numbers,
    schedule: Schedule,
    scale: Fraction,
) -> None:
    """Take the highest windows within days."""
    count = len(schedule.buckets)
    best = part[:, count : 2 * count].argmax(axis=0).tolist()
    for place, (bucket, day) in enumerate(zip(schedule.buckets, best, strict=True)):
        height = int(part[day, count + place])
        if height != MISSING:
            grid = span.channel.day(first + timedelta(days=int(places[day])))
            at = grid.starts_at(int(part[day, 2 * count + place]))
            found.rise(bucket, height * scale * _hours(schedule), at)


def _raise_over_midnight(
    found: Tally,
    channel: Channel,
    first: date,
    places: NDArray[np.int64],
    part: Numbers,
    schedules: Sequence[Schedule],
    scale: Fraction,
) -> None:
    """Take the highest windows that begin on one of these days and end on the next, where both are there."""
    edge = schedules[int(places[0])].edge
    heads, tails = part[:, -2 * edge : -edge], part[:, -edge:]
    follows = np.flatnonzero(np.diff(places) == 1)
    by_head: dict[bytes, list[int]] = defaultdict(list)
    for before in follows.tolist():
        by_head[schedules[int(places[before + 1])].places[:edge].tobytes()].append(before)
    for some in by_head.values():
        pairs = np.hstack([tails[some], heads[[before + 1 for before in some]]])
        days = [first + timedelta(days=int(places[before])) for before in some]
        _raise_pairs(found, channel, days, pairs, schedules[int(places[some[0] + 1])], scale)


def _raise_pairs(
    found: Tally, channel: Channel, days: Sequence[date], pairs: Numbers, schedule: Schedule, scale: Fraction
) -> None:
    """Take the highest windows over the midnights after `days`: rows hold the edges of both days."""
    edge, there = schedule.edge, pairs != MISSING
    sums, is_whole = rolling(np.where(there, pairs, 0), there, schedule.width)
    peaks = highest(np.where(is_whole, sums, MISSING), np.arange(edge), schedule.places[:edge], len(schedule.buckets))
    best = peaks.sums.argmax(axis=0).tolist()
    for place, (bucket, pair) in enumerate(zip(schedule.buckets, best, strict=True)):
        height = int(peaks.sums[pair, place])
        if height != MISSING:
            grid = channel.day(days[pair])
            at = grid.starts_at(grid.count - edge + int(peaks.places[pair, place]))
            found.rise(bucket, height * scale * _hours(schedule), at)


def _hours(schedule: Schedule) -> Fraction:
    """Return what a quantity of a window is to be multiplied by to be one of an hour."""
    return Fraction(60, schedule.demand.minutes) if schedule.demand is not None else Fraction(1)


def _scale(span: Span, row: DeterminantSetRow, policy: BillingPolicy) -> Fraction:
    """Return what numbers of a span's channel are to be multiplied by to be in the row's unit."""
    ratio = policy.ratio(row, span.channel) or Fraction(1)
    return ratio * span.factor * Fraction(1, 10**span.channel.decimals)


# -- days in part -----------------------------------------------------------------------------------------------------


@dataclass(kw_only=True, slots=True, eq=False)
class _Lane:
    """One day of what meters measured one after the other, in numbers that mean the same."""

    day: date
    span: Span
    channels: set[Channel]
    expected: Mask
    values: Elements
    estimated: Mask
    suspect: Mask

    def takes(self, span: Span, day: date, mask: Mask) -> bool:
        """Tell whether another meter's part of the day fits in: at other times, in the same unit and grid."""
        one, other = self.span.channel, span.channel
        return (
            self.day == day
            and self.span.factor == span.factor
            and (one.interval_minutes, one.time_zone, one.unit, one.decimals)
            == (other.interval_minutes, other.time_zone, other.unit, other.decimals)
            and not (self.expected & mask).any()
        )


def _lanes(
    spans: Sequence[Span], period: Period, blocks: Mapping[ChannelDay, IntervalBlock], flags: Flags
) -> Iterator[_Lane]:
    lanes: list[_Lane] = []
    for span in sorted(spans, key=lambda each: each.start):
        for day in span.days(period.start, period.end)[2]:
            mask = span.mask(day)
            if not mask.any():
                continue
            lane = next((each for each in lanes if each.takes(span, day, mask)), None)
            if lane is None:
                lane = _Lane(
                    day=day,
                    span=span,
                    channels=set(),
                    expected=np.zeros_like(mask),
                    values=np.full(len(mask), MISSING, dtype=np.int64),
                    estimated=np.zeros_like(mask),
                    suspect=np.zeros_like(mask),
                )
                lanes.append(lane)
            lane.channels.add(span.channel)
            lane.expected |= mask
            block = blocks.get((span.channel, day))
            if block is not None:
                estimated, suspect = flags.of(block)
                lane.values = np.where(mask, block.values, lane.values)
                lane.estimated |= mask & estimated
                lane.suspect |= mask & suspect
    yield from lanes


def _add_lane(
    found: Tally, lane: _Lane, period: Period, row: DeterminantSetRow, stored: StoredParts, policy: BillingPolicy
) -> None:
    channel, scale = lane.span.channel, _scale(lane.span, row, policy)
    plan = policy.plan(row, channel, lane.day, lane.day)
    schedule = plan.schedules[0]
    parts: DayParts = day_parts(
        lane.values[np.newaxis],
        Recipe.of((schedule,)),
        estimated=lane.estimated[np.newaxis],
        suspect=lane.suspect[np.newaxis],
        expected=lane.expected[np.newaxis],
    )
    found.intervals += int(lane.expected.sum())
    found.missing += int(parts.missing[0])
    found.suspect += int(parts.suspect[0])
    found.note_estimated(lane.day, int(parts.estimated[0]))
    count = len(schedule.buckets)
    found.add(schedule.buckets, parts.numbers[0, :count].tolist(), scale)
    if not schedule.width:
        return
    height = scale * policy.per_hour(row)
    _raise_whole(found, lane.span, lane.day, np.zeros(1, dtype=np.int64), parts.numbers, schedule, height)
    edge = schedule.edge
    if not edge:
        return
    head, tail = parts.numbers[0, -2 * edge : -edge], parts.numbers[0, -edge:]
    for other in lane.channels:
        before, after = lane.day - timedelta(days=1), lane.day + timedelta(days=1)
        edges = _edges(other, before, period, row, stored, policy)
        if edges is not None and edges[0].edge == edge:
            _raise_pairs(found, channel, [before], np.hstack([edges[2], head])[np.newaxis], schedule, height)
        edges = _edges(other, after, period, row, stored, policy)
        if edges is not None and edges[0].edge == edge:
            _raise_pairs(found, channel, [lane.day], np.hstack([tail, edges[1]])[np.newaxis], edges[0], height)


def _edges(
    channel: Channel,
    day: date,
    period: Period,
    row: DeterminantSetRow,
    stored: StoredParts,
    policy: BillingPolicy,
) -> tuple[Schedule, Numbers, Numbers] | None:
    """Return how a whole day is parted, with its first and its last values; None for one without stored parts."""
    if not period.start <= day < period.end:
        return None
    plan = policy.plan(row, channel, day, day)
    rows = stored.between(channel, day, day + timedelta(days=1))
    if rows.start == rows.stop or stored.recipes[rows.start] != plan.recipes[0]:
        return None
    layout = plan.layouts[0]
    schedule = plan.schedules[0]
    numbers = stored.numbers[rows.start, layout.offset : layout.offset + schedule.size]
    edge = schedule.edge
    return (schedule, numbers[-2 * edge : -edge], numbers[-edge:]) if edge else None
