"""E6 Power gap: nothing flowed while the supply was off; what the register moved belongs to its end.

Formula: of a gap after a power failure and before the return of the supply, with `values = "delta"` x_i = 0 but for
the last, which is the advance of the day less its known values; with `values = "bulk"` (a channel of register
readings) the value before is repeated. The failure is told by the interval before the gap or the first in it, the
return by the last in it or the one after. Deltas are offered only where the gap is the only one of the day and the
rest is not below zero. Unit: that of the channel. Default: a gap is shorter than a day, from the first to the last
missing value, a day itself being too long. Source: Connexo's power gap fill; the day is from memory, hence a
parameter.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import numpy as np
from pydantic import Field

from mdus.domain.channel import MISSING
from mdus.vee.days import Fact, Flag, total
from mdus.vee.method import Estimate, Gaps, Method, runs
from mdus.vee.rule import Parameters


class Limits(Parameters):
    """What the values are, and how long a gap is too long."""

    values: Literal["delta", "bulk"] = "delta"
    max_minutes: Annotated[int, Field(ge=1)] = 1440


def estimate(gaps: Gaps, limits: Limits) -> Estimate:
    """Return values for gaps between a power failure and the return of the supply."""
    days = gaps.days
    flags = np.concatenate([days[Fact.LAST_FLAGS][:, None], days.flags, days[Fact.NEXT_FLAGS][:, None]], axis=1).astype(
        np.uint32
    )
    down, up = ((flags & np.uint32(int(flag))) != 0 for flag in (Flag.POWER_DOWN, Flag.POWER_UP))
    before = np.concatenate([days[Fact.LAST_VALUE][:, None], gaps.known], axis=1)
    rows, firsts, lengths = runs(gaps.known == MISSING)
    only = np.bincount(rows, minlength=days.count)[rows] == 1
    lasts = firsts + lengths - 1
    fits = (lengths - 1) * days.minutes < limits.max_minutes
    fits &= down[rows, firsts] | down[rows, firsts + 1]
    fits &= up[rows, lasts + 1] | up[rows, lasts + 2]
    fits &= gaps.wanted[rows, firsts] & gaps.wanted[rows, lasts]
    advance = days[Fact.ADVANCE]
    rest = np.where(advance == MISSING, 0, advance) - total(gaps.known)
    if limits.values == "delta":
        fits &= only & (advance[rows] != MISSING) & (rest[rows] >= 0)
    else:
        fits &= before[rows, firsts] != MISSING
    rows, firsts, lengths, lasts = rows[fits], firsts[fits], lengths[fits], lasts[fits]
    repeated = np.zeros(len(rows), dtype=np.int64) if limits.values == "delta" else before[rows, firsts]
    values = np.full_like(gaps.known, MISSING)
    for place in range(int(lengths.max(initial=0))):
        inside = lengths > place
        values[rows[inside], firsts[inside] + place] = repeated[inside]
    if limits.values == "delta":
        values[rows, lasts] = rest[rows]
    confidence = np.zeros(days.count)
    confidence[rows] = 0.8
    return Estimate(
        values=values,
        confidence=confidence,
        inputs=lambda place: (
            f"a power failure; {days.told(rest[place])} of the register's advance when the supply came back"
            if limits.values == "delta"
            else "a power failure; the reading before it"
        ),
    )


METHOD: Final = Method(
    name="power_gap",
    number="E6",
    aemo=None,
    estimate=estimate,
    parameters=Limits,
    needs=frozenset({Fact.ADVANCE, Fact.LAST_VALUE, Fact.LAST_FLAGS, Fact.NEXT_FLAGS}),
)
