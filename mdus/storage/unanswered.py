"""What is unanswered on either side, by age and service: SAP's confirmations to us, and ours to SAP."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, and_, func, or_, select, text

from mdus.messaging.status import ItemStatus
from mdus.storage.message import (
    ITEM,
    ITEM_IS_DECIDED,
    ITEM_IS_READY,
    ITEM_IS_WAITING,
    MESSAGE,
    MESSAGE_EVENT,
    MESSAGE_IS_READY,
    MESSAGE_IS_SENDING,
)

# In the words of its index: SQLite uses a partial index for nothing else.
_DELIVERED = text("message.direction = 'out' AND message.status = 'delivered'")


@dataclass(frozen=True, kw_only=True, slots=True)
class Unanswered:
    """Messages or items of one sender system and service: how many, and since when the oldest."""

    sender_system: str
    service: str
    count: int
    oldest: datetime


def awaiting_sap(connection: Connection, services: Collection[str], *, before: datetime) -> list[Unanswered]:
    """Return messages we started that SAP took before an instant (business time) and has not confirmed.

    `services` are those whose messages SAP confirms.
    """
    query = _grouped(MESSAGE, MESSAGE.c.ended_at).where(
        _DELIVERED, MESSAGE.c.service.in_(sorted(services)), MESSAGE.c.ended_at <= before
    )
    return _read(connection, query)


def undelivered(connection: Connection, *, before: datetime) -> list[Unanswered]:
    """Return messages to SAP that were stored before an instant and have not arrived, though attempts go on."""
    query = _grouped(MESSAGE, MESSAGE.c.stored_at).where(
        or_(MESSAGE_IS_READY, MESSAGE_IS_SENDING), MESSAGE.c.direction == "out", MESSAGE.c.stored_at <= before
    )
    return _read(connection, query)


def awaiting_us(connection: Connection, services: Collection[str], *, before: datetime) -> list[Unanswered]:
    """Return items of SAP's that should be decided or confirmed by now and are not.

    `services` are those we confirm. An item that waits for its device or its commands is left out until its time is
    up, and so is one that has just been woken.
    """
    waited = (
        select(MESSAGE_EVENT.c.id)
        .where(
            MESSAGE_EVENT.c.item_id == ITEM.c.id,
            MESSAGE_EVENT.c.status.in_([ItemStatus.AWAITING.value, ItemStatus.PARKED.value]),
        )
        .exists()
    )
    decided_lately = (
        select(MESSAGE_EVENT.c.id)
        .where(
            MESSAGE_EVENT.c.item_id == ITEM.c.id,
            MESSAGE_EVENT.c.status == ItemStatus.DECIDED.value,
            MESSAGE_EVENT.c.at > before,
        )
        .exists()
    )
    stuck = or_(
        and_(ITEM_IS_READY, or_(ITEM.c.attempts > 0, ~waited)),
        and_(ITEM_IS_WAITING, ITEM.c.until <= before),
        and_(ITEM_IS_DECIDED, ~decided_lately),
    )
    query = _grouped(ITEM, ITEM.c.stored_at).where(
        or_(ITEM_IS_READY, ITEM_IS_WAITING, ITEM_IS_DECIDED),
        ITEM.c.direction == "in",
        ITEM.c.service.in_(sorted(services)),
        ITEM.c.stored_at <= before,
        stuck,
    )
    return _read(connection, query)


def _grouped(table: Any, since: Any) -> Select[Any]:
    return select(table.c.sender_system, table.c.service, func.count(), func.min(since)).group_by(
        table.c.sender_system, table.c.service
    )


def _read(connection: Connection, query: Select[Any]) -> list[Unanswered]:
    return [
        Unanswered(sender_system=system, service=service, count=count, oldest=oldest)
        for system, service, count, oldest in connection.execute(query)
    ]
