"""CMEP in local time where a record holds an interval, or an hour: on a day of 25 hours one is there twice."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.unit.headends.file_drop.cmep_files import file, mepmd01
from tests.unit.headends.file_drop.feeds import decoder, told

QUARTERS = ("02:00", "02:15", "02:30", "02:45")
ALL = [(at, str(place)) for place, at in enumerate(("01:45", *QUARTERS, *QUARTERS, "03:00"), start=1)]


def record(at: str, value: str, **more: Any) -> str:
    """Return a record of one interval that ends, or begins, at a time on the clock."""
    return mepmd01([value], ends=[f"20261025{at.replace(':', '')}"], **more)


def read(records: Sequence[str], **options: Any) -> tuple[dict[str, list[Decimal | None]], list[int]]:
    """Return the values of a feed in local time by when they begin in UTC, and the lines that cannot be read."""
    found, wrong = told(decoder(cmep_time_zone="Europe/Berlin", **options), "cmep", file(*records))
    return {f"{each.start_at:%H:%M}": list(each.values) for each in found}, sorted({line for line, _ in wrong})


class TestRecordsOfOneInterval:
    def test_of_both_hours_are_told_apart_by_their_order(self) -> None:
        found, wrong = read([record(*each) for each in ALL])
        assert (wrong, found) == (
            [],
            {
                at: [Decimal(place)]
                for place, at in enumerate(
                    ["23:30", "23:45", "00:00", "00:15", "00:30", "00:45", "01:00", "01:15", "01:30", "01:45"], start=1
                )
            },
        )

    def test_are_told_apart_the_newest_first_and_between_those_of_others(self) -> None:
        records = [
            record(*each, meter=meter) for each in reversed(ALL) for meter in ("0000000042", "0000000043", "0000000044")
        ]
        body = file(*records)
        found, wrong = told(decoder(cmep_time_zone="Europe/Berlin"), "cmep", body)
        assert wrong == []
        assert len({(each.serial_id, each.start_at) for each in found}) == 30
        assert {(each.start_at.hour, *each.values) for each in found if each.start_at.minute == 0} == {
            (0, Decimal(3)),
            (1, Decimal(7)),
        }

    @pytest.mark.parametrize(
        "records",
        [
            pytest.param([*ALL[:5], *ALL[1:5], ALL[9]], id="the first hour told again in place of the second"),
            pytest.param([ALL[0], *ALL[5:9], *ALL[5:]], id="the second hour told again in place of the first"),
            pytest.param([*ALL[:2], ALL[1], *ALL[2:]], id="one told again at once"),
            pytest.param([*ALL, ALL[1]], id="one told again at last"),
            pytest.param([*ALL[:5], ALL[1], *ALL[6:]], id="one told again in place of another"),
            pytest.param([*ALL[:5], ALL[9]], id="one hour of two"),
            pytest.param([*ALL[:3], *ALL[4:]], id="one missing"),
            pytest.param([*ALL[5:], *ALL[:5]], id="out of order"),
            pytest.param(sorted(ALL), id="sorted by the clock"),
            pytest.param(ALL[1:], id="nothing before"),
            pytest.param(ALL[:-1], id="nothing after"),
        ],
    )
    def test_are_missing_where_they_may_be_of_either_hour(self, records: list[tuple[str, str]]) -> None:
        found, wrong = read([record(*each) for each in records])
        assert wrong == [line for line, (at, _) in enumerate(records, start=1) if at in QUARTERS]
        assert set(found) == {{"01:45": "23:30", "03:00": "01:45"}[at] for at, _ in records if at not in QUARTERS}

    def test_sent_again_as_corrected_are_of_no_hour(self) -> None:
        records = [record(*each, purpose="RESEND" if at == 5 else "OK") for at, each in enumerate(ALL)]
        found, wrong = read(records)
        assert (sorted(found), wrong) == (["01:45", "23:30"], list(range(2, 10)))

    def test_of_hours_are_told_apart_where_the_feed_is_in_order(self) -> None:
        hours = [("01:00", "1"), ("02:00", "2"), ("02:00", "3"), ("03:00", "4")]
        records = [record(*each, interval="00000100") for each in hours]
        assert read(records, cmep_in_order=True) == (
            {"22:00": [1], "23:00": [2], "00:00": [3], "01:00": [4]},
            [],
        )
        # A sort by local time may have put either of them first.
        assert read(records) == ({"22:00": [1], "01:00": [4]}, [2, 3])

    @pytest.mark.parametrize(
        "hours",
        [
            pytest.param([("01:00", "1"), ("02:00", "2"), ("02:00", "2.0"), ("03:00", "4")], id="told again"),
            pytest.param([("01:00", "1"), ("03:00", "4"), ("02:00", "2"), ("02:00", "3")], id="out of order"),
        ],
    )
    def test_of_hours_are_missing_where_one_may_be_told_again(self, hours: list[tuple[str, str]]) -> None:
        records = [record(*each, interval="00000100") for each in hours]
        found, wrong = read(records, cmep_in_order=True)
        assert (found, len(wrong)) == ({"22:00": [1], "01:00": [4]}, 2)

    def test_with_another_flag_are_perhaps_corrected(self) -> None:
        hours = [("01:00", "1", "R"), ("02:00", "2", "E"), ("02:00", "3", "R"), ("03:00", "4", "R")]
        records = [record(at, value, flags=flag, interval="00000100") for at, value, flag in hours]
        assert read(records, cmep_in_order=True) == ({"22:00": [1], "01:00": [4]}, [2, 3])

    def test_that_lack_their_meter_or_have_a_bad_flag_stay_lines_that_cannot_be_read(self) -> None:
        records = [record(*each) for each in ALL]
        for place in (4, 8):
            records[place] = record(*ALL[place], flags="?")
        records.append(record("02:30", "9", meter=""))
        found, wrong = read(records)
        assert wrong == [5, 9, 11]
        assert len(found) == 8


class TestRecordsOfOneHour:
    HOURS = (
        ("01:15", "01:30", "01:45", "02:00"),
        ("02:15", "02:30", "02:45", "02:00"),
        ("02:15", "02:30", "02:45", "03:00"),
    )

    def records(self, *values: str) -> list[str]:
        return [
            mepmd01(list(some), ends=[f"20261025{at.replace(':', '')}" for at in ends])
            for ends, some in zip(self.HOURS, values, strict=True)
        ]

    def test_are_told_apart_by_those_before_and_after(self) -> None:
        found, wrong = read(self.records("1234", "5678", "9865"))
        assert wrong == []
        assert found == {"23:00": [1, 2, 3, 4], "00:00": [5, 6, 7, 8], "01:00": [9, 8, 6, 5]}

    def test_that_may_be_told_again_are_missing(self) -> None:
        found, wrong = read(self.records("1234", "9878", "9876"))
        assert (sorted(found), wrong) == (["01:00", "23:00"], [2])

    def test_at_their_start_are_told_apart_where_the_feed_is_in_order(self) -> None:
        starts = [("01:00", "1234"), ("02:00", "5678"), ("02:00", "9876"), ("03:00", "4321")]
        records = [mepmd01(list(some), ends=[f"20261025{at.replace(':', '')}", "", "", ""]) for at, some in starts]
        found, wrong = read(records, cmep_times="start", cmep_in_order=True)
        assert wrong == []
        assert found == {"23:00": [1, 2, 3, 4], "00:00": [5, 6, 7, 8], "01:00": [9, 8, 7, 6], "02:00": [4, 3, 2, 1]}
        assert read(records, cmep_times="start") == ({"23:00": [1, 2, 3, 4], "02:00": [4, 3, 2, 1]}, [2, 3])
        again = [*records[:2], records[1], records[3]]
        assert read(again, cmep_times="start", cmep_in_order=True)[1] == [2, 3]


class TestFiles:
    def test_that_came_at_once_are_of_the_first_hour(self) -> None:
        record = mepmd01(["1", "2", "3", "4"], ends=["202610250215", "", "", ""])
        decode = decoder(cmep_time_zone="Europe/Berlin")
        ((first,), wrong) = told(decode, "cmep", file(record), came_at=datetime(2026, 10, 25, 1, 1, tzinfo=UTC))
        assert (first.start_at, len(first.values), wrong) == (datetime(2026, 10, 25, 0, 0, tzinfo=UTC), 4, [])
        found, ((line, _),) = told(decode, "cmep", file(record), came_at=datetime(2026, 10, 25, 2, 1, tzinfo=UTC))
        assert (found, line) == ([], 1)

    @pytest.mark.parametrize(("came", "hour"), [("01:20", 0), ("01:50", None)])
    def test_at_the_start_of_intervals_that_came_at_once_are_of_the_first_hour(
        self, came: str, hour: int | None
    ) -> None:
        record = mepmd01(["1"], ends=["202610250230"])
        decode = decoder(cmep_time_zone="Europe/Berlin", cmep_times="start")
        found, _ = told(decode, "cmep", file(record), came_at=datetime.fromisoformat(f"2026-10-25T{came}+00:00"))
        assert [each.start_at for each in found] == (
            [] if hour is None else [datetime(2026, 10, 25, hour, 30, tzinfo=UTC)]
        )

    @pytest.mark.parametrize(("came", "hour"), [("01:20", 0), ("01:31", None)])
    @pytest.mark.parametrize("each", ["start", "end"])
    def test_of_a_register_that_came_at_once_are_of_the_first_hour(
        self, each: str, came: str, hour: int | None
    ) -> None:
        record = mepmd01(["7"], unit="KWHREG", interval="00000100", ends=["202610250230"])
        decode = decoder(cmep_time_zone="Europe/Berlin", cmep_times=each)
        found, _ = told(decode, "cmep", file(record), came_at=datetime.fromisoformat(f"2026-10-25T{came}+00:00"))
        assert [one.measured_at for one in found] == (
            [] if hour is None else [datetime(2026, 10, 25, hour, 30, tzinfo=UTC)]
        )
