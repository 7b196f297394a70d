"""Case 11. A cancellation races: with the switch, with a result just leaving, with SAP's confirmation, with its order.

Whoever comes second sees what the first did; each is told the truth; one item of a bulk is cancelled alone; twice is
once.
"""

from __future__ import annotations

from threading import Barrier, Thread
from typing import Any

import pytest

from mdus.cis.client import Delivery
from mdus.domain.command import CommandKind, CommandStatus
from mdus.domain.end_device_control import ControlStatus, EndDeviceControl
from mdus.domain.meter_reading_document import DocumentStatus
from mdus.messaging.status import MessageStatus
from mdus.storage import inbox
from mdus.storage.message import MESSAGE
from tests.flows.both_sides import BothSides, texts
from tests.flows.hard_cases.conftest import Open
from tests.flows.hard_cases.sap_messages import (
    CANCEL_READING,
    CANCEL_SWITCH,
    LATE,
    METER,
    ORDER_ID,
    OTHER,
    READ,
    READ_BULK,
    READING_CANCELLED,
    RESULT,
    RESULT_BULK,
    RESULT_CONFIRMED,
    SWITCH,
    SWITCH_BULK,
    SWITCH_CANCELLED,
    SWITCHED,
    SWITCHED_BULK,
    cancel_reading,
    cancel_switch,
    reading,
    result_confirmed,
    switch,
)
from tests.flows.hard_cases.steps import (
    MIDNIGHT,
    START,
    answers,
    by_document,
    carry_out,
    document,
    read_and_sent,
    switches,
)

RACES = 6


class TestWithTheSwitch:
    def test_exactly_one_of_them_wins_and_sap_is_told_which(self, sides: BothSides) -> None:
        """Both are let go at the same moment, again and again; either may win, never both and never none."""
        for number in range(RACES):
            name = f"{number:012}"
            sides.tell(SWITCH, switch(planned_at=sides.clock.now(), number=name))
            sides.decide()
            sides.tell(CANCEL_SWITCH, cancel_switch(number=name))
            together(sides.inbox.turn, sides.commands.turn)
            carry_out(sides, "disconnected")
            sides.clock.move(hours=3)

            switched = [order for order in answers_by_order(sides, SWITCHED) if order == (name, "3")]
            [cancelled] = [code for order, code in answers_by_order(sides, SWITCH_CANCELLED) if order == name]
            assert (len(switched), cancelled) in ((1, "5"), (0, "3"))
        told = answers_by_order(sides, SWITCHED)
        assert len(switches(sides)) == len(told)
        assert all(command.status in (CommandStatus.DONE, CommandStatus.CANCELLED) for command in sides.switches())

    def test_that_waits_for_its_turn_the_cancellation_wins(self, sides_on_sqlite: BothSides) -> None:
        sides = sides_on_sqlite
        sides.tell(SWITCH, switch(planned_at=START))
        sides.decide()
        sides.tell(CANCEL_SWITCH, cancel_switch())
        sides.decide()
        carry_out(sides)

        assert switches(sides) == []
        assert answers(sides, SWITCH_CANCELLED) == [("3", [])]
        assert sides.sap.messages(SWITCHED) == []


class TestWithAMeterOfTheOrder:
    @pytest.mark.parametrize(
        ("is_done", "type_id"),
        [pytest.param(False, "331(MDUS)", id="switching"), pytest.param(True, "332(MDUS)", id="switched")],
    )
    def test_that_is_not_there_yet_the_cancellation_wins_though_another_is(
        self, sides: BothSides, is_done: bool, type_id: str
    ) -> None:
        sides.tell(SWITCH, switch(METER, LATE, planned_at=START))
        if is_done:
            carry_out(sides)
        sides.rest()
        sides.tell(CANCEL_SWITCH, cancel_switch(METER, LATE))
        sides.rest()
        assert answers(sides, SWITCH_CANCELLED) == [("4", [type_id])]

        sides.meter(LATE)
        carry_out(sides)
        sides.clock.move(minutes=2)
        carry_out(sides)
        assert answers(sides, SWITCHED) == [("4", ["315(MDUS)"])]
        assert [one["serial"] for one in sides.submitted(CommandKind.SWITCH)] == [f"S{METER}"]


