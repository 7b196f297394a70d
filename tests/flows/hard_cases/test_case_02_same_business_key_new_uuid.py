"""Case 2. The same business key under a new UUID: a repeat if it says the same, else a conflict that is refused."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from mdus.domain.command import CommandKind
from mdus.domain.meter_reading_document import DocumentStatus
from tests.flows.both_sides import BothSides, texts
from tests.flows.hard_cases.sap_messages import (
    CANCEL_SWITCH,
    CODE,
    DOCUMENT,
    HEADER_UUID,
    METER,
    NOTE,
    OTHER,
    READ,
    READ_ACCEPTED,
    READ_BULK,
    READ_BULK_ACCEPTED,
    REFERENCE,
    RESULT,
    RESULT_BULK,
    RESULT_CONFIRMED,
    SWITCH,
    SWITCH_CANCELLED,
    SWITCHED,
    TYPE_ID,
    VALUE,
    cancel_switch,
    reading,
    result_confirmed,
    switch,
)
from tests.flows.hard_cases.steps import (
    MIDNIGHT,
    START,
    answers,
    carry_out,
    cases,
    document,
    read_and_sent,
    switches,
)


def results(sides: BothSides) -> list[str]:
    """Let the day end with a value, and return what SAP is told."""
    sides.clock.instant = MIDNIGHT
    sides.snapshot(MIDNIGHT, (METER, "1.00"))
    sides.clock.move(hours=1)
    sides.rest()
    told = [texts(found, VALUE) for found in sides.sap.messages(RESULT)]
    told += [texts(found, f"{RESULT}Message/{VALUE}") for found in sides.sap.messages(RESULT_BULK)]
    return [f"{Decimal(value):.2f}" for some in told for value in some]


class TestAReadingOrder:
    @pytest.mark.parametrize(
        "again",
        [
            pytest.param({}, id="to the letter"),
            pytest.param({"reason": "1"}, id="its code without zeros"),
            pytest.param({"obis": "1-0:1.8.0*255"}, id="its OBIS code in full"),
        ],
    )
    def test_that_says_the_same_is_accepted_again_and_read_once(
        self, sides_on_sqlite: BothSides, again: dict[str, str]
    ) -> None:
        sides = sides_on_sqlite
        sides.tell(READ, reading())
        sides.rest()
        sides.tell(READ, reading(**again))
        sides.rest()

        assert answers(sides, READ_ACCEPTED) == [("3", [])] * 2
        assert results(sides) == ["1.00"]

    @pytest.mark.parametrize(
        "again",
        [
            pytest.param({"on": "2026-03-30"}, id="another day"),
            pytest.param({"reason": "03"}, id="another reason"),
            pytest.param({"device_id": OTHER}, id="another meter"),
            pytest.param({"source": "1"}, id="on demand"),
            pytest.param({"obis": "1-0:2.8.0"}, id="another quantity"),
        ],
    )
    def test_that_says_otherwise_is_refused_and_the_first_one_stands(
        self, sides_on_sqlite: BothSides, again: dict[str, str]
    ) -> None:
        sides = sides_on_sqlite
        sides.tell(READ, reading())
        sides.rest()
        sides.tell(READ, reading(**again))
        sides.rest()

        assert answers(sides, READ_ACCEPTED) == [("3", []), ("5", ["209(MDUS)"])]
        assert results(sides) == ["1.00"]

    def test_twice_in_one_bulk_is_read_once_and_confirmed_twice(self, sides: BothSides) -> None:
        sides.tell(READ_BULK, reading(), reading(), reading(on="2026-03-30"))
        sides.rest()

        [accepted] = sides.sap.messages(READ_BULK_ACCEPTED)
        assert texts(accepted, f"{READ_ACCEPTED}Message/MeterReadingDocument/ID") == [DOCUMENT] * 3
        assert texts(accepted, f"{READ_ACCEPTED}Message/{CODE}") == ["3", "3", "5"]
        assert texts(accepted, f"{READ_ACCEPTED}Message/{TYPE_ID}") == ["209(MDUS)"]
        assert results(sides) == ["1.00"]

    def test_that_has_failed_is_refused_with_its_reason_and_under_another_id_is_read(self, sides: BothSides) -> None:
        sides.tell(READ, reading())
        sides.clock.instant = MIDNIGHT
        sides.clock.move(hours=1)
        sides.rest()
        for _ in range(3):
            sides.answer(CommandKind.READ_REGISTERS, status="failed", code="NO_RESPONSE", text="silence")
            sides.rest()
            sides.clock.move(days=1)
            sides.rest()
        failed = document(sides)
        sides.tell(READ, reading())
        sides.rest()

        assert failed.status is DocumentStatus.FAILED
        assert answers(sides, READ_ACCEPTED) == [("3", []), ("5", ["212(MDUS)"])]
        told = f"The document was ordered before and failed: {failed.note}"
        assert texts(sides.sap.messages(READ_ACCEPTED)[1], NOTE) == [told[:200]]
        assert document(sides) == failed

        sides.snapshot(MIDNIGHT, (METER, "1.25"))
        sides.tell(READ, reading("8"))
        sides.rest()
        assert [texts(found, VALUE) for found in sides.sap.messages(RESULT)] == [["1.25"]]

    def test_whose_result_sap_refused_for_good_has_it_sent_again(self, sides: BothSides) -> None:
        read_and_sent(sides)
        for _ in range(3):
            sides.tell(RESULT_CONFIRMED, result_confirmed("5"))
            sides.rest()
            sides.clock.move(minutes=10)
            sides.rest()
        assert document(sides).status is DocumentStatus.REJECTED
        again = sides.tell(READ, reading())
        sides.rest()

        assert answers(sides, READ_ACCEPTED) == [("3", [])] * 2
        sent = sides.sap.messages(RESULT)
        assert [texts(found, VALUE) for found in sent] == [["12345.67"]] * 4
        assert len({texts(found, HEADER_UUID)[0] for found in sent}) == 4
        assert texts(sent[-1], REFERENCE) == [again]
        assert cases(sides) == ["reading_result_refused"]

        sides.tell(RESULT_CONFIRMED, result_confirmed())
        sides.rest()
        assert document(sides).status is DocumentStatus.CONFIRMED
        assert cases(sides) == []


class TestAConnectionOrder:
    def test_that_says_the_same_is_answered_from_its_outcome(self, sides: BothSides) -> None:
        sides.tell(SWITCH, switch(planned_at=START))
        carry_out(sides)
        sides.tell(SWITCH, switch(planned_at=START, category="01"))
        carry_out(sides)

        assert answers(sides, SWITCHED) == [("3", []), ("3", [])]
        assert switches(sides) == ["disconnected"]

    @pytest.mark.parametrize("when", ["while it is open", "when it is done"])
    def test_that_says_otherwise_is_refused_and_moves_nothing(self, sides: BothSides, when: str) -> None:
        sides.tell(SWITCH, switch(METER, planned_at=START))
        if when == "when it is done":
            carry_out(sides)
        sides.rest()
        sides.tell(SWITCH, switch(OTHER, planned_at=START))
        carry_out(sides)

        assert sorted(answers(sides, SWITCHED)) == [("3", []), ("5", ["302(MDUS)"])]
        assert switches(sides) == ["disconnected"]

    def test_of_the_other_category_is_another_order(self, sides: BothSides) -> None:
        sides.tell(SWITCH, switch(planned_at=START))
        carry_out(sides)
        sides.tell(SWITCH, switch(planned_at=sides.clock.now(), category="02"))
        carry_out(sides, "connected")

        assert answers(sides, SWITCHED) == [("3", []), ("3", [])]
        assert switches(sides) == ["disconnected", "connected"]

    @pytest.mark.parametrize(
        ("ahead", "immediate"),
        [
            pytest.param(timedelta(seconds=3), True, id="at once, by a clock that is ahead"),
            pytest.param(timedelta(days=1), True, id="at once, though planned for another day"),
            pytest.param(timedelta(seconds=3), False, id="planned"),
        ],
    )
    def test_that_sap_has_cancelled_stays_cancelled(self, sides: BothSides, ahead: timedelta, immediate: bool) -> None:
        order = switch(planned_at=START + ahead, immediate=immediate)
        sides.tell(SWITCH, order)
        sides.decide()
        sides.tell(CANCEL_SWITCH, cancel_switch())
        carry_out(sides)
        assert answers(sides, SWITCH_CANCELLED) == [("3", [])]
        assert sides.sap.messages(SWITCHED) == []

        sides.clock.move(minutes=5)
        sides.tell(SWITCH, order)
        carry_out(sides)
        assert answers(sides, SWITCHED) == [("5", ["315(MDUS)"])]
        assert switches(sides) == []
