"""How results come: at once, asked for, fetched when said to be ready, in parts, and by call and meter alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select, update

from mdus.domain.channel import Channel
from mdus.domain.command import Command, CommandKind, CommandStatus
from mdus.domain.end_device import SwitchState
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.head_end import (
    CommandResult,
    ConcentratorTold,
    FieldEvent,
    FieldIntervals,
    FieldReading,
    RawDelivery,
    ResultsReady,
    Submission,
)
from mdus.domain.quantities import Quantities
from mdus.domain.reading import MeterReading, ReadingOrigin
from mdus.messaging.retry import UncertainError
from mdus.storage import delivery
from mdus.storage.command import COMMAND
from mdus.storage.concentrator import CONCENTRATOR, concentrators_of
from tests.head_ends.field import DEVICE, ENERGY, NOON, SERIAL, Field
from tests.head_ends.rehearsed import RehearsedHeadEnd, told


@pytest.fixture
def field(database_url: str, head_end: RehearsedHeadEnd) -> Iterator[Field]:
    field = Field(database_url, "http://127.0.0.1:1", head_end=head_end, decode=head_end.decode, poll_seconds=3600.0)
    field.device()
    yield field
    field.close()


def result(**changes: Any) -> CommandResult:
    values: dict[str, Any] = {
        "command_key": None,
        "correlation": None,
        "token": None,
        "serial_id": SERIAL,
        "succeeded": True,
        "code": None,
        "text": None,
        "acted_at": None,
    }
    return CommandResult(**(values | changes))


def push(field: Field, name: str) -> None:
    with field.database.begin() as uow:
        delivery.store(uow.connection, [delivery.pack(told(name))], head_end="city", now=field.clock.now())


def turn(field: Field) -> None:
    """Let both workers turn often enough; what is unmatched is looked at in each."""
    for _ in range(8):
        field.worker.turn()
        field.readings.turn()


class TestAtOnce:
    def test_are_taken_in_with_the_acceptance(self, field: Field, head_end: RehearsedHeadEnd) -> None:
        command = field.command(CommandKind.READ_ON_DEMAND)
        head_end.tells["now"] = [result(command_key=command.command_key)]
        head_end.answers = lambda _: Submission(token="t-1", deliveries=(told("now"),))
        turn(field)

        assert field.stored(command).status is CommandStatus.DONE


class TestADelivery:
    def test_that_breaks_its_codec_holds_up_no_other(self, field: Field, head_end: RehearsedHeadEnd) -> None:
        command = field.command(CommandKind.READ_ON_DEMAND)
        turn(field)
        decode = head_end.decode

        def breaking(raw: RawDelivery) -> Iterator[FieldEvent]:
            if raw.body == b"broken":
                raise OverflowError("date value out of range")
            return decode(raw)

        field.readings._decoders = {"city": breaking}
        head_end.tells["done"] = [result(token="t-1")]
        for name in ("broken", "done"):
            push(field, name)
        turn(field)

        assert field.stored(command).status is CommandStatus.DONE
        assert field.deliveries() == ["dead", "done"]

    def test_that_waits_holds_up_no_new_one(self, field: Field, head_end: RehearsedHeadEnd) -> None:
        command = field.command(CommandKind.READ_ON_DEMAND)
        turn(field)
        for number in range(60):
            head_end.tells[f"stray{number}"] = [result(token=f"nobody's {number}")]
            push(field, f"stray{number}")
        turn(field)
        head_end.tells["done"] = [result(token="t-1")]
        push(field, "done")
        field.readings.turn()

        assert field.stored(command).status is CommandStatus.DONE

    def test_that_finds_no_command_tells_its_values_in_the_end(self, field: Field, head_end: RehearsedHeadEnd) -> None:
        reading = FieldReading(
            serial_id=SERIAL, reading_type=ENERGY, measured_at=field.clock.now(), value=Decimal("7.5"), unit="kWh"
        )
        head_end.tells["stray"] = [result(correlation="foreign", readings=(reading,))]
        push(field, "stray")
        turn(field)
        assert field.all(MeterReading) == []

        field.clock.advance(hours=25)
        turn(field)
        assert [each.value for each in field.all(MeterReading, origin=ReadingOrigin.SNAPSHOT)] == [Decimal("7.5")]
        assert field.deliveries() == ["dead"]

    @pytest.mark.parametrize("names", ["correlation", "token"])
    def test_that_names_a_meter_its_call_has_not_never_tells_its_values(
        self, field: Field, head_end: RehearsedHeadEnd, names: str
    ) -> None:
        field.device("2", "102", registers=False)
        field.command(CommandKind.READ_ON_DEMAND)
        turn(field)
        named = {"correlation": head_end.batches[0].correlation, "token": "t-1"}[names]
        at = field.clock.now()
        reading = FieldReading(serial_id="2", reading_type=ENERGY, measured_at=at, value=Decimal("7.5"), unit="kWh")
        block = FieldIntervals(
            serial_id="2",
            reading_type="1-0:1.29.0*255",
            unit="kWh",
            interval_minutes=15,
            start_at=at,
            values=Quantities.of([Decimal(1)]),
        )
        head_end.tells["stray"] = [result(serial_id="2", readings=(reading,), intervals=(block,), **{names: named})]
        push(field, "stray")
        turn(field)
        field.clock.advance(hours=25)
        turn(field)

        assert field.all(MeterReading) == []
        assert field.all(Channel) == []
        assert field.deliveries() == ["dead"]
        assert [case.kind for case in field.all(ExceptionCase)] == ["delivery_unmatched"]


class TestByCall:
    @pytest.mark.parametrize("names", ["correlation", "token"])
    def test_find_the_command_of_the_meter(self, field: Field, head_end: RehearsedHeadEnd, names: str) -> None:
        other = field.device("2", "102", registers=False)
        command = field.command(CommandKind.READ_ON_DEMAND)
        others = field.command(CommandKind.READ_ON_DEMAND, device_id=other.device_id, serial_id="2")
        turn(field)
        named = {"correlation": head_end.batches[0].correlation, "token": "t-1"}[names]
        head_end.tells["later"] = [result(**{names: named})]
        push(field, "later")
        turn(field)

        assert field.stored(command).status is CommandStatus.DONE
        assert field.stored(others).status is CommandStatus.ACCEPTED

    @pytest.mark.parametrize(
        "wrong",
        [
            pytest.param({"correlation": "foreign"}, id="a call we never made"),
            pytest.param({"token": "t-9"}, id="a token never given"),
            pytest.param({"correlation": ""}, id="no call"),
            pytest.param({"token": "t-1", "serial_id": "9"}, id="a meter that is not in the call"),
        ],
    )
    def test_belong_to_nothing_otherwise(self, field: Field, head_end: RehearsedHeadEnd, wrong: dict[str, str]) -> None:
        command = field.command(CommandKind.READ_ON_DEMAND)
        turn(field)
        head_end.tells["stray"] = [result(**wrong)]
        push(field, "stray")
        turn(field)

        assert field.stored(command).status is CommandStatus.ACCEPTED
        assert field.deliveries() == ["unmatched"]

    def test_of_another_head_end_are_not_ours(self, field: Field, head_end: RehearsedHeadEnd) -> None:
        command = field.command(CommandKind.READ_ON_DEMAND)
        turn(field)
        head_end.tells["theirs"] = [result(token="t-1")]
        field.readings._decoders = {"city": head_end.decode, "land": head_end.decode}
        with field.database.begin() as uow:
            packed = [delivery.pack(told("theirs"))]
            delivery.store(uow.connection, packed, head_end="land", now=field.clock.now())
        turn(field)

        assert field.stored(command).status is CommandStatus.ACCEPTED


class TestTwiceOfOneMeter:
    """In one delivery: a call has no meter twice, so that one of the results is another meter's."""

    def reading(self, field: Field, value: str) -> FieldReading:
        at = field.clock.now()
        return FieldReading(serial_id=SERIAL, reading_type=ENERGY, measured_at=at, value=Decimal(value), unit="kWh")

    def restraint(self, field: Field, kind: CommandKind) -> Command:
        event = (("event", "e"), ("action", "cancel"))
        return field.command(kind, parameters=(("limit_kw", "3"),) if kind is CommandKind.LIMIT_DEMAND else event)

    @pytest.mark.parametrize("is_together", [False, True], ids=["apart", "put together by the codec"])
    def test_are_not_believed_where_their_values_differ(
        self, field: Field, head_end: RehearsedHeadEnd, is_together: bool
    ) -> None:
        command = field.command(CommandKind.READ_ON_DEMAND)
        turn(field)
        one, other = self.reading(field, "7.5"), self.reading(field, "80000.1")
        apart = [result(token="t-1", readings=(one,)), result(token="t-1", readings=(other,))]
        head_end.tells["twice"] = [result(token="t-1", readings=(one, other))] if is_together else apart
        push(field, "twice")
        turn(field)
        assert (field.stored(command).status, field.deliveries()) == (CommandStatus.ACCEPTED, ["unmatched"])

        head_end.tells["right"] = [result(token="t-1", readings=(one,))]
        push(field, "right")
        field.clock.advance(hours=25)
        turn(field)
        assert field.stored(command).status is CommandStatus.DONE
        assert [each.value for each in field.all(MeterReading)] == [Decimal("7.5")]
        assert field.deliveries() == ["dead", "done"]

    def test_are_one_where_they_agree(self, field: Field, head_end: RehearsedHeadEnd) -> None:
        command = field.command(CommandKind.READ_ON_DEMAND)
        turn(field)
        alike = [self.reading(field, value) for value in ("7.5", "7.50")]
        head_end.tells["twice"] = [result(token="t-1", readings=(each,)) for each in alike]
        push(field, "twice")
        turn(field)

        assert (field.stored(command).status, field.deliveries()) == (CommandStatus.DONE, ["done"])

    def test_leave_a_switch_open_where_their_outcomes_differ(self, field: Field, head_end: RehearsedHeadEnd) -> None:
        _, command = field.switch()
        turn(field)
        failed = result(token="t-1", succeeded=False, code="RELAY_STUCK", switch_state=SwitchState.CONNECTED)
        head_end.tells["twice"] = [result(token="t-1", switch_state=SwitchState.DISCONNECTED), failed]
        push(field, "twice")
        turn(field)

        assert (field.stored(command).status, field.deliveries()) == (CommandStatus.ACCEPTED, ["unmatched"])

    @pytest.mark.parametrize("is_first", [False, True], ids=["failed, then done", "done, then failed"])
    @pytest.mark.parametrize("kind", [CommandKind.LIMIT_DEMAND, CommandKind.CONTROL_LOAD])
    def test_leave_a_restraint_in_doubt_where_their_outcomes_differ(
        self, field: Field, head_end: RehearsedHeadEnd, kind: CommandKind, is_first: bool
    ) -> None:
        command = self.restraint(field, kind)
        turn(field)
        outcomes = [result(token="t-1", succeeded=False, code="BUSY"), result(token="t-1")]
        head_end.tells["twice"] = outcomes[::-1] if is_first else outcomes
        push(field, "twice")
        turn(field)
        assert (field.stored(command).status, field.deliveries()) == (CommandStatus.ACCEPTED, ["unmatched"])

        field.clock.advance(hours=2)
        turn(field)
        assert field.stored(command).status is CommandStatus.TIMED_OUT

    @pytest.mark.parametrize(
        ("code", "status"),
        [(None, CommandStatus.DONE), ("NOT_SUPPORTED", CommandStatus.FAILED)],
        ids=["done", "failed"],
    )
    def test_end_a_restraint_where_their_outcomes_agree(
        self, field: Field, head_end: RehearsedHeadEnd, code: str | None, status: CommandStatus
    ) -> None:
        command = self.restraint(field, CommandKind.LIMIT_DEMAND)
        turn(field)
        head_end.tells["twice"] = [result(token="t-1", succeeded=code is None, code=code) for _ in range(2)]
        push(field, "twice")
        turn(field)
        assert (field.stored(command).status, field.deliveries()) == (status, ["done"])

    def test_are_both_believed_where_each_is_of_another_call(self, field: Field, head_end: RehearsedHeadEnd) -> None:
        command = self.restraint(field, CommandKind.LIMIT_DEMAND)
        head_end.fails = UncertainError("no answer")
        field.worker.turn()
        head_end.fails = None
        field.worker.turn()
        assert field.stored(command).status is CommandStatus.ACCEPTED
        first, second = (batch.correlation for batch in head_end.batches)
        failed = result(command_key=command.command_key, correlation=first, succeeded=False, code="BUSY")
        head_end.tells["both"] = [failed, result(command_key=command.command_key, correlation=second)]
        push(field, "both")
        turn(field)
        assert (field.stored(command).status, field.deliveries()) == (CommandStatus.DONE, ["done"])


