"""E1: a straight line between the neighbours of a short gap."""

from __future__ import annotations

import pytest

from mdus.vee.days import Flag
from mdus.vee.estimation.linear import METHOD
from tests.unit.vee.estimation.gaps import X, days, estimated, filled


class TestLinear:
    def test_rounds_the_step_first(self) -> None:
        """Vector T1: the step is 1.585667, not 1.58566666."""
        assert filled(METHOD, days([50.14, X, X, 54.897], decimals=6)) == [[50.14, 51.725667, 53.311334, 54.897]]

    def test_bridges_four_intervals(self) -> None:
        """Vector T5."""
        assert filled(METHOD, days([75, X, X, X, X, 100])) == [[75, 80, 85, 90, 95, 100]]

    @pytest.mark.parametrize(
        ("missing", "is_filled"), [pytest.param(8, True, id="two hours"), pytest.param(9, False, id="longer")]
    )
    def test_leaves_longer_gaps(self, missing: int, is_filled: bool) -> None:
        (row,) = filled(METHOD, days([1, *[X] * missing, 1]))
        assert (X not in row) is is_filled

    def test_goes_over_midnight_to_the_days_beside(self) -> None:
        of = days([X, 2, X], [X, 2, X], last_value=[1, X], next_value=[3, X])
        assert filled(METHOD, of) == [[1.5, 2, 2.5], [X, 2, X]]

    def test_takes_no_end_with_a_power_failure(self) -> None:
        of = days([1, X, 3], [1, X, 3], flags={(0, 0): Flag.POWER_DOWN})
        assert filled(METHOD, of) == [[1, X, 3], [1, 2, 3]]

    def test_takes_no_end_with_a_power_failure_over_midnight(self) -> None:
        down = int(Flag.POWER_DOWN)
        of = days(
            [X, 2, X], [X, 2, X], last_value=[1, 1], next_value=[3, 3], last_flags=[down, 0], next_flags=[0, down]
        )
        assert filled(METHOD, of) == [[X, 2, 2.5], [1.5, 2, X]]

    def test_repeats_one_neighbour_where_that_is_allowed(self) -> None:
        assert filled(METHOD, days([X, 2, X])) == [[X, 2, X]]
        assert filled(METHOD, days([X, 2, X]), flat=True) == [[2, 2, 2]]

    def test_falls_and_rises_below_zero(self) -> None:
        assert filled(METHOD, days([1, X, -2], [-3, X, -1])) == [[1, -0.5, -2], [-3, -2, -1]]

    def test_says_what_it_was_made_from(self) -> None:
        estimate = estimated(METHOD, days([1, X, 3]))
        assert estimate.inputs(0) == "the values before and after: 1.000 and 3.000"
