"""V20 Pulse overflow: the counter of an interval ran over, so that its value says nothing.

Formula: the meter flags the interval (IEC 61968-9 quality 4.1). Unit: intervals. Default: none may be flagged. Source:
IESO's data overflow, the pulse overflow check of California (from memory).
"""

from __future__ import annotations

from typing import Final

from mdus.vee.days import Days, Flag
from mdus.vee.rule import Finding, Parameters, Rule


def check(days: Days, limits: Parameters) -> Finding:
    """Return the values that the meter says ran over."""
    del limits
    return Finding.of_intervals(days.has(Flag.OVERFLOW) & days.present)


RULE: Final = Rule(
    name="pulse_overflow",
    number="V20",
    quality="3.4.1",
    words="the counters of {figure:.0f} intervals ran over",
    check=check,
    partial=True,
)
