"""V15: a register that shows less than before."""

from __future__ import annotations

import pytest

from mdus.vee.days import Fact
from mdus.vee.validation.register_decrease import RULE
from tests.unit.vee.channel_days import days_of, found


def facts(before: int | None, after: int | None, turn: int | None = None) -> dict[Fact, int | None]:
    return {Fact.REGISTER_BEFORE: before, Fact.REGISTER_AFTER: after, Fact.REGISTER_TURN: turn}


class TestCheck:
    @pytest.mark.parametrize(("after", "is_flagged"), [(101, False), (100, False), (99, True)])
    def test_flags_a_register_that_went_back(self, after: int, is_flagged: bool) -> None:
        assert found(RULE, days_of([5], facts=facts(100, after))).flagged[0] == is_flagged

    @pytest.mark.parametrize(("after", "is_flagged"), [(101, False), (100, True), (99, True)])
    def test_flags_one_that_stands_still_where_a_set_says_so(self, after: int, is_flagged: bool) -> None:
        assert found(RULE, days_of([5], facts=facts(100, after)), may_stand_still=False).flagged[0] == is_flagged

    @pytest.mark.parametrize(
        ("after", "is_flagged"),
        [
            pytest.param(0, False, id="ran over"),
            pytest.param(479, False, id="by less than half its range"),
            pytest.param(480, True, id="by half its range"),
            pytest.param(979, True, id="nearly all of it"),
        ],
    )
    def test_knows_a_register_that_ran_over(self, after: int, is_flagged: bool) -> None:
        assert found(RULE, days_of([5], facts=facts(980, after, turn=1000))).flagged[0] == is_flagged

    def test_believes_no_overflow_of_a_register_of_unknown_size(self) -> None:
        assert found(RULE, days_of([5], facts=facts(980, 3))).flagged[0]

    @pytest.mark.parametrize(("before", "after"), [(None, 5), (5, None)])
    def test_does_not_judge_without_both_readings(self, before: int | None, after: int | None) -> None:
        finding = found(RULE, days_of([5], facts=facts(before, after)))
        assert not finding.judged[0]
        assert not finding.flagged[0]

    def test_does_not_judge_a_channel_that_flows_back(self) -> None:
        assert not found(RULE, days_of([5], facts={**facts(100, 50), Fact.FLOWS_BACK: True})).judged[0]
