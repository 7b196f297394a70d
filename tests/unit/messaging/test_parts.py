"""Items are parted in their order, none is lost, and no part is larger than it may be."""

from __future__ import annotations

import pytest

from mdus.messaging.parts import parted


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([1, 1, 1], ["abc"], id="as many as go"),
        pytest.param([1, 1, 1, 1], ["abc", "d"], id="one more"),
        pytest.param([5, 5], ["ab"], id="as heavy as may be"),
        pytest.param([5, 6], ["a", "b"], id="a little heavier"),
        pytest.param([11, 1], ["a", "b"], id="one that is too heavy by itself"),
        pytest.param([1, 11, 1], ["a", "b", "c"], id="one that is too heavy among others"),
        pytest.param([4, 4, 4, 1, 1, 1], ["ab", "cde", "f"], id="by weight, then by number"),
    ],
)
def test_items_are_parted_by_number_and_weight(weights: list[int], expected: list[str]) -> None:
    items = "abcdef"[: len(weights)]
    assert list(parted(items, weights, most=3, heaviest=10)) == expected
