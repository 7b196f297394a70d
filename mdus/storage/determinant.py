"""Determinants in tables: versions stay, the newest of each is marked, ids go in the order of commits.

A consumer reads on from the last id it has seen. So that none is committed behind its back with a lower one, versions
are written by one transaction at a time.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import fields
from datetime import date, datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Date,
    FromClause,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    and_,
    case,
    exists,
    func,
    literal_column,
    or_,
    select,
    text,
)

from mdus.billing.determinant import (
    DETERMINANTS_HELD,
    GATE_WORDS,
    Determinant,
    DeterminantStatus,
    VersionCause,
    case_key,
    released_by_hand,
)
from mdus.billing.determinant_set import DeterminantSetAssignment
from mdus.storage.audit import Deed, note_deed
from mdus.storage.column_types import EnumText, ExactDecimal, UtcInstant
from mdus.storage.exception_case import close_cases
from mdus.storage.keys import among
from mdus.storage.mapping import METADATA, AnyRow, Identity64, ValueTable
from mdus.storage.registry import USAGE_POINT
from mdus.storage.rows import insert_rows, update_rows

DETERMINANT_SET_ASSIGNMENT = ValueTable(
    DeterminantSetAssignment, "determinant_set_assignment", indexes=[("assigned_at",)]
)

DETERMINANT = Table(
    "determinant",
    METADATA,
    Column("id", Identity64, primary_key=True, autoincrement=True),
    Column("sender_system", Text, nullable=False),
    Column("point_of_delivery_id", Text, nullable=False),
    Column("period_from", Date, nullable=False),
    Column("period_to", Date, nullable=False),
    Column("reason", Text, nullable=False),
    Column("reading_type", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("is_newest", Boolean, nullable=False),
    Column("quantity", ExactDecimal, nullable=False),
    Column("unit", Text, nullable=False),
    Column("peak_at", UtcInstant),
    Column("intervals", Integer, nullable=False),
    Column("missing", Integer, nullable=False),
    Column("estimated", Integer, nullable=False),
    Column("status", EnumText(DeterminantStatus), nullable=False),
    Column("gate_reason", Text),
    Column("cause", EnumText(VersionCause), nullable=False),
    Column("made_at", UtcInstant, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("replaces", BigInteger),
    UniqueConstraint(
        "sender_system",
        "point_of_delivery_id",
        "period_from",
        "period_to",
        "reading_type",
        "name",
        "version",
        name="determinant_key",
    ),
    Index(
        "determinant_newest",
        "sender_system",
        "point_of_delivery_id",
        "period_to",
        sqlite_where=text("is_newest"),
        postgresql_where=text("is_newest"),
    ),
    Index(
        "determinant_held",
        "id",
        sqlite_where=text("is_newest AND status = 'held'"),
        postgresql_where=text("is_newest AND status = 'held'"),
    ),
    Index("determinant_point_of_delivery_id", "point_of_delivery_id", "id"),
    Index("determinant_made_at", "made_at", "id"),
)

#: The lock of whoever writes versions on PostgreSQL; SQLite has one writer.
_WRITING: Final = 0x42494C4C
#: Ids looked through for one page that few versions may be of.
_LOOKED_THROUGH: Final = 20_000

_IS_NEWEST: Final[ColumnElement[bool]] = literal_column("determinant.is_newest")
_IS_HELD: Final[ColumnElement[bool]] = literal_column("determinant.is_newest AND determinant.status = 'held'")
_NAMES: Final = tuple(field.name for field in fields(Determinant) if field.name != "id")

PointKey = tuple[str, str]  # sender system, point of delivery


def newest_of(connection: Connection, points: Collection[PointKey], *, since: date) -> list[Determinant]:
    """Return the newest versions of points of delivery whose periods ended on a day or later."""
    table = DETERMINANT
    of_points = among(connection, [table.c.sender_system, table.c.point_of_delivery_id], points)
    query = select(table).where(_IS_NEWEST, of_points, table.c.period_to >= since).order_by(table.c.id)
    return [determinant(row) for row in connection.execute(query)] if points else []


def alone(connection: Connection) -> None:
    """Let no other transaction write versions until this one ends: called before what they are made from is read."""
    if connection.dialect.name != "sqlite":
        connection.execute(select(func.pg_advisory_xact_lock(_WRITING)))


def write_versions(connection: Connection, versions: Sequence[Determinant]) -> None:
    """Store new versions; those that they replace are the newest no more."""
    replaced = [(False, version.replaces) for version in versions if version.replaces is not None]
    update_rows(connection, DETERMINANT, ("is_newest",), replaced, by=("id",))
    rows = [(True, *(getattr(version, name) for name in _NAMES)) for version in versions]
    insert_rows(connection, DETERMINANT, ("is_newest", *_NAMES), rows)


def determinant(row: AnyRow) -> Determinant:
    """Return the version that a row of the table is."""
    return Determinant(id=row.id, **{name: getattr(row, name) for name in _NAMES})


def find(connection: Connection, identity: int) -> AnyRow | None:
    """Return the row of one version."""
    return connection.execute(select(DETERMINANT).where(DETERMINANT.c.id == identity)).first()


def release(connection: Connection, identity: int, deed: Deed, *, now: datetime) -> AnyRow | None:
    """Release a held version, noted in the audit, and close the period's case with its last one; returns the new row.

    None where it is not held, or not the newest of its determinant any more.
    """
    alone(connection)
    held = connection.execute(select(DETERMINANT).where(DETERMINANT.c.id == identity, _IS_HELD)).first()
    if held is None:
        return None
    version = released_by_hand(determinant(held), by=deed.who, reason=deed.reason, now=now)
    write_versions(connection, [version])
    system, point, _, period_to, *_ = version.key
    note_deed(
        connection,
        deed,
        action="determinant released",
        target=f"{system}/{point} {version.period_from} to {period_to} {version.reading_type} {version.name}",
        count=1,
        at=now,
    )
    others = newest_of(connection, [(system, point)], since=period_to)
    if not any(each.status is DeterminantStatus.HELD and each.period_to == period_to for each in others):
        close_cases(connection, DETERMINANTS_HELD, [case_key(system, point, period_to)], now=now)
    return connection.execute(select(DETERMINANT).where(DETERMINANT.c.replaces == identity, _IS_NEWEST)).first()


class Page(NamedTuple):
    """Versions in the order of their ids, and the id up to which there are no others that are meant."""

    rows: Sequence[AnyRow]
    up_to: int


def versions_after(
    connection: Connection,
    after: int,
    *,
    limit: int,
    systems: Collection[str] | None = None,
    newest: bool = False,
    **filters: Any,
) -> Page:
    """Return versions with ids above `after`; those of a point of delivery by index, else from a bounded part of all.

    `systems` are the sender systems the caller may see; `newest` leaves out what has been replaced.
    """
    table = DETERMINANT
    conditions = [table.c[name] == value for name, value in filters.items() if value is not None]
    if systems is not None:
        conditions.append(table.c.sender_system.in_(sorted(systems)))
    if newest:
        conditions.append(_IS_HELD if filters.get("status") is DeterminantStatus.HELD else _IS_NEWEST)
    last: int = connection.execute(select(func.max(table.c.id))).scalar() or 0
    if last <= after:
        return Page((), after)
    by_index = filters.get("point_of_delivery_id") is not None or (
        newest and filters.get("status") is DeterminantStatus.HELD
    )
    end = last if by_index else min(last, after + _LOOKED_THROUGH)
    query = select(table).where(table.c.id > after, table.c.id <= end, *conditions).order_by(table.c.id).limit(limit)
    rows = connection.execute(query).all()
    return Page(rows, rows[-1].id if len(rows) == limit else end)


def versions_made(
    connection: Connection, start: datetime, end: datetime, *, after: int = 0, limit: int
) -> Sequence[AnyRow]:
    """Return versions made between two instants, half-open, in the order they were made.

    Who goes on from the last of a page gives its instant as `start`, and its id as `after`.
    """
    table = DETERMINANT
    query = (
        select(table)
        .where(table.c.made_at >= start, table.c.made_at < end, or_(table.c.made_at > start, table.c.id > after))
        .order_by(table.c.made_at, table.c.id)
        .limit(limit)
    )
    return connection.execute(query).all()


def held(connection: Connection) -> dict[str, int]:
    """Return how many newest versions are held, by the gate whose reason they have."""
    table = DETERMINANT
    gate = case(*((table.c.gate_reason.contains(said), of.value) for of, said in GATE_WORDS.items()), else_="other")
    query = select(gate, func.count()).where(_IS_HELD).group_by(gate)
    return {row[0]: row[1] for row in connection.execute(query)}


def held_since(connection: Connection) -> datetime | None:
    """Return since when the oldest of them is held, whatever versions of it were held since; None where none is."""
    table, other, first = DETERMINANT, DETERMINANT.alias(), DETERMINANT.alias()
    names = ("sender_system", "point_of_delivery_id", "period_from", "period_to", "reading_type", "name")

    def of_same(version: FromClause) -> ColumnElement[bool]:
        return and_(*(version.c[name] == table.c[name] for name in names))

    last_other = (
        select(func.coalesce(func.max(other.c.version), 0))
        .where(of_same(other), other.c.status != DeterminantStatus.HELD)
        .scalar_subquery()
    )
    query = (
        select(func.min(first.c.made_at))
        .select_from(table.join(first, of_same(first)))
        .where(_IS_HELD, first.c.version == last_other + 1)
    )
    at: datetime | None = connection.execute(query).scalar()
    return at


def undetermined(connection: Connection, *, start: datetime, end: datetime, until: date) -> list[PointKey]:
    """Return the points of delivery that were measured between two instants and have no period that ended on a day."""
    table, point = DETERMINANT, USAGE_POINT.table
    known = exists().where(
        table.c.sender_system == point.c.sender_system,
        table.c.point_of_delivery_id == point.c.point_of_delivery_id,
        table.c.period_to == until,
        _IS_NEWEST,
    )
    query = (
        select(point.c.sender_system, point.c.point_of_delivery_id)
        .where(point.c.valid_from < end, or_(point.c.valid_to.is_(None), point.c.valid_to > start), ~known)
        .distinct()
    )
    return [(row[0], row[1]) for row in connection.execute(query)]


def newly_assigned(connection: Connection, *, since: datetime) -> list[PointKey]:
    """Return the points of delivery that were assigned a set at an instant or later."""
    table = DETERMINANT_SET_ASSIGNMENT.table
    query = select(table.c.sender_system, table.c.point_of_delivery_id).where(table.c.assigned_at >= since).distinct()
    return [(row[0], row[1]) for row in connection.execute(query)]
