"""V13: nothing counted for some time, with the vectors T8 of docs/vee.md."""

from __future__ import annotations

import pytest

from mdus.vee.days import Fact, Flag
from mdus.vee.validation.consecutive_zeros import RULE
from tests.unit.vee.channel_days import days_of, found, suspects


def zeros(number: int, width: int = 96) -> list[int | None]:
    """A day with so many zeros from the fourth interval on."""
    return [*[7] * 3, *[0] * number, *[7] * (width - 3 - number)]


class TestCheck:
    @pytest.mark.parametrize(
        ("number", "is_flagged"),
        [
            pytest.param(7, False, id="1 h 45"),
            pytest.param(8, False, id="exactly 2 h passes"),
            pytest.param(9, True, id="2 h 15 are flagged"),
            pytest.param(92, True, id="23 h"),
        ],
    )
    def test_flags_more_than_two_hours(self, number: int, is_flagged: bool) -> None:
        finding = found(RULE, days_of(zeros(number)))
        assert suspects(finding) == (list(range(3, 3 + number)) if is_flagged else [])
        assert finding.figure[0] == (number * 15 if is_flagged else 0)

    @pytest.mark.parametrize("width", [92, 96, 100])
    def test_passes_a_whole_day(self, width: int) -> None:
        assert not found(RULE, days_of([0] * width)).flagged[0]
        assert found(RULE, days_of([7, *[0] * 91, *[7] * (width - 92)])).flagged[0]

    @pytest.mark.parametrize(("number", "is_flagged"), [(95, True), (96, False)])
    def test_passes_exactly_one_day_of_a_longer_one(self, number: int, is_flagged: bool) -> None:
        assert found(RULE, days_of(zeros(number, width=100))).flagged[0] == is_flagged

    @pytest.mark.parametrize(
        ("minutes", "number", "is_flagged"), [(60, 2, False), (60, 3, True), (30, 4, False), (30, 5, True)]
    )
    def test_counts_time_not_intervals(self, minutes: int, number: int, is_flagged: bool) -> None:
        assert found(RULE, days_of(zeros(number, width=24), minutes=minutes)).flagged[0] == is_flagged

    @pytest.mark.parametrize(("value", "is_flagged"), [(50, True), (51, False)])
    def test_takes_little_for_nothing_where_a_set_says_so(self, value: int, is_flagged: bool) -> None:
        days = days_of([9000, *[value] * 9, 9000])
        assert found(RULE, days, eps=0.05).flagged[0] == is_flagged

    def test_counts_no_gap_as_zero(self) -> None:
        assert not found(RULE, days_of([7, *[0] * 6, None, *[0] * 6, 7])).flagged[0]

    def test_finds_each_stretch_at_either_end_of_the_day(self) -> None:
        finding = found(RULE, days_of([*[0] * 9, 7, *[0] * 8, 7, *[0] * 10]))
        assert suspects(finding) == [*range(9), *range(19, 29)]
        assert finding.figure[0] == 150

    def test_passes_zeros_in_an_outage(self) -> None:
        outage = [[3 <= place < 12 for place in range(96)]]
        assert not found(RULE, days_of(zeros(9), facts={Fact.OUTAGE: outage})).flagged[0]
        flags = {(0, place): Flag.POWER_DOWN for place in range(3, 12)}
        assert not found(RULE, days_of(zeros(9), flags=flags)).flagged[0]

    def test_does_not_judge_a_meter_that_feeds_in(self) -> None:
        finding = found(RULE, days_of(zeros(9), facts={Fact.FEEDS_IN: True}))
        assert not finding.judged[0]
        assert not finding.flagged[0]
