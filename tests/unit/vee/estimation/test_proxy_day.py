"""E13: the day whose temperature was most like it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from mdus.vee.days import Days
from mdus.vee.estimation.proxy_day import METHOD
from tests.unit.vee.estimation.gaps import X, days, estimated, filled, history, weekdays_before


def day(offers: Mapping[int, tuple[float, Any]], *, own: float = 10.0, weekday: int = 3, width: int = 1) -> Days:
    """A Thursday, with the temperature and values of days before by how many days ago."""
    temperatures = np.full(35, np.nan)
    for ago, (temperature, _) in offers.items():
        temperatures[ago - 1] = temperature
    return days(
        [X] * width,
        temperature=[own],
        history_temperature=[temperatures],
        history=[history(width, {ago: value for ago, (_, value) in offers.items()})],
        history_weekday=[weekdays_before(3)],
        weekday=[weekday],
    )


class TestProxyDay:
    def test_takes_the_nearest_temperature(self) -> None:
        of = day({1: (12, 1), 2: (9.5, 2), 3: (11, 3)})
        assert filled(METHOD, of) == [[2]]
        assert estimated(METHOD, of).inputs(0) == "the day 2 days before, 0.5 degrees from 10.0"

    def test_takes_the_later_of_two_as_near(self) -> None:
        assert filled(METHOD, day({1: (11, 1), 2: (9, 2)})) == [[1]]

    @pytest.mark.parametrize(
        ("temperature", "expected"), [pytest.param(13.0, 1, id="3 apart"), pytest.param(13.1, X, id="more")]
    )
    def test_takes_no_day_too_far_apart(self, temperature: float, expected: float | None) -> None:
        assert filled(METHOD, day({1: (temperature, 1)})) == [[expected]]

    def test_takes_a_day_with_all_that_is_wanted(self) -> None:
        assert filled(METHOD, day({1: (10, [1, X]), 2: (11, [3, 4])}, width=2)) == [[3, 4]]

    def test_takes_no_working_day_for_another(self) -> None:
        offers = {4: (10, 7), 1: (12, 1)}  # four days before a Thursday it was Sunday
        assert filled(METHOD, day(offers)) == [[1]]
        assert filled(METHOD, day(offers, weekday=7)) == [[7]]
        assert filled(METHOD, day(offers), same_kind=False) == [[7]]

    @pytest.mark.parametrize(("own", "other"), [(float("nan"), 10.0), (10.0, float("nan"))])
    def test_offers_nothing_without_temperatures(self, own: float, other: float) -> None:
        assert filled(METHOD, day({1: (other, 1)}, own=own)) == [[X]]
