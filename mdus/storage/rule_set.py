"""Rule sets as staff have them: a row per version, effective from a local date on; config/vee.toml seeds them.

Of the versions of a name that begin by a day the one with the latest beginning counts, of equal ones the newest. A
version that was retired before it began never counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import Boolean, Column, Connection, Date, Integer, Table, Text, UniqueConstraint, func, insert, select
from sqlalchemy import update as update_

from mdus.storage.audit import Deed
from mdus.storage.column_types import UtcInstant
from mdus.storage.mapping import METADATA, AnyRow, Identity64
from mdus.storage.rows import insert_rows
from mdus.vee.rule_set import RuleSetRow

#: Valid from the beginning: no meter has measured anything before.
ALWAYS: Final = date(1970, 1, 1)
_SEEDED_BY: Final = "config"

RULE_SET = Table(
    "rule_set",
    METADATA,
    Column("id", Identity64, primary_key=True, autoincrement=True),
    Column("name", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("valid_from", Date, nullable=False),  # a day of a channel, local where it is
    Column("content", Text, nullable=False),  # JSON of RuleSetRow
    Column("written_at", UtcInstant, nullable=False),
    Column("written_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("retired", Boolean, nullable=False, default=False),  # taken back before it began
    UniqueConstraint("name", "version", name="rule_set_version"),
)

_TABLE: Final = RULE_SET


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleSetVersion:
    """One version of a rule set, and who wrote it, when and why."""

    id: int
    name: str
    version: int
    valid_from: date
    content: str
    written_at: datetime
    written_by: str
    reason: str
    retired: bool

    @property
    def row(self) -> RuleSetRow:
        """Return what the version says. Raises ValidationError where it was written by a release that knew more."""
        return RuleSetRow.model_validate_json(self.content)

    @property
    def title(self) -> str:
        """Return name and version, as values carry it that it has made."""
        return f"{self.name}@{self.version}"


#: What changes whenever anything of the table does: the newest row, and how many are retired.
Mark = tuple[int, int]


def mark(connection: Connection) -> Mark:
    """Return what tells whether the rule sets are still those that somebody has read."""
    row = connection.execute(_marking()).one()
    return int(row[0]), int(row[1])


@cache
def _marking() -> Any:
    """Return the query of `mark`; it is asked so often that making it anew costs more than its answer."""
    retired = select(func.count()).select_from(_TABLE).where(_TABLE.c.retired).scalar_subquery()
    return select(func.coalesce(func.max(_TABLE.c.id), 0), retired)


def versions(connection: Connection, name: str | None = None) -> list[RuleSetVersion]:
    """Return all versions, of one name or of all, by name and version."""
    query = select(_TABLE).order_by(_TABLE.c.name, _TABLE.c.version)
    rows = connection.execute(query if name is None else query.where(_TABLE.c.name == name))
    return [_version(row) for row in rows]


def hold(connection: Connection, name: str) -> list[RuleSetVersion]:
    """Return the versions of a name, which nobody else adds to until the transaction ends (where it has any)."""
    connection.execute(select(_TABLE.c.id).where(_TABLE.c.name == name).order_by(_TABLE.c.id).with_for_update())
    return versions(connection, name)  # once more: what was added while this waited is there now


def in_force(some: Iterable[RuleSetVersion], day: date) -> dict[str, RuleSetVersion]:
    """Return of each name the version that counts on a day."""
    begun = (each for each in some if not each.retired and each.valid_from <= day)
    return {each.name: each for each in sorted(begun, key=lambda each: (each.valid_from, each.version))}


def seed(connection: Connection, rows: Sequence[RuleSetRow], *, now: datetime) -> list[str]:
    """Give names that are not known yet their first version, valid from the beginning; returns those names."""
    known = set(connection.scalars(select(_TABLE.c.name).distinct()))
    fresh = [row for row in rows if row.name not in known]
    insert_rows(
        connection,
        _TABLE,
        ("name", "version", "valid_from", "content", "written_at", "written_by", "reason"),
        [(row.name, 1, ALWAYS, content_of(row), now, _SEEDED_BY, "as configured in vee.toml") for row in fresh],
        key=("name", "version"),
    )
    return [row.name for row in fresh]


def add_version(
    connection: Connection, row: RuleSetRow, deed: Deed, *, version: int, valid_from: date, now: datetime
) -> RuleSetVersion:
    """Store a version; raises IntegrityError where there is one of that number."""
    made = (
        insert(_TABLE)
        .values(
            name=row.name,
            version=version,
            valid_from=valid_from,
            content=content_of(row),
            written_at=now,
            written_by=deed.who,
            reason=deed.reason,
        )
        .returning(_TABLE)
    )
    return _version(connection.execute(made).one())


def retire(connection: Connection, version: RuleSetVersion) -> None:
    """Let a version never count."""
    connection.execute(update_(_TABLE).where(_TABLE.c.id == version.id).values(retired=True))


def content_of(row: RuleSetRow) -> str:
    """Return a rule set as it is stored."""
    return row.model_dump_json()


def _version(row: AnyRow) -> RuleSetVersion:
    return RuleSetVersion(**row._mapping)
