"""V15 Register decrease: the register shows less than before, and has not run over.

Formula: cur < prev is suspect; cur = prev is allowed unless a set says otherwise. Where it is known what the register
shows at most, cur + turn - prev below half the turn is a register that ran over, and in order. Not judged where the
channel may flow back. Unit: that of the channel. Default: equal readings are allowed. Source: Connexo's register
increase check, read in its source; the form with the overflow is from memory.

A register reading is judged as a day of one value.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from mdus.domain.channel import MISSING
from mdus.vee.days import Days, Fact
from mdus.vee.rule import Finding, Parameters, Rule


class Limits(Parameters):
    """Whether a register may stand still."""

    may_stand_still: bool = True


def check(days: Days, limits: Limits) -> Finding:
    """Return the days over which the register went back."""
    before, after, turn = days[Fact.REGISTER_BEFORE], days[Fact.REGISTER_AFTER], days[Fact.REGISTER_TURN]
    judged = (before != MISSING) & (after != MISSING) & ~days[Fact.FLOWS_BACK]
    moved = np.where(judged, after - before, 0)
    ran_over = (turn != MISSING) & (moved < 0) & (moved + turn >= 0) & (moved + turn < turn - (moved + turn))
    wrong = (moved < 0) & ~ran_over
    if not limits.may_stand_still:
        wrong |= moved == 0
    return Finding.of_days(judged & wrong, days=days, judged=judged, figure=moved * 10.0**-days.decimals, limit=0.0)


RULE: Final = Rule(
    name="register_decrease",
    number="V15",
    quality="3.5.256",
    words="the register moved by {figure:g}",
    check=check,
    parameters=Limits,
    needs=frozenset({Fact.REGISTER_BEFORE, Fact.REGISTER_AFTER, Fact.REGISTER_TURN, Fact.FLOWS_BACK}),
)
