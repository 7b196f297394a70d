"""Case 16. Planned in the past, planned far ahead, a head end away until after the time it had, and a late success.

A disconnection held up too long never fires; a late result changes no answer, but a contradiction is told.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from mdus.domain.command import CommandKind
from mdus.domain.end_device import EndDeviceStatus, SwitchState
from mdus.domain.end_device_event import EndDeviceEvent
from tests.flows.both_sides import BothSides
from tests.flows.hard_cases.sap_messages import METER, SWITCH, SWITCHED, switch
from tests.flows.hard_cases.steps import START, answers, carry_out, cases, switches

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


class TestPlannedInThePast:
    @pytest.mark.parametrize(
        ("ago", "answer"),
        [
            pytest.param(HOUR - SECOND, ("3", []), id="within the hour: now"),
            pytest.param(HOUR, ("5", ["311(MDUS)"]), id="an hour ago: never"),
            pytest.param(timedelta(days=3), ("5", ["311(MDUS)"]), id="before the weekend: never"),
        ],
    )
    def test_a_disconnection_is_carried_out_now_or_never(
        self, sides_on_sqlite: BothSides, ago: timedelta, answer: tuple[str, list[str]]
    ) -> None:
        sides = sides_on_sqlite
        sides.tell(SWITCH, switch(planned_at=START - ago))
        carry_out(sides)

        assert answers(sides, SWITCHED) == [answer]
        assert switches(sides) == (["disconnected"] if answer[0] == "3" else [])

    def test_a_reconnection_is_never_too_late(self, sides_on_sqlite: BothSides) -> None:
        sides = sides_on_sqlite
        sides.tell(SWITCH, switch(planned_at=START - timedelta(days=3), category="2"))
        carry_out(sides, "connected")

        assert answers(sides, SWITCHED) == [("3", [])]
        assert switches(sides) == ["connected"]


class TestPlannedFarAhead:
    def test_is_held_here_and_never_in_the_head_end(self, sides_on_sqlite: BothSides) -> None:
        sides = sides_on_sqlite
        sides.tell(SWITCH, switch(planned_at=START + timedelta(days=400)))
        sides.rest()
        sides.clock.move(days=400, seconds=-1)
        sides.rest()
        assert sides.head_end.submitted == []

        carry_out_at = START + timedelta(days=400)
        sides.clock.instant = carry_out_at
        carry_out(sides)
        assert answers(sides, SWITCHED) == [("3", [])]


class TestAHeadEndThatIsAway:
    @pytest.mark.parametrize(
        ("category", "switched"),
        [
            pytest.param("1", [], id="a disconnection does not fire when it is back"),
            pytest.param("2", [], id="nor does a reconnection after its time"),
        ],
    )
    def test_until_after_the_time_the_order_had_carries_nothing_out(
        self, sides: BothSides, category: str, switched: list[str]
    ) -> None:
        sides.head_end.script = ["503"] * 100
        sides.tell(SWITCH, switch(planned_at=START, category=category))
        sides.rest()
        sides.clock.move(hours=1)
        sides.rest()
        refused = len(sides.head_end.submitted)
        sides.head_end.script = []
        sides.clock.move(hours=24)
        sides.rest()

        assert len(sides.head_end.submitted) == refused
        [(code, _)] = answers(sides, SWITCHED)
        assert code == "5"

    def test_for_a_moment_only_the_order_is_carried_out(self, sides_on_sqlite: BothSides) -> None:
        sides = sides_on_sqlite
        sides.head_end.script = ["503"]
        sides.tell(SWITCH, switch(planned_at=START))
        carry_out(sides)
        sides.rest()
        carry_out(sides)

        assert answers(sides, SWITCHED) == [("3", [])]


class TestASuccessAfterTheTimeItHad:
    def failed(self, sides: BothSides) -> None:
        """The switch left and nobody heard of it; nor can its position be had."""
        sides.tell(SWITCH, switch(planned_at=START))
        sides.rest()
        sides.clock.move(hours=2)
        for _ in range(3):
            sides.rest()
            sides.answer(CommandKind.SWITCH_STATE, status="failed", code="NO_RESPONSE", text="silence")
        sides.rest()
        assert answers(sides, SWITCHED) == [("5", ["319(MDUS)"])]

    def test_changes_no_answer_and_is_told_as_a_contradiction(self, sides: BothSides) -> None:
        self.failed(sides)
        events = len(sides.all(EndDeviceEvent))
        sides.clock.move(hours=1)
        sides.answer(CommandKind.SWITCH, switch_state="disconnected", switched_at=sides.clock.now().isoformat())
        sides.rest()

        assert answers(sides, SWITCHED) == [("5", ["319(MDUS)"])]
        assert "switch_contradiction" in cases(sides)
        assert len(sides.all(EndDeviceEvent)) == events + 1
        status = next(one for one in sides.all(EndDeviceStatus) if one.device_id == METER)
        assert status.switch_state is SwitchState.DISCONNECTED

    def test_that_agrees_with_what_sap_was_told_is_no_news(self, sides_on_sqlite: BothSides) -> None:
        sides = sides_on_sqlite
        self.failed(sides)
        events = len(sides.all(EndDeviceEvent))
        sides.answer(CommandKind.SWITCH, switch_state="connected", switched_at=None)
        sides.rest()

        assert "switch_contradiction" not in cases(sides)
        assert len(sides.all(EndDeviceEvent)) == events
