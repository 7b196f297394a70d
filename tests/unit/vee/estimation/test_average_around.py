"""E7: the mean of the values nearest to a gap."""

from __future__ import annotations

import numpy as np
import pytest

from mdus.vee.estimation.average_around import METHOD
from mdus.vee.method import Gaps
from tests.unit.vee.estimation.gaps import X, days, estimated, filled, gaps


class TestAverageAround:
    def test_takes_the_nearest_of_both_sides(self) -> None:
        assert filled(METHOD, days([90, 1, 2, X, 4, 5, 90]), samples=4) == [[90, 1, 2, 3, 4, 5, 90]]

    def test_prefers_the_earlier_of_two_as_near(self) -> None:
        assert filled(METHOD, days([90, 1, X, 5, 90]), samples=1) == [[90, 1, 1, 5, 90]]
        assert filled(METHOD, days([90, 1, X, 5, 90]), samples=3) == [[90, 1, 32, 5, 90]]

    def test_gives_a_whole_gap_one_value(self) -> None:
        of = days([1, X, X, 2])
        assert filled(METHOD, of) == [[1, 1.5, 1.5, 2]]
        assert estimated(METHOD, of).inputs(0) == "the mean of 2 values around the gap"

    def test_looks_over_midnight(self) -> None:
        assert filled(METHOD, days([X, 3], [3, X], last_value=[1, X], next_value=[X, 6])) == [[2, 3], [3, 4.5]]

    def test_rounds_half_away_from_zero(self) -> None:
        assert filled(METHOD, days([0.001, X, 0.002], [-0.001, X, -0.002])) == [
            [0.001, 0.002, 0.002],
            [-0.001, -0.002, -0.002],
        ]

    @pytest.mark.parametrize(("least", "expected"), [pytest.param(2, 2, id="enough"), pytest.param(3, X, id="few")])
    def test_needs_so_many(self, least: int, expected: float | None) -> None:
        assert filled(METHOD, days([1, X, 3]), at_least=least) == [[1, expected, 3]]

    @pytest.mark.parametrize(
        ("minutes", "is_filled"), [pytest.param(30, True, id="the limit"), pytest.param(29, False, id="longer")]
    )
    def test_leaves_longer_gaps(self, minutes: int, is_filled: bool) -> None:
        (row,) = filled(METHOD, days([1, X, X, 1]), max_minutes=minutes)
        assert (X not in row) is is_filled

    def test_averages_no_estimates(self) -> None:
        of = days([1, X, 5])
        given = gaps(of)
        doubted = Gaps(days=of, known=given.known, wanted=given.wanted, actual=np.array([[True, False, False]]))
        assert METHOD.estimate(doubted, METHOD.parameters()).values[0, 1] == 1000