class TestWithAResult:
    def test_that_is_just_leaving_it_waits_until_sap_has_it(self, sides: BothSides) -> None:
        """It comes while the result is on the wire: SAP must not read that it is cancelled, and then its value."""
        taken = sides.sap.post

        def post(body: bytes, *, interface: str, sender_system: str) -> Delivery:
            if interface.startswith(RESULT):
                sides.tell(CANCEL_READING, cancel_reading())
                sides.decide()
            return taken(body, interface=interface, sender_system=sender_system)

        sides.sap.post = post  # type: ignore[method-assign]
        read_and_sent(sides)
        sides.clock.move(seconds=30)
        sides.rest()

        assert order_at_sap(sides, RESULT, READING_CANCELLED) == [RESULT, READING_CANCELLED]
        assert answers(sides, READING_CANCELLED) == [("3", [])]
        assert document(sides).status is DocumentStatus.CANCELLED

    def test_that_has_not_left_it_keeps_it_here(self, sides_on_sqlite: BothSides) -> None:
        sides = sides_on_sqlite
        sides.tell(READ, reading())
        sides.rest()
        sides.clock.instant = MIDNIGHT
        sides.snapshot(MIDNIGHT, (METER, "1.25"))
        sides.clock.move(hours=1)
        sides.documents.turn()
        assert document(sides).status is DocumentStatus.READ
        sides.tell(CANCEL_READING, cancel_reading())
        sides.decide()
        sides.rest()

        assert sides.sap.messages(RESULT) == []
        assert answers(sides, READING_CANCELLED) == [("3", [])]

    def test_that_sap_has_not_confirmed_it_wins_whatever_sap_says_then(self, sides: BothSides) -> None:
        read_and_sent(sides)
        sides.tell(CANCEL_READING, cancel_reading())
        sides.rest()
        sides.tell(RESULT_CONFIRMED, result_confirmed("5"))
        sides.rest()
        sides.clock.move(days=1)
        sides.rest()

        assert answers(sides, READING_CANCELLED) == [("3", [])]
        assert document(sides).status is DocumentStatus.CANCELLED
        assert len(sides.sap.messages(RESULT)) == 1

    def test_that_sap_has_confirmed_it_loses(self, sides_on_sqlite: BothSides) -> None:
        sides = sides_on_sqlite
        read_and_sent(sides)
        sides.tell(RESULT_CONFIRMED, result_confirmed())
        sides.tell(CANCEL_READING, cancel_reading())
        sides.rest()

        assert answers(sides, READING_CANCELLED) == [("5", ["231(MDUS)"])]


