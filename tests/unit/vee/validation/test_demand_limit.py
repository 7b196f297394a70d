"""V8: the highest demand within limits."""

from __future__ import annotations

import pytest

from mdus.vee.validation.demand_limit import RULE
from tests.unit.vee.channel_days import days_of, found, suspects


class TestCheck:
    @pytest.mark.parametrize(
        ("minutes", "value", "at"), [(15, 1000, []), (15, 1001, [1]), (60, 4000, []), (60, 4001, [1])]
    )
    def test_suspects_values_above_a_power(self, minutes: int, value: int, at: list[int]) -> None:
        assert suspects(found(RULE, days_of([5, value, 5], minutes=minutes), high=4.0)) == at

    @pytest.mark.parametrize(("value", "is_flagged"), [(24, True), (25, False)])
    def test_flags_a_peak_that_is_too_low(self, value: int, is_flagged: bool) -> None:
        finding = found(RULE, days_of([5, value, None]), low=0.1)
        assert finding.flagged[0] == is_flagged
        assert suspects(finding) == []

    def test_says_the_peak_and_the_limit_it_broke(self) -> None:
        finding = found(RULE, days_of([2000, 0], [1, 0]), low=0.1, high=4.0)
        assert finding.figure.tolist() == pytest.approx([8.0, 0.004])
        assert finding.limit.tolist() == [4.0, 0.1]

    def test_has_no_limit_of_its_own(self) -> None:
        assert not found(RULE, days_of([2**62, 0])).flagged[0]

    def test_does_not_judge_a_day_without_values(self) -> None:
        assert not found(RULE, days_of([None, None]), low=1.0).flagged[0]
