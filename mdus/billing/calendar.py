"""Calendars of time of use: which bucket an interval of a local day belongs to.

A calendar is dated; a day has one season and one type (a weekday, or a holiday), and windows of local wall time name
the buckets. On a day of 23 or 25 hours the windows stay where clocks show them: an hour that is skipped is in none, one
that is shown twice is in its window twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Final, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from mdus.domain.channel import DayGrid
from mdus.domain.holidays import HolidayRow, MonthDay
from mdus.settings import Section

Places = NDArray[np.uint8]
Minutes = NDArray[np.int64]

_FIRST_DAY: Final = date.min
_MOST_BUCKETS: Final = 24


class DayType(StrEnum):
    """What a local day is: a weekday, or a holiday, whatever its weekday."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"
    HOLIDAY = "holiday"


_WEEK: Final = tuple(DayType)[:7]

#: Names for several types of days.
_GROUPS: Final = {"workday": _WEEK[:5], "weekend": _WEEK[5:], "every": tuple(DayType)}

_NAME: Final = r"^[a-z][a-z0-9_]{0,29}$"
Bucket = Annotated[str, Field(pattern=_NAME)]


WallTime = Annotated[str, Field(pattern=r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$")]


class WindowRow(Section):
    """A window of local wall time, half-open, on some types of days of a season (None: of all), and its bucket."""

    bucket: Bucket
    days: tuple[str, ...]
    starts: WallTime = Field(default="00:00", alias="from")
    ends: WallTime = Field(default="24:00", alias="to")
    season: str | None = None

    @model_validator(mode="after")
    def _is_sound(self) -> WindowRow:
        unknown = [name for name in self.days if name not in _GROUPS and name not in tuple(DayType)]
        if unknown or not self.days:
            known = ", ".join([*_GROUPS, *DayType])
            raise ValueError(f"days are of {known}")
        if self.minutes[0] >= self.minutes[1]:
            raise ValueError("a window ends after it starts; one over midnight is two")
        return self

    @property
    def minutes(self) -> tuple[int, int]:
        """Return the minutes since local midnight, by the clock on the wall."""
        return _minutes(self.starts), _minutes(self.ends)

    def is_for(self, kind: DayType, season: str | None) -> bool:
        """Tell whether the window is on days of a type in a season."""
        in_season = self.season is None or self.season == season
        return in_season and any(kind == name or kind in _GROUPS.get(name, ()) for name in self.days)


class CalendarRow(Section):
    """A row of `billing_calendars`: what a calendar says from a local day on, until its next row begins."""

    name: str
    calendar: Annotated[str, Field(pattern=_NAME)]
    valid_from: date = _FIRST_DAY
    otherwise: Bucket
    holidays: str | None = None
    seasons: dict[str, MonthDay] = Field(default_factory=dict)
    windows: tuple[WindowRow, ...] = ()

    @model_validator(mode="after")
    def _is_sound(self) -> CalendarRow:
        unknown = {window.season for window in self.windows} - {None, *self.seasons}
        if unknown:
            raise ValueError(f"a window is of the season {min(map(str, unknown))}, which is none of seasons")
        if len(self.buckets) > _MOST_BUCKETS:
            raise ValueError(f"there are more than {_MOST_BUCKETS} buckets")
        return self

    @property
    def buckets(self) -> tuple[str, ...]:
        """Return all buckets of the calendar, in the order of its windows."""
        return tuple(dict.fromkeys([*(window.bucket for window in self.windows), self.otherwise]))

    def season_of(self, day: date) -> str | None:
        """Return the season of a local day: the one that began last, in this year or the one before."""
        starts = sorted((start, name) for name, start in self.seasons.items())
        begun = [name for start, name in starts if start <= f"{day:%m-%d}"]
        return begun[-1] if begun else starts[-1][1] if starts else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Calendars:
    """All calendars and lists of holidays of the settings."""

    rows: tuple[CalendarRow, ...] = ()
    holidays: tuple[HolidayRow, ...] = ()

    def on(self, calendar: str, day: date) -> CalendarRow | None:
        """Return what a calendar says on a local day, None before it begins."""
        begun = [row for row in self.rows if row.calendar == calendar and row.valid_from <= day]
        return max(begun, key=lambda row: row.valid_from, default=None)

    def type_of(self, row: CalendarRow, day: date) -> DayType:
        """Return the type of a local day by the holidays of a calendar."""
        if any(row.holidays in holiday.lists and holiday.is_on(day) for holiday in self.holidays):
            return DayType.HOLIDAY
        return _WEEK[day.weekday()]

    def places(self, row: CalendarRow, grid: DayGrid, zone: str) -> Places:
        """Return the place in `row.buckets` of each interval of a day; of several windows the first that holds it.

        An interval belongs to the window that holds its beginning.
        """
        kind, season = self.type_of(row, grid.on), row.season_of(grid.on)
        clock, buckets = wall_clock(grid, zone).minutes, row.buckets
        places = np.full(grid.count, buckets.index(row.otherwise), dtype=np.uint8)
        for window in reversed(row.windows):
            if window.is_for(kind, season):
                first, last = window.minutes
                places[(clock >= first) & (clock < last)] = buckets.index(window.bucket)
        return places


class WallClock(NamedTuple):
    """What clocks show when the intervals of a day begin: minutes since midnight, and minutes ahead of UTC."""

    minutes: Minutes
    ahead: Minutes


@lru_cache(maxsize=4096)
def wall_clock(grid: DayGrid, zone: str) -> WallClock:
    """Return what clocks in an IANA zone show when each interval of a day begins."""
    local = [grid.starts_at(place).astimezone(ZoneInfo(zone)) for place in range(grid.count)]
    ahead = [int((at.utcoffset() or timedelta()).total_seconds()) // 60 for at in local]
    return WallClock(np.array([at.hour * 60 + at.minute for at in local]), np.array(ahead))


def same_beginning(rows: Sequence[CalendarRow]) -> Iterable[tuple[CalendarRow, CalendarRow]]:
    """Yield pairs of rows of one calendar that begin on the same day."""
    for position, one in enumerate(rows):
        for other in rows[position + 1 :]:
            if (one.calendar, one.valid_from) == (other.calendar, other.valid_from):
                yield one, other


def _minutes(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])
