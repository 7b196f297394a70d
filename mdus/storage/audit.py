"""What people have done to an installation: who, what, why, when; written in the transaction of the deed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Column, Connection, Index, Integer, Table, Text, insert, select

from mdus.storage.column_types import UtcInstant
from mdus.storage.mapping import METADATA, AnyRow, Identity64
from mdus.storage.paging import Page, Way, rows_of_page


@dataclass(frozen=True, kw_only=True, slots=True)
class Deed:
    """Who does something, and why."""

    who: str  # a user of the machine, or rest:<client>
    reason: str

    def note(self, what: str) -> str:
        """Return the note on what is changed."""
        return f"{what} by {self.who}: {self.reason}"


AUDIT = Table(
    "audit",
    METADATA,
    Column("id", Identity64, primary_key=True, autoincrement=True),
    Column("at", UtcInstant, nullable=False),  # business instant
    Column("who", Text, nullable=False),  # a user of the machine, or rest:<client>
    Column("action", Text, nullable=False),
    Column("target", Text, nullable=False),  # what it was done to
    Column("count", Integer, nullable=False),  # how many rows it changed
    Column("reason", Text, nullable=False),
    Index("audit_action", "action", "id"),
)

_WAYS: Final = (Way(columns=("action",)),)


def note_deed(connection: Connection, deed: Deed, *, action: str, target: str, count: int, at: datetime) -> None:
    """Keep what somebody has done."""
    values = {"who": deed.who, "action": action, "target": target[:1000], "count": count, "reason": deed.reason}
    connection.execute(insert(AUDIT).values(at=at, **values))


def deeds(connection: Connection, page: Page, **filters: Any) -> Sequence[AnyRow]:
    """Return what has been done."""
    return rows_of_page(connection, select(AUDIT), AUDIT, page, page.wanted(AUDIT, filters), _WAYS)
