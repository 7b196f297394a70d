"""Readings of a register as days of one column: what the methods share that estimate what a register shows.

Of such a day the methods return what the register shows at its end, from what it showed before (REGISTER_BEFORE) and
how many days ago that was (SPAN_DAYS). Facts of usage (PAST_TOTAL and its like) have the multiplier applied; a
register shows usage / FACTOR_KNOWN. These methods are `of_register`: a rule set for intervals does not take them,
since a reading would stand in for the value of an interval.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from mdus.domain.channel import MISSING
from mdus.vee.days import Elements, Fact, Figures
from mdus.vee.method import Gaps

#: Multipliers and days count in millionths: exact for whole days, seconds and every multiplier there is.
PARTS: Final = 10**6


def parts(figures: Figures) -> Elements:
    """Return figures in millionths, 0 for those unknown or not above zero."""
    known = np.where(np.isfinite(figures) & (figures > 0), figures, 0.0)
    result: Elements = np.rint(known * PARTS).astype(np.int64)
    return result


def offered(gaps: Gaps, advance: Elements) -> Elements:
    """Return what registers show after an advance (c,), MISSING if unknown; one that ran over began at zero again.

    Days of several intervals are no readings: nothing is offered for them.
    """
    days = gaps.days
    before, turn = days[Fact.REGISTER_BEFORE], days[Fact.REGISTER_TURN]
    known = (before != MISSING) & (advance != MISSING)
    shown = np.where(known, before, 0) + np.where(known, advance, 0)
    turns = known & (turn != MISSING) & (turn > 0)
    shown = np.where(turns, shown % np.where(turns, turn, 1), shown)
    if gaps.known.shape[1] != 1:
        return np.full_like(gaps.known, MISSING)
    result: Elements = np.where(known, shown, MISSING)[:, None]
    return result
