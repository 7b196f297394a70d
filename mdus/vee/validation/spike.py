"""V6 Spike: one or two values of a day stand far above all others.

Formula: (max - third highest) / third highest > tolerance; suspect are the values that do so by themselves, at most
two. Not judged where the third highest is not above zero. That the sum check is passed exempts from nothing. Unit:
ratio. Default tolerance: 1.8 (180 %), or what a set states. Source: CPUC direct access standards (the exemption is
refused there explicitly); the figure is from memory, hence a parameter.
"""

from __future__ import annotations

from typing import Annotated, Final

import numpy as np
from pydantic import Field

from mdus.domain.channel import MISSING
from mdus.vee.days import Days
from mdus.vee.rule import Finding, Parameters, Rule


class Limits(Parameters):
    """How far the highest value may stand above the third highest, as a ratio of the latter."""

    tolerance: Annotated[float, Field(gt=0)] = 1.8


def check(days: Days, limits: Limits) -> Finding:
    """Return the values that stand too far above the third highest of their day."""
    values = days.values
    if values.shape[1] < 3:
        return Finding.of_intervals(np.zeros(values.shape, dtype=np.bool_), judged=np.zeros(len(values), np.bool_))
    third = np.partition(values, -3, axis=1)[:, -3]  # MISSING is the least of all
    judged = (third != MISSING) & (third > 0)
    base = np.where(judged, third, 1)
    highest = values.max(axis=1)
    ratio = np.where(judged, (highest.astype(np.float64) - base) / base, 0.0)
    # In whole numbers where it is decided, so that exactly the tolerance passes.
    above = np.where(days.present, values - base[:, None], 0)
    suspect = judged[:, None] & (above > limits.tolerance * base[:, None].astype(np.float64))
    return Finding.of_intervals(suspect, judged=judged, figure=ratio, limit=limits.tolerance)


RULE: Final = Rule(
    name="spike",
    number="V6",
    quality="3.5.256",
    words="the highest value stands {figure:.2f} times the third highest above it, allowed are {limit:.2f}",
    check=check,
    parameters=Limits,
)
