"""Deliveries of head ends: raw bodies stored before anything is done with them, and what became of each."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Integer, bindparam, case, func, null, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from mdus.domain.command import CommandStatus
from mdus.domain.head_end import RawDelivery
from mdus.domain.meter_reading_document import DocumentStatus
from mdus.storage.column_types import UtcInstant, database_now
from mdus.storage.command import COMMAND, COMMAND_INTENT, DELIVERY_IS_OPEN, HEAD_END_DELIVERY
from mdus.storage.keys import among, among_given, told
from mdus.storage.meter_reading_document import METER_READING_DOCUMENT
from mdus.storage.registry import END_DEVICE
from mdus.storage.submission import CLAIMED, Claimed, claimed_by

_TABLE = HEAD_END_DELIVERY

_NEWEST_DEVICE: Final = select(func.max(END_DEVICE.table.c.id))


class DeliveryStatus(StrEnum):
    """The state of a stored delivery."""

    READY = "ready"  # to be decoded
    DONE = "done"  # everything in it has found its place
    UNMATCHED = "unmatched"  # some of it belongs to no known meter or command yet
    DEAD = "dead"  # unreadable, or unmatched for too long: a case is open
    ABANDONED = "abandoned"  # was DEAD, and a human has left it so


@dataclass(frozen=True, kw_only=True, slots=True)
class Packed:
    """A delivery ready to be stored: its body compressed and hashed, which needs no transaction."""

    topic: str
    correlation: str
    content_hash: bytes
    data: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """A stored delivery; its body as it came is unpacked when it is asked for, for there may be many."""

    id: int
    head_end: str
    topic: str
    correlation: str
    data: bytes  # zlib
    received_at: datetime
    attempts: int

    @property
    def body(self) -> bytes:
        """Return the body as it came."""
        return zlib.decompress(self.data)

    read_by: str | None = None  # the version of the tables it was read by before


def pack(delivery: RawDelivery) -> Packed:
    """Return the delivery as it is stored."""
    return Packed(
        topic=delivery.topic,
        correlation=delivery.correlation,
        content_hash=hashlib.sha256(delivery.body).digest(),
        data=zlib.compress(delivery.body, 1),
    )


def store(connection: Connection, packed: Sequence[Packed], *, head_end: str, now: datetime) -> int:
    """Store deliveries, each once per head end, topic, content and correlation; returns how many were new."""
    return sum(store_one(connection, each, head_end=head_end, now=now) is not None for each in packed)


def store_one(connection: Connection, packed: Packed, *, head_end: str, now: datetime) -> int | None:
    """Store a delivery and return its id, None where it was stored before."""
    make = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    statement = make(_TABLE).values(
        head_end=head_end,
        topic=packed.topic,
        content_hash=packed.content_hash,
        correlation=packed.correlation,
        data=packed.data,
        received_at=now,
        status=DeliveryStatus.READY.value,
        attempts=0,
    )
    number: int | None = connection.scalar(statement.on_conflict_do_nothing().returning(_TABLE.c.id))
    return number


def is_stored(connection: Connection, packed: Packed, *, head_end: str) -> bool:
    """Tell whether a delivery was stored before."""
    named = {
        _TABLE.c.head_end: head_end,
        _TABLE.c.topic: packed.topic,
        _TABLE.c.content_hash: packed.content_hash,
        _TABLE.c.correlation: packed.correlation,
    }
    query = select(_TABLE.c.id).where(*(column == value for column, value in named.items()))
    return connection.execute(query).first() is not None


def waiting(connection: Connection, *, now: datetime, shown_after: timedelta, limit: int) -> list[Delivery]:
    """Return deliveries to look at, oldest first: new ones, then unmatched ones whose pause or whose patience ended."""
    return [
        Delivery(
            id=row.id,
            head_end=row.head_end,
            topic=row.topic,
            correlation=row.correlation,
            data=row.data,
            received_at=row.received_at,
            attempts=row.attempts,
            read_by=row.read_by,
        )
        for row in connection.execute(_waiting(), {"given_up_at": now - shown_after, "most": limit})
    ]


@cache
def _waiting() -> Any:
    """Return the query of `waiting`; here and below, making a statement anew costs more than asking it."""
    due = or_(_TABLE.c.due_at.is_(None), _TABLE.c.due_at <= database_now())
    given_up = (_TABLE.c.status == DeliveryStatus.UNMATCHED.value) & (_TABLE.c.received_at <= bindparam("given_up_at"))
    return (
        select(
            _TABLE.c.id,
            _TABLE.c.head_end,
            _TABLE.c.topic,
            _TABLE.c.correlation,
            _TABLE.c.data,
            _TABLE.c.received_at,
            _TABLE.c.attempts,
            _TABLE.c.read_by,
        )
        .where(DELIVERY_IS_OPEN, or_(due, given_up))
        # What waits for a meter or a call holds up nothing that has not been looked at yet.
        .order_by(case((_TABLE.c.status == DeliveryStatus.READY.value, 0), else_=1), _TABLE.c.id)
        .limit(bindparam("most", type_=Integer))
    )


def hold(connection: Connection, ids: Collection[int]) -> frozenset[int]:
    """Claim deliveries until the transaction ends; returns those that are still open and nobody else's."""
    query = select(_TABLE.c.id).where(DELIVERY_IS_OPEN, _TABLE.c.id.in_(ids)).order_by(_TABLE.c.id)
    return frozenset(connection.scalars(query.with_for_update(skip_locked=True)))


