"""What a fact is that nobody knows: of the shape and type that its comment says."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import mdus.vee.days
from mdus.domain.channel import MISSING
from mdus.vee.days import Fact, unknown
from tests.unit.vee.estimation.gaps import days

SOURCE = Path(mdus.vee.days.__file__).read_text()
SAID = {
    value: (shape, kind)
    for value, shape, kind in re.findall(r'^    \w+ = "(\w+)"  # \(([^)]*)\) (int64|float64|uint32|bool)', SOURCE, re.M)
}
SIZES = {"c": 3, "n": 96, "h": 12}


def test_every_fact_says_its_shape() -> None:
    assert set(SAID) == {fact.value for fact in Fact}


@pytest.mark.parametrize("fact", Fact, ids=lambda fact: fact.value)
def test_is_of_the_shape_and_type_that_are_said(fact: Fact) -> None:
    shape, kind = SAID[fact.value]
    made = unknown(fact, SIZES["c"], SIZES["n"])
    assert made.shape == tuple(SIZES.get(size) or int(size) for size in re.findall(r"\w+", shape))
    assert made.dtype == np.dtype(kind)


@pytest.mark.parametrize("fact", [Fact.ADVANCE, Fact.HISTORY, Fact.FOLLOWING, Fact.HOLIDAY_HISTORY, Fact.CHECK])
def test_has_no_quantity(fact: Fact) -> None:
    assert (unknown(fact, 2, 4) == MISSING).all()


class TestTold:
    @pytest.mark.parametrize(
        ("decimals", "element", "expected"),
        [(3, 1500, "1.500"), (0, 7, "7"), (3, -1, "-0.001"), (6, 0, "0.000000"), (3, MISSING, "nothing")],
    )
    def test_has_the_decimals_of_the_channel(self, decimals: int, element: int, expected: str) -> None:
        assert days([1], decimals=decimals).told(np.int64(element)) == expected
