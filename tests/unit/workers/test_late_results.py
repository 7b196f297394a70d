"""What the result of a command changes that comes after the command has ended: no outcome, but what is known."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from mdus.domain.command import Command, CommandKind, CommandStatus
from mdus.domain.end_device import SwitchState
from mdus.domain.end_device_control import ControlCategory, ControlStatus
from mdus.domain.end_device_event import EndDeviceEvent
from mdus.domain.exception_case import ExceptionCase
from tests.head_ends.field import NOON, Field
from tests.head_ends.scripted import ScriptedHeadEnd
from tests.unit.workers.test_readings import submitted


class TestLateResults:
    """A result that comes after its command has ended changes no outcome."""

    def _reported(
        self, field: Field, scripted: ScriptedHeadEnd, *, success: bool | None, status: ControlStatus
    ) -> tuple[Command, str]:
        field.device()
        control, command = field.switch(ControlCategory.DISCONNECT)
        field.worker.turn()
        field.clock.advance(hours=1)
        field.worker.turn()
        assert field.stored(command).status is CommandStatus.TIMED_OUT
        field.save(replace(control, status=status, reported_success=success))
        return command, scripted.submitted[0]["correlation_id"]

    def test_tells_that_a_failed_disconnection_happened_after_all(
        self, field: Field, scripted: ScriptedHeadEnd
    ) -> None:
        command, correlation = self._reported(field, scripted, success=False, status=ControlStatus.FAILED)
        field.push("results", field.result(command, correlation=correlation))

        field.readings.turn()

        assert field.stored(command).status is CommandStatus.TIMED_OUT
        assert field.status_of().switch_state is SwitchState.DISCONNECTED
        (event,) = field.all(EndDeviceEvent)
        assert "confirmed as failed, but the meter was disconnected" in (event.text or "")
        (case,) = field.all(ExceptionCase)
        assert (case.kind, case.case_key) == ("switch_contradiction", command.control_key)
        assert field.deliveries() == ["done"]

    def test_tells_that_a_carried_out_disconnection_did_not_happen(
        self, field: Field, scripted: ScriptedHeadEnd
    ) -> None:
        command, correlation = self._reported(field, scripted, success=True, status=ControlStatus.EXECUTED)
        failed = field.result(
            command, correlation=correlation, status="failed", code="RELAY_STUCK", switch_state="connected"
        )
        field.push("results", failed)

        field.readings.turn()

        (event,) = field.all(EndDeviceEvent)
        assert "the meter is connected" in (event.text or "")

    def test_tells_that_a_cancelled_disconnection_happened(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        command, correlation = self._reported(field, scripted, success=None, status=ControlStatus.CANCELLED)
        field.push("results", field.result(command, correlation=correlation))

        field.readings.turn()

        (event,) = field.all(EndDeviceEvent)
        assert "confirmed as cancelled" in (event.text or "")

    @pytest.mark.parametrize(
        ("success", "status"),
        [
            pytest.param(True, ControlStatus.EXECUTED, id="carried out, and it was"),
        ],
    )
    def test_says_nothing_when_it_agrees(
        self, field: Field, scripted: ScriptedHeadEnd, success: bool, status: ControlStatus
    ) -> None:
        command, correlation = self._reported(field, scripted, success=success, status=status)
        field.push("results", field.result(command, correlation=correlation))

        field.readings.turn()

        assert field.all(EndDeviceEvent) == []
        assert field.all(ExceptionCase) == []
        assert field.deliveries() == ["done"]

    def test_says_nothing_when_a_failed_switch_failed(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        command, correlation = self._reported(field, scripted, success=False, status=ControlStatus.FAILED)
        failed = field.result(
            command, correlation=correlation, status="failed", code="RELAY_STUCK", switch_state="connected"
        )
        field.push("results", failed)

        field.readings.turn()

        assert field.all(EndDeviceEvent) == []
        assert field.status_of().switch_state is SwitchState.CONNECTED

    def test_waits_until_it_is_decided_what_sap_is_told(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        from mdus.domain.end_device_control import EndDeviceControl

        command, correlation = self._reported(field, scripted, success=None, status=ControlStatus.ORDERED)
        field.push("results", field.result(command, correlation=correlation))
        field.readings.turn()
        assert field.deliveries() == ["unmatched"]
        assert field.all(EndDeviceEvent) == []

        (control,) = field.all(EndDeviceControl)
        field.save(replace(control, status=ControlStatus.FAILED, reported_success=False))
        field.readings.turn()

        assert field.deliveries() == ["done"]
        assert len(field.all(EndDeviceEvent)) == 1

    def test_tells_what_a_result_reveals_of_an_order_that_was_not_waited_for(
        self, field: Field, scripted: ScriptedHeadEnd
    ) -> None:
        """The order was given up while its command, held up by us, was still open: the result ends the command."""
        field.device()
        control, command = field.switch()
        field.worker.turn()
        field.save(replace(control, status=ControlStatus.FAILED, reported_success=False))
        field.push("results", field.result(command, correlation=scripted.submitted[0]["correlation_id"]))

        field.readings.turn()

        assert field.stored(command).status is CommandStatus.DONE
        (event,) = field.all(EndDeviceEvent)
        assert "confirmed as failed" in (event.text or "")

    @pytest.mark.parametrize(
        ("state", "contradicts"),
        [pytest.param("disconnected", True, id="as ordered"), pytest.param("connected", False, id="as told")],
    )
    def test_counts_a_position_read_back_late(
        self, field: Field, scripted: ScriptedHeadEnd, state: str, contradicts: bool
    ) -> None:
        field.device()
        control, _ = field.switch()
        field.worker.turn()
        check, correlation = submitted(field, scripted, CommandKind.SWITCH_STATE, control_key=control.control_key)
        field.clock.advance(hours=1)
        while field.worker.turn():
            pass
        assert field.stored(check).status is CommandStatus.TIMED_OUT
        field.save(replace(control, status=ControlStatus.FAILED, reported_success=False, processed_at=NOON))
        field.push("results", field.result(check, correlation=correlation, switch_state=state))

        field.readings.turn()

        assert bool(field.all(ExceptionCase)) is contradicts

    def test_tells_that_an_earlier_order_undid_a_later_one(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.device()
        _, command = field.switch()
        field.worker.turn()
        field.clock.advance(minutes=20)
        reconnect, _ = field.switch(ControlCategory.RECONNECT, planned_at=field.clock.now() - timedelta(minutes=18))
        field.save(
            replace(
                reconnect,
                status=ControlStatus.EXECUTED,
                reported_success=True,
                processed_at=field.clock.now() - timedelta(minutes=1),
            )
        )
        field.push("results", field.result(command, correlation=scripted.submitted[0]["correlation_id"]))

        field.readings.turn()

        (case,) = field.all(ExceptionCase)
        assert (case.kind, case.case_key) == ("switch_contradiction", reconnect.control_key)
        assert "the meter is disconnected since" in case.note

    def test_does_not_believe_a_meter_of_the_future(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.device()
        _, command = field.switch()
        field.worker.turn()
        ahead = (field.clock.now() + timedelta(days=2)).isoformat()
        correlation = scripted.submitted[0]["correlation_id"]
        field.push("results", field.result(command, correlation=correlation, switched_at=ahead, completed_at=ahead))

        field.readings.turn()

        status = field.status_of()
        assert (status.switch_state, status.switch_state_at) == (SwitchState.DISCONNECTED, field.clock.now())

    def test_believes_a_meter_whose_clock_is_far_behind(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.device()
        field.with_breaker(True, switch_state=SwitchState.CONNECTED, switch_state_at=NOON - timedelta(days=1))
        _, command = field.switch()
        field.worker.turn()
        behind = "1970-01-01T00:00:00Z"
        correlation = scripted.submitted[0]["correlation_id"]
        field.push("results", field.result(command, correlation=correlation, switched_at=behind, completed_at=behind))

        field.readings.turn()

        status = field.status_of()
        assert (status.switch_state, status.switch_state_at) == (SwitchState.DISCONNECTED, NOON)

    def test_does_not_take_an_old_position_told_late_for_a_new_one(
        self, field: Field, scripted: ScriptedHeadEnd
    ) -> None:
        field.device()
        read = field.command(CommandKind.SWITCH_STATE)
        field.worker.turn()
        field.clock.advance(minutes=5)
        moved_at = field.clock.now()
        field.with_breaker(True, switch_state=SwitchState.DISCONNECTED, switch_state_at=moved_at)
        field.clock.advance(minutes=5)
        told = {"completed_at": (NOON + timedelta(minutes=1)).isoformat(), "switch_state": "connected"}
        correlation = scripted.submitted[0]["correlation_id"]
        field.push("results", field.result(read, correlation=correlation, **told))

        field.readings.turn()

        status = field.status_of()
        assert (status.switch_state, status.switch_state_at) == (SwitchState.DISCONNECTED, moved_at)

    def test_makes_one_event_of_a_result_told_often(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        command, correlation = self._reported(field, scripted, success=False, status=ControlStatus.FAILED)
        for _ in range(2):
            field.push("results", field.result(command, correlation=correlation))
            field.readings.turn()

        assert len(field.all(EndDeviceEvent)) == 1
        assert len(field.all(ExceptionCase)) == 1

    def test_leaves_a_result_told_twice_without_effect(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.device()
        _, command = field.switch()
        field.worker.turn()
        correlation = scripted.submitted[0]["correlation_id"]
        field.push("results", field.result(command, correlation=correlation))
        field.push("results", field.result(command, correlation=correlation))

        field.readings.turn()

        assert field.stored(command).status is CommandStatus.DONE
        assert field.all(EndDeviceEvent) == []
        assert field.deliveries() == ["done", "done"]
