"""What head ends told, decoded, on its way into the tables; and what taking it in shows beside what it writes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from mdus.domain.head_end import FieldEvent

DeviceKey = tuple[str, str]  # sender system, device id


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """The events of one delivery, decoded; `is_again`: it was read before, `is_explained`: by other tables than now."""

    delivery_id: int
    head_end: str
    received_at: datetime
    events: tuple[FieldEvent, ...]
    is_again: bool = False
    is_explained: bool = False


@dataclass(kw_only=True, slots=True)
class Taken:
    """What a batch showed: which meters were heard and when, and what has no place yet.

    Whoever takes a part of a batch in returns one; signs of life are written once for all of them, in one order.
    """

    heard: dict[DeviceKey, tuple[datetime, datetime]] = field(default_factory=dict)  # first and last instant
    unplaced: dict[int, list[str]] = field(default_factory=dict)  # by delivery: why

    def note_heard(self, device: DeviceKey, first: datetime, last: datetime | None = None) -> None:
        """Note that a meter communicated at an instant, or at both ends of a time."""
        last = first if last is None else last
        known = self.heard.get(device)
        self.heard[device] = (first, last) if known is None else (min(known[0], first), max(known[1], last))

    def note_unplaced(self, delivery_id: int, reason: str) -> None:
        """Note that a part of a delivery has no place yet, and why."""
        self.unplaced.setdefault(delivery_id, []).append(reason)

    def add(self, other: Taken) -> None:
        """Add what another part of the batch showed."""
        for device, (first, last) in other.heard.items():
            self.note_heard(device, first, last)
        for delivery_id, reasons in other.unplaced.items():
            self.unplaced.setdefault(delivery_id, []).extend(reasons)
