"""E11: the usage of the month before, else of the year before."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from mdus.vee.estimation.register_history import METHOD
from tests.unit.vee.estimation.gaps import X, estimated, filled
from tests.unit.vee.estimation.registers import reading

MONTH: dict[str, Any] = {"past_total": 300, "past_days": 30, "past_degrees": 100}
YEAR: dict[str, Any] = {"year_ago_total": 600, "year_ago_days": 30, "year_ago_degrees": 400}
OWN: dict[str, Any] = {"register_before": 1000, "span_days": 10, "span_degrees": 20}


class TestRegisterHistory:
    @pytest.mark.parametrize(
        ("facts", "limits", "expected"),
        [
            pytest.param(MONTH | YEAR, {}, 1100, id="the month first"),
            pytest.param(YEAR, {}, 1200, id="the year where no month is known"),
            pytest.param(MONTH | YEAR, {"histories": ["year", "month"]}, 1200, id="the year first"),
            pytest.param(MONTH, {"histories": ["year"]}, X, id="the year alone, unknown"),
            pytest.param(MONTH, {"proration": "degrees"}, 1060, id="by degrees"),
            pytest.param(YEAR, {"proration": "degrees"}, 1030, id="by degrees of the year"),
            pytest.param(MONTH | {"past_degrees": 0}, {"proration": "degrees"}, X, id="no degree day in the past"),
            pytest.param(MONTH | {"factor_known": 40}, {}, 1002.5, id="multiplier backed out"),
            pytest.param(MONTH | {"register_turn": 1100}, {}, 0, id="ran over"),
            pytest.param({}, {}, X, id="no history"),
        ],
    )
    def test_takes_a_history_in_proportion(
        self, facts: dict[str, Any], limits: dict[str, Any], expected: float | None
    ) -> None:
        assert filled(METHOD, reading(**OWN | facts), **limits) == [[expected]]

    def test_says_which_history(self) -> None:
        assert estimated(METHOD, reading(**OWN | YEAR)).inputs(0) == (
            "the reading 1000.000 and 600.000 used the year before, by days"
        )

    def test_refuses_no_history_at_all(self) -> None:
        with pytest.raises(ValidationError):
            METHOD.parameters.model_validate({"histories": []})
