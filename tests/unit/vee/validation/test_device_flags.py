"""V30: the meter told of trouble with itself."""

from __future__ import annotations

import pytest

from mdus.vee.days import Flag
from mdus.vee.validation.device_flags import RULE, Trouble
from tests.unit.vee.channel_days import days_of, found, suspects


class TestCheck:
    @pytest.mark.parametrize("flag", [Flag.DEVICE_FAULT, Flag.CLOCK_ERROR, Flag.CLOCK_CHANGED])
    def test_notes_trouble_and_suspects_no_value(self, flag: Flag) -> None:
        finding = found(RULE, days_of([5, 5, None], flags={(0, 1): flag, (0, 2): flag}))
        assert finding.flagged[0]
        assert finding.figure[0] == 2
        assert suspects(finding) == []

    @pytest.mark.parametrize("flag", [Flag(0), Flag.POWER_DOWN, Flag.TEST_MODE])
    def test_passes_other_flags(self, flag: Flag) -> None:
        assert not found(RULE, days_of([5], flags={(0, 0): flag})).flagged[0]

    def test_looks_at_what_a_set_says(self) -> None:
        days = days_of([5], [5], flags={(0, 0): Flag.DEVICE_FAULT, (1, 0): Flag.REVERSED})
        assert found(RULE, days, flags=["reversed"]).flagged.tolist() == [False, True]

    def test_suspects_values_for_flags_that_a_set_says(self) -> None:
        days = days_of([5, 5, 5], flags={(0, 0): Flag.DEVICE_FAULT, (0, 2): Flag.POWER_DOWN})
        assert suspects(found(RULE, days, suspect=["power_down"])) == [2]

    @pytest.mark.parametrize("trouble", list(Trouble))
    def test_knows_a_flag_for_each_name(self, trouble: Trouble) -> None:
        days = days_of([5], flags={(0, 0): Flag[trouble.name]})
        assert found(RULE, days, flags=[trouble.value]).flagged[0]
