"""V19 Time tolerance: the meter's clock is too far from the head end's.

Formula: abs(meter's clock - head end's clock) <= at_most_seconds. Unit: seconds. Default: 180. Source: the time
tolerance of the Californian standards; their 3 minutes are from memory, hence a parameter.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from mdus.vee.days import Days, Fact
from mdus.vee.rule import Amount, Finding, Parameters, Rule


class Limits(Parameters):
    """How far the clock may be off, ahead or behind."""

    at_most_seconds: Amount = 180.0


def check(days: Days, limits: Limits) -> Finding:
    """Return the days on which the meter's clock was too far off."""
    drift = np.abs(days[Fact.CLOCK_DRIFT])
    judged = ~np.isnan(drift)
    flagged = judged & (drift > limits.at_most_seconds)
    return Finding.of_days(flagged, days=days, judged=judged, figure=drift, limit=limits.at_most_seconds)


RULE: Final = Rule(
    name="time_tolerance",
    number="V19",
    quality="3.1.9",
    words="the meter's clock is {figure:.0f} seconds off, allowed are {limit:.0f}",
    check=check,
    parameters=Limits,
    needs=frozenset({Fact.CLOCK_DRIFT}),
    partial=True,
)
