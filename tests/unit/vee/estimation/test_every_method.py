"""What holds of every method: it knows its place, and makes nothing out of nothing, on days of any length."""

from __future__ import annotations

import numpy as np
import pytest

from mdus.bootstrap.discovery import discover
from mdus.domain.channel import MISSING
from mdus.vee.days import Fact
from mdus.vee.method import Method
from mdus.vee.output import AEMO_METHODS
from tests.unit.vee.estimation.gaps import X, days, estimated

METHODS = sorted(discover().tools.methods.values(), key=lambda method: method.name)
REQUIRED = {"value_fill": {"value": "1"}}
MAKES_SOMETHING_OF_NOTHING = {"value_fill"}
REGISTERS = {"E9", "E10", "E11", "E12"}


@pytest.fixture(params=METHODS, ids=lambda method: method.name)
def method(request: pytest.FixtureRequest) -> Method:
    found: Method = request.param
    return found


def test_there_are_all_that_fill_a_day() -> None:
    numbers = [method.number for method in METHODS]
    whole = {number.rstrip("b") for number in numbers}
    assert whole == {f"E{number}" for number in range(1, 17)} - {"E14"}
    assert {"E1b", "E2b"} <= set(numbers)
    assert len(set(numbers)) == len(numbers)


class TestEveryMethod:
    @pytest.mark.parametrize("width", [1, 23, 92, 96, 100])
    def test_makes_nothing_of_nothing(self, method: Method, width: int) -> None:
        of = days([X] * width, [X] * width, minutes=15 if width > 24 else 60)
        estimate = estimated(method, of, **REQUIRED.get(method.name, {}))
        assert estimate.offered.any() == (method.name in MAKES_SOMETHING_OF_NOTHING)

    def test_takes_no_channel_at_all(self, method: Method) -> None:
        of = days([X] * 4).rows(np.array([False]))
        assert estimated(method, of, **REQUIRED.get(method.name, {})).values.shape == (0, 4)

    def test_names_all_the_facts_it_looks_at(self, method: Method) -> None:
        of = days([1, X, 2, X], [X, X, X, X], weekday=[1, 7])
        needed = {fact: of.facts[fact] for fact in method.needs}
        estimated(method, of.__class__(**_fields(of) | {"facts": needed}), **REQUIRED.get(method.name, {}))

    def test_looks_at_facts_of_the_list(self, method: Method) -> None:
        assert method.needs <= set(Fact)

    def test_has_a_number_of_aemo_or_none(self, method: Method) -> None:
        assert method.aemo is None or method.aemo in AEMO_METHODS

    def test_states_formula_and_source(self, method: Method) -> None:
        text = __import__(method.estimate.__module__, fromlist=["METHOD"]).__doc__
        text = " ".join(text.split()) + " "
        assert text.startswith(f"{method.number} ")
        assert all(word in text for word in ("Formula: ", "Unit: ", "Source: "))

    def test_says_nothing_of_a_day_where_it_offers_nothing(self, method: Method) -> None:
        if method.name in MAKES_SOMETHING_OF_NOTHING:
            pytest.skip("it always offers its value")
        estimate = estimated(method, days([X, X, X]))
        assert (estimate.values == MISSING).all()
        assert (estimate.confidence == 0).all()


def _fields(of: object) -> dict[str, object]:
    return {name: getattr(of, name) for name in ("minutes", "decimals", "values", "flags", "is_over", "facts")}
