"""What is under way and what comes next: for readiness, metrics, and whoever steers a simulated clock."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import ColumnElement, Connection, Select, Table, and_, func, select

from mdus.domain.command import CommandStatus
from mdus.settings import data_folder
from mdus.storage.command import (
    COMMAND,
    COMMAND_IS_READY,
    COMMAND_IS_UNDER_WAY,
    DELIVERY_IS_OPEN,
    HEAD_END_DELIVERY,
)
from mdus.storage.device_limit import DEVICE_LIMIT, LIMIT_ENDS
from mdus.storage.end_device_event import END_DEVICE_EVENT, EVENT_IS_DUE, EVENT_IS_TOLD
from mdus.storage.job import LEASE, real_now
from mdus.storage.message import (
    ITEM,
    ITEM_IS_DECIDED,
    ITEM_IS_READY,
    ITEM_IS_WAITING,
    MESSAGE,
    MESSAGE_IS_READY,
    MESSAGE_IS_SENDING,
)
from mdus.storage.meter_reading_document import DOCUMENT_IS_ORDERED, DOCUMENT_IS_READ, METER_READING_DOCUMENT
from mdus.storage.time_series import TIME_SERIES_UPLOAD, UPLOAD_IS_DUE

_COMMAND = COMMAND.table
_DOCUMENT = METER_READING_DOCUMENT.table
_EVENT = END_DEVICE_EVENT.table


class Queue(NamedTuple):
    """Rows that wait for a worker, and how long the oldest has."""

    name: str
    depth: int
    age_seconds: float


def queues(connection: Connection, *, now: datetime) -> list[Queue]:
    """Return what waits for each kind of worker; ages in business time."""
    waiting: list[tuple[str, ColumnElement[Any], ColumnElement[bool]]] = [
        ("inbox", ITEM.c.stored_at, ITEM_IS_READY),
        ("outbox", MESSAGE.c.stored_at, MESSAGE_IS_READY),
        ("head_end", _COMMAND.c.not_before, _ready_command(now)),
        ("deliveries", HEAD_END_DELIVERY.c.received_at, _new_delivery()),
        ("events", _EVENT.c.told_at, EVENT_IS_TOLD),
    ]
    found = []
    for name, since, condition in waiting:
        depth, oldest = connection.execute(select(func.count(), func.min(since)).where(condition)).one()
        age = 0.0 if oldest is None else max(0.0, (now - oldest).total_seconds())
        found.append(Queue(name, depth, age))
    return found


def in_flight(connection: Connection, *, now: datetime) -> dict[str, int]:
    """Count what moves by itself, without business time passing.

    Items awaiting or parked, future commands and commands a head end has accepted are not among it: they wait for an
    instant, which `next_due` tells, or for the head end, which has an activity of its own.
    """
    return {
        "messages": _count(connection, MESSAGE, MESSAGE_IS_READY) + _count(connection, MESSAGE, MESSAGE_IS_SENDING),
        "items": _count(connection, ITEM, ITEM_IS_READY) + _count(connection, ITEM, ITEM_IS_DECIDED),
        "commands": _count(
            connection, _COMMAND, and_(COMMAND_IS_UNDER_WAY, _COMMAND.c.status == CommandStatus.SUBMITTING)
        )
        + _count(connection, _COMMAND, _ready_command(now)),
        "deliveries": _count(connection, HEAD_END_DELIVERY, _new_delivery()),
        "documents": _count(connection, _DOCUMENT, DOCUMENT_IS_READ),
        "events": _count(connection, _EVENT, EVENT_IS_TOLD) + _count(connection, _EVENT, EVENT_IS_DUE),
        "profiles": _count(connection, TIME_SERIES_UPLOAD.table, UPLOAD_IS_DUE),
    }


def next_due(connection: Connection, *, now: datetime) -> datetime | None:
    """Return the earliest business instant at which something stored becomes due, None when nothing will.

    It may have passed: then a worker is about to see to it, and the clock must not jump.
    """
    questions: list[Select[Any]] = [
        select(func.min(ITEM.c.until)).where(ITEM_IS_WAITING),
        select(func.min(_COMMAND.c.not_before)).where(COMMAND_IS_READY, _COMMAND.c.not_before > now),
        select(func.min(_COMMAND.c.expires_at)).where(COMMAND_IS_READY),
        select(func.min(_COMMAND.c.answer_by)).where(COMMAND_IS_UNDER_WAY, _COMMAND.c.status == CommandStatus.ACCEPTED),
        select(func.min(_DOCUMENT.c.next_try_at)).where(DOCUMENT_IS_ORDERED),
        select(func.min(DEVICE_LIMIT.table.c.look_at)).where(LIMIT_ENDS),
    ]
    instants = [connection.execute(question).scalar() for question in questions]
    return min((instant for instant in instants if instant is not None), default=None)


def lease_ages(connection: Connection) -> dict[str, float]:
    """Return the seconds each lease is still held; negative: for how long it has run out."""
    present = real_now(connection)
    return {
        row.name: (row.until - present).total_seconds()
        for row in connection.execute(select(LEASE.c.name, LEASE.c.until))
    }


def missing_migrations(connection: Connection) -> list[str]:
    """Return the revisions this version of MDUS needs and the database has not seen."""
    scripts = ScriptDirectory(str(data_folder("migrations")))
    needed = {script.revision for script in scripts.walk_revisions()}
    seen = set()
    for head in MigrationContext.configure(connection).get_current_heads():
        if head in needed:
            seen |= {script.revision for script in scripts.iterate_revisions(head, "base")}
    return sorted(needed - seen)


def _ready_command(now: datetime) -> ColumnElement[bool]:
    return and_(COMMAND_IS_READY, _COMMAND.c.not_before <= now)


def _new_delivery() -> ColumnElement[bool]:
    return and_(DELIVERY_IS_OPEN, HEAD_END_DELIVERY.c.status == "ready")


def _count(connection: Connection, table: Table, condition: ColumnElement[bool]) -> int:
    counted = connection.execute(select(func.count()).select_from(table).where(condition)).scalar_one()
    return int(counted)
