"""Days of channels: what is there, what the meter said, what nobody knows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mdus.domain.channel import MISSING
from mdus.vee.days import Fact, Flag, flags_of, total
from tests.unit.vee.channel_days import days_of


class TestDays:
    def test_knows_what_is_present(self) -> None:
        assert days_of([1, None, 0]).present.tolist() == [[True, False, True]]

    def test_miss_values_once_they_are_over_where_the_meter_was_to_measure(self) -> None:
        over = days_of([1, None, None])
        assert over.missing.tolist() == [[False, True, True]]
        assert replace(over, expected=np.array([[True, False, True]])).missing.tolist() == [[False, False, True]]
        assert not days_of([1, None, None], is_over=False).missing.any()

    def test_sums_what_is_there(self) -> None:
        assert days_of([1, None, 5], [None, None, None], [2**62, -(2**62), 7]).totals().tolist() == [6, 0, 7]

    def test_finds_intervals_with_any_of_some_flags(self) -> None:
        days = days_of([1, 1, 1], flags={(0, 0): Flag.OVERFLOW | Flag.PARTIAL, (0, 2): Flag.LONG})
        assert days.has(Flag.OVERFLOW).tolist() == [[True, False, False]]
        assert days.has(Flag.PARTIAL | Flag.LONG).tolist() == [[True, False, True]]
        assert not days.has(Flag.TEST_MODE).any()

    def test_returns_some_rows_with_their_facts(self) -> None:
        days = days_of([1, 2], [3, 4], flags={(1, 1): Flag.LONG}, facts={Fact.ADVANCE: [3, 7]})
        some = days.rows(np.array([False, True]))
        assert some.count == 1
        assert some.values.tolist() == [[3, 4]]
        assert some.has(Flag.LONG).tolist() == [[False, True]]
        assert some[Fact.ADVANCE].tolist() == [7]
        assert days.count == 2

    def test_has_no_fact_that_nobody_asked_for(self) -> None:
        days = days_of([1])
        assert days[Fact.ADVANCE].tolist() == [MISSING]
        with pytest.raises(KeyError):
            _ = type(days)(minutes=15, decimals=3, values=days.values, flags=days.flags, is_over=days.is_over)[
                Fact.ADVANCE
            ]


class TestFlagsOf:
    @pytest.mark.parametrize(
        ("codes", "flags"),
        [
            ([], Flag(0)),
            (["0.0.0"], Flag(0)),
            (["1.4.5"], Flag.TEST_MODE),
            (["3.4.5", "2.4.1"], Flag.TEST_MODE | Flag.OVERFLOW),
            (["1.2.32"], Flag.POWER_DOWN),
            (["1.1.9"], Flag.CLOCK_ERROR),
            (["1.1.7"], Flag.DEVICE_FAULT),
            (["1.2.7"], Flag(0)),
        ],
    )
    def test_reads_qualities_whoever_said_them(self, codes: list[str], flags: Flag) -> None:
        assert flags_of(codes) == int(flags)


def test_totals_are_exact_along_the_last_axis() -> None:
    values = np.array([[[1, MISSING], [2**53, 1]]])
    assert total(values).tolist() == [[1, 2**53 + 1]]
