"""Holidays: lists of days, each year or on single dates, that are like no weekday."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from functools import lru_cache
from itertools import islice
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from mdus.settings import Section, Settings, Texts


def _month_day(text: str) -> str:
    try:
        date.fromisoformat(f"2000-{text}")
    except ValueError:
        raise ValueError(f"{text!r} is no day of the year such as 12-25") from None
    return text


MonthDay = Annotated[str, Field(pattern=r"^\d\d-\d\d$"), AfterValidator(_month_day)]


def _dates(value: object) -> object:
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


class HolidayRow(Section):
    """A row of `billing_holidays`: one holiday, each year or on single dates, and the lists it stands in."""

    name: str
    lists: Texts
    month_day: MonthDay | None = None
    easter_days: Annotated[int, Field(ge=-100, le=250)] | None = None
    dates: Annotated[tuple[date, ...], BeforeValidator(_dates)] = ()
    from_year: int | None = None
    to_year: int | None = None

    @model_validator(mode="after")
    def _states_one(self) -> HolidayRow:
        if sum((self.month_day is not None, self.easter_days is not None, bool(self.dates))) != 1:
            raise ValueError("a row states one of month_day, easter_days and dates")
        return self

    def is_on(self, day: date) -> bool:
        """Tell whether a local day is this holiday."""
        if not (self.from_year or 0) <= day.year <= (self.to_year or day.year):
            return False
        if self.month_day is not None:
            return f"{day:%m-%d}" == self.month_day
        if self.easter_days is not None:
            return day == easter(day.year) + timedelta(days=self.easter_days)
        return day in self.dates


class Holidays:
    """The days of lists of holidays: `day in holidays`."""

    def __init__(self, rows: Sequence[HolidayRow] = (), *names: str) -> None:
        """Take all holidays, and the names of the lists that count; without one there is no day."""
        self._rows = tuple(row for row in rows if any(name in row.lists for name in names))
        self._of_years: dict[int, tuple[date, ...]] = {}

    @classmethod
    def of(cls, settings: Settings) -> Holidays:
        """Return the list that vee.holidays names, of the holidays of billing."""
        return cls(settings.rows("billing_holidays", HolidayRow), settings.vee.holidays)

    def __contains__(self, day: object) -> bool:
        """Tell whether a local day is one of them."""
        return isinstance(day, date) and day in self._of(day.year)

    def before(self, day: date, *, most: int, since: date) -> list[date]:
        """Return the days of the list before a day, the latest first."""
        years = range(day.year, since.year - 1, -1)
        found = (each for year in years for each in reversed(self._of(year)) if since <= each < day)
        return list(islice(found, most))

    def between(self, after: date, until: date) -> Iterator[date]:
        """Yield the days after a day, up to another."""
        for year in range(after.year, until.year + 1):
            yield from (each for each in self._of(year) if after < each <= until)

    def _of(self, year: int) -> tuple[date, ...]:
        if year not in self._of_years:
            days = (date(year, 1, 1) + timedelta(days=number) for number in range(366))
            self._of_years[year] = tuple(
                day for day in days if day.year == year and any(row.is_on(day) for row in self._rows)
            )
        return self._of_years[year]


@lru_cache(maxsize=256)
def easter(year: int) -> date:
    """Return Easter Sunday of the Gregorian calendar (Meeus, Jones and Butcher)."""
    golden, century, rest = year % 19, year // 100, year % 100
    moon = (19 * golden + century - century // 4 - (century - (century + 8) // 25 + 1) // 3 + 15) % 30
    week = (32 + 2 * (century % 4) + 2 * (rest // 4) - moon - rest % 4) % 7
    late = (golden + 11 * moon + 22 * week) // 451
    month, day = divmod(moon + week - 7 * late + 114, 31)
    return date(year, month, day + 1)
