"""V31 Dynamic comparison: a day's usage is far from that of similar meters.

Formula: 100 x abs(usage - usage of the group) / usage of the group > percent, over the intervals for which both have
values, which must be at least `share` of the day. Usage of both up to `least` is not compared. Unit: percent; of
`least` that of the channel. Default: 200 %, 0.5, 0. Source: Oracle's dynamic comparison with the profile of a group;
the figures are from memory, hence parameters.
"""

from __future__ import annotations

from typing import Annotated, Final

import numpy as np
from pydantic import Field

from mdus.domain.channel import MISSING
from mdus.vee.days import Days, Fact, total
from mdus.vee.exact import exceeds, falls_short, floor
from mdus.vee.rule import Amount, Finding, Parameters, Rule


class Limits(Parameters):
    """How far usage may be from that of the group, and what is too little to compare."""

    percent: Amount = 200.0
    share: Annotated[float, Field(ge=0, le=1)] = 0.5
    least: Amount = 0.0


def check(days: Days, limits: Limits) -> Finding:
    """Return the days whose usage is too far from that of similar meters."""
    similar = days[Fact.SIMILAR]
    both = days.present & (similar != MISSING)
    usage, others = total(np.where(both, days.values, 0)), total(np.where(both, similar, 0))
    number = both.sum(axis=1)
    judged = (number > 0) & ~falls_short([number], limits.share, [both.shape[1]])
    judged &= others > 0
    apart, base = np.abs(usage - others), np.where(judged, others, 1)
    flagged = judged & exceeds([apart, 100], limits.percent, [base])
    flagged &= np.maximum(usage, others) > floor(limits.least, days)
    return Finding.of_days(flagged, days=days, judged=judged, figure=100.0 * apart / base, limit=limits.percent)


RULE: Final = Rule(
    name="dynamic_comparison",
    number="V31",
    quality="3.5.258",
    words="the usage is {figure:.0f} % away from that of similar meters, allowed are {limit:.0f} %",
    check=check,
    parameters=Limits,
    needs=frozenset({Fact.SIMILAR}),
)
