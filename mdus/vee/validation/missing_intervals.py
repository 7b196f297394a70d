"""V1 Missing interval: a day has fewer values than intervals.

Formula: expected = seconds of the local day / interval length (of 15 minutes 92, 96 or 100); every interval without a
value is suspect once the day is over, if the meter was to measure then. Unit: intervals. Default: none may be missing.
Source: IESO "intervals found versus expected"; IEC 61968-9 quality 5.259 (known missing read).
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from mdus.vee.days import Days
from mdus.vee.rule import Finding, Parameters, Rule


class Limits(Parameters):
    """How many intervals of a day may have no value."""

    at_most: Annotated[int, Field(ge=0)] = 0


def check(days: Days, limits: Limits) -> Finding:
    """Return the days that are over and lack more values than allowed."""
    missing = days.missing
    number = missing.sum(axis=1)
    flagged = number > limits.at_most
    return Finding.of_intervals(missing & flagged[:, None], judged=days.is_over, figure=number, limit=limits.at_most)


RULE: Final = Rule(
    name="missing_intervals",
    number="V1",
    quality="3.5.259",
    words="{figure:.0f} intervals have no value, allowed are {limit:.0f}",
    check=check,
    parameters=Limits,
)
