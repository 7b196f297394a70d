"""Billing periods of a point of delivery: from one billing-relevant reading to the next, else calendar months."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import Final

from mdus.domain.meter_reading_selection import Anchor

#: The reasons of periods that no reading ends: a month that is over, a point of delivery that is measured no more.
MONTH: Final = "month"
END: Final = "end"


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Period:
    """Local days, half-open; `reason` is that of the reading that ended it (without leading zeros), MONTH or END."""

    start: date
    end: date
    reason: str

    @property
    def last_day(self) -> date:
        """Return its last day."""
        return self.end - timedelta(days=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Boundary:
    """A billing-relevant reading order: the local day it is for, and which end of that day it means."""

    scheduled_on: date
    anchor: Anchor
    reason: str

    @property
    def on(self) -> date:
        """Return the first day of what follows."""
        return self.scheduled_on + timedelta(days=1 if self.anchor is Anchor.END_OF_DAY else 0)


def periods(
    boundaries: Iterable[Boundary], *, measured_from: date, measured_to: date | None, until: date
) -> list[Period]:
    """Return the periods that have ended by the day `until`, in their order.

    Nothing comes before `measured_from`, and after `measured_to`, the first day without a value. A reading that ends a
    day and one that begins the next are one boundary: the period ended by the reason of the first.
    """
    by_day: dict[date, Boundary] = {}
    for boundary in boundaries:
        known = by_day.get(boundary.on)
        if known is None or _rank(boundary) < _rank(known):
            by_day[boundary.on] = boundary
    last = until if measured_to is None else min(until, measured_to)
    reasons = {on: boundary.reason for on, boundary in by_day.items() if measured_from < on <= last}
    if not by_day:
        reasons = dict.fromkeys(_months(measured_from, last), MONTH)
    if measured_to is not None and measured_from < measured_to <= until:
        reasons.setdefault(measured_to, END)
    days = [measured_from, *sorted(reasons)]
    return [Period(start=start, end=end, reason=reasons[end]) for start, end in pairwise(days)]


def of_day(found: Sequence[Period], day: date) -> Period | None:
    """Return the period that a day is in, None where it is in none that has ended."""
    return next((period for period in found if period.start <= day < period.end), None)


def _rank(boundary: Boundary) -> tuple[bool, str]:
    return boundary.anchor is not Anchor.END_OF_DAY, boundary.reason


def _months(start: date, last: date) -> Iterator[date]:
    """Yield the firsts of months after a day, up to another."""
    on = start.replace(day=1)
    while True:
        on = (on + timedelta(days=32)).replace(day=1)
        if on > last:
            return
        yield on
