"""V5: registers that were not read for long."""

from __future__ import annotations

import pytest

from mdus.vee.days import Fact
from mdus.vee.validation.no_reference_register import RULE
from tests.unit.vee.channel_days import days_of, found


class TestCheck:
    @pytest.mark.parametrize(("since", "is_flagged"), [(0, False), (62, False), (62.1, True), (float("inf"), True)])
    def test_flags_after_two_months(self, since: float, is_flagged: bool) -> None:
        assert found(RULE, days_of([5] * 96, facts={Fact.REFERENCE_DAYS: since})).flagged[0] == is_flagged

    @pytest.mark.parametrize(("since", "is_flagged"), [(1826, False), (1827, True)])
    def test_flags_after_what_a_set_says(self, since: float, is_flagged: bool) -> None:
        days = days_of([5], facts={Fact.REFERENCE_DAYS: since})
        assert found(RULE, days, at_most=1826).flagged[0] == is_flagged

    def test_does_not_judge_without_a_register(self) -> None:
        assert not found(RULE, days_of([5])).judged[0]

    def test_does_not_judge_a_day_without_values(self) -> None:
        assert not found(RULE, days_of([None], facts={Fact.REFERENCE_DAYS: 99})).flagged[0]
