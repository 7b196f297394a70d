"""E8b: nothing, where nothing can have flowed."""

from __future__ import annotations

from mdus.vee.days import Flag
from mdus.vee.estimation.zero_fill import METHOD
from tests.unit.vee.estimation.gaps import X, days, estimated, filled


class TestZeroFill:
    def test_fills_only_intervals_without_supply(self) -> None:
        of = days([X, X, X, X, 1], outage=[[True, *[False] * 4]],
                  flags={(0, 1): Flag.DISCONNECTED, (0, 2): Flag.POWER_DOWN, (0, 4): Flag.POWER_DOWN})  # fmt: skip
        assert filled(METHOD, of) == [[0, 0, 0, X, 1]]
        assert estimated(METHOD, of).inputs(0) == "nothing, for 3 intervals, 3 of them without supply"

    def test_fills_all_where_the_rule_set_says_so(self) -> None:
        of = days([X, X, 1])
        assert filled(METHOD, of) == [[X, X, 1]]
        assert filled(METHOD, of, only_outages=False) == [[0, 0, 1]]
