"""V10 Register delta: the register moved by too large a part of what it shows.

Formula: 100 x abs((cur - prev) / cur) > percent, the multiplier applied first (both are in the unit of the channel).
Not judged where the register shows zero. Unit: percent. Default: 50 %. Source: the delta check of Itron; the figure is
from memory, hence a parameter: a young meter moves by a large part of the little it shows.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from mdus.domain.channel import MISSING
from mdus.vee.days import Days, Fact
from mdus.vee.exact import exceeds
from mdus.vee.rule import Amount, Finding, Parameters, Rule


class Limits(Parameters):
    """By how much of what it shows a register may move, in percent."""

    percent: Amount = 50.0


def check(days: Days, limits: Limits) -> Finding:
    """Return the days over which the register moved too far."""
    before, after = days[Fact.REGISTER_BEFORE], days[Fact.REGISTER_AFTER]
    judged = (before != MISSING) & (after != MISSING) & (after != 0)
    shown = np.where(judged, after, 1)
    moved = np.abs(np.where(judged, after - before, 0))
    flagged = judged & exceeds([moved, 100], limits.percent, [np.abs(shown)])
    return Finding.of_days(
        flagged, days=days, judged=judged, figure=100.0 * moved / np.abs(shown), limit=limits.percent
    )


RULE: Final = Rule(
    name="register_delta",
    number="V10",
    quality="3.6.5",
    words="the register moved by {figure:.1f} % of what it shows, allowed are {limit:.1f} %",
    check=check,
    parameters=Limits,
    needs=frozenset({Fact.REGISTER_BEFORE, Fact.REGISTER_AFTER}),
)
