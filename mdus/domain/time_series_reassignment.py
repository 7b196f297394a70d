"""What becomes of a profile's assignments when SAP tells them anew, and which days that bears on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import combinations, pairwise
from typing import Final

from mdus.domain.local_time import local_day
from mdus.domain.register import Register
from mdus.domain.time_series import TimeSeriesAssignment, register_span
from mdus.domain.time_series_upload import TimeSeriesLook
from mdus.domain.value import Remove, Value

_A_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reassignment:
    """What SAP lists of one profile beside what is stored of it; a complete list replaces what is stored.

    An incomplete one adds, and replaces what it names by start.
    """

    listed: Sequence[TimeSeriesAssignment]
    stored: Sequence[TimeSeriesAssignment]
    complete: bool

    @property
    def others(self) -> list[TimeSeriesAssignment]:
        """Return what is stored and not named."""
        named = {assignment.key for assignment in self.listed}
        return [each for each in self.stored if each.key not in named]

    @property
    def becoming(self) -> list[TimeSeriesAssignment]:
        """Return the assignments of the profile from then on, in the order of time."""
        kept = () if self.complete else self.others
        return sorted((*self.listed, *kept), key=lambda each: each.valid_from)

    @property
    def overlap(self) -> tuple[TimeSeriesAssignment, TimeSeriesAssignment] | None:
        """Return the first two assignments by which the profile would be on two numbers at once, or None."""
        return next((pair for pair in pairwise(self.becoming) if pair[0].overlaps(pair[1])), None)

    def changes(self) -> Iterator[Value | Remove]:
        """Yield what makes the stored assignments those listed; what says the same stays, with when it was said."""
        if self.complete:
            yield from (Remove(TimeSeriesAssignment, each.key) for each in self.others)
        yield from self._fresh

    def look(self, *, zone: str, backfill: timedelta, now: datetime) -> TimeSeriesLook | None:
        """Return the look at all days that the news bears on, at most `backfill` ago; None where there is no news.

        Nor is there one of values that stay here. `zone` is that of the sender system.
        """
        before = {each.key: each for each in self.stored}
        since = min((_differs_from(each, before.get(each.key)) for each in self._fresh), default=None)
        if since is None or any(each.remotely_stored for each in self.listed):
            return None
        return TimeSeriesLook(
            sender_system=self.listed[0].sender_system,
            time_series_id=self.listed[0].time_series_id,
            # From the day before, for the days of a channel may begin in another zone; a look at nothing does no harm.
            day=local_day(max(since, now - backfill) - _A_DAY, zone=zone),
            due_at=now,
            onward=True,
        )

    @property
    def _fresh(self) -> list[TimeSeriesAssignment]:
        before = {each.key: each for each in self.stored}
        return [each for each in self.listed if not _says_the_same(each, before.get(each.key))]


def holders(registers: Iterable[Register], assignment: TimeSeriesAssignment, *, zone: str) -> list[Register]:
    """Return the registers that carry their number within the time of an assignment; `zone` is the sender's."""
    found = []
    for register in registers:
        start, end = register_span(register, zone=zone)
        begins = assignment.valid_to is None or start < assignment.valid_to
        if begins and (end is None or assignment.valid_from < end):
            found.append(register)
    return found


def held_at_once(registers: Sequence[Register]) -> tuple[Register, Register] | None:
    """Return the first two of registers with one number that have it on the same day, or None."""
    return next((pair for pair in combinations(registers, 2) if pair[0].overlaps(pair[1])), None)


def _says_the_same(assignment: TimeSeriesAssignment, before: TimeSeriesAssignment | None) -> bool:
    return before is not None and replace(assignment, assigned_at=before.assigned_at) == before


def _differs_from(assignment: TimeSeriesAssignment, before: TimeSeriesAssignment | None) -> datetime:
    """Return the instant from which an assignment says something new."""
    if before is None or not _says_the_same(replace(assignment, valid_to=before.valid_to), before):
        return assignment.valid_from
    ends = [end for end in (before.valid_to, assignment.valid_to) if end is not None]
    return min(ends, default=assignment.valid_from)
