"""Local dates and times to instants: days of 23, 24 and 25 hours, times shown twice, and both ends of the calendar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise, product
from typing import Final
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mdus.domain.local_time import (
    END_OF_DAY,
    Meanings,
    day_start,
    earliest,
    end_instant,
    instant,
    local_day,
    meanings,
    told_apart,
)

BERLIN = "Europe/Berlin"

#: When clocks are put back in 2026. On Lord Howe it is by half an hour, and elsewhere a midnight is there twice.
PUT_BACK: Final = {
    BERLIN: datetime(2026, 10, 25, 1, tzinfo=UTC),
    "America/New_York": datetime(2026, 11, 1, 6, tzinfo=UTC),
    "America/St_Johns": datetime(2026, 11, 1, 4, 30, tzinfo=UTC),
    "Atlantic/Azores": datetime(2026, 10, 25, 1, tzinfo=UTC),
    "Australia/Lord_Howe": datetime(2026, 4, 4, 15, tzinfo=UTC),
    "Pacific/Chatham": datetime(2026, 4, 4, 14, tzinfo=UTC),
}


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


class TestMeanings:
    @pytest.mark.parametrize(
        ("shown", "hours"),
        [
            pytest.param("2026-10-25T01:59", [23], id="before the doubled hour"),
            pytest.param("2026-10-25T02:00", [0, 1], id="its first moment"),
            pytest.param("2026-10-25T02:59", [0, 1], id="its last minute"),
            pytest.param("2026-10-25T03:00", [2], id="after it"),
            pytest.param("2026-03-29T01:59", [0], id="before the skipped hour"),
            pytest.param("2026-03-29T02:00", [1], id="its first moment is the end of what was before"),
            pytest.param("2026-03-29T02:00:01", [], id="skipped"),
            pytest.param("2026-03-29T02:59", [], id="the last skipped minute"),
            pytest.param("2026-03-29T03:00", [1], id="after the skipped hour"),
        ],
    )
    def test_are_all_instants_at_which_clocks_show_a_time(self, shown: str, hours: list[int]) -> None:
        assert [each.hour for each in meanings(datetime.fromisoformat(shown), zone=BERLIN)] == hours

    @given(st.sampled_from(sorted(PUT_BACK)), st.integers(-(366 * 96), 366 * 96))
    def test_are_among_others_the_instant_it_was_shown_at(self, zone: str, quarter: int) -> None:
        at = PUT_BACK[zone] + quarter * timedelta(minutes=15)
        found = meanings(shown(at, zone), zone=zone)
        assert at in found
        assert [shown(each, zone) for each in found] == [shown(at, zone)] * len(found)
        assert list(found) == sorted(set(found))

    @pytest.mark.parametrize(("text", "zone"), [("0001-01-01T00:00", BERLIN), ("9999-12-31T23:59", "America/New_York")])
    def test_are_none_beyond_the_calendar(self, text: str, zone: str) -> None:
        beyond = datetime.fromisoformat(text)
        with pytest.raises(OverflowError):
            meanings(beyond, zone=zone)
        with pytest.raises(OverflowError):
            earliest(beyond, zone=zone)


class TestEarliest:
    def test_is_the_first_of_two_and_as_long_after_a_change_that_skips_it(self) -> None:
        twice, skipped = (datetime.fromisoformat(f"2026-{day}T02:30") for day in ("10-25", "03-29"))
        assert earliest(twice, zone=BERLIN) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
        assert earliest(skipped, zone=BERLIN) == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


def shown(at: datetime, zone: str) -> datetime:
    return at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def told(ats: Sequence[datetime], zone: str) -> list[Meanings]:
    return [meanings(shown(at, zone), zone=zone) for at in ats]


def quarters(*texts: str, minutes: int | None = 15) -> list[str | None]:
    """Return the instants of times of 2026-10-25 in Berlin, of a list of so many minutes."""
    times = [meanings(datetime.fromisoformat(f"2026-10-25T{text}"), zone=BERLIN) for text in texts]
    lengths = None if minutes is None else [timedelta(minutes=minutes)] * len(times)
    return [None if at is None else f"{at:%H:%M}" for at in told_apart(times, lengths)]


class TestToldApart:
    """2026-10-25 in Berlin: 02:00 to 03:00 is there twice, from 00:00 and from 01:00 UTC."""

    @pytest.mark.parametrize(
        ("texts", "found"),
        [
            pytest.param(["02:30"], [None], id="a lone time"),
            pytest.param(["02:15", "02:30"], [None, None], id="nothing around"),
            pytest.param(["01:45", "02:00", "02:15"], ["23:45", "00:00", "00:15"], id="by what was before"),
            pytest.param(["02:30", "02:45", "03:00"], ["01:30", "01:45", "02:00"], id="by what comes after"),
            pytest.param(["03:00", "02:45", "02:30"], ["02:00", "01:45", "01:30"], id="backwards"),
            pytest.param(["03:00", "02:45"], ["02:00", None], id="two times have no direction"),
            pytest.param(
                ["01:45", "02:00", "02:15", "02:45", "03:00"],
                ["23:45", "00:00", "00:15", "01:45", "02:00"],
                id="a gap over the change",
            ),
            pytest.param(
                ["01:45", "02:00", "02:30", "02:45", "02:00", "02:15", "02:30", "02:45", "03:00"],
                ["23:45", "00:00", "00:30", "00:45", "01:00", "01:15", "01:30", "01:45", "02:00"],
                id="a gap in the first hour",
            ),
            pytest.param(["01:45", "02:15", "02:30"], ["23:45", None, None], id="after a gap"),
            pytest.param(
                ["01:45", "02:00", "02:15", "02:30", "02:45", "03:00"],
                ["23:45", None, None, None, None, "02:00"],
                id="one hour of two",
            ),
            pytest.param(
                ["02:15", "02:30", "02:45", "02:00", "02:15"],
                ["00:15", "00:30", "00:45", "01:00", "01:15"],
                id="through the whole hour",
            ),
            pytest.param(["02:45", "02:00", "02:15", "02:30"], [None] * 4, id="not through the whole hour"),
            pytest.param(
                ["01:45", "02:15", "02:00", "02:30", "02:15", "03:00"],
                ["23:45", None, None, None, None, "02:00"],
                id="no order",
            ),
            pytest.param(
                ["01:45", "02:00", "03:00", "01:30"],
                ["23:45", None, "02:00", "23:30"],
                id="no order of times that are there once",
            ),
            pytest.param(["01:45", "02:00", "02:00"], ["23:45", "00:00", None], id="perhaps told again"),
            pytest.param([], [], id="nothing"),
        ],
    )
    def test_are_put_where_their_order_says(self, texts: list[str], found: list[str | None]) -> None:
        assert quarters(*texts) == found

    def test_of_hours_follow_each_other(self) -> None:
        assert quarters("01:00", "02:00", "02:00", "03:00", minutes=60) == ["23:00", "00:00", "01:00", "02:00"]
        assert quarters("02:00", minutes=60) == [None]

    def test_are_not_at_an_earlier_interval_that_lasts_longer(self) -> None:
        times = [meanings(datetime.fromisoformat(f"2026-10-25T{at}"), zone=BERLIN) for at in ("01:30", "02:45")]
        found = told_apart(times, [timedelta(hours=2), timedelta(hours=2)])
        assert found[1] == datetime(2026, 10, 25, 1, 45, tzinfo=UTC)
        assert told_apart(times, [timedelta(hours=1), timedelta(hours=1)])[1] is None

    def test_without_a_length_are_as_far_apart_as_their_nearest(self) -> None:
        assert quarters("01:30", "01:45", "02:00", minutes=None) == ["23:30", "23:45", "00:00"]
        assert quarters("01:45", "02:00", minutes=None) == ["23:45", None]


@dataclass(frozen=True)
class Series:
    """Instants at one distance around the change of a zone's clocks."""

    zone: str
    step: timedelta
    ats: tuple[datetime, ...]

    @property
    def shift(self) -> timedelta:
        """By how much the clocks are put back."""
        return timedelta(minutes=30 if self.zone == "Australia/Lord_Howe" else 60)

    def told_apart(self, ats: Sequence[datetime]) -> list[datetime | None]:
        return told_apart(told(ats, self.zone), [self.step] * len(ats))


