"""How a day's values are parted: by the buckets of a calendar, and into the windows that demand is averaged over.

All that the determinant sets may ask of a reading type on a day is one recipe, told from others by a number. The parts
of a day are computed once by its recipe and stored; they are good as long as the recipe is the same.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mdus.billing.calendar import Places, wall_clock
from mdus.domain.channel import DayGrid


class DemandKind(StrEnum):
    """Over which windows an average is taken."""

    FIXED = "fixed"  # side by side, beginning where the clock shows a multiple of their length
    ROLLING = "rolling"  # one for each interval, that ends with it


class Demand(NamedTuple):
    """A demand: the highest average over windows of so many minutes."""

    kind: DemandKind
    minutes: int


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Schedule:
    """How one day is parted. `places[i]` is the bucket of the i-th interval.

    Demand is averaged over `width` intervals, 0 for no demand: where an interval is longer than a window, nobody knows.
    A window belongs to the bucket of its last interval. `starts` are the first intervals of fixed windows, `lengths`
    says how many each has: a window that a change of clocks has cut has fewer, and no average.
    """

    buckets: tuple[str, ...]
    places: Places
    demand: Demand | None = None
    width: int = 0
    starts: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, dtype=np.intp))
    lengths: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, dtype=np.intp))

    @classmethod
    def of(
        cls, grid: DayGrid, zone: str, *, buckets: tuple[str, ...], places: Places, demand: Demand | None
    ) -> Schedule:
        """Return how a day in an IANA zone is parted."""
        width = demand.minutes // grid.minutes if demand is not None and demand.minutes % grid.minutes == 0 else 0
        if demand is None or not width:
            return cls(buckets=buckets, places=places)
        clock, ahead = wall_clock(grid, zone)
        begins = np.ones(grid.count, dtype=np.bool_)
        begins[1:] = (np.diff(clock // demand.minutes) != 0) | (np.diff(ahead) != 0)
        starts = np.flatnonzero(begins)
        lengths = np.diff(np.append(starts, grid.count))
        return cls(buckets=buckets, places=places, demand=demand, width=width, starts=starts, lengths=lengths)

    @property
    def edge(self) -> int:
        """Return how many intervals at either end of a day make windows with those of its neighbours."""
        return self.width - 1 if self.demand is not None and self.demand.kind is DemandKind.ROLLING else 0

    @property
    def size(self) -> int:
        """Return how many numbers the parts of a day are: sums, peaks and their places by bucket, then both edges."""
        return (3 if self.width else 1) * len(self.buckets) + 2 * self.edge


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Recipe:
    """All ways in which the values of a reading type are parted on a day; none of them twice."""

    schedules: tuple[Schedule, ...]
    number: int

    @classmethod
    def of(cls, schedules: tuple[Schedule, ...]) -> Recipe:
        """Return the recipe with its number, which is the same in every process."""
        told = hashlib.blake2b(digest_size=8)
        for each in schedules:
            told.update(repr((each.buckets, each.demand, each.width)).encode())
            told.update(each.places.tobytes())
        return cls(schedules=schedules, number=int.from_bytes(told.digest(), "little", signed=True))

    @property
    def size(self) -> int:
        """Return how many numbers the parts of a day are."""
        return sum(each.size for each in self.schedules)

    def offset(self, position: int) -> int:
        """Return where the numbers of a schedule begin."""
        return sum(each.size for each in self.schedules[:position])
