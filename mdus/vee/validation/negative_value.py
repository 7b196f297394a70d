"""V14 Negative value: a meter that only counts forwards cannot have counted less than nothing.

Formula: value < at_least, unless the channel may flow back (net metering). Unit: that of the channel. Default: 0.
Source: Oracle's negative consumption check.

A register reading is judged as a day of one value.
"""

from __future__ import annotations

from typing import Final

from mdus.domain.channel import MISSING
from mdus.vee.days import Days, Fact
from mdus.vee.exact import ceiling
from mdus.vee.rule import AnyAmount, Finding, Parameters, Rule


class Limits(Parameters):
    """The least an interval's value may be."""

    at_least: AnyAmount = 0.0


def check(days: Days, limits: Limits) -> Finding:
    """Return the values below zero of channels that cannot flow back."""
    judged = ~days[Fact.FLOWS_BACK]
    suspect = (days.values < ceiling(limits.at_least, days)) & (days.values != MISSING) & judged[:, None]
    return Finding.of_intervals(suspect, judged=judged)


RULE: Final = Rule(
    name="negative_value",
    number="V14",
    quality="3.5.256",
    words="{figure:.0f} values are below zero",
    check=check,
    parameters=Limits,
    needs=frozenset({Fact.FLOWS_BACK}),
    partial=True,
)
