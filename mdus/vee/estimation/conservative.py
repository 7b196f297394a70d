"""E16 Conservative substitution: the highest value there was for a load, the lowest for generation.

Formula: x_i = max over the days before of their values (load), min (generation); with `same_time` of value i alone.
Only actual values count. Unit: that of the channel. Default: load, over all intervals of the last 35 days. Source:
IESO, highest read for load and lowest for generation; over which days is from memory, hence `days`.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import numpy as np
from pydantic import Field

from mdus.domain.channel import MISSING
from mdus.vee.days import Fact
from mdus.vee.method import Estimate, Gaps, Method
from mdus.vee.rule import Parameters

_ABOVE_ALL: Final = 2**63 - 1


class Limits(Parameters):
    """What the channel measures, and among which values the extreme is sought."""

    measures: Literal["load", "generation"] = "load"
    same_time: bool = False
    days: Annotated[int, Field(ge=1, le=35)] = 35


def estimate(gaps: Gaps, limits: Limits) -> Estimate:
    """Return the extreme of the days before, for all that is wanted."""
    days = gaps.days
    history = days[Fact.HISTORY][:, : limits.days]
    axis = 1 if limits.same_time else (1, 2)
    if limits.measures == "load":
        extreme = history.max(axis=axis, initial=MISSING)  # MISSING is the least of all
    else:
        extreme = np.where(history == MISSING, _ABOVE_ALL, history).min(axis=axis, initial=_ABOVE_ALL)
        extreme = np.where(extreme == _ABOVE_ALL, MISSING, extreme)
    values = np.where(gaps.wanted, extreme if limits.same_time else extreme[:, None], MISSING)
    filled = (values != MISSING).any(axis=1)
    number = (history != MISSING).any(axis=2).sum(axis=1)
    word = "highest" if limits.measures == "load" else "lowest"
    when = "of the same times" if limits.same_time else "of all times"

    def inputs(place: int) -> str:
        told = "each its own" if limits.same_time else days.told(extreme[place])
        return f"the {word} value {when} on {number[place]} days before: {told}"

    return Estimate(values=values, confidence=np.where(filled, 0.2, 0.0), inputs=inputs)


METHOD: Final = Method(
    name="conservative",
    number="E16",
    aemo=None,
    estimate=estimate,
    parameters=Limits,
    needs=frozenset({Fact.HISTORY}),
)
