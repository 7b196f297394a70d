"""Requests of REST clients: messages like SAP's, whose results are read where SAP gets a confirmation."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import Connection, Row, select

from mdus.storage.intake import Fate, ReceivedItem, ReceivedMessage, StoredBody, store_message
from mdus.storage.listing import Page
from mdus.storage.mapping import AnyRow
from mdus.storage.message import ITEM, MESSAGE

_OF_CLIENTS: Final = (MESSAGE.c.client.is_not(None), MESSAGE.c.direction == "in")


class Kept(NamedTuple):
    """The message of a request: new, or what the same key brought before; `differs` when that said something else."""

    message_id: int
    is_new: bool
    differs: bool = False


def keep_request(
    connection: Connection,
    message: ReceivedMessage,
    *,
    body: StoredBody,
    items: Sequence[ReceivedItem],
    shape_version: str,
    now: datetime,
) -> Kept:
    """Store a request of a client once per key; the same again is the one that is there."""
    known = _known(connection, message, body)
    if known is not None:
        return known
    stored = store_message(connection, message, body=body, batches=[items], shape_version=shape_version, now=now)
    if stored.fate is Fate.NEW:
        return Kept(stored.message_id, is_new=True)
    known = _known(connection, message, body)
    if known is None:
        raise LookupError(f"the key {message.key} is taken by a message that is not there")
    return known


def _known(connection: Connection, message: ReceivedMessage, body: StoredBody) -> Kept | None:
    row = connection.execute(
        select(MESSAGE.c.id, MESSAGE.c.content_hash).where(
            MESSAGE.c.direction == "in",
            MESSAGE.c.sender_system == message.sender_system,
            MESSAGE.c.service == message.service,
            MESSAGE.c.key == message.key,
        )
    ).first()
    if row is None:
        return None
    return Kept(row.id, is_new=False, differs=row.content_hash != body.content_hash)


def request(connection: Connection, message_id: int) -> AnyRow | None:
    """Return the message of a request, None where there is none of a client under this number."""
    return connection.execute(select(MESSAGE).where(MESSAGE.c.id == message_id, *_OF_CLIENTS)).first()


def items_of_request(connection: Connection, message_id: int) -> Sequence[AnyRow]:
    """Return the items of a request in their order."""
    columns = (ITEM.c.position, ITEM.c.status, ITEM.c.content, ITEM.c.result, ITEM.c.until, ITEM.c.note)
    return connection.execute(select(*columns).where(ITEM.c.message_id == message_id).order_by(ITEM.c.position)).all()


def requests(connection: Connection, page: Page, *, client: str | None) -> Sequence[Row[tuple[object, ...]]]:
    """Return the messages of clients' requests, the newest first."""
    query = select(MESSAGE).where(*_OF_CLIENTS, *page.of(MESSAGE, {"client": client}))
    return connection.execute(query.order_by(MESSAGE.c.id.desc()).limit(page.limit)).all()
