"""V8 Demand limit: the highest demand of a day is outside what is possible at the point of delivery.

Formula: low <= peak <= high, both inclusive, where the peak is the day's highest value per hour. Suspect are the values
above `high`; a peak below `low` is a finding about the day. Unit: that of the channel per hour (kWh: kW). Default: no
limit, since there is none that suits all. Source: the high/low limit check of Itron (status LIMIT).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from mdus.vee.days import Days, Mask
from mdus.vee.exact import ceiling, floor
from mdus.vee.rule import AnyAmount, Finding, Parameters, Rule


class Limits(Parameters):
    """Between which the highest demand may be; None is no limit."""

    low: AnyAmount | None = None
    high: AnyAmount | None = None


def check(days: Days, limits: Limits) -> Finding:
    """Return the days whose highest demand is too high or too low."""
    present = days.present
    judged: Mask = np.asarray(present.any(axis=1))
    peak = np.where(judged, days.values.max(axis=1, initial=np.iinfo(np.int64).min), 0)
    suspect = np.zeros(days.values.shape, dtype=np.bool_)
    if limits.high is not None:
        suspect = present & (days.values > floor(limits.high, days, per_hour=True))
    low = np.zeros(days.count, dtype=np.bool_)
    if limits.low is not None:
        low = judged & (peak < ceiling(limits.low, days, per_hour=True))
    return Finding(
        suspect=suspect,
        flagged=suspect.any(axis=1) | low,
        judged=judged,
        figure=peak * (60 / days.minutes * 10.0**-days.decimals),
        limit=np.where(low, limits.low or 0.0, limits.high or 0.0),
    )


RULE: Final = Rule(
    name="demand_limit",
    number="V8",
    quality="3.6.3",
    words="the highest demand is {figure:g}, the limit is {limit:g}",
    check=check,
    parameters=Limits,
)
