"""Quantities as arrays: exact, whatever their decimals; what does not fit stays text."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdus.domain.channel import MISSING
from mdus.domain.quantities import NOTHING_SAID, Qualities, Quantities, plain_numbers, records

LARGEST = 2**63 - 1

plain = st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**9), max_value=10**9)
texts = plain.map(lambda value: format(value.normalize(), "f"))


def read(*told: str) -> Quantities:
    numbers = plain_numbers("".join(f"{each}," for each in told).encode(), len(told))
    return records(numbers, [len(told)])[0]


class TestScaled:
    @pytest.mark.parametrize(
        ("text", "element"),
        [
            pytest.param("0.012", 12, id="all decimals"),
            pytest.param("-1", -1000, id="negative"),
            pytest.param("0.0120", 12, id="a needless zero"),
            pytest.param("0.0125", None, id="a decimal too many"),
            pytest.param("-0.0125", None, id="a decimal too many below zero"),
            pytest.param("9223372036854775.807", LARGEST, id="the largest"),
            pytest.param("9223372036854775.808", None, id="too large"),
            pytest.param("9223372036854776", None, id="too large once scaled"),
            pytest.param("-9223372036854775.808", None, id="the mark of a missing value"),
            pytest.param("1e-30", None, id="no digit near the point"),
            pytest.param("0.12345678901234567890123456789012345", None, id="more digits than are reckoned with"),
        ],
    )
    def test_holds_a_quantity_exactly_or_as_text(self, text: str, element: int | None) -> None:
        scaled = Quantities.of([Decimal(text)]).scaled(3)
        assert scaled.elements.tolist() == [MISSING if element is None else element]
        assert [Decimal(each) for each in scaled.unfit.values()] == ([Decimal(text)] if element is None else [])

    @given(st.lists(st.none() | plain, max_size=8), st.integers(0, 9))
    def test_says_the_same_in_any_scale(self, values: list[Decimal | None], decimals: int) -> None:
        told = Quantities.of(values)
        assert list(told) == values
        assert told.scaled(decimals) == told

    def test_takes_texts_back_that_fit_after_all(self) -> None:
        told = Quantities.of([Decimal("0.0125"), Decimal(1)]).scaled(3)
        assert told.unfit == {0: "0.0125"}
        assert told.scaled(4).elements.tolist() == [125, 10000]

    def test_ends_at_the_last_value(self) -> None:
        assert [Quantities.of(each).told for each in ([], [None], [1, None], [None, Decimal("1e-30"), None])] == [
            0,
            0,
            1,
            2,
        ]


class TestTimes:
    @given(st.lists(st.none() | plain, max_size=6), plain)
    def test_is_exact(self, values: list[Decimal | None], factor: Decimal) -> None:
        product = Quantities.of(values).times(factor)
        assert list(product) == [None if value is None else value * factor for value in values]

    def test_does_not_wrap(self) -> None:
        product = Quantities.of([LARGEST, -1, None]).times(Decimal(10))
        assert list(product) == [LARGEST * 10, -10, None]


class TestPlainNumbers:
    @given(st.lists(texts, min_size=1, max_size=8))
    def test_reads_what_decimals_read(self, told: list[str]) -> None:
        assert list(read(*told)) == [Decimal(each) for each in told]

    @pytest.mark.parametrize(
        "text", ["+1", "1e3", "1.", ".5", "--1", "1-", "1.2.3", "abc", " 1", "-", ".", "1234567890123456789", "\u0661"]
    )
    def test_leaves_what_is_not_plain(self, text: str) -> None:
        numbers = plain_numbers(f"1,{text},2,".encode(), 3)
        assert numbers.odd.tolist() == [False, True, False]
        assert list(records(numbers, [3])[0]) == [1, None, 2]

    def test_has_no_value_for_an_empty_text(self) -> None:
        assert list(read("", "0.10", "")) == [None, Decimal("0.1"), None]

    def test_leaves_all_when_a_text_has_a_comma(self) -> None:
        assert plain_numbers(b"1,2,3,", 2).odd.all()

    def test_gives_each_record_its_own_decimals(self) -> None:
        first, second = records(plain_numbers(b"1,0.25,7,8,", 4), [2, 2])
        assert (first.decimals, first.elements.tolist()) == (2, [100, 25])
        assert (second.decimals, second.elements.tolist()) == (0, [7, 8])

    def test_keeps_a_large_number_beside_one_with_many_decimals(self) -> None:
        told = ["999999999999999999", "0.12345678901234567"]
        assert list(read(*told)) == [Decimal(each) for each in told]


class TestQualities:
    def test_are_told_by_place(self) -> None:
        said = Qualities.of([None, "1.2.32", "", "2.8.0", "1.2.32"])
        assert (said.codes, said.places.tolist()) == (("1.2.32", "2.8.0"), [0, 1, 0, 2, 1])
        assert list(said) == [None, "1.2.32", None, "2.8.0", "1.2.32"]

    def test_may_be_none_at_all(self) -> None:
        assert Qualities.of([]) == NOTHING_SAID != Qualities.of([None])
        assert NOTHING_SAID.places.dtype == np.uint16
