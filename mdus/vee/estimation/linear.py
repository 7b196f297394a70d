"""E1 Linear interpolation: a short gap is bridged by a straight line between its neighbours.

Formula: of a gap of n intervals between the values a and b, x_i = a + i x step with step = (b - a) / (n + 1), rounded
HALF_UP to the decimals of the channel first. Unit: that of the channel. Default: gaps of at most 2 hours; a neighbour
with a power failure cannot be an end point; with one neighbour only its value is repeated where `flat` allows it.
Source: CPUC direct access standards (2 h); IESO has 1 h, other systems up to a day: a parameter.
"""

from __future__ import annotations

from typing import Annotated, Final

import numpy as np
from pydantic import Field

from mdus.domain.channel import MISSING
from mdus.vee.days import Fact, Flag
from mdus.vee.half_up import divided
from mdus.vee.method import Estimate, Gaps, Method, runs
from mdus.vee.rule import Parameters


class Limits(Parameters):
    """The longest gap, and whether one neighbour is enough."""

    max_minutes: Annotated[int, Field(ge=1)] = 120
    flat: bool = False


def estimate(gaps: Gaps, limits: Limits) -> Estimate:
    """Return values for the gaps that are short enough; also over midnight, to the days before and after."""
    days, width = gaps.days, gaps.known.shape[1]
    failed = np.uint32(int(Flag.POWER_DOWN))
    edges = np.where(days.has(Flag.POWER_DOWN), MISSING, gaps.known)
    before = np.where((days[Fact.LAST_FLAGS] & failed) != 0, MISSING, days[Fact.LAST_VALUE])
    after = np.where((days[Fact.NEXT_FLAGS] & failed) != 0, MISSING, days[Fact.NEXT_VALUE])
    padded = np.concatenate([before[:, None], edges, after[:, None]], axis=1)
    rows, firsts, lengths = runs(gaps.known == MISSING)
    wanted = gaps.wanted[rows, firsts] & (lengths * days.minutes <= limits.max_minutes)
    rows, firsts, lengths = rows[wanted], firsts[wanted], lengths[wanted]
    left, right = padded[rows, firsts], padded[rows, firsts + lengths + 1]
    if limits.flat:
        left, right = np.where(left == MISSING, right, left), np.where(right == MISSING, left, right)
    both = (left != MISSING) & (right != MISSING)
    rows, firsts, lengths, left, right = (each[both] for each in (rows, firsts, lengths, left, right))
    step = divided(right - left, lengths + 1)
    values = np.full_like(gaps.known, MISSING)
    for place in range(int(lengths.max(initial=0))):
        inside = lengths > place
        columns = firsts[inside] + place
        values[rows[inside], columns] = left[inside] + (place + 1) * step[inside]
    confidence = np.zeros(len(gaps.known))
    np.maximum.at(confidence, rows, 1.0 - lengths / (2.0 * width))

    def inputs(place: int) -> str:
        mine = np.flatnonzero(rows == place)
        ends = ", ".join(f"{days.told(left[each])} and {days.told(right[each])}" for each in mine)
        return f"the values before and after: {ends}"

    return Estimate(values=values, confidence=confidence, inputs=inputs)


METHOD: Final = Method(
    name="linear",
    number="E1",
    aemo=17,
    estimate=estimate,
    parameters=Limits,
    needs=frozenset({Fact.LAST_VALUE, Fact.NEXT_VALUE, Fact.LAST_FLAGS, Fact.NEXT_FLAGS}),
)
