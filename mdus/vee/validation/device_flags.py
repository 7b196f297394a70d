"""V30 Device flags: the meter told of trouble with itself.

Formula: an interval carries one of `flags`; a value is suspect only for those among `suspect`. Unit: intervals.
Default: device_fault, clock_error and clock_changed; suspect none. Source: IESO's list of flags (hardware reset, time
reset, watchdog, parity, power failure), each with an action of its own: that is, a rule per action, or these two lists.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from mdus.vee.days import Days, Flag
from mdus.vee.rule import Finding, Parameters, Rule


class Trouble(StrEnum):
    """What a meter may tell of itself, by the names of Flag."""

    DEVICE_FAULT = "device_fault"
    CLOCK_ERROR = "clock_error"
    CLOCK_CHANGED = "clock_changed"
    SKIPPED = "skipped"
    POWER_DOWN = "power_down"
    POWER_UP = "power_up"
    REVERSED = "reversed"


class Limits(Parameters):
    """Which flags are noted, and which of them make the value suspect."""

    flags: tuple[Trouble, ...] = (Trouble.DEVICE_FAULT, Trouble.CLOCK_ERROR, Trouble.CLOCK_CHANGED)
    suspect: tuple[Trouble, ...] = ()


def check(days: Days, limits: Limits) -> Finding:
    """Return the days with such flags, and the values they make suspect."""
    flagged = days.has(_bits((*limits.flags, *limits.suspect)))
    number = flagged.sum(axis=1)
    found = Finding.of_intervals(days.has(_bits(limits.suspect)) & days.present, figure=number)
    return Finding(
        suspect=found.suspect, flagged=number > 0, judged=found.judged, figure=found.figure, limit=found.limit
    )


def _bits(troubles: tuple[Trouble, ...]) -> Flag:
    bits = Flag(0)
    for trouble in troubles:
        bits |= Flag[trouble.name]
    return bits


RULE: Final = Rule(
    name="device_flags",
    number="V30",
    quality="3.5.257",
    words="the meter told of trouble in {figure:.0f} intervals",
    check=check,
    parameters=Limits,
    partial=True,
)
