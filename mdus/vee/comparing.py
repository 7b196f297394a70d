"""Compares what two rule sets make of the same days: what a changed set would do before it is switched on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

import numpy as np

from mdus.domain.channel import MISSING, Channel
from mdus.vee.days import Days, Mask
from mdus.vee.pipeline import Result, State

#: Is told how many of how many channel-days have been judged.
Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """On what a changed rule set is tried: days from `first` to before `before`, and which channels' days.

    `systems` are the sender systems that may be looked at, None for all; `reading_types` exact codes, and `devices`,
    none for all. At most `limit` channel-days are judged, in about `seconds` at most; `examples` are told in words.
    """

    first: date
    before: date
    reading_types: frozenset[str] = frozenset()
    devices: frozenset[str] = frozenset()
    systems: tuple[str, ...] | None = None
    limit: int = 20_000
    seconds: float = 30.0
    examples: int = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class Different:
    """A day that comes out otherwise, in words."""

    channel: Channel
    day: date
    before: str
    after: str


@dataclass(kw_only=True, slots=True)
class Comparison:
    """What a changed rule set would do to past days, counted; `examples` are the first days that come out otherwise.

    `flagged` are channel-days by rule, `estimated` what is estimated of them by unit, each before and after. `left_out`
    says in words what was not looked at.
    """

    name: str
    days: int = 0
    channels: int = 0
    different: int = 0
    issues: tuple[int, int] = (0, 0)
    flagged_before: Counter[str] = field(default_factory=Counter)
    flagged_after: Counter[str] = field(default_factory=Counter)
    values_before: int = 0
    values_after: int = 0
    estimated_before: dict[str, Decimal] = field(default_factory=dict)
    estimated_after: dict[str, Decimal] = field(default_factory=dict)
    examples: list[Different] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def add(
        self, targets: Sequence[tuple[Channel, date]], days: Days, before: Result, after: Result, *, shown: int
    ) -> None:
        """Count some days, of which each result has a row; up to `shown` examples are kept of all."""
        self.days += days.count
        self.issues = self.issues[0] + int(before.at_issue.sum()), self.issues[1] + int(after.at_issue.sum())
        self.flagged_before.update(_flagged(before))
        self.flagged_after.update(_flagged(after))
        self.values_before += int((before.state == State.ESTIMATED).sum())
        self.values_after += int((after.state == State.ESTIMATED).sum())
        for result, known in ((before, self.estimated_before), (after, self.estimated_after)):
            for row, amount in _estimated(result):
                unit = targets[row][0].unit
                known[unit] = known.get(unit, Decimal(0)) + Decimal(amount).scaleb(-days.decimals)
        differs = _differs(before, after)
        self.different += int(differs.sum())
        for row in np.flatnonzero(differs).tolist()[: max(0, shown - len(self.examples))]:
            channel, day = targets[row]
            self.examples.append(
                Different(
                    channel=channel,
                    day=day,
                    before=outcome(before, row, decimals=days.decimals, unit=channel.unit),
                    after=outcome(after, row, decimals=days.decimals, unit=channel.unit),
                )
            )


def _differs(before: Result, after: Result) -> Mask:
    """Return the days that come out otherwise: other values, another state of one, or seen by a human or not."""
    differs: Mask = ((before.values != after.values) | (before.state != after.state)).any(axis=1)
    differs |= (before.at_issue != after.at_issue) | (before.terminated != after.terminated)
    return differs


def _flagged(result: Result) -> Counter[str]:
    found = Counter[str]()
    for step, finding, looked in zip(result.rule_set.steps, result.findings, result.looked, strict=True):
        found[step.rule.name] += 0 if finding is None else int((finding.flagged & looked).sum())
    return found


def _estimated(result: Result) -> Iterator[tuple[int, int]]:
    """Yield the days with estimates, each with what they add up to."""
    is_estimate = (result.state == State.ESTIMATED) & (result.values != MISSING)
    amounts = np.where(is_estimate, result.values, 0).sum(axis=1)
    for row in np.flatnonzero(is_estimate.any(axis=1)).tolist():
        yield row, int(amounts[row])


def outcome(result: Result, place: int, *, decimals: int, unit: str) -> str:
    """Return in words what became of one day."""
    says = []
    for step, finding, looked in zip(result.rule_set.steps, result.findings, result.looked, strict=True):
        if finding is not None and looked[place] and finding.flagged[place]:
            words = step.rule.words.format(figure=finding.figure[place], limit=finding.limit[place])
            says.append(f"{step.rule.name}: {words}")
    states = result.state[place]
    for filled in result.filled:
        number = int(filled.intervals[place].sum())
        if number:
            method = result.rule_set.fillings[filled.number].method.name
            says.append(f"{method} for {number} values")
    counts = [
        f"{int((states == state).sum())} {state.name.lower()}" for state in State if bool((states == state).any())
    ]
    values = result.values[place]
    total = Decimal(int(values[values != MISSING].sum())).scaleb(-decimals)
    seen = "a human must see it" if result.at_issue[place] else "in order"
    return "; ".join([*says, f"{', '.join(counts)}, {total:f} {unit}", seen])
