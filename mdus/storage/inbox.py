"""The inbox's own statements: what is ready, claiming a batch, and storing what was decided."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from operator import attrgetter
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Integer, and_, bindparam, func, insert, or_, select, text, update

from mdus.messaging.status import ItemStatus, MessageStatus, check_transition, sources_of
from mdus.storage.column_types import database_now
from mdus.storage.keys import among_given, told
from mdus.storage.mapping import AnyRow
from mdus.storage.message import BODY, ITEM, ITEM_IS_READY, ITEM_IS_WAITING, MESSAGE, MESSAGE_EVENT
from mdus.storage.news import News, Topic, note_news
from mdus.storage.rows import insert_rows, update_rows
from mdus.storage.waiting import wake, wake_parked

_COMPLETED: Final = MessageStatus.COMPLETED

#: Item statuses after which an item asks nothing more of the inbox.
SETTLED = (ItemStatus.CLOSED, ItemStatus.DEAD)

#: Item statuses from which a repeat can be answered.
_ANSWERABLE: Final = (ItemStatus.DECIDED, ItemStatus.CLOSED)

#: What a claim hands to the worker: the item with what its message says of it.
_CLAIMED = (
    ITEM.c.id,
    ITEM.c.message_id,
    ITEM.c.position,
    ITEM.c.sender_system,
    ITEM.c.ordering_key,
    ITEM.c.content,
    ITEM.c.shape_version,
    ITEM.c.uuid,
    ITEM.c.header_id,
    ITEM.c.duplicate_of,
    ITEM.c.attempts,
    ITEM.c.stored_at,
    MESSAGE.c.uuid.label("message_uuid"),
    MESSAGE.c.header_id.label("message_header_id"),
    MESSAGE.c.reference_uuid,
    MESSAGE.c.result_code,
    MESSAGE.c.bulk,
    MESSAGE.c.imported,
    MESSAGE.c.client,
    ITEM.c.test_data,
    MESSAGE.c.root,
    MESSAGE.c.content_hash,
)


#: Holds the ordering keys of a claim that nobody else holds.
_HOLDING: Final = text(
    "SELECT key FROM unnest(CAST(:keys AS text[])) AS key WHERE pg_try_advisory_xact_lock(hashtextextended(key, 0))"
)

#: What a turn writes into the item: fields of `ItemUpdate` and columns alike.
_DECIDED: Final = ("status", "result", "silent", "waits_for", "until", "note")


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemUpdate:
    """What a turn decided about one item."""

    item_id: int
    message_id: int
    status: ItemStatus
    result: str | None = None
    silent: bool = False
    waits_for: str | None = None
    until: datetime | None = None
    note: str | None = None


def services_with_work(connection: Connection, services: Sequence[str]) -> list[str]:
    """Return those of the services that have items to decide now, the one with the oldest first.

    One probe of an index per service, whatever their number of items.
    """
    if not services:
        return []
    firsts = connection.execute(_oldest_of(tuple(services))).one()
    ready = [(first, service) for first, service in zip(firsts, services, strict=True) if first is not None]
    return [service for _, service in sorted(ready)]


@cache
def _oldest_of(services: tuple[str, ...]) -> Any:
    """Return the query of `services_with_work`; it is asked so often that making it anew costs more than its answer."""
    return select(
        *(
            select(ITEM.c.id)
            .where(ITEM.c.service == service, ITEM_IS_READY, _may_be_tried())
            .order_by(ITEM.c.id)
            .limit(1)
            .scalar_subquery()
            for service in services
        )
    )


def _may_be_tried() -> ColumnElement[bool]:
    return or_(ITEM.c.due_at.is_(None), ITEM.c.due_at <= database_now())


def claim_items(connection: Connection, service: str, *, limit: int) -> Sequence[AnyRow]:
    """Claim ready items of one service until the transaction ends, oldest first, whatever their message.

    No two claims hold items with the same ordering key: on PostgreSQL by an advisory lock per key, on SQLite because
    there is one writer. Nor does a claim hold an item while an older one of its key waits to be decided in another
    claim: that one's rows are held before its keys are.
    """
    rows = connection.execute(_claiming(), {"of_service": service, "most": limit}).all()
    if connection.dialect.name == "sqlite" or not rows:
        return rows
    firsts: dict[str, int] = {}
    for row in rows:
        firsts.setdefault(row.ordering_key, row.id)
    mine = set(connection.execute(_HOLDING, {"keys": sorted(firsts)}).scalars())
    if not mine:
        return []
    keys = told(connection, [ITEM.c.ordering_key], [(key,) for key in sorted(mine)])
    oldest = connection.execute(_oldest_ready(), {"of_service": service, "last": rows[-1].id, **keys})
    mine -= {key for key, first in oldest if first < firsts[key]}
    return [row for row in rows if row.ordering_key in mine]


@cache
def _oldest_ready() -> Any:
    """Return the query of the oldest item to be decided now of ordering keys: also of those that others hold."""
    return (
        select(ITEM.c.ordering_key, func.min(ITEM.c.id))
        .where(
            ITEM.c.service == bindparam("of_service"),
            ITEM_IS_READY,
            _may_be_tried(),
            ITEM.c.id <= bindparam("last"),
            among_given("postgresql", [ITEM.c.ordering_key]),
        )
        .group_by(ITEM.c.ordering_key)
    )


@cache
def _claiming() -> Any:
    """Return the query of `claim_items`."""
    return (
        select(*_CLAIMED)
        .join(MESSAGE, MESSAGE.c.id == ITEM.c.message_id)
        .where(
            ITEM.c.service == bindparam("of_service"),
            ITEM_IS_READY,
            _may_be_tried(),
        )
        .order_by(ITEM.c.id)
        .limit(bindparam("most", type_=Integer))
        .with_for_update(skip_locked=True, of=ITEM)
    )


def results_of(
    connection: Connection, item_ids: Collection[int]
) -> dict[int, tuple[ItemStatus, str, str | None, bool]]:
    """Return status, content, result and silence of items: what their duplicates are answered from."""
    query = select(ITEM.c.id, ITEM.c.status, ITEM.c.content, ITEM.c.result, ITEM.c.silent).where(
        ITEM.c.id.in_(item_ids)
    )
    return {row.id: (row.status, row.content, row.result, row.silent) for row in connection.execute(query)}


def finish_items(connection: Connection, updates: Sequence[ItemUpdate], *, now: datetime) -> None:
    """Store what was decided, with an event per item, and complete messages that have nothing open left."""
    if not updates:
        return
    for wanted in {decided.status for decided in updates}:
        check_transition(ItemStatus.READY, wanted)
    update_rows(
        connection,
        ITEM,
        _DECIDED,
        list(map(attrgetter(*_DECIDED, "item_id"), updates)),
        by=("id",),
        where="message_item.status = 'ready'",
    )
    insert_rows(
        connection,
        MESSAGE_EVENT,
        ("message_id", "item_id", "status", "at", "note"),
        [
            (decided.message_id, decided.item_id, decided.status.value, now, decided.note or decided.waits_for)
            for decided in updates
        ],
    )
    # Repeats wait for their original; they have its ordering key, so none is being parked just now.
    wake_parked(connection, {repeats_of(one.item_id) for one in updates if one.status in _ANSWERABLE})
    closed = {decided.message_id for decided in updates if decided.status in SETTLED}
    complete_messages(connection, closed, now=now)


def repeats_of(item_id: int) -> str:
    """Return the name under which repeats of an item wait until it is decided."""
    return f"item/{item_id}"


def complete_messages(connection: Connection, message_ids: Collection[int], *, now: datetime) -> None:
    """Mark received messages COMPLETED whose items are all closed."""
    if not message_ids:
        return
    is_open = MESSAGE.c.status.in_(sources_of(_COMPLETED))
    if connection.dialect.name != "sqlite":
        # Whoever closes the other last items of a message must be seen: one after the other, in the order of ids.
        open_ones = select(MESSAGE.c.id).where(MESSAGE.c.id.in_(message_ids), is_open).order_by(MESSAGE.c.id)
        connection.execute(open_ones.with_for_update(key_share=True)).all()
    unsettled = select(ITEM.c.id).where(ITEM.c.message_id == MESSAGE.c.id, ITEM.c.status != ItemStatus.CLOSED).exists()
    done = connection.execute(
        update(MESSAGE)
        .where(MESSAGE.c.id.in_(message_ids), is_open, ~unsettled)
        .values(status=_COMPLETED, ended_at=now)
        .returning(MESSAGE.c.id, MESSAGE.c.client, MESSAGE.c.sender_system, MESSAGE.c.service)
    ).all()
    events = [{"message_id": row.id, "status": _COMPLETED.value, "at": now} for row in done]
    if events:
        connection.execute(insert(MESSAGE_EVENT), events)
    note_news(
        connection,
        [
            News(
                at=now,
                topic=Topic.REQUESTS,
                sender_system=row.sender_system,
                client=row.client,
                about=f"request/{row.id}",
                content={"id": row.id, "service": row.service, "state": "settled"},
            )
            for row in done
            if row.client is not None
        ],
    )


def wake_overdue(connection: Connection, *, now: datetime, limit: int) -> int:
    """Make ready the items whose waiting ends: `until` (business time) has passed. Returns how many."""
    return wake(connection, and_(ITEM_IS_WAITING, ITEM.c.until <= now), limit=limit)


def is_overdue(connection: Connection, *, now: datetime) -> bool:
    """Tell whether any item's waiting has ended."""
    return connection.execute(_overdue(), {"now": now}).first() is not None


@cache
def _overdue() -> Any:
    return select(ITEM.c.id).where(ITEM_IS_WAITING, ITEM.c.until <= bindparam("now")).limit(1)


def fail_item(connection: Connection, row: AnyRow, *, error: str, pause: timedelta | None, now: datetime) -> None:
    """Note a defect of ours at one item: tried again after `pause` (real time), or DEAD when `pause` is None."""
    status = ItemStatus.DEAD if pause is None else ItemStatus.READY
    connection.execute(
        update(ITEM)
        .where(ITEM.c.id == row.id, ITEM.c.status == ItemStatus.READY)
        .values(
            status=status,
            attempts=ITEM.c.attempts + 1,
            due_at=None if pause is None else database_now(plus=pause),
            note=error,
        )
    )
    connection.execute(
        insert(MESSAGE_EVENT),
        [{"message_id": row.message_id, "item_id": row.id, "status": status.value, "at": now, "note": error}],
    )


def body_of(connection: Connection, content_hash: bytes) -> bytes | None:
    """Return a stored raw body, still compressed, or None when its retention has ended."""
    data: bytes | None = connection.execute(select(BODY.c.data).where(BODY.c.content_hash == content_hash)).scalar()
    return data or None
