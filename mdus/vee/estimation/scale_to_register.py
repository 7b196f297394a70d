"""E4 Scale to register: estimates are scaled so that the day adds up to what the register moved, exactly.

Formula: f = (advance - sum of the values that are not estimated) / sum of the estimates; x_i = f x x_i, where what
rounding leaves over goes to the estimates cut most, so that the sum is the advance to the last digit. Estimates that
add up to nothing get equal parts. Not done where any interval is still open, the advance is unknown, or the rest is
below zero and `allow_negative` is not set; without it an estimate below zero counts as nothing. Unit: that of the
channel. Source: the scaling of the common estimation systems; the exact sum is our own requirement.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from mdus.domain.channel import MISSING
from mdus.vee.days import Fact, total
from mdus.vee.half_up import shared_out
from mdus.vee.method import Estimate, Gaps, Method
from mdus.vee.rule import Parameters


class Limits(Parameters):
    """Whether estimates may become negative."""

    allow_negative: bool = False


def estimate(gaps: Gaps, limits: Limits) -> Estimate:
    """Return the estimates scaled to the register, of days without an open interval and with a known advance."""
    advance = gaps.days[Fact.ADVANCE]
    rest = np.where(advance == MISSING, 0, advance) - total(np.where(gaps.wanted, MISSING, gaps.known))
    able = gaps.wanted.any(axis=1) & (gaps.known != MISSING).all(axis=1) & (advance != MISSING)
    able &= (rest >= 0) | limits.allow_negative
    weights = np.where(gaps.wanted, gaps.known if limits.allow_negative else np.maximum(gaps.known, 0), 0)
    nothing = weights.sum(axis=1) == 0
    weights[nothing] = gaps.wanted[nothing]
    values = np.full_like(gaps.known, MISSING)
    scaled = shared_out(rest[able], weights[able])
    values[able] = np.where(gaps.wanted[able], scaled, MISSING)
    moved = advance * 10.0**-gaps.days.decimals
    return Estimate(
        values=values,
        confidence=np.where(able, 0.95, 0.0),
        inputs=lambda place: f"scaled so that the day adds up to the register's {moved[place]:g}",
    )


METHOD: Final = Method(
    name="scale_to_register",
    number="E4",
    aemo=24,
    estimate=estimate,
    parameters=Limits,
    needs=frozenset({Fact.ADVANCE}),
    adjusts=True,
)
