"""Figures of the business: what came lately by what became of it, devices by state, and queues nobody empties."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, insert, update

from mdus.domain.command import Command, CommandKind, OwnerKind
from mdus.domain.end_device import EndDeviceStatus
from mdus.domain.end_device_control import ControlCategory, ControlStatus, EndDeviceControl
from mdus.domain.meter_reading_document import DocumentStatus, MeterReadingDocument
from mdus.messaging.status import ItemStatus, MessageStatus
from mdus.storage import figures
from mdus.storage.column_types import database_now
from mdus.storage.command import HEAD_END_DELIVERY
from mdus.storage.job import JOB_RUN
from mdus.storage.message import ITEM, MESSAGE, MESSAGE_EVENT
from mdus.storage.session import Database
from tests.unit.workers.scripted import store

NOW = datetime(2026, 3, 28, 10, tzinfo=UTC)
LATE = NOW - timedelta(minutes=15)
SECOND = timedelta(seconds=1)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url)
    yield opened
    opened.close()


def message_of(database: Database, *, at: datetime, items: int = 1) -> list[int]:
    """Store a message of SAP's at an instant; returns the ids of its items."""
    stored = store(database, [(str(number), "") for number in range(items)], uuid=at.isoformat(), now=at)
    with database.read() as uow:
        query = ITEM.select().where(ITEM.c.message_id == stored.message_id).order_by(ITEM.c.id)
        return [row.id for row in uow.connection.execute(query)]


def control(item_id: int, **changes: Any) -> EndDeviceControl:
    values: dict[str, Any] = {
        "sender_system": "P11",
        "request_id": str(item_id),
        "category": ControlCategory.DISCONNECT,
        "device_id": "1",
        "planned_at": NOW,
        "effective_at": NOW,
        "expires_at": NOW + timedelta(hours=1),
        "item_id": item_id,
    }
    return EndDeviceControl(**(values | changes))


def document(item_id: int, status: DocumentStatus) -> MeterReadingDocument:
    return MeterReadingDocument(
        sender_system="P11",
        document_id=str(item_id),
        device_id="1",
        measurement_task_id="1",
        obis_text="1.8.0",
        reading_type="1-0:1.8.0*255",
        reason_code="01",
        scheduled_on=NOW.date(),
        time_zone="Europe/Berlin",
        status=status,
        due_at=NOW,
        window_from=NOW,
        window_until=NOW,
        order_item_id=item_id,
    )


class TestDevices:
    def test_are_counted_by_state(self, database: Database) -> None:
        heard = {"first_heard_at": NOW - timedelta(days=9), "registered_at": NOW}
        with database.begin() as uow:
            for device, status in (
                ("1", {}),
                ("2", {**heard, "last_heard_at": NOW - timedelta(days=1)}),
                ("3", {**heard, "last_heard_at": NOW - timedelta(days=1, seconds=1)}),
            ):
                uow.save([EndDeviceStatus(sender_system="P11", device_id=device, **status)])
            counted = figures.devices(uow.connection, now=NOW)
        expected = {"registered": 2, "unregistered": 1, "never_heard": 1, "silent": 1}
        assert counted == {(state,): count for state, count in expected.items()}


class TestLately:
    def test_counts_what_came_within_a_day_by_what_became_of_it(self, database: Database) -> None:
        old = message_of(database, at=NOW - timedelta(days=1) - SECOND, items=3)
        new = [*message_of(database, at=NOW - timedelta(days=1), items=2), *message_of(database, at=NOW)]
        executed = {"status": ControlStatus.EXECUTED}
        with database.begin() as uow:
            uow.save([control(old[0], **executed), control(new[0], **executed)])
            uow.save([control(new[1], **executed), control(new[2], category=ControlCategory.RECONNECT)])
            for item_id in old:
                uow.save([document(item_id, DocumentStatus.FAILED)])
            for item_id in new:
                uow.save([document(item_id, DocumentStatus.CONFIRMED)])
            orders = figures.switch_orders(uow.connection, now=NOW)
            documents = figures.reading_documents(uow.connection, now=NOW)
        assert orders == {("disconnect", "executed"): 2, ("reconnect", "ordered"): 1}
        assert documents == {("confirmed",): 3}

    def test_is_nothing_where_nothing_came(self, database: Database) -> None:
        with database.read() as uow:
            assert figures.switch_orders(uow.connection, now=NOW) == {}
            assert figures.reading_documents(uow.connection, now=NOW) == {}

    def test_takes_few_looks_however_much_is_stored(self, database: Database) -> None:
        message_of(database, at=NOW - timedelta(days=3), items=2000)
        item_id, *_ = message_of(database, at=NOW, items=2000)
        statements: list[str] = []
        event.listen(database.engine, "before_cursor_execute", lambda *told: statements.append(told[2]))
        with database.begin() as uow:
            uow.save([control(item_id)])
            statements.clear()
            assert figures.switch_orders(uow.connection, now=NOW) == {("disconnect", "ordered"): 1}
        assert len(statements) <= 20


