"""E10 Rounded daily usage of a register: the scalar estimate of the CPUC, with its roundings.

Formula: ADU = usage of the past / its days, rounded HALF_UP to `usage_decimals`; usage = ADU x days since the last
reading, in whole days HALF_UP; reading = last reading + usage / multiplier, cut to whole units. A register that runs
over begins at zero again. Unit: that of the register. Default: 2 decimals (vector T7 of docs/vee.md: 3.345 is 3.35).
Source: CPUC, permanent standards working group 3, message 102.
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
    """To how many decimals the average daily usage is rounded."""

    usage_decimals: Annotated[int, Field(ge=0, le=6)] = 2


def estimate(gaps: Gaps, limits: Limits) -> Estimate:
    """Return readings (c, 1)."""
    days = gaps.days
    past, ago, factor = days[Fact.PAST_TOTAL], parts(days[Fact.PAST_DAYS]), parts(days[Fact.FACTOR_KNOWN])
    whole_days = parts(days[Fact.SPAN_DAYS])
    whole_days = (whole_days + PARTS // 2) // PARTS
    able = (past != MISSING) & (ago > 0) & (factor > 0) & (whole_days > 0)
    unit, finer = 10**days.decimals, 10**limits.usage_decimals
    daily = proportion(np.where(able, past, 0), PARTS * finer, np.where(able, ago, 1).astype(object) * unit)
    usage = daily.astype(object) * whole_days.astype(object) * PARTS
    units = np.abs(usage) // (np.where(able, factor, 1).astype(object) * finer)
    moved = np.where(usage < 0, -units, units).astype(object) * unit
    reading = offered(gaps, np.where(able, moved, MISSING).astype(np.int64))
    return Estimate(
        values=reading,
        confidence=np.where((reading != MISSING).any(axis=1), 0.4, 0.0),
        inputs=lambda place: (
            f"the reading {days.told(days[Fact.REGISTER_BEFORE][place])} and {whole_days[place]} days of "
            f"{daily[place] / finer:.{limits.usage_decimals}f} a day"
        ),
    )


METHOD: Final = Method(
    name="register_rounded_usage",
    number="E10",
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
