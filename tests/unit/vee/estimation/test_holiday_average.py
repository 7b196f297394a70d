"""E2b: holidays from holidays, else from Sundays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from mdus.domain.channel import MISSING
from mdus.vee.days import Days
from mdus.vee.estimation.holiday_average import METHOD
from tests.unit.vee.estimation.gaps import X, days, estimated, filled, history, weekdays_before


def holiday(holidays: Mapping[int, float], sundays: Mapping[int, float], weekday: int = 7) -> Days:
    """One interval of a holiday on a Thursday, holidays and Sundays by how many days ago."""
    values, ages = np.full((12, 1), MISSING), np.full(12, -1)
    for place, (ago, value) in enumerate(holidays.items()):
        values[place], ages[place] = round(value * 1000), ago
    facts: dict[str, Any] = {"holiday_history": [values], "holiday_age": [ages]}
    return days([X], history=[history(1, sundays)], history_weekday=[weekdays_before(3)], weekday=[weekday], **facts)


class TestHolidayAverage:
    @pytest.mark.parametrize(
        ("holidays", "sundays", "expected"),
        [
            pytest.param({3: 1, 60: 2, 90: 6, 120: 50}, {4: 99}, 3, id="holidays alone, the latest three"),
            pytest.param({3: 1, 60: 2}, {4: 6, 11: 50}, 3, id="the latest Sunday fills up"),
            pytest.param({}, {4: 1, 11: 2, 18: 6, 25: 50}, 3, id="Sundays alone"),
            pytest.param({3: 1}, {4: 2, 5: 40}, X, id="two days are too few, a Saturday is no Sunday"),
            pytest.param({401: 1}, {4: 1, 11: 2}, X, id="too old"),
            pytest.param({400: 6}, {4: 1, 11: 2}, 3, id="just not too old"),
        ],
    )
    def test_averages_three_days(
        self, holidays: Mapping[int, float], sundays: Mapping[int, float], expected: float | None
    ) -> None:
        assert filled(METHOD, holiday(holidays, sundays)) == [[expected]]

    def test_takes_two_where_they_are_enough(self) -> None:
        assert filled(METHOD, holiday({3: 1}, {4: 2}), at_least=2) == [[1.5]]

    def test_leaves_other_days(self) -> None:
        assert filled(METHOD, holiday({3: 1, 60: 2, 90: 6}, {}, weekday=3)) == [[X]]

    def test_says_how_many_of_each(self) -> None:
        told = estimated(METHOD, holiday({3: 1, 60: 2}, {4: 6})).inputs(0)
        assert told == "the mean of 3 days: 2 holidays, 1 Sundays"
