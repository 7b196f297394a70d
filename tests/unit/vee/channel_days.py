"""Days of channels for tests: short to write, with every fact there is unless a test says otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mdus.domain.channel import MISSING
from mdus.vee.days import UNKNOWN, Days, Fact, Flag, unknown
from mdus.vee.rule import Finding, Rule


def days_of(
    *rows: Sequence[int | None],
    minutes: int = 15,
    decimals: int = 3,
    flags: Mapping[tuple[int, int], Flag] | None = None,
    is_over: bool = True,
    facts: Mapping[Fact, Any] | None = None,
) -> Days:
    """Return days of these values (None: missing), flags by (row, interval), and facts: one for all rows, or by row."""
    values = np.array([[MISSING if value is None else value for value in row] for row in rows], dtype=np.int64)
    bits = np.zeros(values.shape, dtype=np.uint32)
    for place, flag in (flags or {}).items():
        bits[place] = int(flag)
    known = {fact: unknown(fact, *values.shape) for fact in Fact}
    for fact, given in (facts or {}).items():
        default = known[fact]
        plain = MISSING if given is None and default.dtype == np.int64 else UNKNOWN if given is None else given
        known[fact] = np.broadcast_to(np.asarray(plain, dtype=default.dtype), default.shape).copy()
    return Days(
        minutes=minutes,
        decimals=decimals,
        values=values,
        flags=bits,
        is_over=np.full(len(values), is_over),
        facts=known,
    )


def found(rule: Rule, days: Days, **limits: Any) -> Finding:
    """Return what a rule finds with these limits, the others as its defaults."""
    only = Days(
        minutes=days.minutes,
        decimals=days.decimals,
        values=days.values,
        flags=days.flags,
        is_over=days.is_over,
        facts={fact: days.facts[fact] for fact in rule.needs},
        expected=days.expected,
    )
    return rule.check(only, rule.parameters.model_validate(limits))


def suspects(finding: Finding, row: int = 0) -> list[int]:
    """Return the intervals of a row that a finding holds responsible."""
    return [int(place) for place in np.flatnonzero(finding.suspect[row])]
