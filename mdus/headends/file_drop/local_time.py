"""Times of a feed that writes local time instead of UTC, in minutes since 1970, into UTC.

Which hour is meant where clocks show one twice is told by the times of a record, by the records around it or by when
the file came, see `mdus.domain.local_time`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from mdus.domain import local_time
from mdus.domain.local_time import Meanings, Part, Receipt
from mdus.headends.file_drop.runs import EPOCH

_MINUTE: Final = timedelta(minutes=1)
_A_DAY: Final = 1440


class ToldTimes(NamedTuple):
    """The times of a record as they were told, and what it says at each (flag and value)."""

    told: Sequence[int | None]
    step: int
    says: Sequence[tuple[str, str]]


class LocalTime:
    """The clock on the wall of one zone; `tells_ends` where it is read at the ends of intervals.

    `is_in_order` where records of a channel follow each other in true time, also two of the same time on the clock.
    """

    def __init__(self, zone: str, *, tells_ends: bool = True, is_in_order: bool = False) -> None:
        self._zone = zone
        self._tells_ends = tells_ends
        self._is_in_order = is_in_order

    def instants(self, told: Sequence[int | None], step: int) -> list[int | None]:
        """Return the instants of the times of a record, None of one that may be either of two.

        A time not told is `step` minutes after the one before it. Raises ValueError for one that no clock shows.
        """
        times, lengths, counts = self._list(told, step)
        return _spread(local_time.told_apart(times, lengths), counts, step)

    def instants_of_records(
        self, records: Sequence[ToldTimes], *, receipt: Receipt | None = None
    ) -> list[list[int | None]]:
        """Return the instants of the times of all records that a file has of one channel, in their order there."""
        parts, counted = [], []
        for told, step, says in records:
            times, lengths, counts = self._list(told, step)
            rest = iter(says)
            said = [tuple(next(rest) for _ in range(count)) for count in counts]
            parts.append(Part(times=times, lengths=lengths, says=said))
            counted.append(counts)
        found = local_time.told_apart_in_parts(parts, are_in_order=self._is_in_order, receipt=receipt)
        return [_spread(ats, counts, record.step) for ats, counts, record in zip(found, counted, records, strict=True)]

    def _list(self, told: Sequence[int | None], step: int) -> tuple[list[Meanings], list[timedelta] | None, list[int]]:
        """Return what the times told may mean, how long after each the next one told is, and for how many each is."""
        walls = [(place, wall) for place, wall in enumerate(told) if wall is not None]
        counts = [later - earlier for earlier, later in pairwise([*(place for place, _ in walls), len(told)])]
        # A day is no length: they last 23 to 25 hours.
        are_days = step > 0 and step % _A_DAY == 0
        times = [self._day_bound(wall) if are_days else self._meanings(wall) for _, wall in walls]
        return times, None if are_days or not step else [count * step * _MINUTE for count in counts], counts

    def earliest(self, told: int) -> int:
        """Return the first instant that a time may mean."""
        return _minutes(local_time.earliest(_shown(told), zone=self._zone))

    def day_bound(self, told: int) -> int | None:
        """Return the instant at which a day begins or ends, None of one that may be either of two."""
        (at,) = local_time.told_apart([self._day_bound(told)])
        return None if at is None else _minutes(at)

    def _day_bound(self, wall: int) -> Meanings:
        # Some zones have midnight twice: a day begins at the first, which is where the one before it ends.
        found = self._meanings(wall)
        return found if wall % _A_DAY else found[:1]

    def _meanings(self, wall: int) -> Meanings:
        found = local_time.meanings(_shown(wall), zone=self._zone)
        if not found or not (self._tells_ends or self._is_shown(found[0], wall)):
            raise ValueError(f"a time on the clocks of {self._zone} is expected, found {_shown(wall):%Y-%m-%d %H:%M}")
        return found

    def _is_shown(self, at: datetime, wall: int) -> bool:
        """Tell whether clocks show a time at an instant: the first one they skip they do not."""
        return at.astimezone(ZoneInfo(self._zone)).replace(tzinfo=None) == _shown(wall)


def _spread(ats: Sequence[datetime | None], counts: Sequence[int], step: int) -> list[int | None]:
    """Return the instants of all times by those of the ones that were told."""
    found: list[int | None] = []
    for at, count in zip(ats, counts, strict=True):
        begin = None if at is None else _minutes(at)
        found += [None if begin is None else begin + step * place for place in range(count)]
    return found


def _shown(wall: int) -> datetime:
    return (EPOCH + wall * _MINUTE).replace(tzinfo=None)


def _minutes(at: datetime) -> int:
    return (at - EPOCH) // _MINUTE
