"""The messages of SAP's that commands were given for: whose trace a call to a head end belongs to."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, Connection, func, select

from mdus.domain.command import Command, OwnerKind
from mdus.storage.keys import among
from mdus.storage.message import ITEM, MESSAGE
from mdus.storage.meter_reading_document import METER_READING_DOCUMENT

_DOCUMENT = METER_READING_DOCUMENT.table


def messages_behind(connection: Connection, commands: Collection[Command]) -> frozenset[str]:
    """Return what names the messages (UUID, else ID) whose items or documents own these commands; two queries."""
    items = {(int(each.owner_key),) for each in commands if each.owner_kind is OwnerKind.ITEM}
    documents = {
        (each.sender_system, each.owner_key.removeprefix(f"{each.sender_system}/"))
        for each in commands
        if each.owner_kind is OwnerKind.DOCUMENT
    }
    found: set[str] = set()
    if items:
        found |= _named(connection, among(connection, [ITEM.c.id], items))
    if documents:
        columns = [_DOCUMENT.c.sender_system, _DOCUMENT.c.document_id]
        ordered = select(_DOCUMENT.c.order_item_id).where(among(connection, columns, documents))
        found |= _named(connection, ITEM.c.id.in_(ordered))
    return frozenset(found)


def _named(connection: Connection, which: ColumnElement[bool]) -> set[str]:
    name = func.coalesce(MESSAGE.c.uuid, MESSAGE.c.header_id)
    query = select(name).join(ITEM, ITEM.c.message_id == MESSAGE.c.id).where(which, name.is_not(None)).distinct()
    return set(connection.scalars(query))
