"""Local times of a feed: on the days of 23 and 25 hours they are told apart by their order."""

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


def instants(*texts: str, step: int = 15) -> list[str]:
    told: Sequence[int | None] = [wall(text) if text else None for text in texts]
    return [f"{EPOCH + each * MINUTE:%H:%M}" for each in BERLIN.instants(told, step)]


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

    def test_alone_in_that_hour_are_of_the_first(self) -> None:
        assert instants(f"{AUTUMN} 02:30") == ["00:30"]

    def test_left_out_follow_in_true_time(self) -> None:
        assert instants(f"{AUTUMN} 02:45", "", "", "") == ["00:45", "01:00", "01:15", "01:30"]
        assert instants(f"{SPRING} 01:45", "", "") == ["00:45", "01:00", "01:15"]

    def test_at_which_the_clock_is_put_forward_are_its_end(self) -> None:
        assert instants(f"{SPRING} 01:45", f"{SPRING} 02:00", f"{SPRING} 03:15") == ["00:45", "01:00", "01:15"]

    def test_that_no_clock_shows_are_a_mistake(self) -> None:
        with pytest.raises(ValueError, match=r"clocks of Europe/Berlin is expected, found 2026-03-29 02:15"):
            instants(f"{SPRING} 02:15")
