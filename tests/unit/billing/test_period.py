"""Billing periods: from one billing-relevant reading to the next, else calendar months."""

from __future__ import annotations

from datetime import date

import pytest

from mdus.billing.period import Boundary, Period, of_day, periods
from mdus.domain.meter_reading_selection import Anchor

FROM = date(2026, 1, 15)


def reading(month: int, day: int, reason: str = "1", anchor: Anchor = Anchor.END_OF_DAY) -> Boundary:
    return Boundary(scheduled_on=date(2026, month, day), anchor=anchor, reason=reason)


def told(found: list[Period]) -> list[tuple[str, str, str]]:
    return [(f"{period.start:%m-%d}", f"{period.end:%m-%d}", period.reason) for period in found]


class TestReadings:
    def test_end_periods_at_the_end_they_mean(self) -> None:
        boundaries = [reading(3, 31), reading(2, 10, "6", Anchor.START_OF_DAY)]
        found = periods(boundaries, measured_from=FROM, measured_to=None, until=date(2026, 4, 15))
        assert told(found) == [("01-15", "02-10", "6"), ("02-10", "04-01", "1")]

    def test_that_are_yet_to_come_end_none(self) -> None:
        for until, count in ((date(2026, 3, 31), 0), (date(2026, 4, 1), 1)):
            assert len(periods([reading(3, 31)], measured_from=FROM, measured_to=None, until=until)) == count

    @pytest.mark.parametrize("turned", [False, True])
    def test_of_one_boundary_count_by_the_day_they_end(self, turned: bool) -> None:
        both = [reading(3, 31, "3"), reading(4, 1, "6", Anchor.START_OF_DAY)]
        found = periods(both[::-1] if turned else both, measured_from=FROM, measured_to=None, until=date(2026, 5, 1))
        assert told(found) == [("01-15", "04-01", "3")]

    def test_leave_no_month_to_the_calendar(self) -> None:
        found = periods([reading(3, 10)], measured_from=FROM, measured_to=None, until=date(2026, 9, 1))
        assert told(found) == [("01-15", "03-11", "1")]

    def test_before_the_first_value_and_after_the_last_end_none(self) -> None:
        given = [reading(1, 14), reading(2, 10), reading(4, 20)]
        found = periods(given, measured_from=FROM, measured_to=date(2026, 4, 1), until=date(2026, 5, 1))
        assert told(found) == [("01-15", "02-11", "1"), ("02-11", "04-01", "end")]

    def test_on_the_last_day_end_the_last_period(self) -> None:
        found = periods([reading(3, 31, "3")], measured_from=FROM, measured_to=date(2026, 4, 1), until=date(2026, 5, 1))
        assert told(found) == [("01-15", "04-01", "3")]


class TestMonths:
    def test_are_those_of_the_calendar(self) -> None:
        found = periods([], measured_from=FROM, measured_to=None, until=date(2026, 3, 31))
        assert told(found) == [("01-15", "02-01", "month"), ("02-01", "03-01", "month")]

    def test_end_with_the_last_value(self) -> None:
        found = periods([], measured_from=FROM, measured_to=date(2026, 2, 20), until=date(2026, 3, 31))
        assert told(found) == [("01-15", "02-01", "month"), ("02-01", "02-20", "end")]

    def test_end_no_period_that_is_not_over(self) -> None:
        assert periods([], measured_from=FROM, measured_to=date(2026, 1, 20), until=date(2026, 1, 19)) == []


def test_a_day_is_in_the_period_that_holds_it() -> None:
    found = periods([], measured_from=FROM, measured_to=None, until=date(2026, 3, 31))
    assert of_day(found, date(2026, 1, 31)) == found[0]
    assert of_day(found, date(2026, 2, 1)) == found[1]
    assert of_day(found, date(2026, 3, 1)) is None
