"""The parts of days: sums by bucket and peaks of demand, of a whole block of channels in one pass.

Numbers are those of the channels' arrays, whole and exact; nothing is multiplied or rounded here. A peak is the sum of
a window, not its average yet. A window that lacks a value has no average and no peak.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mdus.billing.schedule import DemandKind, Recipe, Schedule
from mdus.domain.channel import MISSING
from mdus.domain.interval_block import Elements

Mask = NDArray[np.bool_]
Counts = NDArray[np.int64]
Numbers = NDArray[np.int64]

#: Beyond, values of a day could not be added up in 64 bits: nobody's meter counts as far, and it is no value here.
LARGEST: Final = 2**50


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DayParts:
    """The parts of n days: `numbers[n, recipe.size]`, and how many intervals lack, are estimated, are suspect."""

    numbers: Numbers
    missing: Counts
    estimated: Counts
    suspect: Counts


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Peaks:
    """Highest sums of windows by bucket, MISSING for none, and the interval that each begins with."""

    sums: Numbers  # [n, buckets]
    places: Numbers


def day_parts(values: Elements, recipe: Recipe, *, estimated: Mask, suspect: Mask, expected: Mask) -> DayParts:
    """Return the parts of n days of one recipe, from arrays of n rows and a column per interval.

    `expected` are the intervals that count: of the others nothing is added, and none of them lacks.
    """
    there = expected & (values > -LARGEST) & (values < LARGEST)
    added = np.where(there, values, 0)
    numbers = np.empty((len(values), recipe.size), dtype=np.int64)
    at = 0
    for schedule in recipe.schedules:
        _put(numbers[:, at : at + schedule.size], added, there, schedule)
        at += schedule.size
    return DayParts(
        numbers=numbers,
        missing=(expected & ~there).sum(axis=1),
        estimated=(there & estimated).sum(axis=1),
        suspect=(there & suspect).sum(axis=1),
    )


def _put(numbers: Numbers, added: Elements, there: Mask, schedule: Schedule) -> None:
    count = len(schedule.buckets)
    for place in range(count):
        numbers[:, place] = added[:, schedule.places == place].sum(axis=1)
    if not schedule.width:
        return
    peaks = _peaks(added, there, schedule)
    numbers[:, count : 2 * count] = peaks.sums
    numbers[:, 2 * count : 3 * count] = peaks.places
    edge = schedule.edge
    if edge:
        told = np.where(there, added, MISSING)
        numbers[:, 3 * count : 3 * count + edge] = told[:, :edge]
        numbers[:, 3 * count + edge :] = told[:, -edge:]


def _peaks(added: Elements, there: Mask, schedule: Schedule) -> Peaks:
    """Return the highest windows that lie within the days."""
    if schedule.demand is not None and schedule.demand.kind is DemandKind.FIXED:
        starts = schedule.starts
        sums, whole = _fixed(added, there, schedule)
        last = starts + schedule.lengths - 1
    else:
        sums, whole = rolling(added, there, schedule.width)
        starts = np.arange(sums.shape[1])
        last = starts + schedule.width - 1
    return highest(np.where(whole, sums, MISSING), starts, schedule.places[last], len(schedule.buckets))


def _fixed(added: Elements, there: Mask, schedule: Schedule) -> tuple[Numbers, Mask]:
    """Return the sum of each window side by side, and whether all its values are there."""
    width, starts = schedule.width, schedule.starts
    if (schedule.lengths == width).all():
        shape = (len(added), len(starts), width)
        whole: Mask = np.logical_and.reduce(there.reshape(shape), axis=2)
        return added.reshape(shape).sum(axis=2), whole
    counts = np.add.reduceat(there, starts, axis=1, dtype=np.int64)
    return np.add.reduceat(added, starts, axis=1), counts == width


def rolling(added: Elements, there: Mask, width: int) -> tuple[Numbers, Mask]:
    """Return the sum of each window of `width` intervals, and whether all its values are there."""
    sums = np.zeros((added.shape[0], added.shape[1] + 1), dtype=np.int64)
    np.cumsum(added, axis=1, out=sums[:, 1:])
    counts = np.zeros_like(sums)
    np.cumsum(there, axis=1, out=counts[:, 1:])
    whole: Mask = counts[:, width:] - counts[:, :-width] == width
    return sums[:, width:] - sums[:, :-width], whole


def highest(sums: Numbers, starts: NDArray[np.intp], buckets: NDArray[np.uint8], count: int) -> Peaks:
    """Return by bucket the highest of windows that begin at `starts` and belong to `buckets`; the first of equals."""
    peaks = np.full((len(sums), count), MISSING, dtype=np.int64)
    places = np.zeros((len(sums), count), dtype=np.int64)
    for place in range(count):
        mine = np.flatnonzero(buckets == place)
        if len(mine):
            best = sums[:, mine].argmax(axis=1)
            peaks[:, place] = sums[np.arange(len(sums)), mine[best]]
            places[:, place] = starts[mine[best]]
    return Peaks(sums=peaks, places=places)
