"""What needs a human: one open case per kind and key."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar, Final

from mdus.domain.value import Value

#: The kind of exception case of a confirmation of SAP's that confirms nothing we sent.
CONFIRMATION_UNMATCHED: Final = "confirmation_unmatched"

#: The kind of exception case of a channel's day whose values a human must see.
VALUES_NOT_FIT: Final = "values_not_fit"


@dataclass(frozen=True, kw_only=True, slots=True)
class ExceptionCase(Value):
    """A situation that no retry mends; opening the same kind and key again changes only its note."""

    KEY: ClassVar[tuple[str, ...]] = ("kind", "case_key")

    kind: str
    case_key: str
    opened_at: datetime
    closed_at: datetime | None = None
    note: str


def closed(cases: Iterable[ExceptionCase], *, now: datetime) -> tuple[ExceptionCase, ...]:
    """Return those of the cases that are open, closed."""
    return tuple(replace(case, closed_at=now) for case in cases if case.closed_at is None)
