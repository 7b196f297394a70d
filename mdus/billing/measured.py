"""What measures a point of delivery: channels, each in a span of instants, with the factor of its register.

```
point of delivery --usage point (instants)--> measurement task --register (dates)--> device --reading type--> channel
```

A value belongs to whoever holds at the end of its interval. A channel that two registers name is measured once: by its
own, the interval register, while there is one. Its factor is the one a profile of the same values goes out with.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mdus.domain.channel import Channel
from mdus.domain.register import Register
from mdus.domain.time_series import register_span
from mdus.domain.time_series_policy import TimeSeriesPolicy
from mdus.domain.usage_point import UsagePoint

DeviceKey = tuple[str, str]  # sender system, device id

_A_DAY = timedelta(days=1)


class Dial(NamedTuple):
    """What the register of a channel shows: reading type and unit, digits, and what it is to be multiplied by."""

    reading_type: str
    unit: str
    total_digits: int | None
    fraction_digits: int
    factor: Fraction

    @classmethod
    def of(cls, register: Register) -> Dial:
        """Return that of a register."""
        factor = Fraction(1) if register.factor is None else Fraction(register.factor)
        return cls(register.reading_type, register.unit, register.total_digits, register.fraction_digits, factor)


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A channel measures a point of delivery between two instants, half-open; its values are to be multiplied.

    `dial` is that of the register whose consumption the values are, None where there are several.
    """

    channel: Channel
    start: datetime
    end: datetime | None
    factor: Fraction
    dial: Dial | None = None

    @property
    def first_day(self) -> date:
        """Return the local day it begins in."""
        return self.channel.day_of(self.start).on

    @property
    def day_after(self) -> date | None:
        """Return the first local day without a value, None for an open end."""
        if self.end is None:
            return None
        grid = self.channel.day_of(self.end)
        return grid.on if self.end == grid.start else grid.on + _A_DAY

    def days(self, start: date, end: date) -> tuple[date, date, tuple[date, ...]]:
        """Return of the days from `start` to before `end` those it has wholly (half-open), and those it has in part."""
        first, after = self.first_day, self.day_after
        whole_from, whole_to = first, end if after is None else after
        parts = set()
        if self.start > self.channel.day(first).start:
            parts.add(first)
            whole_from = first + _A_DAY
        if self.end is not None and after is not None:
            last = after - _A_DAY
            if self.end < self.channel.day(last).end:
                parts.add(last)
                whole_to = last
        whole_from, whole_to = max(whole_from, start), min(whole_to, end)
        return whole_from, max(whole_from, whole_to), tuple(sorted(day for day in parts if start <= day < end))

    def mask(self, day: date) -> NDArray[np.bool_]:
        """Return which intervals of a day are its own: those that end within it."""
        grid = self.channel.day(day)
        ends = [grid.ends_at(place) for place in range(grid.count)]
        return np.array([self.start < at and (self.end is None or at <= self.end) for at in ends], dtype=np.bool_)


def spans_of(
    usage_points: Iterable[UsagePoint],
    registers: Mapping[tuple[DeviceKey, str], Sequence[Register]],
    channels: Mapping[DeviceKey, Sequence[Channel]],
    *,
    policy: TimeSeriesPolicy,
    zone: str,
) -> tuple[Span, ...]:
    """Return what measures one point of delivery, by channel in the order of time.

    `registers` are by device and measurement task, dated in `zone`, that of the sender system.
    """
    found: dict[Channel, list[Span]] = {}
    for point in usage_points:
        device = (point.sender_system, point.device_id)
        for register in registers.get((device, point.measurement_task_id), ()):
            start, end = register_span(register, zone=zone)
            start = max(start, point.valid_from)
            end = min((each for each in (end, point.valid_to) if each is not None), default=None)
            if end is not None and end <= start:
                continue
            for channel in _channels(register, channels.get(device, ()), policy):
                factor = policy.factor_of(register, channel.reading_type)
                span = Span(channel=channel, start=start, end=end, factor=factor, dial=Dial.of(register))
                found.setdefault(channel, []).append(span)
    return tuple(span for spans in found.values() for span in _once(spans))


def _channels(register: Register, there: Sequence[Channel], policy: TimeSeriesPolicy) -> Sequence[Channel]:
    """Return the channels that feed a register: of the first reading type there are any of, with the shortest grid."""
    for reading_type in policy.interval_types(register):
        named = [channel for channel in there if channel.reading_type == reading_type]
        if named:
            minutes = min(channel.interval_minutes for channel in named)
            return [channel for channel in named if channel.interval_minutes == minutes]
    return ()


def _once(spans: Iterable[Span]) -> Iterator[Span]:
    """Yield the spans of one channel, each instant in one only; those that touch and have the same factor as one."""
    before: Span | None = None
    for span in sorted(_of_one_register(list(spans)), key=lambda each: each.start):
        if before is None:
            before = span
            continue
        until = before.end
        if until is None or (span.end is not None and span.end <= until):
            continue
        if span.start <= until and span.factor == before.factor:
            before = replace(before, end=span.end, dial=before.dial if span.dial == before.dial else None)
            continue
        yield before
        before = replace(span, start=max(span.start, until))
    if before is not None:
        yield before


def _of_one_register(spans: Sequence[Span]) -> list[Span]:
    """Return the spans of the channel's own register whole, those of others without what it has.

    What was measured is held against a counting register where there is one: nobody reads an interval register.
    """
    own = [span for span in spans if span.dial is not None and span.dial.reading_type == span.channel.reading_type]
    others = [span for span in spans if span not in own]
    found = [part for span in own for part in _held_against(span, others)]
    for other in own:
        others = [left for span in others for left in _outside(span, other)]
    return [*found, *others]


def _held_against(span: Span, counting: Sequence[Span]) -> Iterator[Span]:
    """Yield the parts of a span, each with the dial of the first counting register that is there."""
    rest = [span]
    for other in counting:
        for part in rest:
            start, end = max(part.start, other.start), _earlier(part.end, other.end)
            if end is None or start < end:
                yield replace(part, start=start, end=end, dial=other.dial)
        rest = [left for part in rest for left in _outside(part, other)]
    yield from rest


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    """Return the end that comes first; None is no end."""
    return min((end for end in (one, other) if end is not None), default=None)


def _outside(span: Span, other: Span) -> Iterator[Span]:
    """Yield the parts of a span before and after another."""
    if span.start < other.start:
        yield replace(span, end=other.start if span.end is None else min(span.end, other.start))
    if other.end is not None and (span.end is None or span.end > other.end):
        yield replace(span, start=max(span.start, other.end))
