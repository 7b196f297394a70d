"""Case 15. A connection order for several meters that end differently, or name one twice; a meter without breaker.

One that already stands as ordered is a success; of a command whose answer was lost the position is asked first.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from mdus.domain.command import CommandKind
from mdus.domain.end_device import EndDevice, EndDeviceStatus, SwitchState
from tests.flows.both_sides import BothSides, texts
from tests.flows.hard_cases.sap_messages import (
    CODE,
    DEVICE_RESULT,
    METER,
    NOTE,
    OTHER,
    SWITCH,
    SWITCHED,
    SWITCHED_DEVICE,
    TYPE_ID,
    switch,
)
from tests.flows.hard_cases.steps import START, carry_out, switches

THIRD, FOURTH = "000000000000000044", "000000000000000045"


def told(sides: BothSides) -> tuple[str, dict[str, str]]:
    """Return the overall code and the result of each device of the one confirmation."""
    [confirmation] = sides.sap.messages(SWITCHED)
    devices = texts(confirmation, SWITCHED_DEVICE)
    return texts(confirmation, CODE)[0], dict(zip(devices, texts(confirmation, DEVICE_RESULT), strict=True))


def status(sides: BothSides, device_id: str, **facts: object) -> None:
    [found] = [one for one in sides.all(EndDeviceStatus) if one.device_id == device_id]
    sides.save(replace(found, **facts))


class TestSeveralMeters:
    def test_that_end_differently_are_told_one_by_one(self, sides: BothSides) -> None:
        for device_id in (THIRD, FOURTH):
            sides.meter(device_id)
        status(sides, OTHER, has_breaker=False)
        status(sides, THIRD, switch_state=SwitchState.DISCONNECTED, switch_state_at=START)
        ended = next(one for one in sides.all(EndDevice) if one.device_id == FOURTH)
        sides.save(replace(ended, valid_to=START.date()))
        sides.tell(SWITCH, switch(METER, OTHER, THIRD, FOURTH, planned_at=START))
        carry_out(sides)

        code, devices = told(sides)
        assert code == "4"
        assert devices == {METER: "1", OTHER: "2", THIRD: "1", FOURTH: "2"}
        [confirmation] = sides.sap.messages(SWITCHED)
        assert texts(confirmation, TYPE_ID) == ["314(MDUS)", "316(MDUS)"]
        assert [OTHER in note or FOURTH in note for note in texts(confirmation, NOTE)] == [True, True]
        assert len(sides.submitted(CommandKind.SWITCH)) == 1

    @pytest.mark.parametrize(
        ("states", "code"),
        [
            pytest.param(("disconnected", "disconnected"), "3", id="all"),
            pytest.param(("disconnected", "connected"), "4", id="some"),
            pytest.param(("connected", "connected"), "5", id="none"),
        ],
    )
    def test_make_the_code_of_the_order_by_what_became_of_them(
        self, sides_on_sqlite: BothSides, states: tuple[str, str], code: str
    ) -> None:
        sides = sides_on_sqlite
        sides.tell(SWITCH, switch(METER, OTHER, planned_at=START))
        sides.rest()
        for number, job in enumerate(sides.head_end.submitted):
            results = [
                result(device, states[(METER, OTHER).index(device["serial"].removeprefix("S"))])
                for device in job["devices"]
            ]
            push(sides, f"s{number}", job, results)
        sides.rest()
        for number, job in enumerate(sides.head_end.submitted):
            if job["kind"] == "switch_state":
                results = [
                    result(device, states[(METER, OTHER).index(device["serial"].removeprefix("S"))])
                    for device in job["devices"]
                ]
                push(sides, f"v{number}", job, results)
        sides.rest()

        assert told(sides)[0] == code

    def test_named_twice_is_switched_and_told_once(self, sides_on_sqlite: BothSides) -> None:
        sides = sides_on_sqlite
        sides.tell(SWITCH, switch(METER, OTHER, METER, planned_at=START))
        carry_out(sides)

        assert told(sides) == ("3", {METER: "1", OTHER: "1"})
        assert len(sides.submitted(CommandKind.SWITCH)) == 2


def result(device: dict[str, str], state: str) -> dict[str, object]:
    """What the head end tells of one meter: a breaker that stayed where it was did not do as told."""
    return {
        "serial": device["serial"],
        "reference": device["reference"],
        "status": "ok",
        "completed_at": START.isoformat(),
        "switch_state": state,
        "readings": [],
    }


def push(sides: BothSides, name: str, job: dict[str, object], results: list[dict[str, object]]) -> None:
    sides.push(
        "results",
        {
            "delivery_id": name,
            "token": None,
            "correlation_id": job["correlation_id"],
            "kind": job["kind"],
            "results": results,
        },
    )


class TestAMeterThatStandsAsOrdered:
    @pytest.mark.parametrize(
        ("minutes", "switched"),
        [
            pytest.param(59, [], id="read back within the hour: a success without a switch"),
            pytest.param(60, ["disconnected"], id="longer ago: switched and read back"),
        ],
    )
    def test_is_a_success(self, sides_on_sqlite: BothSides, minutes: int, switched: list[str]) -> None:
        sides = sides_on_sqlite
        status(sides, METER, switch_state=SwitchState.DISCONNECTED, switch_state_at=START)
        sides.clock.move(minutes=minutes)
        sides.tell(SWITCH, switch(planned_at=sides.clock.now()))
        carry_out(sides)

        assert told(sides) == ("3", {METER: "1"})
        assert switches(sides) == switched

    def test_in_the_other_position_is_switched(self, sides_on_sqlite: BothSides) -> None:
        sides = sides_on_sqlite
        status(sides, METER, switch_state=SwitchState.CONNECTED, switch_state_at=START)
        sides.tell(SWITCH, switch(planned_at=START))
        carry_out(sides)

        assert switches(sides) == ["disconnected"]


class TestAMeterWithoutBreaker:
    @pytest.mark.parametrize("known", [True, False], ids=["known before", "told by the head end"])
    def test_is_refused_and_never_asked_twice(self, sides_on_sqlite: BothSides, known: bool) -> None:
        sides = sides_on_sqlite
        if known:
            status(sides, METER, has_breaker=False)
        sides.head_end.script = ["reject NO_BREAKER"]
        for number in ("1", "2"):
            sides.tell(SWITCH, switch(planned_at=START, number=number))
            sides.rest()

        assert [texts(found, TYPE_ID) for found in sides.sap.messages(SWITCHED)] == [["314(MDUS)"]] * 2
        assert len(switches(sides)) == (0 if known else 1)


class TestACommandWhoseAnswerWasLost:
    @pytest.mark.parametrize(
        ("step", "state", "code"), [("done, then cut", "disconnected", "3"), ("cut", "connected", "5")]
    )
    def test_is_never_repeated_its_meter_is_asked(
        self, sides_on_sqlite: BothSides, step: str, state: str, code: str
    ) -> None:
        sides = sides_on_sqlite
        sides.head_end.script = [step]
        sides.tell(SWITCH, switch(planned_at=START))
        sides.rest()
        sides.clock.move(hours=2, minutes=1)
        sides.rest()
        sides.answer(CommandKind.SWITCH_STATE, switch_state=state, switched_at=None)
        sides.rest()

        assert told(sides)[0] == code
        assert switches(sides) == ["disconnected"]