class TestBeforeItsOrder:
    def test_a_reading_order_that_comes_later_is_never_read(self, sides: BothSides) -> None:
        sides.tell(CANCEL_READING, cancel_reading("2"))
        sides.rest()
        sides.clock.move(minutes=29)
        sides.tell(READ_BULK, reading("1"), reading("2"), reading("3"))
        sides.rest()
        at_midnight(sides)

        assert answers(sides, READING_CANCELLED) == [("3", [])]
        [results] = sides.sap.messages(RESULT_BULK)
        assert list(by_document(results, "MeterReadingDocument/Result/MeterReadingResultValue")) == ["1", "3"]

    def test_a_connection_order_that_comes_later_is_never_carried_out(self, sides: BothSides) -> None:
        sides.tell(CANCEL_SWITCH, cancel_switch())
        sides.rest()
        sides.clock.move(minutes=29)
        sides.tell(SWITCH, switch(planned_at=sides.clock.now()))
        carry_out(sides)

        assert answers(sides, SWITCH_CANCELLED) == [("3", [])]
        assert sides.sap.messages(SWITCHED) == []
        assert switches(sides) == []

    def test_that_is_given_up_after_half_an_hour_the_order_runs(self, sides: BothSides) -> None:
        sides.tell(CANCEL_SWITCH, cancel_switch())
        sides.rest()
        sides.clock.move(minutes=30)
        sides.rest()
        sides.tell(SWITCH, switch(planned_at=sides.clock.now()))
        carry_out(sides)

        assert answers(sides, SWITCH_CANCELLED) == [("5", ["330(MDUS)"])]
        assert answers(sides, SWITCHED) == [("3", [])]

    def test_a_reading_order_whose_transaction_has_not_ended_is_cancelled_as_soon_as_it_has(
        self, open_sides: Open, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Two workers on one PostgreSQL: neither sees what the other has just written."""
        sides = open_sides(postgresql_url)
        sides.meter(METER)
        finish, turned = inbox.finish_items, list[int]()

        def finish_after_another_turn(*arguments: Any, **named: Any) -> None:
            finish(*arguments, **named)
            if not turned:
                turned.append(0)
                turned.append(sides.inbox.turn())

        monkeypatch.setattr(inbox, "finish_items", finish_after_another_turn)
        sides.tell(READ, reading())
        sides.tell(CANCEL_READING, cancel_reading())
        sides.rest()
        sides.clock.move(seconds=30)  # what it waits until SAP has the answer to its order
        sides.rest()

        assert turned == [0, 0]  # it was looked at, and left for the next turn
        assert answers(sides, READING_CANCELLED) == [("3", [])]
        assert document(sides).status is DocumentStatus.CANCELLED


class TestOfOneItemOfABulk:
    def test_leaves_the_other_readings(self, sides: BothSides) -> None:
        sides.tell(READ_BULK, reading("1"), reading("2"), reading("3"))
        sides.rest()
        sides.tell(CANCEL_READING, cancel_reading("2"))
        sides.rest()
        at_midnight(sides)

        [results] = sides.sap.messages(RESULT_BULK)
        assert list(by_document(results, "MeterReadingDocument/Result/MeterReadingResultValue")) == ["1", "3"]

    def test_leaves_the_other_switches_and_completes_the_bulk_without_it(self, sides: BothSides) -> None:
        first = switch(METER, planned_at=START, number="1")
        later = switch(OTHER, planned_at=START.replace(hour=20), number="2")
        sides.tell(SWITCH_BULK, first, later)
        sides.rest()
        sides.tell(CANCEL_SWITCH, cancel_switch(OTHER, number="2"))
        carry_out(sides)
        sides.clock.move(days=1)
        sides.rest()

        told = [texts(found, f"{SWITCHED}Message/{ORDER_ID}") for found in sides.sap.messages(SWITCHED_BULK)]
        assert told == [["1"]]
        assert switches(sides) == ["disconnected"]
        received = [row for row in sides.mdus.rows(MESSAGE) if row.direction == "in"]
        assert {row.status for row in received} == {MessageStatus.COMPLETED}


class TestTwice:
    def test_has_one_effect_and_two_equal_answers(self, sides: BothSides) -> None:
        sides.tell(READ, reading())
        sides.tell(SWITCH, switch(planned_at=START.replace(hour=20)))
        sides.rest()
        for _ in range(2):
            sides.tell(CANCEL_READING, cancel_reading())
            sides.tell(CANCEL_SWITCH, cancel_switch())
            sides.rest()

        assert answers(sides, READING_CANCELLED) == [("3", [])] * 2
        assert answers(sides, SWITCH_CANCELLED) == [("3", [])] * 2
        assert [one.status for one in sides.all(EndDeviceControl)] == [ControlStatus.CANCELLED]


def together(*turns: Any) -> None:
    """Let several workers go at the same moment."""
    gate = Barrier(len(turns))
    raised: list[BaseException] = []

    def run(turn: Any) -> None:
        gate.wait()
        try:
            turn()
        except BaseException as error:  # noqa: BLE001  # told to the test, which is another thread
            raised.append(error)

    threads = [Thread(target=run, args=(turn,)) for turn in turns]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert raised == []


def at_midnight(sides: BothSides) -> None:
    sides.clock.instant = MIDNIGHT
    sides.snapshot(MIDNIGHT, (METER, "1.25"))
    sides.clock.move(hours=1)
    sides.rest()


def answers_by_order(sides: BothSides, root: str) -> list[tuple[str, str]]:
    return [
        (texts(found, ORDER_ID)[0], texts(found, "Log/BusinessDocumentProcessingResultCode")[0])
        for found in sides.sap.messages(root)
    ]


def order_at_sap(sides: BothSides, *roots: str) -> list[str]:
    names = [str(found.tag).rpartition("}")[2] for found in sides.sap.received]
    return [name for name in names if name in roots]
