"""What the results of commands change that a head end pushes, in time."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from mdus.domain.command import Command, CommandKind, CommandStatus, OwnerKind
from mdus.domain.end_device import SwitchState
from mdus.domain.head_end import Batch, Submission
from mdus.domain.meter_reading_document import MeterReadingDocument
from mdus.domain.reading import MeterReading, ReadingOrigin
from mdus.storage.command import COMMAND
from tests.head_ends.field import NOON, SENDER, Field
from tests.head_ends.scripted import ScriptedHeadEnd
from tests.unit.workers.test_readings import document, readings, snapshot, submitted


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

    @pytest.mark.parametrize("ok", [True, False], ids=["done", "failed"])
    def test_ends_a_command_whose_call_is_named_in_capitals(
        self, field: Field, scripted: ScriptedHeadEnd, ok: bool
    ) -> None:
        """A head end may write the letters of a UUID as it likes."""
        field.device()
        command, correlation = submitted(field, scripted, CommandKind.READ_ON_DEMAND)
        outcome = {} if ok else {"status": "failed", "code": "NO_RESPONSE"}
        assert correlation.upper() != correlation
        field.push("results", field.result(command, correlation=correlation.upper(), **outcome))

        field.readings.turn()

        assert field.stored(command).status is (CommandStatus.DONE if ok else CommandStatus.FAILED)
        assert field.deliveries() == ["done"]

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
