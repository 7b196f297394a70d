"""Stretches of intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mdus.vee.days import Mask
from mdus.vee.stretch import stretches

masks = arrays(np.bool_, st.tuples(st.integers(0, 4), st.integers(1, 20)))


def by_hand(row: list[bool], at_least: int) -> list[tuple[int, int]]:
    text = "".join("x" if each else "." for each in row)
    found, place = [], 0
    while place < len(text):
        length = len(text[place:]) - len(text[place:].lstrip("x"))
        if length >= at_least:
            found.append((place, length))
        place += max(1, length)
    return found


@given(mask=masks, at_least=st.integers(1, 22))
def test_finds_what_one_finds_by_hand(mask: Mask, at_least: int) -> None:
    found = stretches(mask, at_least=at_least)
    expected = [(row, *each) for row in range(len(mask)) for each in by_hand(mask[row].tolist(), at_least)]
    assert list(zip(found.rows.tolist(), found.firsts.tolist(), found.lengths.tolist(), strict=True)) == expected
    marked = np.zeros_like(mask)
    for row, first, length in expected:
        marked[row, first : first + length] = True
    np.testing.assert_array_equal(found.marked(mask.shape), marked)
    longest = [max((length for at, _, length in expected if at == row), default=0) for row in range(len(mask))]
    assert found.longest(len(mask)).tolist() == longest


@pytest.mark.parametrize(("at_least", "lengths"), [(3, [3, 4]), (4, [4]), (5, [])])
def test_takes_those_that_are_long_enough(at_least: int, lengths: list[int]) -> None:
    mask = np.array([[True, True, False, True, True, True, False, True, True, True, True]])
    assert stretches(mask, at_least=at_least).lengths.tolist() == lengths
