"""V2: intervals that the meter says are shorter or longer."""

from __future__ import annotations

import pytest

from mdus.vee.days import Fact, Flag
from mdus.vee.validation.interval_size import RULE
from tests.unit.vee.channel_days import days_of, found, suspects


class TestCheck:
    @pytest.mark.parametrize("flag", [Flag.PARTIAL, Flag.LONG, Flag.SKIPPED])
    def test_suspects_an_interval_of_another_length(self, flag: Flag) -> None:
        assert suspects(found(RULE, days_of([5, 5, 5], flags={(0, 1): flag}))) == [1]

    @pytest.mark.parametrize("flag", [Flag(0), Flag.TEST_MODE, Flag.POWER_DOWN])
    def test_passes_other_flags(self, flag: Flag) -> None:
        assert not found(RULE, days_of([5, 5, 5], flags={(0, 1): flag})).flagged[0]

    def test_has_nothing_to_suspect_without_a_value(self) -> None:
        assert not found(RULE, days_of([5, None, 5], flags={(0, 1): Flag.PARTIAL})).flagged[0]

    def test_lets_an_interval_be_short_in_an_outage_where_a_set_says_so(self) -> None:
        days = days_of([5, 5, 5], flags={(0, 1): Flag.PARTIAL | Flag.POWER_DOWN, (0, 2): Flag.PARTIAL})
        assert suspects(found(RULE, days)) == [1, 2]
        assert suspects(found(RULE, days, in_outages=True)) == [2]

    def test_lets_an_interval_be_short_in_an_outage_told_otherwise(self) -> None:
        days = days_of([5, 5], flags={(0, 0): Flag.PARTIAL}, facts={Fact.OUTAGE: [[True, False]]})
        assert not found(RULE, days, in_outages=True).flagged[0]
