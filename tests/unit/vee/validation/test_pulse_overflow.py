"""V20: counters that ran over."""

from __future__ import annotations

import pytest

from mdus.vee.days import Flag
from mdus.vee.validation.pulse_overflow import RULE
from tests.unit.vee.channel_days import days_of, found, suspects


class TestCheck:
    def test_suspects_what_the_meter_flags(self) -> None:
        days = days_of([5, 5, 5], flags={(0, 1): Flag.OVERFLOW | Flag.POWER_UP})
        finding = found(RULE, days)
        assert suspects(finding) == [1]
        assert finding.figure[0] == 1

    @pytest.mark.parametrize("flag", [Flag(0), Flag.TEST_MODE, Flag.PARTIAL])
    def test_passes_other_flags(self, flag: Flag) -> None:
        assert not found(RULE, days_of([5, 5, 5], flags={(0, 1): flag})).flagged[0]

    def test_has_nothing_to_suspect_without_a_value(self) -> None:
        assert not found(RULE, days_of([5, None], flags={(0, 1): Flag.OVERFLOW})).flagged[0]
