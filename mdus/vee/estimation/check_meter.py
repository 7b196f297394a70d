"""E15 Check meter: what the check meter measured stands in for the main meter.

Formula: x_i = value i of the check meter x `ratio`, rounded HALF_UP. Unit: that of the channel. Default: ratio 1.
Source: AEMO method 11, IESO's alternate meter; the ratio accounts for losses between the two.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Final

import numpy as np
from pydantic import Field

from mdus.domain.channel import MISSING
from mdus.vee.days import Fact
from mdus.vee.half_up import proportion
from mdus.vee.method import Estimate, Gaps, Method
from mdus.vee.rule import Parameters


class Limits(Parameters):
    """What a value of the check meter is multiplied by."""

    ratio: Annotated[Decimal, Field(gt=0, le=1000, allow_inf_nan=False)] = Decimal(1)


def estimate(gaps: Gaps, limits: Limits) -> Estimate:
    """Return the check meter's values for all it has."""
    check = gaps.days[Fact.CHECK]
    there = gaps.wanted & (check != MISSING)
    by, over = limits.ratio.as_integer_ratio()
    number = there.sum(axis=1)
    return Estimate(
        values=np.where(there, proportion(np.where(there, check, 0), by, over), MISSING),
        confidence=np.where(number > 0, 0.95, 0.0),
        inputs=lambda place: f"{number[place]} values of the check meter x {limits.ratio}",
    )


METHOD: Final = Method(
    name="check_meter",
    number="E15",
    aemo=11,
    estimate=estimate,
    parameters=Limits,
    needs=frozenset({Fact.CHECK}),
)
