"""The outbox's own statements: forming confirmations, storing what we start, leasing and ending deliveries."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, lru_cache
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, and_, func, insert, or_, select, update

from mdus.messaging.status import ItemStatus, MessageStatus, check_transition
from mdus.storage.column_types import database_now
from mdus.storage.inbox import complete_messages
from mdus.storage.mapping import AnyRow
from mdus.storage.message import (
    ITEM,
    ITEM_IS_DECIDED,
    MESSAGE,
    MESSAGE_EVENT,
    MESSAGE_IS_READY,
    MESSAGE_IS_SENDING,
)
from mdus.storage.rows import insert_rows

#: The name space of the UUIDs of our messages: a crashed turn repeated makes the same message.
_NAME_SPACE = uuid.UUID("5d0c5bd6-7f0e-5d3b-9a55-2f6c6a3f8d10")

#: What the confirmation of an item takes, estimated too high: its header and the names of its elements, what it repeats
#: of the request, and its result, whose elements have longer names than JSON has keys.
_CONFIRMATION_BYTES: Final = 1000 + func.length(ITEM.c.content) + 3 * func.length(func.coalesce(ITEM.c.result, ""))

#: Asked so often, here and below, that making it anew costs more than its answer.
_ONE_DECIDED: Final = select(ITEM.c.id).where(ITEM_IS_DECIDED).limit(1)

#: Columns of the items we send that differ within a message.
_BY_ITEM: Final = ("position", "key", "uuid", "ordering_key", "content", "reference_uuid", "reference_id")


def message_uuid(owner_kind: str, owner_id: object, purpose: str, part: int) -> str:
    """Return the UUID of a message we send, made of its owner, its purpose, and its part or attempt."""
    return str(uuid.uuid5(_NAME_SPACE, f"{owner_kind}/{owner_id}/{purpose}/{part}"))


def item_uuid(message: str, position: int) -> str:
    """Return the UUID of one item of a bulk message we send."""
    return str(uuid.uuid5(_parsed(message), str(position)))


@lru_cache(maxsize=64)
def _parsed(message: str) -> uuid.UUID:
    return uuid.UUID(message)


def has_decided_items(connection: Connection) -> bool:
    """Tell whether any item waits for its confirmation; asked without waiting for a writer."""
    return connection.execute(_ONE_DECIDED).first() is not None


def has_due_messages(connection: Connection) -> bool:
    """Tell whether any message is due for delivery, or was left behind by a worker that died."""
    return connection.execute(_one_due()).first() is not None


@cache
def _one_due() -> Any:
    return select(MESSAGE.c.id).where(_is_due()).limit(1)


def _is_due() -> ColumnElement[bool]:
    return and_(
        MESSAGE.c.direction == "out",
        or_(
            and_(
                MESSAGE_IS_READY,
                or_(MESSAGE.c.due_at.is_(None), MESSAGE.c.due_at <= database_now()),
            ),
            and_(MESSAGE_IS_SENDING, MESSAGE.c.lease_until < database_now()),
        ),
    )


def messages_to_confirm(connection: Connection, *, limit: int) -> Sequence[AnyRow]:
    """Claim received messages with decided items of which none can be decided at once any more.

    Items that are ready together thus go in one confirmation; what awaits a head end or is parked follows later.
    """
    decided = select(ITEM.c.message_id).where(ITEM_IS_DECIDED).distinct().limit(limit * 4)
    undecided = (
        select(ITEM.c.id)
        .where(ITEM.c.message_id == MESSAGE.c.id, ITEM.c.status == ItemStatus.READY, ITEM.c.due_at.is_(None))
        .correlate(MESSAGE)
        .exists()
    )
    query = (
        select(
            MESSAGE.c.id,
            MESSAGE.c.sender_system,
            MESSAGE.c.service,
            MESSAGE.c.bulk,
            MESSAGE.c.uuid,
            MESSAGE.c.header_id,
            MESSAGE.c.test_data,
        )
        .where(MESSAGE.c.id.in_(decided), ~undecided)
        .order_by(MESSAGE.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return connection.execute(query).all()


def confirm_message(
    connection: Connection, received: AnyRow, *, root: str, size: int, most_bytes: int, now: datetime
) -> int:
    """Form the next part of a message's confirmation from up to `size` decided items; returns how many went in.

    Fewer go in where their confirmations would have more than `most_bytes` by our estimate, but one always. 0 when
    another worker formed it between the claim's look at the items and its hold of the message.
    """
    decided = select(ITEM.c.id).where(ITEM.c.message_id == received.id, ITEM_IS_DECIDED)
    if connection.execute(decided.limit(1)).first() is None:
        return 0
    part = 1 + (
        connection.execute(
            select(func.max(MESSAGE.c.part)).where(MESSAGE.c.original_id == received.id, MESSAGE.c.direction == "out")
        ).scalar()
        or 0
    )
    made = message_uuid("message", received.id, "confirmation", part)
    message_id = _insert_message(
        connection,
        {
            "sender_system": received.sender_system,
            "service": received.service,
            "root": root,
            "bulk": received.bulk,
            "key": made,
            "uuid": made,
            "reference_uuid": received.uuid,
            "reference_id": received.header_id,
            "test_data": received.test_data,
            "original_id": received.id,
            "part": part,
            "created_at": now,
            "stored_at": now,
        },
        now=now,
    )
    some = _first_items(received.id, size=size, most_bytes=most_bytes)
    closed = connection.execute(
        update(ITEM)
        .where(ITEM.c.id.in_(some), ITEM.c.status == ItemStatus.DECIDED)
        .values(status=ItemStatus.CLOSED, confirmation_id=message_id)
    ).rowcount
    connection.execute(
        insert(MESSAGE_EVENT).from_select(
            ["message_id", "item_id", "status", "at"],
            select(ITEM.c.message_id, ITEM.c.id, ITEM.c.status, MESSAGE.c.stored_at)
            .join(MESSAGE, MESSAGE.c.id == ITEM.c.confirmation_id)
            .where(ITEM.c.confirmation_id == message_id),
        )
    )
    connection.execute(update(MESSAGE).where(MESSAGE.c.id == message_id).values(item_count=closed))
    complete_messages(connection, [received.id], now=now)
    return closed


def _first_items(message_id: int, *, size: int, most_bytes: int) -> Select[Any]:
    """Return the query of the decided items that go into one confirmation."""
    ranked = (
        select(
            ITEM.c.id,
            func.sum(_CONFIRMATION_BYTES).over(order_by=ITEM.c.position).label("bytes"),
            func.row_number().over(order_by=ITEM.c.position).label("place"),
        )
        .where(ITEM.c.message_id == message_id, ITEM_IS_DECIDED)
        .order_by(ITEM.c.position)
        .limit(size)
        .subquery()
    )
    return select(ranked.c.id).where(or_(ranked.c.bytes <= most_bytes, ranked.c.place == 1))


@dataclass(frozen=True, kw_only=True, slots=True)
class OutboundItem:
    """One item of a message we start: its business key, its wire content as JSON, and the order it answers."""

    key: str
    attempt: int
    content: str
    reference_uuid: str | None
    reference_id: str | None


def store_message(
    connection: Connection,
    *,
    sender_system: str,
    service: str,
    root: str,
    bulk: bool,
    shape_version: str,
    items: Sequence[OutboundItem],
    now: datetime,
    header_id: str | None = None,
    client: str | None = None,
) -> None:
    """Store a message we start with its items; the same subjects at the same attempt give the same message again."""
    made = message_uuid(service, f"{sender_system}/{items[0].key}", f"{len(items)}", items[0].attempt)
    single = items[0] if not bulk else None
    message_id = _insert_message(
        connection,
        {
            "sender_system": sender_system,
            "service": service,
            "root": root,
            "bulk": bulk,
            "key": made,
            "uuid": made,
            "reference_uuid": single.reference_uuid if single else None,
            "reference_id": single.reference_id if single else None,
            "header_id": header_id,
            "client": client,
            "item_count": len(items),
            "created_at": now,
            "stored_at": now,
        },
        now=now,
    )
    shared = {
        "message_id": message_id,
        "direction": "out",
        "sender_system": sender_system,
        "service": service,
        "status": ItemStatus.SENT,
        "shape_version": shape_version,
        "stored_at": now,
    }
    insert_rows(
        connection,
        ITEM,
        _BY_ITEM,
        [
            (
                position,
                f"{item.key}/{item.attempt}",
                item_uuid(made, position) if bulk else made,
                f"{sender_system}/{item.key}",
                item.content,
                item.reference_uuid,
                item.reference_id,
            )
            for position, item in enumerate(items, start=1)
        ],
        shared=shared,
    )


def _insert_message(connection: Connection, values: Mapping[str, Any], *, now: datetime) -> int:
    message_id = connection.execute(
        insert(MESSAGE).values(direction="out", status=MessageStatus.READY, **values).returning(MESSAGE.c.id)
    ).scalar_one()
    connection.execute(insert(MESSAGE_EVENT).values(message_id=message_id, status=MessageStatus.READY.value, at=now))
    return int(message_id)


def lease_messages(
    connection: Connection, *, token: str, seconds: float, limit: int, now: datetime
) -> Sequence[AnyRow]:
    """Lease messages whose next attempt is due, oldest first, also those whose lease ran out with a crashed worker."""
    due = select(MESSAGE.c.id).where(_is_due()).order_by(MESSAGE.c.id).limit(limit).with_for_update(skip_locked=True)
    leased = connection.execute(
        update(MESSAGE)
        .where(MESSAGE.c.id.in_(due))
        .values(
            status=MessageStatus.SENDING,
            attempts=MESSAGE.c.attempts + 1,
            lease_token=token,
            lease_until=database_now(plus=timedelta(seconds=seconds)),
        )
        .returning(MESSAGE)
    )
    rows = sorted(leased.all(), key=lambda row: row.id)
    events = [(row.id, MessageStatus.SENDING.value, now, f"attempt {row.attempts}") for row in rows]
    insert_rows(connection, MESSAGE_EVENT, ("message_id", "status", "at", "note"), events)
    return rows


def items_of_confirmation(connection: Connection, message_id: int) -> Sequence[AnyRow]:
    """Return the received items that a confirmation answers, with what they asked and what became of them."""
    query = (
        select(
            ITEM.c.position,
            ITEM.c.content,
            ITEM.c.shape_version,
            ITEM.c.result,
            ITEM.c.uuid,
            ITEM.c.header_id,
            ITEM.c.test_data,
            MESSAGE.c.client,
            MESSAGE.c.root,
            MESSAGE.c.content_hash,
        )
        .join(MESSAGE, MESSAGE.c.id == ITEM.c.message_id)
        .where(ITEM.c.confirmation_id == message_id)
        .order_by(ITEM.c.position)
    )
    return connection.execute(query).all()


def items_of_message(connection: Connection, message_id: int) -> Sequence[AnyRow]:
    """Return the items of a message we start."""
    query = (
        select(ITEM.c.position, ITEM.c.content, ITEM.c.uuid, ITEM.c.reference_uuid, ITEM.c.reference_id)
        .where(ITEM.c.message_id == message_id)
        .order_by(ITEM.c.position)
    )
    return connection.execute(query).all()


def end_delivery(
    connection: Connection,
    message_id: int,
    *,
    token: str,
    status: MessageStatus,
    pause: timedelta | None,
    error: str | None,
    content_hash: bytes | None,
    now: datetime,
) -> bool:
    """Store how a delivery ended, if the lease still is ours; returns whether it was."""
    check_transition(MessageStatus.SENDING, status)
    values: dict[str, Any] = {"status": status, "last_error": error, "lease_token": None, "lease_until": None}
    values["due_at"] = None if pause is None else database_now(plus=pause)
    if content_hash is not None:
        values["content_hash"] = content_hash
    if status is MessageStatus.DELIVERED:
        values["ended_at"] = now
    mine = connection.execute(
        update(MESSAGE)
        .where(
            MESSAGE.c.id == message_id,
            MESSAGE.c.lease_token == token,
            MESSAGE.c.status == MessageStatus.SENDING,
        )
        .values(**values)
    ).rowcount
    if mine:
        connection.execute(insert(MESSAGE_EVENT).values(message_id=message_id, status=status.value, at=now, note=error))
    return bool(mine)


def stored_at(connection: Connection, message_id: int) -> datetime | None:
    """Return when a message was stored (business time), None when it is not there any more."""
    return connection.execute(select(MESSAGE.c.stored_at).where(MESSAGE.c.id == message_id)).scalar()


def send_again(connection: Connection, message_ids: Collection[int], *, note: str, now: datetime) -> None:
    """Make messages that were delivered ready once more: the same bytes under the same UUID."""
    again = connection.scalars(
        update(MESSAGE)
        .where(MESSAGE.c.id.in_(sorted(message_ids)), MESSAGE.c.status == MessageStatus.DELIVERED)
        .values(status=MessageStatus.READY, attempts=0, due_at=None, ended_at=None)
        .returning(MESSAGE.c.id)
    ).all()
    rows = [(message_id, MessageStatus.READY.value, now, note) for message_id in again]
    insert_rows(connection, MESSAGE_EVENT, ("message_id", "status", "at", "note"), rows)