class TestForAllOfACall:
    def test_are_of_every_command_not_told_of_by_itself(self, field: Field, head_end: RehearsedHeadEnd) -> None:
        commands = [field.command(CommandKind.PING)]
        for serial in ("2", "3"):
            device = field.device(serial, f"10{serial}", registers=False)
            commands.append(field.command(CommandKind.PING, device_id=device.device_id, serial_id=serial))
        turn(field)
        head_end.tells["one"] = [result(token="t-1", serial_id="2", succeeded=False, code="NO_RESPONSE")]
        head_end.tells["all"] = [result(token="t-1", serial_id="")]
        push(field, "one")
        turn(field)
        push(field, "all")
        turn(field)

        statuses = [field.stored(command).status for command in commands]
        assert statuses == [CommandStatus.DONE, CommandStatus.FAILED, CommandStatus.DONE]
        assert set(field.deliveries()) == {"done"}

    def test_are_of_none_that_the_same_delivery_tells_of(self, field: Field, head_end: RehearsedHeadEnd) -> None:
        command = field.command(CommandKind.PING)
        turn(field)
        failed = result(token="t-1", succeeded=False, code="NO_RESPONSE")
        head_end.tells["both"] = [result(token="t-1", serial_id=""), failed]
        push(field, "both")
        turn(field)

        assert field.stored(command).status is CommandStatus.FAILED

    def test_are_of_no_other_call(self, field: Field, head_end: RehearsedHeadEnd) -> None:
        command = field.command(CommandKind.PING)
        turn(field)
        head_end.tells["all"] = [result(token="t-9", serial_id="")]
        push(field, "all")
        turn(field)

        assert field.stored(command).status is CommandStatus.ACCEPTED
        assert field.deliveries() == ["unmatched"]


