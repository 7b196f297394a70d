"""Which methods a rule set may name."""

from __future__ import annotations

import pytest

from mdus.bootstrap.discovery import discover
from mdus.vee.method import Method
from mdus.vee.rule_set import MethodUse, RuleSetRow

TOOLS = discover().tools


def problems(**use: object) -> list[str]:
    row = RuleSetRow(name="a set", reading_types=("1-*",), methods=(MethodUse.model_validate(use),))
    return [each.what for each in TOOLS.problems(row)]


class TestARuleSet:
    @pytest.mark.parametrize("method", TOOLS.methods.values(), ids=lambda method: method.name)
    def test_takes_methods_for_intervals_alone(self, method: Method) -> None:
        name = method.name
        found = problems(name=name, **({"value": "1"} if name == "value_fill" else {}))
        refused = [f"{name} estimates readings of registers, no values of intervals"]
        assert found == (refused if method.of_register else [])

    @pytest.mark.parametrize(
        ("use", "says"),
        [
            pytest.param({"name": "value_fill"}, "value_fill needs value", id="no value"),
            pytest.param({"name": "like_day", "table": {"mon": ["day-1"]}}, "'day-1' names no day", id="no such day"),
            pytest.param({"name": "check_meter", "ratio": "0"}, "check_meter does not take '0': ", id="no ratio"),
            pytest.param(
                {"name": "linear", "minutes": 5}, "the method linear has no parameter 'minutes'", id="no such parameter"
            ),
        ],
    )
    def test_says_what_is_wrong_with_parameters(self, use: dict[str, object], says: str) -> None:
        (problem,) = problems(**use)
        assert says in problem
