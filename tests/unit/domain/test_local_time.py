"""Local dates and times to instants: days of 23, 24 and 25 hours, and both ends of the calendar."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest

from mdus.domain.local_time import END_OF_DAY, day_start, end_instant, instant, local_day

BERLIN = "Europe/Berlin"


class TestDayStart:
    @pytest.mark.parametrize(
        ("day", "hours"),
        [
            pytest.param(date(2026, 3, 29), 23, id="clocks go forward"),
            pytest.param(date(2026, 3, 30), 24, id="ordinary"),
            pytest.param(date(2026, 10, 25), 25, id="clocks go back"),
        ],
    )
    def test_leaves_a_day_its_length(self, day: date, hours: int) -> None:
        length = day_start(day + timedelta(days=1), zone=BERLIN) - day_start(day, zone=BERLIN)
        assert length == timedelta(hours=hours)


class TestInstant:
    def test_takes_the_first_of_a_time_shown_twice(self) -> None:
        assert instant(date(2026, 10, 25), time(2, 30), zone=BERLIN) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)

    def test_takes_a_skipped_time_as_long_after_the_change(self) -> None:
        assert instant(date(2026, 3, 29), time(2, 30), zone=BERLIN) == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("at", "found"),
        [
            pytest.param(time(23, 59, 59), datetime(2026, 3, 29, 21, 59, 59, tzinfo=UTC), id="a second before"),
            pytest.param(END_OF_DAY, datetime(2026, 3, 29, 22, tzinfo=UTC), id="24:00:00"),
        ],
    )
    def test_takes_the_end_of_a_day_for_the_next_midnight(self, at: time, found: datetime) -> None:
        assert instant(date(2026, 3, 29), at, zone=BERLIN) == found

    @pytest.mark.parametrize(
        ("day", "at", "zone", "found"),
        [
            pytest.param(date.min, time(0), BERLIN, datetime(1, 1, 1, tzinfo=UTC), id="before the first"),
            pytest.param(
                date.max, END_OF_DAY, BERLIN, datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), id="after the last day"
            ),
            pytest.param(
                date.max,
                time(23),
                "America/New_York",
                datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
                id="after the last",
            ),
        ],
    )
    def test_stays_in_the_calendar(self, day: date, at: time, zone: str, found: datetime) -> None:
        assert instant(day, at, zone=zone) == found


class TestEndInstant:
    @pytest.mark.parametrize(
        ("at", "found"),
        [
            pytest.param(
                time(23, 59, 58), datetime(2026, 3, 29, 21, 59, 58, tzinfo=UTC), id="a second before the last"
            ),
            pytest.param(time(23, 59, 59), datetime(2026, 3, 29, 22, 0, tzinfo=UTC), id="the last second"),
            pytest.param(time(0), datetime(2026, 3, 28, 23, 0, tzinfo=UTC), id="the first instant"),
        ],
    )
    def test_is_half_open(self, at: time, found: datetime) -> None:
        assert end_instant(date(2026, 3, 29), at, zone=BERLIN) == found

    @pytest.mark.parametrize(
        ("day", "open_end"),
        [pytest.param(date.max, True, id="9999-12-31"), pytest.param(date(9999, 12, 30), False, id="before")],
    )
    def test_is_open_on_the_last_day_of_the_calendar(self, day: date, open_end: bool) -> None:
        assert (end_instant(day, time(0), zone=BERLIN) is None) is open_end


def test_local_day_is_the_one_the_zone_shows() -> None:
    at = datetime(2026, 3, 28, 23, 30, tzinfo=UTC)
    assert (local_day(at, zone=BERLIN), local_day(at, zone="Etc/UTC")) == (date(2026, 3, 29), date(2026, 3, 28))
