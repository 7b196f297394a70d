"""Figures of the business, counted in the tables when they are asked for, and what waits though it could be worked on.

What came lately is found without an index of its own: ids grow with time, so the first of a period is found by halving,
a look by primary key each. Only `devices` goes through a whole table.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Connection, and_, case, func, literal, or_, select, text

from mdus.domain.command import CommandKind
from mdus.storage.column_types import UtcInstant, database_now
from mdus.storage.command import COMMAND, COMMAND_IS_READY, DELIVERY_IS_OPEN, HEAD_END_DELIVERY
from mdus.storage.end_device_control import END_DEVICE_CONTROL, SWITCHING_ORDER, is_held_up
from mdus.storage.end_device_event import END_DEVICE_EVENT, EVENT_IS_TOLD
from mdus.storage.job import JOB_RUN, LEASE, JobStatus, real_now
from mdus.storage.mending import Kind, count_given_up
from mdus.storage.message import ITEM, ITEM_IS_READY, MESSAGE, MESSAGE_EVENT, MESSAGE_IS_READY
from mdus.storage.meter_reading_document import METER_READING_DOCUMENT
from mdus.storage.registry import END_DEVICE_STATUS

_COMMAND = COMMAND.table
_CONTROL = END_DEVICE_CONTROL.table
_DOCUMENT = METER_READING_DOCUMENT.table
_EVENT = END_DEVICE_EVENT.table
_STATUS = END_DEVICE_STATUS.table

#: A device that was heard, but not for so long, is silent.
SILENT_AFTER: Final = timedelta(days=1)

#: What came within this time is counted by what became of it.
LATELY: Final = timedelta(days=1)

#: Seconds one question may take on PostgreSQL before it is given up: figures are never worth a busy database.
_PATIENCE_SECONDS: Final = 5

#: Ready items looked at for the one that waits longest: the oldest are among the first.
_LOOKED_AT: Final = 100

_Counts = dict[tuple[str, ...], float]


def be_brief(connection: Connection) -> None:
    """Let no question of this transaction take long (PostgreSQL)."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SET LOCAL statement_timeout = '{_PATIENCE_SECONDS}s'"))


def leases(connection: Connection) -> _Counts:
    """Return the seconds each lease is still held, by its name and holder; negative: for how long it has run out."""
    present = real_now(connection)
    rows = connection.execute(select(LEASE.c.name, LEASE.c.holder, LEASE.c.until))
    return {(row.name, row.holder): (row.until - present).total_seconds() for row in rows}


def devices(connection: Connection, *, now: datetime) -> _Counts:
    """Count devices by state, in one pass over all; a device is in several states."""
    silent_since = literal(now - SILENT_AFTER, UtcInstant())
    states = {
        "registered": _STATUS.c.registered_at.is_not(None),
        "unregistered": _STATUS.c.registered_at.is_(None),
        "never_heard": _STATUS.c.first_heard_at.is_(None),
        "silent": _STATUS.c.last_heard_at < silent_since,
    }
    row = connection.execute(select(*(func.count(case((state, 1))) for state in states.values()))).one()
    return {(name,): count for name, count in zip(states, row, strict=True)}


def reading_documents(connection: Connection, *, now: datetime) -> _Counts:
    """Count the meter reading documents that came lately, by status."""
    first_item = _first_item(connection, now=now)
    first = first_since(connection, _DOCUMENT.c.order_item_id, first_item)
    query = select(_DOCUMENT.c.status, func.count()).where(_DOCUMENT.c.id >= first).group_by(_DOCUMENT.c.status)
    return {(status.value,): count for status, count in connection.execute(query)}


def switch_orders(connection: Connection, *, now: datetime) -> _Counts:
    """Count the devices of connection orders that came lately, by category (disconnect, reconnect) and status."""
    query = (
        select(_CONTROL.c.category, _CONTROL.c.status, func.count())
        .where(_CONTROL.c.item_id >= _first_item(connection, now=now))
        .group_by(_CONTROL.c.category, _CONTROL.c.status)
    )
    return {(category.name.lower(), status.value): count for category, status, count in connection.execute(query)}


def dead(connection: Connection) -> _Counts:
    """Count what was given up, by kind."""
    return {(kind.value,): count_given_up(connection, kind) for kind in Kind}


def job_ages(connection: Connection, jobs: Iterable[str], *, now: datetime) -> _Counts:
    """Return the seconds since each job was carried out last; one that never was is left out."""
    ages: _Counts = {}
    for job in jobs:
        query = (
            select(JOB_RUN.c.ended_at)
            .where(JOB_RUN.c.job == job, JOB_RUN.c.status == JobStatus.DONE)
            .order_by(JOB_RUN.c.slot.desc())
            .limit(1)
        )
        ended_at = connection.execute(query).scalar()
        if ended_at is not None:
            ages[(job,)] = max(0.0, (now - ended_at).total_seconds())
    return ages


