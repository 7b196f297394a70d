"""Giving commands to a head end that follows a script, over real HTTP, on both databases."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, text, update

from mdus.domain.command import Command, CommandKind, CommandStatus, OwnerKind
from mdus.domain.end_device_control import ControlCategory, ControlStatus, EndDeviceControl
from mdus.domain.head_end import RawDelivery
from mdus.domain.meter_reading_document import DocumentStatus, MeterReadingDocument
from mdus.messaging.retry import RetryPolicy
from mdus.storage import submission
from mdus.storage.command import COMMAND, COMMAND_INTENT
from mdus.storage.end_device_control import order_switching, stop_reason
from mdus.storage.message import MESSAGE_EVENT
from mdus.workers.command_timeouts import command_timeouts
from mdus.workers.meter_reading_documents import MeterReadingDocumentWorker
from tests.head_ends.field import DEVICE, ENERGY, SENDER, SERIAL, Field
from tests.head_ends.scripted import ScriptedHeadEnd


@pytest.fixture
def scripted() -> Iterator[ScriptedHeadEnd]:
    head_end = ScriptedHeadEnd()
    yield head_end
    head_end.close()


@pytest.fixture
def field(database_url: str, scripted: ScriptedHeadEnd) -> Iterator[Field]:
    field = Field(database_url, scripted.url)
    yield field
    field.close()


def raw(field: Field, command: Command) -> dict[str, object]:
    with field.database.read() as uow:
        found = uow.connection.execute(select(COMMAND.table).where(COMMAND.table.c.command_key == command.command_key))
        return dict(found.mappings().one())


def intents(field: Field) -> list[tuple[int, str | None]]:
    with field.database.read() as uow:
        query = select(COMMAND_INTENT.c.attempt, COMMAND_INTENT.c.outcome).order_by(COMMAND_INTENT.c.id)
        return [tuple(row) for row in uow.connection.execute(query)]


def document(now: datetime, **changes: Any) -> MeterReadingDocument:
    """Return an order to read the device's energy on demand, due an hour ago."""
    values: dict[str, Any] = {
        "sender_system": SENDER,
        "document_id": "00000000000000000077",
        "device_id": DEVICE,
        "measurement_task_id": f"LRN{DEVICE}",
        "obis_text": ENERGY,
        "reading_type": ENERGY,
        "reason_code": "01",
        "scheduled_on": now.date(),
        "time_zone": "Europe/Berlin",
        "due_at": now - timedelta(hours=1),
        "window_from": now,
        "window_until": now + timedelta(days=3),
        "next_try_at": now,
        "on_demand": True,
        "order_item_id": 1,
    }
    return MeterReadingDocument(**(values | changes))


def lose_worker(field: Field) -> None:
    """Let every lease run out, as when the process that holds it was killed in the middle of a call."""
    with field.database.begin() as uow:
        uow.connection.execute(
            update(COMMAND.table)
            .where(COMMAND.table.c.status == CommandStatus.SUBMITTING)
            .values(lease_until=field.clock.now() - timedelta(days=3650))
        )


