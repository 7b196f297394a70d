"""Profiles (SAP: UtilitiesTimeSeries): which values are theirs at which time.

```
profile --assignment--> logical register number --register--> device --reading type--> channel
        (instants)                              (dates)       (config/load_profiles.toml)
```

Each step is dated; a profile's day is the values of all channels that feed it then, each in its span. A value belongs
to whoever holds at the end of its interval, so a span that begins within an interval begins with that interval's value.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from math import floor
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from mdus.domain.channel import MISSING, Channel, DayGrid, day_grid
from mdus.domain.interval_block import Elements, IntervalBlock
from mdus.domain.local_time import day_start, local_day
from mdus.domain.reading_quality import QualitySet
from mdus.domain.register import Register
from mdus.domain.time_series_policy import TimeSeriesPolicy
from mdus.domain.value import Value

Mask = NDArray[np.bool_]
Places = NDArray[np.uint8]
DeviceKey = tuple[str, str]  # sender system, device id
ChannelDay = tuple[Channel, date]
Blocks = Mapping[ChannelDay, IntervalBlock]

_LARGEST: Final = 2**63 - 1
_SECOND: Final = timedelta(seconds=1)
_A_DAY: Final = timedelta(days=1)

#: More decimals than this no profile is sent with: an int64 then still holds nine digits before the point.
_MOST_DECIMALS: Final = 9

#: The interval length of a profile that nothing says: neither SAP's codes nor a channel.
_USUAL_MINUTES: Final = 15


@dataclass(frozen=True, kw_only=True, slots=True)
class TimeSeriesAssignment(Value):
    """A profile sits on a logical register number (measurement task) in one role and span of instants, half-open.

    From UtilitiesTimeSeriesERPMeasurementTaskAssignmentChangeRequest. The spans of one profile never overlap. `unit`
    and `fraction_digits` are the profile's; what SAP leaves out is the register's and the channel's. With
    `remotely_stored` its values stay here and are asked for; `exported` is False once SAP wants no more of them.
    `assigned_at` is when SAP said so: that values of the time before are missing is nobody's fault.
    """

    KEY: ClassVar[tuple[str, ...]] = ("sender_system", "time_series_id", "valid_from")

    sender_system: str
    time_series_id: str
    valid_from: datetime
    valid_to: datetime | None = None
    role_code: str
    measurement_task_id: str
    recurrence_code: str | None = None
    interval_minutes: int | None = None
    unit: str | None = None
    total_digits: int | None = None
    fraction_digits: int | None = None
    remotely_stored: bool = False
    exported: bool = True
    ams_id: str | None = None
    assigned_at: datetime

    def overlaps(self, other: TimeSeriesAssignment) -> bool:
        """Tell whether two half-open spans share an instant; spans that only touch do not."""
        return (other.valid_to is None or self.valid_from < other.valid_to) and (
            self.valid_to is None or other.valid_from < self.valid_to
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """A span, half-open, in which a profile is fed by one register and its channels, those that count first first.

    Without a register its logical register number is on no device then.
    """

    assignment: TimeSeriesAssignment
    register: Register | None
    channels: tuple[Channel, ...]
    start: datetime
    end: datetime

    @property
    def device(self) -> DeviceKey | None:
        """Return the key of the device."""
        return None if self.register is None else (self.register.sender_system, self.register.device_id)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sources:
    """What profiles are resolved with: the registers of logical register numbers, and the channels of devices.

    `zone` is the IANA zone of the sender system, in which registers are dated.
    """

    registers: Mapping[str, Sequence[Register]]
    channels: Mapping[DeviceKey, Sequence[Channel]]
    policy: TimeSeriesPolicy
    zone: str

    def segments(self, assignments: Sequence[TimeSeriesAssignment], *, start: datetime, end: datetime) -> list[Segment]:
        """Return what feeds a profile in a span of instants, in the order of time."""
        found: list[Segment] = []
        for assignment in sorted(assignments, key=lambda each: each.valid_from):
            first = max(start, assignment.valid_from)
            last = end if assignment.valid_to is None else min(end, assignment.valid_to)
            if first < last:
                found += self._registers(assignment, first, last)
        return found

    def _registers(self, assignment: TimeSeriesAssignment, start: datetime, end: datetime) -> Iterator[Segment]:
        registers = sorted(self.registers.get(assignment.measurement_task_id, ()), key=lambda each: each.valid_from)
        for register in registers:
            first, last = register_span(register, zone=self.zone)
            first, last = max(first, start), end if last is None else min(last, end)
            if first >= last:
                continue
            if start < first:
                yield Segment(assignment=assignment, register=None, channels=(), start=start, end=first)
            channels = self._channels(assignment, register)
            yield Segment(assignment=assignment, register=register, channels=channels, start=first, end=last)
            start = last
        if start < end:
            yield Segment(assignment=assignment, register=None, channels=(), start=start, end=end)

    def _channels(self, assignment: TimeSeriesAssignment, register: Register) -> tuple[Channel, ...]:
        """Return the channels that feed a register: of the profile's interval length, or the shortest there is."""
        there = self.channels.get((register.sender_system, register.device_id), ())
        ordered = [
            channel
            for reading_type in self.policy.interval_types(register)
            for channel in there
            if channel.reading_type == reading_type
        ]
        minutes = assignment.interval_minutes or min((each.interval_minutes for each in ordered), default=0)
        return tuple(each for each in ordered if each.interval_minutes == minutes)


