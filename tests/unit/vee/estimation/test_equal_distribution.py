"""E5: what is left of the register's advance, in equal parts."""

from __future__ import annotations

import pytest

from mdus.vee.estimation.equal_distribution import METHOD
from tests.unit.vee.estimation.gaps import X, days, estimated, filled


class TestEqualDistribution:
    def test_rounds_each_part(self) -> None:
        """Vector T2: 4.757 over three."""
        of = days([X, X, X], decimals=6, advance=[4.757])
        assert filled(METHOD, of) == [[1.585667] * 3]
        assert estimated(METHOD, of).inputs(0) == "what is left of the register's 4.757000, in 3 equal parts"

    def test_adds_up_where_that_is_asked(self) -> None:
        assert filled(METHOD, days([X, X, X], decimals=6, advance=[4.757]), exact=True) == [
            [1.585667, 1.585667, 1.585666]
        ]

    def test_takes_what_is_known_off(self) -> None:
        assert filled(METHOD, days([X, 2, X, 3], advance=[9])) == [[2, 2, 2, 3]]

    @pytest.mark.parametrize(
        ("advance", "allowed", "expected"),
        [
            pytest.param(2, False, 0, id="nothing is left"),
            pytest.param(1.999, False, X, id="less than nothing"),
            pytest.param(1, True, -1, id="negative estimates allowed"),
        ],
    )
    def test_goes_below_zero_only_where_allowed(self, advance: float, allowed: bool, expected: float | None) -> None:
        assert filled(METHOD, days([2, X], advance=[advance]), allow_negative=allowed) == [[2, expected]]

    def test_counts_intervals_with_a_reading_in_part(self) -> None:
        """Readings in the middle of the first and the fourth interval: of each, half lies between them."""
        of = days([2, X, X, 4, 9], span_advance=[11], span_from=[450], span_to=[3150])
        assert filled(METHOD, of) == [[2, 4, 4, 4, 9]]

    def test_gives_an_open_interval_with_a_reading_its_whole_value(self) -> None:
        of = days([2, X, X], span_advance=[6], span_from=[0], span_to=[2250])
        # 6 - 2 in one and a half intervals.
        assert filled(METHOD, of) == [[2, 2.667, 2.667]]

    def test_leaves_what_lies_outside_the_readings(self) -> None:
        assert filled(METHOD, days([2, X, X], span_advance=[6], span_from=[0], span_to=[1800])) == [[2, X, X]]
        assert filled(METHOD, days([2, X], span_advance=[6], span_from=[-1], span_to=[1800])) == [[2, X]]
        assert filled(METHOD, days([2, X], span_advance=[6], span_from=[0], span_to=[1801])) == [[2, X]]
        assert filled(METHOD, days([2, X], span_advance=[6], span_from=[0], span_to=[1800])) == [[2, 4]]

    def test_prefers_readings_at_both_ends_of_the_day(self) -> None:
        of = days([2, X], advance=[5], span_advance=[6], span_from=[0], span_to=[1800])
        assert filled(METHOD, of) == [[2, 3]]

    def test_holds_large_registers(self) -> None:
        of = days([X, X], minutes=1440, decimals=6, advance=[9_000_000_000_000])
        assert filled(METHOD, of) == [[4_500_000_000_000.0] * 2]

    def test_waits_while_a_value_may_still_come(self) -> None:
        of = days([X, X], advance=[4])
        assert estimated(METHOD, of).offered.all()
        assert not estimated(METHOD, of, open_ones=[1]).offered.any()
