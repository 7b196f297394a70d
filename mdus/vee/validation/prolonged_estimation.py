"""V27 Prolonged estimation: for too long no day was without estimated values.

Formula: last day without an estimate + allowed days < this day. Unit: days. Default: 30. Source: Oracle's prolonged
estimation check; the figure is from memory, hence a parameter.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from mdus.vee.days import Days, Fact
from mdus.vee.rule import Amount, Finding, Parameters, Rule


class Limits(Parameters):
    """For how many days estimates may follow each other."""

    at_most_days: Amount = 30.0


def check(days: Days, limits: Limits) -> Finding:
    """Return the days before which estimates went on for too long."""
    since = days[Fact.ESTIMATED_DAYS]
    judged = ~np.isnan(since)
    flagged = judged & (since > limits.at_most_days)
    return Finding.of_days(flagged, days=days, judged=judged, figure=since, limit=limits.at_most_days)


RULE: Final = Rule(
    name="prolonged_estimation",
    number="V27",
    quality="3.6.0",
    words="values were estimated for {figure:.0f} days, allowed are {limit:.0f}",
    check=check,
    parameters=Limits,
    needs=frozenset({Fact.ESTIMATED_DAYS}),
)