def finish(connection: Connection, ids: Collection[int], *, read_by: str) -> None:
    """Mark deliveries as fully taken in, read by a version of the tables."""
    if ids:
        taken_in = {"status": DeliveryStatus.DONE.value, "due_at": null(), "note": null(), "read_by": read_by}
        connection.execute(
            update(_TABLE).where(_TABLE.c.id.in_(ids)).values(**taken_in, attempts=_TABLE.c.attempts + 1)
        )


def postpone(
    connection: Connection,
    delivery_id: int,
    *,
    status: DeliveryStatus,
    pause: timedelta,
    note: str,
    read_by: str | None = None,
) -> None:
    """Leave a delivery for another look after a pause (real time); `read_by` as of `finish`, where it was read."""
    connection.execute(
        update(_TABLE)
        .where(_TABLE.c.id == delivery_id)
        .values(status=status.value, due_at=database_now(plus=pause), **_looked_at(note, read_by))
    )


def give_up(connection: Connection, delivery_id: int, *, note: str, read_by: str | None = None) -> None:
    """Mark a delivery as DEAD: it is shown, and looked at again only by hand."""
    connection.execute(
        update(_TABLE)
        .where(_TABLE.c.id == delivery_id)
        .values(status=DeliveryStatus.DEAD.value, due_at=null(), **_looked_at(note, read_by))
    )


def _looked_at(note: str, read_by: str | None) -> dict[str, Any]:
    """Return what any look at a delivery changes, but its status."""
    changes = {"attempts": _TABLE.c.attempts + 1, "note": note[:1000]}
    return changes if read_by is None else {**changes, "read_by": read_by}


def look_again(connection: Connection) -> None:
    """Look at every unmatched delivery at once: what it waited for may have arrived."""
    connection.execute(
        update(_TABLE).where(DELIVERY_IS_OPEN, _TABLE.c.status == DeliveryStatus.UNMATCHED.value).values(due_at=null())
    )


def has_unmatched(connection: Connection) -> bool:
    """Tell whether any delivery waits for a device or a command."""
    query = select(_TABLE.c.id).where(DELIVERY_IS_OPEN, _TABLE.c.status == DeliveryStatus.UNMATCHED.value).limit(1)
    return connection.execute(query).first() is not None


def newest_device(connection: Connection) -> int:
    """Return a number that grows when a device is created: unmatched deliveries may then find their meter."""
    newest: int | None = connection.scalar(_NEWEST_DEVICE)
    return newest or 0


def commands_named(connection: Connection, keys: Collection[str]) -> dict[str, Claimed]:
    """Return the commands that results name, held until the transaction ends."""
    found: dict[str, Claimed] = {}
    table = COMMAND.table
    if not keys:
        return found
    names = told(connection, [table.c.command_key], [(key,) for key in keys])
    for claimed in claimed_by(connection, _named(connection.dialect.name), names):
        found[claimed.command.command_key] = claimed
    return found


@cache
def _named(dialect: str) -> Any:
    table = COMMAND.table
    return CLAIMED.where(among_given(dialect, [table.c.command_key])).order_by(table.c.id).with_for_update()


class Called(NamedTuple):
    """A command of a call, and how far it is."""

    command_key: str
    status: CommandStatus


def called(connection: Connection, calls: Collection[tuple[str, str]]) -> dict[tuple[str, str], dict[str, Called]]:
    """Return the commands of calls, by serial number: calls are (head end, our id or its token of the call).

    A call never has two commands for one meter.
    """
    found: dict[tuple[str, str], dict[str, Called]] = {}
    if not calls:
        return found
    intent, table = COMMAND_INTENT, COMMAND.table
    for named in (intent.c.correlation, intent.c.token):
        by = [intent.c.head_end, named]
        query = (
            select(*by, table.c.serial_id, table.c.command_key, table.c.status)
            .join(table, table.c.id == intent.c.command_id)
            .where(among(connection, by, set(calls)))
        )
        for row in connection.execute(query).all():
            found.setdefault((row[0], row[1]), {})[row[2]] = Called(row[3], CommandStatus(row[4]))
    return found


def correlations_of(connection: Connection, command_ids: Collection[int]) -> Mapping[int, Mapping[str, datetime]]:
    """Return every correlation under which each command was given to its head end, and when (business time)."""
    found: dict[int, dict[str, datetime]] = {}
    if not command_ids:
        return {}
    ids = told(connection, [COMMAND_INTENT.c.command_id], [(command_id,) for command_id in command_ids])
    for command_id, correlation, at in connection.execute(_correlations(connection.dialect.name), ids).all():
        found.setdefault(command_id, {})[correlation.lower()] = at
    return found


@cache
def _correlations(dialect: str) -> Any:
    of_commands = among_given(dialect, [COMMAND_INTENT.c.command_id])
    return select(COMMAND_INTENT.c.command_id, COMMAND_INTENT.c.correlation, COMMAND_INTENT.c.at).where(of_commands)


def wake_documents(connection: Connection, devices: Collection[tuple[str, str]], *, now: datetime) -> None:
    """Let documents that wait for a value of these devices look at once, where they are due already."""
    table = METER_READING_DOCUMENT.table
    if devices:
        named = told(connection, [table.c.sender_system, table.c.device_id], devices)
        connection.execute(_waking_documents(connection.dialect.name), named | {"at": now})


@cache
def _waking_documents(dialect: str) -> Any:
    table, at = METER_READING_DOCUMENT.table, bindparam("at", type_=UtcInstant())
    return (
        update(table)
        .where(
            table.c.status == DocumentStatus.ORDERED,
            table.c.due_at <= at,
            table.c.next_try_at > at,
            among_given(dialect, [table.c.sender_system, table.c.device_id]),
        )
        .values(next_try_at=at)
    )
