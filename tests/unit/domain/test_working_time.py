"""Due dates and ages are counted in the time people work: no nights, no weekends, no holidays."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

import pytest

from mdus.domain.holidays import HolidayRow, Holidays
from mdus.domain.working_time import WorkingCalendar
from mdus.settings import load_settings

#: Easter 2026: Friday, 3 April, and Monday, 6 April, are free.
CALENDAR = WorkingCalendar(
    zone="Europe/Berlin",
    begins=time(8),
    ends=time(17),
    holidays=Holidays([HolidayRow(name="easter", lists=("land",), dates=(date(2026, 4, 3), date(2026, 4, 6)))], "land"),
)


def berlin(text: str) -> datetime:
    """An instant of the end of March and of April, most of it in summer time."""
    return datetime.fromisoformat(f"2026-{text}:00+02:00").astimezone(UTC)


class TestAfterHours:
    @pytest.mark.parametrize(
        ("at", "hours", "due"),
        [
            pytest.param("04-01T10:00", 4, "04-01T14:00", id="within a day"),
            pytest.param("04-01T10:00", 7, "04-01T17:00", id="to its end"),
            pytest.param("04-01T10:00", 8, "04-02T09:00", id="over night"),
            pytest.param("04-01T03:00", 1, "04-01T09:00", id="before it begins"),
            pytest.param("04-01T20:00", 1, "04-02T09:00", id="after it ended"),
            pytest.param("04-02T16:00", 2, "04-07T09:00", id="over Easter"),
            pytest.param("04-04T12:00", 1, "04-07T09:00", id="from a Saturday"),
            pytest.param("04-10T16:00", 2, "04-13T09:00", id="over a weekend"),
        ],
    )
    def test_counts_working_hours(self, at: str, hours: int, due: str) -> None:
        assert CALENDAR.after_hours(berlin(at), hours) == berlin(due)

    def test_keeps_to_local_clocks_when_they_change(self) -> None:
        # Friday before the clocks go forward, 16:00 in winter time; Monday is in summer time.
        at = datetime(2026, 3, 27, 15, 0, tzinfo=UTC)
        assert CALENDAR.after_hours(at, 2) == datetime(2026, 3, 30, 7, 0, tzinfo=UTC)


class TestAfterDays:
    @pytest.mark.parametrize(
        ("at", "days", "due"),
        [
            pytest.param("04-01T10:00", 0, "04-01T17:00", id="the same day"),
            pytest.param("04-01T10:00", 1, "04-02T17:00", id="the next"),
            pytest.param("04-01T10:00", 2, "04-07T17:00", id="over Easter"),
            pytest.param("04-04T10:00", 0, "04-07T17:00", id="from a free day"),
            pytest.param("04-01T18:00", 0, "04-02T17:00", id="after work"),
        ],
    )
    def test_is_the_end_of_a_working_day(self, at: str, days: int, due: str) -> None:
        assert CALENDAR.after_days(berlin(at), days) == berlin(due)


class TestWorkingDays:
    @pytest.mark.parametrize(
        ("after", "until", "count"),
        [
            pytest.param(date(2026, 4, 1), date(2026, 4, 1), 0, id="the same day"),
            pytest.param(date(2026, 4, 2), date(2026, 4, 1), 0, id="before"),
            pytest.param(date(2026, 4, 1), date(2026, 4, 2), 1, id="the next"),
            pytest.param(date(2026, 4, 2), date(2026, 4, 6), 0, id="over Easter"),
            pytest.param(date(2026, 4, 2), date(2026, 4, 7), 1, id="after Easter"),
            pytest.param(date(2026, 4, 10), date(2026, 4, 12), 0, id="a weekend"),
            pytest.param(date(2026, 3, 2), date(2026, 4, 13), 28, id="six weeks with Easter"),
        ],
    )
    def test_are_counted(self, after: date, until: date, count: int) -> None:
        assert CALENDAR.working_days(after, until) == count

    def test_age_goes_by_local_days(self) -> None:
        # 23:30 UTC is the next day in Berlin already.
        since = datetime(2026, 4, 7, 23, 30, tzinfo=UTC)
        assert CALENDAR.age_in_days(since, datetime(2026, 4, 8, 21, 59, tzinfo=UTC)) == 0
        assert CALENDAR.age_in_days(since, datetime(2026, 4, 8, 22, 0, tzinfo=UTC)) == 1


def test_is_read_from_the_settings() -> None:
    environ = {"MDUS_EXCEPTIONS__HOLIDAYS": "germany", "MDUS_EXCEPTIONS__WORK_DAYS": "mon,sat"}
    calendar = WorkingCalendar.of(load_settings(environ))
    assert calendar.weekdays == {0, 5}
    assert not calendar.works_on(date(2026, 12, 26))
    assert calendar.works_on(date(2026, 12, 19))
    assert WorkingCalendar.of(load_settings({})).works_on(date(2026, 12, 25))
    assert (calendar.begins, calendar.ends) == (time(8), time(17))
