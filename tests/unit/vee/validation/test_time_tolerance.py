"""V19: how far the meter's clock may be off."""

from __future__ import annotations

import pytest

from mdus.vee.days import Fact
from mdus.vee.validation.time_tolerance import RULE
from tests.unit.vee.channel_days import days_of, found


class TestCheck:
    @pytest.mark.parametrize(("drift", "is_flagged"), [(180, False), (180.5, True), (-180, False), (-181, True)])
    def test_flags_more_than_three_minutes_in_either_direction(self, drift: float, is_flagged: bool) -> None:
        assert found(RULE, days_of([5], facts={Fact.CLOCK_DRIFT: drift})).flagged[0] == is_flagged

    @pytest.mark.parametrize(("drift", "is_flagged"), [(9, False), (10, True)])
    def test_flags_more_than_a_set_allows(self, drift: float, is_flagged: bool) -> None:
        days = days_of([5], facts={Fact.CLOCK_DRIFT: drift})
        assert found(RULE, days, at_most_seconds=9).flagged[0] == is_flagged

    def test_does_not_judge_an_unknown_clock(self) -> None:
        finding = found(RULE, days_of([5]))
        assert not finding.judged[0]
        assert not finding.flagged[0]
