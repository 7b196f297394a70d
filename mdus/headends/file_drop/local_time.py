"""Times of a feed that writes local time instead of UTC, in minutes since 1970, into UTC.

An hour that is there twice, when summer time ends, is told apart by the order within a record: a time is the first one
later than the time before it; and where the one after it follows at the record's interval, it is the one that this
agrees with. So a record with nothing but one time of such an hour is of the first. An hour that is not there is a
mistake, but for its beginning, which is the end of the interval before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from mdus.headends.file_drop.runs import EPOCH

_MINUTE = timedelta(minutes=1)


class LocalTime:
    """The clock on the wall of one zone."""

    def __init__(self, zone: str) -> None:
        self._zone = ZoneInfo(zone)

    def instants(self, told: Sequence[int | None], step: int) -> list[int]:
        """Return the instants of the times of a record; None is so many minutes after the one before it.

        Raises ValueError for a time that is on no clock there.
        """
        choices = [None if wall is None else self._choices(wall) for wall in told]
        found: list[int] = []
        for choice in choices:
            before = found[-1] if found else None
            if choice is not None:
                found.append(next((each for each in choice if before is None or each > before), choice[-1]))
            elif before is not None:
                found.append(before + step)
        for place in range(len(found) - 2, -1, -1):
            agreeing = found[place + 1] - step
            if step and agreeing in (choices[place] or ()):
                found[place] = agreeing
        return found

    def _choices(self, wall: int) -> list[int]:
        """Return the instants at which the clock shows a time, earlier ones first."""
        shown = (EPOCH + wall * _MINUTE).replace(tzinfo=None)
        found = sorted({self._instant(shown, fold) for fold in (0, 1)})
        there = [each for each in found if self._shown(each) == shown]
        before = self._instant(shown, 0)
        if not there and self._shown(before - 1) == shown - _MINUTE:
            there = [before]  # the clock is put forward at this very moment
        if not there:
            raise ValueError(f"a time on the clocks of {self._zone.key} is expected, found {shown:%Y-%m-%d %H:%M}")
        return there

    def _instant(self, shown: datetime, fold: int) -> int:
        return (shown.replace(tzinfo=self._zone, fold=fold).astimezone(UTC) - EPOCH) // _MINUTE

    def _shown(self, instant: int) -> datetime:
        return (EPOCH + instant * _MINUTE).astimezone(self._zone).replace(tzinfo=None)
