"""What is played: a city, a month, the faults of half of its meters, and the rule set they are held against."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any, Final

import numpy as np

from mdus.bootstrap.discovery import discover
from mdus.settings import load_settings
from mdus.vee.rule_set import RuleSet, RuleSetRow, fitting
from tests.benchmarks.truth.city import City, Loads, city, midnight
from tests.benchmarks.truth.faults import NOTHING, Fault, Limits, Told, injected

INTERVALS: Final = "1-0:1.29.0*255"
ENERGY: Final = "1-0:1.8.0*255"
HISTORY_DAYS: Final = 35

#: How long after its own day a value is corrected, or comes at last.
_CORRECTED_AFTER: Final = timedelta(days=2)
_A_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A city and the days that are billed, with what befalls the values of half of the meters."""

    city: City
    days: tuple[date, ...]
    faults: tuple[Fault, ...]
    limits: Limits
    seed: int
    through_sap: tuple[int, ...] = field(default=())  # the meters that also go the whole way

    @property
    def end(self) -> date:
        """This will return the day after the last one billed."""
        return self.days[-1] + _A_DAY

    @cached_property
    def by_place(self) -> dict[tuple[int, date], Fault]:
        """This will return the faults by meter and day."""
        return {(each.meter, each.day): each for each in self.faults}

    @cached_property
    def kind_of(self) -> dict[int, str]:
        """This will return of each meter with faults their kind."""
        return {each.meter: each.kind for each in self.faults}

    @cached_property
    def true(self) -> dict[date, Loads]:
        """This will return what was consumed on the days that are billed."""
        return {day: self.city.loads[day] for day in self.days}

    @cached_property
    def as_told(self) -> dict[date, Loads]:
        """This will return the last that was told of these days; what was never told is nothing."""
        told = {day: loads.copy() for day, loads in self.true.items()}
        for each in self.faults:
            told[each.day][each.meter] = np.where(each.told.values == NOTHING, 0, each.told.values)
        return told

    def of_day(self, day: date, meters: Sequence[int]) -> Iterator[tuple[int, Told]]:
        """This will yield what meters tell when a day is over."""
        loads = self.city.loads[day]
        for meter in meters:
            fault = self.by_place.get((meter, day))
            if fault is None:
                yield meter, Told(values=loads[meter])
                continue
            told = fault.told
            yield meter, Told(values=told.at_first, codes=told.codes)
            if told.twice:
                yield meter, Told(values=told.values, codes=told.codes)

    def corrections(self, on: date, meters: Sequence[int]) -> Iterator[tuple[int, date, Told]]:
        """This will yield what is told on a day of another before: late, or in the place of what was wrong."""
        wanted = set(meters)
        for each in self.faults:
            if each.meter in wanted and each.told.first is not None and each.day + _CORRECTED_AFTER == on:
                yield each.meter, each.day, Told(values=each.told.values)

    def course(self) -> Iterator[tuple[date, datetime]]:
        """This will yield the days in their order, each with its end; after the last those of corrections."""
        for day in (*sorted(self.city.loads), *(self.end + n * _A_DAY for n in range(_CORRECTED_AFTER.days + 1))):
            yield day, midnight(day + _A_DAY)


def scenario(
    *, meters: int = 2000, first: date = date(2026, 3, 1), days: int = 31, seed: int = 20260301, through_sap: int = 0
) -> Scenario:
    """This will make a scenario from a seed: every second meter has faults; of each kind some go through SAP."""
    history = first - HISTORY_DAYS * _A_DAY
    made = city(meters=meters, first=history, days=HISTORY_DAYS + days, seed=seed)
    billed = tuple(first + number * _A_DAY for number in range(days))
    limits = limits_of(rule_set())
    faulty = range(0, meters, 2)
    return Scenario(
        city=made,
        days=billed,
        faults=tuple(injected(made, billed, meters=faulty, limits=limits, seed=seed + 1)),
        limits=limits,
        seed=seed,
        through_sap=tuple(range(min(through_sap, meters))),
    )


def rule_set() -> RuleSet:
    """This will return the default rule set of electricity."""
    row = fitting(load_settings({}).rows("rule_sets", RuleSetRow), INTERVALS)
    if row is None:
        raise LookupError("there is no rule set for electricity")
    return discover().tools.rule_set(row)


def limits_of(rules: RuleSet) -> Limits:
    """This will return the figures of a rule set, in Wh and quarter-hours."""
    of: Mapping[str, Any] = {step.rule.name: step.parameters for step in rules.steps}
    return Limits(
        spike_ratio=of["spike"].tolerance,
        spike_above=of["spike"].above * 1000 / 4,
        spike_past=of["spike"].past_peaks,
        frozen_values=of["frozen_value"].at_least,
        frozen_least=of["frozen_value"].quanta,
        zero_least=of["consecutive_zeros"].more_than_minutes // 15,
        sum_steps=of["sum_check"].steps,
        sum_percent=of["sum_check"].percent,
        step=1,
    )
