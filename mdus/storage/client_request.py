"""Requests of REST clients: messages like SAP's, whose results are read where SAP gets a confirmation."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import Connection, select

from mdus.storage.access_token import tokens
from mdus.storage.intake import Fate, ReceivedItem, ReceivedMessage, StoredBody, message_with_key, store_message
from mdus.storage.mapping import AnyRow
from mdus.storage.message import ITEM, MESSAGE, MESSAGE_IS_LISTED, MESSAGE_IS_REQUEST
from mdus.storage.paging import Page, Way, rows_of_page, sender_systems

_WAY: Final = Way(columns=("client", "sender_system"), condition=MESSAGE_IS_REQUEST)
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
    first = message_with_key(connection, message)
    if first is None:
        return None
    message_id, content_hash = first
    return Kept(message_id, is_new=False, differs=content_hash != body.content_hash)


def request(connection: Connection, message_id: int) -> AnyRow | None:
    """Return the message of a request, None where there is none of a client under this number."""
    return connection.execute(select(MESSAGE).where(MESSAGE.c.id == message_id, *_OF_CLIENTS)).first()


def items_of_request(connection: Connection, message_id: int) -> Sequence[AnyRow]:
    """Return the items of a request in their order."""
    columns = (ITEM.c.position, ITEM.c.status, ITEM.c.content, ITEM.c.result, ITEM.c.until, ITEM.c.note)
    return connection.execute(select(*columns).where(ITEM.c.message_id == message_id).order_by(ITEM.c.position)).all()


def requests(connection: Connection, page: Page, *, client: str | None) -> Sequence[AnyRow]:
    """Return the messages of requests of a client, or of all that have, or had, a token."""
    wanted = {
        "client": {f"rest:{row.name}" for row in tokens(connection)} if client is None else {client},
        "sender_system": sender_systems(connection, MESSAGE, condition=MESSAGE_IS_LISTED)
        if page.systems is None
        else set(page.systems),
    }
    return rows_of_page(connection, select(MESSAGE), MESSAGE, page, wanted, [_WAY])
