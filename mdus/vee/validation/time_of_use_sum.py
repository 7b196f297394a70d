"""V24 Time-of-use sum: the registers of the tariffs together do not move as the register of the total does.

Formula: abs(sum of the time-of-use registers' advances - advance of the total) <= tolerance, the larger of `steps` x
the least the register can move and `percent` of the advance. Unit: that of the channel. Default: 2 steps, 0 %. Source:
the time-of-use checks of California and Oracle, IEC 61968-9 quality 6.9; the figures are from memory, hence parameters.

A register reading is judged as a day of one value.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from mdus.domain.channel import MISSING
from mdus.vee.days import Days, Fact
from mdus.vee.exact import exceeds
from mdus.vee.rule import Amount, Finding, Parameters, Rule


class Limits(Parameters):
    """How far the sum of the tariffs and the total may be apart."""

    steps: Amount = 2.0
    percent: Amount = 0.0


def check(days: Days, limits: Limits) -> Finding:
    """Return the days over which the tariffs' registers moved otherwise than the total's."""
    tariffs, advance, step = days[Fact.TIME_OF_USE_ADVANCE], days[Fact.ADVANCE], days[Fact.REGISTER_STEP]
    judged = (tariffs != MISSING) & (advance != MISSING)
    moved = np.abs(np.where(judged, advance, 0))
    apart = np.abs(np.where(judged, tariffs - advance, 0))
    step = np.where(step == MISSING, 1, step)
    flagged = judged & exceeds([apart], limits.steps, [step]) & exceeds([apart, 100], limits.percent, [moved])
    unit = 10.0**-days.decimals
    allowed = np.maximum(limits.steps * step, limits.percent / 100 * moved)
    return Finding.of_days(flagged, days=days, judged=judged, figure=apart * unit, limit=allowed * unit)


RULE: Final = Rule(
    name="time_of_use_sum",
    number="V24",
    quality="3.6.9",
    words="the tariffs' registers and the total are {figure:g} apart, allowed are {limit:g}",
    check=check,
    parameters=Limits,
    needs=frozenset({Fact.TIME_OF_USE_ADVANCE, Fact.ADVANCE, Fact.REGISTER_STEP}),
)
