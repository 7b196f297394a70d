"""E10: the scalar estimate of the CPUC, with its roundings."""

from __future__ import annotations

from typing import Any

import pytest

from mdus.vee.estimation.register_rounded_usage import METHOD
from tests.unit.vee.estimation.gaps import X, estimated, filled
from tests.unit.vee.estimation.registers import reading

KNOWN: dict[str, Any] = {"register_before": 1000, "past_total": 3.345, "past_days": 1, "span_days": 100}


class TestRegisterRoundedUsage:
    @pytest.mark.parametrize(
        ("usage", "expected"),
        [
            # Vector T7: half to even, as Decimal has it by default, would make 3.34 of it.
            pytest.param(3.345, 1335, id="3.345 is 3.35"),
            # A float rounds 2.675 to 2.67, since it is a little less.
            pytest.param(2.675, 1268, id="2.675 is 2.68"),
            pytest.param(3.344, 1334, id="3.344 is 3.34"),
            pytest.param(-3.345, 665, id="below zero, away from it"),
        ],
    )
    def test_rounds_the_average_half_up(self, usage: float, expected: float) -> None:
        assert filled(METHOD, reading(**KNOWN | {"past_total": usage})) == [[expected]]

    def test_says_the_average(self) -> None:
        assert estimated(METHOD, reading(**KNOWN)).inputs(0) == "the reading 1000.000 and 100 days of 3.35 a day"

    @pytest.mark.parametrize(
        ("span", "expected"), [pytest.param(1.49, 1003, id="1.49 days"), pytest.param(1.5, 1006, id="1.5 days")]
    )
    def test_counts_whole_days(self, span: float, expected: float) -> None:
        assert filled(METHOD, reading(**KNOWN | {"span_days": span})) == [[expected]]

    @pytest.mark.parametrize(
        ("factor", "expected"),
        [pytest.param(335, 1001, id="one unit"), pytest.param(335.01, 1000, id="a little less than one is cut")],
    )
    def test_backs_the_multiplier_out_and_cuts(self, factor: float, expected: float) -> None:
        assert filled(METHOD, reading(**KNOWN, factor_known=factor)) == [[expected]]

    def test_rounds_to_other_decimals(self) -> None:
        assert filled(METHOD, reading(**KNOWN), usage_decimals=0) == [[1300]]

    def test_keeps_the_decimals_of_the_last_reading(self) -> None:
        assert filled(METHOD, reading(**KNOWN | {"register_before": 1000.125})) == [[1335.125]]

    @pytest.mark.parametrize("name", [*KNOWN, "factor_known"])
    def test_offers_nothing_where_something_is_unknown(self, name: str) -> None:
        nothing = X if name in ("register_before", "past_total") else float("nan")
        assert filled(METHOD, reading(**KNOWN | {name: nothing})) == [[X]]
