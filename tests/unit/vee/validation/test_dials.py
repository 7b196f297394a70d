"""V23: readings that a register cannot show."""

from __future__ import annotations

import pytest

from mdus.vee.days import Fact
from mdus.vee.validation.dials import RULE
from tests.unit.vee.channel_days import days_of, found


def facts(reading: int | None, turn: int | None = 1000, step: int | None = 1) -> dict[Fact, int | None]:
    return {
        Fact.REGISTER_BEFORE: 0,
        Fact.REGISTER_AFTER: reading,
        Fact.REGISTER_TURN: turn,
        Fact.REGISTER_STEP: step,
    }


class TestCheck:
    @pytest.mark.parametrize(("reading", "is_flagged"), [(999, False), (1000, True), (0, False), (-1, True)])
    def test_flags_more_than_the_digits_can_show(self, reading: int, is_flagged: bool) -> None:
        assert found(RULE, days_of([5], facts=facts(reading))).flagged[0] == is_flagged

    @pytest.mark.parametrize(("reading", "is_flagged"), [(120, False), (121, True), (119, True)])
    def test_flags_more_decimals_than_it_has(self, reading: int, is_flagged: bool) -> None:
        days = days_of([5], facts=facts(reading, step=10))
        assert found(RULE, days).flagged[0] == is_flagged
        assert not found(RULE, days, decimals=False).flagged[0]

    def test_looks_at_the_reading_before_as_well(self) -> None:
        finding = found(RULE, days_of([5], facts={**facts(5), Fact.REGISTER_BEFORE: 1500}))
        assert finding.flagged[0]
        assert (finding.figure[0], finding.limit[0]) == (1.5, 1.0)

    def test_judges_the_digits_alone_where_the_step_is_unknown(self) -> None:
        assert found(RULE, days_of([5], facts=facts(1000, step=None))).flagged[0]

    @pytest.mark.parametrize("known", [facts(5, turn=None, step=None), {Fact.REGISTER_TURN: 10, Fact.REGISTER_STEP: 1}])
    def test_does_not_judge_what_is_unknown(self, known: dict[Fact, int | None]) -> None:
        finding = found(RULE, days_of([5], facts=known))
        assert not finding.judged[0]
        assert not finding.flagged[0]