class TestTurn:
    def test_does_nothing_when_nothing_is_due(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.command(CommandKind.READ_ON_DEMAND, not_before=field.clock.now() + timedelta(seconds=1))

        assert field.worker.turn() == 0
        assert scripted.submitted == []

    def test_submits_a_batch_of_one_kind_and_awaits_its_results(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        first = field.command(CommandKind.READ_ON_DEMAND)
        second = field.command(CommandKind.READ_ON_DEMAND, serial_id="0000009999")

        assert field.worker.turn() == 2

        assert [device["reference"] for device in scripted.submitted[0]["devices"]] == [
            first.command_key,
            second.command_key,
        ]
        row = raw(field, first)
        assert row["status"] == CommandStatus.ACCEPTED
        assert row["token"] == "t-1"
        assert row["correlation"] == scripted.submitted[0]["correlation_id"]
        assert row["answer_by"] == field.clock.now() + timedelta(minutes=60)
        assert intents(field) == [(1, "accepted"), (1, "accepted")]
        assert field.worker.turn() == 0

    def test_submits_at_the_planned_instant_and_not_before(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.command(CommandKind.READ_ON_DEMAND, not_before=field.clock.now() + timedelta(minutes=5))
        field.clock.advance(minutes=4, seconds=59)
        assert field.worker.turn() == 0

        field.clock.advance(seconds=1)

        assert field.worker.turn() == 1
        assert len(scripted.submitted) == 1

    def test_makes_calls_no_larger_than_the_head_end_takes(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.head_end.batch_size = 2
        for number in range(3):
            meter = field.device(f"{number}", f"{number}")
            field.command(CommandKind.READ_ON_DEMAND, device_id=meter.device_id, serial_id=meter.serial_id)

        assert [field.worker.turn(), field.worker.turn(), field.worker.turn()] == [2, 1, 0]
        assert [len(body["devices"]) for body in scripted.submitted] == [2, 1]

    def test_leaves_the_commands_of_another_head_end(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.command(CommandKind.READ_ON_DEMAND, head_end="village")

        assert field.worker.turn() == 0
        assert scripted.submitted == []

    def test_switches_before_it_reads(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.device()
        field.command(CommandKind.READ_REGISTERS)
        field.switch()

        field.worker.turn()
        field.worker.turn()

        assert [body["kind"] for body in scripted.submitted] == ["switch", "read_registers"]

    def test_tells_the_registers_with_a_provisioning(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        device = field.device()
        field.command(CommandKind.PROVISION)

        field.worker.turn()

        assert scripted.submitted[0]["devices"][0] | {"reference": ""} == {
            "serial": SERIAL,
            "reference": "",
            "device_id": device.device_id,
            "commodity": "electricity",
            "registers": [{"obis": ENERGY, "unit": "kWh", "digits": 6, "decimals": 2, "factor": "1"}],
        }

    def test_leaves_a_trace_of_every_status(self, field: Field) -> None:
        command = field.command(CommandKind.READ_ON_DEMAND)

        field.worker.turn()

        with field.database.read() as uow:
            query = (
                select(MESSAGE_EVENT.c.status)
                .where(MESSAGE_EVENT.c.command_id == raw(field, command)["id"])
                .order_by(MESSAGE_EVENT.c.id)
            )
            assert list(uow.connection.scalars(query)) == ["submitting", "accepted"]

    def test_submits_each_command_once_with_several_threads(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.head_end.batch_size = 3
        field.device()
        switches = [field.switch()[1] for _ in range(20)]
        reads = [field.command(CommandKind.READ_ON_DEMAND) for _ in range(20)]

        def work() -> None:
            while field.worker.turn():
                pass

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        while field.worker.turn():  # what one thread held while another looked
            pass

        told = [device["reference"] for body in scripted.submitted for device in body["devices"]]
        assert sorted(told) == sorted(each.command_key for each in switches + reads)

    def test_begins_a_call_while_another_is_under_way(self, field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
        field.head_end.batch_size = 1
        both_under_way = threading.Barrier(2)
        submit = field.head_end.submit

        def waiting(*args: Any, **named: Any) -> Any:
            both_under_way.wait(30)
            return submit(*args, **named)

        monkeypatch.setattr(field.head_end, "submit", waiting)
        for _ in range(2):
            field.command(CommandKind.READ_ON_DEMAND)
        threads = [threading.Thread(target=field.worker.turn) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)

        assert not both_under_way.broken
        assert [outcome for _, outcome in intents(field)] == ["accepted", "accepted"]

    def test_claims_only_what_no_other_thread_is_claiming(self, field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
        field.command(CommandKind.READ_ON_DEMAND)
        claims: list[int] = []
        looks = threading.Semaphore(0)
        look, claim = submission.pending, submission.claim_due

        def looking(*args: Any, **named: Any) -> Any:
            found = look(*args, **named)
            looks.release()
            return found

        def claiming(*args: Any, **named: Any) -> Any:
            claimed = claim(*args, **named)
            claims.append(len(claimed))
            for _ in range(2):  # the look before this claim, and that of another thread, were there one
                looks.acquire(timeout=0.3)
            return claimed

        monkeypatch.setattr(submission, "pending", looking)
        monkeypatch.setattr(submission, "claim_due", claiming)
        threads = [threading.Thread(target=field.worker.turn) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)

        assert claims == [1]


class TestExpiry:
    def test_fails_a_command_that_waited_too_long(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        command = field.command(CommandKind.READ_ON_DEMAND)
        field.clock.advance(hours=1)

        assert field.worker.turn() == 1

        stored = field.stored(command)
        assert (stored.status, stored.result_code) == (CommandStatus.FAILED, "EXPIRED")
        assert stored.ended_at == field.clock.now()
        assert scripted.submitted == []

    def test_submits_a_command_in_its_last_second(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        command = field.command(CommandKind.READ_ON_DEMAND)
        field.clock.advance(minutes=59, seconds=59)

        field.worker.turn()

        assert field.stored(command).status is CommandStatus.ACCEPTED

    def test_fails_a_command_that_expires_while_it_rests_after_a_failure(
        self, field: Field, scripted: ScriptedHeadEnd
    ) -> None:
        field.retry = RetryPolicy(base=timedelta(hours=9), cap=timedelta(hours=9))
        field.worker = field.new_worker()
        command = field.command(CommandKind.READ_ON_DEMAND)
        scripted.script = ["503"]
        field.worker.turn()

        field.clock.advance(hours=1)
        field.worker.turn()

        assert field.stored(command).result_code == "EXPIRED"


class TestGovernor:
    def test_lets_a_switch_leave_that_nothing_forbids(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.device()
        _, command = field.switch()

        field.worker.turn()

        assert scripted.submitted[0]["devices"] == [
            {"serial": SERIAL, "reference": command.command_key, "state": "disconnected"}
        ]
        assert field.stored(command).status is CommandStatus.ACCEPTED

    @pytest.mark.parametrize(
        ("code", "of"),
        [
            pytest.param("CANCELLED", {"status": ControlStatus.CANCELLED}, id="cancelled"),
            pytest.param("ALREADY_FINAL", {"status": ControlStatus.FAILED}, id="final"),
            pytest.param("TEST_DATA", {"test_data": True}, id="test data"),
        ],
    )
    def test_refuses_by_the_order(
        self, field: Field, scripted: ScriptedHeadEnd, code: str, of: dict[str, object]
    ) -> None:
        field.device()
        _, command = field.switch(**of)

        field.worker.turn()

        stored = field.stored(command)
        assert (stored.status, stored.result_code) == (CommandStatus.FAILED, code)
        assert stored.result_text
        assert scripted.submitted == []

    def test_refuses_a_switch_without_an_order(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.device()
        _, command = field.switch(control_key="SAP/000000000999/1/000000000000010042")

        field.worker.turn()

        assert field.stored(command).result_code == "CANCELLED"
        assert scripted.submitted == []

    def test_refuses_a_meter_without_breaker(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.device()
        field.with_breaker(False)
        _, command = field.switch()

        field.worker.turn()

        assert field.stored(command).result_code == "NO_BREAKER"
        assert scripted.submitted == []

    def test_refuses_disconnects_from_the_moment_they_are_stopped(
        self, field: Field, scripted: ScriptedHeadEnd
    ) -> None:
        field.device()
        _, command = field.switch()
        with field.database.begin() as uow:
            order_switching(uow.connection, stopped=True, reason="storm", ordered_by="op", at=field.clock.now())

        field.worker.turn()

        assert field.stored(command).result_code == "KILL_SWITCH"
        assert "storm" in (field.stored(command).result_text or "")
        assert scripted.submitted == []

    def test_stopping_waits_for_a_disconnect_that_is_just_let_go(
        self, postgresql_url: str, scripted: ScriptedHeadEnd
    ) -> None:
        field = Field(postgresql_url, scripted.url)
        stopped = threading.Event()

        def stop() -> None:
            with field.database.begin() as uow:
                order_switching(uow.connection, stopped=True, reason="storm", ordered_by="op", at=field.clock.now())
            stopped.set()

        stopping = threading.Thread(target=stop)
        try:
            with field.database.begin() as uow:
                assert stop_reason(uow.connection) is None  # as the governor asks, before the intent is stored
                stopping.start()
                waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
                while not stopped.is_set():
                    with field.database.read() as other:
                        if other.connection.execute(waiting).scalar():
                            break
                assert not stopped.is_set()
            stopping.join(timeout=30)

            assert stopped.is_set()
        finally:
            field.close()

    def test_lets_disconnects_leave_once_they_are_started_again(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.device()
        for stopped in (True, False):
            with field.database.begin() as uow:
                order_switching(uow.connection, stopped=stopped, reason="storm", ordered_by="op", at=field.clock.now())
        _, command = field.switch()

        field.worker.turn()

        assert field.stored(command).status is CommandStatus.ACCEPTED

    def test_refuses_a_disconnect_that_comes_too_late(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.device()
        planned = field.clock.now()
        expires = planned + timedelta(days=1)
        _, command = field.switch(planned_at=planned, expires_at=expires)
        field.clock.advance(minutes=60, seconds=1)

        field.worker.turn()

        assert field.stored(command).result_code == "TOO_LATE"
        assert scripted.submitted == []

    def test_reads_the_clock_when_the_switch_is_about_to_leave(
        self, field: Field, scripted: ScriptedHeadEnd, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        field.device()
        field.command(CommandKind.READ_ON_DEMAND)
        field.worker.turn()
        field.clock.advance(minutes=59, seconds=59)
        _, command = field.switch(planned_at=field.clock.now() - timedelta(minutes=59))
        field.clock.advance(seconds=1)

        def results_after_a_while(_: str) -> list[RawDelivery]:
            field.clock.advance(minutes=2)  # a head end that is asked for what is overdue, and takes its time
            return []

        monkeypatch.setattr(field.head_end, "results", results_after_a_while)
        while field.worker.turn():
            pass

        assert field.stored(command).result_code == "EXPIRED"
        assert [body["kind"] for body in scripted.submitted] == ["read_on_demand"]

    def test_gives_the_head_end_the_expiry_of_each_switch(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.device()
        other = field.device("0000005678", "000000000000010043")
        _, first = field.switch()
        _, second = field.switch(
            planned_at=field.clock.now() - timedelta(minutes=30), device_id=other.device_id, serial_id=other.serial_id
        )

        while field.worker.turn():
            pass

        told = {body["devices"][0]["reference"]: body["expires_at"] for body in scripted.submitted}
        assert told == {
            first.command_key: "2026-03-27T12:00:00Z",
            second.command_key: "2026-03-27T11:30:00Z",
        }

    def test_gives_the_head_end_switches_to_one_state_at_a_time(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.device()
        other = field.device("0000005678", "000000000000010043")
        field.switch()
        field.switch(ControlCategory.RECONNECT, device_id=other.device_id, serial_id=other.serial_id)

        while field.worker.turn():
            pass

        assert [[device["state"] for device in body["devices"]] for body in scripted.submitted] == [
            ["connected"],
            ["disconnected"],
        ]

    def test_leaves_a_switch_whose_order_somebody_else_holds(
        self, postgresql_url: str, scripted: ScriptedHeadEnd
    ) -> None:
        field = Field(postgresql_url, scripted.url)
        try:
            field.device()
            control, command = field.switch()
            with field.database.begin() as uow:
                # As the cancellation does while it decides.
                uow.load(type(control), type(control).KEY, [control.key])
                assert field.worker.turn() == 0
                uow.save([replace(control, status=ControlStatus.CANCELLED)])

            field.worker.turn()

            assert field.stored(command).result_code == "CANCELLED"
            assert scripted.submitted == []
        finally:
            field.close()


class TestTwoOrdersForOneMeter:
    EARLIER, LATER = timedelta(minutes=-2), timedelta(minutes=-1)

    def switches(self, field: Field, *orders: tuple[ControlCategory, timedelta]) -> list[Command]:
        field.device()
        now = field.clock.now()
        return [field.switch(category, planned_at=now + age)[1] for category, age in orders]

    @pytest.mark.parametrize("left", [True, False], ids=["the first has left", "the first is ready"])
    def test_the_later_waits_until_the_earlier_is_settled(
        self, field: Field, scripted: ScriptedHeadEnd, left: bool
    ) -> None:
        field.device()
        scripted.script = ["accept"] if left else ["503"] * 2
        _, command = field.switch(ControlCategory.RECONNECT, planned_at=field.clock.now())
        field.worker.turn()
        field.clock.advance(seconds=1)
        _, later = field.switch(planned_at=field.clock.now())
        field.worker.turn()
        assert {body["devices"][0]["reference"] for body in scripted.submitted} == {command.command_key}

        field.save(replace(field.all(EndDeviceControl)[0], status=ControlStatus.EXECUTED))
        field.save(replace(command, status=CommandStatus.CANCELLED, ended_at=field.clock.now()))
        field.real += 60
        scripted.script = []
        field.worker.turn()

        assert field.stored(later).status is CommandStatus.ACCEPTED

    def test_a_disconnection_never_leaves_after_a_later_reconnection(
        self, field: Field, scripted: ScriptedHeadEnd
    ) -> None:
        disconnect, reconnect = self.switches(
            field, (ControlCategory.DISCONNECT, self.EARLIER), (ControlCategory.RECONNECT, self.LATER)
        )

        field.worker.turn()

        assert field.stored(disconnect).result_code == "SUPERSEDED"
        assert field.stored(reconnect).status is CommandStatus.READY
        assert scripted.submitted == []

    def test_a_reconnection_outlasts_its_patience_with_an_order_that_hangs(
        self, field: Field, scripted: ScriptedHeadEnd
    ) -> None:
        field.device()
        field.switch()
        field.worker.turn()
        field.clock.advance(minutes=1)
        _, reconnect = field.switch(ControlCategory.RECONNECT)
        field.clock.advance(minutes=14, seconds=59)
        field.worker.turn()
        assert field.stored(reconnect).status is CommandStatus.READY

        field.clock.advance(seconds=1)
        field.worker.turn()

        assert [body["devices"][0]["state"] for body in scripted.submitted] == ["disconnected", "connected"]

    def test_a_disconnection_waits_until_it_expires(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.device()
        field.switch(ControlCategory.RECONNECT)
        field.worker.turn()
        field.clock.advance(seconds=1)
        _, disconnect = field.switch()
        field.clock.advance(minutes=59, seconds=58)
        field.worker.turn()
        assert field.stored(disconnect).status is CommandStatus.READY

        field.clock.advance(seconds=2)
        field.worker.turn()

        assert field.stored(disconnect).result_code == "EXPIRED"
        assert len(scripted.submitted) == 1

    def test_a_waiting_switch_holds_up_no_other_meter(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        other = field.device("0000005678", "000000000000010043")
        field.device()
        field.switch(planned_at=field.clock.now() - timedelta(minutes=3))
        field.worker.turn()
        field.switch(planned_at=field.clock.now() - timedelta(minutes=2))
        _, neighbour = field.switch(device_id=other.device_id, serial_id=other.serial_id)

        field.worker.turn()

        assert field.stored(neighbour).status is CommandStatus.ACCEPTED

    def test_reconnections_leave_first(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        other = field.device("0000005678", "000000000000010043")
        field.device()
        field.switch(planned_at=field.clock.now() - timedelta(minutes=5))
        field.switch(ControlCategory.RECONNECT, device_id=other.device_id, serial_id=other.serial_id)

        while field.worker.turn():
            pass

        assert [body["devices"][0]["state"] for body in scripted.submitted] == ["connected", "disconnected"]


class TestMovedDevices:
    """The device was given to another head end after the command was made."""

    @pytest.mark.parametrize("kind", [kind for kind in CommandKind if kind is not CommandKind.SWITCH])
    def test_fails_a_command_of_a_device_served_elsewhere(
        self, field: Field, scripted: ScriptedHeadEnd, kind: CommandKind
    ) -> None:
        device = field.device()
        command = field.command(kind)
        field.save(replace(device, head_end="village"))

        assert field.worker.turn() == 1

        stored = field.stored(command)
        assert (stored.status, stored.result_code) == (CommandStatus.FAILED, "OTHER_HEAD_END")
        assert "village" in (stored.result_text or "")
        assert scripted.submitted == []

    @pytest.mark.parametrize("category", list(ControlCategory))
    def test_fails_a_switch_of_a_device_served_elsewhere(
        self, field: Field, scripted: ScriptedHeadEnd, category: ControlCategory
    ) -> None:
        device = field.device()
        _, command = field.switch(category)
        field.save(replace(device, head_end="village"))
        # The meter of that serial number belongs to another device now.
        field.device(device_id="000000000000010043")

        field.worker.turn()

        stored = field.stored(command)
        assert (stored.status, stored.result_code) == (CommandStatus.FAILED, "OTHER_HEAD_END")
        assert scripted.submitted == []

    def test_lets_its_neighbours_leave(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        moved = field.device()
        field.device("0000005678", "000000000000010043")
        field.command(CommandKind.READ_ON_DEMAND)
        stays = field.command(CommandKind.READ_ON_DEMAND, serial_id="0000005678", device_id="000000000000010043")
        field.save(replace(moved, head_end="village"))

        field.worker.turn()

        assert [[device["reference"] for device in body["devices"]] for body in scripted.submitted] == [
            [stays.command_key]
        ]

    def test_reads_the_meter_at_its_new_head_end(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        device = field.device()
        now = field.clock.now()
        field.save(document(now))
        documents = MeterReadingDocumentWorker(database=field.database, settings=field.settings, clock=field.clock)
        documents.turn()
        field.save(replace(device, head_end="village"))
        field.worker.turn()
        field.clock.advance(minutes=60)

        documents.turn()

        assert [(command.head_end, command.status) for command in field.all(Command)] == [
            ("city", CommandStatus.FAILED),
            ("village", CommandStatus.READY),
        ]


class TestFailedCalls:
    def test_tries_again_what_the_head_end_did_not_take(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.device()
        scripted.script = ["503"]
        _, command = field.switch()
        field.worker.turn()
        assert field.stored(command).status is CommandStatus.READY

        field.real += 60
        field.worker.turn()

        assert field.stored(command).status is CommandStatus.ACCEPTED
        assert intents(field) == [(1, "transient"), (2, "accepted")]
        assert scripted.submitted[0]["correlation_id"] != scripted.submitted[1]["correlation_id"]

    def test_fails_what_was_tried_too_often(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        scripted.script = ["503"] * 3
        command = field.command(CommandKind.READ_ON_DEMAND)

        for _ in range(4):
            field.worker.turn()
            field.real += 60

        stored = field.stored(command)
        assert (stored.status, stored.result_code) == (CommandStatus.FAILED, "UNREACHABLE")
        assert len(scripted.submitted) == 3

    def test_rests_before_it_calls_again(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.retry = RetryPolicy(base=timedelta(seconds=4), cap=timedelta(seconds=4))
        field.worker = field.new_worker()
        scripted.script = ["503"]
        field.command(CommandKind.READ_ON_DEMAND)
        field.worker.turn()
        other = field.command(CommandKind.READ_REGISTERS)

        field.real += 1.9  # a rest is at least half of the delay
        assert field.worker.turn() == 0

        field.real += 2.2
        assert field.worker.turn() == 1
        assert field.stored(other).status is CommandStatus.ACCEPTED

    def test_fails_what_the_head_end_rejects(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        scripted.script = ["reject UNKNOWN_METER"]
        command = field.command(CommandKind.READ_ON_DEMAND)

        field.worker.turn()

        stored = field.stored(command)
        assert (stored.status, stored.result_code) == (CommandStatus.FAILED, "UNKNOWN_METER")
        assert intents(field) == [(1, "rejected")]

    def test_notes_that_a_meter_has_no_breaker(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.device()
        scripted.script = ["reject NO_BREAKER"]
        field.switch()

        field.worker.turn()

        assert field.status_of().has_breaker is False

    def test_fails_a_batch_the_head_end_cannot_read(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        scripted.script = ["422"]
        command = field.command(CommandKind.READ_ON_DEMAND)

        field.worker.turn()

        assert field.stored(command).result_code == "BATCH_REFUSED"
        assert "as scripted" in (field.stored(command).result_text or "")

    def test_wakes_the_owner_of_a_failed_command(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        made = document(field.clock.now(), next_try_at=field.clock.now() + timedelta(days=1), on_demand=False)
        field.save(made)
        scripted.script = ["reject BUSY"]
        owner = f"{made.sender_system}/{made.document_id}"
        field.command(CommandKind.READ_ON_DEMAND, owner_kind=OwnerKind.DOCUMENT, owner_key=owner)

        field.worker.turn()

        woken = field.all(MeterReadingDocument)[0]
        assert woken.status is DocumentStatus.ORDERED
        assert woken.next_try_at == made.due_at


class TestUncertainCalls:
    @pytest.mark.parametrize("step", ["done, then cut", "done, then endless"])
    def test_goes_on_with_the_token_of_a_call_that_was_taken(
        self, field: Field, scripted: ScriptedHeadEnd, step: str
    ) -> None:
        field.device()
        scripted.script = [step]
        _, command = field.switch()

        field.worker.turn()

        assert field.stored(command).status is CommandStatus.ACCEPTED
        assert raw(field, command)["token"] == "t-1"
        assert len(scripted.submitted) == 1

    def test_takes_an_unreadable_acceptance_for_uncertain(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.device()
        scripted.script = ["nonsense"]
        _, command = field.switch()

        field.worker.turn()

        assert field.stored(command).status is CommandStatus.ACCEPTED

    @pytest.mark.parametrize(
        ("step", "down"),
        [
            pytest.param("cut", False, id="not found"),
            pytest.param("cut", True, id="cannot be asked"),
            pytest.param("500", False, id="server error"),
            pytest.param("done, then cut", True, id="taken, but cannot be asked"),
            pytest.param("done, then endless", True, id="answered by more than is read"),
        ],
    )
    def test_never_submits_a_switch_again(self, field: Field, scripted: ScriptedHeadEnd, step: str, down: bool) -> None:
        field.device()
        scripted.script, scripted.down = [step], down
        _, command = field.switch()

        for _ in range(3):
            field.worker.turn()
            field.real += 60

        assert field.stored(command).status is CommandStatus.UNCERTAIN
        assert len(scripted.submitted) == 1
        assert intents(field) == [(1, "uncertain")]

    def test_submits_a_read_again_that_was_not_taken(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        scripted.script = ["cut"]
        command = field.command(CommandKind.READ_ON_DEMAND)

        field.worker.turn()
        assert field.stored(command).status is CommandStatus.READY
        field.worker.turn()

        assert field.stored(command).status is CommandStatus.ACCEPTED
        assert intents(field) == [(1, "uncertain"), (2, "accepted")]


class TestRecovery:
    """The worker was killed between its two transactions."""

    def _die_in_call(self, field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
        class Killed(BaseException):
            pass

        def die(*_: object, **__: object) -> None:
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(field.worker, "_settle", die)
            with pytest.raises(Killed):
                field.worker.turn()

    def test_leaves_a_call_alone_while_its_lease_runs(
        self, field: Field, scripted: ScriptedHeadEnd, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        command = field.command(CommandKind.READ_ON_DEMAND)
        self._die_in_call(field, monkeypatch)

        assert field.new_worker().turn() == 0
        assert field.stored(command).status is CommandStatus.SUBMITTING

    def test_finds_the_call_that_was_taken(
        self, field: Field, scripted: ScriptedHeadEnd, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        field.device()
        _, command = field.switch()
        self._die_in_call(field, monkeypatch)
        lose_worker(field)

        assert field.new_worker().turn() == 1

        assert field.stored(command).status is CommandStatus.ACCEPTED
        assert len(scripted.submitted) == 1

    def test_does_not_submit_a_switch_the_head_end_does_not_know(
        self, field: Field, scripted: ScriptedHeadEnd, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        field.device()
        _, command = field.switch()
        self._die_in_call(field, monkeypatch)
        lose_worker(field)
        scripted.jobs.clear()

        field.new_worker().turn()

        assert field.stored(command).status is CommandStatus.UNCERTAIN
        assert len(scripted.submitted) == 1

    def test_submits_a_read_the_head_end_does_not_know(
        self, field: Field, scripted: ScriptedHeadEnd, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        command = field.command(CommandKind.READ_ON_DEMAND)
        self._die_in_call(field, monkeypatch)
        lose_worker(field)
        scripted.jobs.clear()
        worker = field.new_worker()

        worker.turn()
        worker.turn()

        assert field.stored(command).status is CommandStatus.ACCEPTED
        assert [attempt for attempt, _ in intents(field)] == [1, 2]

    def test_does_not_store_an_outcome_when_the_lease_was_taken_over(
        self, field: Field, scripted: ScriptedHeadEnd, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        field.device()
        _, command = field.switch()
        settle = field.worker._settle

        def settle_late(*args: object, **named: object) -> None:
            lose_worker(field)
            scripted.jobs.clear()
            field.new_worker().turn()
            settle(*args, **named)  # type: ignore[arg-type]

        monkeypatch.setattr(field.worker, "_settle", settle_late)

        field.worker.turn()

        assert field.stored(command).status is CommandStatus.UNCERTAIN


class TestTimeouts:
    def _accepted(self, field: Field) -> Command:
        command = field.command(CommandKind.READ_ON_DEMAND)
        field.worker.turn()
        return command

    def test_waits_until_the_patience_is_over(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        command = self._accepted(field)
        field.clock.advance(minutes=59, seconds=59)

        assert field.worker.timeouts(field.clock.now()) == 0
        assert field.stored(command).status is CommandStatus.ACCEPTED
        assert scripted.asked == []

    def test_times_out_what_stays_silent_when_asked(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        command = self._accepted(field)
        field.clock.advance(minutes=60)

        assert field.worker.turn() == 1

        assert field.stored(command).status is CommandStatus.TIMED_OUT
        assert scripted.asked == ["/v1/jobs/t-1"]

    def test_takes_the_result_the_head_end_has_when_asked(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.device()
        command = self._accepted(field)
        job = scripted.jobs["t-1"]
        job["results"] = field.result(command, correlation=job["correlation_id"])["results"]
        field.clock.advance(minutes=60)

        assert field.worker.turn() == 0
        assert field.stored(command).status is CommandStatus.ACCEPTED
        field.readings.turn()

        assert field.stored(command).status is CommandStatus.DONE

    def test_times_out_when_the_head_end_cannot_be_asked(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        command = self._accepted(field)
        scripted.down = True
        field.clock.advance(minutes=60)

        field.worker.turn()

        assert field.stored(command).status is CommandStatus.TIMED_OUT

    def test_does_not_time_out_what_waits_undecoded(self, field: Field) -> None:
        field.device()
        command = self._accepted(field)
        correlation = str(raw(field, command)["correlation"])
        field.push("results", field.result(command, correlation=correlation))
        field.clock.advance(minutes=60)

        assert field.worker.timeouts(field.clock.now()) == 0
        field.readings.turn()

        assert field.stored(command).status is CommandStatus.DONE

    def test_ends_the_commands_of_a_head_end_that_is_gone(self, field: Field) -> None:
        command = field.command(CommandKind.READ_ON_DEMAND, head_end="village")
        workers = {"city": field.worker}
        assert "0 of unknown" in command_timeouts(field.database, workers, now=field.clock.now())

        field.clock.advance(hours=1)

        assert "1 of unknown" in command_timeouts(field.database, workers, now=field.clock.now())
        assert field.stored(command).result_code == "NO_HEAD_END"
