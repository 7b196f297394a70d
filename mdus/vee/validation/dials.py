"""V23 Dials: a reading that the register cannot show.

Formula: 0 <= reading < 10^digits x multiplier, and a whole number of the register's least steps, for the readings at
the day's first and last instant. Not judged where neither reading or nothing of the register is known. Unit: that of
the channel. Default: none. Source: the number of dials and decimals checks of California.

A register reading is judged as a day of one value.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from mdus.domain.channel import MISSING
from mdus.vee.days import Days, Fact
from mdus.vee.rule import Finding, Parameters, Rule


class Limits(Parameters):
    """Whether the decimals of a reading count as well."""

    decimals: bool = True


def check(days: Days, limits: Limits) -> Finding:
    """Return the days with a reading that the register cannot show."""
    turn, step = days[Fact.REGISTER_TURN], days[Fact.REGISTER_STEP]
    flagged, judged = (np.zeros(days.count, dtype=np.bool_) for _ in range(2))
    shown = np.zeros(days.count, dtype=np.int64)
    for fact in (Fact.REGISTER_BEFORE, Fact.REGISTER_AFTER):
        reading = days[fact]
        known = reading != MISSING
        wrong = known & (turn != MISSING) & ((reading >= turn) | (reading < 0))
        if limits.decimals:
            wrong |= known & (step != MISSING) & (reading % np.where(step > 0, step, 1) != 0)
        judged |= known & ((turn != MISSING) | (limits.decimals & (step != MISSING)))
        shown = np.where(known & (wrong | ~flagged), reading, shown)
        flagged |= wrong
    unit = 10.0**-days.decimals
    return Finding.of_days(
        flagged,
        days=days,
        judged=judged,
        figure=shown * unit,
        limit=np.where(turn == MISSING, np.nan, turn * unit),
    )


RULE: Final = Rule(
    name="dials",
    number="V23",
    quality="3.5.256",
    words="the register cannot show {figure:g}; it turns at {limit:g}",
    check=check,
    parameters=Limits,
    needs=frozenset({Fact.REGISTER_BEFORE, Fact.REGISTER_AFTER, Fact.REGISTER_TURN, Fact.REGISTER_STEP}),
)
