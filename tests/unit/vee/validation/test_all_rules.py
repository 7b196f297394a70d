"""What holds of every rule: it changes nothing, judges each day by itself, in arrays of the right shapes."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mdus.bootstrap.discovery import discover
from mdus.domain.channel import MISSING
from mdus.vee.days import Days, Fact, Flag, unknown
from mdus.vee.rule import Finding, Rule
from tests.unit.vee.channel_days import days_of, found

RULES: Final = sorted(discover().tools.rules.values(), key=lambda rule: int(rule.number[1:]))

#: Limits under which every rule has something to find.
LIMITS: Final[dict[str, list[dict[str, Any]]]] = {
    "spike": [{"above": 0.01, "past_peaks": 1.5}],
    "frozen_value": [{"at_least": 2, "quanta": 3.0}],
    "demand_limit": [{"low": 0.01, "high": 0.03}],
    "threshold": [{"at_least": 0.001, "at_most": 0.007}],
    "consecutive_zeros": [{"more_than_minutes": 15, "eps": 0.001}],
    "demand_tolerance": [{"percent": 29.0, "above": 0.01}],
    "device_flags": [{"suspect": ["reversed", "power_up"]}],
    "interval_size": [{"in_outages": True}],
    "register_decrease": [{"may_stand_still": False}],
    "reactive_energy": [{"at_most_idle": 0, "least_power_factor": 0.9}],
    "high_low_usage": [{"above": 0.002, "least_days": 0.0}],
}
USES: Final = [(rule, limits) for rule in RULES for limits in ({}, *LIMITS.get(rule.name, []))]
NEEDED: Final = frozenset().union(*(rule.needs for rule in RULES))
every_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
every_use = pytest.mark.parametrize(
    ("rule", "limits"), USES, ids=[f"{rule.name}{'-limits' * bool(limits)}" for rule, limits in USES]
)

FLAGS: Final = sum(int(flag) for flag in Flag)
quantities = st.one_of(st.just(MISSING), st.integers(-5, 20), st.integers(-(2**53), 2**53))
figures = st.one_of(st.just(float("nan")), st.integers(0, 60).map(float), st.floats(0, 400, allow_subnormal=False))


@st.composite
def some_days(draw: st.DrawFn) -> Days:
    """Days of values near limits and far from them, with gaps, flags, and facts known and unknown."""
    count, width = draw(st.integers(1, 4)), draw(st.sampled_from([1, 2, 3, 5, 23]))
    facts = {}
    for fact in Fact:
        facts[fact] = form = unknown(fact, count, width)
        if fact in NEEDED:
            elements = {"i": quantities, "f": figures, "b": st.booleans()}[form.dtype.kind]
            facts[fact] = draw(arrays(form.dtype, form.shape, elements=elements, fill=elements))
    return Days(
        minutes=draw(st.sampled_from([5, 15, 60])),
        decimals=draw(st.integers(0, 6)),
        values=draw(arrays(np.int64, (count, width), elements=quantities, fill=quantities)),
        flags=draw(arrays(np.uint32, (count, width), elements=st.integers(0, FLAGS), fill=st.just(0))),
        is_over=draw(arrays(np.bool_, count)),
        facts=facts,
    )


def assert_same(one: Finding, other: Finding) -> None:
    for name in ("suspect", "flagged", "judged", "figure", "limit"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


class TestEveryRule:
    @every_use
    @settings(max_examples=12, deadline=None)
    @given(days=some_days())
    def test_changes_nothing_and_judges_each_day_by_itself(
        self, rule: Rule, limits: dict[str, Any], days: Days
    ) -> None:
        before = copy.deepcopy((days.values, days.flags, days.is_over, days.facts))
        finding = found(rule, days, **limits)
        after = (days.values, days.flags, days.is_over)
        for one, other in zip(before[:3], after, strict=True):
            np.testing.assert_array_equal(one, other)
        for fact, known in before[3].items():
            np.testing.assert_array_equal(known, days.facts[fact])

        assert finding.suspect.shape == days.values.shape
        assert finding.suspect.dtype == np.bool_
        for one_per_day in (finding.flagged, finding.judged):
            assert one_per_day.shape == (days.count,)
            assert one_per_day.dtype == np.bool_
        assert finding.figure.shape == finding.limit.shape == (days.count,)
        assert not (finding.suspect.any(axis=1) & ~finding.flagged).any()
        assert not (finding.flagged & ~finding.judged).any()

        for row in range(days.count):
            only = np.arange(days.count) == row
            alone = found(rule, days.rows(only), **limits)
            assert_same(
                alone,
                Finding(
                    suspect=finding.suspect[only],
                    flagged=finding.flagged[only],
                    judged=finding.judged[only],
                    figure=finding.figure[only],
                    limit=finding.limit[only],
                ),
            )

    @every_use
    @pytest.mark.parametrize("width", [1, 23, 92, 96, 100])
    def test_finds_nothing_in_a_day_without_values_but_that_they_are_missing(
        self, rule: Rule, limits: dict[str, Any], width: int
    ) -> None:
        finding = found(rule, days_of([None] * width), **limits)
        assert finding.flagged[0] == (rule.number == "V1")

    @every_rule
    @pytest.mark.parametrize("width", [1, 23, 92, 96, 100])
    def test_finds_nothing_in_a_plausible_day_of_which_nothing_is_known(self, rule: Rule, width: int) -> None:
        row = [40 + place * 7 % 11 for place in range(width)]
        assert not found(rule, days_of(row)).flagged[0]

    @pytest.mark.parametrize("rule", [rule for rule in RULES if rule.partial], ids=lambda rule: rule.name)
    @settings(max_examples=12, deadline=None)
    @given(days=some_days(), first=st.integers(0, 4))
    def test_holds_the_same_values_suspect_while_others_are_still_to_come(
        self, rule: Rule, days: Days, first: int
    ) -> None:
        come = np.arange(days.values.shape[1]) < first
        some = replace(days, values=np.where(come, days.values, MISSING))
        np.testing.assert_array_equal(found(rule, some).suspect, found(rule, days).suspect & come)

    @every_rule
    def test_stands_no_days_at_all(self, rule: Rule) -> None:
        finding = found(rule, days_of([5] * 96).rows(np.zeros(1, dtype=np.bool_)))
        assert finding.suspect.shape == (0, 96)
        assert finding.flagged.shape == finding.judged.shape == (0,)

    @every_rule
    def test_says_what_it_found(self, rule: Rule) -> None:
        assert rule.words.format(figure=1.5, limit=2.5)
        assert rule.quality.count(".") == 2
        assert (rule.check.__module__ or "").endswith(rule.name)

    def test_there_are_all_but_duplicates(self) -> None:
        assert [rule.number for rule in RULES] == [f"V{number}" for number in range(1, 32) if number != 3]
