"""Interval values: what a meter has stored of them, what the head end has of those by when, and how they are told.

Whatever a meter measures follows from its registers; what is wrong on the way (`Kind`) follows from the seed, or was
made by a fault or by hand. So nothing of it is stored, and a page asked for later agrees with what was pushed.

A meter delivers in periods: each quarter of an hour, each hour, or the local day (with its snapshot). The values of a
period are told once it is collected, the late and revised ones of it again with a second collection.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from simulators.clock import stamp
from simulators.fleet.meters import Channel, Irregularity, Kind, Meter, fraction, midnight
from simulators.fleet.snapshots import Collection

Block = dict[str, Any]

AFTER_PERIOD = timedelta(minutes=1)  # from the end of a period to its collection, of meters that deliver by themselves
SECOND_AFTER = timedelta(hours=6)  # from that to the second collection; meters that deliver daily: the next day

# IEC 61968-9 qualities in use.
NOT_COLLECTED = "2.5.259"
NOT_MEASURED = "1.2.32"
ESTIMATED = "2.8.0"

_EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)
_INSTANT = timedelta(microseconds=1)


#: One interval as it is told: the quantity or None, and its quality, None where it is valid.
Value = tuple[str | None, str | None]

#: Says how an interval is told, from its start, its true quantity in millionths and what is wrong with it; None: not at
#: all.
Telling = Callable[[datetime, int, Kind | None], Value | None]


class Profiles:
    """This will tell the interval values of meters in blocks; `daily` makes all meters deliver once a day."""

    def __init__(self, collection: Collection, *, seed: int, zone: ZoneInfo, rate: float, daily: bool = False) -> None:
        self._collection = collection
        self._seed = seed
        self._zone = zone
        self._rate = rate
        self._daily = daily

    # --- when ---------------------------------------------------------------------------------------------------------

    def period(self, meter: Meter) -> timedelta | None:
        """This will return how often a meter delivers by itself; None when it does so daily, with its snapshot."""
        return None if self._daily else meter.delivers

    def delivering(self, meter: Meter, channel: Channel) -> datetime | None:
        """This will return from when on a channel is told of, None when it is not."""
        since = meter.collected_since.get(channel.obis)
        if since is None or meter.first_heard_at is None:
            return None
        return max(since, meter.first_heard_at)

    def since(self, meter: Meter) -> datetime | None:
        """This will return from when on any channel of a meter is told of, None when none is."""
        return min(
            (since for channel in meter.channels if (since := self.delivering(meter, channel)) is not None),
            default=None,
        )

    def collected(self, meter: Meter, day: date, *, now: datetime) -> tuple[datetime, datetime]:
        """This will return until when the intervals of a local day are collected by now, and a second time."""
        period = self.period(meter)
        if period is not None:
            return floor(now - AFTER_PERIOD, period), floor(now - AFTER_PERIOD - SECOND_AFTER, period)
        begin, end = midnight(day, self._zone), midnight(day + _DAY, self._zone)
        once, twice = (self._collection.collected_at(meter, after) <= now for after in (day + _DAY, day + 2 * _DAY))
        return end if once else begin, end if once and twice else begin

    # --- what ---------------------------------------------------------------------------------------------------------

    def first_telling(
        self, meter: Meter, begin: datetime, end: datetime, *, twice: datetime | None = None
    ) -> list[Block]:
        """This will return the blocks of intervals that start in [begin, end), as they are told when collected.

        Those before `twice` are told as after their second collection: it has passed, too, when much is caught up.
        """

        def told(start: datetime, true: int, kind: Kind | None) -> Value | None:
            if kind in (Kind.LATE, Kind.REVISED) and twice is not None and start < twice:
                return printed(true), None
            return None if kind is Kind.LATE else _first(true, kind)

        return self._blocks(meter, begin, end, told)

    def second_telling(self, meter: Meter, begin: datetime, end: datetime) -> list[Block]:
        """This will return what the second collection of these intervals adds: what was late, what was estimated."""

        def told(start: datetime, true: int, kind: Kind | None) -> Value | None:
            return (printed(true), None) if kind in (Kind.LATE, Kind.REVISED) else None

        return self._blocks(meter, begin, end, told)

    def known(self, meter: Meter, day: date, begin: datetime, end: datetime, *, now: datetime) -> list[Block]:
        """This will return what the head end has by now of the intervals of a local day that start in [begin, end)."""
        once, twice = self.collected(meter, day, now=now)

        def told(start: datetime, true: int, kind: Kind | None) -> Value | None:
            if kind is not Kind.LOST and any(first <= start < last for first, last in meter.read_again):
                return printed(true), None
            if start >= (twice if kind is Kind.LATE else once):
                return None
            if kind is Kind.LATE or (kind is Kind.REVISED and start < twice):
                return printed(true), None
            return _first(true, kind)

        begin, end = max(begin, midnight(day, self._zone)), min(end, midnight(day + _DAY, self._zone))
        return self._blocks(meter, begin, end, told)

    def page(
        self,
        meters: Sequence[Meter],
        begin: datetime,
        end: datetime,
        *,
        now: datetime,
        after: tuple[str, str] | None,
        limit: int,
    ) -> tuple[list[Block], tuple[str, str] | None]:
        """This will return what is known of up to `limit` meters' days, by day and serial.

        `after` is the last (day, serial) of the page before; returned is that of this one, None when no more follow.
        """
        blocks: list[Block] = []
        last: tuple[str, str] | None = None
        taken = 0
        day = begin.astimezone(self._zone).date()
        if after is not None:
            day = max(day, date.fromisoformat(after[0]))
        while midnight(day, self._zone) < min(end, now):
            for meter in meters:
                if after is not None and (day.isoformat(), meter.serial) <= after:
                    continue
                found = self.known(meter, day, begin, end, now=now)
                if not found:
                    continue
                if taken == limit:
                    return blocks, last
                blocks += found
                last = (day.isoformat(), meter.serial)
                taken += 1
            day += _DAY
        return blocks, None

    def stored(
        self, meter: Meter, begin: datetime, end: datetime, *, now: datetime, estimated: bool = False
    ) -> list[Block]:
        """This will return what the meter itself has by now of the intervals that start in [begin, end).

        With `estimated` it is what the head end would guess of what the meter has measured.
        """

        def told(start: datetime, true: int, kind: Kind | None) -> Value | None:
            if kind is Kind.LOST:
                return _first(true, kind)
            return _first(true, Kind.REVISED if estimated else None)

        return self._blocks(meter, begin, min(end, now), told, ended_by=now)

    def true(self, meter: Meter, channel: Channel, begin: datetime, end: datetime) -> list[tuple[datetime, int]]:
        """This will return the intervals that start in [begin, end), and what truly passed in them, in millionths.

        The range lies in one local day.
        """
        # Intervals are counted from local midnight.
        origin, length = midnight(begin.astimezone(self._zone).date(), self._zone), channel.length
        first, last = -((origin - begin) // length), -((origin - end) // length)
        starts = [origin + number * length for number in range(first, last + 1)]
        passed = [meter.counted(channel.register, at) for at in starts] if first < last else []
        return [(at, after - before) for at, before, after in zip(starts, passed, passed[1:], strict=False)]

    # --- how ----------------------------------------------------------------------------------------------------------

    def _blocks(
        self, meter: Meter, begin: datetime, end: datetime, told: Telling, *, ended_by: datetime | None = None
    ) -> list[Block]:
        """This will make the blocks of a range, as far as told of; or, with `ended_by`, whatever has ended by then."""
        blocks: list[Block] = []
        since = self.since(meter)
        if since is None:
            return blocks
        for first, last in self._days(begin if ended_by else max(begin, since), end):
            wrong = [*self._drawn(meter, first, last), *meter.irregularities]
            for channel in meter.channels:
                since = self.delivering(meter, channel)
                if since is None:
                    continue
                if ended_by is None:
                    measured = self.true(meter, channel, max(first, since), last)
                else:
                    measured = self.true(meter, channel, first, min(last, ended_by - channel.length + _INSTANT))
                blocks += _runs(
                    meter, channel, [(start, told(start, true, _kind(wrong, start))) for start, true in measured]
                )
        return blocks

    def _days(self, begin: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
        while begin < end:
            following = midnight(begin.astimezone(self._zone).date() + _DAY, self._zone)
            yield begin, min(following, end)
            begin = following

    def _drawn(self, meter: Meter, begin: datetime, end: datetime) -> Iterator[Irregularity]:
        """This will draw what is wrong with the periods that touch [begin, end), which lies in one local day."""
        if self._rate <= 0:
            return
        period = self.period(meter)
        if period is None:
            first = midnight(begin.astimezone(self._zone).date(), self._zone)
            kind = self._draw(meter, first)
            if kind is not None and kind is not Kind.LATE:  # a late day comes whole, with its snapshot
                hour = int(fraction(self._seed, meter.serial, first, "hour") * 20)
                first += timedelta(hours=hour)
                yield Irregularity(begin=first, end=first + timedelta(hours=1 + hour % 4), kind=kind)
            return
        first = floor(begin, period)
        while first < end:
            kind = self._draw(meter, first)
            if kind is not None:
                yield Irregularity(begin=first, end=first + period, kind=kind)
            first += period

    def _draw(self, meter: Meter, period: datetime) -> Kind | None:
        draw = fraction(self._seed, meter.serial, period.timestamp(), "profile") / self._rate
        return (Kind.LATE, Kind.GAP, Kind.LOST, Kind.REVISED)[int(draw * 4)] if draw < 1 else None


def floor(instant: datetime, period: timedelta) -> datetime:
    """This will return the last beginning of a period not after an instant."""
    return instant - (instant - _EPOCH) % period


def _kind(wrong: Sequence[Irregularity], start: datetime) -> Kind | None:
    # What was made counts before what was drawn, the last made before the others.
    if not wrong:
        return None
    return next((each.kind for each in reversed(wrong) if each.begin <= start < each.end), None)


def _first(true: int, kind: Kind | None) -> Value:
    match kind:
        case Kind.GAP:
            return None, NOT_COLLECTED
        case Kind.LOST:
            return None, NOT_MEASURED
        case Kind.REVISED:
            return printed(true + true // 4 + 1000), ESTIMATED
        case Kind.MULTIPLIED:
            return printed(true * 10), None
        case _:
            return printed(true), None


def _runs(meter: Meter, channel: Channel, values: Sequence[tuple[datetime, Value | None]]) -> Iterator[Block]:
    """This will make a block of each run of consecutive intervals that are told."""
    for is_told, run in groupby(values, key=lambda each: each[1] is not None):
        if is_told:
            starts, told = zip(*run, strict=True)
            yield _block(meter, channel, starts[0], told)


def _block(meter: Meter, channel: Channel, start: datetime, values: Sequence[Value]) -> Block:
    block = {
        "serial": meter.serial,
        "obis": channel.obis,
        "unit": channel.unit,
        "interval_minutes": channel.minutes,
        "start": stamp(start),
        "values": [quantity for quantity, _ in values],
    }
    if any(quality for _, quality in values):
        block["quality"] = [quality for _, quality in values]
    return block


def printed(millionths: int) -> str:
    """This will print a quantity with all its digits."""
    return f"{millionths // 1_000_000}.{millionths % 1_000_000:06d}"