def register_span(register: Register, *, zone: str) -> tuple[datetime, datetime | None]:
    """Return the half-open instants between which a register carries its logical register number."""
    end = None if register.valid_to is None else day_start(register.valid_to, zone=zone)
    return day_start(register.valid_from, zone=zone), end


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """How a profile counts its days: the zone, the length of its intervals, its unit and decimals."""

    zone: str
    minutes: int
    unit: str
    decimals: int

    @classmethod
    def of(cls, segments: Sequence[Segment], *, zone: str) -> Grid:
        """Return the grid of what feeds a profile: the newest channel's days, else those of the sender's zone."""
        register = next((each.register for each in reversed(segments) if each.register is not None), None)
        channel = next((each.channels[0] for each in reversed(segments) if each.channels), None)
        assignment = segments[-1].assignment
        decimals = assignment.fraction_digits
        if decimals is None:
            decimals = 0 if channel is None else channel.decimals
        return cls(
            zone=zone if channel is None else channel.time_zone,
            minutes=assignment.interval_minutes or (channel.interval_minutes if channel else _USUAL_MINUTES),
            unit=assignment.unit or (register.unit if register is not None else ""),
            decimals=min(decimals, _MOST_DECIMALS),
        )

    def day(self, on: date) -> DayGrid:
        """Return the intervals of a local day."""
        return day_grid(on, self.minutes, self.zone)

    def whole_days(self, start: datetime, end: datetime) -> tuple[datetime, datetime]:
        """Return a span of whole days around another.

        An estimate carries what was cut off the other values of its day, those that nobody asks for, too.
        """
        first, last = (self.day(local_day(at, zone=self.zone)) for at in (start, end))
        return first.start, last.end

    def days(self, start: datetime, end: datetime) -> Iterator[date]:
        """Yield the local days between two instants, those of both included."""
        on, last = local_day(start, zone=self.zone), local_day(end, zone=self.zone)
        while on <= last:
            yield on
            on += _A_DAY


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ProfileDay:
    """The values of a profile on a day: by interval in its unit and decimals, MISSING where there is none.

    `statuses[i]` is the place of the value's status in `codes`. `expected` are the intervals that a register feeds,
    `held` those of them whose device SAP may not hear of yet.
    """

    day: DayGrid
    values: Elements
    statuses: Places
    codes: tuple[str, ...]
    expected: Mask
    held: Mask

    @property
    def present(self) -> Mask:
        """Return which intervals have a value."""
        present: Mask = self.values != MISSING
        return present


