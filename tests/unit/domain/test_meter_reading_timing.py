"""When a reading order is read: the window of its value, and the first look."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from mdus.domain.meter_reading_selection import Choice, OutOfReach, ReadingPolicies, ReadingPolicy
from mdus.domain.meter_reading_timing import AskedTooLate, Timing, of_stored_values, on_demand

ZONE = "Europe/Berlin"
DAY = date(2026, 3, 28)
ENDS = datetime(2026, 3, 28, 23, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
TICK = timedelta(microseconds=1)
POLICY = ReadingPolicy(days_back=1, days_forward=2, attempts=3)
POLICIES = ReadingPolicies(by_reason={}, on_demand_timeout=HOUR, on_demand_interval=HOUR / 4, collection_delay=HOUR)


def asked(at: datetime, *, day: date = DAY, policy: ReadingPolicy = POLICY) -> Timing:
    return on_demand(day, zone=ZONE, policy=policy, policies=POLICIES, now=at)


class TestStoredValues:
    @pytest.mark.parametrize(
        ("choice", "first"),
        [
            (Choice.EARLIEST, ENDS - 24 * HOUR + HOUR),
            (Choice.NEAREST, ENDS + HOUR),
            # The clocks change within the window.
            (Choice.LATEST, ENDS + 47 * HOUR + HOUR),
        ],
        ids=str,
    )
    def test_are_looked_for_when_the_best_may_be_there(self, choice: Choice, first: datetime) -> None:
        policy = ReadingPolicy(days_back=1, days_forward=2, choice=choice)
        long_ago = datetime(2026, 1, 1, tzinfo=UTC)
        assert of_stored_values(DAY, zone=ZONE, policy=policy, policies=POLICIES, now=long_ago).next_try_at == first

    def test_are_looked_for_at_once_when_that_is_over(self) -> None:
        now = datetime(2026, 6, 1, tzinfo=UTC)
        assert of_stored_values(DAY, zone=ZONE, policy=POLICY, policies=POLICIES, now=now).next_try_at == now

    def test_have_no_window_beyond_the_calendar(self) -> None:
        with pytest.raises(OutOfReach):
            of_stored_values(date.max, zone=ZONE, policy=POLICY, policies=POLICIES, now=ENDS)


class TestOnDemand:
    def test_asks_now_for_today_and_waits_for_all_attempts(self) -> None:
        now = ENDS - HOUR + timedelta(milliseconds=5)
        timing = asked(now)
        assert timing.window.starts_at == ENDS - HOUR
        assert timing.window.target_at == now
        assert timing.window.ends_at == now + 3 * (HOUR + HOUR / 4)
        assert timing.next_try_at == now + 2 * HOUR

    def test_asks_when_a_day_to_come_begins(self) -> None:
        assert asked(ENDS - HOUR, day=date(2026, 3, 29)).window.target_at == ENDS

    def test_asks_for_the_past_as_long_as_the_window_lasts(self) -> None:
        ends = ENDS + 47 * HOUR
        assert asked(ends).window.target_at == ends
        with pytest.raises(AskedTooLate):
            asked(ends + TICK)
