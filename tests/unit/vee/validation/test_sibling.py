"""V26: active energy with the reactive energy of the same intervals."""

from __future__ import annotations

import pytest

from mdus.domain.channel import MISSING
from mdus.vee.days import Fact
from mdus.vee.validation.sibling import RULE
from tests.unit.vee.channel_days import days_of, found


class TestCheck:
    def test_flags_an_interval_that_lacks_its_sibling(self) -> None:
        siblings = [[7, MISSING, 7], [7, 7, 7]]
        days = days_of([5, 5, None], [5, 5, None], facts={Fact.SIBLING: siblings, Fact.HAS_SIBLING: True})
        finding = found(RULE, days)
        assert finding.flagged.tolist() == [True, False]
        assert finding.figure.tolist() == [1, 0]
        assert not finding.suspect.any()

    @pytest.mark.parametrize(("alone", "is_flagged"), [(2, False), (3, True)])
    def test_allows_what_a_set_says(self, alone: int, is_flagged: bool) -> None:
        siblings = [[MISSING] * alone + [7]]
        days = days_of([5] * (alone + 1), facts={Fact.SIBLING: siblings, Fact.HAS_SIBLING: True})
        assert found(RULE, days, at_most=2).flagged[0] == is_flagged

    def test_does_not_judge_a_channel_that_has_none(self) -> None:
        finding = found(RULE, days_of([5, 5]))
        assert not finding.judged[0]
        assert not finding.flagged[0]

    def test_does_not_judge_a_day_that_is_not_over(self) -> None:
        assert not found(RULE, days_of([5, 5], is_over=False, facts={Fact.HAS_SIBLING: True})).judged[0]
