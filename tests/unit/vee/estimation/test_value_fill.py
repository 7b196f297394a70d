"""E8: one value for every open interval."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from mdus.vee.estimation.value_fill import METHOD
from tests.unit.vee.estimation.gaps import X, days, estimated, filled


class TestValueFill:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            pytest.param("1.5", 1.5, id="fits"),
            pytest.param("2.6745", 2.675, id="half a unit more"),
            pytest.param("2.67449", 2.674, id="less than half"),
            pytest.param("-2.6745", -2.675, id="below zero"),
            pytest.param("0", 0, id="nothing"),
        ],
    )
    def test_rounds_half_up_to_the_channel(self, value: str, expected: float) -> None:
        assert filled(METHOD, days([1, X, X]), value=value) == [[1, expected, expected]]

    def test_says_the_value(self) -> None:
        assert estimated(METHOD, days([X]), value="1.5").inputs(0) == "the value 1.5 of the rule set"

    @pytest.mark.parametrize("limits", [{}, {"value": "NaN"}, {"value": "1e12"}])
    def test_refuses_a_rule_set_without_a_usable_value(self, limits: dict[str, str]) -> None:
        with pytest.raises(ValidationError):
            METHOD.parameters.model_validate(limits)
