"""What SAP has answered of what we sent: the items its confirmations name, and marking them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, exists, func, literal, or_, select, true, update

from mdus.messaging.sent_item import SentItem
from mdus.messaging.status import ItemStatus, MessageStatus, sources_of
from mdus.storage.column_types import UtcInstant
from mdus.storage.exception_case import DEAD_MESSAGE, close_cases
from mdus.storage.keys import among
from mdus.storage.mapping import AnyRow
from mdus.storage.message import (
    ITEM,
    ITEM_IS_SENT,
    MESSAGE,
    MESSAGE_EVENT,
)
from mdus.storage.rows import insert_rows, update_rows
from mdus.telemetry.metrics import ANSWERED_SECONDS

_HAS_OPEN_ITEMS: Final = exists().where(ITEM.c.message_id == MESSAGE.c.id, ITEM_IS_SENT)


def sent_items(connection: Connection, answers: Collection[tuple[str, str, str]]) -> list[SentItem]:
    """Return the items of our messages that confirmations answer: (sender system, lower-case UUID, business key)."""
    wanted = [(message_key, f"{sender_system}/{about}") for sender_system, message_key, about in answers]
    return _sent(
        connection,
        among(connection, [MESSAGE.c.key, ITEM.c.ordering_key], wanted),
        MESSAGE.c.sender_system == ITEM.c.sender_system,
    )


def sole_items(connection: Connection, answers: Collection[tuple[str, str]]) -> list[SentItem]:
    """Return the items that are all of a message of ours: (sender system, lower-case UUID) of the messages."""
    of_message = among(connection, [MESSAGE.c.sender_system, MESSAGE.c.key], answers)
    return _sent(connection, of_message, MESSAGE.c.item_count == 1)


def _sent(connection: Connection, *which: ColumnElement[bool]) -> list[SentItem]:
    query = (
        select(MESSAGE.c.sender_system, MESSAGE.c.key, ITEM.c.key)
        .join(ITEM, ITEM.c.message_id == MESSAGE.c.id)
        .where(*which, MESSAGE.c.direction == "out")
        .order_by(ITEM.c.id)
    )
    found = []
    for sender_system, message_key, key in connection.execute(query):
        about, _, attempt = key.rpartition("/")
        found.append(SentItem(sender_system=sender_system, message_key=message_key, about=about, attempt=int(attempt)))
    return found


def settle_answered(
    connection: Connection,
    answered: Sequence[tuple[str, str | None, str]],
    *,
    sender_system: str,
    always_confirmed: bool = True,
    now: datetime,
) -> None:
    """Mark what SAP has confirmed: (service, ReferenceUUID, business key) of each confirmed item.

    The message is found by the ReferenceUUID of the confirmation or of its item, the item by its business key: in that
    message, or in any when the message is not known. A confirmation that comes late, twice, or before our delivery was
    noted changes nothing it should not. A message is confirmed with the last of its items; where SAP need not answer
    each (not `always_confirmed`), with the first.
    """
    references = {reference.lower() for _, reference, _ in answered if reference}
    held = _hold(connection, references, sender_system=sender_system) if references else ()
    ordering_keys = {(f"{sender_system}/{key}",) for _, _, key in answered}
    waiting = connection.execute(
        select(ITEM.c.id, ITEM.c.message_id, ITEM.c.service, ITEM.c.ordering_key, MESSAGE.c.key)
        .join(MESSAGE, MESSAGE.c.id == ITEM.c.message_id)
        .where(
            ITEM_IS_SENT,
            among(connection, [ITEM.c.ordering_key], ordering_keys),
            ITEM.c.service.in_({service for service, _, _ in answered}),
            ITEM.c.direction == "out",
            ITEM.c.sender_system == sender_system,
        )
        .order_by(ITEM.c.id)
        .with_for_update(of=ITEM)
    ).all()
    meant: dict[tuple[str, str], set[str]] = {}
    for service, reference, key in answered:
        meant.setdefault((service, f"{sender_system}/{key}"), set()).add((reference or "").lower())
    named = _known(connection, references, sender_system=sender_system) if waiting and references else set()
    found = [
        row
        for row in waiting
        if (messages := meant.get((row.service, row.ordering_key), set())) and (row.key in messages or messages - named)
    ]
    if found:
        status = ItemStatus.ANSWERED
        update_rows(connection, ITEM, ("status",), [(status, row.id) for row in found], by=("id",))
        rows = [(row.message_id, row.id, status.value, now) for row in found]
        insert_rows(connection, MESSAGE_EVENT, ("message_id", "item_id", "status", "at"), rows)
        _confirm_unnamed(connection, [row for row in found if row.key not in references], now=now)
    _confirm(connection, held, always_confirmed=always_confirmed, now=now)


def _confirm_unnamed(connection: Connection, answered: Sequence[AnyRow], *, now: datetime) -> None:
    """Mark messages CONFIRMED that SAP took and answered without naming them: those whose last item was answered.

    Where several messages wait under one key nobody knows which one is meant, and each stays as it is.
    """
    waited = Counter((row.service, row.ordering_key) for row in answered)
    alone = {row.message_id for row in answered if waited[row.service, row.ordering_key] == 1}
    if not alone:
        return
    confirmed = connection.execute(
        update(MESSAGE)
        .where(MESSAGE.c.id.in_(sorted(alone)), MESSAGE.c.status == MessageStatus.DELIVERED, ~_HAS_OPEN_ITEMS)
        .values(status=MessageStatus.CONFIRMED)
        .returning(MESSAGE.c.id, MESSAGE.c.service, MESSAGE.c.ended_at)
    ).all()
    rows = [(row.id, MessageStatus.CONFIRMED.value, now) for row in confirmed]
    insert_rows(connection, MESSAGE_EVENT, ("message_id", "status", "at"), rows)
    _measure(confirmed, now=now)


def _measure(confirmed: Sequence[AnyRow], *, now: datetime) -> None:
    """Note how long SAP took to confirm; a confirmation that overtook the answer to our call took no time."""
    durations: dict[str, Counter[float]] = {}
    for row in confirmed:
        seconds = 0.0 if row.ended_at is None else max(0.0, (now - row.ended_at).total_seconds())
        durations.setdefault(row.service, Counter())[seconds] += 1
    for service, of_service in durations.items():
        ANSWERED_SECONDS.labels(service).observe_many(of_service)


def _known(connection: Connection, keys: Collection[str], *, sender_system: str) -> set[str]:
    """Return those of the keys that messages of ours have."""
    query = select(MESSAGE.c.key).where(
        MESSAGE.c.direction == "out", MESSAGE.c.sender_system == sender_system, MESSAGE.c.key.in_(keys)
    )
    return set(connection.scalars(query))


def _hold(connection: Connection, keys: Collection[str], *, sender_system: str) -> Sequence[AnyRow]:
    """Return the messages with these keys that are not confirmed yet; nobody else answers them meanwhile."""
    query = (
        select(MESSAGE.c.id, MESSAGE.c.uuid, MESSAGE.c.status, MESSAGE.c.service, MESSAGE.c.ended_at)
        .where(
            MESSAGE.c.direction == "out",
            MESSAGE.c.sender_system == sender_system,
            MESSAGE.c.key.in_(keys),
            MESSAGE.c.status.in_(sources_of(MessageStatus.CONFIRMED)),
        )
        .order_by(MESSAGE.c.id)
        .with_for_update()
    )
    return connection.execute(query).all()


def _confirm(connection: Connection, named: Sequence[AnyRow], *, always_confirmed: bool, now: datetime) -> None:
    """Mark messages CONFIRMED that SAP's confirmations name, whether we know of their delivery or not.

    A confirmation may overtake the answer to our call, and come for a message whose answer was lost: that one is on its
    way again, or given up. A message with items that SAP has not answered yet, though it answers each, is DELIVERED:
    its service waits for the rest.
    """
    if not named:
        return
    ids = [row.id for row in named]
    taken = {
        "due_at": None,
        "lease_token": None,
        "lease_until": None,
        "ended_at": func.coalesce(MESSAGE.c.ended_at, literal(now, UtcInstant())),
    }
    is_answered = or_(MESSAGE.c.item_count <= 1, ~_HAS_OPEN_ITEMS) if always_confirmed else true()
    confirmed = set(
        connection.scalars(
            update(MESSAGE)
            .where(MESSAGE.c.id.in_(ids), is_answered)
            .values(status=MessageStatus.CONFIRMED, **taken)
            .returning(MESSAGE.c.id)
        )
    )
    in_part = [row.id for row in named if row.id not in confirmed and row.status is not MessageStatus.DELIVERED]
    if in_part:
        connection.execute(
            update(MESSAGE).where(MESSAGE.c.id.in_(in_part)).values(status=MessageStatus.DELIVERED, **taken)
        )
    rows: list[tuple[Any, ...]] = [(row_id, MessageStatus.CONFIRMED.value, now, None) for row_id in sorted(confirmed)]
    rows += [(row_id, MessageStatus.DELIVERED.value, now, "SAP has answered a part") for row_id in in_part]
    insert_rows(connection, MESSAGE_EVENT, ("message_id", "status", "at", "note"), rows)
    _measure([row for row in named if row.id in confirmed], now=now)
    given_up = [row.uuid for row in named if row.status is MessageStatus.DEAD]
    if given_up:
        close_cases(connection, DEAD_MESSAGE, given_up, now=now)
