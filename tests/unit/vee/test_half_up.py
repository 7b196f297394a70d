"""Rounding in whole numbers, away from zero, and sharing out to the last digit."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdus.domain.channel import MISSING
from mdus.vee.half_up import divided, proportion, shared_out

WHOLE = st.integers(-(10**15), 10**15)


def half_up(top: int, bottom: int) -> int:
    """Return the quotient as the decimal module rounds it."""
    return int((Decimal(top) / Decimal(bottom)).quantize(Decimal(1), rounding=ROUND_HALF_UP))


class TestDivided:
    @pytest.mark.parametrize(
        ("top", "bottom", "expected"), [(5, 2, 3), (-5, 2, -3), (5, -2, -3), (4, 3, 1), (-4, 3, -1), (7, 0, 0)]
    )
    def test_rounds_half_away_from_zero(self, top: int, bottom: int, expected: int) -> None:
        assert divided(np.array([top]), bottom).tolist() == [expected]

    @given(WHOLE, st.integers(1, 10**6))
    def test_is_what_decimals_make(self, top: int, bottom: int) -> None:
        assert divided(np.array([top]), bottom).tolist() == [half_up(top, bottom)]


class TestProportion:
    @pytest.mark.parametrize(
        ("amount", "by", "over", "expected"),
        [
            # Vector T7, in thousandths to hundredths: half to even would make 334, a float 2.67.
            pytest.param(3345, 100, 1000, 335, id="3.345 to 3.35"),
            pytest.param(2675, 100, 1000, 268, id="2.675 to 2.68"),
            pytest.param(-3345, 100, 1000, -335, id="below zero"),
            pytest.param(3345, -100, -1000, 335, id="two signs"),
            pytest.param(7, 1, 0, 0, id="over nothing"),
            pytest.param(10**18, 10**12, 10**13, 10**17, id="beyond 64 bits on the way"),
            pytest.param(10**18, 10, 1, MISSING, id="beyond 64 bits at the end"),
        ],
    )
    def test_rounds_half_away_from_zero(self, amount: int, by: int, over: int, expected: int) -> None:
        assert proportion(np.array([amount]), by, over).tolist() == [expected]

    @given(WHOLE, st.integers(0, 10**3), st.integers(1, 10**6))
    def test_is_what_decimals_make(self, amount: int, by: int, over: int) -> None:
        assert proportion(np.array([amount]), by, over).tolist() == [half_up(amount * by, over)]


class TestSharedOut:
    @given(st.integers(-(10**15), 10**15), st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=100))
    def test_adds_up_and_strays_by_less_than_one(self, amount: int, weights: list[int]) -> None:
        shares = shared_out(np.array([amount]), np.array([weights]))[0].tolist()
        if sum(weights) == 0:
            assert shares == [0] * len(weights)
        else:
            assert sum(shares) == amount
            assert all(
                abs(share * sum(weights) - amount * weight) < abs(sum(weights))
                for share, weight in zip(shares, weights, strict=True)
            )