def channel_days(segments: Sequence[Segment], day: DayGrid) -> list[ChannelDay]:
    """Return the days of channels that a profile's day is made of."""
    return [
        (channel, on)
        for segment in segments
        for channel in segment.channels
        for on in sorted({channel.day_of(day.start).on, channel.day_of(day.end - _SECOND).on})
    ]


def profile_day(
    day: DayGrid,
    segments: Sequence[Segment],
    blocks: Blocks,
    *,
    grid: Grid,
    qualities: Mapping[int, QualitySet],
    policy: TimeSeriesPolicy,
    held: Collection[DeviceKey] = (),
) -> ProfileDay:
    """Return the values of a profile on a day: multiplied by the register's factor once, cut to its decimals.

    What is cut off is carried by the day's estimates, see `carried`; what a person has said stays. A value that
    validation suspects is none until somebody has decided. `blocks` has the days of `channel_days`, `qualities` the
    sets that their marks name, `held` the devices that SAP may not hear of yet. A unit that cannot be converted gives
    no value.
    """
    count = day.count
    values = np.full(count, MISSING, dtype=np.int64)
    statuses = np.zeros(count, dtype=np.uint8)
    codes: list[str] = []
    expected, is_held = np.zeros(count, dtype=np.bool_), np.zeros(count, dtype=np.bool_)
    ends = _ends(day)
    carry = {mark for mark, some in qualities.items() if some.is_estimated and not some.is_edited}
    taken: list[_Taken] = []
    for segment in segments:
        if segment.register is None:
            continue
        mine = (ends > (segment.start - day.start) / _SECOND) & (ends <= (segment.end - day.start) / _SECOND)
        expected |= mine
        if segment.device in held:
            is_held |= mine
        for channel in segment.channels:
            scale = policy.units.ratio(told=channel.unit, wanted=grid.unit)
            if scale is None:
                continue
            by = scale * policy.factor_of(segment.register, channel.reading_type) * Fraction(10) ** grid.decimals
            for on in {channel.day_of(day.start).on, channel.day_of(day.end - _SECOND).on}:
                block = blocks.get((channel, on))
                if block is not None:
                    places, source = _overlap(day, channel.day(on))
                    filled = _fill(values, statuses, codes, block, by, mine, places, source, qualities, policy)
                    if carry and filled.any():
                        there = (np.flatnonzero(filled) + places.start).tolist()
                        taken.append(_Taken(block=block, by=by, places=there, ahead=source.start - places.start))
    if not (expected & (values == MISSING)).any():  # else each value that comes would change those that were told
        values = _carried(values, taken, carry)
    return ProfileDay(day=day, values=values, statuses=statuses, codes=tuple(codes), expected=expected, held=is_held)


def _ends(day: DayGrid) -> NDArray[np.int64]:
    """Return the seconds from the beginning of the day after which each interval ends."""
    whole = int((day.end - day.start) / _SECOND)
    ends = np.arange(1, day.count + 1, dtype=np.int64) * (day.minutes * 60)
    ends[-1:] = whole
    return ends


def _overlap(day: DayGrid, other: DayGrid) -> tuple[slice, slice]:
    """Return which intervals two days have in common, as places in each; none where they do not begin together."""
    ahead, off = divmod(day.start - other.start, timedelta(minutes=day.minutes))
    first, last = max(0, -ahead), min(day.count, other.count - ahead)
    if off or day.minutes != other.minutes or first >= last:
        return slice(0), slice(0)
    return slice(first, last), slice(first + ahead, last + ahead)


