"""The inbox worker, with scripted items on both databases."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from sqlalchemy import event

from mdus.domain.end_device import EndDevice
from mdus.messaging.outcome import Done
from mdus.messaging.patterns import NotificationReceived
from mdus.messaging.retry import RetryPolicy
from mdus.messaging.status import ItemStatus, MessageStatus
from mdus.settings import load_settings
from mdus.storage.end_device_event import END_DEVICE_EVENT
from mdus.storage.facts import EXCEPTION_CASE
from mdus.storage.intake import Fate
from mdus.storage.message import ITEM, MESSAGE, MESSAGE_EVENT
from mdus.storage.registry import END_DEVICE
from mdus.storage.session import Database
from mdus.workers.inbox import InboxWorker
from tests.unit.workers.scripted import ROOT, SERVICE, START, Clock, Request, rows_of, store

UUID = "0e3f5a52-7c4e-4d0a-9f56-0a4a1d7f9a{:02d}"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def worker(database: Database, clock: Clock) -> InboxWorker:
    return InboxWorker(
        database=database,
        services={ROOT: SERVICE},
        settings=load_settings({}),
        clock=clock,
        retry=RetryPolicy(base=timedelta(), cap=timedelta(), attempts=3),
    )


def run(worker: InboxWorker) -> None:
    """Turn until there is nothing to do."""
    for _ in range(50):
        if worker.turn() == 0:
            return
    raise AssertionError("the inbox never comes to rest")


def statuses(database: Database) -> list[str]:
    return [row.status.value for row in rows_of(database, ITEM)]


class TestTurn:
    def test_decides_the_items_of_a_bulk_and_saves_their_changes(self, database: Database, worker: InboxWorker) -> None:
        store(database, [("D1", ""), ("D2", ""), ("D3", "refuse")], uuid=UUID.format(1))
        assert worker.turn() == 3
        assert statuses(database) == ["decided"] * 3
        assert [row.device_id for row in rows_of(database, END_DEVICE.table)] == ["D1", "D2"]
        assert "900(MDUS)" in rows_of(database, ITEM)[2].result

    def test_has_nothing_to_do_in_an_empty_store(self, worker: InboxWorker) -> None:
        assert worker.turn() == 0

    def test_leaves_an_event_for_each_change_of_status(self, database: Database, worker: InboxWorker) -> None:
        store(database, [("D1", "")], uuid=UUID.format(1))
        run(worker)
        assert [row.status for row in rows_of(database, MESSAGE_EVENT)] == ["received", "decided"]

    def test_completes_a_message_whose_items_need_no_confirmation(
        self, database: Database, worker: InboxWorker
    ) -> None:
        store(database, [("D1", "silent")], uuid=UUID.format(1))
        run(worker)
        assert rows_of(database, MESSAGE)[0].status is MessageStatus.COMPLETED

    def test_runs_a_bounded_number_of_statements_whatever_the_size_of_the_batch(
        self, database: Database, worker: InboxWorker
    ) -> None:
        counts = []
        for size in (2, 150):
            uuid = UUID.format(size % 100)
            store(database, [(f"{size}-{number}", "") for number in range(size)], uuid=uuid)
            seen: list[str] = []

            def note(_c: object, _cursor: object, statement: str, *_: object, seen: list[str] = seen) -> None:
                seen.append(statement)

            event.listen(database.engine, "before_cursor_execute", note)
            worker.turn()
            event.remove(database.engine, "before_cursor_execute", note)
            counts.append(len(seen))
        assert counts[0] == counts[1] <= 16


class TestErrors:
    def test_a_defect_at_one_item_never_costs_its_neighbours(self, database: Database, worker: InboxWorker) -> None:
        store(database, [("D1", ""), ("D2", "break"), ("D3", ""), ("D4", "")], uuid=UUID.format(1))
        worker.turn()
        assert statuses(database) == ["decided", "ready", "decided", "decided"]
        assert "ZeroDivisionError" in rows_of(database, ITEM)[1].note

    def test_a_constraint_violation_is_found_at_the_item_at_fault(
        self, database: Database, worker: InboxWorker
    ) -> None:
        store(database, [("D1=S1", ""), ("D2=S2", ""), ("D3=S1", "")], uuid=UUID.format(1))
        worker.turn()
        assert statuses(database) == ["decided", "decided", "ready"]
        assert [row.device_id for row in rows_of(database, END_DEVICE.table)] == ["D1", "D2"]

    def test_an_item_that_keeps_failing_ends_dead_with_an_open_case(
        self, database: Database, worker: InboxWorker
    ) -> None:
        store(database, [("D1", "break")], uuid=UUID.format(1))
        run(worker)
        assert statuses(database) == ["dead"]
        assert rows_of(database, ITEM)[0].attempts == 3
        assert [row.kind for row in rows_of(database, EXCEPTION_CASE.table)] == ["dead_item"]
        assert rows_of(database, MESSAGE)[0].status is MessageStatus.RECEIVED


class TestWaiting:
    def test_a_parked_item_wakes_when_its_device_arrives(self, database: Database, worker: InboxWorker) -> None:
        store(database, [("D1", "park")], uuid=UUID.format(1))
        run(worker)
        assert statuses(database) == ["parked"]
        store(database, [("AWAITED", "")], uuid=UUID.format(2))
        run(worker)
        assert statuses(database) == ["decided", "decided"]

    @pytest.mark.parametrize(
        ("minutes", "status"),
        [pytest.param(29.9, "parked", id="just_before_its_end"), pytest.param(30, "decided", id="at_its_end")],
    )
    def test_parking_ends_as_failed_at_its_end(
        self, database: Database, worker: InboxWorker, clock: Clock, minutes: float, status: str
    ) -> None:
        store(database, [("D1", "park in vain")], uuid=UUID.format(1))
        run(worker)
        clock.move(minutes=minutes)
        run(worker)
        assert statuses(database) == [status]
        assert ("never came" in (rows_of(database, ITEM)[0].result or "")) == (status == "decided")

    def test_an_awaiting_item_is_decided_again_when_its_time_has_passed(
        self, database: Database, worker: InboxWorker, clock: Clock
    ) -> None:
        store(database, [("D1", "await")], uuid=UUID.format(1))
        run(worker)
        assert statuses(database) == ["awaiting"]
        clock.move(hours=1)
        run(worker)
        assert statuses(database) == ["decided"]


class TestRepeatedItems:
    def test_an_item_that_came_before_is_answered_from_the_first(
        self, database: Database, worker: InboxWorker, clock: Clock
    ) -> None:
        store(database, [("D1", "refuse")], uuid=UUID.format(1), item_keys={1: "item-1"})
        run(worker)
        store(database, [("D1", "refuse"), ("D2", "")], uuid=UUID.format(2), item_keys={1: "item-1"})
        run(worker)
        first, repeated, other = (
            rows_of(database, ITEM, direction="in")[0],
            *sorted(rows_of(database, ITEM, direction="in")[1:], key=lambda row: row.position),
        )
        assert repeated.duplicate_of == first.id
        assert repeated.result == first.result
        assert other.status is ItemStatus.DECIDED

    def test_an_item_with_a_known_key_and_other_content_is_refused(
        self, database: Database, worker: InboxWorker
    ) -> None:
        store(database, [("D1", "")], uuid=UUID.format(1), item_keys={1: "item-1"})
        run(worker)
        store(database, [("D9", "")], uuid=UUID.format(2), item_keys={1: "item-1"})
        run(worker)
        assert "002(MDUS)" in rows_of(database, ITEM)[1].result
        assert [row.device_id for row in rows_of(database, END_DEVICE.table)] == ["D1"]

    def test_a_repeat_waits_while_the_first_is_undecided(
        self, database: Database, worker: InboxWorker, clock: Clock
    ) -> None:
        store(database, [("D1", "park")], uuid=UUID.format(1), item_keys={1: "item-1"})
        run(worker)
        store(database, [("D1", "park")], uuid=UUID.format(2), item_keys={1: "item-1"})
        run(worker)
        assert statuses(database) == ["parked", "parked"]
        with database.begin() as uow:
            uow.save(
                [
                    EndDevice(
                        sender_system="P11",
                        device_id="AWAITED",
                        serial_id="S",
                        material_id="M",
                        valid_from=date(2026, 1, 1),
                    )
                ]
            )
        clock.move(minutes=1)
        run(worker)
        clock.move(minutes=1)
        run(worker)
        assert statuses(database) == ["decided", "decided"]

    def test_a_repeat_wakes_when_the_first_is_decided(
        self, database: Database, worker: InboxWorker, clock: Clock
    ) -> None:
        store(database, [("D1", "park")], uuid=UUID.format(1), item_keys={1: "item-1"})
        store(database, [("D1", "park")], uuid=UUID.format(2), item_keys={1: "item-1"})
        run(worker)
        assert statuses(database) == ["parked", "parked"]
        store(database, [("AWAITED", "")], uuid=UUID.format(3))
        run(worker)
        assert statuses(database) == ["decided"] * 3

    def test_a_notification_with_a_known_key_and_other_content_is_shown(self, database: Database, clock: Clock) -> None:
        notified = NotificationReceived(
            notification=ROOT, shape=Request, order_by=SERVICE.order_by, load=SERVICE.load, decide=SERVICE.decide
        )
        worker = InboxWorker(
            database=database, services={ROOT: notified}, settings=load_settings({}), clock=clock, retry=RetryPolicy()
        )
        store(database, [("D1", "")], uuid=UUID.format(1), item_keys={1: "item-1"})
        store(database, [("D9", "")], uuid=UUID.format(2), item_keys={1: "item-1"})
        run(worker)
        assert statuses(database) == ["closed", "closed"]
        (case,) = rows_of(database, EXCEPTION_CASE.table)
        assert (case.kind, case.case_key) == ("message_failed", str(rows_of(database, ITEM)[1].id))
        (told,) = rows_of(database, END_DEVICE_EVENT.table)
        assert (told.event_type, told.device_id, told.case_key) == ("message_failed", "D9", case.case_key)

    def test_a_dead_item_is_tried_anew_when_its_message_comes_again(
        self, database: Database, worker: InboxWorker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        items = [("D1", "break"), ("D2", "")]
        store(database, items, uuid=UUID.format(1))
        run(worker)
        assert statuses(database) == ["dead", "decided"]
        monkeypatch.setattr(worker, "_services", {ROOT: _with_decide(lambda *_, now: Done())})  # mended
        assert store(database, items, uuid=UUID.format(1)).fate is Fate.REPEATED
        run(worker)
        assert statuses(database) == ["decided", "decided"]
        assert [case.closed_at is not None for case in rows_of(database, EXCEPTION_CASE.table)] == [True]


class TestEvents:
    def test_every_change_of_status_leaves_a_row(self, database: Database, worker: InboxWorker, clock: Clock) -> None:
        store(database, [("D1", "park"), ("D2", "await"), ("D3", "park in vain"), ("D4", "")], uuid=UUID.format(1))
        run(worker)
        store(database, [("AWAITED", "")], uuid=UUID.format(2))
        run(worker)
        clock.move(hours=1)
        run(worker)
        ids = [row.id for row in rows_of(database, ITEM, direction="in")]
        events = {id_: [row.status for row in rows_of(database, MESSAGE_EVENT, item_id=id_)] for id_ in ids}
        assert sorted(events.values()) == [
            ["awaiting", "ready", "decided"],
            ["decided"],
            ["decided"],
            ["parked", "ready", "decided"],
            ["parked", "ready", "parked", "ready", "decided"],
        ]


def test_the_origin_tells_zone_and_parking(database: Database, worker: InboxWorker) -> None:
    seen = []

    def spy(request: object, known: object, *, now: object) -> object:
        seen.append(request.origin)  # type: ignore[attr-defined]
        return SERVICE.decide(request, known, now=START)

    spying = InboxWorker(
        database=database,
        services={ROOT: _with_decide(spy)},
        settings=load_settings({"MDUS_TIME_ZONE": "Asia/Kolkata"}),
        clock=Clock(),
        retry=RetryPolicy(),
    )
    store(database, [("D1", "")], uuid=UUID.format(1), bulk=False, test_data=True)
    spying.turn()
    (origin,) = seen
    assert (origin.sender_system, origin.zone, origin.test_data, origin.bulk) == ("P11", "Asia/Kolkata", True, False)
    assert origin.uuid == UUID.format(1)
    assert origin.park_until == START + timedelta(minutes=30)


def _with_decide(decide: object) -> object:
    from dataclasses import replace

    return replace(SERVICE, decide=decide)  # type: ignore[arg-type]
