"""Days with gaps for the tests of methods: values as people write them, every fact unknown unless it is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from mdus.domain.channel import MISSING
from mdus.vee.days import Days, Elements, Fact, Flag
from mdus.vee.days import unknown as fact_unknown
from mdus.vee.method import Estimate, Gaps, Method

X = None  # a value that is missing
MINUTES, DECIMALS = 15, 3

_AMOUNTS = (
    Fact.ADVANCE,
    Fact.LAST_VALUE,
    Fact.NEXT_VALUE,
    Fact.PAST_TOTAL,
    Fact.YEAR_AGO_TOTAL,
    Fact.REGISTER_BEFORE,
    Fact.REGISTER_TURN,
    Fact.SPAN_ADVANCE,
    Fact.INTERVAL_TOTAL,
)


def elements(values: Sequence[float | str | None], decimals: int = DECIMALS) -> Elements:
    """Return quantities as arrays hold them."""
    return np.array(
        [MISSING if value is None else int(Decimal(str(value)).scaleb(decimals)) for value in values], dtype=np.int64
    )


def quantities(row: Elements, decimals: int = DECIMALS) -> list[float | None]:
    """Return what arrays hold as quantities."""
    return [None if value == MISSING else float(Decimal(value).scaleb(-decimals)) for value in row.tolist()]


def unknown(count: int, width: int) -> dict[Fact, Any]:
    """Return the facts of days of which nothing is known."""
    return {fact: fact_unknown(fact, count, width) for fact in Fact}


def days(
    *rows: Sequence[float | str | None],
    minutes: int = MINUTES,
    decimals: int = DECIMALS,
    flags: Mapping[tuple[int, int], Flag] | None = None,
    **facts: Sequence[Any],
) -> Days:
    """Return days of these values; facts by their names, amounts as people write them."""
    values = np.stack([elements(row, decimals) for row in rows])
    marks = np.zeros(values.shape, dtype=np.uint32)
    for place, flag in (flags or {}).items():
        marks[place] |= np.uint32(int(flag))
    known = unknown(*values.shape)
    for name, given in facts.items():
        fact = Fact(name)
        if fact in _AMOUNTS:
            known[fact] = elements(given, decimals)
        else:
            known[fact] = np.asarray(given, dtype=known[fact].dtype)
    return Days(
        minutes=minutes,
        decimals=decimals,
        values=values,
        flags=marks,
        is_over=np.ones(len(values), dtype=np.bool_),
        facts=known,
    )


def gaps(of: Days) -> Gaps:
    """Return that everything missing is wanted, and everything there actual."""
    return Gaps(days=of, known=of.values.copy(), wanted=~of.present, actual=of.present)


def estimated(method: Method, of: Days, *, open_ones: Sequence[int] = (), **limits: Any) -> Estimate:
    """Return what a method offers for all that is missing; holds that nothing it was given has changed.

    `open_ones` are missing, but not wanted: their values may still come.
    """
    given = gaps(of)
    given.wanted[:, list(open_ones)] = False
    before = {fact: known.copy() for fact, known in of.facts.items()}
    estimate = method.estimate(given, method.parameters.model_validate(limits))
    assert (given.known == of.values).all()
    assert all(
        np.array_equal(known, before[fact], equal_nan=known.dtype.kind == "f") for fact, known in of.facts.items()
    )
    assert estimate.values.dtype == np.int64
    assert estimate.values.shape == of.values.shape
    assert ((estimate.confidence >= 0) & (estimate.confidence <= 1)).all()
    filled = (estimate.offered & given.wanted).any(axis=1)
    assert (estimate.confidence[filled] > 0).all()
    assert all(estimate.inputs(int(place)) for place in np.flatnonzero(filled))
    return estimate


def filled(method: Method, of: Days, **limits: Any) -> list[list[float | None]]:
    """Return the days with what a method offers for their gaps."""
    estimate = estimated(method, of, **limits)
    return [quantities(row, of.decimals) for row in np.where(of.present, of.values, estimate.values)]


def history(width: int, by_days_ago: Mapping[int, float | str | Sequence[Any]], decimals: int = DECIMALS) -> Elements:
    """Return one row of HISTORY (35, n): values by how many days ago; one value stands for a whole day."""
    made = np.full((35, width), MISSING, dtype=np.int64)
    for ago, given in by_days_ago.items():
        row = [given] * width if isinstance(given, int | float | str) else given
        made[ago - 1] = elements(row, decimals)
    return made


def weekdays_before(weekday: int) -> list[int]:
    """Return the weekdays of the 35 days before a day."""
    return [(weekday - ago) % 7 for ago in range(1, 36)]