def _fill(
    values: Elements,
    statuses: Places,
    codes: list[str],
    block: IntervalBlock,
    by: Fraction,
    mine: Mask,
    places: slice,
    source: slice,
    qualities: Mapping[int, QualitySet],
    policy: TimeSeriesPolicy,
) -> Mask:
    """Put the values of a block where there are none yet; returns where, within the places."""
    told = scaled(block, by)[source]
    doubtful = [mark for mark, some in qualities.items() if some.is_suspect]
    if doubtful:  # until somebody has decided
        told = np.where(np.isin(block.qualities[source], doubtful), MISSING, told)
    wanted: Mask = mine[places] & (values[places] == MISSING) & (told != MISSING)
    if not wanted.any():
        return wanted
    marks = block.qualities[source]
    place_of = np.zeros(int(marks.max()) + 1, dtype=np.uint8)
    for mark in np.unique(marks[wanted]).tolist():
        code = policy.status_of(qualities[mark])
        if code not in codes:
            codes.append(code)
        place_of[mark] = codes.index(code)
    values[places] = np.where(wanted, told, values[places])
    statuses[places] = np.where(wanted, place_of[marks], statuses[places])
    return wanted


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Taken:
    """Which intervals of a day have values of a block, by how much its places are ahead, and what they are times."""

    block: IntervalBlock
    by: Fraction
    places: list[int]
    ahead: int

    def exact(self) -> Iterator[tuple[int, Fraction, int]]:
        """Yield of each interval its place, the quantity before it is cut, and its mark."""
        block, factor = self.block, self.by / 10**self.block.channel.decimals
        for place in self.places:
            source = place + self.ahead
            text = block.unfit.get(source)
            quantity = int(block.values[source]) * factor if text is None else Fraction(Decimal(text)) * self.by
            yield place, quantity, int(block.qualities[source])


def _carried(values: Elements, taken: Sequence[_Taken], carry: Collection[int]) -> Elements:
    """Return the values of a day with what was cut off carried by those with these marks; a zero stays one."""
    if not any(np.isin(each.block.qualities, list(carry)).any() for each in taken):
        return values
    exact = [one for each in taken for one in each.exact()]
    rests = {place: quantity - int(values[place]) for place, quantity, _ in exact}
    return carried(values, rests, [place for place, quantity, mark in exact if mark in carry and quantity])


def carried(values: Elements, rests: Mapping[int, Fraction], estimates: Collection[int]) -> Elements:
    """Return cut values that add up to what they were before, rounded: the estimates carry what was cut off of all.

    `rests` is what was cut off each value, `estimates` are the places of those that may carry: each its even share,
    and the rest of that the ones of which most was cut off. Other values stay as they are; without an estimate all do.
    """
    lost = floor(sum(rests.values(), Fraction(1, 2)))
    if not lost or not estimates:
        return values
    sign = 1 if lost > 0 else -1
    share, more = divmod(abs(lost), len(estimates))
    made = values.copy()
    ordered = sorted(estimates, key=lambda place: (-sign * rests.get(place, 0), place))
    made[ordered] += sign * share
    made[ordered[:more]] += sign
    return made


def scaled(block: IntervalBlock, by: Fraction) -> Elements:
    """Return the quantities of a block times a number, cut to whole ones: towards zero, never rounded up.

    Also those that the block keeps as text. What is too large for an array has no value.
    """
    elements = block.values
    factor = by / 10**block.channel.decimals
    up, down = factor.numerator, factor.denominator
    largest = int(np.abs(np.where(block.present, elements, 0)).max(initial=0))
    if largest * up <= _LARGEST and down <= _LARGEST:
        shown = np.where(block.present, elements, 0)
        cut = np.sign(shown) * (np.abs(shown) * up // down)
        result: Elements = np.where(block.present, cut, MISSING)
    else:
        exact = [MISSING if element == MISSING else _cut(Fraction(element) * factor) for element in elements.tolist()]
        result = np.array(exact, dtype=np.int64)
    for place, text in block.unfit.items():
        result[place] = _cut(Fraction(Decimal(text)) * by)
    return result


def _cut(value: Fraction) -> int:
    whole = abs(value.numerator) // value.denominator
    return MISSING if whole > _LARGEST else whole if value >= 0 else -whole
