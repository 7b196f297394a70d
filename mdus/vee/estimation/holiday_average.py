"""E2b Holiday average: a holiday is estimated from holidays, and from Sundays where there are too few.

Formula: x_i = mean of value i on `samples` days, rounded HALF_UP: holidays of the current period first, then holidays
of the past, then Sundays of the current period, then Sundays of the past; all are averaged. Holidays are taken the
latest first, and so are Sundays, so that the border of the period makes no difference. Other days than holidays are
left to other methods. Unit: that of the channel. Default: 3 days, all needed. Source: CPUC direct access
implementation, message 165; how far back a holiday may lie (400 days) is from memory, hence a parameter.
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

_SUNDAY, _HOLIDAY = 6, 7


class Limits(Parameters):
    """How many days are averaged, how few are enough, and how old a holiday may be."""

    samples: Annotated[int, Field(ge=1, le=10)] = 3
    at_least: Annotated[int, Field(ge=1, le=10)] = 3
    back_days: Annotated[int, Field(ge=1)] = 400


def estimate(gaps: Gaps, limits: Limits) -> Estimate:
    """Return the means over holidays and Sundays, for holidays."""
    days = gaps.days
    which = np.flatnonzero((days[Fact.WEEKDAY] == _HOLIDAY) & gaps.wanted.any(axis=1))
    age = days[Fact.HOLIDAY_AGE][which]
    recent = (age > 0) & (age <= limits.back_days)
    holidays = np.where(recent[:, :, None], days[Fact.HOLIDAY_HISTORY][which], MISSING)
    is_sunday = days[Fact.HISTORY_WEEKDAY][which] == _SUNDAY
    sundays = np.where(is_sunday[:, :, None], days[Fact.HISTORY][which], MISSING)
    offers = np.concatenate([holidays, sundays], axis=1)
    usable = offers != MISSING
    taken = usable & (np.cumsum(usable, axis=1) <= limits.samples)
    number = taken.sum(axis=1)
    enough = number >= limits.at_least
    values = np.full_like(gaps.known, MISSING)
    values[which] = np.where(enough, divided(np.where(taken, offers, 0).sum(axis=1), number), MISSING)
    filled = gaps.wanted[which] & enough
    fewest, of_holidays = (np.full(days.count, limits.samples) for _ in range(2))
    for least, counted in ((fewest, number), (of_holidays, taken[:, : holidays.shape[1]].sum(axis=1))):
        least[which] = np.where(filled, counted, limits.samples).min(axis=1)
    confidence = np.zeros(days.count)
    confidence[which] = np.where(filled.any(axis=1), 0.4 + 0.3 * of_holidays[which] / limits.samples, 0.0)
    return Estimate(
        values=values,
        confidence=confidence,
        inputs=lambda place: (
            f"the mean of {fewest[place]} days: {of_holidays[place]} holidays, "
            f"{fewest[place] - of_holidays[place]} Sundays"
        ),
    )


METHOD: Final = Method(
    name="holiday_average",
    number="E2b",
    aemo=15,
    estimate=estimate,
    parameters=Limits,
    needs=frozenset({Fact.HISTORY, Fact.HISTORY_WEEKDAY, Fact.WEEKDAY, Fact.HOLIDAY_HISTORY, Fact.HOLIDAY_AGE}),
)
