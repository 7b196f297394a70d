"""The pipeline, with rules and methods of its own: what each severity does, what is filled, what is kept."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np

from mdus.domain.channel import MISSING
from mdus.vee.days import Days, Fact, Mask
from mdus.vee.method import Estimate, Gaps, Method
from mdus.vee.pipeline import NONE, Kept, LoadFacts, Result, State, run
from mdus.vee.rule import Finding, Parameters, Rule, Severity
from mdus.vee.rule_set import Filling, RuleSet, Step
from tests.unit.vee.channel_days import days_of


def above(limit: int, severity: Severity = Severity.ISSUE, *, replaces: bool = False, partial: bool = False) -> Step:
    """A rule that suspects values above a limit."""
    return Step(
        rule=Rule(
            name=f"above_{limit}",
            number="V0",
            quality="3.6.0",
            words="",
            check=lambda days, _: Finding.of_intervals(days.values > limit),
            partial=partial,
        ),
        severity=severity,
        replaces=replaces,
        parameters=Parameters(),
    )


def total_is_not(total: int) -> Step:
    """A rule about whole days."""
    return Step(
        rule=Rule(
            name="total",
            number="V0",
            quality="3.6.0",
            words="",
            check=lambda days, _: Finding.of_days(days.totals() != total, days=days, figure=0, limit=0),
        ),
        severity=Severity.ISSUE,
        replaces=False,
        parameters=Parameters(),
    )


def constant(
    value: int, *, only: int | None = None, adjusts: bool = False, needs: frozenset[Fact] = frozenset()
) -> Filling:
    """A method that offers a value for every interval, or for one alone."""

    def estimate(gaps: Gaps, _: Any) -> Estimate:
        values = np.full_like(gaps.known, MISSING if only is not None else value)
        if only is not None:
            values[:, only] = value
        for fact in needs:
            assert len(gaps.days[fact]) == gaps.days.count == len(gaps.known)
        return Estimate(values=values, confidence=np.linspace(0, 1, len(values)), inputs=lambda place: f"row {place}")

    method = Method(name=f"constant_{value}", number="E0", aemo=None, estimate=estimate, adjusts=adjusts, needs=needs)
    return Filling(method=method, parameters=Parameters())


def ran(
    days: Days,
    *steps: Step,
    methods: tuple[Filling, ...] = (),
    share: float = 1.0,
    kept: Kept | None = None,
    load: LoadFacts | None = None,
) -> Result:
    rules = RuleSet(name="test", reading_types=("*",), steps=steps, fillings=methods, estimated_share=share)
    return run(days, rules, kept=kept, load=load)


def states(result: Result, row: int = 0) -> list[str]:
    return [State(each).name for each in result.state[row]]


class TestRules:
    def test_leave_a_plain_day_as_it_is(self) -> None:
        result = ran(days_of([1, 2, 3]), above(5))
        assert result.values.tolist() == [[1, 2, 3]]
        assert states(result) == ["ACTUAL"] * 3
        assert result.is_plain[0]
        assert not result.at_issue[0]
        assert (result.rule == NONE).all()
        assert (result.method == NONE).all()

    def test_note_what_is_informational(self) -> None:
        result = ran(days_of([1, 9]), above(5, Severity.INFORMATIONAL))
        assert states(result) == ["ACTUAL", "ACTUAL"]
        assert not result.is_plain[0]
        assert not result.at_issue[0]

    def test_make_values_suspect_and_the_day_an_issue(self) -> None:
        result = ran(days_of([1, 9], [1, 5]), above(5))
        assert states(result) == ["ACTUAL", "SUSPECT"]
        assert result.values[0].tolist() == [1, 9]
        assert result.at_issue.tolist() == [True, False]
        assert result.rule[0].tolist() == [NONE, 0]

    def test_name_the_first_that_suspects_a_value(self) -> None:
        assert ran(days_of([1, 9]), above(10), above(5), above(4)).rule[0].tolist() == [NONE, 1]

    def test_take_values_away_that_are_replaced(self) -> None:
        result = ran(days_of([1, 9]), above(5, replaces=True))
        assert result.values[0].tolist() == [1, MISSING]
        assert states(result) == ["ACTUAL", "MISSING"]
        assert result.at_issue[0]

    def test_stop_at_one_that_terminates(self) -> None:
        result = ran(days_of([1, 9], [1, 6]), above(8, Severity.TERMINATE), above(5), methods=(constant(3),))
        assert result.terminated.tolist() == [True, False]
        assert result.values[0].tolist() == [MISSING, MISSING]
        assert result.looked[1].tolist() == [False, True]
        assert result.at_issue.tolist() == [True, True]
        assert states(result, 1) == ["ACTUAL", "SUSPECT"]

    def test_do_not_look_when_all_days_are_terminated(self) -> None:
        result = ran(days_of([9]), above(8, Severity.TERMINATE), above(5))
        assert result.findings[1] is None
        assert not result.is_plain[0]

    def test_suspect_no_missing_value(self) -> None:
        result = ran(days_of([1, None]), above(-(2**63) - 1))
        assert states(result) == ["SUSPECT", "MISSING"]

    def test_wait_for_a_whole_day_unless_they_judge_value_by_value(self) -> None:
        days = days_of([9, None], [9, 1], is_over=False)
        assert ran(days, above(5)).at_issue.tolist() == [False, True]
        assert ran(days, above(5, partial=True)).at_issue.tolist() == [True, True]
        assert ran(days_of([9, None]), above(5)).at_issue.tolist() == [True]


class TestMethods:
    def test_fill_what_is_missing_and_what_is_replaced(self) -> None:
        result = ran(days_of([1, None, 9]), above(5, replaces=True), methods=(constant(3),))
        assert result.values[0].tolist() == [1, 3, 3]
        assert states(result) == ["ACTUAL", "ESTIMATED", "ESTIMATED"]
        assert result.method[0].tolist() == [NONE, 0, 0]
        assert result.rule[0].tolist() == [NONE, NONE, 0]
        assert not result.at_issue[0]
        assert not result.is_plain[0]

    def test_wait_until_a_day_is_over(self) -> None:
        result = ran(
            days_of([1, None, 9], is_over=False), above(5, replaces=True, partial=True), methods=(constant(3),)
        )
        assert result.values[0].tolist() == [1, MISSING, 3]
        assert not result.at_issue[0]

    def test_fill_in_their_order_and_never_over_each_other(self) -> None:
        result = ran(days_of([None, None]), methods=(constant(3, only=1), constant(4)))
        assert result.values[0].tolist() == [4, 3]
        assert result.method[0].tolist() == [1, 0]

    def test_adjust_estimates_only(self) -> None:
        result = ran(days_of([1, None, None]), methods=(constant(3, only=1), constant(8, adjusts=True)))
        assert result.values[0].tolist() == [1, 8, MISSING]
        assert result.method[0].tolist() == [NONE, 0, NONE]
        assert states(result) == ["ACTUAL", "ESTIMATED", "MISSING"]

    def test_leave_a_day_that_lacks_too_much(self) -> None:
        days = days_of([1, 1, None, None], [1, None, None, None])
        result = ran(days, methods=(constant(3),), share=0.5)
        assert result.withheld.tolist() == [False, True]
        assert result.values.tolist() == [[1, 1, 3, 3], [1, MISSING, MISSING, MISSING]]

    def test_leave_intervals_in_which_nothing_was_to_be_measured(self) -> None:
        days = replace(days_of([None, None, 1]), expected=np.array([[False, True, True]]))
        result = ran(days, methods=(constant(3),))
        assert result.values[0].tolist() == [MISSING, 3, 1]
        assert states(result) == ["MISSING", "ESTIMATED", "ACTUAL"]

    def test_say_of_each_day_what_its_estimate_was_made_from(self) -> None:
        result = ran(days_of([1, 1], [1, None], [1, 1], [None, 1]), methods=(constant(3),))
        (filled,) = result.filled
        assert filled.intervals.tolist() == [[False, False], [False, True], [False, False], [True, False]]
        assert [filled.estimate.inputs(row) for row in (1, 3)] == ["row 0", "row 1"]
        assert filled.estimate.confidence.tolist() == [0, 0, 0, 1]

    def test_mend_what_a_rule_about_the_day_found(self) -> None:
        result = ran(days_of([1, None], [2, None]), total_is_not(4), methods=(constant(3),))
        assert result.at_issue.tolist() == [False, True]

    def test_get_their_facts_for_days_with_gaps_only(self) -> None:
        asked: list[tuple[frozenset[Fact], list[bool]]] = []

        def load(days: Days, facts: frozenset[Fact], which: Mask) -> Days:
            asked.append((facts, which.tolist()))
            return days

        needs = frozenset({Fact.LAST_VALUE})
        ran(days_of([1, 1], [1, None]), methods=(constant(3, needs=needs),), load=load)
        assert asked == [(needs, [False, True])]
        ran(days_of([1, 1]), methods=(constant(3, needs=needs),), load=load)
        assert len(asked) == 1


class TestKept:
    def kept(self, days: Days, *, edited: list[bool], estimated: list[bool]) -> Kept:
        return Kept(values=np.full_like(days.values, 77), edited=np.array([edited]), estimated=np.array([estimated]))

    def test_keeps_edits_over_whatever_comes(self) -> None:
        days = days_of([9, None, 9])
        result = ran(
            days,
            above(5, replaces=True),
            methods=(constant(3),),
            kept=self.kept(days, edited=[True, True, False], estimated=[False] * 3),
        )
        assert result.values[0].tolist() == [77, 77, 3]
        assert states(result) == ["EDITED", "EDITED", "ESTIMATED"]

    def test_keeps_estimates_until_an_actual_value_comes(self) -> None:
        days = days_of([5, None])
        kept = self.kept(days, edited=[False] * 2, estimated=[True] * 2)
        result = ran(days, methods=(constant(3),), kept=kept)
        assert result.values[0].tolist() == [5, 77]
        assert states(result) == ["ACTUAL", "ESTIMATED"]


def test_changes_nothing_it_is_given() -> None:
    days = days_of([1, None, 9], facts={Fact.ADVANCE: 30})
    before = copy.deepcopy((days.values, days.flags, days.facts))
    ran(days, above(8, replaces=True), above(0), methods=(constant(3), constant(4, adjusts=True)))
    np.testing.assert_array_equal(before[0], days.values)
    np.testing.assert_array_equal(before[1], days.flags)
    for fact, known in before[2].items():
        np.testing.assert_array_equal(known, days.facts[fact])
