"""E1b Outage beside a gap: what is missing next to a power failure.

Formula: of a gap between two intervals with an outage every x_i = 0; with an outage on one side only, x_i is the value
of the nearest good interval, the one at the other side. Gaps without an outage beside them, or with one on one side
and no value at the other, are left to other methods. Unit: that of the channel. Default: gaps of at most 2 hours.
Source: CPUC, permanent standards working group 3, message 130. An interval has an outage where its value says so or
the meter told of one; over midnight only what the value beside it says is known.
"""

from __future__ import annotations

from typing import Annotated, Final

import numpy as np
from pydantic import Field

from mdus.domain.channel import MISSING
from mdus.vee.days import Fact, Flag
from mdus.vee.method import Estimate, Gaps, Method, runs
from mdus.vee.rule import Parameters


class Limits(Parameters):
    """The longest gap."""

    max_minutes: Annotated[int, Field(ge=1)] = 120


def estimate(gaps: Gaps, limits: Limits) -> Estimate:
    """Return zeros between outages, the value at the other side beside one."""
    days = gaps.days
    failed = np.uint32(int(Flag.POWER_DOWN))
    last, following = ((days[fact] & failed) != 0 for fact in (Fact.LAST_FLAGS, Fact.NEXT_FLAGS))
    out = np.concatenate([last[:, None], days.has(Flag.POWER_DOWN) | days[Fact.OUTAGE], following[:, None]], axis=1)
    beside = np.concatenate([days[Fact.LAST_VALUE][:, None], gaps.known, days[Fact.NEXT_VALUE][:, None]], axis=1)
    rows, firsts, lengths = runs(gaps.wanted)
    short = lengths * days.minutes <= limits.max_minutes
    rows, firsts, lengths = rows[short], firsts[short], lengths[short]
    after = firsts + lengths + 1
    left_out, right_out = out[rows, firsts], out[rows, after]
    good = np.where(left_out, beside[rows, after], beside[rows, firsts])
    offered = np.where(left_out & right_out, 0, np.where(left_out | right_out, good, MISSING))
    values = np.full_like(gaps.known, MISSING)
    for place in range(int(lengths.max(initial=0))):
        inside = lengths > place
        values[rows[inside], firsts[inside] + place] = offered[inside]
    filled = (values != MISSING) & gaps.wanted
    zeros, all_filled = (filled & (values == 0)).sum(axis=1), filled.sum(axis=1)
    return Estimate(
        values=values,
        confidence=np.where(all_filled > 0, 0.7, 0.0),
        inputs=lambda place: (
            f"outages beside gaps: {zeros[place]} intervals with nothing, "
            f"{all_filled[place] - zeros[place]} with the value at the other side"
        ),
    )


METHOD: Final = Method(
    name="outage_gap",
    number="E1b",
    aemo=None,
    estimate=estimate,
    parameters=Limits,
    needs=frozenset({Fact.OUTAGE, Fact.LAST_VALUE, Fact.NEXT_VALUE, Fact.LAST_FLAGS, Fact.NEXT_FLAGS}),
)