@st.composite
def series(draw: st.DrawFn) -> Series:
    """Return up to 16 instants of which the first is up to twelve before, or six after the change."""
    zone = draw(st.sampled_from(sorted(PUT_BACK)))
    step = timedelta(minutes=draw(st.sampled_from((15, 30, 60))))
    first, count = draw(st.integers(-12, 6)), draw(st.integers(1, 16))
    return Series(zone, step, tuple(PUT_BACK[zone] + step * place for place in range(first, first + count)))


def wrong(ats: Sequence[datetime], found: Sequence[datetime | None]) -> list[datetime]:
    return [at for at, each in zip(ats, found, strict=True) if each is not None and each != at]


def may_be_in_order(times: Sequence[Meanings]) -> bool:
    return any(all(later >= earlier for earlier, later in pairwise(some)) for some in product(*times))


class TestSeries:
    @given(series())
    def test_without_a_gap_are_known_by_one_time_that_is_there_once(self, some: Series) -> None:
        found = some.told_apart(some.ats)
        assert wrong(some.ats, found) == []
        if any(len(each) == 1 for each in told(some.ats, some.zone)):
            assert found == list(some.ats)
            if len(some.ats) > 2:
                assert some.told_apart(some.ats[::-1]) == list(some.ats[::-1])

    @given(series(), st.data())
    def test_with_gaps_are_right_or_open(self, some: Series, data: st.DataObject) -> None:
        ats = sorted(data.draw(st.sets(st.sampled_from(some.ats), min_size=1)))
        # A gap of just the shift looks like none.
        assume(all(later - earlier != some.step + some.shift for earlier, later in pairwise(ats)))
        assert wrong(ats, some.told_apart(ats)) == []
        backwards = ats[::-1]
        assert wrong(backwards, some.told_apart(backwards)) == []

    @given(series(), st.data())
    def test_out_of_order_say_nothing_of_what_is_there_twice(self, some: Series, data: st.DataObject) -> None:
        ats = list(some.ats)
        if data.draw(st.booleans()):
            ats = data.draw(st.permutations(ats))
        else:  # a single one came late
            ats.append(ats.pop(data.draw(st.integers(0, len(ats) - 1))))
        times = told(ats, some.zone)
        # Nobody can see that a list is out of order that reads like one in order with gaps, or backwards.
        assume(not may_be_in_order(times) and not may_be_in_order(times[::-1]))
        expected = [meant[0] if len(meant) == 1 else None for meant in times]
        assert some.told_apart(ats) == expected

    @given(series())
    def test_of_unknown_length_are_right_or_open(self, some: Series) -> None:
        assert wrong(some.ats, told_apart(told(some.ats, some.zone))) == []

    @given(series(), st.integers(1, 8))
    def test_of_blocks_are_right_or_open(self, some: Series, most: int) -> None:
        begins = some.ats[::most]
        lengths = [some.step * most] * len(begins)
        found = told_apart(told(begins, some.zone), lengths)
        assert wrong(begins, found) == []
        if len(begins) > 1 and any(len(each) == 1 for each in told(begins, some.zone)):
            assert None not in found
