"""E16: the highest value for a load, the lowest for generation."""

from __future__ import annotations

from mdus.vee.estimation.conservative import METHOD
from tests.unit.vee.estimation.gaps import X, days, estimated, filled, history

BEFORE = history(2, {1: [1, 5], 2: [3, X], 35: [-2, 9]})


class TestConservative:
    def test_takes_the_highest_for_a_load(self) -> None:
        of = days([X, 1], history=[BEFORE])
        assert filled(METHOD, of) == [[9, 1]]
        assert estimated(METHOD, of).inputs(0) == "the highest value of all times on 3 days before: 9.000"

    def test_takes_the_lowest_for_generation(self) -> None:
        assert filled(METHOD, days([X, X], history=[BEFORE]), measures="generation") == [[-2, -2]]

    def test_takes_the_extreme_of_the_same_time(self) -> None:
        assert filled(METHOD, days([X, X], history=[BEFORE]), same_time=True) == [[3, 9]]
        assert filled(METHOD, days([X, X], history=[BEFORE]), same_time=True, measures="generation") == [[-2, 5]]

    def test_looks_so_many_days_back(self) -> None:
        assert filled(METHOD, days([X, X], history=[BEFORE]), days=34) == [[5, 5]]

    def test_offers_nothing_for_a_time_without_values(self) -> None:
        of = days([X, X], history=[history(2, {1: [1, X]})])
        assert filled(METHOD, of, same_time=True) == [[1, X]]
        assert filled(METHOD, of, same_time=True, measures="generation") == [[1, X]]
