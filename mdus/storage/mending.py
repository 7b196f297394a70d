"""What was given up and what a human makes of it: tried again, or left for good; and messages sent once more.

| kind       | given up is                                            | tried again               | left      |
|------------|--------------------------------------------------------|---------------------------|-----------|
| `message`  | a message to SAP that could not be delivered           | delivered, under its UUID | ABANDONED |
| `item`     | an item of SAP's that could not be decided: our defect | decided again             | CLOSED    |
| `delivery` | what a head end told, unreadable or without a place    | decoded again             | ABANDONED |
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, Table, func, literal, literal_column, null, select, update

from mdus.messaging.status import ItemStatus, MessageStatus, sources_of
from mdus.storage.audit import Deed, note_deed
from mdus.storage.column_types import UtcInstant
from mdus.storage.command import HEAD_END_DELIVERY
from mdus.storage.delivery import DeliveryStatus
from mdus.storage.exception_case import DEAD_DELIVERIES, DEAD_ITEM, DEAD_MESSAGE, close_cases
from mdus.storage.inbox import complete_messages
from mdus.storage.mapping import AnyRow
from mdus.storage.message import ITEM, MESSAGE, MESSAGE_EVENT
from mdus.storage.paging import Page
from mdus.storage.rows import insert_rows


class Kind(StrEnum):
    """What is given up."""

    MESSAGE = "message"
    ITEM = "item"
    DELIVERY = "delivery"


@dataclass(frozen=True, kw_only=True, slots=True)
class Which:
    """Which of what is given up is meant: all that meets every condition stated; `before` is of when it was stored."""

    kind: Kind
    ids: Collection[int] = ()
    sender_system: str | None = None
    service: str | None = None
    head_end: str | None = None
    before: datetime | None = None

    def __str__(self) -> str:
        said = {
            "ids": ",".join(map(str, sorted(self.ids))),
            "sender_system": self.sender_system,
            "service": self.service,
            "head_end": self.head_end,
            "before": self.before and self.before.isoformat(),
        }
        return " ".join([self.kind, *(f"{name}={value}" for name, value in said.items() if value)])


# In the words of the partial indexes: SQLite uses them for nothing else.
_MESSAGE_IS_DEAD: Final[ColumnElement[bool]] = literal_column("message.status = 'dead'")
_ITEM_IS_DEAD: Final[ColumnElement[bool]] = literal_column("message_item.status = 'dead'")
_DELIVERY_IS_DEAD: Final[ColumnElement[bool]] = literal_column("head_end_delivery.status = 'dead'")


def given_up(connection: Connection, which: Which, page: Page) -> Sequence[AnyRow]:
    """Return what is given up, by identity: id, where it belongs, what it is, since when, and why.

    It is found among all that is given up of its kind, which an index has in this order.
    """
    table = _table(which.kind)
    columns = {
        Kind.MESSAGE: (MESSAGE.c.sender_system, MESSAGE.c.root, MESSAGE.c.stored_at, MESSAGE.c.last_error),
        Kind.ITEM: (ITEM.c.sender_system, ITEM.c.service, ITEM.c.stored_at, ITEM.c.note),
        Kind.DELIVERY: (
            HEAD_END_DELIVERY.c.head_end,
            HEAD_END_DELIVERY.c.topic,
            HEAD_END_DELIVERY.c.received_at,
            HEAD_END_DELIVERY.c.note,
        ),
    }[which.kind]
    named = [column.label(name) for column, name in zip(columns, ("of", "what", "at", "why"), strict=True)]
    query: Select[Any] = select(table.c.id, *named).where(*_conditions(which), *page.conditions(table, {}))
    return connection.execute(query.order_by(*page.sort.order(table)).limit(page.limit)).all()


def count_given_up(connection: Connection, kind: Kind) -> int:
    """Return how much of a kind is given up."""
    table = _table(kind)
    query = select(func.count()).select_from(table).where(*_conditions(Which(kind=kind)))
    return int(connection.execute(query).scalar_one())


def try_again(connection: Connection, which: Which, deed: Deed, *, now: datetime) -> int:
    """Make what is given up ready once more, at once and with all its attempts; returns how many."""
    count = _tried_again(connection, which, note=deed.note("tried again"), now=now)
    note_deed(connection, deed, action="retry", target=str(which), count=count, at=now)
    return count


def leave(connection: Connection, which: Which, deed: Deed, *, now: datetime) -> int:
    """Leave what is given up as it is for good, and close its cases; returns how many."""
    count = _left(connection, which, note=deed.note("left"), now=now)
    note_deed(connection, deed, action="leave", target=str(which), count=count, at=now)
    return count


def _tried_again(connection: Connection, which: Which, *, note: str, now: datetime) -> int:
    match which.kind:
        case Kind.MESSAGE:
            return len(_ready_messages(connection, _conditions(which), note=note, now=now))
        case Kind.ITEM:
            items = connection.execute(
                update(ITEM)
                .where(*_conditions(which))
                .values(status=ItemStatus.READY, attempts=0, due_at=null())
                .returning(ITEM.c.id, ITEM.c.message_id)
            ).all()
            _note_items(connection, items, ItemStatus.READY, note=note, now=now)
            close_cases(connection, DEAD_ITEM, {str(row.id) for row in items}, now=now)
            return len(items)
        case Kind.DELIVERY:
            return _end_deliveries(connection, which, DeliveryStatus.READY, note=note, now=now)


def _left(connection: Connection, which: Which, *, note: str, now: datetime) -> int:
    match which.kind:
        case Kind.MESSAGE:
            left = connection.execute(
                update(MESSAGE)
                .where(*_conditions(which))
                .values(status=MessageStatus.ABANDONED, ended_at=literal(now, UtcInstant()))
                .returning(MESSAGE.c.id, MESSAGE.c.uuid)
            ).all()
            _note_messages(connection, [row.id for row in left], MessageStatus.ABANDONED, note=note, now=now)
            close_cases(connection, DEAD_MESSAGE, {row.uuid for row in left}, now=now)
            return len(left)
        case Kind.ITEM:
            items = connection.execute(
                update(ITEM)
                .where(*_conditions(which))
                .values(status=ItemStatus.CLOSED, note=note)
                .returning(ITEM.c.id, ITEM.c.message_id)
            ).all()
            _note_items(connection, items, ItemStatus.CLOSED, note=note, now=now)
            close_cases(connection, DEAD_ITEM, {str(row.id) for row in items}, now=now)
            complete_messages(connection, sorted({row.message_id for row in items}), now=now)
            return len(items)
        case Kind.DELIVERY:
            return _end_deliveries(connection, which, DeliveryStatus.ABANDONED, note=note, now=now)


def send_once_more(connection: Connection, message_id: int, deed: Deed, *, now: datetime) -> bool:
    """Make a message to SAP ready once more, delivered, confirmed or given up: the same bytes under its own UUID.

    False for one that is on its way, or that SAP has sent.
    """
    conditions = [
        MESSAGE.c.id == message_id,
        MESSAGE.c.direction == "out",
        MESSAGE.c.status.in_([each for each in sources_of(MessageStatus.READY) if each is not MessageStatus.SENDING]),
    ]
    if not _ready_messages(connection, conditions, note=deed.note("sent once more"), now=now):
        return False
    note_deed(connection, deed, action="resend", target=f"message {message_id}", count=1, at=now)
    return True


def _ready_messages(
    connection: Connection, conditions: Sequence[ColumnElement[bool]], *, note: str, now: datetime
) -> Sequence[AnyRow]:
    again = connection.execute(
        update(MESSAGE)
        .where(*conditions)
        .values(status=MessageStatus.READY, attempts=0, due_at=null(), ended_at=null(), last_error=null())
        .returning(MESSAGE.c.id, MESSAGE.c.uuid)
    ).all()
    _note_messages(connection, [row.id for row in again], MessageStatus.READY, note=note, now=now)
    close_cases(connection, DEAD_MESSAGE, {row.uuid for row in again}, now=now)
    return again


def _end_deliveries(connection: Connection, which: Which, status: DeliveryStatus, *, note: str, now: datetime) -> int:
    table = HEAD_END_DELIVERY
    ended = connection.execute(
        update(table)
        .where(*_conditions(which))
        .values(status=status.value, attempts=0, due_at=null(), note=note)
        .returning(table.c.id, table.c.head_end)
    ).all()
    for kind in DEAD_DELIVERIES:
        close_cases(connection, kind, {f"{row.head_end}/{row.id}" for row in ended}, now=now)
    return len(ended)


def _note_messages(
    connection: Connection, ids: Collection[int], status: MessageStatus, *, note: str, now: datetime
) -> None:
    rows = [(each, status.value, now, note) for each in ids]
    insert_rows(connection, MESSAGE_EVENT, ("message_id", "status", "at", "note"), rows)


def _note_items(
    connection: Connection, items: Collection[AnyRow], status: ItemStatus, *, note: str, now: datetime
) -> None:
    rows = [(row.message_id, row.id, status.value, now, note) for row in items]
    insert_rows(connection, MESSAGE_EVENT, ("message_id", "item_id", "status", "at", "note"), rows)


def _table(kind: Kind) -> Table:
    return {Kind.MESSAGE: MESSAGE, Kind.ITEM: ITEM, Kind.DELIVERY: HEAD_END_DELIVERY}[kind]


def _conditions(which: Which) -> list[ColumnElement[bool]]:
    table = _table(which.kind)
    dead = {Kind.MESSAGE: _MESSAGE_IS_DEAD, Kind.ITEM: _ITEM_IS_DEAD, Kind.DELIVERY: _DELIVERY_IS_DEAD}
    conditions = [dead[which.kind]]
    if which.ids:
        conditions.append(table.c.id.in_(sorted(which.ids)))
    for name in ("sender_system", "service", "head_end"):
        wanted = getattr(which, name)
        if wanted is not None:
            # A condition that its kind knows nothing of is met by none.
            conditions.append(table.c[name] == wanted if name in table.c else literal_column("1 = 0"))
    if which.before is not None:
        stored = table.c["stored_at" if "stored_at" in table.c else "received_at"]
        conditions.append(stored < which.before)
    return conditions
