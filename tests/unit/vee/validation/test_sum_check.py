"""V4: the values add up to what the register moved."""

from __future__ import annotations

import pytest

from mdus.vee.days import Fact
from mdus.vee.validation.sum_check import RULE
from tests.unit.vee.channel_days import days_of, found


class TestCheck:
    @pytest.mark.parametrize(
        ("advance", "is_flagged"),
        [(282, False), (280, False), (279, True), (284, False), (285, False), (320, False), (321, True)],
    )
    def test_allows_two_steps(self, advance: int, is_flagged: bool) -> None:
        days = days_of([100, 100, 100], facts={Fact.ADVANCE: advance, Fact.REGISTER_STEP: 10})
        assert found(RULE, days).flagged[0] == is_flagged

    @pytest.mark.parametrize(("total", "is_flagged"), [(129, False), (130, True), (71, False), (70, True)])
    def test_allows_a_percentage_of_the_advance_exactly(self, total: int, is_flagged: bool) -> None:
        # 29 % of 100 is 28.999999999999996 in floating point.
        days = days_of([total, 0], facts={Fact.ADVANCE: 100, Fact.REGISTER_STEP: 1})
        assert found(RULE, days, percent=29.0, steps=0).flagged[0] == is_flagged

    def test_takes_one_as_the_step_of_an_unknown_register(self) -> None:
        days = days_of([100, 103], [100, 102], facts={Fact.ADVANCE: 200})
        assert found(RULE, days).flagged.tolist() == [True, False]

    def test_says_how_far_apart_they_are_in_the_unit(self) -> None:
        finding = found(RULE, days_of([1500, 0], facts={Fact.ADVANCE: 1000, Fact.REGISTER_STEP: 100}))
        assert (finding.figure[0], finding.limit[0]) == (0.5, 0.2)

    @pytest.mark.parametrize(("row", "advance"), [([100, 100], None), ([100, None], 500)])
    def test_does_not_judge_without_advance_or_with_gaps(self, row: list[int | None], advance: int | None) -> None:
        finding = found(RULE, days_of(row, facts={Fact.ADVANCE: advance}))
        assert not finding.judged[0]
        assert not finding.flagged[0]

    def test_judges_a_register_reading(self) -> None:
        assert found(RULE, days_of([500], facts={Fact.ADVANCE: 100})).flagged[0]
