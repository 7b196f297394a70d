"""Limits as they were written."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdus.vee.exact import ceiling, exceeds, falls_short, floor, minutes_of, most, product, written
from tests.unit.vee.channel_days import days_of

large = st.integers(-(2**63) + 1, 2**63 - 1)
ratios = st.decimals(0, 1000, places=4, allow_nan=False).map(float)


def one(number: int) -> np.ndarray:
    return np.array([number], dtype=np.int64)


class TestExceeds:
    @pytest.mark.parametrize(("left", "is_more"), [(28, False), (29, False), (30, True)])
    def test_takes_the_ratio_as_it_was_written(self, left: int, is_more: bool) -> None:
        assert 0.29 * 100 < 29
        assert exceeds([one(left)], 0.29, [one(100)])[0] == is_more

    @given(left=large, other=large, ratio=ratios, right=large)
    def test_is_what_fractions_say(self, left: int, other: int, ratio: float, right: int) -> None:
        factor = written(ratio)
        assert exceeds([one(left), one(other)], ratio, [one(right), 7])[0] == (left * other > factor * right * 7)
        assert falls_short([one(left), one(other)], ratio, [one(right), 7])[0] == (left * other < factor * right * 7)


class TestProduct:
    @pytest.mark.parametrize(("factor", "kind"), [(2**31, "i"), (2**32, "O")])
    def test_leaves_int64_when_it_must(self, factor: int, kind: str) -> None:
        result = product(one(2**31), factor)
        assert result.dtype.kind == kind
        assert int(result[0]) == 2**31 * factor


class TestMost:
    @given(ratio=ratios, amount=large)
    def test_is_the_greatest_whole_number_not_above(self, ratio: float, amount: int) -> None:
        exact = (written(ratio) * amount).__floor__()
        assert most(ratio, one(amount))[0] == max(-(2**63) + 1, min(2**63 - 1, exact))


class TestElements:
    @pytest.mark.parametrize(
        ("quantity", "least", "greatest"),
        [(0.29, 290, 290), (0.2904, 291, 290), (-0.2904, -290, -291), (1e300, 2**63 - 1, 2**63 - 1)],
    )
    def test_are_whole(self, quantity: float, least: int, greatest: int) -> None:
        days = days_of([0], decimals=3)
        assert ceiling(quantity, days) == least
        assert floor(quantity, days) == greatest

    def test_are_a_part_of_what_is_allowed_per_hour(self) -> None:
        assert floor(4.0, days_of([0], minutes=15), per_hour=True) == 1000
        assert floor(1.0, days_of([0], minutes=7), per_hour=True) == 116
        assert ceiling(1.0, days_of([0], minutes=7), per_hour=True) == 117


def test_minutes_of_days_are_whole_and_zero_when_unknown() -> None:
    assert minutes_of(np.array([1.0, 23 / 24, 0.5, np.nan, np.inf])).tolist() == [1440, 1380, 720, 0, 0]
