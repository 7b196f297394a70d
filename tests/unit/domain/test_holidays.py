"""Holidays: rows of them, and the lists they stand in."""

from __future__ import annotations

from datetime import date

import pytest
from pydantic import ValidationError

from mdus.domain.holidays import HolidayRow, Holidays, easter
from mdus.settings import load_settings
from tests.unit.billing.market import HOLIDAYS


class TestAHoliday:
    @pytest.mark.parametrize(
        ("year", "on"), [(2024, (3, 31)), (2025, (4, 20)), (2026, (4, 5)), (2038, (4, 25)), (2285, (3, 22))]
    )
    def test_follow_easter(self, year: int, on: tuple[int, int]) -> None:
        assert easter(year) == date(year, *on)

    @pytest.mark.parametrize(
        "given",
        [{}, {"month_day": "12-25", "easter_days": 1}, {"month_day": "02-30"}, {"month_day": "1-1"}],
        ids=["nothing", "two things", "no day", "no two digits"],
    )
    def test_that_are_no_holiday_are_refused(self, given: dict[str, object]) -> None:
        with pytest.raises(ValidationError):
            HolidayRow(name="x", lists=("land",), **given)  # type: ignore[arg-type]


class TestAListOfHolidays:
    @pytest.mark.parametrize(
        ("name", "day", "is_one"),
        [
            ("land", date(2026, 4, 6), True),
            ("land", date(2026, 4, 5), False),
            ("land", date(2026, 6, 11), False),
            ("town", date(2026, 6, 11), True),
            ("land", date(2031, 10, 3), False),
            ("", date(2026, 12, 25), False),
        ],
    )
    def test_has_its_days(self, name: str, day: date, is_one: bool) -> None:
        assert (day in Holidays(HOLIDAYS, name)) is is_one

    def test_tells_those_before_a_day_the_latest_first(self) -> None:
        listed = Holidays(HOLIDAYS, "land")
        found = listed.before(date(2026, 12, 25), most=3, since=date(2025, 1, 1))
        assert found == [date(2026, 10, 3), date(2026, 4, 6), date(2025, 12, 25)]
        assert listed.before(date(2026, 12, 25), most=9, since=date(2026, 4, 6)) == found[:2]
        assert listed.before(date(2026, 12, 25), most=9, since=date(2026, 4, 7)) == found[:1]

    def test_tells_those_between_days_the_first_one_left_out(self) -> None:
        listed = Holidays(HOLIDAYS, "land", "town")
        found = [date(2026, 4, 6), date(2026, 6, 11), date(2026, 10, 3), date(2026, 12, 25)]
        assert list(listed.between(date(2025, 12, 25), date(2026, 12, 25))) == found
        assert list(listed.between(date(2026, 4, 6), date(2026, 12, 24))) == found[1:3]
        assert list(listed.between(date(2026, 12, 25), date(2026, 4, 6))) == []

    def test_is_the_one_that_vee_names(self) -> None:
        settings = load_settings({})
        assert date(2026, 12, 25) in settings.made(Holidays)
        assert date(2026, 12, 25) not in load_settings({"MDUS_VEE__HOLIDAYS": ""}).made(Holidays)
