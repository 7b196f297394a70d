"""When many cases are one: a dead concentrator is one exception, not 400; an area that drops is a storm.

| place                      | enough cases of missing data      | what becomes of them                   |
|----------------------------|-----------------------------------|----------------------------------------|
| head end, or an area of it | `group_members` and `group_share` | members of one case of the root cause  |
| head end, or an area of it | `storm_members` and `storm_share` | members of the storm, due dates paused |

The whole head end is looked at before its areas: where enough of all its meters lack, it is the head end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from mdus.settings import Settings

#: The kinds of the cases that stand for many.
ROOT_CAUSE: Final = "root_cause"
STORM: Final = "storm"


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Place:
    """A head end, or one area of it."""

    head_end: str
    area: str | None = None

    def __str__(self) -> str:
        return self.head_end if self.area is None else f"{self.head_end}, {self.area}"

    @property
    def key(self) -> str:
        """Return the name in keys of cases."""
        return f"{self.head_end}/{self.area or '*'}"

    def covers(self, other: Place) -> bool:
        """Tell whether the other is this place or part of it."""
        return self.head_end == other.head_end and self.area in (None, other.area)


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupingRules:
    """From when on many are one, from the section `exceptions` of the settings."""

    group_members: int = 10
    group_share: float = 0.3
    group_window: timedelta = timedelta(days=1)
    storm_members: int = 50
    storm_share: float = 0.5
    storm_over_share: float = 0.2
    storm_window: timedelta = timedelta(days=1)

    @classmethod
    def of(cls, settings: Settings) -> GroupingRules:
        """Return the rules that the settings say."""
        told = settings.exceptions
        return cls(
            group_members=told.group_members,
            group_share=told.group_share,
            group_window=timedelta(minutes=told.group_window_minutes),
            storm_members=told.storm_members,
            storm_share=told.storm_share,
            storm_over_share=told.storm_over_share,
            storm_window=timedelta(minutes=told.storm_window_minutes),
        )

    def is_one_cause(self, affected: int, *, of: int) -> bool:
        """Tell whether so many meters with cases, of all of a place, have one cause."""
        return affected >= self.group_members and affected >= self.group_share * of

    def is_storm(self, affected: int, *, of: int) -> bool:
        """Tell whether so many meters without data, of all of a place, are a storm."""
        return affected >= self.storm_members and affected >= self.storm_share * of

    def is_over(self, affected: int, *, of: int) -> bool:
        """Tell whether enough meters of a place that had a storm report again."""
        return affected < self.storm_over_share * of or affected == 0


def worth_counting(affected: Mapping[Place, int], *, least: int) -> Iterator[Place]:
    """Yield the places with enough cases, head ends before areas: only their meters need be counted."""
    yield from sorted(place for place in affected if place.area is None and affected[place] >= least)
    yield from sorted(
        (place for place in affected if place.area is not None and affected[place] >= least),
        key=lambda place: (place.head_end, place.area or ""),
    )


def whole_head_ends(by_area: Mapping[Place, int]) -> dict[Place, int]:
    """Return the counts with those of each whole head end; what lies in no known area has the area ''."""
    counted = {place: count for place, count in by_area.items() if place.area}
    for place, count in by_area.items():
        whole = Place(head_end=place.head_end)
        counted[whole] = counted.get(whole, 0) + count
    return counted
