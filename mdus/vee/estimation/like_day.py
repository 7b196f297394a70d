"""E3 Like day: the values of the first day of a table that has them all.

Formula: x_i = value i of the first day in the row of the day's weekday that has every interval wanted. A cell names a
weekday and how many weeks back it lies: `mon-1` the Monday of the week before, `wed-0` the Wednesday of the same week,
which for a Tuesday is still to come and is taken where it has been measured; weeks begin on Mondays. Holidays stand in
for no weekday; the row `holiday` counts back from the latest Sunday. Unit: that of the channel. Default: the table
`aemo` (metering code of Western Australia, appendix 3, method 14); `itron` is that of a two-week history. Source: both
tables read, but for the week of the second cell of Wednesday, which the copy does not show, and what follows it, and
for the row of holidays of `aemo`, all from memory: `table` states other rows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal

import numpy as np
from pydantic import AfterValidator, Field

from mdus.domain.channel import MISSING
from mdus.vee.days import Days, Elements, Fact
from mdus.vee.method import Estimate, Gaps, Method, first_complete
from mdus.vee.rule import Parameters

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun", "holiday")
_SUNDAY, _HOLIDAY = 6, 7
_CELL: Final = re.compile(r"(mon|tue|wed|thu|fri|sat|sun)-([0-4])")

_TABLES: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "aemo": {
        "mon": ("mon-1",),
        "tue": ("tue-1", "wed-1", "thu-1", "wed-0", "thu-0"),
        "wed": ("wed-1", "tue-0", "thu-1", "thu-0", "tue-1"),
        "thu": ("thu-1", "wed-0", "tue-0", "wed-1", "tue-1"),
        "fri": ("fri-1",),
        "sat": ("sat-1",),
        "sun": ("sun-1",),
        "holiday": ("sun-0", "sun-1"),
    },
    "itron": {
        "mon": ("mon-1", "mon-2"),
        "tue": ("tue-1", "wed-1", "thu-1"),
        "wed": ("wed-1", "tue-0", "tue-1", "thu-1"),
        "thu": ("thu-1", "wed-0", "wed-1", "tue-0", "tue-1"),
        "fri": ("fri-1",),
        "sat": ("sat-1",),
        "sun": ("sun-1",),
        "holiday": ("sun-0", "sun-1"),
    },
}


def _cell(text: str) -> str:
    if not _CELL.fullmatch(text):
        raise ValueError(
            f"{text!r} names no day; mon-1 is the Monday of the week before, wed-0 the same week's Wednesday"
        )
    return text


Row = Annotated[str, Field(pattern="^(mon|tue|wed|thu|fri|sat|sun|holiday)$")]
Cell = Annotated[str, AfterValidator(_cell)]


class Limits(Parameters):
    """The table of like days, and rows that replace its own."""

    variant: Literal["aemo", "itron"] = "aemo"
    table: Mapping[Row, tuple[Cell, ...]] = Field(default_factory=dict)

    def row(self, weekday: str) -> tuple[str, ...]:
        """Return the days that are tried for a weekday, in order."""
        return self.table.get(weekday, _TABLES[self.variant][weekday])


def estimate(gaps: Gaps, limits: Limits) -> Estimate:
    """Return the values of the first like day that has all that is wanted."""
    days = gaps.days
    rows = [limits.row(weekday) for weekday in _DAYS]
    offers = np.full((days.count, max(map(len, rows)), gaps.known.shape[1]), MISSING, dtype=np.int64)
    for weekday, row in enumerate(rows):
        which = np.flatnonzero(days[Fact.WEEKDAY] == weekday)
        for place, cell in enumerate(row if len(which) else ()):
            offers[which, place] = _offered(days, which, weekday, cell)
    chosen, values = first_complete(offers, gaps.wanted)
    found = chosen >= 0
    weekdays = days[Fact.WEEKDAY]
    return Estimate(
        values=values,
        confidence=np.where(found, 0.7 - 0.1 * np.minimum(chosen, 4), 0.0),
        inputs=lambda place: (
            f"the values of {rows[int(weekdays[place])][int(chosen[place])]}, choice {chosen[place] + 1}"
        ),
    )


def _offered(days: Days, which: np.ndarray[tuple[int, ...], np.dtype[np.intp]], weekday: int, cell: str) -> Elements:
    """Return the values (c, n) of the day a cell names, for some days of one weekday."""
    name, _, weeks = cell.partition("-")
    other = _DAYS.index(name)
    history, kinds = days[Fact.HISTORY][which], days[Fact.HISTORY_WEEKDAY][which]
    if weekday == _HOLIDAY:
        # What weekday a holiday falls on is not known: the latest day of that kind is week 0.
        like = kinds == other
        right = like & (np.cumsum(like, axis=1) == int(weeks) + 1)
        place, is_there = np.argmax(right, axis=1), right.any(axis=1)
        return np.where(is_there[:, None], history[np.arange(len(which)), place], MISSING)
    age = weekday - other + 7 * int(weeks)
    if age < 0:
        history, kinds, age = days[Fact.FOLLOWING][which], days[Fact.FOLLOWING_WEEKDAY][which], -age
    if not 0 < age <= history.shape[1]:
        return np.full(history.shape[::2], MISSING, dtype=np.int64)
    return np.where((kinds[:, age - 1] == other)[:, None], history[:, age - 1], MISSING)


METHOD: Final = Method(
    name="like_day",
    number="E3",
    aemo=14,
    estimate=estimate,
    parameters=Limits,
    needs=frozenset({Fact.HISTORY, Fact.HISTORY_WEEKDAY, Fact.WEEKDAY, Fact.FOLLOWING, Fact.FOLLOWING_WEEKDAY}),
)
