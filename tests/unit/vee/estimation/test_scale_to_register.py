"""E4: estimates add up to what the register moved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdus.vee.estimation.scale_to_register import METHOD
from mdus.vee.method import Gaps
from tests.unit.vee.estimation.gaps import X, days, elements, quantities


def scaled(values: Sequence[Any], estimates: Sequence[int], advance: float | None, **limits: Any) -> list[float | None]:
    """Return a day with its estimates (by place) scaled."""
    of = days(values, advance=[advance])
    wanted = np.isin(np.arange(len(values)), estimates)[None, :]
    given = Gaps(days=of, known=of.values, wanted=wanted, actual=of.present & ~wanted)
    estimate = METHOD.estimate(given, METHOD.parameters.model_validate(limits))
    return quantities(np.where(wanted & estimate.offered, estimate.values, of.values)[0])


class TestScaleToRegister:
    def test_keeps_the_proportions(self) -> None:
        assert scaled([4, 1, 2, 3], [1, 2, 3], 16) == [4, 2, 4, 6]

    def test_gives_equal_parts_where_estimates_are_nothing(self) -> None:
        assert scaled([4, 0, 0], [1, 2], 6) == [4, 1, 1]

    def test_gives_the_rest_to_those_cut_most(self) -> None:
        assert scaled([0.001, 0.001, 0.001], [0, 1, 2], 1) == [0.334, 0.333, 0.333]

    def test_waits_until_no_interval_is_open(self) -> None:
        assert scaled([1, 1, X], [1], 10) == [1, 1, X]

    def test_does_nothing_without_an_advance(self) -> None:
        assert scaled([1, 1], [1], None) == [1, 1]

    @pytest.mark.parametrize(
        ("advance", "allowed", "expected"),
        [
            pytest.param(4, False, [4, 0, 0], id="nothing is left"),
            pytest.param(3.999, False, [4, 1, 1], id="less than nothing is left"),
            pytest.param(2, True, [4, -1, -1], id="negative estimates allowed"),
        ],
    )
    def test_scales_below_zero_only_where_allowed(self, advance: float, allowed: bool, expected: list[float]) -> None:
        assert scaled([4, 1, 1], [1, 2], advance, allow_negative=allowed) == expected

    def test_keeps_the_signs_where_negative_estimates_are_allowed(self) -> None:
        assert scaled([4, -1, -2], [1, 2], -2, allow_negative=True) == [4, -2, -4]
        assert scaled([0, 3, -1], [1, 2], 4, allow_negative=True) == [0, 6, -2]
        assert scaled([0, 3, -1], [1, 2], 4) == [0, 4, 0]

    @given(
        st.lists(st.integers(0, 10**12), min_size=1, max_size=100),
        st.integers(0, 10**15),
        st.randoms(use_true_random=False),
    )
    def test_adds_up_to_the_last_digit(self, values: list[int], more: int, random: Any) -> None:
        estimates = [place for place in range(len(values)) if random.random() < 0.5] or [0]
        kept = sum(value for place, value in enumerate(values) if place not in estimates)
        amounts = [value / 1 for value in values]
        of = days(amounts, decimals=0, advance=[kept + more])
        wanted = np.isin(np.arange(len(values)), estimates)[None, :]
        estimate = METHOD.estimate(Gaps(days=of, known=of.values, wanted=wanted, actual=~wanted), METHOD.parameters())
        assert int(np.where(wanted, estimate.values, of.values).sum()) == int(elements([kept + more], 0)[0])
