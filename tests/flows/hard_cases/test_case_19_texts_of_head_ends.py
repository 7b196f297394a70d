"""Case 19. Notes longer than 200 characters, and characters that XML or a database cannot hold, from head ends.

Whatever a head end writes, SAP reads a note that fits; nothing is lost or stuck over a text.
"""

from __future__ import annotations

import json

import pytest

from mdus.domain.command import Command, CommandKind, CommandStatus
from mdus.domain.head_end import RawDelivery
from mdus.messaging.status import MessageStatus
from mdus.storage import delivery
from mdus.storage.delivery import HEAD_END_DELIVERY
from mdus.storage.message import MESSAGE
from tests.flows.both_sides import BothSides, texts
from tests.flows.hard_cases.sap_messages import (
    METER,
    NOTE,
    REGISTERS,
    REGISTERS_CREATED,
    SWITCH,
    SWITCHED,
    TYPE_ID,
    register,
    registers,
    switch,
)
from tests.flows.hard_cases.steps import START, cases

#: What head ends have been seen to write, escaped as in their JSON, and what SAP reads of it.
TEXTS = [
    pytest.param("caf\u00e9 \u26a1 \U0001f50c", "caf\u00e9 \u26a1 \U0001f50c", id="letters of every plane"),
    pytest.param("stuck\u0000", "stuck?", id="a NUL, which no database of ours holds"),
    pytest.param("bell\u0007 escape\u001b", "bell? escape?", id="control characters"),
    pytest.param("half\ud83d", "half?", id="half a surrogate pair, which no UTF-8 holds"),
    pytest.param("none\uffff", "none?", id="no character at all"),
    pytest.param("<b>&amp;</b>", "<b>&amp;</b>", id="markup"),
]


def note_of(sides: BothSides) -> str:
    [confirmation] = sides.sap.messages(SWITCHED)
    [note] = texts(confirmation, NOTE)
    return note


class TestATextOfAHeadEnd:
    @pytest.mark.parametrize(("written", "read"), TEXTS)
    def test_told_with_a_result_reaches_sap(self, sides: BothSides, written: str, read: str) -> None:
        sides.tell(SWITCH, switch(planned_at=START))
        sides.rest()
        sides.answer(CommandKind.SWITCH, status="failed", code="BUSY", text=written)
        sides.rest()

        assert read in note_of(sides)
        assert [row.status for row in sides.mdus.rows(HEAD_END_DELIVERY)] == ["done"]
        assert cases(sides) == []

    @pytest.mark.parametrize(("written", "read"), [TEXTS[1], TEXTS[3]])
    def test_told_with_a_refusal_reaches_sap(self, sides: BothSides, written: str, read: str) -> None:
        sides.head_end.script = ["reject METER_JAMMED"]
        sides.head_end.says = written
        sides.tell(SWITCH, switch(planned_at=START))
        sides.rest()
        sides.clock.move(minutes=1)
        sides.rest()
        if sides.submitted(CommandKind.SWITCH_STATE):
            sides.answer(CommandKind.SWITCH_STATE, switch_state="connected", switched_at=None)
            sides.rest()

        assert read in note_of(sides)
        assert next(command.status for command in sides.all(Command)) is CommandStatus.FAILED

    def test_in_another_encoding_loses_nothing_around_it(self, sides: BothSides) -> None:
        sides.tell(SWITCH, switch(planned_at=START))
        sides.rest()
        [job] = sides.head_end.submitted
        [device] = job["devices"]
        told = {
            "correlation_id": job["correlation_id"],
            "kind": "switch",
            "results": [
                {
                    "serial": device["serial"],
                    "reference": device["reference"],
                    "status": "failed",
                    "code": "BUSY",
                    "text": "gest\u00f6rt",
                    "completed_at": START.isoformat(),
                }
            ],
        }
        body = json.dumps(told, ensure_ascii=False).encode("iso-8859-1")
        packed = [delivery.pack(RawDelivery(topic="results", correlation="", body=body))]
        with sides.database.begin() as uow:
            delivery.store(uow.connection, packed, head_end="city", now=START)
        sides.rest()

        assert "gest\ufffdrt" in note_of(sides)

    def test_as_a_code_of_its_own_does_too(self, sides: BothSides) -> None:
        sides.tell(SWITCH, switch(planned_at=START))
        sides.rest()
        sides.answer(CommandKind.SWITCH, status="failed", code="E\u0000" + "4" * 300, text="x")
        sides.rest()
        sides.clock.move(minutes=1)  # it is not known whether the meter acted: its position is read
        sides.rest()
        sides.answer(CommandKind.SWITCH_STATE, switch_state="connected", switched_at=None)
        sides.rest()

        [confirmation] = sides.sap.messages(SWITCHED)
        assert texts(confirmation, TYPE_ID) == ["320(MDUS)"]
        assert cases(sides) == []


class TestANote:
    @pytest.mark.parametrize("length", [199, 200, 201, 5000])
    def test_is_cut_at_200_characters(self, sides_on_sqlite: BothSides, length: int) -> None:
        sides = sides_on_sqlite
        prefix = f"Device {METER}: "
        sides.tell(SWITCH, switch(planned_at=START))
        sides.rest()
        sides.answer(CommandKind.SWITCH, status="failed", code="BUSY", text="x" * (length - len(prefix)))
        sides.rest()

        assert note_of(sides) == (prefix + "x" * (length - len(prefix)) + " (BUSY)")[:200]

    def test_for_each_of_many_registers_at_fault_has_a_line_of_its_own(self, sides_on_sqlite: BothSides) -> None:
        """A peer joins them in one note, which then is longer than SAP takes."""
        sides = sides_on_sqlite
        many = [register(f"{number:018}", obis=f"NO_SUCH_{number}") for number in range(30)]
        sides.tell(REGISTERS, registers(*many))
        sides.rest()

        [confirmation] = sides.sap.messages(REGISTERS_CREATED)
        notes = texts(confirmation, NOTE)
        assert len(notes) == 30
        assert notes[7].startswith(f"[{7:018}]")
        assert all(len(note) <= 200 for note in notes)

    def test_is_delivered_and_never_dead(self, sides: BothSides) -> None:
        sides.tell(SWITCH, switch(planned_at=START))
        sides.rest()
        sides.answer(CommandKind.SWITCH, status="failed", code="BUSY", text="\u0000\ud83d" * 500)
        sides.rest()

        sent = [row.status for row in sides.mdus.rows(MESSAGE) if row.direction == "out"]
        assert MessageStatus.DEAD not in sent
        assert MessageStatus.DELIVERED in sent
