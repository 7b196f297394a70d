"""E14: values in a grid of other intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdus.domain.channel import MISSING
from mdus.vee.resampling import as_wide, resampled

X = MISSING


class TestResampled:
    @pytest.mark.parametrize(
        ("minutes", "to", "values", "expected"),
        [
            pytest.param(15, 5, [9, 3], [3, 3, 3, 1, 1, 1], id="a third each"),
            pytest.param(30, 5, [12], [2] * 6, id="a sixth each"),
            pytest.param(15, 30, [1, 2, 3, 4], [3, 7], id="two together"),
            pytest.param(15, 5, [10], [4, 3, 3], id="what is left over goes to the first"),
            pytest.param(15, 5, [-10], [-3, -3, -4], id="below zero"),
            pytest.param(15, 5, [X, 3], [X, X, X, 1, 1, 1], id="nothing of nothing"),
            pytest.param(15, 30, [1, X, 3, 4], [X, 7], id="missing in part is missing"),
            pytest.param(15, 15, [1, X], [1, X], id="the same grid"),
        ],
    )
    def test_changes_the_grid(self, minutes: int, to: int, values: list[int], expected: list[int]) -> None:
        assert resampled(np.array([values]), minutes=minutes, to=to).tolist() == [expected]

    @pytest.mark.parametrize("width", [92, 96, 100])
    def test_goes_back_and_forth_on_days_of_any_length(self, width: int) -> None:
        values = np.arange(2 * width).reshape(2, width)
        finer = resampled(values, minutes=15, to=5)
        assert finer.shape == (2, 3 * width)
        assert (resampled(finer, minutes=5, to=15) == values).all()
        assert resampled(values, minutes=15, to=60).shape == (2, width // 4)

    @given(st.lists(st.integers(-(10**15), 10**15), min_size=1, max_size=10), st.sampled_from([1, 5, 6, 10, 15]))
    def test_loses_nothing(self, values: list[int], to: int) -> None:
        assert int(resampled(np.array([values]), minutes=30, to=to).sum()) == sum(values)

    @pytest.mark.parametrize(("minutes", "to"), [(15, 10), (10, 15), (15, 0), (15, -5)])
    def test_refuses_grids_that_do_not_fit(self, minutes: int, to: int) -> None:
        with pytest.raises(ValueError, match="no whole number"):
            resampled(np.array([[1, 2, 3]]), minutes=minutes, to=to)

    def test_refuses_a_day_that_does_not_fit(self) -> None:
        with pytest.raises(ValueError, match="a day of 3 intervals"):
            resampled(np.array([[1, 2, 3]]), minutes=15, to=30)


class TestAsWide:
    @pytest.mark.parametrize(
        ("length", "expected"),
        [
            pytest.param(23, [0, 1, X, *range(2, 23)], id="the spring day lacks the third hour"),
            pytest.param(24, list(range(24)), id="a day as any"),
            pytest.param(25, [0, 1, *range(3, 25)], id="of the hour that the autumn day has twice the second counts"),
        ],
    )
    def test_hours_stand_at_their_own_local_time(self, length: int, expected: list[int]) -> None:
        assert as_wide(np.arange(length, dtype=np.int64)[None, :], 24).tolist() == [expected]

    @pytest.mark.parametrize("length", [92, 100])
    def test_quarters_of_an_hour_do_so_too(self, length: int) -> None:
        [found] = as_wide(np.arange(length, dtype=np.int64)[None, :], 96).tolist()
        assert found[:8] == list(range(8))
        assert found[12:] == list(range(length - 84, length))
        assert found[8:12] == ([X] * 4 if length == 92 else list(range(12, 16)))
