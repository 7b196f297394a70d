"""E15: what the check meter measured."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from mdus.vee.estimation.check_meter import METHOD
from tests.unit.vee.estimation.gaps import X, days, elements, estimated, filled


class TestCheckMeter:
    def test_fills_what_the_check_meter_has(self) -> None:
        of = days([X, 2, X], check=[elements([1, 9, X])])
        assert filled(METHOD, of) == [[1, 2, X]]
        assert estimated(METHOD, of).inputs(0) == "1 values of the check meter x 1"

    @pytest.mark.parametrize(
        ("value", "ratio", "expected"),
        [
            pytest.param(1, "1.0125", 1.013, id="half a unit is one"),
            pytest.param(1, "1.0124", 1.012, id="less than half is none"),
            pytest.param(-1, "1.0125", -1.013, id="below zero"),
        ],
    )
    def test_multiplies_exactly_and_rounds_half_up(self, value: float, ratio: str, expected: float) -> None:
        assert filled(METHOD, days([X], check=[elements([value])]), ratio=ratio) == [[expected]]

    @pytest.mark.parametrize("ratio", ["0", "-1", "NaN", "1001"])
    def test_refuses_ratios_that_are_none(self, ratio: str) -> None:
        with pytest.raises(ValidationError):
            METHOD.parameters.model_validate({"ratio": ratio})