class TestInParts:
    def test_leave_the_command_open_until_the_last(self, field: Field, head_end: RehearsedHeadEnd) -> None:
        command = field.command(CommandKind.READ_ON_DEMAND)
        turn(field)
        reading = FieldReading(
            serial_id=SERIAL, reading_type=ENERGY, measured_at=field.clock.now(), value=Decimal("7.5"), unit="kWh"
        )
        head_end.tells["some"] = [result(token="t-1", readings=(reading,), is_final=False)]
        push(field, "some")
        turn(field)
        assert field.stored(command).status is CommandStatus.ACCEPTED
        assert [each.value for each in field.all(MeterReading, origin=ReadingOrigin.ON_DEMAND)] == [Decimal("7.5")]

        head_end.tells["last"] = [result(token="t-1")]
        push(field, "last")
        turn(field)
        assert field.stored(command).status is CommandStatus.DONE


class TestConcentrators:
    def test_are_as_they_say_from_when_that_came(self, field: Field, head_end: RehearsedHeadEnd) -> None:
        head_end.tells["born"] = [ConcentratorTold(concentrator="DC-1", is_online=True, serials=(SERIAL,))]
        head_end.tells["gone"] = [ConcentratorTold(concentrator="DC-1", is_online=False)]
        for name in ("born", "gone"):
            push(field, name)
            turn(field)
            field.clock.advance(minutes=1)

        with field.database.read() as uow:
            rows = uow.connection.execute(select(CONCENTRATOR.c.is_online, CONCENTRATOR.c.told_at)).all()
            behind = concentrators_of(uow.connection, "city", [SERIAL])
        assert [tuple(row) for row in rows] == [(False, NOON + timedelta(minutes=1))]
        assert behind == {SERIAL: "DC-1"}


