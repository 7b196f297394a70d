"""The one transaction in which a received message becomes durable: body, message, items, and who it repeats.

The unique key decides what is new, whoever else stores the same at the same moment. The number of statements does not
depend on the number of items: each batch of rows is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from mdus.messaging.status import ItemStatus, MessageStatus
from mdus.storage.exception_case import DEAD_ITEM, DEAD_MESSAGE, close_cases
from mdus.storage.keys import among
from mdus.storage.mapping import chunks
from mdus.storage.message import BODY, ITEM, MESSAGE, MESSAGE_EVENT, store_body
from mdus.storage.rows import insert_batches, insert_rows

#: Statuses of a stored answer that is sent again when its request comes again; one still on its way just goes on.
_SENT: Final = (MessageStatus.DELIVERED, MessageStatus.CONFIRMED, MessageStatus.DEAD)
_ITEM_KEY: Final = ("direction", "sender_system", "service", "key")


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredBody:
    """A raw body as it is kept: SHA-256 of its bytes, the bytes compressed (zlib), their number."""

    content_hash: bytes
    data: bytes
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ReceivedMessage:
    """What is stored of a message beside its items; `key` is None only for copies of refused ones."""

    sender_system: str
    service: str
    root: str
    bulk: bool
    key: str | None
    uuid: str | None
    header_id: str | None
    reference_uuid: str | None = None
    reference_id: str | None = None
    result_code: str | None = None  # of a bulk confirmation as a whole
    test_data: bool = False
    imported: bool = False
    client: str | None = None
    created_at: datetime
    item_count: int = 0
    set_aside: int = 0


class ReceivedItem(NamedTuple):
    """One item to be decided; `position` counts from 1, `content` is the Request as JSON.

    `test_data` when its own header or the message's says so.
    """

    position: int
    key: str
    uuid: str | None
    header_id: str | None
    ordering_key: str
    content: str
    test_data: bool = False


class Fate(Enum):
    """What became of a message given to `store_message`."""

    NEW = "new"  # stored, its items are ready
    REPEATED = "repeated"  # a copy is stored, the answers already sent go out again
    KEY_TAKEN = "key_taken"  # nothing of it is stored: the key belongs to a message with other bytes


class Stored(NamedTuple):
    """The fate of a message, its row (of KEY_TAKEN: the row that has the key), and items that came before."""

    fate: Fate
    message_id: int
    repeated_items: int = 0


def store_message(
    connection: Connection,
    message: ReceivedMessage,
    *,
    body: StoredBody,
    batches: Iterable[Sequence[ReceivedItem]],
    shape_version: str,
    now: datetime,
) -> Stored:
    """Store a message with its items in the caller's transaction, once per key.

    Items whose key another message brought before are stored without a key, pointing at the first. `batches` can be
    gone through again; they may be made as they are asked for.
    """
    _store_body(connection, body)
    first = message_with_key(connection, message)
    if first is None:
        message_id = _insert_message(connection, message, body=body, status=MessageStatus.RECEIVED, now=now)
        if message_id is not None:
            _add_event(connection, message_id, MessageStatus.RECEIVED, now=now)
            repeated = _store_items(connection, message, message_id, batches, shape_version=shape_version, now=now)
            return Stored(Fate.NEW, message_id, repeated)
        first = message_with_key(connection, message)
        if first is None:
            raise LookupError(f"the key {message.key} is taken by a message that is not there")
    first_id, content_hash = first
    if content_hash != body.content_hash:
        return Stored(Fate.KEY_TAKEN, first_id)
    return store_repeat(connection, message, body=body, original_id=first_id, now=now)


def store_repeat(
    connection: Connection, message: ReceivedMessage, *, body: StoredBody, original_id: int, now: datetime
) -> Stored:
    """Store the copy of a message that came again, and send the answers it already had once more."""
    _store_body(connection, body)
    copy = _insert_message(
        connection, message, body=body, status=MessageStatus.DUPLICATE, original_id=original_id, now=now
    )
    if copy is None:
        raise LookupError("a copy without a key cannot be refused by the key")
    _add_event(connection, copy, MessageStatus.DUPLICATE, now=now, note=f"repeats message {original_id}")
    _send_again(connection, original_id, now=now)
    return Stored(Fate.REPEATED, copy)


def store_refused(
    connection: Connection,
    message: ReceivedMessage,
    *,
    body: StoredBody,
    refusal: str,
    now: datetime,
    original_id: int | None = None,
) -> int:
    """Store the visible copy of a refused message and return its id; it takes no key and has no items."""
    _store_body(connection, body)
    copy = _insert_message(
        connection,
        message,
        body=body,
        status=MessageStatus.REFUSED,
        original_id=original_id,
        refusal=refusal,
        now=now,
    )
    if copy is None:
        raise LookupError("a copy without a key cannot be refused by the key")
    _add_event(connection, copy, MessageStatus.REFUSED, now=now, note=refusal)
    return copy


def body_of_message(connection: Connection, message_id: int) -> bytes | None:
    """Return the raw body of a message, still compressed, or None when it has none any more."""
    query = select(BODY.c.data).join(MESSAGE, MESSAGE.c.content_hash == BODY.c.content_hash)
    data: bytes | None = connection.execute(query.where(MESSAGE.c.id == message_id)).scalar()
    return data or None


def _insert(connection: Connection) -> Any:
    return sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert


def _store_body(connection: Connection, body: StoredBody) -> None:
    store_body(connection, content_hash=body.content_hash, data=body.data, size=body.size)


def message_with_key(connection: Connection, message: ReceivedMessage) -> tuple[int, bytes | None] | None:
    """Return id and hash of the message that has this key."""
    row = connection.execute(
        select(MESSAGE.c.id, MESSAGE.c.content_hash).where(
            MESSAGE.c.direction == "in",
            MESSAGE.c.sender_system == message.sender_system,
            MESSAGE.c.service == message.service,
            MESSAGE.c.key == message.key,
        )
    ).first()
    return None if row is None else (row.id, row.content_hash)


def _insert_message(
    connection: Connection,
    message: ReceivedMessage,
    *,
    body: StoredBody,
    status: MessageStatus,
    now: datetime,
    original_id: int | None = None,
    refusal: str | None = None,
) -> int | None:
    """Insert the row of a message and return its id, None when its key is taken; only RECEIVED takes one."""
    taken: int | None = connection.execute(
        _insert(connection)(MESSAGE)
        .values(
            direction="in",
            sender_system=message.sender_system,
            service=message.service,
            root=message.root,
            bulk=message.bulk,
            status=status,
            key=message.key if status is MessageStatus.RECEIVED else None,
            uuid=message.uuid,
            header_id=message.header_id,
            reference_uuid=message.reference_uuid,
            reference_id=message.reference_id,
            result_code=message.result_code,
            test_data=message.test_data,
            imported=message.imported,
            client=message.client,
            content_hash=body.content_hash,
            item_count=message.item_count,
            set_aside=message.set_aside,
            created_at=message.created_at,
            stored_at=now,
            refusal=refusal,
            original_id=original_id,
            ended_at=None if status is MessageStatus.RECEIVED else now,
        )
        .on_conflict_do_nothing(index_elements=["direction", "sender_system", "service", "key"])
        .returning(MESSAGE.c.id)
    ).scalar()
    return taken


def _add_event(
    connection: Connection, message_id: int, status: MessageStatus, *, now: datetime, note: str | None = None
) -> None:
    connection.execute(insert(MESSAGE_EVENT).values(message_id=message_id, status=status.value, at=now, note=note))


def _store_items(
    connection: Connection,
    message: ReceivedMessage,
    message_id: int,
    batches: Iterable[Sequence[ReceivedItem]],
    *,
    shape_version: str,
    now: datetime,
) -> int:
    """Store the items of a new message and return how many of them repeat an earlier item."""
    constants = {
        "message_id": message_id,
        "direction": "in",
        "sender_system": message.sender_system,
        "service": message.service,
        "status": ItemStatus.READY,
        "shape_version": shape_version,
        "silent": False,
        "attempts": 0,
        "stored_at": now,
    }
    if message.item_count == 1:
        [[item]] = batches
        insert_rows(connection, ITEM, ReceivedItem._fields, [item], shared=constants, key=_ITEM_KEY)
    else:
        insert_batches(connection, ITEM, ReceivedItem._fields, batches, shared=constants, key=_ITEM_KEY)
    stored = connection.execute(select(func.count()).where(ITEM.c.message_id == message_id)).scalar_one()
    if stored == message.item_count:
        return 0
    for batch in batches:
        _store_repeated_items(connection, batch, constants)
    return int(message.item_count - stored)


def _store_repeated_items(connection: Connection, batch: Sequence[ReceivedItem], constants: dict[str, Any]) -> None:
    """Store those items of a batch that did not go in, each pointing at the item that has its key."""
    rows: list[dict[str, Any]] = []
    for some in chunks(batch):
        having = and_(
            ITEM.c.direction == "in",
            ITEM.c.sender_system == constants["sender_system"],
            ITEM.c.service == constants["service"],
            ITEM.c.key.in_([item.key for item in some]),
        )
        rows += _repeated_rows(connection, some, having, constants)
    if rows:
        connection.execute(insert(ITEM), rows)


def _repeated_rows(
    connection: Connection, some: Sequence[ReceivedItem], having: ColumnElement[bool], constants: dict[str, Any]
) -> list[dict[str, Any]]:
    firsts = {
        row.key: row
        for row in connection.execute(select(ITEM.c.id, ITEM.c.key, ITEM.c.message_id, ITEM.c.position).where(having))
    }
    rows = []
    for item in some:
        first = firsts[item.key]
        if (first.message_id, first.position) != (constants["message_id"], item.position):
            rows.append({**constants, **item._asdict(), "key": None, "duplicate_of": first.id})
    return rows


def _send_again(connection: Connection, original_id: int, *, now: datetime) -> None:
    """Make ready the answers to a message that were already sent, each under its own UUID, and what was given up.

    An item that could not be decided is tried anew: SAP still waits for it.
    """
    answers = connection.execute(
        select(MESSAGE.c.id, MESSAGE.c.uuid, MESSAGE.c.status)
        .where(MESSAGE.c.direction == "out", MESSAGE.c.original_id == original_id, MESSAGE.c.status.in_(_SENT))
        .order_by(MESSAGE.c.id)
        .with_for_update()
    ).all()
    items = connection.scalars(
        select(ITEM.c.id)
        .where(ITEM.c.message_id == original_id, ITEM.c.status == ItemStatus.DEAD)
        .order_by(ITEM.c.id)
        .with_for_update()
    ).all()
    note = "its request came again"
    anew = {"attempts": 0, "due_at": None}
    if answers:
        ids = [answer.id for answer in answers]
        ready = {"status": MessageStatus.READY, "ended_at": None, **anew}
        connection.execute(update(MESSAGE).where(MESSAGE.c.id.in_(ids)).values(ready))
        rows = [(answer, MessageStatus.READY.value, now, note) for answer in ids]
        insert_rows(connection, MESSAGE_EVENT, ("message_id", "status", "at", "note"), rows)
        dead = [answer.uuid for answer in answers if answer.status is MessageStatus.DEAD]
        close_cases(connection, DEAD_MESSAGE, dead, now=now)
    if items:
        of_message = among(connection, [ITEM.c.id], [(item,) for item in items])
        connection.execute(update(ITEM).where(of_message).values({"status": ItemStatus.READY, **anew}))
        events = [(original_id, item, ItemStatus.READY.value, now, note) for item in items]
        insert_rows(connection, MESSAGE_EVENT, ("message_id", "item_id", "status", "at", "note"), events)
        close_cases(connection, DEAD_ITEM, [str(item) for item in items], now=now)
