"""V7 High/low usage: a day's usage is far from that of the days before and from that of the same time last year.

Formula: ADU = usage / days; ADU > high_percent or < low_percent of the ADU before, and of that of last year where both
are known: what last year explains is no finding. Judged are complete days with at least `least_days` to compare with,
whose usage was above zero. High usage up to `above` a day is never too high. Unit: percent; of `above` that of the
channel a day. Default: 300 %, 20 %, 7 days, 0. Source: Oracle's high/low check, the usage checks of California and of
the Green Button community; the figures are from memory, hence parameters.

A register reading is judged as a day of one value that took SPAN_DAYS.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from mdus.domain.channel import MISSING
from mdus.vee.days import Days, Fact
from mdus.vee.exact import MINUTES_OF_DAY, exceeds, falls_short, floor, minutes_of
from mdus.vee.rule import Amount, Finding, Parameters, Rule


class Limits(Parameters):
    """Between which percentages of earlier usage a day's may be."""

    high_percent: Amount = 300.0
    low_percent: Amount = 20.0
    least_days: Amount = 7.0
    above: Amount = 0.0


def check(days: Days, limits: Limits) -> Finding:
    """Return the complete days whose usage is too high or too low by every comparison there is."""
    usage, span = days.totals(), minutes_of(days[Fact.SPAN_DAYS])
    whole = days.present.all(axis=1) & (span > 0)
    judged = np.zeros(days.count, dtype=np.bool_)
    high, low = whole.copy(), whole.copy()
    percent = np.zeros(days.count)
    for total, number in ((Fact.YEAR_AGO_TOTAL, Fact.YEAR_AGO_DAYS), (Fact.PAST_TOTAL, Fact.PAST_DAYS)):
        past, lasted = days[total], days[number]
        known = whole & (past != MISSING) & (past > 0) & (lasted >= limits.least_days)
        before, minutes = np.where(known, past, 1), np.where(known, minutes_of(lasted), 1)
        high &= ~known | exceeds([usage, minutes, 100], limits.high_percent, [before, span])
        low &= ~known | falls_short([usage, minutes, 100], limits.low_percent, [before, span])
        percent = np.where(known, 100.0 * usage * minutes / (before * np.maximum(span, 1.0)), percent)
        judged |= known
    high &= exceeds([usage, MINUTES_OF_DAY], 1, [span, floor(limits.above, days)])
    return Finding.of_days(
        judged & (high | low),
        days=days,
        judged=judged,
        figure=percent,
        limit=np.where(low, limits.low_percent, limits.high_percent),
    )


RULE: Final = Rule(
    name="high_low_usage",
    number="V7",
    quality="3.6.5",
    words="the usage is {figure:.0f} % of what it was before, the limit is {limit:.0f} %",
    check=check,
    parameters=Limits,
    needs=frozenset(
        {Fact.SPAN_DAYS, Fact.PAST_TOTAL, Fact.PAST_DAYS, Fact.YEAR_AGO_TOTAL, Fact.YEAR_AGO_DAYS},
    ),
)
