"""V16: usage although nothing could be drawn."""

from __future__ import annotations

import pytest

from mdus.vee.days import Fact, Flag
from mdus.vee.validation.usage_while_disconnected import RULE
from tests.unit.vee.channel_days import days_of, found, suspects


class TestCheck:
    @pytest.mark.parametrize("width", [1, 2, 96])
    def test_suspects_all_usage_of_a_meter_not_in_service(self, width: int) -> None:
        days = days_of([5] * width, facts={Fact.IN_SERVICE: False})
        assert suspects(found(RULE, days)) == list(range(width))

    def test_passes_usage_of_a_meter_in_service(self) -> None:
        assert not found(RULE, days_of([5, 5])).flagged[0]

    def test_suspects_usage_in_the_intervals_of_a_disconnection(self) -> None:
        days = days_of([5, 0, 5, None], facts={Fact.DISCONNECTED: [[False, True, True, True]]})
        assert suspects(found(RULE, days)) == [2]

    def test_believes_the_meter_between_the_intervals_in_which_it_was_switched(self) -> None:
        flags = {(0, place): Flag.DISCONNECTED for place in (1, 2, 3, 4)}
        assert suspects(found(RULE, days_of([5] * 6, flags=flags))) == [2, 3]

    @pytest.mark.parametrize(("value", "at"), [(0, []), (1, [0])])
    def test_allows_nothing(self, value: int, at: list[int]) -> None:
        assert suspects(found(RULE, days_of([value], facts={Fact.IN_SERVICE: False}))) == at

    @pytest.mark.parametrize(("value", "at"), [(50, []), (51, [0])])
    def test_allows_what_a_set_says(self, value: int, at: list[int]) -> None:
        assert suspects(found(RULE, days_of([value], facts={Fact.IN_SERVICE: False}), above=0.05)) == at
