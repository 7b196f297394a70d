"""V29 Threshold: a value outside fixed limits.

Formula: at_least <= value <= at_most, both inclusive. Unit: that of the channel. Default: no limit, since there is none
that suits all; the demand limit (V8) is one per hour, whatever the length of the intervals. Source: the threshold check
of Connexo, read in its source.

A register reading is judged as a day of one value: what was used since the one before.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from mdus.domain.channel import MISSING
from mdus.vee.days import Days
from mdus.vee.exact import ceiling, floor
from mdus.vee.rule import AnyAmount, Finding, Parameters, Rule


class Limits(Parameters):
    """Between which a value may be; None is no limit."""

    at_least: AnyAmount | None = None
    at_most: AnyAmount | None = None


def check(days: Days, limits: Limits) -> Finding:
    """Return the values outside the limits."""
    suspect = np.zeros(days.values.shape, dtype=np.bool_)
    if limits.at_most is not None:
        suspect |= days.values > floor(limits.at_most, days)
    if limits.at_least is not None:
        suspect |= (days.values < ceiling(limits.at_least, days)) & (days.values != MISSING)
    return Finding.of_intervals(suspect)


RULE: Final = Rule(
    name="threshold",
    number="V29",
    quality="3.5.256",
    words="{figure:.0f} values are outside the limits",
    check=check,
    parameters=Limits,
    partial=True,
)
