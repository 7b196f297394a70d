"""V13 Consecutive zeros: nothing was counted for some time, but not for the whole day.

Formula: values <= eps for a time T with more_than < T < less_than, both strict: exactly 2 h pass and so does exactly
one day, which zero consumption (V12) looks at; a stretch that fills a local day of 23 or 25 hours counts as a day. An
interval in an outage is not looked at, nor are meters that can feed in: photovoltaics may cover all usage for hours.
Unit: minutes; of eps that of the channel. Default: 2 h, 1 d, 0. Source: the consecutive zeros check of Connexo, read in
its source (vectors T8 of docs/vee.md).
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from mdus.domain.channel import MISSING
from mdus.vee.days import Days, Fact, Flag
from mdus.vee.exact import floor
from mdus.vee.rule import Amount, Finding, Parameters, Rule
from mdus.vee.stretch import stretches


class Limits(Parameters):
    """How long nothing may be counted, and from when on it is another rule's business."""

    more_than_minutes: Annotated[int, Field(ge=0)] = 120
    less_than_minutes: Annotated[int, Field(ge=1)] = 1440
    eps: Amount = 0.0


def check(days: Days, limits: Limits) -> Finding:
    """Return the values of the stretches without usage that are too long and shorter than the day."""
    supplied = ~(days[Fact.OUTAGE] | days.has(Flag.POWER_DOWN))
    nothing = (days.values <= floor(limits.eps, days)) & (days.values != MISSING) & supplied
    judged = days.present.any(axis=1) & ~days[Fact.FEEDS_IN]
    found = stretches(nothing & judged[:, None], at_least=limits.more_than_minutes // days.minutes + 1)
    found = found.those(
        (found.lengths * days.minutes < limits.less_than_minutes) & (found.lengths < days.values.shape[1])
    )
    return Finding.of_intervals(
        found.marked(days.values.shape),
        judged=judged,
        figure=found.longest(days.count) * days.minutes,
        limit=limits.more_than_minutes,
    )


RULE: Final = Rule(
    name="consecutive_zeros",
    number="V13",
    quality="3.6.1",
    words="nothing was counted for {figure:.0f} minutes, allowed are {limit:.0f}",
    check=check,
    parameters=Limits,
    needs=frozenset({Fact.OUTAGE, Fact.FEEDS_IN}),
)
