"""E5 Equal distribution: what the register moved and no interval has, in equal parts.

Formula: x_i = (advance - sum of the known values between the two readings) / (number of open intervals between them),
rounded HALF_UP (vector T2 of docs/vee.md); an interval in which a reading was taken counts for the part of it that
lies between the readings. The readings are those at both ends of the day, or two within it where the register is known
there (both ends are preferred). Not done where an open interval lies outside the readings in whole, or the rest is
below zero and `allow_negative` is not set. With `exact`, what rounding leaves over goes to the earlier intervals, so
that the day adds up; that needs readings at both ends of the day. Unit: that of the channel. Source: Connexo's equal
distribution; `exact` is our own.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from mdus.domain.channel import MISSING
from mdus.vee.days import Fact
from mdus.vee.half_up import proportion, shared_out
from mdus.vee.method import Estimate, Gaps, Method
from mdus.vee.rule import Parameters


class Limits(Parameters):
    """Whether estimates may become negative, and whether they add up to the last digit."""

    allow_negative: bool = False
    exact: bool = False


def estimate(gaps: Gaps, limits: Limits) -> Estimate:
    """Return equal parts of what is left of the register's advance."""
    days, width = gaps.days, gaps.known.shape[1]
    length = days.minutes * 60
    whole = days[Fact.ADVANCE] != MISSING
    inside = (days[Fact.SPAN_ADVANCE] != MISSING) & (days[Fact.SPAN_FROM] >= 0) & (days[Fact.SPAN_TO] <= width * length)
    advance = np.where(whole, days[Fact.ADVANCE], np.where(inside, days[Fact.SPAN_ADVANCE], 0))
    first = np.where(whole | ~inside, 0, days[Fact.SPAN_FROM])
    last = np.where(whole | ~inside, width * length, days[Fact.SPAN_TO])
    starts = np.arange(width)[None, :] * length
    covered = np.minimum(starts + length, last[:, None]) - np.maximum(starts, first[:, None])
    seconds = np.rint(np.maximum(covered, 0)).astype(np.int64)
    missing = (gaps.known == MISSING) & (seconds > 0)
    able = (whole | inside) & gaps.wanted.any(axis=1) & (gaps.wanted | ~missing).all(axis=1)
    able &= ((seconds > 0) | ~gaps.wanted).all(axis=1)
    # Exact in whole numbers of any size: known values x seconds may be beyond 64 bits.
    known = (np.where(gaps.known == MISSING, 0, gaps.known).astype(object) * seconds.astype(object)).sum(axis=1)
    rest = advance.astype(object) * length - known
    able &= (rest >= 0).astype(np.bool_) | limits.allow_negative
    open_seconds = np.where(gaps.wanted, seconds, 0).sum(axis=1)
    share = proportion(rest, 1, open_seconds)
    values = np.where(able[:, None] & gaps.wanted, share[:, None], MISSING)
    if limits.exact:
        even = able & whole
        parts = shared_out((rest[even] // length).astype(np.int64), gaps.wanted[even].astype(np.int64))
        values[even] = np.where(gaps.wanted[even], parts, MISSING)
    number = gaps.wanted.sum(axis=1)
    return Estimate(
        values=values,
        confidence=np.where(able, 0.5, 0.0),
        inputs=lambda place: (
            f"what is left of the register's {days.told(advance[place])}, in {number[place]} equal parts"
        ),
    )


METHOD: Final = Method(
    name="equal_distribution",
    number="E5",
    aemo=None,
    estimate=estimate,
    parameters=Limits,
    needs=frozenset({Fact.ADVANCE, Fact.SPAN_ADVANCE, Fact.SPAN_FROM, Fact.SPAN_TO}),
)
