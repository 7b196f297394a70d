"""How much a head end is given at once: one command for a meter, no more than it bears, or a concentrator."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import chain

import pytest
from sqlalchemy import update

from mdus.domain.command import Command, CommandKind, CommandStatus
from mdus.domain.end_device_control import ControlCategory
from mdus.domain.head_end import ConcentratorTold, Rejection, Submission
from mdus.messaging.retry import TransientError
from mdus.storage.command import COMMAND
from mdus.storage.concentrator import note_concentrators
from mdus.storage.outstanding import Limits
from tests.head_ends.field import Field
from tests.head_ends.rehearsed import RehearsedHeadEnd


@pytest.fixture
def field(database_url: str, head_end: RehearsedHeadEnd) -> Iterator[Field]:
    field = Field(database_url, "http://127.0.0.1:1", head_end=head_end, decode=head_end.decode)
    yield field
    field.close()


def ask(field: Field, *serials: str, kind: CommandKind = CommandKind.READ_ON_DEMAND) -> list[Command]:
    """Store a device and a command for each of these meters."""
    for serial in serials:
        field.device(serial, f"10{serial}", registers=False)
    return [field.command(kind, device_id=f"10{serial}", serial_id=serial) for serial in serials]


def told(field: Field, name: str, *serials: str, is_online: bool | None = True, at: int = 0) -> None:
    """Let a concentrator tell of itself and of meters."""
    event = ConcentratorTold(
        concentrator=name, at=field.clock.now() + timedelta(seconds=at), is_online=is_online, serials=serials or None
    )
    with field.database.begin() as uow:
        note_concentrators(uow.connection, [("city", event)])


def end(field: Field, *commands: Command) -> None:
    with field.database.begin() as uow:
        for command in commands:
            uow.connection.execute(
                update(COMMAND.table)
                .where(COMMAND.table.c.command_key == command.command_key)
                .values(status=CommandStatus.DONE)
            )


def drain(field: Field, limits: Limits) -> None:
    worker = field.new_worker(limits=limits)
    while worker.turn():
        pass


class TestABatch:
    def test_says_when_it_leaves(self, field: Field, head_end: RehearsedHeadEnd) -> None:
        field.clock.advance(minutes=7)
        ask(field, "1")
        drain(field, Limits())

        assert [batch.at for batch in head_end.batches] == [field.clock.now()]


class TestOneMeter:
    def test_is_given_its_commands_in_calls_of_their_own(self, field: Field, head_end: RehearsedHeadEnd) -> None:
        first, second = ask(field, "1", "1"), ask(field, "2")
        drain(field, Limits())

        assert head_end.told_of == [["1", "2"], ["1"]]
        assert {field.stored(each).status for each in first + second} == {CommandStatus.ACCEPTED}


class TestAHeadEnd:
    def test_is_given_no_more_than_it_bears(self, field: Field, head_end: RehearsedHeadEnd) -> None:
        commands = ask(field, *"12345")
        drain(field, Limits(outstanding=3))
        assert head_end.told_of == [["1", "2", "3"]]

        end(field, *commands[:2])
        drain(field, Limits(outstanding=3))

        assert head_end.told_of == [["1", "2", "3"], ["4", "5"]]

    def test_has_room_again_for_what_it_rejected(self, field: Field, head_end: RehearsedHeadEnd) -> None:
        head_end.answers = lambda batch: Submission(
            token="t",
            rejections=tuple(Rejection(command_key=each.command_key, code="BUSY", text="") for each in batch.commands),
        )
        ask(field, *"1234")
        drain(field, Limits(outstanding=2))

        assert head_end.told_of == [["1", "2"], ["3", "4"]]

    def test_is_tried_by_one_call_when_it_may_be_back(self, field: Field, head_end: RehearsedHeadEnd) -> None:
        head_end.batch_size, head_end.fails = 1, TransientError("down")
        ask(field, *"123")
        field.worker.turn()
        field.real += 3600
        during: list[int] = []

        def while_tried(batch: object) -> Submission:
            during.append(field.worker.turn())
            return Submission(token="t")

        head_end.fails, head_end.answers = None, while_tried
        field.worker.turn()

        assert during == [0], "another call left while it was not known whether the head end is back"
        head_end.answers = None
        drain(field, Limits())
        assert sorted(chain.from_iterable(head_end.told_of[1:])) == ["1", "2", "3"]


class TestAConcentrator:
    def test_is_given_no_more_than_it_bears(self, field: Field, head_end: RehearsedHeadEnd) -> None:
        told(field, "a", "1", "2", "3")
        told(field, "b", "4", "5")
        commands = ask(field, *"123456")
        limits = Limits(per_concentrator=2)
        drain(field, limits)
        assert head_end.told_of == [["1", "2", "4", "5", "6"]]

        drain(field, limits)
        assert len(head_end.batches) == 1

        end(field, commands[0])
        drain(field, limits)
        assert head_end.told_of[1:] == [["3"]]

    def test_that_is_full_holds_up_no_other(self, field: Field, head_end: RehearsedHeadEnd) -> None:
        head_end.batch_size = 2
        told(field, "a", *"12345678")
        ask(field, *"123456789")
        drain(field, Limits(per_concentrator=1))

        assert sorted(chain.from_iterable(head_end.told_of)) == ["1", "9"]

    def test_that_is_away_is_waited_for(self, field: Field, head_end: RehearsedHeadEnd) -> None:
        told(field, "a", "1", "2")
        told(field, "a", is_online=False, at=1)
        commands = ask(field, *"123")
        limits = Limits(per_concentrator=10)
        drain(field, limits)
        assert head_end.told_of == [["3"]]
        assert field.stored(commands[0]).status is CommandStatus.READY

        told(field, "a", is_online=True, at=2)
        drain(field, limits)
        assert head_end.told_of[1:] == [["1", "2"]]

    def test_that_stays_away_lets_its_commands_expire(self, field: Field, head_end: RehearsedHeadEnd) -> None:
        told(field, "a", "1")
        told(field, "a", is_online=False, at=1)
        (command,) = ask(field, "1")
        field.clock.advance(hours=2)
        drain(field, Limits(per_concentrator=10))

        assert field.stored(command).result_code == "EXPIRED"
        assert head_end.batches == []

    def test_is_believed_what_it_said_last(self, field: Field, head_end: RehearsedHeadEnd) -> None:
        told(field, "a", "1", is_online=True, at=10)
        told(field, "a", is_online=False, at=5)  # its last will, told late
        told(field, "b", "1", is_online=True, at=3)  # where the meter was before
        ask(field, "1")
        drain(field, Limits(per_concentrator=1))

        assert [batch.concentrators for batch in head_end.batches] == [{"1": "a"}]

    def test_of_another_head_end_of_the_same_name_is_another(self, field: Field, head_end: RehearsedHeadEnd) -> None:
        told(field, "a", "1")
        gone = ConcentratorTold(concentrator="a", at=field.clock.now(), is_online=False, serials=("9",))
        with field.database.begin() as uow:
            note_concentrators(uow.connection, [("village", gone)])
        field.device("9", "109", registers=False)
        field.command(CommandKind.READ_ON_DEMAND, device_id="109", serial_id="9", head_end="village")
        ask(field, "1")
        drain(field, Limits(per_concentrator=1))

        assert head_end.told_of == [["1"]]

    def test_is_needed_where_the_kind_says_so(self, field: Field, head_end: RehearsedHeadEnd) -> None:
        ask(field, "1")
        limits = Limits(needs_concentrator=True)
        drain(field, limits)
        assert head_end.batches == []

        told(field, "a", "1")
        drain(field, limits)
        assert [batch.concentrators for batch in head_end.batches] == [{"1": "a"}]

    def test_keeps_a_reconnection_ahead_of_reads(self, field: Field, head_end: RehearsedHeadEnd) -> None:
        told(field, "a", "1", "2")
        ask(field, "1")
        field.device("2", "102", registers=False)
        field.switch(ControlCategory.RECONNECT, device_id="102", serial_id="2")
        drain(field, Limits(per_concentrator=1))

        assert [batch.kind for batch in head_end.batches] == [CommandKind.SWITCH]
