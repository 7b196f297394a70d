"""V11: more usage than on any day before."""

from __future__ import annotations

import pytest

from mdus.vee.days import Fact
from mdus.vee.validation.historical_maximum import RULE
from tests.unit.vee.channel_days import days_of, found

PAST = {Fact.PAST_MOST: 1_000, Fact.PAST_DAYS: 30}


class TestCheck:
    @pytest.mark.parametrize(("usage", "is_flagged"), [(2000, False), (2001, True)])
    def test_flags_more_than_twice_the_most(self, usage: int, is_flagged: bool) -> None:
        assert found(RULE, days_of([usage, 0], facts=PAST)).flagged[0] == is_flagged

    @pytest.mark.parametrize(("usage", "is_flagged"), [(1290, False), (1291, True)])
    def test_decides_exactly(self, usage: int, is_flagged: bool) -> None:
        assert found(RULE, days_of([usage, 0], facts=PAST), percent=29.0).flagged[0] == is_flagged

    @pytest.mark.parametrize(("days", "is_judged"), [(6, False), (7, True)])
    def test_wants_enough_days_before(self, days: int, is_judged: bool) -> None:
        finding = found(RULE, days_of([9000, 0], facts={**PAST, Fact.PAST_DAYS: days}))
        assert (finding.judged[0], finding.flagged[0]) == (is_judged, is_judged)

    @pytest.mark.parametrize("most", [None, 0])
    def test_does_not_judge_without_a_most(self, most: int | None) -> None:
        assert not found(RULE, days_of([9000], facts={**PAST, Fact.PAST_MOST: most})).judged[0]

    def test_does_not_judge_a_register_reading_of_unknown_span(self) -> None:
        assert not found(RULE, days_of([9000], facts={**PAST, Fact.SPAN_DAYS: None})).judged[0]

    def test_does_not_judge_a_day_with_gaps(self) -> None:
        assert not found(RULE, days_of([9000, None], facts=PAST)).judged[0]

    @pytest.mark.parametrize(("usage", "is_flagged"), [(60_000, False), (60_001, True)])
    def test_judges_a_register_reading_by_the_days_it_took(self, usage: int, is_flagged: bool) -> None:
        assert found(RULE, days_of([usage], facts={**PAST, Fact.SPAN_DAYS: 30})).flagged[0] == is_flagged
