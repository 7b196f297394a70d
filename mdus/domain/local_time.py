"""From dates and times on the wire, of SAP or of a head end, that are local to a named zone, to instants.

When clocks are put back they show an hour twice (on Lord Howe half an hour). SAP's single times are then the first of
the two: `instant`. Of the values of head ends a wrong hour would be a wrong value, so that they are told apart by the
times around them, by those of the records or blocks around theirs, by when they came, or not at all: `meanings`,
`told_apart` and `told_apart_in_parts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from itertools import chain, pairwise
from typing import Final
from zoneinfo import ZoneInfo

#: The instants at which clocks show a time, earlier ones first: one, two where they are put back, none where they skip.
Meanings = tuple[datetime, ...]

#: What is said at a time: the values from it on as they were written, each with what is said of it (flag, quality).
Said = tuple[tuple[str, str], ...]

MIDNIGHT: Final = time(0)
END_OF_DAY: Final = time.max  # how 24:00:00 is held: Python has no such time
_FIRST: Final = datetime(1, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)

_HOUR: Final = timedelta(hours=1)
_NOTHING: Final = timedelta(0)
_TICK: Final = timedelta.resolution

#: How far the clock of a head end may be ahead of ours.
_AHEAD: Final = timedelta(minutes=5)

#: How long after one common instant each meaning of a time is: so that lists can be read from both ends.
_Spans = tuple[timedelta, ...]


def instant(day: date, at: time, *, zone: str) -> datetime:
    """Return the UTC instant of a local date and time in an IANA zone.

    Of a time that clocks show twice it is the first, of one they skip the instant as many minutes after the change; the
    end of a day (24:00:00) is the beginning of the next. Local times whose instant lies beyond the calendar are its
    first or last instant.
    """
    try:
        if at == END_OF_DAY:
            day, at = day + timedelta(days=1), MIDNIGHT
        return earliest(datetime.combine(day, at), zone=zone)
    except OverflowError:
        return _FIRST if day.year == 1 else _LAST


@lru_cache(maxsize=4096)
def day_start(day: date, *, zone: str) -> datetime:
    """Return the UTC instant at which a local day begins; days last 23, 24 or 25 hours."""
    return instant(day, MIDNIGHT, zone=zone)


def end_instant(day: date, at: time, *, zone: str) -> datetime | None:
    """Return the half-open end that SAP's last date and time mean, None for the open end of 9999-12-31.

    The last second of a day (23:59:59, or 24:00:00) means all of it: the end is the next local midnight. Any other time
    is the end itself.
    """
    if day == date.max:
        return None
    if at >= time(23, 59, 59):
        return day_start(day + timedelta(days=1), zone=zone)
    return instant(day, at, zone=zone)


def local_day(at: datetime, *, zone: str) -> date:
    """Return the date that calendars in an IANA zone show at an instant."""
    return at.astimezone(ZoneInfo(zone)).date()


def hours_ahead(at: datetime, *, zone: str) -> Decimal:
    """Return what an IANA zone is ahead of UTC at an instant, in hours with two decimals."""
    offset = at.astimezone(ZoneInfo(zone)).utcoffset() or timedelta()
    return (Decimal(int(offset.total_seconds())) / 3600).quantize(Decimal("0.01"))


def earliest(shown: datetime, *, zone: str) -> datetime:
    """Return the first UTC instant that a local time may mean, of one that clocks skip as long after the change.

    For times by which nothing is put in its place. Raises OverflowError beyond the calendar.
    """
    return shown.replace(tzinfo=ZoneInfo(zone), fold=0).astimezone(UTC)


@lru_cache(maxsize=4096)
def meanings(shown: datetime, *, zone: str) -> Meanings:
    """Return the UTC instants at which clocks in an IANA zone show a time, earlier ones first.

    There are two where clocks are put back, and none of a time they skip; but the first one skipped is the moment at
    which they are put forward, since an interval may end there. Raises OverflowError beyond the calendar.
    """
    first, second = (shown.replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC) for fold in (0, 1))
    if first == second:
        return (first,)
    if first < second:
        return first, second
    just_before = (first - _TICK).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    return (first,) if just_before == shown - _TICK else ()


# ---- times that are there twice --------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """The times of one channel in a record of a file, or in a block of a message; `lengths` as for `told_apart`."""

    times: Sequence[Meanings]
    lengths: Sequence[timedelta] | None
    says: Sequence[Said]  # at each time


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """When a file or message came first, and how long after a time in it what is told there is over at the earliest."""

    came_at: datetime
    over_after: timedelta = _NOTHING  # of a time at which an interval begins: its length

    def narrowed(self, meant: Meanings) -> Meanings:
        """Return which of its instants a time may mean: nothing is told before it is over.

        So what comes at once is of the first hour, while the second is not over yet. That it is of the second nothing
        says: the first may come late, or be told again. Where clocks differ by more than a little nothing is ruled out.
        """
        return tuple(each for each in meant if each + self.over_after <= self.came_at + _AHEAD) or meant


def told_apart_in_parts(
    parts: Sequence[Part], *, are_in_order: bool, receipt: Receipt | None = None
) -> list[list[datetime | None]]:
    """Return the instants of the times of one channel in the parts of a file or message, in their order there.

    What a part does not tell apart by itself is told apart by the others where together they are one list without a
    doubt: of all that the channel has there each time is later than the one before it (or each earlier), both hours are
    there without a gap, between times that are known, and the second says something else than the first. Two parts
    beside each other that name the same times might stand the other way round, as whoever sorts by them puts them:
    their order counts only where parts `are_in_order` whatever they name. Last by the receipt, as in `told_apart`.
    """
    alone = [_by_order(part.times, part.lengths) for part in parts]
    if None not in chain.from_iterable(alone):
        return alone
    could_be_swapped = any(list(one.times) == list(other.times) for one, other in pairwise(parts))
    found = None if could_be_swapped and not are_in_order else _as_one_list(list(chain.from_iterable(alone)), parts)
    if found is not None:
        instants = iter(found)
        return [[next(instants) for _ in part.times] for part in parts]
    if _are_told_twice(list(chain.from_iterable(part.times for part in parts))):
        return alone
    return [_by_receipt(one, part.times, part.lengths, receipt) for one, part in zip(alone, parts, strict=True)]


def _as_one_list(alone: Sequence[datetime | None], parts: Sequence[Part]) -> Sequence[datetime] | None:
    """Return the instants of all times of all parts, None where they are no list that says all of them."""
    meant = list(chain.from_iterable(part.times for part in parts))
    if _may_be_told_again(meant, list(chain.from_iterable(part.says for part in parts))):
        return None
    times = [each if at is None else (at,) for each, at in zip(meant, alone, strict=True)]
    lengths = [length for part in parts for length in part.lengths or [_NOTHING] * len(part.times)]
    found = [at for at in _by_order(times, lengths) if at is not None]
    if len(found) < len(times):
        return None
    order = range(len(found)) if found[0] < found[-1] else range(len(found))[::-1]
    gaps = [(found[later] - found[earlier], lengths[earlier]) for earlier, later in pairwise(order)]
    is_open = [alone[place] is None for place in order]
    if is_open[0] or is_open[-1] or any(gap <= _NOTHING for gap, _ in gaps):
        return None
    beside = (one or other for one, other in pairwise(is_open))
    return found if all(gap == length for (gap, length), near in zip(gaps, beside, strict=True) if near) else None


def told_apart(
    times: Sequence[Meanings],
    lengths: Sequence[timedelta] | None = None,
    *,
    says: Sequence[Said] | None = None,
    receipt: Receipt | None = None,
) -> list[datetime | None]:
    """Return the instants of the times of a list, None of each that may be either of two and nothing says which.

    Each has one or two meanings, and `lengths` says of each how long after it the next one is when none is missing
    between (nothing where nobody knows); not told, it is the shortest distance in the list. The list may run backwards.
    A time that is there twice is

    - the one that follows the time before it, or is followed by the one after it, at just that length, from time to
      time beginning with one that is there once;
    - else the only one that is not before the end of the time before it, nor after the beginning of the one after it;
    - where times follow each other at just that length through the whole hour up to the same time again: of the first
      hour, and then of the second;
    - else, where no time is told twice, the one that was over when it came (`receipt`), and what follows from that.

    Where this says two things neither is believed: one hour of two is missing. Nor is anything of a list that cannot be
    in order, or that `says` the same at such times as if one hour was told again. A list that ends beside a gap of just
    the hour reads as if nothing was missing: nobody can see that.
    """
    if says is not None and _may_be_told_again(times, says):
        return [each[0] if len(each) == 1 else None for each in times]
    found = _by_order(times, lengths)
    return found if _are_told_twice(times) else _by_receipt(found, times, lengths, receipt)


def _by_receipt(
    alone: list[datetime | None],
    times: Sequence[Meanings],
    lengths: Sequence[timedelta] | None,
    receipt: Receipt | None,
) -> list[datetime | None]:
    if receipt is None or None not in alone:
        return alone
    narrowed = [receipt.narrowed(each) if at is None else (at,) for each, at in zip(times, alone, strict=True)]
    return _by_order(narrowed, lengths)


def _by_order(times: Sequence[Meanings], lengths: Sequence[timedelta] | None) -> list[datetime | None]:
    """Return what the order of a list says, see `told_apart`."""
    known = [each[0] for each in times if len(each) == 1]
    if len(known) == len(times):
        return list(known)
    spans = [tuple(each - _FIRST for each in meant) for meant in times]
    if known[-1] < known[0] if len(set(known)) > 1 else len(times) > 2 and _rise(spans) < 0:
        return _by_order(times[::-1], None if lengths is None else lengths[::-1])[::-1]
    if lengths is None:
        lengths = [_shortest_distance(times)] * len(times)
    forwards = _followed(spans, lengths[:-1])
    backwards = _followed([_mirrored(each) for each in spans[::-1]], lengths[-2::-1])[::-1]
    may_be_ordered = _may_be_ordered(times)
    found: list[datetime | None] = []
    for meant, one, other in zip(times, forwards, map(_mirrored, backwards), strict=True):
        common = [each for each in one if each in other]
        if len(meant) == 1:
            found.append(meant[0])
        else:
            found.append(_FIRST + common[0] if may_be_ordered and len(common) == 1 else None)
    return found


def _are_told_twice(times: Sequence[Meanings]) -> bool:
    """Tell whether a time that is there twice is told more than once."""
    several = [each for each in times if len(each) > 1]
    return len(set(several)) < len(several)


def _may_be_told_again(times: Sequence[Meanings], says: Sequence[Said]) -> bool:
    """Tell whether what is told at a time that is there twice may be of one hour, told again."""
    by_time: dict[Meanings, list[Said]] = {}
    for meant, said in zip(times, says, strict=True):
        if len(meant) > 1:
            by_time.setdefault(meant, []).append(said)
    again = [told for told in by_time.values() if len(told) > 1]
    return any(len(told) > 2 or not _is_other(*told) for told in again)


def _is_other(said: Said, later: Said) -> bool:
    """Tell whether two sayings differ in a value of which both say the same: it was neither repeated nor corrected."""
    return any(
        quality == other_quality and value and other_value and _amount(value) != _amount(other_value)
        for (quality, value), (other_quality, other_value) in zip(said, later, strict=False)
    )


def _amount(text: str) -> Decimal | str:
    """Return what a value is however it is written, its text where it is no number."""
    try:
        amount = Decimal(text)
    except InvalidOperation:
        return text
    return amount if amount.is_finite() else text


def _followed(times: Sequence[_Spans], distances: Sequence[timedelta]) -> list[_Spans]:
    """Return what is left of the meanings of each time by the one before it."""
    is_rising = _rise(times) > 0
    left: list[_Spans] = []
    for place, meant in enumerate(times):
        if place and len(left[-1]) == 1 and len(meant) > 1:
            before, distance = left[-1][0], distances[place - 1]
            next_ = before + distance
            if distance and next_ in meant:
                meant = (next_,)
            else:  # the same time may be told again
                meant = tuple(each for each in meant if each >= next_ or each == before)
        if len(meant) > 1 and is_rising and _fits_both_hours(times, distances, place):
            meant = meant[:1]
        left.append(meant)
    return left


def _fits_both_hours(times: Sequence[_Spans], distances: Sequence[timedelta], place: int) -> bool:
    """Tell whether from a time of the first hour on others follow without a gap up to the same time of the second."""
    at, second = times[place]
    for distance, meant in zip(distances[place:], times[place + 1 :], strict=True):
        at += distance
        if not distance or at not in meant:
            return False
        if at >= second:
            return True
    return False


def _rise(times: Sequence[_Spans]) -> int:
    """Return how many times are later on the clock than the one before them, less those that are earlier."""
    return sum((later[0] > earlier[0]) - (later[0] < earlier[0]) for earlier, later in pairwise(times))


def _mirrored(meant: _Spans) -> _Spans:
    return tuple(-each for each in meant[::-1])


def _may_be_ordered(times: Sequence[Meanings]) -> bool:
    """Tell whether the times may be such that none is before the one before it."""
    at = _FIRST
    for meant in times:
        later = [each for each in meant if each >= at]
        if not later:
            return False
        at = later[0]
    return True


def _shortest_distance(times: Sequence[Meanings]) -> timedelta:
    """Return the shortest distance of neighbours, up to an hour, that does not depend on which hour is meant."""
    gaps = [later[0] - earlier[0] for earlier, later in pairwise(times) if len(earlier) == len(later)]
    return min((gap for gap in gaps if _NOTHING < gap <= _HOUR), default=_NOTHING)
