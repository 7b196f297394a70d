"""E6: nothing flowed while the supply was off."""

from __future__ import annotations

import pytest

from mdus.vee.days import Flag
from mdus.vee.estimation.power_gap import METHOD
from tests.unit.vee.estimation.gaps import X, days, estimated, filled

DOWN, UP = Flag.POWER_DOWN, Flag.POWER_UP
BESIDE = {(0, 0): DOWN, (0, 4): UP}


class TestPowerGap:
    def test_gives_the_advance_to_the_last_interval(self) -> None:
        of = days([1, X, X, X, 2], flags=BESIDE, advance=[7])
        assert filled(METHOD, of) == [[1, 0, 0, 4, 2]]
        assert "4.000 of the register's advance" in estimated(METHOD, of).inputs(0)

    def test_accepts_flags_of_the_missing_intervals(self) -> None:
        of = days([1, X, X, X, 2], flags={(0, 1): DOWN, (0, 3): UP}, advance=[7])
        assert filled(METHOD, of) == [[1, 0, 0, 4, 2]]

    @pytest.mark.parametrize(
        "flags",
        [
            pytest.param({(0, 0): DOWN}, id="no return"),
            pytest.param({(0, 4): UP}, id="no failure"),
            pytest.param({(0, 0): UP, (0, 4): DOWN}, id="the other way round"),
        ],
    )
    def test_needs_both_flags(self, flags: dict[tuple[int, int], Flag]) -> None:
        assert filled(METHOD, days([1, X, X, X, 2], flags=flags, advance=[7])) == [[1, X, X, X, 2]]

    def test_repeats_the_reading_before(self) -> None:
        of = days([1, X, X, X, 2], flags=BESIDE)
        assert filled(METHOD, of, values="bulk") == [[1, 1, 1, 1, 2]]
        assert filled(METHOD, days([X, 2], flags={(0, 0): DOWN, (0, 1): UP}), values="bulk") == [[X, 2]]

    @pytest.mark.parametrize(
        ("minutes", "is_filled"),
        [pytest.param(31, True, id="shorter"), pytest.param(30, False, id="exactly the limit")],
    )
    def test_is_strict_about_the_longest_gap(self, minutes: int, is_filled: bool) -> None:
        (row,) = filled(METHOD, days([1, X, X, X, 2], flags=BESIDE, advance=[7]), max_minutes=minutes)
        assert (X not in row) is is_filled

    @pytest.mark.parametrize(
        ("advance", "last"), [pytest.param(3, 0, id="nothing is left"), pytest.param(2.999, X, id="less than nothing")]
    )
    def test_offers_nothing_below_zero(self, advance: float, last: float | None) -> None:
        assert filled(METHOD, days([1, X, 2], flags={(0, 0): DOWN, (0, 2): UP}, advance=[advance])) == [[1, last, 2]]

    def test_cannot_tell_two_gaps_apart(self) -> None:
        of = days([1, X, 2, X], flags={(0, 0): DOWN, (0, 2): UP}, advance=[7])
        assert filled(METHOD, of) == [[1, X, 2, X]]

    def test_looks_over_midnight(self) -> None:
        of = days([X, X], advance=[3], last_flags=[int(DOWN)], next_flags=[int(UP)])
        assert filled(METHOD, of) == [[0, 3]]
        assert filled(METHOD, days([X, X], advance=[3], last_flags=[int(DOWN)])) == [[X, X]]

    def test_waits_while_a_value_may_still_come(self) -> None:
        of = days([X, X], advance=[3], last_flags=[int(DOWN)], next_flags=[int(UP)])
        assert not estimated(METHOD, of, open_ones=[1]).offered.any()
