"""What is old enough goes, what somebody waits for stays; a second run has nothing to do."""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
import zlib
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Table, event, func, insert, select, update

from mdus import storage
from mdus.bootstrap.discovery import discover
from mdus.domain.command import Command, CommandKind, CommandStatus, OwnerKind
from mdus.domain.device_limit import DeviceLimit
from mdus.domain.end_device import EndDevice, EndDeviceStatus
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.meter_reading_document import DocumentStatus, MeterReadingDocument
from mdus.messaging.status import ItemStatus, MessageStatus
from mdus.services.device_create import SERVICE as DEVICE_CREATE
from mdus.services.device_registered import SERVICE as REGISTERED
from mdus.services.meter_reading_document_result import SERVICE as RESULT
from mdus.settings import load_settings
from mdus.storage import retention as storage_retention
from mdus.storage.audit import AUDIT
from mdus.storage.command import COMMAND, COMMAND_INTENT, HEAD_END_DELIVERY
from mdus.storage.exception_work import EXCEPTION_HISTORY, note_history
from mdus.storage.facts import EXCEPTION_CASE
from mdus.storage.intake import body_of_message
from mdus.storage.kpi import KPI_DAY
from mdus.storage.load_control_event import LOAD_CONTROL_EVENT
from mdus.storage.mapping import METADATA
from mdus.storage.message import BODY, ITEM, MESSAGE, MESSAGE_EVENT, store_body
from mdus.storage.session import Database
from mdus.workers import retention
from tests.unit.storage.load_control import load_control_event

SERVICES = discover().services
SETTINGS = load_settings({})
NOW = datetime(2027, 6, 1, 0, 0, tzinfo=UTC)
DAY = date(2027, 6, 1)
BODIES, KEYS = timedelta(days=90), timedelta(days=400)
SECOND = timedelta(seconds=1)


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


def command(owner_kind: OwnerKind, owner_key: str, age: timedelta | None, **facts: Any) -> Command:
    """A command that ended so long ago, or (None) has not ended."""
    ended_at = None if age is None else NOW - age
    values: dict[str, Any] = {
        "command_key": f"{owner_kind}/{owner_key}/{age}",
        "owner_kind": owner_kind,
        "owner_key": owner_key,
        "sender_system": "P11",
        "device_id": "1",
        "serial_id": "1",
        "head_end": "city",
        "kind": CommandKind.READ_ON_DEMAND,
        "purpose": "x",
        "not_before": NOW - KEYS - SECOND,
        "expires_at": NOW,
    }
    ended = {"status": CommandStatus.DONE, "ended_at": ended_at} if age is not None else {}
    return Command(**values | ended | facts)


def keep_commands(database: Database, *commands: Command) -> None:
    """Store commands as they ended, each with a call and an event, and one of today that no retention reaches."""
    today = command(OwnerKind.REGISTRY, "P11/2", None, command_key="today", not_before=NOW)
    with database.begin() as uow:
        uow.save([*(replace(each, status=CommandStatus.READY) for each in commands), today])
        for each in (*commands, today):
            is_one = COMMAND.table.c.command_key == each.command_key
            uow.connection.execute(
                update(COMMAND.table).where(is_one).values(status=each.status, ended_at=each.ended_at)
            )
            command_id = uow.connection.scalars(select(COMMAND.table.c.id).where(is_one)).one()
            at = each.not_before
            call = {"command_id": command_id, "attempt": 1, "head_end": "city", "correlation": "x", "at": at}
            uow.connection.execute(insert(COMMAND_INTENT).values(**call))
            uow.connection.execute(insert(MESSAGE_EVENT).values(command_id=command_id, status="x", at=at))


