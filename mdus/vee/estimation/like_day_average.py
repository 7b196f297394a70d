"""E2 Like-day average: the mean of the same intervals on the most recent days like this one.

Formula: x_i = mean of value i on the last `samples` days of the same kind (weekday, holidays apart) among the 35 days
before, rounded HALF_UP; only actual values count, and no day with an outage. Unit: that of the channel. Default: 3
samples, at least 1. Source: CPUC direct access standards (3 days); AEMO method 15 takes the same time of the previous
4 weeks, IESO 3 weeks: a parameter.
"""

from __future__ import annotations

from typing import Annotated, Final

import numpy as np
from pydantic import Field

from mdus.domain.channel import MISSING
from mdus.vee.days import Fact
from mdus.vee.half_up import divided
from mdus.vee.method import Estimate, Gaps, Method
from mdus.vee.rule import Parameters


class Limits(Parameters):
    """How many days are averaged, and how few are enough."""

    samples: Annotated[int, Field(ge=1, le=10)] = 3
    at_least: Annotated[int, Field(ge=1, le=10)] = 1


def estimate(gaps: Gaps, limits: Limits) -> Estimate:
    """Return the means over the like days there are."""
    history = gaps.days[Fact.HISTORY]  # (c, d, n)
    like = gaps.days[Fact.HISTORY_WEEKDAY] == gaps.days[Fact.WEEKDAY][:, None]
    usable = (history != MISSING) & like[:, :, None]
    rank = np.cumsum(usable, axis=1)
    taken = usable & (rank <= limits.samples)
    number = taken.sum(axis=1)
    mean = divided(np.where(taken, history, 0).sum(axis=1), number)
    values = np.where(number >= limits.at_least, mean, MISSING)
    filled = gaps.wanted & (values != MISSING)
    samples = np.where(filled, number, limits.samples).min(axis=1)
    return Estimate(
        values=values,
        confidence=np.where(filled.any(axis=1), 0.4 + 0.4 * samples / limits.samples, 0.0),
        inputs=lambda place: f"the mean of {samples[place]} days of the same kind before",
    )


METHOD: Final = Method(
    name="like_day_average",
    number="E2",
    aemo=15,
    estimate=estimate,
    parameters=Limits,
    needs=frozenset({Fact.HISTORY, Fact.HISTORY_WEEKDAY, Fact.WEEKDAY}),
)
