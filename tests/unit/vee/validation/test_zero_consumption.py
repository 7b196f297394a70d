"""V12: a meter in service that counted nothing all day."""

from __future__ import annotations

import pytest

from mdus.vee.days import Fact, Flag
from mdus.vee.validation.zero_consumption import RULE
from tests.unit.vee.channel_days import days_of, found


class TestCheck:
    @pytest.mark.parametrize("width", [1, 92, 96, 100])
    def test_flags_a_day_without_usage(self, width: int) -> None:
        assert found(RULE, days_of([0] * width)).flagged[0]
        assert not found(RULE, days_of([0] * (width - 1) + [1])).flagged[0]

    @pytest.mark.parametrize(("usage", "is_flagged"), [(50, True), (51, False), (-50, True), (-51, False)])
    def test_takes_little_for_nothing_where_a_set_says_so(self, usage: int, is_flagged: bool) -> None:
        assert found(RULE, days_of([usage, 0]), at_most=0.05).flagged[0] == is_flagged

    @pytest.mark.parametrize(("fact", "told"), [(Fact.IN_SERVICE, False), (Fact.FEEDS_IN, True)])
    def test_does_not_judge_meters_that_need_not_count(self, fact: Fact, told: bool) -> None:
        assert not found(RULE, days_of([0, 0], facts={fact: told})).judged[0]

    @pytest.mark.parametrize(("outage", "is_judged"), [([True, True], False), ([True, False], True)])
    def test_does_not_judge_a_day_in_an_outage(self, outage: list[bool], is_judged: bool) -> None:
        assert found(RULE, days_of([0, 0], facts={Fact.OUTAGE: [outage]})).judged[0] == is_judged

    def test_does_not_judge_a_day_without_supply(self) -> None:
        flags = {(0, 0): Flag.POWER_DOWN, (0, 1): Flag.POWER_DOWN}
        assert not found(RULE, days_of([0, 0], flags=flags)).judged[0]

    def test_does_not_judge_a_day_with_gaps(self) -> None:
        assert not found(RULE, days_of([0, None])).judged[0]
