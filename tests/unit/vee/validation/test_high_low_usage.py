"""V7: usage far from that of the days before and of last year."""

from __future__ import annotations

import pytest

from mdus.vee.days import Fact
from mdus.vee.validation.high_low_usage import RULE
from tests.unit.vee.channel_days import days_of, found

PAST = {Fact.PAST_TOTAL: 30_000, Fact.PAST_DAYS: 30}  # 1 kWh a day
YEAR_AGO = {Fact.YEAR_AGO_TOTAL: 60_000, Fact.YEAR_AGO_DAYS: 30}  # 2 kWh a day


class TestCheck:
    @pytest.mark.parametrize(
        ("usage", "is_flagged"), [(3001, True), (3000, False), (1000, False), (200, False), (199, True)]
    )
    def test_flags_outside_the_percentages(self, usage: int, is_flagged: bool) -> None:
        assert found(RULE, days_of([usage, 0], facts=PAST)).flagged[0] == is_flagged

    @pytest.mark.parametrize(
        ("usage", "is_flagged"), [(3001, False), (6000, False), (6001, True), (399, False), (200, False), (199, True)]
    )
    def test_passes_what_last_year_explains(self, usage: int, is_flagged: bool) -> None:
        assert found(RULE, days_of([usage, 0], facts={**PAST, **YEAR_AGO})).flagged[0] == is_flagged

    @pytest.mark.parametrize(("usage", "is_flagged"), [(6000, False), (6001, True)])
    def test_judges_by_last_year_alone(self, usage: int, is_flagged: bool) -> None:
        assert found(RULE, days_of([usage, 0], facts=YEAR_AGO)).flagged[0] == is_flagged

    @pytest.mark.parametrize(("days", "is_judged"), [(6, False), (7, True)])
    def test_wants_enough_days_to_compare_with(self, days: int, is_judged: bool) -> None:
        facts = {Fact.PAST_TOTAL: 1_000, Fact.PAST_DAYS: days}
        finding = found(RULE, days_of([99_000, 0], facts=facts))
        assert (finding.judged[0], finding.flagged[0]) == (is_judged, is_judged)

    @pytest.mark.parametrize(("usage", "is_flagged"), [(5_000, False), (5_001, True)])
    def test_passes_little_usage(self, usage: int, is_flagged: bool) -> None:
        assert found(RULE, days_of([usage, 0], facts=PAST), above=5.0).flagged[0] == is_flagged

    def test_says_the_percentage_and_the_limit_it_broke(self) -> None:
        finding = found(RULE, days_of([5000, 0], [100, 0], facts=PAST))
        assert finding.figure.tolist() == [500, 10]
        assert finding.limit.tolist() == [300, 20]

    @pytest.mark.parametrize("past", [None, 0])
    def test_does_not_judge_without_anything_to_compare_with(self, past: int | None) -> None:
        facts = {Fact.PAST_TOTAL: past, Fact.PAST_DAYS: 30}
        assert not found(RULE, days_of([99_000, 0], facts=facts)).judged[0]

    def test_does_not_judge_a_day_with_gaps(self) -> None:
        assert not found(RULE, days_of([0, None], facts=PAST)).judged[0]

    @pytest.mark.parametrize(("usage", "is_flagged"), [(90_000, False), (90_001, True), (6_000, False), (5_999, True)])
    def test_judges_a_register_reading_by_the_days_it_took(self, usage: int, is_flagged: bool) -> None:
        days = days_of([usage], facts={**PAST, Fact.SPAN_DAYS: 30})
        assert found(RULE, days).flagged[0] == is_flagged

    def test_does_not_judge_a_register_reading_of_unknown_span(self) -> None:
        assert not found(RULE, days_of([90_001], facts={**PAST, Fact.SPAN_DAYS: None})).judged[0]

    def test_stands_values_that_are_absurd(self) -> None:
        assert found(RULE, days_of([2**62, 0], facts=PAST)).flagged[0]
