"""V31: a day's usage beside that of similar meters."""

from __future__ import annotations

import pytest

from mdus.domain.channel import MISSING
from mdus.vee.days import Fact
from mdus.vee.validation.dynamic_comparison import RULE
from tests.unit.vee.channel_days import days_of, found


class TestCheck:
    @pytest.mark.parametrize(("usage", "is_flagged"), [(300, False), (301, True), (0, False)])
    def test_flags_more_than_the_percentage(self, usage: int, is_flagged: bool) -> None:
        assert found(RULE, days_of([usage, 0], facts={Fact.SIMILAR: [[100, 0]]})).flagged[0] == is_flagged

    @pytest.mark.parametrize(("usage", "is_flagged"), [(71, False), (70, True), (129, False), (130, True)])
    def test_decides_exactly(self, usage: int, is_flagged: bool) -> None:
        days = days_of([usage, 0], facts={Fact.SIMILAR: [[100, 0]]})
        assert found(RULE, days, percent=29.0).flagged[0] == is_flagged

    @pytest.mark.parametrize(("known", "is_judged"), [(1, False), (2, True)])
    def test_wants_half_of_the_day(self, known: int, is_judged: bool) -> None:
        similar = [[1] * known + [MISSING] * (4 - known)]
        finding = found(RULE, days_of([900] * 4, facts={Fact.SIMILAR: similar}))
        assert (finding.judged[0], finding.flagged[0]) == (is_judged, is_judged)

    @pytest.mark.parametrize(("usage", "is_flagged"), [(5000, False), (5001, True)])
    def test_does_not_compare_little_usage(self, usage: int, is_flagged: bool) -> None:
        days = days_of([usage, 0], facts={Fact.SIMILAR: [[100, 0]]})
        assert found(RULE, days, least=5.0).flagged[0] == is_flagged

    @pytest.mark.parametrize("similar", [MISSING, 0])
    def test_does_not_judge_without_usage_to_compare_with(self, similar: int) -> None:
        finding = found(RULE, days_of([900, 900], facts={Fact.SIMILAR: similar}))
        assert not finding.judged[0]
        assert not finding.flagged[0]
