"""Case 1. The same UUID twice: at the same moment, after completion, and after a crash between commit and answer.

The stored confirmation goes out again; no meter is ever switched twice.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from mdus.messaging.status import MessageStatus
from mdus.storage.message import MESSAGE
from tests.flows.both_sides import BothSides, texts
from tests.flows.hard_cases.sap_messages import (
    HEADER_UUID,
    LATE,
    READ,
    READ_ACCEPTED,
    SWITCH,
    SWITCHED,
    reading,
    switch,
)
from tests.flows.hard_cases.steps import START, answers, carry_out, message, switches, take

MAY_TAKE_SECONDS = 60
ROOT = Path(__file__).resolve().parents[3]


def received(sides: BothSides) -> list[MessageStatus]:
    return [row.status for row in sides.mdus.rows(MESSAGE) if row.direction == "in"]


class TestAtTheSameMoment:
    def test_one_is_taken_in_and_switches_once(self, sides: BothSides) -> None:
        content = message(SWITCH, switch(planned_at=START))
        assert {answer.status_code for answer in sides.mdus.post_at_once([content] * 5)} == {202}
        carry_out(sides)

        assert switches(sides) == ["disconnected"]
        assert answers(sides, SWITCHED) == [("3", [])]
        assert received(sides).count(MessageStatus.DUPLICATE) == 4

    def test_while_the_switch_is_on_its_way_it_waits_for_the_one_answer(self, sides: BothSides) -> None:
        content = message(SWITCH, switch(planned_at=START))
        take(sides, content)
        sides.rest()
        assert switches(sides) == ["disconnected"]

        take(sides, content)
        carry_out(sides)

        assert switches(sides) == ["disconnected"]
        assert answers(sides, SWITCHED) == [("3", [])]


class TestAfterCompletion:
    def test_the_stored_confirmation_of_a_switch_goes_out_again(self, sides: BothSides) -> None:
        content = message(SWITCH, switch(planned_at=START))
        take(sides, content)
        carry_out(sides)
        sides.clock.move(days=30)
        take(sides, content)
        carry_out(sides)

        first, again = sides.sap.messages(SWITCHED)
        assert texts(first, HEADER_UUID) == texts(again, HEADER_UUID)
        assert [*first.itertext()] == [*again.itertext()]
        assert switches(sides) == ["disconnected"]

    def test_the_stored_confirmation_of_a_refusal_does_too_whatever_has_changed_since(self, sides: BothSides) -> None:
        content = message(READ, reading(device_id=LATE))
        take(sides, content)
        sides.rest()
        sides.clock.move(minutes=30)
        sides.rest()
        sides.meter(LATE)
        take(sides, content)
        sides.rest()

        assert answers(sides, READ_ACCEPTED) == [("5", ["110(MDUS)"])] * 2


class TestAfterACrashBetweenCommitAndAnswer:
    def test_the_message_sent_again_is_known_and_switches_once(
        self, sides: BothSides, database_url: str, tmp_path: Path
    ) -> None:
        content = message(SWITCH, switch(planned_at=START))
        file = tmp_path / "order.xml"
        file.write_bytes(content)
        died = subprocess.run(
            [sys.executable, str(Path(__file__).with_name("dies_before_answering.py")), database_url, str(file)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            timeout=MAY_TAKE_SECONDS,
            check=False,
        )
        assert died.returncode == -signal.SIGKILL, died.stderr.decode()
        assert received(sides) == [MessageStatus.RECEIVED]

        take(sides, content)
        carry_out(sides)

        assert received(sides) == [MessageStatus.COMPLETED, MessageStatus.DUPLICATE]
        assert switches(sides) == ["disconnected"]
        assert answers(sides, SWITCHED) == [("3", [])]
