"""Interval values in local time that CIM tells in several blocks or messages, in the hour that is there twice.

2025-10-26 in Berlin: 02:00 to 03:00 is there twice, from 00:00 and from 01:00 UTC.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from mdus.domain.head_end import FieldIntervals, FieldReading, UnreadableLine
from tests.unit.headends.cim.messages import block, created, decode, meter_reading, reading

ZONE = "Europe/Berlin"
HOURS = "0.0.7.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0"
BEFORE, FIRST, SECOND = "01:15 01:30 01:45 02:00", "02:15 02:30 02:45 02:00", "02:15 02:30 02:45 03:00"


def quarters(ends: str, values: str) -> str:
    """Return a block of values at local ends."""
    return block(*((f"2025-10-26T{at}:00", value) for at, value in zip(ends.split(), values, strict=True)))


def told(*blocks: str, came: str | None = None) -> tuple[dict[str, list[Any]], int]:
    """Return the values of blocks by when they begin in UTC, and how many cannot be read."""
    came_at = None if came is None else datetime.fromisoformat(f"2025-10-26T{came}+00:00")
    body = created("MeterReadings", meter_reading(*blocks))
    return gathered(decode(body, came_at=came_at, zone_of_local_times=ZONE))


def gathered(events: list[Any]) -> tuple[dict[str, list[Any]], int]:
    found = {f"{each.start_at:%H:%M}": list(each.values) for each in events if isinstance(each, FieldIntervals)}
    return found, sum(isinstance(each, UnreadableLine) for each in events)


class TestBlocksOfOneMessage:
    def test_of_an_hour_each_are_told_apart_by_those_around_them(self) -> None:
        found, wrong = told(quarters(BEFORE, "1234"), quarters(FIRST, "5678"), quarters(SECOND, "9865"))
        assert (found, wrong) == ({"23:00": [1, 2, 3, 4, 5, 6, 7, 8, 9, 8, 6, 5]}, 0)

    def test_the_newest_first_are_told_apart(self) -> None:
        hours = [(BEFORE, "1234"), (FIRST, "5678"), (SECOND, "9865")]
        blocks = [quarters(" ".join(ends.split()[::-1]), values[::-1]) for ends, values in reversed(hours)]
        assert told(*blocks) == ({"23:00": [1, 2, 3, 4, 5, 6, 7, 8, 9, 8, 6, 5]}, 0)

    def test_of_one_value_each_in_readings_of_their_own_are_told_apart(self) -> None:
        values = [("01:45", "1"), ("02:00", "2"), ("02:15", "3"), ("02:30", "4"), ("02:45", "5")]
        values += [("02:00", "6"), ("02:15", "7"), ("02:30", "8"), ("02:45", "9"), ("03:00", "0")]
        body = created("MeterReadings", "".join(meter_reading(quarters(*each)) for each in values))
        found, wrong = gathered(decode(body, zone_of_local_times=ZONE))
        assert (found, wrong) == ({"23:30": [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]}, 0)

    @pytest.mark.parametrize(
        "blocks",
        [
            pytest.param([(BEFORE, "1234"), (FIRST, "9878"), (SECOND, "9865")], id="perhaps told again"),
            pytest.param([(BEFORE, "1234"), (SECOND, "9865"), (FIRST, "5678")], id="out of order"),
            pytest.param([(FIRST, "5678"), (SECOND, "9865")], id="nothing before"),
            pytest.param([(BEFORE, "1234"), (FIRST, "5678"), (FIRST, "5678"), (SECOND, "9865")], id="told again"),
        ],
    )
    def test_that_may_be_of_either_hour_are_shown_and_taken_for_none(self, blocks: list[tuple[str, str]]) -> None:
        found, wrong = told(*(quarters(*each) for each in blocks))
        assert wrong == sum(4 for ends, _ in blocks if ends == FIRST)
        assert found.get("01:00") == [9, 8, 6, 5]
        assert not {"00:00", "00:15"} & set(found)

    def test_of_hours_told_again_do_not_become_the_hour_after_it(self) -> None:
        def hours(*values: str) -> tuple[dict[str, list[Any]], int]:
            ends = ("01:00", "02:00", "02:00", "03:00")
            some = [block((f"2025-10-26T{at}:00", value), mrid=HOURS) for at, value in zip(ends, values, strict=True)]
            return told(*some)

        assert hours("1", "2", "3", "4") == ({"22:00": [1, 2, 3, 4]}, 0)
        assert hours("1", "2", "2", "4") == ({"22:00": [1], "01:00": [4]}, 2)

    def test_of_other_channels_and_meters_say_nothing(self) -> None:
        other = quarters(FIRST, "5678")
        body = created(
            "MeterReadings",
            meter_reading(quarters(BEFORE, "1234"), quarters(SECOND, "9865"))
            + meter_reading(other, serial="0000000043"),
        )
        found, wrong = gathered(decode(body, zone_of_local_times=ZONE))
        assert (sorted(found), wrong) == (["01:00", "23:00"], 4)


class TestMessagesOfAnHour:
    def test_of_the_first_hour_are_known_by_when_they_came(self) -> None:
        assert told(quarters(FIRST, "5678"), came="01:01") == ({"00:00": [5, 6, 7, 8]}, 0)

    def test_of_the_first_hour_that_came_late_are_shown_and_taken_for_none(self) -> None:
        assert told(quarters(FIRST, "5678"), came="02:01") == ({}, 4)

    def test_of_the_second_hour_are_known_by_its_end_whenever_they_came(self) -> None:
        for came in (None, "02:01", "09:00"):
            assert told(quarters(SECOND, "5678"), came=came) == ({"01:00": [5, 6, 7, 8]}, 0)

    def test_of_one_value_of_the_second_hour_are_shown_and_taken_for_none(self) -> None:
        assert told(quarters("02:30", "5"), came="00:31") == ({"00:15": [5]}, 0)
        assert told(quarters("02:30", "5"), came="01:31") == ({}, 1)

    @pytest.mark.parametrize(("came", "is_known"), [("00:31", True), ("01:31", False)])
    def test_of_a_register_are_of_the_first_hour_where_they_came_before_the_second(
        self, came: str, is_known: bool
    ) -> None:
        body = created("MeterReadings", meter_reading(reading(at="2025-10-26T02:30:00")))
        came_at = datetime.fromisoformat(f"2025-10-26T{came}+00:00")
        (found,) = decode(body, came_at=came_at, zone_of_local_times=ZONE)
        assert isinstance(found, FieldReading) is is_known
        assert not is_known or found.measured_at == datetime.fromisoformat("2025-10-26T00:30+00:00")
