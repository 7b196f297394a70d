"""E9: the last reading and as many average days."""

from __future__ import annotations

from typing import Any

import pytest

from mdus.vee.estimation.register_daily_average import METHOD
from tests.unit.vee.estimation.gaps import X, estimated, filled
from tests.unit.vee.estimation.registers import reading

KNOWN: dict[str, Any] = {"register_before": 1000, "past_total": 300, "past_days": 30, "span_days": 7}


class TestRegisterDailyAverage:
    def test_adds_average_days_to_the_last_reading(self) -> None:
        of = reading(**KNOWN)
        assert filled(METHOD, of) == [[1070]]
        assert estimated(METHOD, of).inputs(0) == "the reading 1000.000 and 7 days of the 300.000 used in 30 days"

    def test_rounds_once_at_the_end(self) -> None:
        # 100 / 7 x 3 = 42.857142..., not 3 x 14.286 = 42.858.
        assert filled(METHOD, reading(**KNOWN | {"past_total": 100, "past_days": 7, "span_days": 3})) == [[1042.857]]

    def test_counts_parts_of_days(self) -> None:
        assert filled(METHOD, reading(**KNOWN | {"span_days": 0.25})) == [[1002.5]]

    def test_backs_the_multiplier_out(self) -> None:
        assert filled(METHOD, reading(**KNOWN, factor_known=40)) == [[1001.75]]

    def test_begins_at_zero_again(self) -> None:
        assert filled(METHOD, reading(**KNOWN, register_turn=1070)) == [[0]]
        assert filled(METHOD, reading(**KNOWN, register_turn=1070.001)) == [[1070]]

    def test_goes_back_where_usage_was_below_zero(self) -> None:
        assert filled(METHOD, reading(**KNOWN | {"past_total": -300})) == [[930]]

    @pytest.mark.parametrize(
        ("least", "expected"), [pytest.param(30, 1070, id="enough"), pytest.param(30.5, X, id="few")]
    )
    def test_needs_so_much_past(self, least: float, expected: float | None) -> None:
        assert filled(METHOD, reading(**KNOWN), least_days=least) == [[expected]]

    @pytest.mark.parametrize("name", [*KNOWN, "factor_known"])
    def test_offers_nothing_where_something_is_unknown(self, name: str) -> None:
        nothing = X if name in ("register_before", "past_total") else float("nan")
        assert filled(METHOD, reading(**KNOWN | {name: nothing})) == [[X]]

    @pytest.mark.parametrize("name", ["past_days", "span_days", "factor_known"])
    def test_offers_nothing_for_days_or_multipliers_of_zero(self, name: str) -> None:
        assert filled(METHOD, reading(**KNOWN | {name: 0})) == [[X]]
