"""The time in which people work: until when something is due, and how old it is, without nights and free days."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from mdus.domain.holidays import HolidayRow, Holidays
from mdus.settings import Settings

_WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY: Final = timedelta(days=1)
_NONE: Final = Holidays()


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkingCalendar:
    """Working days (Monday is 0) from `begins` to `ends` on local clocks, but for the holidays."""

    zone: str
    begins: time
    ends: time
    weekdays: frozenset[int] = frozenset(range(5))
    holidays: Holidays = _NONE

    @classmethod
    def of(cls, settings: Settings) -> WorkingCalendar:
        """Return when people work as the settings say."""
        told = settings.exceptions
        return cls(
            zone=settings.time_zone,
            begins=told.work_begins,
            ends=told.work_ends,
            weekdays=frozenset(_WEEKDAYS.index(day) for day in told.work_days),
            holidays=Holidays(settings.rows("billing_holidays", HolidayRow), *told.holidays),
        )

    def works_on(self, day: date) -> bool:
        """Tell whether people work on a local day."""
        return day.weekday() in self.weekdays and day not in self.holidays

    def after_hours(self, at: datetime, hours: int) -> datetime:
        """Return the instant when so many working hours have passed since `at`."""
        left = timedelta(hours=hours)
        for begins, ends in self._spans(at):
            begins = max(begins, at)  # the first day may be under way
            if ends - begins >= left:
                return begins + left
            left -= max(ends - begins, timedelta())
        raise AssertionError("there is always another working day")

    def after_days(self, at: datetime, days: int) -> datetime:
        """Return the end of the so-manieth working day after the local day of `at`; 0 is the end of that day itself.

        What comes on a free day counts as come on the next working day.
        """
        ends = [end for _, end in self._some(at, days + 2) if end > at]
        return ends[days]

    def age_in_days(self, since: datetime, at: datetime) -> int:
        """Return how many working days have begun after the local day of `since`, up to that of `at`."""
        zone = ZoneInfo(self.zone)
        return self.working_days(since.astimezone(zone).date(), at.astimezone(zone).date())

    def working_days(self, after: date, until: date) -> int:
        """Return how many working days there are after a day, up to another."""
        if until <= after:
            return 0
        # Whole weeks at once: a case may be years old.
        weeks = (until - after).days // 7
        count = weeks * len(self.weekdays)
        day = after + weeks * 7 * _DAY
        while day < until:
            day += _DAY
            count += day.weekday() in self.weekdays
        free = sum(each.weekday() in self.weekdays for each in self.holidays.between(after, until))
        return count - free

    def _some(self, at: datetime, count: int) -> Iterator[tuple[datetime, datetime]]:
        for number, span in enumerate(self._spans(at)):
            if number == count:
                return
            yield span

    def _spans(self, at: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Yield the working days from the local day of an instant on, each from its begin to its end, in UTC."""
        zone = ZoneInfo(self.zone)
        day = at.astimezone(zone).date()
        while True:
            if self.works_on(day):
                yield self._instant(day, self.begins, zone), self._instant(day, self.ends, zone)
            day += _DAY

    @staticmethod
    def _instant(day: date, clock: time, zone: ZoneInfo) -> datetime:
        return datetime.combine(day, clock, zone).astimezone(UTC)
