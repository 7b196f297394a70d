"""V6: one or two values far above all others."""

from __future__ import annotations

import pytest

from mdus.vee.days import Fact
from mdus.vee.validation.spike import RULE
from tests.unit.vee.channel_days import days_of, found, suspects


class TestCheck:
    @pytest.mark.parametrize(("highest", "at"), [(279, []), (280, []), (281, [3])])
    def test_suspects_what_stands_more_than_the_tolerance_above_the_third(self, highest: int, at: list[int]) -> None:
        assert suspects(found(RULE, days_of([100, 90, 100, highest, 80, 100]))) == at

    @pytest.mark.parametrize(("highest", "at"), [(129, []), (130, [0])])
    def test_decides_exactly(self, highest: int, at: list[int]) -> None:
        # 0.29 x 100 is 28.999999999999996 in floating point.
        assert suspects(found(RULE, days_of([highest, 100, 100, 100]), tolerance=0.29)) == at

    def test_suspects_two_but_never_three(self) -> None:
        assert suspects(found(RULE, days_of([900, 100, 950, 100, 100]))) == [0, 2]
        assert suspects(found(RULE, days_of([900, 100, 950, 100, 920]))) == []

    def test_suspects_no_missing_value(self) -> None:
        finding = found(RULE, days_of([100, None, 100, 120, None]))
        assert suspects(finding) == []
        assert not finding.flagged[0]

    def test_stands_the_largest_values_there_are(self) -> None:
        assert suspects(found(RULE, days_of([100, 2**63 - 1, -(2**62)]))) == []
        assert suspects(found(RULE, days_of([100, 2**63 - 1, 100, 100, -(2**62)]))) == [1]

    @pytest.mark.parametrize("row", [[0, 0, 0, 900], [None, None, 5, 900], [5, 900], [900]])
    def test_does_not_judge_without_a_third_above_zero(self, row: list[int | None]) -> None:
        finding = found(RULE, days_of(row))
        assert not finding.judged[0]
        assert not finding.flagged[0]

    @pytest.mark.parametrize(("highest", "at"), [(1000, []), (1001, [0])])
    def test_passes_what_is_not_above_a_power(self, highest: int, at: list[int]) -> None:
        assert suspects(found(RULE, days_of([highest, 100, 100, 100]), above=4.0)) == at  # kW, of 15 minutes

    @pytest.mark.parametrize(("highest", "at"), [(1000, []), (1001, [0])])
    def test_passes_what_was_seen_before(self, highest: int, at: list[int]) -> None:
        days = days_of([highest, 100, 100, 100], facts={Fact.PAST_PEAK: 500})
        assert suspects(found(RULE, days, past_peaks=2.0)) == at
        assert suspects(found(RULE, days)) == [0]

    def test_judges_by_the_day_alone_where_nothing_is_known_of_those_before(self) -> None:
        assert suspects(found(RULE, days_of([281, 100, 100, 100]), past_peaks=2.0)) == [0]
