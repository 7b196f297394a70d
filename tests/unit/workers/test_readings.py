"""Taking in what a head end delivers, on both databases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from mdus.domain.command import Command, CommandKind, CommandStatus, OwnerKind
from mdus.domain.end_device import SwitchState
from mdus.domain.end_device_control import ControlCategory, ControlStatus
from mdus.domain.end_device_event import EndDeviceEvent
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.head_end import Batch, Submission
from mdus.domain.meter_reading_document import DocumentStatus, MeterReadingDocument
from mdus.domain.reading import MeterReading, ReadingOrigin
from mdus.storage.command import COMMAND
from mdus.workers import field_events
from tests.head_ends.field import ENERGY, NOON, SENDER, SERIAL, Field
from tests.head_ends.scripted import ScriptedHeadEnd

MIDNIGHT = "2026-03-26T23:00:00Z"


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


def snapshot(serial: str = SERIAL, value: str = "12345.60", at: str = MIDNIGHT) -> dict[str, Any]:
    return {"serial": serial, "obis": ENERGY, "at": at, "value": value, "unit": "kWh"}


def readings(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"delivery_id": "d-0", "readings": list(rows)}


def submitted(field: Field, scripted: ScriptedHeadEnd, kind: CommandKind, **of: Any) -> tuple[Command, str]:
    """Return a command the head end has accepted, and the correlation of its call."""
    command = field.command(kind, **of)
    field.worker.turn()
    assert field.stored(command).status is CommandStatus.ACCEPTED
    return command, scripted.submitted[-1]["correlation_id"]


def document(field: Field, *, due_at: datetime, **changes: Any) -> MeterReadingDocument:
    values: dict[str, Any] = {
        "sender_system": SENDER,
        "document_id": "00000000000000000077",
        "device_id": "000000000000010042",
        "measurement_task_id": "1",
        "obis_text": ENERGY,
        "reading_type": ENERGY,
        "reason_code": "01",
        "scheduled_on": due_at.date(),
        "time_zone": "Europe/Berlin",
        "due_at": due_at,
        "window_from": due_at,
        "window_until": due_at + timedelta(days=3),
        "next_try_at": field.clock.now() + timedelta(days=1),
        "order_item_id": 1,
    }
    made = MeterReadingDocument(**(values | changes))
    field.save(made)
    return made


class TestReadings:
    def test_stores_snapshots_of_known_meters(self, field: Field) -> None:
        device = field.device()
        field.push("readings", readings(snapshot()))

        assert field.readings.turn() == 1

        (stored,) = field.all(MeterReading)
        assert stored == MeterReading(
            sender_system=device.sender_system,
            device_id=device.device_id,
            reading_type=ENERGY,
            measured_at=datetime.fromisoformat(MIDNIGHT),
            value=Decimal("12345.6"),
            unit="kWh",
            origin=ReadingOrigin.SNAPSHOT,
            received_at=NOON,
        )
        assert field.deliveries() == ["done"]
        assert field.readings.turn() == 0

    def test_counts_a_reading_as_a_sign_of_life(self, field: Field) -> None:
        field.device()
        field.push("readings", readings(snapshot()))

        field.readings.turn()

        assert field.status_of().last_heard_at == datetime.fromisoformat(MIDNIGHT)

    def test_stores_a_reading_told_twice_once(self, field: Field) -> None:
        field.device()
        field.push("readings", readings(snapshot()))
        field.push("readings", readings(snapshot()) | {"delivery_id": "d-1"})

        field.readings.turn()

        assert len(field.all(MeterReading)) == 1
        assert field.deliveries() == ["done", "done"]

    def test_keeps_a_differing_value_beside_the_first(self, field: Field) -> None:
        field.device()
        field.push("readings", readings(snapshot(value="1"), snapshot(value="2")))

        field.readings.turn()

        assert [stored.value for stored in field.all(MeterReading)] == [Decimal(1), Decimal(2)]

    def test_stores_the_same_body_once(self, field: Field) -> None:
        assert field.push("readings", readings(snapshot())) == 1
        assert field.push("readings", readings(snapshot())) == 0

    def test_lets_due_documents_of_the_device_look_at_once(self, field: Field) -> None:
        field.device()
        document(field, due_at=NOON - timedelta(hours=1))
        field.push("readings", readings(snapshot()))

        field.readings.turn()

        assert field.all(MeterReadingDocument)[0].next_try_at == NOON

    def test_leaves_documents_alone_that_are_not_due(self, field: Field) -> None:
        field.device()
        waiting = document(field, due_at=NOON + timedelta(hours=1))
        field.push("readings", readings(snapshot()))

        field.readings.turn()

        assert field.all(MeterReadingDocument) == [waiting]

    def test_leaves_documents_alone_that_are_decided(self, field: Field) -> None:
        field.device()
        decided = document(field, due_at=NOON - timedelta(hours=1), status=DocumentStatus.CONFIRMED)
        field.push("readings", readings(snapshot()))

        field.readings.turn()

        assert field.all(MeterReadingDocument) == [decided]


class TestHeard:
    def test_notes_first_and_last_whatever_the_order(self, field: Field) -> None:
        field.device()
        for hour in ("09", "08", "10"):
            meters = [{"serial": SERIAL, "first": hour == "08", "at": f"2026-03-27T{hour}:00:00Z"}]
            field.push("heard", {"delivery_id": hour, "meters": meters})
            field.readings.turn()

        status = field.status_of()
        assert status.first_heard_at == NOON.replace(hour=8)
        assert status.last_heard_at == NOON.replace(hour=10)


class TestUnknownMeters:
    def test_takes_the_known_and_keeps_the_rest_for_later(self, field: Field) -> None:
        field.device()
        field.push("readings", readings(snapshot(), snapshot("0000005678")))

        field.readings.turn()

        assert len(field.all(MeterReading)) == 1
        assert field.deliveries() == ["unmatched"]

    def test_takes_the_rest_when_the_device_arrives(self, field: Field) -> None:
        field.push("readings", readings(snapshot()))
        field.readings.turn()
        assert field.all(MeterReading) == []

        field.device()
        field.readings.turn()

        assert len(field.all(MeterReading)) == 1
        assert field.deliveries() == ["done"]

    def test_waits_a_day_and_then_shows_what_has_no_place(self, field: Field) -> None:
        field.push("readings", readings(snapshot()))
        field.readings.turn()
        field.clock.advance(hours=23, minutes=59)
        field.readings.turn()
        assert field.deliveries() == ["unmatched"]

        field.clock.advance(minutes=1)
        field.readings.turn()

        assert field.deliveries() == ["dead"]
        (case,) = field.all(ExceptionCase)
        assert case.kind == "delivery_unmatched"
        assert SERIAL in case.note

    def test_leaves_a_meter_to_the_head_end_that_serves_it(self, field: Field) -> None:
        device = field.device()
        field.save(replace(device, head_end="village"))
        field.push("readings", readings(snapshot()))

        field.readings.turn()

        assert field.all(MeterReading) == []
        assert field.deliveries() == ["unmatched"]


class TestUnreadable:
    def test_shows_a_body_that_cannot_be_read(self, field: Field) -> None:
        field.push("results", b'{"results": [{"serial": "1"}]}')

        assert field.readings.turn() == 1

        assert field.deliveries() == ["dead"]
        (case,) = field.all(ExceptionCase)
        assert case.kind == "delivery_unreadable"
        assert "results[0].status is missing" in case.note
        assert field.readings.turn() == 0

    def test_takes_its_neighbours_in(self, field: Field) -> None:
        field.device()
        field.push("readings", b"<xml/>")
        field.push("readings", readings(snapshot()))

        field.readings.turn()

        assert field.deliveries() == ["dead", "done"]

    def test_shows_a_delivery_of_a_head_end_that_is_gone(self, field: Field) -> None:
        field.push("readings", readings(snapshot()))
        field.readings._decoders = {}

        field.readings.turn()

        assert field.deliveries() == ["dead"]


class TestDefects:
    def test_costs_no_neighbour_its_turn(self, field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
        field.device()
        for value in ("1", "2", "3"):
            field.push("readings", readings(snapshot(value=value)))
        real = field_events._take_reading

        def fail_at_two(batch: Any, told: Any, reading: Any, devices: Any) -> None:
            if reading.value == 2:
                raise RuntimeError("a defect of ours")
            real(batch, told, reading, devices)

        monkeypatch.setattr(field_events, "_take_reading", fail_at_two)
        field.readings.turn()
        assert field.deliveries() == ["done", "ready", "done"]

        field.readings.turn()
        field.readings.turn()

        assert field.deliveries() == ["done", "dead", "done"]
        assert [case.kind for case in field.all(ExceptionCase)] == ["delivery_failed"]

    def test_takes_it_in_once_the_defect_is_gone(self, field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
        field.device()
        field.push("readings", readings(snapshot()))
        with monkeypatch.context() as patch:

            def fail(*_: object) -> None:
                raise RuntimeError("a defect of ours")

            patch.setattr(field_events, "_take_reading", fail)
            field.readings.turn()

        field.readings.turn()

        assert field.deliveries() == ["done"]


class TestResults:
    def test_ends_a_command_with_its_readings(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.device()
        command, correlation = submitted(field, scripted, CommandKind.READ_ON_DEMAND)
        row = {name: value for name, value in snapshot(at="2026-03-27T11:00:00Z").items() if name != "serial"}
        field.push("results", field.result(command, correlation=correlation, readings=[row]))

        field.readings.turn()

        stored = field.stored(command)
        assert (stored.status, stored.ended_at, stored.acted_at) == (CommandStatus.DONE, NOON, NOON)
        (reading,) = field.all(MeterReading)
        assert reading.origin is ReadingOrigin.ON_DEMAND
        assert field.status_of().last_heard_at == NOON

    def test_stores_read_periods_as_snapshots(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.device()
        command, correlation = submitted(field, scripted, CommandKind.READ_REGISTERS)
        row = {name: value for name, value in snapshot().items() if name != "serial"}
        field.push("results", field.result(command, correlation=correlation, readings=[row]))

        field.readings.turn()

        assert [reading.origin for reading in field.all(MeterReading)] == [ReadingOrigin.SNAPSHOT]

    def test_notes_where_the_breaker_stands(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.device()
        field.switch()
        field.worker.turn()
        (command,) = field.all(Command)
        correlation = scripted.submitted[-1]["correlation_id"]
        field.push("results", field.result(command, correlation=correlation))

        field.readings.turn()

        stored = field.stored(command)
        assert (stored.status, stored.result_state) == (CommandStatus.DONE, SwitchState.DISCONNECTED)
        status = field.status_of()
        assert (status.switch_state, status.switch_state_at) == (SwitchState.DISCONNECTED, NOON)
        assert status.has_breaker is True

    def test_ignores_older_news_of_the_breaker(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.device()
        field.with_breaker(True, switch_state=SwitchState.CONNECTED, switch_state_at=NOON + timedelta(seconds=1))
        command, correlation = submitted(field, scripted, CommandKind.SWITCH_STATE)
        field.push("results", field.result(command, correlation=correlation, switch_state="disconnected"))

        field.readings.turn()

        assert field.status_of().switch_state is SwitchState.CONNECTED

    def test_notes_that_a_meter_is_provisioned_but_not_that_it_was_heard(
        self, field: Field, scripted: ScriptedHeadEnd
    ) -> None:
        field.device()
        command, correlation = submitted(field, scripted, CommandKind.PROVISION)
        field.push("results", field.result(command, correlation=correlation))

        field.readings.turn()

        status = field.status_of()
        assert status.provisioned_at == NOON
        assert status.first_heard_at is None

    @pytest.mark.parametrize(
        ("kind", "code", "status"),
        [
            pytest.param(CommandKind.READ_ON_DEMAND, "NO_RESPONSE", CommandStatus.FAILED, id="read without response"),
            pytest.param(CommandKind.SWITCH, "RELAY_STUCK", CommandStatus.FAILED, id="stuck relay"),
            pytest.param(CommandKind.SWITCH, "NO_RESPONSE", CommandStatus.UNCERTAIN, id="switch without response"),
        ],
    )
    def test_fails_a_command_or_leaves_it_uncertain(
        self, field: Field, scripted: ScriptedHeadEnd, kind: CommandKind, code: str, status: CommandStatus
    ) -> None:
        field.device()
        command = field.switch()[1] if kind is CommandKind.SWITCH else field.command(kind)
        field.worker.turn()
        failed = field.result(
            command,
            correlation=scripted.submitted[-1]["correlation_id"],
            status="failed",
            code=code,
            text="as scripted",
            switch_state=None,
            switched_at=None,
        )
        field.push("results", failed)

        field.readings.turn()

        stored = field.stored(command)
        assert (stored.status, stored.result_code, stored.result_text) == (status, code, "as scripted")
        assert field.status_of().last_heard_at is None

    def test_wakes_the_document_that_owns_the_command(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.device()
        owner = document(field, due_at=NOON)
        command, correlation = submitted(
            field,
            scripted,
            CommandKind.READ_ON_DEMAND,
            owner_kind=OwnerKind.DOCUMENT,
            owner_key=f"{SENDER}/{owner.document_id}",
        )
        field.push("results", field.result(command, correlation=correlation))

        field.readings.turn()

        assert field.all(MeterReadingDocument)[0].next_try_at == owner.due_at

    def test_takes_a_result_that_comes_before_the_acknowledgement(
        self, field: Field, scripted: ScriptedHeadEnd
    ) -> None:
        field.device()
        _, command = field.switch()
        real = field.head_end.submit

        def submit_slowly(batch: Batch) -> Submission:
            field.push("results", field.result(command, correlation=batch.correlation))
            field.readings.turn()
            assert field.stored(command).status is CommandStatus.DONE
            return real(batch)

        field.head_end.submit = submit_slowly  # type: ignore[method-assign]

        field.worker.turn()

        assert field.stored(command).status is CommandStatus.DONE
        assert field.worker.turn() == 0

    def test_ends_a_read_by_the_result_of_a_call_thought_lost(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.device()
        command = field.command(CommandKind.READ_ON_DEMAND)
        scripted.script = ["done, then cut"]
        scripted.down = True
        field.worker.turn()
        assert field.stored(command).status is CommandStatus.READY

        correlation = scripted.submitted[0]["correlation_id"]
        field.push("results", field.result(command, correlation=correlation))
        field.readings.turn()

        assert field.stored(command).status is CommandStatus.DONE
        assert field.worker.turn() == 0

    def test_does_not_fail_a_newer_attempt_by_the_failure_of_an_older(
        self, field: Field, scripted: ScriptedHeadEnd
    ) -> None:
        field.device()
        command = field.command(CommandKind.READ_ON_DEMAND)
        scripted.script = ["cut"]
        field.worker.turn()
        field.worker.turn()
        older, newer = (body["correlation_id"] for body in scripted.submitted)
        failed = {"status": "failed", "code": "NO_RESPONSE"}

        field.push("results", field.result(command, correlation=older, **failed))
        field.readings.turn()
        assert field.stored(command).status is CommandStatus.ACCEPTED

        field.push("results", field.result(command, correlation=newer, **failed))
        field.readings.turn()
        assert field.stored(command).status is CommandStatus.FAILED

    @pytest.mark.parametrize(
        "changes",
        [
            pytest.param({"reference": "nobody's"}, id="unknown reference"),
            pytest.param({"serial": "0000005678"}, id="another meter"),
        ],
    )
    def test_keeps_a_result_that_belongs_to_no_command(
        self, field: Field, scripted: ScriptedHeadEnd, changes: dict[str, str]
    ) -> None:
        field.device()
        command, correlation = submitted(field, scripted, CommandKind.READ_ON_DEMAND)
        field.push("results", field.result(command, correlation=correlation, **changes))

        field.readings.turn()

        assert field.stored(command).status is CommandStatus.ACCEPTED
        assert field.deliveries() == ["unmatched"]

    def test_keeps_a_result_of_a_call_that_was_not_made(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.device()
        command, _ = submitted(field, scripted, CommandKind.READ_ON_DEMAND)
        field.push("results", field.result(command, correlation="00000000-0000-4000-8000-000000000000"))

        field.readings.turn()

        assert field.stored(command).status is CommandStatus.ACCEPTED
        assert field.deliveries() == ["unmatched"]

    def test_runs_a_bounded_number_of_statements(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        from sqlalchemy import event

        def statements(rows: int) -> int:
            field.push("readings", readings(*(snapshot(value=f"{rows}.{number}") for number in range(rows))))
            counted: list[str] = []

            def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
                counted.append(statement)

            event.listen(field.database.engine, "before_cursor_execute", note)
            try:
                field.readings.turn()
            finally:
                event.remove(field.database.engine, "before_cursor_execute", note)
            return len(counted)

        field.device()
        statements(1)  # the first turn of a worker looks for what waited while none ran

        # SQLite is given rows by the handful, and those left over in one more statement.
        few = statements(75)

        assert statements(2) <= few
        assert statements(825) == few


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


class TestTwoWorkers:
    def test_take_each_delivery_in_once(self, postgresql_url: str, scripted: ScriptedHeadEnd) -> None:
        field = Field(postgresql_url, scripted.url)
        try:
            field.device()
            field.push("readings", readings(snapshot()))
            real = field.readings._take_in

            def while_another_works(*args: Any, **named: Any) -> None:
                real(*args, **named)
                other = Field(postgresql_url, scripted.url)
                assert other.readings.turn() == 1  # it saw the delivery, and found it held
                other.close()

            field.readings._take_in = while_another_works  # type: ignore[method-assign]
            field.readings.turn()

            assert field.deliveries() == ["done"]
            assert len(field.all(MeterReading)) == 1
        finally:
            field.close()


def test_results_of_a_batch_are_one_call(field: Field, scripted: ScriptedHeadEnd) -> None:
    devices = [field.device(f"{number}", f"10{number}") for number in range(3)]
    commands = [
        field.command(CommandKind.READ_ON_DEMAND, device_id=device.device_id, serial_id=device.serial_id)
        for device in devices
    ]
    field.worker.turn()
    correlation = scripted.submitted[0]["correlation_id"]
    push = field.result(commands[0], correlation=correlation)
    push["results"] = [field.result(each, correlation=correlation)["results"][0] for each in commands]

    field.push("results", json.loads(json.dumps(push)))
    field.readings.turn()

    with field.database.read() as uow:
        statuses = set(uow.connection.scalars(select(COMMAND.table.c.status)))
    assert statuses == {CommandStatus.DONE}
