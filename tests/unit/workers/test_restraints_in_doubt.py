"""How commands end that restrain a customer: never as failed where an attempt may have been carried out."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from mdus.domain.command import Command, CommandKind, CommandStatus
from mdus.messaging.retry import TransientError, UncertainError
from mdus.storage.end_device_control import order_switching
from mdus.telemetry.metrics import REGISTRY
from mdus.workers.command_timeouts import command_timeouts
from tests.head_ends.field import Field
from tests.head_ends.rehearsed import RehearsedHeadEnd
from tests.head_ends.scripted import ScriptedHeadEnd

LIMIT: dict[str, Any] = {"parameters": (("limit_kw", "3"),)}


@pytest.fixture
def field(field: Field) -> Field:
    field.device()
    return field


def turn(field: Field, times: int = 1) -> None:
    for _ in range(times):
        field.worker.turn()
        field.real += 3600


def ended(field: Field, command: Command) -> tuple[CommandStatus, str | None]:
    stored = field.stored(command)
    return stored.status, stored.result_code


class TestARestraintOfWhichACallBrokeOff:
    @pytest.fixture
    def limit(self, field: Field, scripted: ScriptedHeadEnd) -> Command:
        scripted.script = ["cut"]
        command = field.command(CommandKind.LIMIT_DEMAND, **LIMIT)
        turn(field)
        assert field.stored(command).status is CommandStatus.READY
        return command

    def test_is_uncertain_when_it_expires(self, field: Field, limit: Command) -> None:
        field.clock.advance(hours=1)
        turn(field)
        assert ended(field, limit) == (CommandStatus.UNCERTAIN, "EXPIRED")
        assert "may have been carried out" in (field.stored(limit).result_text or "")

    def test_is_uncertain_when_it_must_not_leave_again(self, field: Field, limit: Command) -> None:
        with field.database.begin() as uow:
            order_switching(uow.connection, stopped=True, reason="x", ordered_by="x", at=field.clock.now())
        turn(field)
        assert ended(field, limit) == (CommandStatus.UNCERTAIN, "KILL_SWITCH")

    def test_is_uncertain_when_its_device_has_moved(self, field: Field, limit: Command) -> None:
        field.save(replace(field.device(registers=False), head_end="village"))
        turn(field)
        assert ended(field, limit) == (CommandStatus.UNCERTAIN, "OTHER_HEAD_END")

    def test_is_uncertain_when_its_head_end_is_no_more(self, field: Field, limit: Command) -> None:
        field.clock.advance(hours=1)
        command_timeouts(field.database, {}, now=field.clock.now())
        assert ended(field, limit) == (CommandStatus.UNCERTAIN, "NO_HEAD_END")

    def test_is_uncertain_when_it_is_taken_back(self, field: Field, limit: Command) -> None:
        field.save(replace(limit, status=CommandStatus.CANCELLED, ended_at=field.clock.now(), result_text="x"))
        assert field.stored(limit).status is CommandStatus.UNCERTAIN

    @pytest.mark.parametrize(
        "code",
        [
            pytest.param("BUSY", id="for the time being"),
            pytest.param("UNKNOWN_METER", id="by a concentrator that the meter has left"),
            pytest.param("NOT_PROVISIONED", id="by a concentrator that the meter has not joined"),
            pytest.param("NOT_SUPPORTED", id="by a concentrator that cannot"),
        ],
    )
    def test_is_uncertain_when_it_is_refused(
        self, field: Field, scripted: ScriptedHeadEnd, limit: Command, code: str
    ) -> None:
        scripted.script = [f"reject {code}"]
        turn(field)
        assert ended(field, limit) == (CommandStatus.UNCERTAIN, code)

    def test_is_uncertain_when_it_fails_at_last(self, field: Field, scripted: ScriptedHeadEnd, limit: Command) -> None:
        turn(field)
        result = field.result(limit, correlation=scripted.submitted[-1]["correlation_id"])
        result["results"][0] |= {"status": "failed", "code": "BUSY", "text": "x"}
        field.push("results", result)
        field.readings.turn()
        assert ended(field, limit) == (CommandStatus.UNCERTAIN, "BUSY")

    def test_is_done_when_it_is_carried_out(self, field: Field, scripted: ScriptedHeadEnd, limit: Command) -> None:
        turn(field)
        field.push("results", field.result(limit, correlation=scripted.submitted[-1]["correlation_id"]))
        field.readings.turn()
        assert ended(field, limit) == (CommandStatus.DONE, None)


class TestACommandOfWhichNoCallBrokeOff:
    @pytest.mark.parametrize("code", ["BUSY", "UNKNOWN_METER", "NOT_PROVISIONED", "NOT_SUPPORTED"])
    def test_has_failed_when_it_is_refused(self, field: Field, scripted: ScriptedHeadEnd, code: str) -> None:
        scripted.script = [f"reject {code}"]
        limit = field.command(CommandKind.LIMIT_DEMAND, **LIMIT)
        turn(field)
        assert ended(field, limit) == (CommandStatus.FAILED, code)

    def test_has_failed_when_it_expires(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        scripted.script = ["503"]
        limit = field.command(CommandKind.LIMIT_DEMAND, **LIMIT)
        turn(field)
        field.clock.advance(hours=1)
        turn(field)
        assert ended(field, limit) == (CommandStatus.FAILED, "EXPIRED")

    def test_is_cancelled_when_it_is_taken_back_with_others(self, field: Field) -> None:
        kinds = (CommandKind.LIMIT_DEMAND, CommandKind.CONTROL_LOAD, CommandKind.READ_ON_DEMAND)
        commands = [field.command(kind, **LIMIT) for kind in kinds]
        taken_back = {"status": CommandStatus.CANCELLED, "ended_at": field.clock.now(), "result_text": "x"}
        field.save(*(replace(each, **taken_back) for each in commands))
        assert [field.stored(each).status for each in commands] == [CommandStatus.CANCELLED] * 3


class TestAReadOfWhichACallBrokeOff:
    def test_has_failed_when_it_expires(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        scripted.script = ["cut"]
        read = field.command(CommandKind.READ_ON_DEMAND)
        turn(field)
        field.clock.advance(hours=1)
        turn(field)
        assert ended(field, read) == (CommandStatus.FAILED, "EXPIRED")


class TestWhatAHeadEndCannotSay:
    @pytest.mark.parametrize(
        ("code", "status"),
        [
            pytest.param("STATE_UNKNOWN", CommandStatus.UNCERTAIN, id="whether the meter acted"),
            pytest.param("NOT_SUPPORTED", CommandStatus.FAILED, id="nothing: the meter did not"),
        ],
    )
    @pytest.mark.parametrize("kind", [CommandKind.LIMIT_DEMAND, CommandKind.CONTROL_LOAD])
    def test_leaves_a_restraint_uncertain(
        self, field: Field, scripted: ScriptedHeadEnd, kind: CommandKind, code: str, status: CommandStatus
    ) -> None:
        event = (("event", "e"), ("action", "schedule"), ("start", "2026-03-27T12:00:00Z"), ("minutes", "9"))
        parameters = LIMIT["parameters"] if kind is CommandKind.LIMIT_DEMAND else (*event, ("percent", "40"))
        command = field.command(kind, parameters=parameters)
        turn(field)
        result = field.result(command, correlation=scripted.submitted[-1]["correlation_id"])
        result["results"][0] |= {"status": "failed", "code": code, "text": "x"}
        field.push("results", result)
        field.readings.turn()
        assert ended(field, command) == (status, code)


class TestARestraintThatIsGivenUp:
    @pytest.mark.parametrize(
        ("fails", "status"),
        [
            pytest.param(UncertainError("no answer"), CommandStatus.UNCERTAIN, id="and may be in force"),
            pytest.param(TransientError("down"), CommandStatus.FAILED, id="and never reached its head end"),
        ],
    )
    def test_has_failed_only_where_it_certainly_did_nothing(
        self, database_url: str, fails: Exception, status: CommandStatus
    ) -> None:
        head_end = RehearsedHeadEnd()
        field = Field(database_url, "http://127.0.0.1:1", head_end=head_end, decode=head_end.decode)
        try:
            field.device()
            command = field.command(CommandKind.LIMIT_DEMAND, **LIMIT)
            head_end.fails = fails
            turn(field, 6)
            assert ended(field, command) == (status, "UNREACHABLE")
        finally:
            field.close()


@pytest.mark.parametrize(
    ("first", "failed"),
    [pytest.param("cut", "uncertain", id="that may be in force"), pytest.param("503", None, id="that did nothing")],
)
class TestARestraintIsCounted:
    """As it is stored, by whichever way it ends."""

    @pytest.fixture
    def limit(self, field: Field, scripted: ScriptedHeadEnd, first: str) -> Command:
        scripted.script = [first]
        command = field.command(CommandKind.LIMIT_DEMAND, **LIMIT)
        turn(field)
        assert field.stored(command).status is CommandStatus.READY
        return command

    @pytest.fixture
    def before(self, limit: Command) -> Counter[str]:
        return counted()

    def test_when_its_head_end_refuses_it(
        self, field: Field, scripted: ScriptedHeadEnd, before: Counter[str], failed: str | None
    ) -> None:
        scripted.script = ["reject NOT_SUPPORTED"]
        turn(field)
        assert counted() - before == {failed or "failed": 1}

    def test_when_the_governor_refuses_it(self, field: Field, before: Counter[str], failed: str | None) -> None:
        with field.database.begin() as uow:
            order_switching(uow.connection, stopped=True, reason="x", ordered_by="x", at=field.clock.now())
        turn(field)
        assert counted() - before == {failed or "refused": 1}

    def test_when_it_expires(self, field: Field, before: Counter[str], failed: str | None) -> None:
        field.clock.advance(hours=1)
        turn(field)
        assert counted() - before == {failed or "failed": 1}

    @pytest.mark.parametrize("code", [None, "NOT_SUPPORTED"], ids=["done", "failed"])
    def test_when_its_head_end_tells_of_it(
        self,
        field: Field,
        scripted: ScriptedHeadEnd,
        limit: Command,
        before: Counter[str],
        failed: str | None,
        code: str | None,
    ) -> None:
        turn(field)
        result = field.result(limit, correlation=scripted.submitted[-1]["correlation_id"])
        if code is not None:
            result["results"][0] |= {"status": "failed", "code": code, "text": "x"}
        field.push("results", result)
        field.readings.turn()
        assert counted() - before == {"ok" if code is None else failed or "failed": 1}


def counted() -> Counter[str]:
    """How many demand limits ended at the head end in this process, by outcome."""
    of = {"head_end": "city", "kind": CommandKind.LIMIT_DEMAND.value}
    outcomes = ("ok", "failed", "refused", "uncertain", "timed_out")
    told = {each: REGISTRY.get_sample_value("mdus_commands_total", {**of, "outcome": each}) for each in outcomes}
    return Counter({outcome: int(number or 0) for outcome, number in told.items()})
