"""V26 Sibling: active energy without the reactive energy of the same intervals, or the other way round.

Formula: every interval with a value has one in the channel that belongs beside it. Judged are days that are over, of
channels that have a sibling. No single value is suspect: those there are may all be right. Unit: intervals. Default:
none may lack its sibling. Source: Oracle's ensure sibling check.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from mdus.domain.channel import MISSING
from mdus.vee.days import Days, Fact
from mdus.vee.rule import Finding, Parameters, Rule


class Limits(Parameters):
    """How many intervals may lack their sibling."""

    at_most: Annotated[int, Field(ge=0)] = 0


def check(days: Days, limits: Limits) -> Finding:
    """Return the days on which intervals lack their sibling."""
    judged = days.is_over & days[Fact.HAS_SIBLING]
    alone = (days.present & (days[Fact.SIBLING] == MISSING)).sum(axis=1)
    flagged = judged & (alone > limits.at_most)
    return Finding.of_days(flagged, days=days, judged=judged, figure=alone, limit=limits.at_most)


RULE: Final = Rule(
    name="sibling",
    number="V26",
    quality="3.6.0",
    words="{figure:.0f} intervals lack their reactive (active) sibling, allowed are {limit:.0f}",
    check=check,
    parameters=Limits,
    needs=frozenset({Fact.SIBLING, Fact.HAS_SIBLING}),
)
