"""E12 Register from intervals: the last reading and the interval values since.

Formula: reading = last reading + sum of the final interval values since / multiplier, rounded HALF_UP. A register that
runs over begins at zero again. Not done where any interval since has no value. Unit: that of the register. Source:
Itron and Oracle.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from mdus.domain.channel import MISSING
from mdus.vee.days import Fact
from mdus.vee.half_up import proportion
from mdus.vee.method import Estimate, Gaps, Method
from mdus.vee.register_reading import PARTS, offered, parts
from mdus.vee.rule import Parameters


def estimate(gaps: Gaps, _: Parameters) -> Estimate:
    """Return readings (c, 1)."""
    days = gaps.days
    intervals, factor = days[Fact.INTERVAL_TOTAL], parts(days[Fact.FACTOR_KNOWN])
    able = (intervals != MISSING) & (factor > 0)
    moved = proportion(np.where(able, intervals, 0), PARTS, np.where(able, factor, 1))
    reading = offered(gaps, np.where(able, moved, MISSING))
    return Estimate(
        values=reading,
        confidence=np.where((reading != MISSING).any(axis=1), 0.9, 0.0),
        inputs=lambda place: (
            f"the reading {days.told(days[Fact.REGISTER_BEFORE][place])} and intervals of {days.told(intervals[place])}"
        ),
    )


METHOD: Final = Method(
    name="register_from_intervals",
    number="E12",
    aemo=None,
    of_register=True,
    estimate=estimate,
    needs=frozenset({Fact.REGISTER_BEFORE, Fact.REGISTER_TURN, Fact.FACTOR_KNOWN, Fact.INTERVAL_TOTAL}),
)
