"""V22: active and reactive energy that do not go together."""

from __future__ import annotations

import pytest

from mdus.domain.channel import MISSING
from mdus.vee.days import Fact
from mdus.vee.validation.reactive_energy import RULE
from tests.unit.vee.channel_days import days_of, found, suspects


class TestCheck:
    @pytest.mark.parametrize(
        ("reactive", "is_flagged"), [(39, False), (40, False), (41, True), (-40, False), (-41, True)]
    )
    def test_flags_too_low_a_power_factor(self, reactive: int, is_flagged: bool) -> None:
        # 30 beside 40 is a power factor of exactly 0.6.
        days = days_of([30, 0], facts={Fact.SIBLING: [[reactive, 0]]})
        assert found(RULE, days, least_power_factor=0.6).flagged[0] == is_flagged

    @pytest.mark.parametrize(("idle", "at"), [(2, []), (3, [0, 1, 2])])
    def test_suspects_reactive_energy_that_stands_alone(self, idle: int, at: list[int]) -> None:
        days = days_of([*[0] * idle, 500], facts={Fact.SIBLING: [[*[7] * idle, 7]]})
        assert suspects(found(RULE, days, at_most_idle=2)) == at

    def test_knows_no_power_factor_where_nothing_was_drawn(self) -> None:
        finding = found(RULE, days_of([0, 0], facts={Fact.SIBLING: [[7, 7]]}), at_most_idle=2)
        assert finding.judged[0]
        assert not finding.flagged[0]

    def test_passes_a_day_without_any_energy(self) -> None:
        assert not found(RULE, days_of([0, 0], facts={Fact.SIBLING: 0})).flagged[0]

    def test_compares_intervals_that_both_have(self) -> None:
        days = days_of([30, None, 30], facts={Fact.SIBLING: [[0, 999, MISSING]]})
        finding = found(RULE, days)
        assert finding.judged[0]
        assert not finding.flagged[0]

    def test_does_not_judge_without_a_sibling(self) -> None:
        finding = found(RULE, days_of([30, 30]))
        assert not finding.judged[0]
        assert not finding.flagged[0]

    def test_stands_large_values(self) -> None:
        days = days_of([2**50, 0], facts={Fact.SIBLING: [[2**54, 0]]})
        assert found(RULE, days).flagged[0]
