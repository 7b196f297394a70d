"""Calendars: seasons, types of days, holidays, windows by the clock on the wall, on days of 92, 96 and 100 quarters."""

from __future__ import annotations

from datetime import date

import pytest
from pydantic import ValidationError

from mdus.billing.calendar import Calendars, DayType, same_beginning
from mdus.domain.channel import day_grid
from tests.unit.billing.market import AUTUMN, BERLIN, HOLIDAYS, SPRING, USUAL, WORKDAYS, calendar


def buckets(row: object, day: date, *, minutes: int = 15, zone: str = BERLIN) -> list[str]:
    calendars = Calendars(rows=(row,), holidays=HOLIDAYS)  # type: ignore[arg-type]
    names = row.buckets  # type: ignore[attr-defined]
    return [names[place] for place in calendars.places(row, day_grid(day, minutes, zone), zone)]  # type: ignore[arg-type]


class TestWindows:
    def test_hold_the_beginnings_of_intervals(self) -> None:
        found = buckets(WORKDAYS, USUAL)
        assert found[:24] == ["low"] * 24  # to 06:00
        assert found[24:88] == ["high"] * 64  # to 22:00
        assert found[88:] == ["low"] * 8

    @pytest.mark.parametrize(
        ("day", "count", "twos"),
        [
            pytest.param(SPRING, 92, 0, id="skipped hour"),
            pytest.param(USUAL, 96, 4, id="usual"),
            pytest.param(AUTUMN, 100, 8, id="hour twice"),
        ],
    )
    def test_stay_where_the_clock_shows_them(self, day: date, count: int, twos: int) -> None:
        row = calendar({"bucket": "two", "days": ["every"], "from": "02:00", "to": "03:00"})
        found = buckets(row, day)
        assert (len(found), found.count("two")) == (count, twos)
        assert found.index("two") == 8 if twos else "two" not in found

    @pytest.mark.parametrize(
        ("day", "first"),
        [
            pytest.param(SPRING, 20, id="skipped hour"),
            pytest.param(USUAL, 24, id="usual"),
            pytest.param(AUTUMN, 28, id="hour twice"),
        ],
    )
    def test_after_the_change_are_as_the_clock_shows(self, day: date, first: int) -> None:
        row = calendar({"bucket": "high", "days": ["every"], "from": "06:00", "to": "22:00"})
        found = buckets(row, day)
        assert found.index("high") == first
        assert found.count("high") == 64

    def test_are_taken_in_their_order(self) -> None:
        row = calendar(
            {"bucket": "peak", "days": ["wed"], "from": "17:00", "to": "20:00"},
            {"bucket": "high", "days": ["every"], "from": "06:00", "to": "22:00"},
        )
        assert row.buckets == ("peak", "high", "low")
        assert [buckets(row, USUAL).count(name) for name in row.buckets] == [12, 52, 32]

    @pytest.mark.parametrize(
        ("window", "said"),
        [
            pytest.param({"bucket": "a", "days": ["mon"], "from": "22:00", "to": "06:00"}, "over midnight", id="night"),
            pytest.param({"bucket": "a", "days": ["mon"], "from": "06:00", "to": "06:00"}, "over midnight", id="empty"),
            pytest.param({"bucket": "a", "days": ["monday"]}, "days are of", id="unknown day"),
            pytest.param({"bucket": "a", "days": []}, "days are of", id="no day"),
            pytest.param({"bucket": "a", "days": ["mon"], "season": "autumn"}, "none of seasons", id="unknown season"),
            pytest.param({"bucket": "a", "days": ["mon"], "to": "24:15"}, "pattern", id="no time"),
        ],
    )
    def test_that_cannot_be_are_refused(self, window: dict[str, object], said: str) -> None:
        with pytest.raises(ValidationError, match=said):
            calendar(window)


class TestDays:
    @pytest.mark.parametrize(
        ("day", "kind"),
        [
            pytest.param(date(2026, 4, 6), DayType.HOLIDAY, id="Easter Monday"),
            pytest.param(date(2026, 4, 5), DayType.SUN, id="Easter Sunday is none of the list"),
            pytest.param(date(2026, 12, 25), DayType.HOLIDAY, id="Christmas"),
            pytest.param(date(2026, 6, 11), DayType.THU, id="a holiday of another list"),
            pytest.param(date(1989, 10, 3), DayType.TUE, id="before its first year"),
            pytest.param(date(1990, 10, 3), DayType.HOLIDAY, id="in its first year"),
            pytest.param(date(2030, 10, 3), DayType.HOLIDAY, id="in its last year"),
            pytest.param(date(2031, 10, 3), DayType.FRI, id="after its last year"),
            pytest.param(USUAL, DayType.WED, id="usual"),
        ],
    )
    def test_have_a_type(self, day: date, kind: DayType) -> None:
        assert Calendars(holidays=HOLIDAYS).type_of(WORKDAYS, day) is kind

    def test_that_are_holidays_are_no_workdays(self) -> None:
        assert set(buckets(WORKDAYS, date(2026, 4, 6))) == {"low"}
        assert set(buckets(WORKDAYS, date(2026, 4, 7))) == {"low", "high"}

    @pytest.mark.parametrize(
        ("day", "season"),
        [
            (date(2026, 3, 31), "winter"),
            (date(2026, 4, 1), "summer"),
            (date(2026, 9, 30), "summer"),
            (date(2026, 10, 1), "winter"),
            (date(2026, 1, 1), "winter"),
        ],
    )
    def test_have_a_season(self, day: date, season: str) -> None:
        row = calendar(
            {"bucket": "a", "days": ["every"], "season": "summer"}, seasons={"summer": "04-01", "winter": "10-01"}
        )
        assert row.season_of(day) == season
        assert ("a" in buckets(row, day)) is (season == "summer")


class TestVersions:
    def test_follow_each_other_by_date(self) -> None:
        old, new = calendar(name="old"), calendar(name="new", valid_from=date(2026, 7, 1), otherwise="all")
        calendars = Calendars(rows=(new, old))
        assert calendars.on("c", date(2026, 6, 30)) is old
        assert calendars.on("c", date(2026, 7, 1)) is new
        assert calendars.on("d", USUAL) is None
        assert list(same_beginning((old, new))) == []
        assert list(same_beginning((old, calendar(name="again")))) != []
