"""Calls to a head end of which nobody knows what they did: the answer was lost, or whoever waited for it was killed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import update

from mdus.domain.command import CommandKind, CommandStatus
from mdus.storage.command import COMMAND
from tests.head_ends.field import Field
from tests.head_ends.scripted import ScriptedHeadEnd
from tests.unit.workers.test_head_end import intents, raw


def lose_worker(field: Field) -> None:
    """Let every lease run out, as when the process that holds it was killed in the middle of a call."""
    with field.database.begin() as uow:
        uow.connection.execute(
            update(COMMAND.table)
            .where(COMMAND.table.c.status == CommandStatus.SUBMITTING)
            .values(lease_until=field.clock.now() - timedelta(days=3650))
        )


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
