"""E12b: what the register moved, in the shape of a profile."""

from __future__ import annotations

import pytest

from mdus.vee.estimation.intervals_from_register import METHOD
from tests.unit.vee.estimation.gaps import X, days, elements, estimated, filled, history


class TestIntervalsFromRegister:
    def test_takes_the_shape_of_similar_meters(self) -> None:
        of = days([X, X, X, 4], advance=[16], similar=[elements([1, 2, 3, 90])])
        assert filled(METHOD, of) == [[2, 4, 6, 4]]
        assert estimated(METHOD, of).inputs(0) == ("12.000 of the register's 16.000, in the shape of similar meters")

    def test_adds_up_to_the_last_digit(self) -> None:
        of = days([X, X, X], advance=[0.01], similar=[elements([1, 1, 1])])
        assert filled(METHOD, of) == [[0.004, 0.003, 0.003]]

    def test_takes_the_mean_of_the_days_before_else(self) -> None:
        before = history(2, {1: [1, 2], 2: [3, 2]})
        of = days([X, X], advance=[8], history=[before])
        assert filled(METHOD, of) == [[4, 4]]
        lacking = days([X, X], advance=[8], history=[before], similar=[elements([1, X])])
        assert filled(METHOD, lacking) == [[4, 4]]
        assert filled(METHOD, lacking, profiles=["similar"]) == [[X, X]]

    @pytest.mark.parametrize(
        ("advance", "expected"),
        [
            pytest.param(4, 0, id="nothing is left"),
            pytest.param(3.999, X, id="less than nothing"),
            pytest.param(X, X, id="unknown"),
        ],
    )
    def test_offers_nothing_below_zero(self, advance: float | None, expected: float | None) -> None:
        assert filled(METHOD, days([4, X], advance=[advance], similar=[elements([1, 1])])) == [[4, expected]]

    def test_needs_a_shape_above_zero(self) -> None:
        assert filled(METHOD, days([X, X], advance=[4], similar=[elements([0, 0])])) == [[X, X]]
        assert filled(METHOD, days([X, X], advance=[4], similar=[elements([0, -1])])) == [[X, X]]

    def test_waits_while_a_value_may_still_come(self) -> None:
        of = days([X, X], advance=[4], similar=[elements([1, 1])])
        assert estimated(METHOD, of).offered.all()
        assert not estimated(METHOD, of, open_ones=[1]).offered.any()
