"""V25: the main meter and the one that checks it."""

from __future__ import annotations

import pytest

from mdus.domain.channel import MISSING
from mdus.vee.days import Fact
from mdus.vee.validation.check_meter import RULE
from tests.unit.vee.channel_days import days_of, found


class TestCheck:
    @pytest.mark.parametrize(
        ("main", "is_flagged"), [(97_999, True), (98_000, False), (102_000, False), (102_001, True)]
    )
    def test_allows_two_percent(self, main: int, is_flagged: bool) -> None:
        days = days_of([main, 0], facts={Fact.CHECK: [[100_000, 0]]})
        assert found(RULE, days).flagged[0] == is_flagged

    @pytest.mark.parametrize(("main", "is_flagged"), [(150, False), (151, True)])
    def test_allows_a_quantity(self, main: int, is_flagged: bool) -> None:
        days = days_of([main, 0], facts={Fact.CHECK: [[100, 0]]})
        assert found(RULE, days, at_most=0.05).flagged[0] == is_flagged

    @pytest.mark.parametrize(("main", "is_flagged"), [(500, False), (501, True)])
    def test_does_not_compare_where_both_used_little(self, main: int, is_flagged: bool) -> None:
        days = days_of([main, 0], facts={Fact.CHECK: [[100, 0]]})
        assert found(RULE, days, least=0.5).flagged[0] == is_flagged

    @pytest.mark.parametrize(("main", "is_flagged"), [(-102_000, False), (-102_001, True), (102_000, True)])
    def test_compares_what_flows_back_as_well(self, main: int, is_flagged: bool) -> None:
        days = days_of([main, 0], facts={Fact.CHECK: [[-100_000, 0]]})
        finding = found(RULE, days, least=50.0)
        assert finding.flagged[0] == is_flagged
        assert finding.limit[0] == 2.0

    def test_compares_where_one_of_both_used_much(self) -> None:
        for main, other in ((-10, -60_000), (-60_000, -10), (60_000, -10)):
            days = days_of([main, 0], facts={Fact.CHECK: [[other, 0]]})
            assert found(RULE, days, least=50.0).flagged[0]

    def test_compares_intervals_that_both_have(self) -> None:
        days = days_of([100, None, 900], facts={Fact.CHECK: [[100, 900, MISSING]]})
        finding = found(RULE, days)
        assert finding.judged[0]
        assert not finding.flagged[0]

    def test_does_not_judge_without_a_check_meter(self) -> None:
        finding = found(RULE, days_of([100]))
        assert not finding.judged[0]
        assert not finding.flagged[0]
