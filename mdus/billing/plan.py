"""Where the numbers of one determinant set stand in the parts of a channel's days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mdus.billing.schedule import Recipe, Schedule


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Layout:
    """Days whose numbers stand in the same places: their buckets, the first place, the windows of demand."""

    days: NDArray[np.bool_]
    schedule: Schedule  # of one of them: on others intervals may be in other buckets
    offset: int


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Plan:
    """The days of a span: the number of each recipe, how many intervals each has, and in what layout it is."""

    recipes: NDArray[np.int64]
    counts: NDArray[np.int64]
    layouts: tuple[Layout, ...]
    schedules: tuple[Schedule, ...]

    @classmethod
    def of(cls, days: Sequence[tuple[Recipe, Schedule]]) -> Plan:
        """Return the plan of days in their order, each with its recipe and the schedule of it that is meant."""
        offsets = [recipe.offset(recipe.schedules.index(schedule)) for recipe, schedule in days]
        alike = [
            (schedule.buckets, schedule.demand, schedule.width, offset)
            for (_, schedule), offset in zip(days, offsets, strict=True)
        ]
        layouts = []
        for one in dict.fromkeys(alike):
            mine = np.array([each == one for each in alike], dtype=np.bool_)
            first = int(mine.argmax())
            layouts.append(Layout(days=mine, schedule=days[first][1], offset=offsets[first]))
        return cls(
            recipes=np.array([recipe.number for recipe, _ in days], dtype=np.int64),
            counts=np.array([len(schedule.places) for _, schedule in days], dtype=np.int64),
            layouts=tuple(layouts),
            schedules=tuple(schedule for _, schedule in days),
        )
