"""Switches the governor lets leave to a head end, and which of two orders for one meter goes first."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from mdus.domain.command import Command, CommandKind, CommandStatus
from mdus.domain.end_device_control import ControlCategory, ControlStatus, EndDeviceControl
from mdus.domain.head_end import RawDelivery
from mdus.storage.end_device_control import order_switching, stop_reason
from tests.head_ends.field import SERIAL, Field
from tests.head_ends.scripted import ScriptedHeadEnd


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
