"""V29: fixed limits."""

from __future__ import annotations

import pytest

from mdus.vee.validation.threshold import RULE
from tests.unit.vee.channel_days import days_of, found, suspects


class TestCheck:
    @pytest.mark.parametrize(("value", "at"), [(99, [1]), (100, []), (290, []), (291, [1])])
    def test_suspects_what_is_outside_and_passes_the_limits(self, value: int, at: list[int]) -> None:
        assert suspects(found(RULE, days_of([200, value, None]), at_least=0.1, at_most=0.29)) == at

    def test_has_no_limit_of_its_own(self) -> None:
        assert not found(RULE, days_of([2**62, -(2**62), 0])).flagged[0]

    @pytest.mark.parametrize(("usage", "at"), [(9_000, []), (9_001, [0])])
    def test_judges_a_register_reading(self, usage: int, at: list[int]) -> None:
        assert suspects(found(RULE, days_of([usage]), at_most=9.0)) == at
