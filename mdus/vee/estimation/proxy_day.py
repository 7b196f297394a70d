"""E13 Proxy day: the values of the day whose temperature was most like that of this one.

Formula: x_i = value i of the day, among the 35 before, with the least abs(its mean temperature - that of this day)
that has every interval wanted; of two as near, the later. With `same_kind` working days stand in for working days,
Saturdays, Sundays and holidays for each other. Unit: that of the channel, degrees Celsius. Default: at most 3 degrees
apart. Source: Oracle's proxy day; the 3 degrees and the kinds are from memory, hence parameters. Where no
station has temperatures for the meter's area (config/neighbours.toml) the method offers nothing.
"""

from __future__ import annotations

from typing import Annotated, Final

import numpy as np
from pydantic import Field

from mdus.domain.channel import MISSING
from mdus.vee.days import Fact
from mdus.vee.method import Estimate, Gaps, Method, first_complete
from mdus.vee.rule import Parameters

_SATURDAY: Final = 5


class Limits(Parameters):
    """How far temperatures may be apart, and whether the kind of the day counts."""

    max_degrees: Annotated[float, Field(ge=0)] = 3.0
    same_kind: bool = True


def estimate(gaps: Gaps, limits: Limits) -> Estimate:
    """Return the values of the nearest day by temperature."""
    days = gaps.days
    own, others = days[Fact.TEMPERATURE][:, None], days[Fact.HISTORY_TEMPERATURE]
    apart = np.abs(others - own)
    kinds = days[Fact.HISTORY_WEEKDAY]
    fits = np.isfinite(apart) & (apart <= limits.max_degrees) & (kinds >= 0)
    if limits.same_kind:
        fits &= (kinds < _SATURDAY) == (days[Fact.WEEKDAY][:, None] < _SATURDAY)
    order = np.argsort(np.where(fits, apart, np.inf), axis=1, kind="stable")
    offers = np.where(fits[:, :, None], days[Fact.HISTORY], MISSING)
    chosen, values = first_complete(np.take_along_axis(offers, order[:, :, None], axis=1), gaps.wanted)
    found = chosen >= 0
    ago = np.where(found, order[np.arange(days.count), np.maximum(chosen, 0)], 0)
    difference = np.where(found, apart[np.arange(days.count), ago], 0.0)
    return Estimate(
        values=values,
        confidence=np.where(found, 0.6 - 0.2 * difference / max(limits.max_degrees, 1.0), 0.0),
        inputs=lambda place: (
            f"the day {ago[place] + 1} days before, {difference[place]:.1f} degrees from {own[place, 0]:.1f}"
        ),
    )


METHOD: Final = Method(
    name="proxy_day",
    number="E13",
    aemo=None,
    estimate=estimate,
    parameters=Limits,
    needs=frozenset({Fact.HISTORY, Fact.HISTORY_WEEKDAY, Fact.WEEKDAY, Fact.TEMPERATURE, Fact.HISTORY_TEMPERATURE}),
)
