"""How fast the default rule set for electricity looks at days of channels, in memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np

from mdus.bootstrap.discovery import discover
from mdus.settings import load_settings
from mdus.vee.pipeline import run
from mdus.vee.rule_set import RuleSetRow, fitting
from tests.benchmarks.figure import Figure
from tests.unit.vee.load_profiles import ELECTRICITY, days_of_year, together

_DAYS: Final = 500
_TIMES: Final = 50
_LEAST: Final = 10_000_000


def validating() -> Iterator[Figure]:
    """This will judge blocks of 500 days of 96 values that are as they should be."""
    rng = np.random.default_rng(1)
    days = together([days_of_year(kind, rng, quantum=1, step=1000) for kind in ELECTRICITY.values()])
    some = days.rows(np.arange(days.count) % (days.count // _DAYS) == 0)
    some = some.rows(np.arange(some.count) < _DAYS)
    row = fitting(load_settings({}).rows("rule_sets", RuleSetRow), "1-0:1.29.0*255")
    if row is None:
        raise LookupError("there is no rule set for electricity")
    rule_set = discover().tools.rule_set(row)
    readings = some.values.size
    sums = readings / _seconds(some.totals)
    for name, work in (
        ("rules", lambda: [step.rule.check(some, step.parameters) for step in rule_set.steps]),
        ("pipeline", lambda: run(some, rule_set)),
    ):
        rate = readings / _seconds(work)
        yield Figure(
            name=f"validation of plain days, {len(rule_set.steps)} rules: {name}",
            value=rate,
            unit="readings/s",
            ratio_to="numpy adds up the same values by day",
            ratio=rate / sums,
            aim="at least 10 M readings/s",
            held=rate >= _LEAST,
        )
    whole = _seconds(lambda: run(some, rule_set))
    for step in rule_set.steps:
        seconds = _seconds(lambda step=step: step.rule.check(some, step.parameters))
        yield Figure(
            name=f"  {step.rule.number} {step.rule.name}",
            value=readings / seconds,
            unit="readings/s",
            ratio_to="the whole pipeline",
            ratio=seconds / whole,
        )


def _seconds(work: Callable[[], object]) -> float:
    """Return how long the fastest of some runs took: what others do on the machine slows the rest."""
    fastest = float("inf")
    for _ in range(_TIMES):
        began = time.perf_counter()
        work()
        fastest = min(fastest, time.perf_counter() - began)
    return fastest
