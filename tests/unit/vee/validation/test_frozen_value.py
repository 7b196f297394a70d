"""V28: the same value again and again."""

from __future__ import annotations

import pytest

from mdus.vee.days import Fact
from mdus.vee.validation.frozen_value import RULE
from tests.unit.vee.channel_days import days_of, found, suspects


class TestCheck:
    @pytest.mark.parametrize(("number", "at"), [(2, []), (3, [1, 2, 3]), (4, [1, 2, 3, 4])])
    def test_suspects_three_equal_values(self, number: int, at: list[int]) -> None:
        finding = found(RULE, days_of([5, *[7] * number, 8]))
        assert suspects(finding) == at
        assert finding.figure[0] == (number if at else 0)

    @pytest.mark.parametrize(("number", "is_flagged"), [(11, False), (12, True)])
    def test_wants_as_many_as_a_set_says(self, number: int, is_flagged: bool) -> None:
        assert found(RULE, days_of([5, *[7] * number, 8]), at_least=12).flagged[0] == is_flagged

    @pytest.mark.parametrize("width", [92, 96, 100])
    def test_suspects_a_whole_day(self, width: int) -> None:
        assert suspects(found(RULE, days_of([7] * width))) == list(range(width))

    @pytest.mark.parametrize("row", [[0, 0, 0, 0], [None, None, None, None], [7, 7, None, 7, 7], [7, 7, 8, 7, 7], [7]])
    def test_passes_zeros_gaps_and_changes(self, row: list[int | None]) -> None:
        assert not found(RULE, days_of(row)).flagged[0]

    @pytest.mark.parametrize(("value", "is_flagged"), [(990, False), (1000, True)])
    def test_wants_values_large_beside_what_the_meter_counts_in(self, value: int, is_flagged: bool) -> None:
        days = days_of([20, *[value] * 3, 30])  # counts in 10
        assert found(RULE, days, quanta=100).flagged[0] == is_flagged

    @pytest.mark.parametrize(("peak", "is_flagged"), [(7771, True), (8080, False), (None, False)])
    def test_learns_from_days_before_what_a_day_of_one_value_cannot_tell(
        self, peak: int | None, is_flagged: bool
    ) -> None:
        days = days_of([1010] * 96, facts={Fact.PAST_PEAK: peak})
        assert found(RULE, days, quanta=100).flagged[0] == is_flagged

    def test_tells_the_rows_apart(self) -> None:
        days = days_of([1, 2, 3, 4, 5], [20, 500, 500, 500, 30], [21, 500, 500, 500, 30])
        assert found(RULE, days, quanta=100).flagged.tolist() == [False, False, True]
