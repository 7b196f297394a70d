"""V14: values below zero."""

from __future__ import annotations

import pytest

from mdus.vee.days import Fact
from mdus.vee.validation.negative_value import RULE
from tests.unit.vee.channel_days import days_of, found, suspects


class TestCheck:
    @pytest.mark.parametrize(("value", "at"), [(0, []), (-1, [1]), (-(2**63) + 1, [1])])
    def test_suspects_less_than_nothing(self, value: int, at: list[int]) -> None:
        assert suspects(found(RULE, days_of([5, value, None]))) == at

    @pytest.mark.parametrize(("value", "at"), [(-50, []), (-51, [0])])
    def test_allows_what_a_set_says(self, value: int, at: list[int]) -> None:
        assert suspects(found(RULE, days_of([value]), at_least=-0.05)) == at

    def test_does_not_judge_a_channel_that_flows_back(self) -> None:
        finding = found(RULE, days_of([-5], [-5], facts={Fact.FLOWS_BACK: [True, False]}))
        assert finding.judged.tolist() == [False, True]
        assert finding.flagged.tolist() == [False, True]
