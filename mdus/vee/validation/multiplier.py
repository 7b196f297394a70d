"""V17 Multiplier: the multiplier that came with the values is not that of the registry.

Formula: abs(told - known) > percent of the known. Unit: percent. Default: 0. Source: the multiplier checks of Oracle
and Itron; of Itron's policies for transformer ratios (validate, ignore, apply) this is the first, leaving the rule out
of a set the second; values are never multiplied here.

A register reading is judged as a day of one value.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from mdus.vee.days import Days, Fact
from mdus.vee.rule import Amount, Finding, Parameters, Rule


class Limits(Parameters):
    """How far the two multipliers may be apart, in percent."""

    percent: Amount = 0.0


def check(days: Days, limits: Limits) -> Finding:
    """Return the days whose values came with another multiplier."""
    told, known = days[Fact.FACTOR_TOLD], days[Fact.FACTOR_KNOWN]
    judged = ~np.isnan(told) & ~np.isnan(known)
    # Multipliers are figures, not values: rounded to nine digits, so that 1.1 and 1.1 are equal however computed.
    apart = np.round(np.where(judged, np.abs(told - known), 0.0), 9)
    allowed = np.round(np.where(judged, np.abs(known), 0.0) * limits.percent / 100, 9)
    return Finding.of_days(judged & (apart > allowed), days=days, judged=judged, figure=told, limit=known)


RULE: Final = Rule(
    name="multiplier",
    number="V17",
    quality="3.6.0",
    words="the values came with the multiplier {figure:g}, the registry has {limit:g}",
    check=check,
    parameters=Limits,
    needs=frozenset({Fact.FACTOR_TOLD, Fact.FACTOR_KNOWN}),
    partial=True,
)
