"""E11 History of a register: the usage of the month before, else of the same time one year ago, in proportion.

Formula: reading = last reading + usage of the history x span / history's span / multiplier, rounded HALF_UP; spans are
days, or degree days with `proration = "degrees"`. The histories are tried in the order of `histories`. A register that
runs over begins at zero again. Unit: that of the register. Default: month before, then year before, by days. Source:
Oracle's scalar estimation from history, multiplier backed out, proration by degree or day.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import numpy as np
from pydantic import Field

from mdus.domain.channel import MISSING
from mdus.vee.days import Fact
from mdus.vee.half_up import proportion
from mdus.vee.method import Estimate, Gaps, Method
from mdus.vee.register_reading import PARTS, offered, parts
from mdus.vee.rule import Parameters

_HISTORIES: Final = {
    "month": (Fact.PAST_TOTAL, Fact.PAST_DAYS, Fact.PAST_DEGREES),
    "year": (Fact.YEAR_AGO_TOTAL, Fact.YEAR_AGO_DAYS, Fact.YEAR_AGO_DEGREES),
}


class Limits(Parameters):
    """Which histories are tried, and in proportion to what."""

    histories: Annotated[tuple[Literal["month", "year"], ...], Field(min_length=1)] = ("month", "year")
    proration: Literal["days", "degrees"] = "days"


def estimate(gaps: Gaps, limits: Limits) -> Estimate:
    """Return readings (c, 1)."""
    days = gaps.days
    by_days = limits.proration == "days"
    span, factor = parts(days[Fact.SPAN_DAYS if by_days else Fact.SPAN_DEGREES]), parts(days[Fact.FACTOR_KNOWN])
    ready = (factor > 0) & (span > 0)
    moved = np.full(days.count, MISSING, dtype=np.int64)
    source = np.full(days.count, -1)
    for number, name in enumerate(limits.histories):
        total, spanned, degrees = _HISTORIES[name]
        usage, ago = days[total], parts(days[spanned if by_days else degrees])
        able = ready & (source < 0) & (usage != MISSING) & (ago > 0)
        over = np.where(able, ago, 1).astype(object) * np.where(able, factor, 1).astype(object)
        estimated = proportion(np.where(able, usage, 0), span.astype(object) * PARTS, over)
        moved[able], source[able] = estimated[able], number
    reading = offered(gaps, moved)
    return Estimate(
        values=reading,
        confidence=np.where((reading != MISSING).any(axis=1), 0.5 - 0.1 * np.maximum(source, 0), 0.0),
        inputs=lambda place: (
            f"the reading {days.told(days[Fact.REGISTER_BEFORE][place])} and "
            f"{days.told(days[_HISTORIES[limits.histories[source[place]]][0]][place])} used the "
            f"{limits.histories[source[place]]} before, by {limits.proration}"
        ),
    )


METHOD: Final = Method(
    name="register_history",
    number="E11",
    aemo=None,
    of_register=True,
    estimate=estimate,
    parameters=Limits,
    needs=frozenset(
        {
            Fact.REGISTER_BEFORE,
            Fact.REGISTER_TURN,
            Fact.FACTOR_KNOWN,
            Fact.SPAN_DAYS,
            Fact.SPAN_DEGREES,
            *(fact for history in _HISTORIES.values() for fact in history),
        }
    ),
)
