"""E7 Average of samples around: a gap gets the mean of the nearest values at both sides.

Formula: x_i = mean of the at most `samples` actual values nearest to the gap, of two as near both (while there is
room, the earlier first), rounded HALF_UP. Unit: that of the channel. Default: 10 samples, 1 is enough; gaps of at most
a day. Values of the same day count, and the one at each side of it. Source: Connexo's average with samples (1 to 10);
the longest gap is from memory, hence a parameter.
"""

from __future__ import annotations

from typing import Annotated, Final

import numpy as np
from pydantic import Field

from mdus.domain.channel import MISSING
from mdus.vee.days import Fact
from mdus.vee.half_up import divided
from mdus.vee.method import Estimate, Gaps, Method, runs
from mdus.vee.rule import Parameters


class Limits(Parameters):
    """How many values are averaged, how few are enough, and the longest gap."""

    samples: Annotated[int, Field(ge=1, le=10)] = 10
    at_least: Annotated[int, Field(ge=1, le=10)] = 1
    max_minutes: Annotated[int, Field(ge=1)] = 1440


def estimate(gaps: Gaps, limits: Limits) -> Estimate:
    """Return one value for each gap: the mean of what is around it."""
    days, width = gaps.days, gaps.known.shape[1]
    actual = np.where(gaps.actual, gaps.known, MISSING)
    around = np.concatenate([days[Fact.LAST_VALUE][:, None], actual, days[Fact.NEXT_VALUE][:, None]], axis=1)
    rows, firsts, lengths = runs(gaps.wanted)
    short = lengths * days.minutes <= limits.max_minutes
    rows, firsts, lengths = rows[short], firsts[short], lengths[short]
    number, sums = (np.zeros(len(rows), dtype=np.int64) for _ in range(2))
    for distance in range(width + 1):
        for columns in (firsts - distance, firsts + lengths + 1 + distance):
            there = (columns >= 0) & (columns <= width + 1) & (number < limits.samples)
            sample = around[rows, np.clip(columns, 0, width + 1)]
            there &= sample != MISSING
            sums += np.where(there, sample, 0)
            number += there
        if (number >= limits.samples).all():
            break
    mean = np.where(number >= limits.at_least, divided(sums, number), MISSING)
    values = np.full_like(gaps.known, MISSING)
    for place in range(int(lengths.max(initial=0))):
        inside = lengths > place
        values[rows[inside], firsts[inside] + place] = mean[inside]
    fewest = np.full(days.count, limits.samples)
    np.minimum.at(fewest, rows, number)
    filled = (values != MISSING).any(axis=1)
    return Estimate(
        values=values,
        confidence=np.where(filled, 0.2 + 0.3 * fewest / limits.samples, 0.0),
        inputs=lambda place: f"the mean of {fewest[place]} values around the gap",
    )


METHOD: Final = Method(
    name="average_around",
    number="E7",
    aemo=None,
    estimate=estimate,
    parameters=Limits,
    needs=frozenset({Fact.LAST_VALUE, Fact.NEXT_VALUE}),
)
