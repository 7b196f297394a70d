"""V11 Historical maximum: more usage than on any day before, by more than some percent.

Formula: usage > (1 + percent / 100) x the most of preceding periods of equal length. Judged are complete days with at
least `least_days` before them. Unit: percent, days. Default: 100 %, 7 days. Source: the historical maximum check of
Itron; the figures are from memory, hence parameters.

A register reading is judged as a day of one value: what it is compared with is the most of a day x SPAN_DAYS.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from mdus.domain.channel import MISSING
from mdus.vee.days import Days, Fact
from mdus.vee.exact import MINUTES_OF_DAY, exceeds, minutes_of, product
from mdus.vee.rule import Amount, Finding, Parameters, Rule


class Limits(Parameters):
    """By how many percent usage may pass the most there was, on so many days at least."""

    percent: Amount = 100.0
    least_days: Amount = 7.0


def check(days: Days, limits: Limits) -> Finding:
    """Return the complete days with more usage than ever before."""
    usage, span = days.totals(), minutes_of(days[Fact.SPAN_DAYS])
    highest = days[Fact.PAST_MOST]
    judged = days.present.all(axis=1) & (span > 0) & (highest != MISSING) & (highest > 0)
    judged &= days[Fact.PAST_DAYS] >= limits.least_days
    most, minutes = np.where(judged, highest, 1), np.where(judged, span, 1)
    base = product(most, minutes)
    more = product(np.where(judged, usage, 0), MINUTES_OF_DAY) - base
    flagged = judged & exceeds([more, 100], limits.percent, [base])
    percent = 100.0 * (more / base).astype(np.float64)
    return Finding.of_days(flagged, days=days, judged=judged, figure=percent, limit=limits.percent)


RULE: Final = Rule(
    name="historical_maximum",
    number="V11",
    quality="3.6.3",
    words="the usage is {figure:.0f} % above the most there was, allowed are {limit:.0f} %",
    check=check,
    parameters=Limits,
    needs=frozenset({Fact.SPAN_DAYS, Fact.PAST_MOST, Fact.PAST_DAYS}),
)
