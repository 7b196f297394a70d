"""What is old enough goes, what somebody waits for stays; a second run has nothing to do."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Table, func, insert, select, update

from mdus.bootstrap.discovery import discover
from mdus.domain.end_device import EndDevice, EndDeviceStatus
from mdus.domain.exception_case import ExceptionCase
from mdus.messaging.status import ItemStatus, MessageStatus
from mdus.services.device_create import SERVICE as DEVICE_CREATE
from mdus.services.device_registered import SERVICE as REGISTERED
from mdus.services.meter_reading_document_result import SERVICE as RESULT
from mdus.settings import load_settings
from mdus.storage.audit import AUDIT
from mdus.storage.command import HEAD_END_DELIVERY
from mdus.storage.exception_work import EXCEPTION_HISTORY, note_history
from mdus.storage.facts import EXCEPTION_CASE
from mdus.storage.intake import body_of_message
from mdus.storage.kpi import KPI_DAY
from mdus.storage.message import BODY, ITEM, MESSAGE, MESSAGE_EVENT, store_body
from mdus.storage.session import Database
from mdus.workers import retention

SERVICES = discover().services
SETTINGS = load_settings({})
NOW = datetime(2027, 6, 1, 0, 0, tzinfo=UTC)
DAY = date(2027, 6, 1)
BODIES, KEYS = timedelta(days=90), timedelta(days=400)
SECOND = timedelta(seconds=1)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url)
    yield opened
    opened.close()


def forget(database: Database, *, at_once: int = 2, since: datetime | None = None) -> str:
    return retention.run(database, settings=SETTINGS, services=SERVICES, now=NOW, day=DAY, since=since, at_once=at_once)


def stored(
    database: Database,
    age: timedelta,
    *,
    status: MessageStatus = MessageStatus.COMPLETED,
    direction: str = "in",
    service: str = DEVICE_CREATE.name,
    item: ItemStatus = ItemStatus.CLOSED,
    body: bytes | None = None,
    **values: Any,
) -> int:
    """Store a message with one item and one event of each; returns its id."""
    at = NOW - age
    with database.begin() as uow:
        connection = uow.connection
        number = connection.scalar(select(func.count()).select_from(MESSAGE)) or 0
        data = body or f"<message>{number}</message>".encode()
        content_hash = hashlib.sha256(data).digest()
        store_body(connection, content_hash=content_hash, data=zlib.compress(data), size=len(data))
        made = insert(MESSAGE).values(
            direction=direction,
            sender_system="P11",
            service=service,
            root=service,
            bulk=False,
            status=status,
            key=f"{number}",
            content_hash=content_hash,
            created_at=at,
            stored_at=at,
            **values,
        )
        message_id = int(connection.execute(made.returning(MESSAGE.c.id)).scalar_one())
        one = insert(ITEM).values(
            message_id=message_id,
            position=1,
            direction=direction,
            sender_system="P11",
            service=service,
            status=item,
            key=f"{number}",
            ordering_key="P11/1",
            content="{}",
            shape_version="1",
            stored_at=at,
        )
        item_id = connection.execute(one.returning(ITEM.c.id)).scalar_one()
        for of in ({"message_id": message_id}, {"message_id": message_id, "item_id": item_id}):
            connection.execute(insert(MESSAGE_EVENT).values(status="x", at=at, **of))
    return message_id


def count(database: Database, table: Table) -> int:
    with database.read() as uow:
        return uow.connection.scalar(select(func.count()).select_from(table)) or 0


def has_body(database: Database, message_id: int) -> bool:
    with database.read() as uow:
        return body_of_message(uow.connection, message_id) is not None


class TestBodies:
    def test_go_when_they_are_old(self, database: Database) -> None:
        old, young = stored(database, BODIES + SECOND), stored(database, BODIES)
        assert "1 bodies of messages" in forget(database)
        assert (has_body(database, old), has_body(database, young)) == (False, True)
        assert count(database, MESSAGE) == 2  # their keys stay
        assert "0 bodies of messages" in forget(database)

    def test_go_in_batches(self, database: Database) -> None:
        for _ in range(5):
            stored(database, BODIES + SECOND)
        assert "5 bodies of messages" in forget(database, at_once=2)

    @pytest.mark.parametrize(
        ("status", "service", "goes"),
        [
            pytest.param(MessageStatus.CONFIRMED, RESULT.name, True, id="confirmed"),
            pytest.param(MessageStatus.DELIVERED, RESULT.name, False, id="not confirmed"),
            pytest.param(MessageStatus.DELIVERED, REGISTERED.name, True, id="never confirmed by SAP"),
            pytest.param(MessageStatus.DELIVERED, DEVICE_CREATE.name, True, id="a confirmation of ours"),
            pytest.param(MessageStatus.READY, REGISTERED.name, False, id="on its way"),
            pytest.param(MessageStatus.DEAD, RESULT.name, False, id="given up"),
            pytest.param(MessageStatus.ABANDONED, RESULT.name, True, id="left for good"),
        ],
    )
    def test_of_messages_to_sap_wait_for_sap(
        self, database: Database, status: MessageStatus, service: str, *, goes: bool
    ) -> None:
        message = stored(database, BODIES + SECOND, status=status, service=service, direction="out")
        forget(database)
        assert has_body(database, message) is not goes

    def test_stay_while_another_message_has_the_same(self, database: Database) -> None:
        old = stored(database, BODIES + SECOND, body=b"<same/>")
        stored(database, timedelta(days=1), body=b"<same/>")
        forget(database)
        assert has_body(database, old)

    def test_are_kept_again_when_they_come_again(self, database: Database) -> None:
        old = stored(database, BODIES + SECOND, body=b"<same/>")
        forget(database)
        assert not has_body(database, old)
        stored(database, timedelta(0), body=b"<same/>")
        assert has_body(database, old)

    def test_are_not_looked_at_for_ever(self, database: Database) -> None:
        long_ago = stored(database, BODIES + timedelta(days=40))
        lately = stored(database, BODIES + timedelta(days=20))
        assert "1 bodies of messages" in forget(database, since=NOW - timedelta(days=1))
        assert (has_body(database, long_ago), has_body(database, lately)) == (True, False)


class TestMessages:
    def test_go_with_all_that_hangs_on_them(self, database: Database) -> None:
        stored(database, KEYS + SECOND)
        young = stored(database, KEYS)
        assert "1 messages" in forget(database)
        with database.read() as uow:
            assert uow.connection.scalars(select(MESSAGE.c.id)).all() == [young]
        assert [count(database, table) for table in (ITEM, MESSAGE_EVENT, BODY)] == [1, 2, 1]
        assert "0 messages" in forget(database)

    @pytest.mark.parametrize("item", [ItemStatus.READY, ItemStatus.AWAITING, ItemStatus.PARKED, ItemStatus.DEAD])
    def test_stay_while_an_item_is_open(self, database: Database, item: ItemStatus) -> None:
        stored(database, KEYS + SECOND, item=item)
        assert "0 messages" in forget(database)

    def test_stay_while_sap_has_not_confirmed(self, database: Database) -> None:
        stored(database, KEYS + SECOND, status=MessageStatus.DELIVERED, service=RESULT.name, direction="out")
        assert "0 messages" in forget(database)

    def test_stay_while_their_answer_is_on_its_way(self, database: Database) -> None:
        request = stored(database, KEYS + SECOND)
        answer = stored(database, KEYS, status=MessageStatus.READY, direction="out", original_id=request)
        assert "0 messages" in forget(database)
        with database.begin() as uow:
            uow.connection.execute(update(MESSAGE).where(MESSAGE.c.id == answer).values(status=MessageStatus.DELIVERED))
        assert "1 messages" in forget(database)

    def test_stay_while_sap_is_still_to_hear_of_their_device(self, database: Database) -> None:
        stored(database, KEYS + SECOND)
        device = {"sender_system": "P11", "device_id": "1"}
        with database.begin() as uow:
            [item_id] = uow.connection.scalars(select(ITEM.c.id)).all()
            made = EndDevice(
                **device, serial_id="1", material_id="x", valid_from=date(2026, 1, 1), create_item_id=item_id
            )
            uow.save([made, EndDeviceStatus(**device)])
        assert "0 messages" in forget(database)
        with database.begin() as uow:
            uow.save([EndDeviceStatus(**device, registered_at=NOW)])
        assert "1 messages" in forget(database)


class TestDeliveries:
    @pytest.mark.parametrize(
        ("status", "age", "goes"),
        [
            ("done", BODIES + SECOND, True),
            ("done", BODIES, False),
            ("abandoned", BODIES + SECOND, True),
            ("unmatched", BODIES + SECOND, False),
            ("ready", BODIES + SECOND, False),
            ("dead", BODIES + SECOND, False),
        ],
    )
    def test_lose_their_bodies(self, database: Database, status: str, age: timedelta, *, goes: bool) -> None:
        table = HEAD_END_DELIVERY
        values = {"head_end": "city", "topic": "x", "content_hash": b"1", "correlation": "", "data": b"data"}
        with database.begin() as uow:
            made = insert(table).values(**values, received_at=NOW - age, status=status, attempts=0)
            uow.connection.execute(made)
        assert f"{int(goes)} bodies of deliveries" in forget(database)
        with database.read() as uow:
            assert uow.connection.scalars(select(table.c.data)).all() == [b"" if goes else b"data"]


class TestTheRest:
    def test_cases_go_after_they_were_closed(self, database: Database) -> None:
        ages = {"old": timedelta(days=730) + SECOND, "young": timedelta(days=730), "open": None}
        with database.begin() as uow:
            uow.save(
                [
                    ExceptionCase(
                        kind="x",
                        case_key=key,
                        opened_at=NOW - timedelta(days=900),
                        closed_at=None if age is None else NOW - age,
                        note="x",
                    )
                    for key, age in ages.items()
                ]
            )
            ids = uow.connection.scalars(select(EXCEPTION_CASE.table.c.id)).all()
            note_history(uow.connection, ids, who="me", action="comment", text="x", at=NOW)
        assert "1 closed cases" in forget(database)
        assert count(database, EXCEPTION_HISTORY) == count(database, EXCEPTION_CASE.table) == 2

    def test_members_go_before_their_group(self, database: Database) -> None:
        case = EXCEPTION_CASE.table
        with database.begin() as uow:
            for key in ("group", "member"):
                uow.save(
                    [
                        ExceptionCase(
                            kind="x", case_key=key, opened_at=NOW, closed_at=NOW - timedelta(days=731), note="x"
                        )
                    ]
                )
            first, second = uow.connection.scalars(select(case.c.id).order_by(case.c.id)).all()
            uow.connection.execute(update(case).where(case.c.id == second).values(group_id=first))
        assert "2 closed cases" in forget(database, at_once=1)

    def test_deeds_and_figures_go(self, database: Database) -> None:
        span = timedelta(days=3650)
        with database.begin() as uow:
            for at in (NOW - span - SECOND, NOW - span):
                uow.connection.execute(
                    insert(AUDIT).values(at=at, who="x", action="x", target="x", count=1, reason="x")
                )
            for day in (DAY - span - timedelta(days=1), DAY - span):
                uow.connection.execute(insert(KPI_DAY).values(day=day, name="completeness", labels="{}", value=1.0))
        told = forget(database)
        assert "1 deeds" in told
        assert "1 figures" in told
