"""Local times that are there twice, in records and blocks: told apart by each other, and by when they came."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdus.domain.local_time import Meanings, Part, Receipt, Said, meanings, told_apart, told_apart_in_parts
from tests.unit.domain.test_local_time import BERLIN, Series, series, told, wrong


def walls(*texts: str) -> list[Meanings]:
    return [meanings(datetime.fromisoformat(f"2026-10-25T{text}"), zone=BERLIN) for text in texts]


def clock(found: Sequence[datetime | None]) -> list[str | None]:
    return [None if at is None else f"{at:%H:%M}" for at in found]


def said(*values: str) -> list[Said]:
    """Return what is said at times, a value each; `E2` is the value 2 with the flag E."""
    return [((each[:-1], each[-1:]),) for each in values]


class TestToldApartBesideWhatIsSaid:
    """2026-10-25 in Berlin, hours that begin or end at these times."""

    TWICE: Final = ("01:00", "02:00", "02:00", "03:00")

    @pytest.mark.parametrize(
        ("values", "second"),
        [
            pytest.param(("1", "2", "3", "4"), "01:00", id="another value"),
            pytest.param(("1", "2", "2", "4"), None, id="the same: perhaps told again"),
            pytest.param(("1", "E2", "2", "4"), None, id="the same, estimated before"),
            pytest.param(("1", "E2", "3", "4"), None, id="another, estimated before: perhaps corrected"),
            pytest.param(("1", "E2", "E3", "4"), "01:00", id="both estimated"),
        ],
    )
    def test_are_of_two_hours_where_that_differs(self, values: tuple[str, ...], second: str | None) -> None:
        found = told_apart(walls(*self.TWICE), [timedelta(hours=1)] * 4, says=said(*values))
        assert clock(found) == ["23:00", second and "00:00", second, "02:00"]

    def test_are_the_same_however_the_value_is_written(self) -> None:
        says = [*said("1"), (("", "2.50"),), (("", "2.5"),), *said("4")]
        assert clock(told_apart(walls(*self.TWICE), [timedelta(hours=1)] * 4, says=says))[1:3] == [None, None]

    @pytest.mark.parametrize(("first", "second"), [("", "2"), ("x", "x"), ("NaN", "NaN")])
    def test_are_told_again_where_one_has_no_value_or_both_no_number(self, first: str, second: str) -> None:
        says = [*said("1"), (("", first),), (("", second),), *said("4")]
        assert clock(told_apart(walls(*self.TWICE), [timedelta(hours=1)] * 4, says=says))[1:3] == [None, None]

    def test_are_open_where_one_time_is_told_three_times(self) -> None:
        found = told_apart(
            walls("01:00", "02:00", "02:00", "02:00", "03:00"),
            [timedelta(hours=1)] * 5,
            says=said("1", "2", "3", "2", "4"),
        )
        assert clock(found) == ["23:00", None, None, None, "02:00"]

    def test_are_the_same_by_what_is_said_of_a_time_that_is_told_once(self) -> None:
        quarters = ("01:45", "02:00", "02:15")
        found = told_apart(walls(*quarters), [timedelta(minutes=15)] * 3, says=said("1", "1", "1"))
        assert clock(found) == ["23:45", "00:00", "00:15"]


def received(text: str, *, over_after: int = 0) -> Receipt:
    came_at = datetime.fromisoformat(f"2026-10-25T{text}+00:00")
    return Receipt(came_at=came_at, over_after=timedelta(minutes=over_after))


class TestReceipt:
    """2026-10-25 in Berlin: 02:00 to 03:00 is there twice, from 00:00 and from 01:00 UTC."""

    @pytest.mark.parametrize(
        ("came", "found"),
        [
            pytest.param("00:31", "00:30", id="at once"),
            pytest.param("01:24", "00:30", id="before the second one, by more than clocks may differ"),
            pytest.param("01:25", None, id="before the second one, by what clocks may differ"),
            pytest.param("01:31", None, id="after the second one: it may be the first one late or again"),
            pytest.param("23:00", None, id="long after both"),
            pytest.param("00:25", "00:30", id="by a clock that is ahead by what clocks may differ"),
            pytest.param("00:24", None, id="by a clock that is ahead by more"),
        ],
    )
    def test_says_that_a_lone_time_is_of_the_first_hour_while_the_second_is_not_over(
        self, came: str, found: str | None
    ) -> None:
        assert clock(told_apart(walls("02:30"), receipt=received(came))) == [found]

    def test_says_nothing_of_what_came_before_either(self) -> None:
        early = Receipt(came_at=datetime(2026, 10, 24, 23, tzinfo=UTC))
        assert told_apart(walls("02:30"), receipt=early) == [None]

    @pytest.mark.parametrize(
        ("came", "found"),
        [("01:09", "00:00"), ("01:10", None)],
        ids=["the first quarter of the second hour is not over", "it may be over"],
    )
    def test_of_what_begins_at_a_time_counts_from_the_end_of_its_first_interval(
        self, came: str, found: str | None
    ) -> None:
        assert clock(told_apart(walls("02:00"), receipt=received(came, over_after=15))) == [found]

    def test_tells_the_end_of_the_hour_apart_by_what_was_before(self) -> None:
        hour = walls("02:15", "02:30", "02:45", "02:00")
        lengths = [timedelta(minutes=15)] * 4
        assert clock(told_apart(hour, lengths, receipt=received("01:01"))) == ["00:15", "00:30", "00:45", "01:00"]
        assert told_apart(hour, lengths, receipt=received("02:01")) == [None] * 4

    def test_says_nothing_where_a_time_is_told_twice(self) -> None:
        day = walls("02:15", "02:15")
        assert told_apart(day, [timedelta(minutes=15)] * 2, receipt=received("00:16")) == [None, None]
        parts = [Part(times=[each], lengths=[timedelta(minutes=15)], says=said("1")) for each in day]
        assert told_apart_in_parts(parts, are_in_order=True, receipt=received("00:16")) == [[None], [None]]

    def test_changes_nothing_that_the_order_says(self) -> None:
        times = walls("02:30", "02:45", "03:00")
        found = told_apart(times, [timedelta(minutes=15)] * 3, receipt=received("00:31"))
        assert clock(found) == ["01:30", "01:45", "02:00"]


def in_parts(
    *records: tuple[str, str], minutes: int = 60, are_in_order: bool = False, came: str | None = None
) -> list[str | None]:
    """Return the instants of records of a time each, with what each says."""
    parts = [Part(times=walls(at), lengths=[timedelta(minutes=minutes)], says=said(value)) for at, value in records]
    receipt = None if came is None else received(came)
    return [clock(found)[0] for found in told_apart_in_parts(parts, are_in_order=are_in_order, receipt=receipt)]


QUARTERS: Final = ("02:00", "02:15", "02:30", "02:45")
#: A record a quarter of an hour, from 01:45 to 03:00: both hours.
BOTH_HOURS: Final = [(at, str(place)) for place, at in enumerate(("01:45", *QUARTERS, *QUARTERS, "03:00"))]
BOTH_HOURS_AT: Final = ["23:45", "00:00", "00:15", "00:30", "00:45", "01:00", "01:15", "01:30", "01:45", "02:00"]


class TestToldApartInParts:
    """Records of 2026-10-25 in Berlin, each of one time, that nothing in them tells apart."""

    def test_of_quarters_are_both_hours_in_their_order(self) -> None:
        assert in_parts(*BOTH_HOURS, minutes=15) == BOTH_HOURS_AT

    def test_of_quarters_are_both_hours_the_newest_first(self) -> None:
        assert in_parts(*BOTH_HOURS[::-1], minutes=15) == BOTH_HOURS_AT[::-1]

    @pytest.mark.parametrize(
        "records",
        [
            pytest.param(BOTH_HOURS[1:], id="nothing before"),
            pytest.param(BOTH_HOURS[:-1], id="nothing after"),
            pytest.param([*BOTH_HOURS[:3], *BOTH_HOURS[4:]], id="one of the first hour missing"),
            pytest.param([*BOTH_HOURS[:6], *BOTH_HOURS[7:]], id="one of the second hour missing"),
            pytest.param([*BOTH_HOURS[:5], BOTH_HOURS[9]], id="the second hour missing"),
            pytest.param([BOTH_HOURS[0], *BOTH_HOURS[5:]], id="the first hour missing"),
            pytest.param([*BOTH_HOURS[:5], *BOTH_HOURS[1:5], BOTH_HOURS[9]], id="the first hour told again"),
            pytest.param([BOTH_HOURS[0], *BOTH_HOURS[5:9], *BOTH_HOURS[5:]], id="the second hour told again"),
            pytest.param([*BOTH_HOURS[:5], BOTH_HOURS[1], *BOTH_HOURS[6:]], id="one told again in place of another"),
            pytest.param([*BOTH_HOURS[:2], BOTH_HOURS[1], *BOTH_HOURS[2:]], id="one told again at once"),
            pytest.param([*BOTH_HOURS, BOTH_HOURS[2]], id="one told again at last"),
            pytest.param([*BOTH_HOURS, *BOTH_HOURS], id="all told again"),
            pytest.param([*BOTH_HOURS, BOTH_HOURS[9]], id="another time told again"),
            pytest.param([*BOTH_HOURS[1:], BOTH_HOURS[0]], id="out of order"),
            pytest.param([*BOTH_HOURS[:4], BOTH_HOURS[5], BOTH_HOURS[4], *BOTH_HOURS[6:]], id="two of them swapped"),
            pytest.param(sorted(BOTH_HOURS), id="sorted by the clock"),
        ],
    )
    def test_are_open_where_both_hours_are_not_there_once_and_in_order(self, records: list[tuple[str, str]]) -> None:
        found = in_parts(*records, minutes=15)
        assert found == [{"01:45": "23:45", "03:00": "02:00"}.get(at) for at, _ in records]

    def test_of_hours_might_be_sorted_by_the_clock_unless_they_are_known_to_be_in_order(self) -> None:
        hours = [("01:00", "1"), ("02:00", "2"), ("02:00", "3"), ("03:00", "4")]
        assert in_parts(*hours) == ["23:00", None, None, "02:00"]
        assert in_parts(*hours, are_in_order=True) == ["23:00", "00:00", "01:00", "02:00"]
        assert in_parts(*hours[::-1], are_in_order=True) == ["02:00", "01:00", "00:00", "23:00"]

    @pytest.mark.parametrize(
        "hours",
        [
            pytest.param([("01:00", "1"), ("02:00", "2"), ("02:00", "2"), ("03:00", "4")], id="told again"),
            pytest.param([("01:00", "1"), ("02:00", "2"), ("03:00", "4"), ("02:00", "3")], id="out of order"),
            pytest.param(
                [("01:00", "1"), ("02:00", "2"), ("02:00", "3"), ("03:00", "4"), ("03:00", "4")],
                id="another time told again",
            ),
            pytest.param([("01:00", "1"), ("02:00", "2"), ("03:00", "4")], id="one hour of two"),
            pytest.param([("01:00", "1"), ("02:00", "2")], id="nothing after"),
            pytest.param([("02:00", "2")], id="alone"),
        ],
    )
    def test_of_hours_are_open_where_one_may_be_told_again_or_missing(self, hours: list[tuple[str, str]]) -> None:
        found = in_parts(*hours, are_in_order=True)
        assert found == [{"01:00": "23:00", "03:00": "02:00"}.get(at) for at, _ in hours]

    def test_of_an_hour_are_known_by_the_hours_before_and_after(self) -> None:
        before, first, second = (
            Part(times=walls(*times.split()), lengths=[timedelta(minutes=15)] * 4, says=said(*values))
            for times, values in (
                ("01:15 01:30 01:45 02:00", "1234"),
                ("02:15 02:30 02:45 02:00", "5678"),
                ("02:15 02:30 02:45 03:00", "1234"),
            )
        )
        found = [clock(each) for each in told_apart_in_parts([before, first, second], are_in_order=False)]
        assert found[1:] == [["00:15", "00:30", "00:45", "01:00"], ["01:15", "01:30", "01:45", "02:00"]]
        assert told_apart_in_parts([before, second, first], are_in_order=True)[2] == [None] * 4

    def test_of_unknown_length_are_open(self) -> None:
        parts = [Part(times=walls(at), lengths=None, says=said(value)) for at, value in BOTH_HOURS]
        assert [each[0] for each in told_apart_in_parts(parts, are_in_order=True)][1:-1] == [None] * 8

    def test_that_came_at_once_are_of_the_first_hour(self) -> None:
        assert in_parts(("02:15", "1"), came="00:16", minutes=15) == ["00:15"]
        assert in_parts(("02:15", "1"), came="01:16", minutes=15) == [None]


def told_in_parts(
    some: Series, parts: Sequence[Sequence[datetime]], *, are_in_order: bool = False
) -> tuple[list[datetime], list[datetime | None]]:
    """Return the instants told in parts, and what they are taken for; each says something else."""
    found = told_apart_in_parts(
        [
            Part(
                times=told(ats, some.zone),
                lengths=[some.step] * len(ats),
                says=[(("", str(at.timestamp())),) for at in ats],
            )
            for ats in parts
        ],
        are_in_order=are_in_order,
    )
    return [at for ats in parts for at in ats], [at for ats in found for at in ats]


class TestSeriesInParts:
    @given(series(), st.integers(1, 5), st.booleans(), st.data())
    def test_in_parts_are_right_or_open_whatever_was_lost_told_again_or_moved(
        self, some: Series, most: int, is_lost: bool, data: st.DataObject
    ) -> None:
        parts = [some.ats[first : first + most] for first in range(0, len(some.ats), most)]
        if is_lost and len(parts) > 1:
            parts.pop(data.draw(st.integers(0, len(parts) - 1)))
        for is_moved in (False, True):
            if data.draw(st.booleans()):
                place = data.draw(st.integers(0, len(parts) - 1))
                again = parts.pop(place) if is_moved else parts[place]
                parts.insert(data.draw(st.integers(0, len(parts))), again)
        assert wrong(*told_in_parts(some, parts)) == []

    @given(series(), st.integers(1, 5))
    def test_in_parts_between_times_that_are_there_once_are_known(self, some: Series, most: int) -> None:
        parts = [some.ats[first : first + most] for first in range(0, len(some.ats), most)]
        ats, found = told_in_parts(some, parts, are_in_order=True)
        assert wrong(ats, found) == []
        times = told(ats, some.zone)
        if len(times[0]) == len(times[-1]) == 1:
            assert None not in found
