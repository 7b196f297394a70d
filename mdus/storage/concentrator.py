"""Data concentrators, the meters behind them, and what head ends say they can do."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, Column, Connection, Table, Text, UniqueConstraint, and_, func, or_, select

from mdus.domain.command import CommandKind
from mdus.domain.head_end import ConcentratorTold, Probe
from mdus.storage.column_types import UtcInstant
from mdus.storage.command import COMMAND
from mdus.storage.keys import among
from mdus.storage.mapping import METADATA, Identity64
from mdus.storage.rows import insert_rows

CONCENTRATOR = Table(
    "concentrator",
    METADATA,
    Column("id", Identity64, primary_key=True, autoincrement=True),
    Column("head_end", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("is_online", Boolean),  # NULL: it has never said
    Column("told_at", UtcInstant, nullable=False),
    UniqueConstraint("head_end", "name", name="concentrator_key"),
)

#: Where a meter was found last.
CONCENTRATOR_METER = Table(
    "concentrator_meter",
    METADATA,
    Column("id", Identity64, primary_key=True, autoincrement=True),
    Column("head_end", Text, nullable=False),
    Column("serial_id", Text, nullable=False),
    Column("concentrator", Text, nullable=False),
    Column("told_at", UtcInstant, nullable=False),
    UniqueConstraint("head_end", "serial_id", name="concentrator_meter_key"),
)

#: What a head end said of itself when it was asked last.
HEAD_END_PROBE = Table(
    "head_end_probe",
    METADATA,
    Column("id", Identity64, primary_key=True, autoincrement=True),
    Column("head_end", Text, nullable=False),
    Column("takes", Text),  # kinds of commands, between spaces; NULL: it does not say
    Column("text", Text, nullable=False),
    Column("probed_at", UtcInstant, nullable=False),
    Column("subscription", Text),  # by which it tells readings; NULL: by none that has a name
    UniqueConstraint("head_end", name="head_end_probe_key"),
)

_TOLD = "CASE WHEN excluded.told_at >= {table}.told_at THEN {new} ELSE {table}.{column} END"


def note_concentrators(connection: Connection, told: Sequence[tuple[str, ConcentratorTold]]) -> None:
    """Keep what concentrators said, with their head end: the latest of each counts, in whatever order it comes.

    What has no instant is of none, and left out: whoever takes it in says when it came.
    """
    newest: dict[tuple[str, str], tuple[bool | None, datetime]] = {}
    meters: dict[tuple[str, str], tuple[str, datetime]] = {}
    dated = [(head_end, each.at, each) for head_end, each in told if each.at is not None]
    for head_end, at, each in sorted(dated, key=lambda one: one[1]):
        before = newest.get((head_end, each.concentrator))
        said = before[0] if each.is_online is None and before is not None else each.is_online
        newest[head_end, each.concentrator] = (said, at)
        meters.update({(head_end, serial): (each.concentrator, at) for serial in each.serials or ()})
    insert_rows(
        connection,
        CONCENTRATOR,
        ("head_end", "name", "is_online", "told_at"),
        [(*key, *values) for key, values in sorted(newest.items())],
        key=("head_end", "name"),
        merged={
            "is_online": _TOLD.format(
                table="concentrator", new="COALESCE(excluded.is_online, concentrator.is_online)", column="is_online"
            ),
            "told_at": _TOLD.format(table="concentrator", new="excluded.told_at", column="told_at"),
        },
    )
    insert_rows(
        connection,
        CONCENTRATOR_METER,
        ("head_end", "serial_id", "concentrator", "told_at"),
        [(*key, *values) for key, values in sorted(meters.items())],
        key=("head_end", "serial_id"),
        merged={
            name: _TOLD.format(table="concentrator_meter", new=f"excluded.{name}", column=name)
            for name in ("concentrator", "told_at")
        },
    )


def note_probe(connection: Connection, head_end: str, probe: Probe, *, now: datetime) -> None:
    """Keep what a head end said of itself."""
    takes = None if probe.takes is None else " ".join(sorted(kind.value for kind in probe.takes))
    insert_rows(
        connection,
        HEAD_END_PROBE,
        ("head_end", "takes", "text", "probed_at", "subscription"),
        [(head_end, takes, probe.text[:500], now, probe.subscription)],
        key=("head_end",),
        replaced=("takes", "text", "probed_at", "subscription"),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Probed:
    """What a head end said of itself, and when."""

    probe: Probe
    at: datetime


def probes(connection: Connection) -> dict[str, Probed]:
    """Return what head ends said of themselves, by name."""
    table = HEAD_END_PROBE
    columns = (table.c[name] for name in ("head_end", "takes", "text", "probed_at", "subscription"))
    rows = connection.execute(select(*columns)).all()
    return {
        row.head_end: Probed(
            probe=Probe(
                takes=None if row.takes is None else frozenset(CommandKind(kind) for kind in row.takes.split()),
                text=row.text,
                subscription=row.subscription,
            ),
            at=row.probed_at,
        )
        for row in rows
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class Concentrator:
    """A data concentrator as it told of itself last, and how many meters are behind it."""

    head_end: str
    name: str
    is_online: bool | None
    told_at: datetime
    meters: int


def concentrators_told(connection: Connection) -> list[Concentrator]:
    """Return all concentrators, by head end and name."""
    table, meter = CONCENTRATOR, CONCENTRATOR_METER
    counted = (
        select(meter.c.head_end, meter.c.concentrator, func.count().label("meters"))
        .group_by(meter.c.head_end, meter.c.concentrator)
        .subquery()
    )
    is_its = and_(counted.c.head_end == table.c.head_end, counted.c.concentrator == table.c.name)
    query = (
        select(table.c.head_end, table.c.name, table.c.is_online, table.c.told_at, counted.c.meters)
        .outerjoin(counted, is_its)
        .order_by(table.c.head_end, table.c.name)
    )
    return [
        Concentrator(
            head_end=row.head_end, name=row.name, is_online=row.is_online, told_at=row.told_at, meters=row.meters or 0
        )
        for row in connection.execute(query).all()
    ]


def concentrators_of(connection: Connection, head_end: str, serials: Collection[str]) -> dict[str, str]:
    """Return the concentrators behind which meters of a head end were found, by serial number."""
    if not serials:
        return {}
    table = CONCENTRATOR_METER
    is_one = among(connection, [table.c.head_end, table.c.serial_id], [(head_end, serial) for serial in serials])
    rows = connection.execute(select(table.c.serial_id, table.c.concentrator).where(is_one)).all()
    return {row.serial_id: row.concentrator for row in rows}


def is_behind(names: Any) -> Any:
    """Return the condition that a command's meter is behind one of these concentrators (names, or a query of them)."""
    table, meter = COMMAND.table, CONCENTRATOR_METER
    return (
        select(meter.c.id)
        .where(
            meter.c.head_end == table.c.head_end,
            meter.c.serial_id == table.c.serial_id,
            meter.c.concentrator.in_(names),
        )
        .exists()
    )


def is_out_of_reach(*, needs_concentrator: bool) -> Any:
    """Return the condition that a command cannot leave: its meter's concentrator is away, or needed and not known."""
    table, meter, there = COMMAND.table, CONCENTRATOR_METER, CONCENTRATOR
    gone = select(there.c.name).where(there.c.head_end == table.c.head_end, there.c.is_online.is_(False))
    away = is_behind(gone.correlate(table))
    if not needs_concentrator:
        return away
    is_found = (
        select(meter.c.id).where(meter.c.head_end == table.c.head_end, meter.c.serial_id == table.c.serial_id).exists()
    )
    return or_(away, ~is_found)
