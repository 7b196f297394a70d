"""E1b: what is missing beside a power failure."""

from __future__ import annotations

import pytest

from mdus.vee.days import Flag
from mdus.vee.estimation.outage_gap import METHOD
from tests.unit.vee.estimation.gaps import X, days, estimated, filled

DOWN = int(Flag.POWER_DOWN)


class TestOutageGap:
    def test_is_nothing_between_two_outages(self) -> None:
        of = days([1, 0.2, X, X, 0.3, 1], flags={(0, 1): Flag.POWER_DOWN, (0, 4): Flag.POWER_DOWN})
        assert filled(METHOD, of) == [[1, 0.2, 0, 0, 0.3, 1]]
        assert estimated(METHOD, of).inputs(0).startswith("outages beside gaps: 2 intervals with nothing")

    def test_takes_the_good_neighbour_beside_one_outage(self) -> None:
        of = days([0.2, X, X, 3], [2, X, X, 0.3], flags={(0, 0): Flag.POWER_DOWN, (1, 3): Flag.POWER_DOWN})
        assert filled(METHOD, of) == [[0.2, 3, 3, 3], [2, 2, 2, 0.3]]

    def test_leaves_gaps_without_an_outage_beside(self) -> None:
        assert filled(METHOD, days([1, X, 3])) == [[1, X, 3]]

    def test_believes_what_the_meter_told_of_outages(self) -> None:
        of = days([1, X, 3], outage=[[True, False, True]])
        assert filled(METHOD, of) == [[1, 0, 3]]

    @pytest.mark.parametrize(
        ("missing", "is_filled"), [pytest.param(8, True, id="two hours"), pytest.param(9, False, id="longer")]
    )
    def test_leaves_longer_gaps(self, missing: int, is_filled: bool) -> None:
        (row,) = filled(METHOD, days([1, *[X] * missing, 1], flags={(0, 0): Flag.POWER_DOWN}))
        assert (X not in row) is is_filled

    def test_looks_over_midnight(self) -> None:
        of = days([X, 2], [2, X], [X, 2], last_flags=[DOWN, 0, 0], next_flags=[0, DOWN, 0])
        assert filled(METHOD, of) == [[2, 2], [2, 2], [X, 2]]

    def test_leaves_a_gap_whose_good_side_is_unknown(self) -> None:
        assert filled(METHOD, days([0.2, X, X], flags={(0, 0): Flag.POWER_DOWN})) == [[0.2, X, X]]
        of = days([0.2, X, X], flags={(0, 0): Flag.POWER_DOWN}, next_value=[-4])
        assert filled(METHOD, of) == [[0.2, -4, -4]]
