"""V16 Usage while disconnected: something was counted although nothing could be drawn.

Formula: value > above while the meter is not in service, is known to be disconnected for the whole interval, or says so
itself: between two intervals flagged as disconnected (in the first and the last of such a stretch it was switched, so
that some usage is right). Unit: that of the channel. Default: 0. Source: Oracle's usage on inactive check and that of
California; IEC 61968-9 quality 6.2.

A register reading is judged as a day of one value.
"""

from __future__ import annotations

from typing import Final

from mdus.domain.channel import MISSING
from mdus.vee.days import Days, Fact, Flag
from mdus.vee.exact import floor
from mdus.vee.rule import Amount, Finding, Parameters, Rule


class Limits(Parameters):
    """How much may be counted although nothing can be drawn."""

    above: Amount = 0.0


def check(days: Days, limits: Limits) -> Finding:
    """Return the values that were counted while nothing could be drawn."""
    off = days[Fact.DISCONNECTED] | ~days[Fact.IN_SERVICE][:, None]
    flagged = days.has(Flag.DISCONNECTED)
    off[:, 1:-1] |= flagged[:, :-2] & flagged[:, 1:-1] & flagged[:, 2:]
    suspect = off & (days.values > floor(limits.above, days)) & (days.values != MISSING)
    return Finding.of_intervals(suspect)


RULE: Final = Rule(
    name="usage_while_disconnected",
    number="V16",
    quality="3.6.2",
    words="{figure:.0f} intervals have usage although the meter is disconnected or not in service",
    check=check,
    parameters=Limits,
    needs=frozenset({Fact.IN_SERVICE, Fact.DISCONNECTED}),
    partial=True,
)
