"""Local times of a feed: on the days of 23 and 25 hours they are told apart by the times of their record."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from mdus.headends.file_drop.local_time import LocalTime
from mdus.headends.file_drop.runs import EPOCH

BERLIN = LocalTime("Europe/Berlin")
MINUTE = timedelta(minutes=1)


def wall(text: str) -> int:
    return (datetime.fromisoformat(f"{text}+00:00") - EPOCH) // MINUTE


def instants(*texts: str, step: int = 15, clock: LocalTime = BERLIN) -> list[str | None]:
    told: Sequence[int | None] = [wall(text) if text else None for text in texts]
    return [None if each is None else clock_time(each) for each in clock.instants(told, step)]


def clock_time(minutes: int) -> str:
    return f"{EPOCH + minutes * MINUTE:%H:%M}"


AUTUMN, SPRING = "2026-10-25", "2026-03-29"


class TestInstants:
    def test_are_those_the_clock_shows(self) -> None:
        assert instants("2026-01-10 12:00", "2026-01-10 12:15") == ["11:00", "11:15"]
        assert instants("2026-07-10 12:00") == ["10:00"]

    @pytest.mark.parametrize("day", [AUTUMN, SPRING, "2026-07-10"])
    def test_of_a_whole_day_are_all_its_quarters(self, day: str) -> None:
        zone = ZoneInfo("Europe/Berlin")
        begin = datetime.fromisoformat(day).replace(tzinfo=zone)
        first = (begin.astimezone(ZoneInfo("UTC")) - EPOCH) // MINUTE
        count = {AUTUMN: 100, SPRING: 92}.get(day, 96)
        ends = [first + 15 * place for place in range(1, count + 1)]
        shown = [(EPOCH + end * MINUTE).astimezone(zone).replace(tzinfo=None) for end in ends]
        walls = [(each - EPOCH.replace(tzinfo=None)) // MINUTE for each in shown]
        assert BERLIN.instants(walls, 15) == ends

    def test_of_the_hour_that_is_twice_follow_their_order(self) -> None:
        quarters = [f"{AUTUMN} 02:{minute}" for minute in ("00", "15", "30", "45")]
        assert instants(*quarters, *quarters) == [
            "00:00", "00:15", "00:30", "00:45", "01:00", "01:15", "01:30", "01:45",
        ]  # fmt: skip

    def test_at_the_end_of_that_hour_agree_with_what_follows(self) -> None:
        assert instants(f"{AUTUMN} 02:30", f"{AUTUMN} 02:45", f"{AUTUMN} 03:00") == ["01:30", "01:45", "02:00"]

    def test_alone_in_that_hour_stay_open(self) -> None:
        assert instants(f"{AUTUMN} 02:30") == [None]
        assert instants(f"{AUTUMN} 02:30", step=0) == [None]

    def test_of_a_record_without_interval_follow_at_the_distance_of_the_others(self) -> None:
        assert instants(*(f"{AUTUMN} {each}" for each in ("01:30", "01:45", "02:00")), step=0)[2] == "00:00"

    def test_backwards_follow_their_order(self) -> None:
        backwards = [f"{AUTUMN} {each}" for each in ("03:15", "03:00", "02:45", "02:30")]
        assert instants(*backwards) == ["02:15", "02:00", "01:45", "01:30"]

    def test_left_out_follow_in_true_time(self) -> None:
        assert instants(f"{AUTUMN} 01:45", "", "", "") == ["23:45", "00:00", "00:15", "00:30"]
        assert instants(f"{SPRING} 01:45", "", "") == ["00:45", "01:00", "01:15"]

    def test_left_out_say_which_hour_is_meant_by_where_they_end(self) -> None:
        assert instants(f"{AUTUMN} 02:45", "", "", "", "", f"{AUTUMN} 03:00")[0] == "00:45"
        assert instants(f"{AUTUMN} 02:30", "", f"{AUTUMN} 03:00")[:2] == ["01:30", "01:45"]
        assert instants(f"{AUTUMN} 02:45", "", "", "") == [None] * 4

    @pytest.mark.parametrize(
        ("zone", "day", "midnight"), [("Atlantic/Azores", AUTUMN, "00:00"), ("America/Havana", "2026-11-01", "04:00")]
    )
    def test_of_days_begin_at_the_first_of_two_midnights(self, zone: str, day: str, midnight: str) -> None:
        clock = LocalTime(zone)
        assert instants(f"{day} 00:00", step=1440, clock=clock) == [midnight]
        assert clock.day_bound(wall(f"{day} 00:00")) == clock.earliest(wall(f"{day} 00:00"))
        assert instants(f"{day} 00:15", step=1440, clock=clock) == [None]
        assert clock.day_bound(wall(f"{day} 00:15")) is None
        assert instants(f"{day} 00:00", step=15, clock=clock) == [None]

    def test_at_which_the_clock_is_put_forward_are_its_end(self) -> None:
        assert instants(f"{SPRING} 01:45", f"{SPRING} 02:00", f"{SPRING} 03:15") == ["00:45", "01:00", "01:15"]

    def test_that_no_clock_shows_are_a_mistake(self) -> None:
        with pytest.raises(ValueError, match=r"clocks of Europe/Berlin is expected, found 2026-03-29 02:15"):
            instants(f"{SPRING} 02:15")

    def test_at_which_the_clock_is_put_forward_no_interval_begins(self) -> None:
        at_start = LocalTime("Europe/Berlin", tells_ends=False)
        assert instants(f"{SPRING} 03:00", clock=at_start) == instants(f"{SPRING} 02:00") == ["01:00"]
        with pytest.raises(ValueError, match="found 2026-03-29 02:00"):
            instants(f"{SPRING} 02:00", clock=at_start)
