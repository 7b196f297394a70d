"""V2 Interval size: an interval is shorter or longer than its channel's.

Formula: end_i - start_i != interval length. The store holds values in the grid of their channel, so that starts and
ends meet by construction and cannot be compared; what is left to judge is what the meter says of an interval itself:
partial, long, skipped (IEC 61968-9 4.2, 4.3, 4.4). Suspect are those intervals. Unit: intervals. Default: partial and
long ones; a set may let the first and last interval of an outage be partial (`in_outages`). Source: the consecutive and
interval size checks of Oracle's meter data management.
"""

from __future__ import annotations

from typing import Final

from mdus.vee.days import Days, Fact, Flag
from mdus.vee.rule import Finding, Parameters, Rule


class Limits(Parameters):
    """Whether an interval in which the supply failed may be short."""

    in_outages: bool = False


def check(days: Days, limits: Limits) -> Finding:
    """Return the intervals that the meter says are of another length."""
    suspect = days.has(Flag.PARTIAL | Flag.LONG | Flag.SKIPPED) & days.present
    if limits.in_outages:
        suspect &= ~(days.has(Flag.POWER_DOWN | Flag.POWER_UP) | days[Fact.OUTAGE])
    return Finding.of_intervals(suspect)


RULE: Final = Rule(
    name="interval_size",
    number="V2",
    quality="3.4.2",
    words="{figure:.0f} intervals are of another length than the channel's",
    check=check,
    parameters=Limits,
    needs=frozenset({Fact.OUTAGE}),
    partial=True,
)
