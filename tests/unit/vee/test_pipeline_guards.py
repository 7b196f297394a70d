"""Whatever a rule set does, `run` leaves what is actual, changes nothing it is given, and keeps what is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mdus.bootstrap.discovery import discover
from mdus.domain.channel import MISSING
from mdus.vee.days import Days, Fact, total
from mdus.vee.method import Estimate, Gaps, Method
from mdus.vee.pipeline import NONE, Kept, Result, State, run
from mdus.vee.rule import Parameters, Severity
from mdus.vee.rule_set import MethodUse, RuleSet, RuleSetRow, RuleUse, Tools
from tests.unit.vee.estimation.gaps import MINUTES, unknown


def greedy(gaps: Gaps, _: Parameters) -> Estimate:
    """Offer a value for every interval, wanted or not."""
    return Estimate(
        values=np.full_like(gaps.known, 777), confidence=np.ones(len(gaps.known)), inputs=lambda _: "nothing but greed"
    )


FOUND = discover().tools
TOOLS = Tools(
    rules=FOUND.rules,
    methods={
        **FOUND.methods,
        "greedy": Method(name="greedy", number="E0", aemo=None, estimate=greedy),
        "greedy_adjusting": Method(name="greedy_adjusting", number="E0", aemo=None, estimate=greedy, adjusts=True),
    },
)
RULES = ("missing_intervals", "spike", "sum_check")
METHODS = sorted(name for name, method in TOOLS.methods.items() if not method.of_register)
REQUIRED = {"value_fill": {"value": "1.5"}}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Case:
    """Days, a rule set, and what is kept of the final values before."""

    days: Days
    rule_set: RuleSet
    kept: Kept


@st.composite
def cases(draw: st.DrawFn, methods: st.SearchStrategy[list[str]] | None = None) -> Case:
    """Draw days of any length with gaps, everything known of some of them, and any rule set."""
    count, width = draw(st.integers(1, 3)), draw(st.sampled_from([1, 4, 23, 92, 96, 100]))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    missing = draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))

    def amounts(*shape: int, lacking: float = missing) -> Any:
        made = random.integers(-50, 5000, shape)
        return np.where(random.random(shape) < lacking, MISSING, made).astype(np.int64)

    def some(*shape: int) -> Any:
        return random.random(shape) < 0.2

    values = amounts(count, width)
    values = np.where((values != MISSING) & (random.random(values.shape) < 0.02), values * 50, values)  # spikes
    facts = unknown(count, width) | {
        Fact.REGISTER_STEP: np.ones(count, dtype=np.int64),
    }
    moved = total(values) + random.integers(-50, 5000 * width, count)
    facts[Fact.ADVANCE] = np.where(random.random(count) < 0.2, MISSING, moved)
    if draw(st.booleans()):
        facts |= {
            Fact.LAST_VALUE: amounts(count),
            Fact.NEXT_VALUE: amounts(count),
            Fact.OUTAGE: some(count, width),
            Fact.CHECK: amounts(count, width),
            Fact.SIMILAR: amounts(count, width),
            Fact.HISTORY: amounts(count, 35, width),
            Fact.HISTORY_WEEKDAY: random.integers(-1, 8, (count, 35)),
            Fact.HISTORY_TEMPERATURE: random.uniform(-10, 30, (count, 35)),
            Fact.TEMPERATURE: random.uniform(-10, 30, count),
            Fact.WEEKDAY: random.integers(0, 8, count),
            Fact.FOLLOWING: amounts(count, 6, width),
            Fact.FOLLOWING_WEEKDAY: random.integers(-1, 8, (count, 6)),
            Fact.HOLIDAY_HISTORY: amounts(count, 12, width),
            Fact.HOLIDAY_AGE: random.integers(-1, 500, (count, 12)),
            Fact.LAST_FLAGS: random.integers(0, 4096, count).astype(np.uint32),
            Fact.NEXT_FLAGS: random.integers(0, 4096, count).astype(np.uint32),
        }
    days = Days(
        minutes=MINUTES,
        decimals=3,
        values=values,
        flags=np.where(some(count, width), random.integers(0, 4096, (count, width)), 0).astype(np.uint32),
        is_over=random.random(count) < 0.8,
        facts=facts,
    )
    used = draw(st.lists(st.sampled_from(RULES), unique=True))
    filling = draw(
        st.lists(st.sampled_from(METHODS), unique=True, min_size=1, max_size=6) if methods is None else methods
    )
    row = RuleSetRow(
        name="drawn",
        reading_types=("*",),
        rules=tuple(
            RuleUse(name=name, severity=draw(st.sampled_from(Severity)), replaces=draw(st.booleans())) for name in used
        ),
        methods=tuple(MethodUse.model_validate({"name": name} | REQUIRED.get(name, {})) for name in filling),
        estimated_share=draw(st.sampled_from([0.0, 0.3, 1.0])),
    )
    edited, estimated = some(count, width), some(count, width)
    kept_values = random.integers(6000, 9000, (count, width))
    kept = Kept(values=kept_values, edited=edited, estimated=estimated & ~edited)
    if draw(st.booleans()):
        kept = Kept.nothing(days)
    return Case(days=days, rule_set=TOOLS.rule_set(row), kept=kept)


def result(case: Case) -> Result:
    """Run a case; holds that nothing given was changed."""
    days, kept = case.days, case.kept
    before = [days.values.copy(), days.flags.copy(), days.is_over.copy()]
    before += [kept.values.copy(), kept.edited.copy(), kept.estimated.copy()]
    facts = {fact: known.copy() for fact, known in days.facts.items()}
    made = run(days, case.rule_set, kept=kept)
    given_now = [days.values, days.flags, days.is_over, kept.values, kept.edited, kept.estimated]
    assert all(np.array_equal(old, new) for old, new in zip(before, given_now, strict=True))
    for fact, known in days.facts.items():
        assert np.array_equal(known, facts[fact], equal_nan=known.dtype.kind == "f"), fact
    assert not np.shares_memory(made.values, days.values)
    return made


class TestRun:
    @settings(max_examples=120, deadline=None)
    @given(cases())
    def test_leaves_what_is_actual(self, case: Case) -> None:
        made = result(case)
        actual = (made.state == State.ACTUAL) | (made.state == State.SUSPECT)
        assert (made.values[actual] == case.days.values[actual]).all()
        replaces = [number for number, step in enumerate(case.rule_set.steps) if step.replaces]
        untouched = case.days.present & ~case.kept.edited & ~made.terminated[:, None]
        untouched &= ~np.isin(made.rule, replaces)
        assert actual[untouched].all()

    @settings(max_examples=120, deadline=None)
    @given(cases())
    def test_keeps_edits_and_estimates_acted_on(self, case: Case) -> None:
        made = result(case)
        going_on = ~made.terminated[:, None]
        edited = case.kept.edited & going_on
        assert (made.values[edited] == case.kept.values[edited]).all()
        assert (made.state[edited] == State.EDITED).all()
        estimated = case.kept.estimated & going_on & (made.state != State.ACTUAL) & (made.state != State.SUSPECT)
        assert (made.values[estimated] == case.kept.values[estimated]).all()
        assert (made.state[estimated] == State.ESTIMATED).all()

    @settings(max_examples=120, deadline=None)
    @given(cases())
    def test_has_a_value_wherever_it_says_so(self, case: Case) -> None:
        made = result(case)
        assert ((made.values == MISSING) == (made.state == State.MISSING)).all()
        new = (made.state == State.ESTIMATED) & ~case.kept.estimated
        assert (made.method[new] != NONE).all()
        assert ((made.method == NONE) | (made.state == State.ESTIMATED) | made.terminated[:, None]).all()

    @settings(max_examples=120, deadline=None)
    @given(cases())
    def test_says_of_every_estimate_how_it_was_made(self, case: Case) -> None:
        made = result(case)
        for each in made.filled:
            for place in np.flatnonzero(each.intervals.any(axis=1)):
                assert 0 < each.estimate.confidence[place] <= 1
                assert each.estimate.inputs(int(place))

    @settings(max_examples=120, deadline=None)
    @given(
        cases(
            methods=st.permutations(["linear", "like_day_average", "average_around", "conservative", "value_fill"]).map(
                lambda order: [*order, "zero_fill", "scale_to_register"]
            )
        )
    )
    def test_adds_scaled_days_up_to_the_register(self, case: Case) -> None:
        made = result(case)
        advance = case.days[Fact.ADVANCE]
        for each in made.filled:
            if case.rule_set.fillings[each.number].method.adjusts:
                for place in np.flatnonzero(each.intervals.any(axis=1) & ~made.terminated):
                    assert made.values[place].sum() == advance[place]
