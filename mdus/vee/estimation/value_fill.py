"""E8 Value fill: every open interval gets one value that the rule set states.

Formula: x_i = `value`, rounded HALF_UP to the decimals of the channel. Unit: that of the channel. There is no default:
a rule set that uses it says which value (0 is `zero_fill`). Source: Connexo's value fill.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated, Final

import numpy as np
from pydantic import Field

from mdus.domain.channel import MISSING
from mdus.vee.method import Estimate, Gaps, Method
from mdus.vee.rule import Parameters


class Limits(Parameters):
    """The value, in the unit of the channel."""

    value: Annotated[Decimal, Field(ge=-(10**9), le=10**9, allow_inf_nan=False)]


def estimate(gaps: Gaps, limits: Limits) -> Estimate:
    """Return the value for all that is wanted."""
    element = int(limits.value.scaleb(gaps.days.decimals).quantize(Decimal(1), rounding=ROUND_HALF_UP))
    return Estimate(
        values=np.where(gaps.wanted, element, MISSING),
        confidence=np.where(gaps.wanted.any(axis=1), 0.1, 0.0),
        inputs=lambda _: f"the value {limits.value} of the rule set",
    )


METHOD: Final = Method(name="value_fill", number="E8", aemo=None, estimate=estimate, parameters=Limits)
