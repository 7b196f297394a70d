"""E9 Average daily consumption of a register: the last reading and what is used on as many average days.

Formula: ADC = usage of the past / its days; reading = last reading + days since x ADC / multiplier, rounded HALF_UP
once, at the end. A register that runs over begins at zero again. Unit: that of the register. Default: at least 1 day
of past usage. Source: Itron's scalar estimation, (latest - earliest) / days from the closest reading before; the least
past is from memory, hence a parameter.
"""

from __future__ import annotations

from typing import Annotated, Final

import numpy as np
from pydantic import Field

from mdus.domain.channel import MISSING
from mdus.vee.days import Fact
from mdus.vee.half_up import proportion
from mdus.vee.method import Estimate, Gaps, Method
from mdus.vee.register_reading import PARTS, offered, parts
from mdus.vee.rule import Parameters


class Limits(Parameters):
    """How many days of past usage are enough."""

    least_days: Annotated[float, Field(gt=0)] = 1.0


def estimate(gaps: Gaps, limits: Limits) -> Estimate:
    """Return readings (c, 1)."""
    days = gaps.days
    past, span, ago = days[Fact.PAST_TOTAL], parts(days[Fact.SPAN_DAYS]), parts(days[Fact.PAST_DAYS])
    factor = parts(days[Fact.FACTOR_KNOWN])
    able = (past != MISSING) & (span > 0) & (ago > 0) & (days[Fact.PAST_DAYS] >= limits.least_days) & (factor > 0)
    over = np.where(able, ago, 1).astype(object) * np.where(able, factor, 1).astype(object)
    moved = proportion(np.where(able, past, 0), span.astype(object) * PARTS, over)
    reading = offered(gaps, np.where(able, moved, MISSING))
    return Estimate(
        values=reading,
        confidence=np.where((reading != MISSING).any(axis=1), 0.5, 0.0),
        inputs=lambda place: (
            f"the reading {days.told(days[Fact.REGISTER_BEFORE][place])} and {days[Fact.SPAN_DAYS][place]:g} days of "
            f"the {days.told(past[place])} used in {days[Fact.PAST_DAYS][place]:g} days"
        ),
    )


METHOD: Final = Method(
    name="register_daily_average",
    number="E9",
    aemo=None,
    of_register=True,
    estimate=estimate,
    parameters=Limits,
    needs=frozenset(
        {
            Fact.REGISTER_BEFORE,
            Fact.REGISTER_TURN,
            Fact.PAST_TOTAL,
            Fact.PAST_DAYS,
            Fact.SPAN_DAYS,
            Fact.FACTOR_KNOWN,
        }
    ),
)