class TestDead:
    def test_is_counted_by_kind(self, database: Database) -> None:
        message_of(database, at=NOW, items=2)
        with database.begin() as uow:
            uow.connection.execute(update(ITEM).values(status=ItemStatus.DEAD))
            assert figures.dead(uow.connection) == {("message",): 0, ("item",): 2, ("delivery",): 0}


class TestJobAges:
    def test_are_of_the_newest_run_that_was_carried_out(self, database: Database) -> None:
        rows = [("2026-03-26", "done", 48), ("2026-03-27", "done", 24), ("2026-03-28", "failed", 0)]
        with database.begin() as uow:
            for slot, status, hours in rows:
                at = NOW - timedelta(hours=hours)
                values = {"job": "reconcile", "slot": slot, "status": status, "attempts": 1}
                uow.connection.execute(insert(JOB_RUN).values(**values, created_at=at, ended_at=at))
            ages = figures.job_ages(uow.connection, ["reconcile", "registry_sync"], now=NOW)
        assert ages == {("reconcile",): 24 * 3600.0}


def stuck(database: Database) -> list[str]:
    with database.read() as uow:
        return figures.stuck_queues(uow.connection, now=NOW, since=LATE)


def outbound(database: Database, **values: object) -> None:
    with database.begin() as uow:
        uow.connection.execute(
            insert(MESSAGE).values(
                direction="out",
                sender_system="P11",
                service="S",
                root="S",
                bulk=False,
                status=MessageStatus.READY,
                created_at=NOW,
                **({"stored_at": LATE} | values),
            )
        )


class TestStuckQueues:
    @pytest.mark.parametrize(("at", "found"), [(LATE, ["inbox"]), (LATE + SECOND, [])], ids=["too long", "not yet"])
    def test_have_an_item_nobody_took(self, database: Database, at: datetime, found: list[str]) -> None:
        message_of(database, at=at)
        assert stuck(database) == found

    def test_have_no_item_that_was_woken_just_now(self, database: Database) -> None:
        (item_id,) = message_of(database, at=NOW - timedelta(days=1))
        with database.begin() as uow:
            uow.connection.execute(
                insert(MESSAGE_EVENT).values(item_id=item_id, status=ItemStatus.READY.value, at=LATE + SECOND)
            )
        assert stuck(database) == []

    def test_have_a_message_nobody_sends(self, database: Database) -> None:
        outbound(database)
        assert stuck(database) == ["outbox"]

    @pytest.mark.parametrize(("minutes", "found"), [(-16, ["outbox"]), (-14, []), (60, [])])
    def test_go_by_when_the_next_attempt_is_due(self, database: Database, minutes: int, found: list[str]) -> None:
        outbound(database, due_at=database_now(plus=timedelta(minutes=minutes)))
        assert stuck(database) == found

    def test_have_a_delivery_nobody_reads(self, database: Database) -> None:
        values = {"head_end": "city", "topic": "events", "content_hash": b"1", "correlation": "", "data": b""}
        with database.begin() as uow:
            uow.connection.execute(
                insert(HEAD_END_DELIVERY).values(**values, received_at=LATE, status="ready", attempts=0)
            )
        assert stuck(database) == ["deliveries"]

    @pytest.mark.parametrize(
        ("planned_at", "kind", "found"),
        [
            pytest.param(LATE, CommandKind.SWITCH_STATE, ["head_end"], id="too long"),
            pytest.param(LATE + SECOND, CommandKind.SWITCH_STATE, [], id="not yet"),
            pytest.param(LATE, CommandKind.SWITCH, [], id="held up by an earlier order"),
        ],
    )
    def test_have_a_command_that_does_not_leave(
        self, database: Database, planned_at: datetime, kind: CommandKind, found: list[str]
    ) -> None:
        earlier = control(1, effective_at=NOW - timedelta(hours=1))
        order = control(2)
        with database.begin() as uow:
            uow.save([earlier, order])
            uow.save(
                [
                    Command(
                        command_key="k",
                        owner_kind=OwnerKind.ITEM,
                        owner_key="2",
                        sender_system="P11",
                        device_id="1",
                        serial_id="1",
                        head_end="city",
                        kind=kind,
                        purpose="test",
                        not_before=planned_at,
                        expires_at=NOW + timedelta(hours=1),
                        control_key=order.control_key,
                    )
                ]
            )
        assert stuck(database) == found
