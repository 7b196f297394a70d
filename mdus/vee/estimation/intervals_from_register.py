"""E12b Intervals from a register: what the register moved and no interval has, in the shape of a profile.

Formula: x_i = (advance - sum of the known values) x p_i / sum of p over the open intervals, in whole numbers that add
up exactly; p is the mean of similar meters, else the mean of the days before. Not done where the profile lacks an open
interval or is not above zero there, or the rest is below zero. Unit: that of the channel. Source: Itron and Oracle,
interval values from a scalar; which profiles are taken is our own.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import numpy as np
from pydantic import Field

from mdus.domain.channel import MISSING
from mdus.vee.days import Fact, total
from mdus.vee.half_up import divided, shared_out
from mdus.vee.method import Estimate, Gaps, Method
from mdus.vee.rule import Parameters


class Limits(Parameters):
    """Which profiles are tried, in order."""

    profiles: Annotated[tuple[Literal["similar", "history"], ...], Field(min_length=1)] = ("similar", "history")


def estimate(gaps: Gaps, limits: Limits) -> Estimate:
    """Return what is left of the advance in the shape of the first profile that has all that is wanted."""
    days, wanted = gaps.days, gaps.wanted
    history = days[Fact.HISTORY]
    there = history != MISSING
    number = there.sum(axis=1)
    mean = np.where(number > 0, divided(np.where(there, history, 0).sum(axis=1), number), MISSING)
    shapes = {"similar": days[Fact.SIMILAR], "history": mean}
    advance = days[Fact.ADVANCE]
    rest = np.where(advance == MISSING, 0, advance) - total(gaps.known)
    ready = (advance != MISSING) & (rest >= 0) & wanted.any(axis=1) & (wanted | (gaps.known != MISSING)).all(axis=1)
    values = np.full_like(gaps.known, MISSING)
    source = np.full(days.count, -1)
    for place, name in enumerate(limits.profiles):
        shape = shapes[name]
        weights = np.where(wanted & (shape != MISSING), np.maximum(shape, 0), 0)
        able = ready & (source < 0) & ((shape != MISSING) | ~wanted).all(axis=1) & (weights.sum(axis=1) > 0)
        values[able] = np.where(wanted[able], shared_out(rest[able], weights[able]), MISSING)
        source[able] = place
    return Estimate(
        values=values,
        confidence=np.where(source >= 0, 0.6, 0.0),
        inputs=lambda place: (
            f"{days.told(rest[place])} of the register's {days.told(advance[place])}, in the shape of "
            f"{'similar meters' if limits.profiles[source[place]] == 'similar' else 'the days before'}"
        ),
    )


METHOD: Final = Method(
    name="intervals_from_register",
    number="E12b",
    aemo=None,
    estimate=estimate,
    parameters=Limits,
    needs=frozenset({Fact.ADVANCE, Fact.SIMILAR, Fact.HISTORY}),
)
