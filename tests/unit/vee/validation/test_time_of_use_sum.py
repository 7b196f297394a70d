"""V24: the tariffs' registers and the total's."""

from __future__ import annotations

import pytest

from mdus.vee.days import Fact
from mdus.vee.validation.time_of_use_sum import RULE
from tests.unit.vee.channel_days import days_of, found


class TestCheck:
    @pytest.mark.parametrize("width", [1, 96])
    @pytest.mark.parametrize(("tariffs", "is_flagged"), [(79, True), (80, False), (120, False), (121, True)])
    def test_allows_two_steps(self, tariffs: int, is_flagged: bool, width: int) -> None:
        facts = {Fact.TIME_OF_USE_ADVANCE: tariffs, Fact.ADVANCE: 100, Fact.REGISTER_STEP: 10}
        assert found(RULE, days_of([5] * width, facts=facts)).flagged[0] == is_flagged

    @pytest.mark.parametrize(("tariffs", "is_flagged"), [(129, False), (130, True), (71, False), (70, True)])
    def test_allows_a_percentage_exactly(self, tariffs: int, is_flagged: bool) -> None:
        days = days_of([5], facts={Fact.TIME_OF_USE_ADVANCE: tariffs, Fact.ADVANCE: 100})
        assert found(RULE, days, steps=0, percent=29.0).flagged[0] == is_flagged

    @pytest.mark.parametrize("fact", [Fact.TIME_OF_USE_ADVANCE, Fact.ADVANCE])
    def test_does_not_judge_when_one_is_unknown(self, fact: Fact) -> None:
        finding = found(RULE, days_of([5], facts={fact: 100}))
        assert not finding.judged[0]
        assert not finding.flagged[0]
