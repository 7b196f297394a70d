"""V4 Sum check: the interval values of a day add up to what the register moved.

Formula: abs(sum of values - (R_end - R_start)) <= tolerance, the larger of `steps` x the least the register can move
and `percent` of the advance. Only days with all values and a reading at both ends are judged. Unit: that of the
channel. Default: 2 steps (of the register, its multiplier included), 0 %. Source: the sum checks of the common meter
data management systems; 1 to 2 x the meter's multiplier is Californian practice (from memory: hence a parameter).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from mdus.domain.channel import MISSING
from mdus.vee.days import Days, Fact
from mdus.vee.exact import exceeds
from mdus.vee.rule import Amount, Finding, Parameters, Rule


class Limits(Parameters):
    """How far sum and advance may be apart."""

    steps: Amount = 2.0
    percent: Amount = 0.0


def check(days: Days, limits: Limits) -> Finding:
    """Return the complete days whose sum is not their register's advance."""
    advance, step = days[Fact.ADVANCE], days[Fact.REGISTER_STEP]
    judged = days.present.all(axis=1) & (advance != MISSING)
    moved = np.abs(np.where(judged, advance, 0))
    apart = np.abs(np.where(judged, days.totals() - advance, 0))
    step = np.where(step == MISSING, 1, step)
    flagged = judged & exceeds([apart], limits.steps, [step]) & exceeds([apart, 100], limits.percent, [moved])
    unit = 10.0**-days.decimals
    allowed = np.maximum(limits.steps * step, limits.percent / 100 * moved)
    return Finding.of_days(flagged, days=days, judged=judged, figure=apart * unit, limit=allowed * unit)


RULE: Final = Rule(
    name="sum_check",
    number="V4",
    quality="3.6.0",
    words="the values and the register's advance are {figure:g} apart, allowed are {limit:g}",
    check=check,
    parameters=Limits,
    needs=frozenset({Fact.ADVANCE, Fact.REGISTER_STEP}),
)
