"""E2: the mean of the same intervals on days like this one."""

from __future__ import annotations

import pytest

from mdus.vee.estimation.like_day_average import METHOD
from tests.unit.vee.estimation.gaps import X, days, estimated, filled, history, weekdays_before

WEEKS = {7: 1, 14: 2, 21: 6, 28: 100, 1: 50}
TUESDAY = {"weekday": [1], "history_weekday": [weekdays_before(1)]}


class TestLikeDayAverage:
    def test_averages_the_latest_three_of_the_weekday(self) -> None:
        of = days([X, 7], history=[history(2, WEEKS)], **TUESDAY)
        assert filled(METHOD, of) == [[3, 7]]
        assert filled(METHOD, of, samples=4) == [[27.25, 7]]
        assert estimated(METHOD, of).inputs(0) == "the mean of 3 days of the same kind before"

    def test_rounds_half_away_from_zero(self) -> None:
        of = days([X], [X], history=[history(1, {7: 0.001, 14: 0.002}), history(1, {7: -0.001, 14: -0.002})],
                  weekday=[1, 1], history_weekday=[weekdays_before(1)] * 2)  # fmt: skip
        assert filled(METHOD, of) == [[0.002], [-0.002]]

    @pytest.mark.parametrize(("least", "expected"), [pytest.param(2, 1.5, id="enough"), pytest.param(3, X, id="few")])
    def test_needs_so_many(self, least: int, expected: float | None) -> None:
        of = days([X], history=[history(1, {7: 1, 14: 2})], **TUESDAY)
        assert filled(METHOD, of, at_least=least) == [[expected]]

    def test_takes_no_holiday_for_its_weekday(self) -> None:
        kinds = weekdays_before(1)
        kinds[6] = 7
        of = days([X], history=[history(1, WEEKS)], weekday=[1], history_weekday=[kinds])
        assert filled(METHOD, of) == [[36]]

    def test_passes_over_days_without_the_interval(self) -> None:
        of = days([X, X], history=[history(2, {7: [1, X], 14: [2, 5], 21: [3, 6], 28: [9, 7]})], **TUESDAY)
        assert filled(METHOD, of) == [[2, 6]]
