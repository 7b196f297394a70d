"""V6 Spike: one or two values of a day stand far above all others.

Formula: (max - third highest) / third highest > tolerance; suspect are the values that do so by themselves, at most
two. Not judged where the third highest is not above zero. That the sum check is passed exempts from nothing. Where a
set states them, two things make a value no spike: that it is at most `above` (an idle day on which the oven ran once),
and that it is at most `past_peaks` x the highest value of the days before, as far as that is known. Unit: ratios; of
`above` that of the channel per hour. Default: tolerance 1.8 (180 %), the other two 0, which exempts nothing. Source:
CPUC direct access standards (the exemption is refused there explicitly); the figure is from memory, hence a parameter;
`above` and `past_peaks` are our own.
"""

from __future__ import annotations

from typing import Annotated, Final

import numpy as np
from pydantic import Field

from mdus.domain.channel import MISSING
from mdus.vee.days import Days, Fact
from mdus.vee.exact import floor, most
from mdus.vee.rule import Amount, Finding, Parameters, Rule


class Limits(Parameters):
    """How far the highest value may stand above the third highest, as a ratio of the latter."""

    tolerance: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.8
    above: Amount = 0.0
    past_peaks: Amount = 0.0


def check(days: Days, limits: Limits) -> Finding:
    """Return the values that stand too far above the third highest of their day."""
    values = days.values
    if values.shape[1] < 3:
        return Finding.of_intervals(np.zeros(values.shape, dtype=np.bool_), judged=np.zeros(len(values), np.bool_))
    third = np.partition(values, -3, axis=1)[:, -3]  # MISSING is the least of all
    judged = (third != MISSING) & (third > 0)
    base = np.where(judged, third, 1)
    highest = values.max(axis=1)
    # What is above the limit by less than it stands above the third: no sum that could run over.
    allowed = np.maximum(most(limits.tolerance, base), floor(limits.above, days, per_hour=True) - base)
    peak = days[Fact.PAST_PEAK]
    allowed = np.maximum(allowed, most(limits.past_peaks, np.where(peak > 0, peak, 0)) - base)
    ratio = np.where(judged, (highest.astype(np.float64) - base) / base, 0.0)
    found = judged & (np.maximum(highest, base) - base > allowed)
    suspect = np.zeros(values.shape, dtype=np.bool_)
    suspect[found] = np.maximum(values[found], base[found, None]) - base[found, None] > allowed[found, None]
    return Finding.of_intervals(suspect, judged=judged, figure=ratio, limit=limits.tolerance)


RULE: Final = Rule(
    name="spike",
    number="V6",
    quality="3.5.256",
    words="the highest value stands {figure:.2f} times the third highest above it, allowed are {limit:.2f}",
    check=check,
    parameters=Limits,
    needs=frozenset({Fact.PAST_PEAK}),
)
