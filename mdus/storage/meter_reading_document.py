"""Meter reading documents: orders for readings and their results."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, Index, select, text

from mdus.domain.meter_reading_document import DocumentStatus, MeterReadingDocument
from mdus.messaging.status import MessageStatus
from mdus.storage.mapping import ValueTable
from mdus.storage.message import ITEM, MESSAGE

METER_READING_DOCUMENT = ValueTable(
    MeterReadingDocument,
    "meter_reading_document",
    indexes=[("sender_system", "device_id")],
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
    ],
)

_TABLE = METER_READING_DOCUMENT.table


def due_for_value(connection: Connection, *, now: datetime, limit: int) -> list[MeterReadingDocument]:
    """Claim accepted documents whose next look for a value is due, oldest first, until the transaction ends."""
    query = (
        METER_READING_DOCUMENT.select()
        .where(_TABLE.c.status == DocumentStatus.ORDERED, _TABLE.c.next_try_at <= now)
        .order_by(_TABLE.c.next_try_at, _TABLE.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return METER_READING_DOCUMENT.fetch(connection, query)


def due_for_result(connection: Connection, *, limit: int) -> list[MeterReadingDocument]:
    """Claim documents with a value whose acceptance has been delivered to SAP, until the transaction ends.

    A result never overtakes the confirmation of its order.
    """
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
    query = (
        METER_READING_DOCUMENT.select()
        .where(_TABLE.c.status == DocumentStatus.READ, accepted)
        .order_by(_TABLE.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return METER_READING_DOCUMENT.fetch(connection, query)