class TestPolls:
    def test_ask_when_it_is_time_and_again_later(self, field: Field, head_end: RehearsedHeadEnd) -> None:
        command = field.command(CommandKind.READ_ON_DEMAND)
        turn(field)
        assert head_end.asked == []

        _let_be_due(field)
        turn(field)
        assert head_end.asked == ["t-1"]

        head_end.known["t-1"], head_end.tells["done"] = ["done"], [result(token="t-1")]
        _let_be_due(field)
        turn(field)
        assert field.stored(command).status is CommandStatus.DONE
        assert head_end.asked == ["t-1", "t-1"]

    def test_are_asked_at_once_when_results_are_ready(self, field: Field, head_end: RehearsedHeadEnd) -> None:
        command = field.command(CommandKind.READ_ON_DEMAND)
        turn(field)
        head_end.tells |= {"ready": [ResultsReady(token="t-1")], "done": [result(token="t-1")]}
        head_end.known["t-1"] = ["done"]
        push(field, "ready")
        turn(field)

        assert head_end.asked == ["t-1"]
        assert field.stored(command).status is CommandStatus.DONE
        assert field.deliveries() == ["done", "done"]

    def test_wait_for_the_acceptance_that_readiness_overtook(self, field: Field, head_end: RehearsedHeadEnd) -> None:
        head_end.tells |= {"ready": [ResultsReady(token="t-1")], "done": [result(token="t-1")]}
        head_end.known["t-1"] = ["done"]
        push(field, "ready")
        turn(field)
        assert field.deliveries() == ["unmatched"]

        command = field.command(CommandKind.READ_ON_DEMAND)
        turn(field)

        assert field.stored(command).status is CommandStatus.DONE

    def test_come_after_what_has_been_permitted_to_leave(self, field: Field, head_end: RehearsedHeadEnd) -> None:
        field.command(CommandKind.READ_ON_DEMAND)
        turn(field)
        _let_be_due(field)
        _, switch = field.switch()
        given_before: list[int] = []
        head_end.results = lambda token: given_before.append(len(head_end.batches)) or ()  # type: ignore[assignment,func-returns-value]
        field.worker.turn()

        assert given_before == [2], "the switch waited for results between its permission and the call"
        assert field.stored(switch).status is CommandStatus.ACCEPTED

    def test_stop_when_all_has_been_told(self, field: Field, head_end: RehearsedHeadEnd) -> None:
        field.command(CommandKind.READ_ON_DEMAND)
        head_end.known["t-1"], head_end.tells["done"] = ["done"], [result(token="t-1")]
        turn(field)
        _let_be_due(field)
        turn(field)
        _let_be_due(field)
        turn(field)

        assert head_end.asked == ["t-1"]
        assert field.all(MeterReading, device_id=DEVICE) == []


