"""V5 No reference register: interval values that no register reading could confirm for long.

Formula: days since the register was last read at or before the day's end > at_most; a register never read has no
reference at all. Such days count as not validated, not as wrong. Unit: days. Default: 62 (two months), for registers
read daily or more often; 1826 (five years) suits those read rarer. Source: the search for a reference in Connexo's
meter advance check, read in its source.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from mdus.vee.days import Days, Fact
from mdus.vee.rule import Amount, Finding, Parameters, Rule


class Limits(Parameters):
    """For how many days values may go without a reading of the register."""

    at_most: Amount = 62.0


def check(days: Days, limits: Limits) -> Finding:
    """Return the days whose register was last read too long ago."""
    since = days[Fact.REFERENCE_DAYS]
    judged = ~np.isnan(since) & days.present.any(axis=1)
    flagged = judged & (since > limits.at_most)
    return Finding.of_days(flagged, days=days, judged=judged, figure=since, limit=limits.at_most)


RULE: Final = Rule(
    name="no_reference_register",
    number="V5",
    quality="3.6.0",
    words="the register was last read {figure:g} days before, allowed are {limit:g}",
    check=check,
    parameters=Limits,
    needs=frozenset({Fact.REFERENCE_DAYS}),
)
