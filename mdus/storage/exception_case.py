"""Cases that a job opens by what it finds and closes when it finds it no more, and how many are open."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, exists, func, select, update

from mdus.domain.exception_case import ExceptionCase
from mdus.storage.facts import EXCEPTION_CASE
from mdus.storage.keys import among

if TYPE_CHECKING:
    from mdus.storage.session import UnitOfWork

_TABLE = EXCEPTION_CASE.table

#: A message to SAP that could not be delivered; the case's key is its UUID.
DEAD_MESSAGE: Final = "dead_message"

#: An item of SAP's that could not be decided; the case's key is its id.
DEAD_ITEM: Final = "dead_item"


#: A delivery of a head end that is unreadable, or found no place; the case's key is head end and id.
DEAD_DELIVERIES: Final = ("delivery_unreadable", "delivery_unmatched", "delivery_lines_unreadable")


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """How many cases were opened, stayed open, and were closed."""

    opened: int
    still_open: int
    closed: int

    def __add__(self, other: Kept) -> Kept:
        return Kept(
            opened=self.opened + other.opened,
            still_open=self.still_open + other.still_open,
            closed=self.closed + other.closed,
        )

    def __str__(self) -> str:
        return f"{self.opened} cases opened, {self.still_open} still open, {self.closed} closed"


def keep_cases(
    connection: Connection,
    kinds: Collection[str],
    found: Mapping[tuple[str, str], str],
    *,
    now: datetime,
    left: Collection[str] = (),
) -> Kept:
    """Make the open cases of these kinds those that were found: (kind, case key) -> note.

    A case that stays open keeps the instant it was opened; one that is found again is opened anew. The keys that are
    `left` could not be looked at: their cases stay as they are.
    """
    query = EXCEPTION_CASE.select().where(_TABLE.c.kind.in_(sorted(kinds)), _TABLE.c.closed_at.is_(None))
    stored = {(case.kind, case.case_key): case for case in EXCEPTION_CASE.fetch(connection, query)}
    opened = [
        ExceptionCase(kind=kind, case_key=key, opened_at=now, note=note)
        for (kind, key), note in found.items()
        if (kind, key) not in stored
    ]
    changed = [
        replace(stored[name], note=note) for name, note in found.items() if name in stored and stored[name].note != note
    ]
    closed = [
        replace(case, closed_at=now) for name, case in stored.items() if name not in found and case.case_key not in left
    ]
    if opened or changed or closed:
        EXCEPTION_CASE.write(connection, [*opened, *changed, *closed])
    return Kept(opened=len(opened), still_open=len(stored) - len(closed), closed=len(closed))


def close_cases(connection: Connection, kind: str, keys: Collection[str], *, now: datetime) -> int:
    """Close the open cases of a kind with these keys; returns how many there were."""
    if not keys:
        return 0
    is_meant = among(connection, [_TABLE.c.kind, _TABLE.c.case_key], {(kind, key) for key in keys})
    closed = connection.execute(update(_TABLE).where(is_meant, _TABLE.c.closed_at.is_(None)).values(closed_at=now))
    return closed.rowcount


def close_for(uow: UnitOfWork, kind: str, keys: Collection[str], now: datetime) -> int:
    """Close the open cases of a kind about these keys, for what was missing or doubted has come; returns how many.

    The group they belong to, and its line in the work list, follows by itself.
    """
    return close_cases(uow.connection, kind, keys, now=now)


def close_rare(uow: UnitOfWork, kind: str, keys: Iterable[str], now: datetime) -> int:
    """Close the open cases of a kind that seldom has any about these keys; returns how many.

    Where none of the kind is open that is one look at an index, and the keys stay where they are.
    """
    is_open = exists().where(_TABLE.c.kind == kind, _TABLE.c.closed_at.is_(None))
    return close_for(uow, kind, set(keys), now) if uow.connection.execute(select(is_open)).scalar() else 0


def open_cases(connection: Connection) -> dict[str, int]:
    """Return how many cases of each kind are open."""
    query = select(_TABLE.c.kind, func.count()).where(_TABLE.c.closed_at.is_(None)).group_by(_TABLE.c.kind)
    return {row[0]: row[1] for row in connection.execute(query.order_by(_TABLE.c.kind))}
