"""Figures of a business day, kept so that their course can be read: one number per name and labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Final

#: The kind of case of a sender system too many of whose values are estimated; the case's key is the system.
ESTIMATED_SHARE_HIGH: Final = "estimated_share_high"

#: The same of readings that answered its orders, by head end; the case's key is system and head end.
ESTIMATED_READS_HIGH: Final = "estimated_reads_high"


class KpiName(StrEnum):
    """What is counted of each day, and its labels."""

    OPEN_CASES = "open_cases"  # kind, team, age_class: at the end of the day
    CASES_OPENED = "cases_opened"  # kind
    CASES_CLOSED = "cases_closed"  # kind
    CASE_AGE_DAYS = "case_age_days"  # quantile: working days of the open cases, at the end of the day
    COMPLETENESS = "completeness"  # head_end: share of the intervals of the day that have a value
    ESTIMATED_SHARE = "estimated_share"  # sender_system: share of the day's final interval values that are estimated
    ESTIMATED_READS = "estimated_reads"  # sender_system, head_end: share of the day's reading orders with an estimate
    ESTIMATED_READS_SETTLED = "estimated_reads_settled"  # the same, of the days up to it that none is awaited of
    READING_SECONDS = "reading_seconds"  # quantile: from a reading being measured to it being stored
    BILLING_READY_SECONDS = "billing_ready_seconds"  # quantile: from the end of a day to its values being fit to bill


@dataclass(frozen=True, kw_only=True, slots=True)
class Kpi:
    """One figure of a day."""

    day: date
    name: KpiName
    labels: Mapping[str, str] = field(default_factory=dict)
    value: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """How many of how many."""

    count: int
    of: int

    @property
    def share(self) -> float:
        """Return the part of the whole, 0 where there is nothing."""
        return self.count / self.of if self.of else 0.0

    def __add__(self, other: Part) -> Part:
        """Return the part of both wholes together."""
        return Part(count=self.count + other.count, of=self.of + other.of)


def quantiles(values: list[float]) -> dict[str, float]:
    """Return the median and the value that 95 % do not exceed, none where there are no values."""
    if not values:
        return {}
    ordered = sorted(values)
    return {name: ordered[min(int(share * len(ordered)), len(ordered) - 1)] for name, share in _QUANTILES.items()}


_QUANTILES: Final = {"0.5": 0.5, "0.95": 0.95}


def is_too_much(part: Part, *, percent: float) -> bool:
    """Tell whether more is estimated than may be."""
    return part.of > 0 and part.share * 100 > percent
