"""V12 Zero consumption: an active meter counted nothing for a whole day.

Formula: sum of values = 0 while the meter is in service. Judged are complete days of meters that cannot feed in. What
an outage explains that covers the day is no finding of this rule. Unit: that of the channel. Default: usage up to 0 is
none. Source: Oracle's zero consumption check and that of California; zero under an outage is an exception of its own
there, here it is seen by its outage.

A register reading is judged as a day of one value.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from mdus.vee.days import Days, Fact, Flag
from mdus.vee.exact import floor
from mdus.vee.rule import Amount, Finding, Parameters, Rule


class Limits(Parameters):
    """How much usage of a day is none."""

    at_most: Amount = 0.0


def check(days: Days, limits: Limits) -> Finding:
    """Return the complete days without usage on meters in service."""
    usage = days.totals()
    judged = days.present.all(axis=1) & days[Fact.IN_SERVICE] & ~days[Fact.FEEDS_IN]
    judged &= ~(days[Fact.OUTAGE] | days.has(Flag.POWER_DOWN)).all(axis=1)
    flagged = judged & (np.abs(usage) <= floor(limits.at_most, days))
    return Finding.of_days(flagged, days=days, judged=judged, figure=usage * 10.0**-days.decimals, limit=limits.at_most)


RULE: Final = Rule(
    name="zero_consumption",
    number="V12",
    quality="3.6.1",
    words="the meter counted {figure:g} although it is in service",
    check=check,
    parameters=Limits,
    needs=frozenset({Fact.IN_SERVICE, Fact.FEEDS_IN, Fact.OUTAGE}),
)
