"""V10: by how much of what it shows a register moved."""

from __future__ import annotations

import pytest

from mdus.vee.days import Fact
from mdus.vee.validation.register_delta import RULE
from tests.unit.vee.channel_days import days_of, found


class TestCheck:
    @pytest.mark.parametrize(("before", "is_flagged"), [(500, False), (499, True), (1500, False), (1501, True)])
    def test_flags_more_than_the_percentage_in_either_direction(self, before: int, is_flagged: bool) -> None:
        days = days_of([5], facts={Fact.REGISTER_BEFORE: before, Fact.REGISTER_AFTER: 1000})
        finding = found(RULE, days)
        assert finding.judged[0]
        assert finding.flagged[0] == is_flagged

    @pytest.mark.parametrize(("before", "is_flagged"), [(71, False), (70, True)])
    def test_decides_exactly(self, before: int, is_flagged: bool) -> None:
        days = days_of([5], facts={Fact.REGISTER_BEFORE: before, Fact.REGISTER_AFTER: 100})
        assert found(RULE, days, percent=29.0).flagged[0] == is_flagged

    @pytest.mark.parametrize(("before", "after"), [(None, 5), (5, None), (5, 0)])
    def test_does_not_judge_what_is_unknown_or_zero(self, before: int | None, after: int | None) -> None:
        days = days_of([5], facts={Fact.REGISTER_BEFORE: before, Fact.REGISTER_AFTER: after})
        finding = found(RULE, days)
        assert not finding.judged[0]
        assert not finding.flagged[0]
