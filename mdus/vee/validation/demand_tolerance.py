"""V9 Demand tolerance: a value differs too much from the last valid one.

Formula: 100 x abs(x_i - last valid) / last valid > percent, where the last valid is the value of the nearest interval
before that has one, of which the meter says neither overflow nor test; for the first interval the last of the day
before. Not judged where that is zero or unknown, nor where neither of the two is above `above`. Unit: percent; of
`above` that of the channel per hour. Default: 500 %, 0. From 100 % on only jumps upwards can be found. Source: the
tolerance check of Itron; the figure is from memory, hence a parameter.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from mdus.domain.channel import MISSING
from mdus.vee.days import Days, Fact, Flag
from mdus.vee.exact import exceeds, floor
from mdus.vee.rule import Amount, Finding, Parameters, Rule


class Limits(Parameters):
    """How far a value may be from the last valid one, in percent of the latter."""

    percent: Amount = 500.0
    above: Amount = 0.0


def check(days: Days, limits: Limits) -> Finding:
    """Return the values that are too far from the last valid one before them."""
    present = days.present
    values = np.concatenate([days[Fact.LAST_VALUE][:, None], days.values], axis=1)
    valid = values != MISSING
    valid[:, 1:] &= ~days.has(Flag.OVERFLOW | Flag.TEST_MODE)
    places = np.maximum.accumulate(np.where(valid, np.arange(values.shape[1]), 0), axis=1)[:, :-1]
    before = np.take_along_axis(values, places, axis=1)
    judged = present & (before != MISSING) & (before != 0)
    last, value = np.where(judged, before, 1), np.where(judged, days.values, 1)
    suspect = judged & exceeds([np.abs(value - last), 100], limits.percent, [np.abs(last)])
    suspect &= np.maximum(value, last) > floor(limits.above, days, per_hour=True) if limits.above else True
    percent = np.abs(value.astype(np.float64) - last) * 100 / np.abs(last)
    return Finding.of_intervals(
        suspect, judged=judged.any(axis=1), figure=percent.max(axis=1, initial=0.0), limit=limits.percent
    )


RULE: Final = Rule(
    name="demand_tolerance",
    number="V9",
    quality="3.6.5",
    words="a value is {figure:.0f} % away from the one before, allowed are {limit:.0f} %",
    check=check,
    parameters=Limits,
    needs=frozenset({Fact.LAST_VALUE}),
)
