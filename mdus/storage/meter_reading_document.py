"""Meter reading documents: orders for readings and their results."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Index,
    Integer,
    Text,
    and_,
    bindparam,
    cast,
    func,
    literal_column,
    or_,
    select,
    text,
)

from mdus.domain.meter_reading_document import DocumentStatus, MeterReadingDocument
from mdus.domain.reading import MeterReading
from mdus.domain.value import type_key
from mdus.messaging.status import ItemStatus, MessageStatus
from mdus.storage.keys import among, among_given, given_later, told
from mdus.storage.mapping import ValueTable
from mdus.storage.message import ITEM, ITEM_IS_SENT, MESSAGE, MESSAGE_IS_READY, MESSAGE_IS_SENDING
from mdus.storage.paging import list_index
from mdus.storage.reading import METER_READING

METER_READING_DOCUMENT = ValueTable(
    MeterReadingDocument,
    "meter_reading_document",
    indexes=[("sender_system", "device_id"), ("sender_system", "window_until")],
    constraints=[
        Index(
            "meter_reading_document_next_try",
            "next_try_at",
            sqlite_where=text("status = 'ordered'"),
            postgresql_where=text("status = 'ordered'"),
        ),
        Index(
            "meter_reading_document_read",
            "id",
            sqlite_where=text("status = 'read'"),
            postgresql_where=text("status = 'read'"),
        ),
        Index(
            "meter_reading_document_refused",
            "next_try_at",
            sqlite_where=text("status = 'result_sent' AND next_try_at IS NOT NULL"),
            postgresql_where=text("status = 'result_sent' AND next_try_at IS NOT NULL"),
        ),
        Index(
            "meter_reading_document_failed",
            "id",
            sqlite_where=text("status = 'failed'"),
            postgresql_where=text("status = 'failed'"),
        ),
        Index(
            "meter_reading_document_estimated",
            "sender_system",
            "device_id",
            sqlite_where=text("estimate IS NOT NULL"),
            postgresql_where=text("estimate IS NOT NULL"),
        ),
        list_index("meter_reading_document_listed", "sender_system", "status", always="status <> ''"),
    ],
)

_TABLE = METER_READING_DOCUMENT.table

#: What every row meets, and the index for lists is for: see `list_index`.
DOCUMENT_IS_LISTED: Final = "meter_reading_document.status <> ''"

# Written out, because SQLite uses a partial index only where the query says the very words of the index.
DOCUMENT_IS_ORDERED: ColumnElement[bool] = literal_column("meter_reading_document.status = 'ordered'")
DOCUMENT_IS_READ: ColumnElement[bool] = literal_column("meter_reading_document.status = 'read'")
_FAILED: ColumnElement[bool] = literal_column("meter_reading_document.status = 'failed'")
_ESTIMATED: ColumnElement[bool] = literal_column("meter_reading_document.estimate IS NOT NULL")
_REFUSED: ColumnElement[bool] = literal_column(
    "meter_reading_document.status = 'result_sent' AND meter_reading_document.next_try_at IS NOT NULL"
)
_UNANSWERED: ColumnElement[bool] = literal_column("message.direction = 'out' AND message.status = 'delivered'")


def is_any_due(connection: Connection, *, now: datetime) -> bool:
    """Tell whether a look for a value or a resend is due; asked without waiting for a writer."""
    return bool(connection.scalar(_any_due(), {"now": now}))


@cache
def _any_due() -> Any:
    """Return the question of `is_any_due`; here and below, making a statement anew costs more than asking it."""
    return select(
        or_(
            *(
                select(_TABLE.c.id).where(condition, _TABLE.c.next_try_at <= bindparam("now")).exists()
                for condition in (DOCUMENT_IS_ORDERED, _REFUSED)
            )
        )
    )


def due_for_value(connection: Connection, *, now: datetime, limit: int) -> list[MeterReadingDocument]:
    """Claim accepted documents whose next look for a value is due, oldest first, until the transaction ends."""
    return METER_READING_DOCUMENT.fetch(connection, _due_for_value(), {"now": now, "most": limit})


@cache
def _due_for_value() -> Any:
    return (
        METER_READING_DOCUMENT.select()
        .where(DOCUMENT_IS_ORDERED, _TABLE.c.next_try_at <= bindparam("now"))
        .order_by(_TABLE.c.next_try_at, _TABLE.c.id)
        .limit(bindparam("most", type_=Integer))
        .with_for_update(skip_locked=True)
    )


def due_soon(connection: Connection, *, now: datetime, until: datetime, limit: int) -> list[MeterReadingDocument]:
    """Claim documents for stored values whose instant has passed and whose first look comes by `until`."""
    query = (
        METER_READING_DOCUMENT.select()
        .where(
            DOCUMENT_IS_ORDERED,
            _TABLE.c.next_try_at > now,
            _TABLE.c.next_try_at <= until,
            _TABLE.c.due_at <= now,
            _TABLE.c.attempts == 0,
            _TABLE.c.on_demand.is_(False),
        )
        .order_by(_TABLE.c.next_try_at, _TABLE.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return METER_READING_DOCUMENT.fetch(connection, query)


def readings_for(
    connection: Connection, documents: Collection[MeterReadingDocument]
) -> dict[type_key, list[MeterReading]]:
    """Return by document key the readings of its channel within its window, oldest row first: one query per batch."""
    if not documents:
        return {}
    windows = [
        (place, one.sender_system, one.device_id, one.reading_type, one.window_from, one.window_until)
        for place, one in enumerate(documents)
    ]
    query, like = _readings_for(connection.dialect.name)
    keys = [document.key for document in documents]
    found: dict[type_key, list[MeterReading]] = {}
    for (number,), value in METER_READING.fetch_beside(connection, query, parameters=told(connection, like, windows)):
        found.setdefault(keys[number], []).append(value)
    return found


@cache
def _readings_for(dialect: str) -> tuple[Any, tuple[Column[Any], ...]]:
    """Return the query of `readings_for`, and the columns that what it is given is like."""
    reading = METER_READING.table
    at = reading.c.measured_at
    like = (reading.c.id, reading.c.sender_system, reading.c.device_id, reading.c.reading_type, at, at)
    # Given with the statement, the windows are where every plan begins, however little the database knows of the table.
    place, sender_system, device_id, reading_type, starts_at, ends_at = given_later(dialect, like)
    inside = and_(
        reading.c.sender_system == sender_system,
        reading.c.device_id == device_id,
        reading.c.reading_type == reading_type,
        at.between(starts_at, ends_at),
    )
    columns = (reading.c[name] for name in METER_READING.names)
    return select(place, *columns).where(inside).order_by(reading.c.id), like


def estimated_for(connection: Connection, devices: Collection[tuple[str, str]]) -> list[MeterReadingDocument]:
    """Return the documents of devices whose value is an estimate."""
    if not devices:
        return []
    by = [_TABLE.c.sender_system, _TABLE.c.device_id]
    return METER_READING_DOCUMENT.fetch(
        connection, _estimated_for(connection.dialect.name), told(connection, by, devices)
    )


@cache
def _estimated_for(dialect: str) -> Any:
    is_of = among_given(dialect, [_TABLE.c.sender_system, _TABLE.c.device_id])
    return METER_READING_DOCUMENT.select().where(_ESTIMATED, is_of)


def due_for_result(connection: Connection, *, limit: int) -> list[MeterReadingDocument]:
    """Claim documents with a value whose acceptance has been delivered to SAP, until the transaction ends.

    A result never overtakes the confirmation of its order.
    """
    return METER_READING_DOCUMENT.fetch(connection, _due_for_result(limit > 1), {"most": limit})


@cache
def _due_for_result(in_order: bool) -> Any:
    """Return the query of `due_for_result`; of one document, any will do: to put them in order, all are looked at."""
    confirmation = MESSAGE.alias()
    accepted = (
        select(ITEM.c.id)
        .join(confirmation, confirmation.c.id == ITEM.c.confirmation_id)
        .where(
            ITEM.c.id == _TABLE.c.order_item_id,
            confirmation.c.status.in_([MessageStatus.DELIVERED, MessageStatus.CONFIRMED]),
        )
        .exists()
    )
    query = METER_READING_DOCUMENT.select().where(DOCUMENT_IS_READ, accepted)
    if in_order:
        query = query.order_by(_TABLE.c.id)
    return query.limit(bindparam("most", type_=Integer)).with_for_update(skip_locked=True)


def without_reading(connection: Connection, *, limit: int) -> tuple[int, list[MeterReadingDocument]]:
    """Return how many orders found no reading, and the newest of them."""
    count = connection.scalar(select(func.count()).select_from(_TABLE).where(_FAILED)) or 0
    query = METER_READING_DOCUMENT.select().where(_FAILED).order_by(_TABLE.c.id.desc()).limit(limit)
    return count, METER_READING_DOCUMENT.fetch(connection, query)


def due_for_resend(connection: Connection, *, now: datetime, limit: int) -> list[MeterReadingDocument]:
    """Claim documents whose refused result is to be sent again, until the transaction ends."""
    return METER_READING_DOCUMENT.fetch(connection, _due_for_resend(), {"now": now, "most": limit})


@cache
def _due_for_resend() -> Any:
    return (
        METER_READING_DOCUMENT.select()
        .where(_REFUSED, _TABLE.c.next_try_at <= bindparam("now"))
        .order_by(_TABLE.c.next_try_at, _TABLE.c.id)
        .limit(bindparam("most", type_=Integer))
        .with_for_update(skip_locked=True)
    )


def unanswered(
    connection: Connection, *, service: str, sent_before: datetime, limit: int
) -> list[MeterReadingDocument]:
    """Claim documents whose newest result reached SAP before `sent_before` (business time) and is not answered.

    `service` is the name of the service that sends results. Documents already noted as unanswered are left out.
    """
    query = (
        METER_READING_DOCUMENT.select()
        .join(ITEM, _is_of_item())
        .join(MESSAGE, MESSAGE.c.id == ITEM.c.message_id)
        .where(
            _UNANSWERED,
            MESSAGE.c.ended_at <= sent_before,
            MESSAGE.c.service == service,
            _TABLE.c.status == DocumentStatus.RESULT_SENT,
            _TABLE.c.next_try_at.is_(None),
            _TABLE.c.note.is_(None),
        )
        .order_by(MESSAGE.c.ended_at)
        .limit(limit)
        .with_for_update(skip_locked=True, of=_TABLE)
    )
    return METER_READING_DOCUMENT.fetch(connection, query)


def _is_of_item() -> ColumnElement[bool]:
    """Tie a document to the item of its newest result: the item's key is document and attempt."""
    attempt = cast(_TABLE.c.result_attempts, Text)
    return and_(
        _TABLE.c.sender_system == ITEM.c.sender_system,
        _TABLE.c.document_id == func.substr(ITEM.c.ordering_key, func.length(ITEM.c.sender_system) + 2),
        ITEM.c.key == _TABLE.c.document_id + "/" + attempt,
    )