class TestGivenUp:
    def given_up(self, field: Field, head_end: RehearsedHeadEnd) -> Command:
        """Return a switch that was accepted, and timed out."""
        _, command = field.switch()
        turn(field)
        field.clock.advance(hours=2)
        turn(field)
        assert field.stored(command).status is CommandStatus.TIMED_OUT
        head_end.asked.clear()
        moved = result(token="t-1", switch_state=SwitchState.DISCONNECTED)
        head_end.tells |= {"ready": [ResultsReady(token="t-1")], "done": [moved]}
        head_end.known["t-1"] = ["done"]
        return command

    def test_are_asked_for_when_they_are_ready_after_all(self, field: Field, head_end: RehearsedHeadEnd) -> None:
        command = self.given_up(field, head_end)
        push(field, "ready")
        turn(field)

        assert head_end.asked == ["t-1"]
        assert field.stored(command).status is CommandStatus.TIMED_OUT
        assert field.status_of().switch_state is SwitchState.DISCONNECTED

    def test_are_asked_for_until_they_have_come(self, field: Field, head_end: RehearsedHeadEnd) -> None:
        self.given_up(field, head_end)
        _let_be_due(field)
        turn(field)
        _let_be_due(field)
        turn(field)

        assert head_end.asked == ["t-1"]
        assert field.status_of().switch_state is SwitchState.DISCONNECTED

    @pytest.mark.parametrize(("hours", "times"), [pytest.param(20, 1, id="a day"), pytest.param(30, 0, id="more")])
    def test_are_asked_for_another_day(
        self, field: Field, head_end: RehearsedHeadEnd, hours: float, times: int
    ) -> None:
        self.given_up(field, head_end)
        field.clock.advance(hours=hours)
        _let_be_due(field)
        turn(field)

        assert head_end.asked == ["t-1"] * times


def _let_be_due(field: Field) -> None:
    with field.database.begin() as uow:
        table = COMMAND.table
        uow.connection.execute(
            update(table).where(table.c.poll_at.is_not(None)).values(poll_at=field.clock.now().replace(year=2020))
        )
