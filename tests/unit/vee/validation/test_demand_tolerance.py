"""V9: a value too far from the last valid one."""

from __future__ import annotations

import pytest

from mdus.vee.days import Fact, Flag
from mdus.vee.validation.demand_tolerance import RULE
from tests.unit.vee.channel_days import days_of, found, suspects


class TestCheck:
    @pytest.mark.parametrize(("value", "at"), [(600, []), (601, [1])])
    def test_suspects_a_jump_upwards(self, value: int, at: list[int]) -> None:
        assert suspects(found(RULE, days_of([100, value, value]))) == at

    @pytest.mark.parametrize(("value", "at"), [(71, []), (70, [1])])
    def test_suspects_a_fall_below_a_percentage(self, value: int, at: list[int]) -> None:
        assert suspects(found(RULE, days_of([100, value, value]), percent=29.0)) == at

    def test_compares_over_a_gap(self) -> None:
        assert suspects(found(RULE, days_of([100, None, 700]))) == [2]

    @pytest.mark.parametrize("flag", [Flag.OVERFLOW, Flag.TEST_MODE])
    def test_compares_with_no_value_that_the_meter_disowns(self, flag: Flag) -> None:
        assert suspects(found(RULE, days_of([600, 100, 700], flags={(0, 1): flag}))) == []

    @pytest.mark.parametrize(("last", "at"), [(100, []), (99, [0]), (0, []), (None, [])])
    def test_compares_the_first_with_the_day_before(self, last: int | None, at: list[int]) -> None:
        assert suspects(found(RULE, days_of([600, 600], facts={Fact.LAST_VALUE: last}))) == at

    @pytest.mark.parametrize(("value", "at"), [(1000, []), (1001, [1])])
    def test_passes_little_demand(self, value: int, at: list[int]) -> None:
        assert suspects(found(RULE, days_of([1, value, 1]), above=4.0)) == at

    def test_does_not_judge_a_day_with_nothing_before(self) -> None:
        assert not found(RULE, days_of([700])).judged[0]