def leaving(connection: Connection, documents: Sequence[MeterReadingDocument]) -> list[MeterReadingDocument]:
    """Return those of the documents whose result is stored for sending and has not arrived yet."""
    names = {f"{document.sender_system}/{document.document_id}": document for document in documents}
    if not names:
        return []
    query = (
        select(ITEM.c.ordering_key)
        .join(MESSAGE, MESSAGE.c.id == ITEM.c.message_id)
        .where(
            ITEM_IS_SENT,
            ITEM.c.direction == "out",
            among(connection, [ITEM.c.ordering_key], [(name,) for name in names]),
            or_(MESSAGE_IS_READY, MESSAGE_IS_SENDING),
        )
    )
    return [names[name] for name in dict.fromkeys(connection.scalars(query))]


def unanswered_orders(connection: Connection, documents: Sequence[MeterReadingDocument]) -> list[MeterReadingDocument]:
    """Return those of the documents whose order's confirmation is still to come (DEAD never will)."""
    if not documents:
        return []
    query = (
        select(ITEM.c.id)
        .join(MESSAGE, MESSAGE.c.id == ITEM.c.confirmation_id, isouter=True)
        .where(
            among(connection, [ITEM.c.id], {(document.order_item_id,) for document in documents}),
            or_(ITEM.c.status == ItemStatus.DECIDED, MESSAGE_IS_READY, MESSAGE_IS_SENDING),
        )
    )
    found = set(connection.scalars(query))
    return [document for document in documents if document.order_item_id in found]


def read_lately(connection: Connection, systems: Collection[str], *, since: datetime) -> list[MeterReadingDocument]:
    """Return SAP's orders of sender systems whose window was still open at an instant."""
    query = METER_READING_DOCUMENT.select().where(
        _TABLE.c.sender_system.in_(sorted(systems)),
        _TABLE.c.window_until >= since,
        _TABLE.c.client.is_(None),
        _TABLE.c.status != DocumentStatus.CANCELLED,
    )
    return METER_READING_DOCUMENT.fetch(connection, query)
