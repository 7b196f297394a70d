"""V28 Frozen value: the same value again and again, other than zero.

Formula: at least `at_least` consecutive equal values that are not zero. Coarse values repeat by nature, so a set may
ask for longer stretches, and for values of at least `quanta` x the quantum in which the meter counts: the greatest
common divisor of the day's values and of the highest value and the usage of the days before (a day of one value alone
tells no quantum). Unit: intervals, ratio. Default: 3, 1. Source: mcp.waymark.network, which says that loads in whole
numbers need longer stretches; the quantum is our own.
"""

from __future__ import annotations

from typing import Annotated, Final

import numpy as np
from pydantic import Field

from mdus.domain.channel import MISSING
from mdus.vee.days import Days, Fact, Mask
from mdus.vee.exact import falls_short
from mdus.vee.rule import Amount, Finding, Parameters, Rule
from mdus.vee.stretch import stretches


class Limits(Parameters):
    """How many equal values are too many, and how large they must be beside the meter's quantum."""

    at_least: Annotated[int, Field(ge=2)] = 3
    quanta: Amount = 1.0


def check(days: Days, limits: Limits) -> Finding:
    """Return the values of stretches of equal values that are too long."""
    values = days.values
    judged: Mask = np.asarray(days.present.any(axis=1))
    same = (values[:, 1:] == values[:, :-1]) & (values[:, 1:] != 0) & (values[:, 1:] != MISSING)
    found = stretches(same, at_least=limits.at_least - 1)  # of n equal values n - 1 equal the one before
    if limits.quanta > 1:
        rows, places = np.unique(found.rows, return_inverse=True)
        known = [values[rows], days[Fact.PAST_PEAK][rows, None], days[Fact.PAST_TOTAL][rows, None]]
        every = np.concatenate(known, axis=1)
        quantum = np.gcd.reduce(np.where(every == MISSING, 0, every), axis=1)[places]
        level = np.abs(values[found.rows, found.firsts])
        found = found.those(~falls_short([level], limits.quanta, [quantum]))
    suspect = np.zeros(values.shape, dtype=np.bool_)
    marked = found.marked(same.shape)
    suspect[:, 1:] = marked
    suspect[:, :-1] |= marked
    length = found.longest(days.count)
    return Finding.of_intervals(
        suspect, judged=judged, figure=np.where(length > 0, length + 1, 0), limit=limits.at_least
    )


RULE: Final = Rule(
    name="frozen_value",
    number="V28",
    quality="3.5.258",
    words="{figure:.0f} values in a row are the same, from {limit:.0f} on that is too many",
    check=check,
    parameters=Limits,
    needs=frozenset({Fact.PAST_PEAK, Fact.PAST_TOTAL}),
)
