"""V22 Reactive energy: active and reactive energy do not go together.

Formula: PF = active / sqrt(active^2 + reactive^2) < least_power_factor over the intervals that have both, or reactive
energy without any active in more than `at_most_idle` intervals, which are then suspect. For channels of active energy
with their reactive one as sibling. Not judged where nothing was drawn at all, but for the second part. Unit: ratio,
intervals. Default: 0.3, 96. Source: the kVARh check of California (figures from memory, hence parameters); SAP's
dependent check 01 looks at the same.
"""

from __future__ import annotations

from typing import Annotated, Final

import numpy as np
from pydantic import Field

from mdus.domain.channel import MISSING
from mdus.vee.days import Days, Fact, total
from mdus.vee.exact import product, written
from mdus.vee.rule import Finding, Parameters, Rule


class Limits(Parameters):
    """The least power factor of a day, and for how many intervals reactive energy may stand alone."""

    least_power_factor: Annotated[float, Field(ge=0, le=1)] = 0.3
    at_most_idle: Annotated[int, Field(ge=0)] = 96


def check(days: Days, limits: Limits) -> Finding:
    """Return the days with too low a power factor, and the intervals in which reactive energy stands alone."""
    sibling = days[Fact.SIBLING]
    both = days.present & (sibling != MISSING)
    judged = both.any(axis=1)
    idle = both & (days.values == 0) & (sibling > 0)
    suspect = idle & (idle.sum(axis=1) > limits.at_most_idle)[:, None]
    active = total(np.where(both, days.values, 0))
    reactive = total(np.where(both, np.abs(np.where(both, sibling, 0)), 0))
    least = written(limits.least_power_factor)
    top, bottom = least.numerator, least.denominator
    # active^2 / (active^2 + reactive^2) < (top / bottom)^2, without the root and without a sum that could run over
    ours = product(active, active, bottom * bottom - top * top)
    poor = judged & (active > 0) & np.asarray(ours < product(reactive, reactive, top * top), dtype=np.bool_)
    apparent = np.hypot(active.astype(np.float64), reactive.astype(np.float64))
    return Finding(
        suspect=suspect,
        flagged=suspect.any(axis=1) | poor,
        judged=judged,
        figure=np.where(apparent > 0, active / np.where(apparent > 0, apparent, 1.0), 1.0),
        limit=np.full(days.count, limits.least_power_factor),
    )


RULE: Final = Rule(
    name="reactive_energy",
    number="V22",
    quality="3.6.0",
    words="the power factor of the day is {figure:.2f}, the least allowed is {limit:.2f}",
    check=check,
    parameters=Limits,
    needs=frozenset({Fact.SIBLING}),
)
