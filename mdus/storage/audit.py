"""What people have done to an installation: who, what, why, when; written in the transaction of the deed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Column, Connection, Index, Integer, Table, Text, insert, select

from mdus.storage.column_types import UtcInstant
from mdus.storage.mapping import METADATA, AnyRow, Identity64


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


def note_deed(connection: Connection, deed: Deed, *, action: str, target: str, count: int, at: datetime) -> None:
    """Keep what somebody has done."""
    values = {"who": deed.who, "action": action, "target": target[:1000], "count": count, "reason": deed.reason}
    connection.execute(insert(AUDIT).values(at=at, **values))


def deeds(connection: Connection, *, before: int | None, limit: int, action: str | None = None) -> Sequence[AnyRow]:
    """Return what has been done, the newest first, below the identity `before`."""
    conditions = [AUDIT.c.id < before] if before is not None else []
    if action is not None:
        conditions.append(AUDIT.c.action == action)
    return connection.execute(select(AUDIT).where(*conditions).order_by(AUDIT.c.id.desc()).limit(limit)).all()
