"""Which reading orders SAP has not heard of yet."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime

import pytest
from sqlalchemy import insert

from mdus.domain.meter_reading_document import MeterReadingDocument
from mdus.messaging.status import ItemStatus, MessageStatus
from mdus.storage.message import ITEM, MESSAGE
from mdus.storage.session import Database, UnitOfWork

_NOW = datetime(2026, 3, 28, 10, tzinfo=UTC)


@pytest.fixture
def uow(database_url: str) -> Iterator[UnitOfWork]:
    database = Database(database_url)
    with database.begin() as uow:
        yield uow
    database.close()


def document(item_id: int) -> MeterReadingDocument:
    return MeterReadingDocument(
        sender_system="S4HANA",
        document_id="7",
        device_id="1",
        measurement_task_id="2",
        obis_text="1-0:1.8.0",
        reading_type="1-0:1.8.0*255",
        reason_code="01",
        scheduled_on=date(2026, 3, 28),
        time_zone="Europe/Berlin",
        due_at=_NOW,
        window_from=_NOW,
        window_until=_NOW,
        order_item_id=item_id,
    )


def message(uow: UnitOfWork, *, direction: str, status: MessageStatus) -> int:
    row = {
        "direction": direction,
        "sender_system": "S4HANA",
        "service": "orders",
        "root": "Orders",
        "bulk": True,
        "status": status,
        "key": f"{direction}/{status}",
        "created_at": _NOW,
        "stored_at": _NOW,
    }
    return int(uow.connection.execute(insert(MESSAGE).values(row).returning(MESSAGE.c.id)).scalar_one())


def order(uow: UnitOfWork, *, status: ItemStatus, confirmation: MessageStatus | None) -> MeterReadingDocument:
    """Store an order's item, and its confirmation in a status, if it has one."""
    row = {
        "message_id": message(uow, direction="in", status=MessageStatus.RECEIVED),
        "position": 1,
        "direction": "in",
        "sender_system": "S4HANA",
        "service": "orders",
        "status": status,
        "key": "order",
        "ordering_key": "S4HANA/1",
        "content": "{}",
        "shape_version": "1",
        "stored_at": _NOW,
    }
    if confirmation is not None:
        row["confirmation_id"] = message(uow, direction="out", status=confirmation)
    return document(int(uow.connection.execute(insert(ITEM).values(row).returning(ITEM.c.id)).scalar_one()))


class TestDocumentsUnanswered:
    @pytest.mark.parametrize(
        ("status", "confirmation"),
        [
            (ItemStatus.DECIDED, None),
            (ItemStatus.CLOSED, MessageStatus.READY),
            (ItemStatus.CLOSED, MessageStatus.SENDING),
        ],
        ids=["not in a confirmation yet", "confirmation not sent yet", "confirmation under way"],
    )
    def test_names_an_order_whose_answer_is_to_come(
        self, uow: UnitOfWork, status: ItemStatus, confirmation: MessageStatus | None
    ) -> None:
        ordered = order(uow, status=status, confirmation=confirmation)

        assert uow.documents_unanswered([ordered]) == [ordered]

    @pytest.mark.parametrize("confirmation", [MessageStatus.DELIVERED, MessageStatus.DEAD], ids=lambda one: one)
    def test_leaves_out_an_order_whose_answer_arrived_or_never_will(
        self, uow: UnitOfWork, confirmation: MessageStatus
    ) -> None:
        ordered = order(uow, status=ItemStatus.CLOSED, confirmation=confirmation)

        assert uow.documents_unanswered([ordered]) == []