def switching_stopped(connection: Connection) -> _Counts:
    """Tell whether disconnections are stopped: 1 or 0. Only for showing: it holds nothing."""
    newest = select(SWITCHING_ORDER.c.stopped).order_by(SWITCHING_ORDER.c.id.desc()).limit(1)
    return {(): float(bool(connection.execute(newest).scalar()))}


def stuck_queues(connection: Connection, *, now: datetime, since: datetime) -> list[str]:
    """Return the queues in which something has been due since an instant (business time) and nobody took it.

    What waits for a next attempt, an earlier order of its meter, or an instant to come is not due.
    """
    late = database_now(plus=since - now)
    questions: dict[str, ColumnElement[Any]] = {
        "inbox": _stuck_item(since, late),
        "outbox": _stuck_message(since, late),
        "head_end": select(_COMMAND.c.id)
        .where(
            COMMAND_IS_READY,
            _COMMAND.c.expires_at > now,
            _COMMAND.c.not_before <= since,
            or_(_COMMAND.c.due_at.is_(None), _COMMAND.c.due_at <= late),
            or_(_COMMAND.c.kind != CommandKind.SWITCH, ~is_held_up(now)),
        )
        .exists(),
        "deliveries": select(HEAD_END_DELIVERY.c.id)
        .where(
            DELIVERY_IS_OPEN,
            HEAD_END_DELIVERY.c.status == "ready",
            _due(HEAD_END_DELIVERY.c.due_at, HEAD_END_DELIVERY.c.received_at, since, late),
        )
        .exists(),
        "events": select(_EVENT.c.id).where(EVENT_IS_TOLD, _EVENT.c.told_at <= since).exists(),
    }
    row = connection.execute(select(*questions.values())).one()
    return [name for name, is_stuck in zip(questions, row, strict=True) if is_stuck]


def _stuck_item(since: datetime, late: ColumnElement[Any]) -> ColumnElement[bool]:
    """Tell whether an item has been ready since an instant: since it was stored, or woken."""
    oldest = select(ITEM.c.id, ITEM.c.stored_at, ITEM.c.due_at).where(ITEM_IS_READY).order_by(ITEM.c.id)
    some = oldest.limit(_LOOKED_AT).subquery()
    woken = select(MESSAGE_EVENT.c.id).where(MESSAGE_EVENT.c.item_id == some.c.id, MESSAGE_EVENT.c.at > since)
    is_due = _due(some.c.due_at, some.c.stored_at, since, late)
    return select(some.c.id).where(is_due, ~woken.correlate(some).exists()).exists()


def _stuck_message(since: datetime, late: ColumnElement[Any]) -> ColumnElement[bool]:
    """Tell whether a message to SAP has been ready since an instant: since it was stored, or is to go once more."""
    again = select(MESSAGE_EVENT.c.id).where(
        MESSAGE_EVENT.c.message_id == MESSAGE.c.id, MESSAGE_EVENT.c.item_id.is_(None), MESSAGE_EVENT.c.at > since
    )
    is_due = _due(MESSAGE.c.due_at, MESSAGE.c.stored_at, since, late)
    conditions = (MESSAGE_IS_READY, MESSAGE.c.direction == "out", is_due, ~again.correlate(MESSAGE).exists())
    return select(MESSAGE.c.id).where(*conditions).exists()


def _due(
    due_at: ColumnElement[Any], stored_at: ColumnElement[Any], since: datetime, late: ColumnElement[Any]
) -> ColumnElement[bool]:
    return or_(and_(due_at.is_(None), stored_at <= since), due_at <= late)


def _first_item(connection: Connection, *, now: datetime) -> int:
    """Return the id from which on items came lately."""
    return first_since(connection, ITEM.c.stored_at, now - LATELY)


def first_since(connection: Connection, column: Column[Any], value: Any) -> int:
    """Return the smallest id from which on the column, which grows with the id, is not below a value."""
    identity = column.table.c.id
    low, high = connection.execute(select(func.min(identity), func.max(identity))).one()
    if low is None:
        return 0
    high += 1
    while low < high:
        middle = (low + high) // 2
        row = connection.execute(select(identity, column).where(identity >= middle).order_by(identity).limit(1)).first()
        if row is None or row[1] >= value:
            high = middle
        else:
            low = row[0] + 1
    return int(low)
