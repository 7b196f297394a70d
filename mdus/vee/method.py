"""What a method of estimation is: it offers values for intervals that have none, and says how it came by them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mdus.domain.channel import MISSING
from mdus.vee.days import Days, Elements, Fact, Figures, Mask
from mdus.vee.rule import Parameters


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Gaps:
    """What is to be estimated in some days.

    `known` (c, n) are the values that count so far, MISSING where there is none: actual values, and estimates of the
    methods before. `wanted` (c, n) are the intervals to fill; `actual` (c, n) those whose value came from the meter and
    failed no rule.
    """

    days: Days
    known: Elements
    wanted: Mask
    actual: Mask


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Estimate:
    """What a method offers: values (c, n), MISSING where it has none to offer.

    `confidence` (c,) is between 0 and 1. `inputs` says by channel day, in a few words, what the values were made from.
    What is offered for an interval that is not wanted is not looked at.
    """

    values: Elements
    confidence: Figures
    inputs: Callable[[int], str] = lambda _: ""

    @property
    def offered(self) -> Mask:
        """Return for which intervals there is a value (c, n)."""
        offered: Mask = self.values != MISSING
        return offered

    @classmethod
    def nothing(cls, gaps: Gaps) -> Estimate:
        """Return that there is nothing to offer."""
        return cls(values=np.full_like(gaps.known, MISSING), confidence=np.zeros(len(gaps.known)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """One method of estimation, as its file exposes it.

    `number` is that of the table in docs/vee.md, `aemo` the method's number of AEMO's metering data format where it has
    one. A method with `adjusts` gets all estimates of the methods before as wanted, and may change them: it scales them
    to what the register says. One `of_register` estimates readings, in days of one column (see register_reading.py).
    """

    name: str
    number: str
    aemo: int | None
    estimate: Callable[[Gaps, Any], Estimate]
    parameters: type[Parameters] = Parameters
    needs: frozenset[Fact] = field(default_factory=frozenset)
    adjusts: bool = False
    of_register: bool = False


def runs(wanted: Mask) -> tuple[Any, Any, Any]:
    """Return the runs of consecutive wanted intervals: arrays of their rows, first columns and lengths."""
    padded = np.zeros((wanted.shape[0], wanted.shape[1] + 2), dtype=np.int8)
    padded[:, 1:-1] = wanted
    steps = np.diff(padded, axis=1)
    rows, firsts = np.nonzero(steps == 1)
    _, ends = np.nonzero(steps == -1)
    return rows, firsts, ends - firsts


def first_complete(offers: Elements, wanted: Mask) -> tuple[Any, Elements]:
    """Return, of days offered (c, k, n), the place of the first with a value for every wanted interval, and its values.

    The place is -1, and the values are MISSING, where no day has all of them.
    """
    complete: Mask = ((offers != MISSING) | ~wanted[:, None, :]).all(axis=2)
    complete &= wanted.any(axis=1, keepdims=True)
    found = complete.any(axis=1)
    place = np.where(found, np.argmax(complete, axis=1), -1) if offers.shape[1] else np.full(len(offers), -1)
    values = np.full(wanted.shape, MISSING, dtype=np.int64)
    rows = np.flatnonzero(found)
    values[rows] = offers[rows, place[rows]]
    return place, values
