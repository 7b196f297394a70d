"""E12: the last reading and the intervals since."""

from __future__ import annotations

import pytest

from mdus.vee.estimation.register_from_intervals import METHOD
from tests.unit.vee.estimation.gaps import X, estimated, filled
from tests.unit.vee.estimation.registers import reading


class TestRegisterFromIntervals:
    def test_adds_the_intervals(self) -> None:
        of = reading(register_before=1000, interval_total=12.345)
        assert filled(METHOD, of) == [[1012.345]]
        assert estimated(METHOD, of).inputs(0) == "the reading 1000.000 and intervals of 12.345"

    def test_backs_the_multiplier_out(self) -> None:
        assert filled(METHOD, reading(register_before=1000, interval_total=0.025, factor_known=10)) == [[1000.003]]

    def test_begins_at_zero_again(self) -> None:
        assert filled(METHOD, reading(register_before=99, interval_total=3, register_turn=100)) == [[2]]

    @pytest.mark.parametrize(
        "facts",
        [
            {"register_before": X, "interval_total": 1},
            {"register_before": 1, "interval_total": X},
            {"register_before": 1, "interval_total": 1, "factor_known": float("nan")},
        ],
        ids=["no reading", "an interval without a value", "no multiplier"],
    )
    def test_offers_nothing_where_something_is_unknown(self, facts: dict[str, float | None]) -> None:
        assert filled(METHOD, reading(**facts)) == [[X]]
