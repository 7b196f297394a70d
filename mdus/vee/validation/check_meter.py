"""V25 Check meter: the main meter and the one that checks it do not agree.

Formula: abs(main - check) > the larger of `at_most` and `percent` of the check meter's usage, over the intervals of the
day that both have; where both used no more than `least` they agree. Unit: that of the channel, percent. Default: 0, 2
%, 0. Source: the main and check meter comparison of Connexo, read in its source; the figures are from memory.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from mdus.domain.channel import MISSING
from mdus.vee.days import Days, Fact, total
from mdus.vee.exact import exceeds, floor
from mdus.vee.rule import Amount, Finding, Parameters, Rule


class Limits(Parameters):
    """How far the two meters may be apart, and how little usage is not compared."""

    at_most: Amount = 0.0
    percent: Amount = 2.0
    least: Amount = 0.0


def check(days: Days, limits: Limits) -> Finding:
    """Return the days on which the check meter counted otherwise."""
    other = days[Fact.CHECK]
    both = days.present & (other != MISSING)
    judged = both.any(axis=1)
    main, checked = total(np.where(both, days.values, 0)), total(np.where(both, other, 0))
    apart = np.abs(main - checked)
    flagged = judged & (apart > floor(limits.at_most, days))
    flagged &= exceeds([apart, 100], limits.percent, [np.abs(checked)])
    flagged &= np.maximum(np.abs(main), np.abs(checked)) > floor(limits.least, days)
    unit = 10.0**-days.decimals
    allowed = np.maximum(limits.at_most, limits.percent / 100 * np.abs(checked) * unit)
    return Finding.of_days(flagged, days=days, judged=judged, figure=apart * unit, limit=allowed)


RULE: Final = Rule(
    name="check_meter",
    number="V25",
    quality="3.6.0",
    words="main and check meter are {figure:g} apart, allowed are {limit:g}",
    check=check,
    parameters=Limits,
    needs=frozenset({Fact.CHECK}),
)
