"""What staff have done to the values of final versions: a row per interval, with what was before and after.

An edit that was undone stays, and so does the undoing: nothing here is ever deleted.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Connection, Date, Index, Integer, Table, Text, select, update

from mdus.domain.reading_quality import QualitySet
from mdus.storage.column_types import EnumText, ExactDecimal, UtcInstant
from mdus.storage.mapping import METADATA, AnyRow, Identity64
from mdus.storage.rows import insert_rows
from mdus.vee.editing import Act, Edit, Told

INTERVAL_EDIT = Table(
    "interval_edit",
    METADATA,
    Column("id", Identity64, primary_key=True, autoincrement=True),
    Column("channel_id", BigInteger, nullable=False),
    Column("day", Date, nullable=False),  # local to the channel's zone
    Column("version", Integer, nullable=False),  # the final version that the edit made
    Column("position", Integer, nullable=False),
    Column("act", EnumText(Act), nullable=False),
    Column("value_before", ExactDecimal),
    Column("codes_before", Text, nullable=False),
    Column("value_after", ExactDecimal),
    Column("codes_after", Text, nullable=False),
    Column("written_at", UtcInstant, nullable=False),
    Column("written_by", Text, nullable=False),  # a user of the machine, or rest:<client>
    Column("reason", Text, nullable=False),
    Column("is_undone", Boolean, nullable=False, default=False),
    Index("interval_edit_day", "channel_id", "day", "id"),
)

_TABLE: Final = INTERVAL_EDIT
_COLUMNS: Final = (
    "channel_id",
    "day",
    "version",
    "position",
    "act",
    "value_before",
    "codes_before",
    "value_after",
    "codes_after",
    "written_at",
    "written_by",
    "reason",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredEdit:
    """An edit with its number, the version it made, and whether it has been undone."""

    id: int
    version: int
    is_undone: bool
    edit: Edit


def write_edits(connection: Connection, channel_id: int, day: date, version: int, edits: Sequence[Edit]) -> None:
    """Store what was done to intervals of a day."""
    rows = [
        (
            channel_id,
            day,
            version,
            edit.position,
            edit.act,
            edit.before.value,
            str(edit.before.qualities),
            edit.after.value,
            str(edit.after.qualities),
            edit.at,
            edit.by,
            edit.why,
        )
        for edit in edits
    ]
    insert_rows(connection, _TABLE, _COLUMNS, rows)


def edits_of(connection: Connection, channel_id: int, day: date) -> list[StoredEdit]:
    """Return all edits of a day, oldest first."""
    query = select(_TABLE).where(_TABLE.c.channel_id == channel_id, _TABLE.c.day == day).order_by(_TABLE.c.id)
    return [_edit(row) for row in connection.execute(query)]


def note_undone(connection: Connection, numbers: Collection[int]) -> None:
    """Note that edits have been undone."""
    connection.execute(update(_TABLE).where(_TABLE.c.id.in_(sorted(numbers))).values(is_undone=True))


def _edit(row: AnyRow) -> StoredEdit:
    return StoredEdit(
        id=row.id,
        version=row.version,
        is_undone=row.is_undone,
        edit=Edit(
            act=row.act,
            position=row.position,
            before=Told(value=row.value_before, qualities=QualitySet(tuple(row.codes_before.split()))),
            after=Told(value=row.value_after, qualities=QualitySet(tuple(row.codes_after.split()))),
            by=row.written_by,
            why=row.reason,
            at=row.written_at,
        ),
    )
