"""E8b Zero fill: open intervals get nothing, where nothing can have flowed.

Formula: x_i = 0. With `only_outages` only for intervals in which the meter told of a power failure or was
disconnected. Unit: that of the channel. Default: only there. Source: AEMO method 19, Connexo's value fill with 0; the
default is our own, since 0 for whatever is missing makes usage disappear.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from mdus.domain.channel import MISSING
from mdus.vee.days import Fact, Flag
from mdus.vee.method import Estimate, Gaps, Method
from mdus.vee.rule import Parameters


class Limits(Parameters):
    """Whether only intervals without supply are filled."""

    only_outages: bool = True


def estimate(gaps: Gaps, limits: Limits) -> Estimate:
    """Return zeros."""
    without = gaps.days[Fact.OUTAGE] | gaps.days.has(Flag.DISCONNECTED) | gaps.days.has(Flag.POWER_DOWN)
    filled = gaps.wanted & (without | (not limits.only_outages))
    number, known = filled.sum(axis=1), (filled & without).sum(axis=1)
    return Estimate(
        values=np.where(filled, 0, MISSING),
        confidence=np.where(number > 0, 0.1 + 0.8 * known / np.maximum(number, 1), 0.0),
        inputs=lambda place: f"nothing, for {number[place]} intervals, {known[place]} of them without supply",
    )


METHOD: Final = Method(
    name="zero_fill",
    number="E8b",
    aemo=19,
    estimate=estimate,
    parameters=Limits,
    needs=frozenset({Fact.OUTAGE}),
)
