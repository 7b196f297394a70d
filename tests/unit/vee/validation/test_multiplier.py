"""V17: the multiplier that came with the values."""

from __future__ import annotations

import pytest

from mdus.vee.days import Fact
from mdus.vee.validation.multiplier import RULE
from tests.unit.vee.channel_days import days_of, found


class TestCheck:
    @pytest.mark.parametrize(("told", "is_flagged"), [(40, False), (40.1, True), (1, True)])
    def test_flags_another_multiplier(self, told: float, is_flagged: bool) -> None:
        days = days_of([5], facts={Fact.FACTOR_TOLD: told, Fact.FACTOR_KNOWN: 40})
        assert found(RULE, days).flagged[0] == is_flagged

    def test_passes_the_same_one_however_computed(self) -> None:
        days = days_of([5], facts={Fact.FACTOR_TOLD: 0.1 + 0.2, Fact.FACTOR_KNOWN: 0.3})
        assert not found(RULE, days).flagged[0]

    @pytest.mark.parametrize(("told", "is_flagged"), [(129, False), (129.001, True), (71, False), (70.999, True)])
    def test_allows_a_percentage(self, told: float, is_flagged: bool) -> None:
        days = days_of([5], facts={Fact.FACTOR_TOLD: told, Fact.FACTOR_KNOWN: 100})
        assert found(RULE, days, percent=29.0).flagged[0] == is_flagged

    @pytest.mark.parametrize("fact", [Fact.FACTOR_TOLD, Fact.FACTOR_KNOWN])
    def test_does_not_judge_when_one_is_unknown(self, fact: Fact) -> None:
        finding = found(RULE, days_of([5], facts={fact: 40}))
        assert not finding.judged[0]
        assert not finding.flagged[0]
