"""Several workers on one PostgreSQL: what two transactions do at once must leave nothing behind and nothing twice."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, select, text, update

from mdus.contracts.catalog import catalog
from mdus.domain.command import Command, CommandKind, CommandStatus, OwnerKind
from mdus.domain.end_device import EndDevice, device_arrival
from mdus.messaging.known import Known
from mdus.messaging.outcome import Await, BusinessError, Done, Outcome, Park
from mdus.messaging.retry import RetryPolicy
from mdus.messaging.status import ItemStatus, MessageStatus
from mdus.settings import load_settings
from mdus.storage import inbox as inbox_storage
from mdus.storage import outbox as outbox_storage
from mdus.storage.answered import settle_answered
from mdus.storage.column_types import database_now
from mdus.storage.inbox import ItemUpdate, finish_items
from mdus.storage.message import ITEM, MESSAGE
from mdus.storage.outbox import OutboundItem, store_message
from mdus.storage.session import Database, UnitOfWork
from mdus.storage.submission import Ended, end
from mdus.workers.inbox import InboxWorker
from mdus.workers.outbox import OutboxWorker
from tests.unit.workers.scripted import ROOT, SERVICE, START, Clock, Request, rows_of, store

UUID = "0e3f5a52-7c4e-4d0a-9f56-0a4a1d7f{:04x}"


@pytest.fixture
def database(postgresql_url: str) -> Iterator[Database]:
    opened = Database(postgresql_url)
    yield opened
    opened.close()


@pytest.fixture
def beside() -> Iterator[Callable[..., Future[Any]]]:
    """Run something in another thread, with its result to come."""
    with ThreadPoolExecutor(4) as threads:
        yield threads.submit


def inbox_of(database: Database, *, service: object = SERVICE, clock: Clock | None = None) -> InboxWorker:
    return InboxWorker(
        database=database,
        services={ROOT: service},  # type: ignore[dict-item]
        settings=load_settings({"MDUS_WORKERS__CLAIM_SIZE": "5"}),
        clock=clock or Clock(),
        retry=RetryPolicy(base=timedelta(), cap=timedelta(), attempts=3),
    )


def blocked(database: Database) -> bool:
    """Tell whether any transaction waits for another."""
    with database.read() as uow:
        waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        return uow.connection.execute(text(waiting)).first() is not None


def until_blocked_or_done(database: Database, other: Future[Any]) -> None:
    """Wait until the other thread has ended, or waits for a lock that this one holds."""
    waiting = threading.Event()
    for _ in range(2000):
        if other.done() or blocked(database):
            return
        waiting.wait(0.005)
    raise AssertionError("the other transaction neither ends nor waits")


class TestCompleting:
    def test_the_last_items_closed_by_two_workers_complete_their_message(
        self, database: Database, beside: Callable[..., Future[Any]]
    ) -> None:
        message_id = store(database, [("D1", "silent"), ("D2", "silent")], uuid=UUID.format(1)).message_id
        one, two = (row.id for row in rows_of(database, ITEM))

        def close(item_id: int) -> None:
            with database.begin() as uow:
                finish_items(uow.connection, [closed(item_id)], now=START)

        def closed(item_id: int) -> ItemUpdate:
            return ItemUpdate(item_id=item_id, message_id=message_id, status=ItemStatus.CLOSED, silent=True)

        with database.begin() as uow:
            finish_items(uow.connection, [closed(one)], now=START)
            other = beside(close, two)
            until_blocked_or_done(database, other)
        other.result(10)
        assert rows_of(database, MESSAGE)[0].status is MessageStatus.COMPLETED


class TestClaiming:
    """Another claim has its rows already, and not yet their ordering keys."""

    @pytest.fixture(autouse=True)
    def _items(self, database: Database) -> None:
        store(database, [("D1", ""), ("D2", "")], uuid=UUID.format(1))
        store(database, [("D1", "refuse"), ("D3", "")], uuid=UUID.format(2))

    def statuses(self, database: Database) -> list[str]:
        return [row.status.value for row in rows_of(database, ITEM, direction="in")]

    def test_leaves_an_item_behind_an_older_one_of_its_key_and_takes_the_others(self, database: Database) -> None:
        worker = inbox_of(database)
        with database.begin() as uow:
            uow.connection.execute(
                select(ITEM.c.id).where(ITEM.c.position == 1).order_by(ITEM.c.id).limit(1).with_for_update()
            ).one()
            worker.turn()
            assert self.statuses(database) == ["ready", "decided", "ready", "decided"]
            assert worker.turn() == 0
        assert worker.turn() == 2
        assert self.statuses(database) == ["decided"] * 4

    def test_goes_on_behind_one_that_is_tried_again_later_or_is_of_another_service(self, database: Database) -> None:
        first = rows_of(database, ITEM)[0].id
        for other in ({"due_at": database_now(plus=timedelta(hours=1))}, {"service": "another", "due_at": None}):
            with database.begin() as uow:
                uow.connection.execute(update(ITEM).where(ITEM.c.id == first).values(other))
                uow.connection.execute(update(ITEM).where(ITEM.c.id != first).values(status=ItemStatus.READY))
            assert inbox_of(database).turn() == 3
            assert self.statuses(database) == ["ready", "decided", "decided", "decided"]

    def test_asks_once_for_all_its_keys(self, database: Database) -> None:
        seen: list[str] = []

        def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
            seen.append(statement)

        event.listen(database.engine, "before_cursor_execute", note)
        with database.begin() as uow:
            claimed = inbox_storage.claim_items(uow.connection, ROOT, limit=9)
        event.remove(database.engine, "before_cursor_execute", note)
        assert [row.ordering_key for row in claimed] == ["P11/D1", "P11/D2", "P11/D1", "P11/D3"]
        assert len(seen) == 3


class TestConfirming:
    def test_a_message_confirmed_meanwhile_gets_no_empty_part(self, database: Database) -> None:
        store(database, [("D1", "")], uuid=UUID.format(1))
        inbox_of(database).turn()
        with database.begin() as uow:
            (seen,) = outbox_storage.messages_to_confirm(uow.connection, limit=10)
        for expected in (1, 0):
            with database.begin() as uow:
                assert (
                    outbox_storage.confirm_message(
                        uow.connection, seen, root=ROOT, size=10, most_bytes=10**6, now=START
                    )
                    == expected
                )
        assert len(rows_of(database, MESSAGE, direction="out")) == 1


class TestAnswering:
    def test_the_parts_that_two_workers_settle_at_once_are_the_whole(
        self, database: Database, beside: Callable[..., Future[Any]]
    ) -> None:
        with database.begin() as uow:
            store_message(
                uow.connection,
                sender_system="P11",
                service=ROOT,
                root=ROOT,
                bulk=True,
                shape_version="1",
                items=[
                    OutboundItem(key=key, attempt=1, content="{}", reference_uuid=None, reference_id=None)
                    for key in ("R1", "R2")
                ],
                now=START,
            )
        (message,) = rows_of(database, MESSAGE)

        def settle(uow: UnitOfWork, key: str) -> None:
            settle_answered(uow.connection, [(ROOT, message.uuid, key)], sender_system="P11", now=START)

        def settle_in_a_transaction(key: str) -> None:
            with database.begin() as uow:
                settle(uow, key)

        with database.begin() as uow:
            settle(uow, "R1")
            other = beside(settle_in_a_transaction, "R2")
            until_blocked_or_done(database, other)
        other.result(10)
        assert [row.status for row in rows_of(database, ITEM)] == [ItemStatus.ANSWERED] * 2
        assert rows_of(database, MESSAGE)[0].status is MessageStatus.CONFIRMED


class TestWakingByCommands:
    def test_two_last_commands_ended_at_once_wake_their_item(
        self, database: Database, beside: Callable[..., Future[Any]]
    ) -> None:
        store(database, [("D1", "")], uuid=UUID.format(1))
        item_id = rows_of(database, ITEM)[0].id

        def command(number: int) -> Command:
            return Command(
                command_key=f"item/{item_id}/{number}",
                owner_kind=OwnerKind.ITEM,
                owner_key=str(item_id),
                sender_system="P11",
                device_id=f"D{number}",
                serial_id=f"D{number}",
                head_end="meadow",
                kind=CommandKind.SWITCH_STATE,
                purpose="test",
                not_before=START,
                expires_at=START + timedelta(hours=1),
            )

        def awaiting(request: Request, known: Known, *, now: datetime) -> Outcome:
            return Await((command(1), command(2)), START + timedelta(hours=1))

        inbox_of(database, service=replace(SERVICE, decide=awaiting)).turn()
        assert rows_of(database, ITEM)[0].status is ItemStatus.AWAITING

        def ended(number: int) -> Ended:
            row = next(row for row in commands() if row.device_id == f"D{number}")
            return Ended(id=row.id, command_key=row.command_key, status=CommandStatus.FAILED)

        def commands() -> list[Any]:
            from mdus.storage.command import COMMAND

            return rows_of(database, COMMAND.table)

        def end_in_a_transaction(one: Ended) -> None:
            with database.begin() as uow:
                end(uow.connection, [one], now=START)

        first, second = ended(1), ended(2)
        with database.begin() as uow:
            end(uow.connection, [first], now=START)
            other = beside(end_in_a_transaction, second)
            until_blocked_or_done(database, other)
        other.result(10)
        assert rows_of(database, ITEM)[0].status is ItemStatus.READY


AWAITED = EndDevice(
    sender_system="P11", device_id="AWAITED", serial_id="S", material_id="M", valid_from=date(2026, 1, 1)
)


class TestParking:
    """An item that waits for a device, ordered by another: nothing keeps arrival and parking apart but their locks."""

    def test_arrival_between_load_and_parking_is_seen(self, database: Database) -> None:
        arrived: list[bool] = []

        def decide(request: Request, known: Known, *, now: datetime) -> Outcome:
            outcome = SERVICE.decide(request, known, now=now)
            if not arrived:
                arrived.append(True)
                with database.begin() as uow:
                    uow.save([AWAITED])
            return outcome

        store(database, [("D1", "park")], uuid=UUID.format(1))
        worker = inbox_of(database, service=replace(SERVICE, decide=decide))
        worker.turn()
        worker.turn()
        assert [row.status.value for row in rows_of(database, ITEM)] == ["decided"]

    def test_arrival_not_committed_yet_is_waited_for(self, database: Database) -> None:
        store(database, [("D1", "park"), ("D2", "")], uuid=UUID.format(1))
        worker = inbox_of(database)
        with database.begin() as uow:
            uow.save([AWAITED])
            worker.turn()
            worker.turn()
        worker.turn()
        assert [row.status.value for row in rows_of(database, ITEM)] == ["decided", "decided"]

    def test_arrival_while_the_parking_is_committed_wakes_it(
        self, database: Database, beside: Callable[..., Future[Any]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        waker: list[Future[Any]] = []
        finish = inbox_storage.finish_items

        def arrive() -> None:
            with database.begin() as uow:
                uow.save([AWAITED])

        def finish_meanwhile(*arguments: Any, **named: Any) -> None:
            finish(*arguments, **named)
            if not waker:
                waker.append(beside(arrive))
                until_blocked_or_done(database, waker[0])

        monkeypatch.setattr(inbox_storage, "finish_items", finish_meanwhile)
        store(database, [("D1", "park")], uuid=UUID.format(1))
        worker = inbox_of(database)
        worker.turn()
        waker[0].result(10)
        worker.turn()
        assert [row.status.value for row in rows_of(database, ITEM)] == ["decided"]


class Pair(BusinessError):
    """Its pair never came"""


def load_pairs(requests: Sequence[Request], uow: UnitOfWork) -> Known:
    """Fetch the devices of the requests, and those they wait for (material `wants X`)."""
    keys = [(one.origin.sender_system, name) for one in requests for name in (one.device_id, wanted_of(one)) if name]
    return Known(uow.load(EndDevice, ("sender_system", "device_id"), keys))


def wanted_of(request: Request) -> str | None:
    return request.material_id.removeprefix("wants ") or None


def decide_pairs(request: Request, known: Known, *, now: datetime) -> Outcome:
    """Create the device once the one it wants is there; without one, at once."""
    system, wanted = request.origin.sender_system, wanted_of(request)
    if wanted is not None and known.one(EndDevice, system, wanted) is None:
        return Park(device_arrival(system, wanted), request.origin.park_until, Pair())
    return Done(
        (
            EndDevice(
                sender_system=system,
                device_id=request.device_id,
                serial_id=request.serial_id,
                material_id="M",
                valid_from=date(2026, 1, 1),
            ),
        )
    )


@pytest.mark.parametrize("seed", range(3))
def test_chains_of_waiting_items_are_all_decided_whatever_the_schedule(database: Database, seed: int) -> None:
    """Ten chains of ten devices, each waiting for the one before; shuffled over bulks, decided by four workers."""
    chosen = random.Random(seed)
    links = [
        (f"C{chain}-{link}", f"wants C{chain}-{link - 1}" if link else "") for chain in range(10) for link in range(10)
    ]
    chosen.shuffle(links)
    service = replace(SERVICE, load=load_pairs, decide=decide_pairs)
    clock = Clock()
    workers = [inbox_of(database, service=service, clock=clock) for _ in range(4)]
    outbox = [outbox_of(database, service=service, clock=clock) for _ in range(2)]
    resting = threading.Barrier(6, timeout=60)
    stored = threading.Event()

    def undecided() -> int:
        with database.read() as uow:
            query = text("SELECT count(*) FROM message_item WHERE direction = 'in' AND status <> 'closed'")
            return int(uow.connection.execute(query).scalar_one())

    def work(turn: Callable[[], int]) -> None:
        resting.wait()
        idle = 0
        pause = threading.Event()
        while idle < 40:
            moved = turn()
            idle = 0 if moved or not stored.is_set() else idle + 1
            pause.wait(0 if moved else 0.01)
            if stored.is_set() and undecided() == 0:
                return

    turns = [worker.turn for worker in workers] + [one.form_confirmations for one in outbox]
    with ThreadPoolExecutor(6) as threads:
        running = [threads.submit(work, turn) for turn in turns]
        while links:
            size = chosen.randint(1, 12)
            some, links = links[:size], links[size:]
            store(database, some, uuid=UUID.format(len(links)))
        stored.set()
        for one in running:
            one.result(120)
    items = rows_of(database, ITEM, direction="in")
    assert {row.status.value for row in items} == {"closed"}
    assert not [row.note for row in items if row.attempts]
    received = rows_of(database, MESSAGE, direction="in")
    assert {row.status for row in received} == {MessageStatus.COMPLETED}
    sent = rows_of(database, MESSAGE, direction="out")
    assert sum(row.item_count for row in sent) == len(items) == 100
    assert all(row.item_count for row in sent)
    for one in outbox:
        one.close()


@dataclass
class Nobody:
    """A client that is never asked: these tests form messages and deliver none."""

    def close(self) -> None:
        pass


def outbox_of(database: Database, *, service: object, clock: Clock) -> OutboxWorker:
    return OutboxWorker(
        database=database,
        services={ROOT: service},  # type: ignore[dict-item]
        settings=load_settings({}),
        clock=clock,
        retry=RetryPolicy(),
        contract=catalog(),
        client=Nobody(),  # type: ignore[arg-type]
    )
