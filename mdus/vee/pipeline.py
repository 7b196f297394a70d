"""Runs a rule set over days of channels: rules in their order, then methods for what is missing or was found wrong.

```
raw values --rules--> suspect values, days at fault
           --missing, and suspect values of rules that replace--> methods in their order, never over an actual value
           --methods that adjust--> estimates scaled to what the register says
           --rules once more, over days that were filled--> what is still wrong is an issue
           --> final values with the state of each, and what to tell of each day
```

Nothing here changes what it is given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mdus.domain.channel import MISSING
from mdus.vee.days import Days, Elements, Fact, Mask
from mdus.vee.method import Estimate, Gaps
from mdus.vee.rule import Finding, Severity
from mdus.vee.rule_set import RuleSet

#: An interval no rule suspects, an interval no method filled.
NONE: Final = 255


class State(IntEnum):
    """What a final value is."""

    MISSING = 0
    ACTUAL = 1  # from the meter, and no rule with an issue suspects it
    SUSPECT = 2  # from the meter; a rule suspects it and does not replace it: a human decides
    ESTIMATED = 3
    EDITED = 4


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Kept:
    """What of the final values before stays as it is: edits, and estimates that somebody has acted on (c, n).

    `rejected` are intervals whose estimate a person has found worse than none: they are not estimated again.
    """

    values: Elements
    edited: Mask
    estimated: Mask
    rejected: Mask | None = None

    @classmethod
    def nothing(cls, days: Days) -> Kept:
        """Return that there is nothing to keep."""
        none = np.zeros(days.values.shape, dtype=np.bool_)
        return cls(values=days.values, edited=none, estimated=none)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Filled:
    """What one method filled: which intervals (c, n), and what it said of its estimate."""

    number: int  # of the method in its rule set
    intervals: Mask
    estimate: Estimate


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Result:
    """The final values of c channel days, and why they are what they are.

    `rule` and `method` (c, n) are places in the rule set, NONE without one: the first rule that suspects a value, the
    method that filled an interval last. `terminated` and `at_issue` (c,) are the days a human must see; `withheld` (c,)
    those whose gaps stay because more would have been estimated than the set allows.
    """

    rule_set: RuleSet
    values: Elements
    state: NDArray[np.uint8]
    rule: NDArray[np.uint8]
    method: NDArray[np.uint8]
    terminated: Mask
    at_issue: Mask
    withheld: Mask
    findings: tuple[Finding | None, ...] = ()
    filled: tuple[Filled, ...] = ()
    looked: tuple[Mask, ...] = field(default_factory=tuple)  # by rule: the days it looked at (c,)

    @property
    def is_plain(self) -> Mask:
        """Return the days of which there is nothing to tell (c,): no value was made, and no rule found anything."""
        found = np.zeros(len(self.values), dtype=np.bool_)
        for finding, looked in zip(self.findings, self.looked, strict=True):
            if finding is not None:
                found |= finding.flagged & looked
        plain: Mask = ~found & (self.state <= State.ACTUAL).all(axis=1)
        return plain


#: Loads facts for some rows of days: those given by the mask.
LoadFacts = Callable[[Days, frozenset[Fact], Mask], Days]


def run(days: Days, rule_set: RuleSet, *, kept: Kept | None = None, load: LoadFacts | None = None) -> Result:
    """Return the final values of days by a rule set.

    `load` is asked for what methods need, for the days with gaps only; without it `days` has all that is needed.
    """
    kept = kept or Kept.nothing(days)
    if kept.edited.any():  # rules judge what a person has set as it was set
        days = replace(days, values=np.where(kept.edited, kept.values, days.values))
    present, whole = days.present, days.whole
    rule_of = np.full(days.values.shape, NONE, dtype=np.uint8)
    suspect, replaced = (np.zeros(days.values.shape, dtype=np.bool_) for _ in range(2))
    terminated, at_issue = (np.zeros(days.count, dtype=np.bool_) for _ in range(2))
    findings: list[Finding | None] = []
    looked: list[Mask] = []
    for number, step in enumerate(rule_set.steps):
        open_days = ~terminated if step.rule.partial else ~terminated & whole
        looked.append(open_days)
        if not open_days.any():
            findings.append(None)
            continue
        finding = step.rule.check(days, step.parameters)
        findings.append(finding)
        flagged = _flagged(finding, kept) & open_days
        if not flagged.any():
            continue
        if step.severity is Severity.TERMINATE:
            terminated |= flagged
        if step.severity is not Severity.INFORMATIONAL:
            found = finding.suspect & present & flagged[:, None] & ~kept.edited
            rule_of[found & (rule_of == NONE)] = number
            if step.replaces:
                replaced |= found
            else:
                suspect |= found
                at_issue |= flagged
    actual = present & ~replaced & ~kept.edited
    values = np.where(actual, days.values, MISSING)
    values[kept.edited] = kept.values[kept.edited]
    values[kept.estimated & ~actual & ~kept.edited] = kept.values[kept.estimated & ~actual & ~kept.edited]
    state = np.zeros(values.shape, dtype=np.uint8)
    state[actual] = State.ACTUAL
    state[actual & suspect] = State.SUSPECT
    state[kept.estimated & ~actual] = State.ESTIMATED
    state[kept.edited] = State.EDITED
    wanted = (values == MISSING) & ~terminated[:, None] & (days.missing | replaced)
    if kept.rejected is not None:
        wanted &= ~kept.rejected
    method_of = np.full(values.shape, NONE, dtype=np.uint8)
    share = wanted.sum(axis=1) / values.shape[1]
    withheld = share > rule_set.estimated_share
    wanted &= ~withheld[:, None]
    filled: tuple[Filled, ...] = ()
    if wanted.any() and rule_set.fillings:
        filled = _fill(days, rule_set, values, state, method_of, wanted, actual & ~suspect, load=load)
    gone = terminated[:, None] & ~kept.edited
    values[gone] = MISSING
    state[gone] = State.MISSING
    mended = np.zeros(days.count, dtype=np.bool_)
    for each in filled:
        mended |= each.intervals.any(axis=1)
    if (mended & at_issue).any():
        _judge_again(days, rule_set, values, state, at_issue, kept, which=mended & at_issue)
    at_issue |= terminated | ((values == MISSING) & replaced).any(axis=1)
    return Result(
        rule_set=rule_set,
        values=values,
        state=state,
        rule=rule_of,
        method=method_of,
        terminated=terminated,
        at_issue=at_issue,
        withheld=withheld,
        findings=tuple(findings),
        filled=filled,
        looked=tuple(looked),
    )


def _flagged(finding: Finding, kept: Kept) -> Mask:
    """Return the days at fault: not those whose suspect values a person has all set or accepted."""
    if not kept.edited.any():
        return finding.flagged
    open_ones = (finding.suspect & ~kept.edited).any(axis=1)
    flagged: Mask = finding.flagged & (open_ones | ~finding.suspect.any(axis=1))
    return flagged


def _judge_again(
    days: Days,
    rule_set: RuleSet,
    values: Elements,
    state: NDArray[np.uint8],
    at_issue: Mask,
    kept: Kept,
    *,
    which: Mask,
) -> None:
    """Let the rules that replace nothing look at filled days once more: what they found may have been mended."""
    filled = replace(days.rows(which), values=values[which])
    stays = replace(kept, values=kept.values[which], edited=kept.edited[which], estimated=kept.estimated[which])
    still, suspect = np.zeros(filled.count, dtype=np.bool_), np.zeros(filled.values.shape, dtype=np.bool_)
    for step in rule_set.steps:
        if step.severity is Severity.ISSUE and not step.replaces:
            finding = step.rule.check(filled, step.parameters)
            flagged = _flagged(finding, stays)
            still |= flagged
            suspect |= finding.suspect & flagged[:, None] & ~stays.edited
    at_issue[which] = still
    found = state[which]
    state[which] = np.where((found == State.SUSPECT) & ~suspect, State.ACTUAL, found)


def _fill(
    days: Days,
    rule_set: RuleSet,
    values: Elements,
    state: NDArray[np.uint8],
    method_of: NDArray[np.uint8],
    wanted: Mask,
    actual: Mask,
    *,
    load: LoadFacts | None,
) -> tuple[Filled, ...]:
    """Fill wanted intervals of `values`, `state` and `method_of` by the set's methods; returns what each filled."""
    which: Mask = np.asarray(wanted.any(axis=1))
    some = days.rows(which)
    if load is not None:
        some = load(some, rule_set.methods_need, which)
    known, open_ones, given = values[which], wanted[which], actual[which]
    estimated = np.zeros(known.shape, dtype=np.bool_)
    by = np.full(known.shape, NONE, dtype=np.uint8)
    filled: list[Filled] = []
    for number, filling in enumerate(rule_set.fillings):
        sought = estimated if filling.method.adjusts else open_ones
        if not sought.any():
            continue
        gaps = Gaps(days=some, known=known.copy(), wanted=sought.copy(), actual=given)
        estimate = filling.method.estimate(gaps, filling.parameters)
        takes = estimate.offered & sought
        if not takes.any():
            continue
        known[takes] = estimate.values[takes]
        estimated |= takes
        open_ones = open_ones & ~takes
        if not filling.method.adjusts:
            by[takes] = number
        whole = np.zeros(values.shape, dtype=np.bool_)
        whole[which] = takes
        filled.append(Filled(number=number, intervals=whole, estimate=_spread(estimate, which)))
    values[which] = known
    method_of[which] = by
    marked = np.zeros(values.shape, dtype=np.bool_)
    marked[which] = estimated
    state[marked] = State.ESTIMATED
    return tuple(filled)


def _spread(estimate: Estimate, which: Mask) -> Estimate:
    """Return an estimate of some days as one of all: its confidence and its words by the place among all."""
    places = np.cumsum(which) - 1
    confidence = np.zeros(len(which))
    confidence[which] = estimate.confidence
    return Estimate(
        values=estimate.values, confidence=confidence, inputs=lambda place: estimate.inputs(int(places[place]))
    )