class TestCommands:
    def test_go_with_their_calls_and_events(self, database: Database) -> None:
        ages = (KEYS + SECOND, KEYS, None)
        keep_commands(database, *(command(OwnerKind.REGISTRY, "P11/1", age) for age in ages))
        assert "1 commands" in forget(database)
        assert [count(database, table) for table in (COMMAND.table, COMMAND_INTENT, MESSAGE_EVENT)] == [3, 3, 3]
        assert "0 commands" in forget(database)

    def test_go_in_batches_past_those_that_stay(self, database: Database) -> None:
        stored(database, KEYS)
        with database.read() as uow:
            item_id = uow.connection.scalars(select(ITEM.c.id)).one()
        old = KEYS + SECOND
        owners = [(OwnerKind.ITEM, str(item_id)), *((OwnerKind.REGISTRY, f"P11/{each}") for each in range(5))]
        keep_commands(database, *(command(*owner, old) for owner in owners))
        assert "5 commands" in forget(database, at_once=2)

    @pytest.mark.parametrize(("age", "goes"), [(KEYS + SECOND, True), (KEYS, False)], ids=["gone", "kept"])
    def test_go_with_their_item(self, database: Database, age: timedelta, *, goes: bool) -> None:
        stored(database, age)
        with database.read() as uow:
            item_id = uow.connection.scalars(select(ITEM.c.id)).one()
        keep_commands(database, command(OwnerKind.ITEM, str(item_id), KEYS + SECOND))
        assert f"{int(goes)} commands" in forget(database)

    @pytest.mark.parametrize("there", [True, False])
    def test_stay_while_the_limit_is_here_that_they_take_away(self, database: Database, there: bool) -> None:
        limit = DeviceLimit(
            sender_system="P11",
            device_id="1",
            serial_id="1",
            limit_kw=Decimal(3),
            set_at=NOW - timedelta(days=900),
            item_id=7,
        )
        with database.begin() as uow:
            uow.save([limit] if there else [])
        keep_commands(database, command(OwnerKind.LIMIT, "7", KEYS + SECOND))
        assert f"{int(not there)} commands" in forget(database)

    @pytest.mark.parametrize(
        ("later", "goes"),
        [
            pytest.param({}, True, id="it was told anew"),
            pytest.param({"status": CommandStatus.FAILED}, True, id="it was told anew in vain"),
            pytest.param({"status": CommandStatus.CANCELLED}, False, id="that was taken back"),
            pytest.param({"status": CommandStatus.READY, "ended_at": None}, False, id="that has not left"),
            pytest.param({"head_end": "village"}, False, id="another head end was told"),
            pytest.param({"serial_id": "2"}, False, id="of the meter after it"),
            pytest.param({"owner_key": "P11/2", "device_id": "2"}, False, id="of another device"),
            pytest.param({"kind": CommandKind.READ_INTERVALS}, False, id="it was only asked"),
        ],
    )
    def test_stay_by_which_a_head_end_was_told_of_its_meter_last(
        self, database: Database, later: dict[str, Any], *, goes: bool
    ) -> None:
        first = command(OwnerKind.REGISTRY, "P11/1", KEYS + SECOND, kind=CommandKind.PROVISION)
        second = command(OwnerKind.REGISTRY, "P11/1", KEYS, kind=CommandKind.PROVISION)
        keep_commands(database, first, replace(second, **later))
        assert f"{int(goes)} commands" in forget(database)
        with database.read() as uow:
            assert bool(uow.load(Command, Command.KEY, [first.key], lock=False)) is not goes

    @pytest.mark.parametrize(
        ("status", "goes"), [(DocumentStatus.ORDERED, False), (DocumentStatus.FAILED, True)], ids=["open", "ended"]
    )
    def test_stay_while_their_reading_order_is_open(
        self, database: Database, status: DocumentStatus, *, goes: bool
    ) -> None:
        made = MeterReadingDocument(
            sender_system="P11",
            document_id="9",
            device_id="1",
            measurement_task_id="1",
            obis_text="x",
            reading_type="x",
            reason_code="01",
            scheduled_on=DAY,
            time_zone="UTC",
            due_at=NOW,
            window_from=NOW,
            window_until=NOW,
            next_try_at=NOW,
            on_demand=True,
            order_item_id=1,
            status=status,
        )
        with database.begin() as uow:
            uow.save([made])
        keep_commands(database, command(OwnerKind.DOCUMENT, "P11/9", KEYS + SECOND))
        assert f"{int(goes)} commands" in forget(database)


class TestEventsOfLoadControl:
    @pytest.mark.parametrize(
        ("start", "settled", "goes"),
        [
            pytest.param(KEYS + timedelta(days=1) + SECOND, True, True, id="long over"),
            pytest.param(KEYS + timedelta(days=1), True, False, id="perhaps over since"),
            pytest.param(KEYS + timedelta(days=1) + SECOND, False, False, id="not settled"),
        ],
    )
    def test_go_when_they_are_long_over(
        self, database: Database, start: timedelta, settled: bool, *, goes: bool
    ) -> None:
        begun = NOW - start
        with database.begin() as uow:
            uow.save([load_control_event(begun, minutes=1440, settled_at=begun if settled else None)])
        assert f"{int(goes)} load control events" in forget(database)
        assert count(database, LOAD_CONTROL_EVENT.table) == int(not goes)


class TestEveryTable:
    def test_is_forgotten_of_or_kept_for_a_reason(self) -> None:
        for module in pkgutil.iter_modules(storage.__path__, "mdus.storage."):
            importlib.import_module(module.name)  # declares its tables
        forgotten = {table.name for table in storage_retention.FORGOTTEN}
        kept = set(storage_retention.KEPT)
        assert forgotten & kept == set()
        assert sorted(forgotten | kept) == sorted(METADATA.tables), "a new table: what of it goes, when, or why none?"
        assert all(storage_retention.KEPT.values())

    def test_that_is_forgotten_of_is_written_by_a_run(self, database: Database) -> None:
        """Of old rows of all kinds, each table loses some, or their bodies."""
        stored(database, KEYS + SECOND)
        keep_commands(database, command(OwnerKind.REGISTRY, "P11/1", KEYS + SECOND))
        written: list[str] = []
        event.listen(database.engine, "before_cursor_execute", lambda *args: written.append(args[2]))
        with database.begin() as uow:
            old = ExceptionCase(kind="x", case_key="x", opened_at=NOW, closed_at=NOW - timedelta(days=731), note="x")
            uow.save([old])
            values = {"head_end": "city", "topic": "x", "content_hash": b"1", "correlation": "", "data": b"data"}
            made = insert(HEAD_END_DELIVERY).values(**values, received_at=NOW - KEYS, status="done", attempts=0)
            uow.connection.execute(made)
        written.clear()
        forget(database)
        for table in storage_retention.FORGOTTEN:
            told = (f"DELETE FROM {table.name} ", f"UPDATE {table.name} SET ")
            assert any(statement.startswith(told) for statement in written), table.name
