"""V21 Test mode: what a meter counts while it is tested is no usage.

Formula: the meter flags the interval (IEC 61968-9 quality 4.5). Unit: intervals. Default: none may be flagged. Source:
the test mode check of California (from memory).
"""

from __future__ import annotations

from typing import Final

from mdus.vee.days import Days, Flag
from mdus.vee.rule import Finding, Parameters, Rule


def check(days: Days, limits: Parameters) -> Finding:
    """Return the values that were counted in test mode."""
    del limits
    return Finding.of_intervals(days.has(Flag.TEST_MODE) & days.present)


RULE: Final = Rule(
    name="test_mode",
    number="V21",
    quality="3.4.5",
    words="{figure:.0f} intervals were counted in test mode",
    check=check,
    partial=True,
)
