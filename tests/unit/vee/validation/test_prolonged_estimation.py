"""V27: estimates that follow each other for too long."""

from __future__ import annotations

import pytest

from mdus.vee.days import Fact
from mdus.vee.validation.prolonged_estimation import RULE
from tests.unit.vee.channel_days import days_of, found


class TestCheck:
    @pytest.mark.parametrize(("since", "is_flagged"), [(1, False), (30, False), (31, True)])
    def test_flags_after_a_month(self, since: float, is_flagged: bool) -> None:
        assert found(RULE, days_of([5], facts={Fact.ESTIMATED_DAYS: since})).flagged[0] == is_flagged

    @pytest.mark.parametrize(("since", "is_flagged"), [(3, False), (4, True)])
    def test_flags_after_what_a_set_says(self, since: float, is_flagged: bool) -> None:
        days = days_of([5], facts={Fact.ESTIMATED_DAYS: since})
        assert found(RULE, days, at_most_days=3).flagged[0] == is_flagged

    def test_does_not_judge_what_is_unknown(self) -> None:
        finding = found(RULE, days_of([5]))
        assert not finding.judged[0]
        assert not finding.flagged[0]
