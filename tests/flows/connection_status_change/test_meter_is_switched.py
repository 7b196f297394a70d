"""Connection orders through SOAP: carried out, refused, uncertain, cancelled in every race; on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mdus.domain.command import CommandKind, CommandStatus
from mdus.domain.end_device import EndDevice, EndDeviceStatus, SwitchState
from mdus.domain.end_device_control import ControlStatus, EndDeviceControl
from mdus.domain.end_device_event import EndDeviceEvent
from mdus.domain.exception_case import ExceptionCase
from mdus.storage.end_device_control import order_switching
from tests.flows.both_sides import BothSides, texts

START = datetime(2026, 3, 28, 10, 0, tzinfo=UTC)
ORDER = "SmartMeterUtilitiesConnectionStatusChangeRequestERPCreateRequest"
ORDERS = "SmartMeterUtilitiesConnectionStatusChangeRequestERPBulkCreateRequest"
CARRIED_OUT = "SmartMeterUtilitiesConnectionStatusChangeRequestERPCreateConfirmation"
ALL_CARRIED_OUT = "SmartMeterUtilitiesConnectionStatusChangeRequestERPBulkCreateConfirmation"
CANCEL = "SmartMeterUtilitiesConnectionStatusChangeRequestERPCancellationRequest"
CANCELLED = "SmartMeterUtilitiesConnectionStatusChangeRequestERPCancellationConfirmation"
CODE = "Log/BusinessDocumentProcessingResultCode"
TYPE_ID = "Log/Item/TypeID"
DEVICE = "UtilitiesConnectionStatusChangeRequest/DeviceConnectionStatus"
METERS = ("000000000000000042", "000000000000000043")


def devices(*device_ids: str) -> str:
    return "".join(
        f"<DeviceConnectionStatus><UtilitiesDeviceID>{device_id}</UtilitiesDeviceID><SmartMeter>"
        f"<UtilitiesAdvancedMeteringSystemID>AM01</UtilitiesAdvancedMeteringSystemID></SmartMeter>"
        f"</DeviceConnectionStatus>"
        for device_id in device_ids
    )


def order(*device_ids: str, category: str = "1", planned_at: datetime = START, number: str = "000000004711") -> str:
    return (
        f"<UtilitiesConnectionStatusChangeRequest><ID>{number}</ID><CategoryCode>{category}</CategoryCode>"
        f"<PlannedProcessingDateTime>{planned_at:%Y-%m-%dT%H:%M:%SZ}</PlannedProcessingDateTime>"
        f"{devices(*device_ids or METERS[:1])}</UtilitiesConnectionStatusChangeRequest>"
    )


def cancellation(*device_ids: str, number: str = "000000004711") -> str:
    return (
        f"<UtilitiesConnectionStatusChangeRequest><ID>{number}</ID><CategoryCode>1</CategoryCode>"
        f"{devices(*device_ids or METERS[:1])}</UtilitiesConnectionStatusChangeRequest>"
    )


@pytest.fixture
def sides(database_url: str, tmp_path: Path) -> Iterator[BothSides]:
    made = BothSides(database_url, tmp_path, now=START)
    for device_id in METERS:
        made.meter(device_id)
    yield made
    made.close()


def controls(sides: BothSides) -> list[ControlStatus]:
    return [control.status for control in sides.all(EndDeviceControl)]


def carry_out(sides: BothSides, state: str = "disconnected") -> None:
    """Let the head end switch and tell the position."""
    sides.rest()
    sides.clock.move(seconds=20)
    sides.answer(CommandKind.SWITCH, switch_state=state, switched_at=sides.clock.now().isoformat())
    sides.rest()
    sides.clock.move(seconds=20)
    sides.answer(CommandKind.SWITCH_STATE, switch_state=state, switched_at=None)
    sides.rest()


class TestAnOrder:
    @pytest.mark.parametrize(("category", "state"), [("1", "disconnected"), ("2", "connected")])
    def test_is_carried_out_read_back_and_confirmed(self, sides: BothSides, category: str, state: str) -> None:
        uuid = sides.tell(ORDER, order(category=category))
        carry_out(sides, state)

        [confirmation] = sides.sap.messages(CARRIED_OUT)
        assert texts(confirmation, CODE) == ["3"]
        assert texts(confirmation, "MessageHeader/ReferenceUUID") == [uuid]
        assert texts(confirmation, f"{DEVICE}/UtilitiesDeviceID") == [METERS[0]]
        assert texts(confirmation, f"{DEVICE}/UtilitiesDeviceConnectionStatusProcessingResultCode") == ["1"]
        assert texts(confirmation, f"{DEVICE}/ProcessingDateTime") == ["2026-03-28T10:00:20Z"]
        assert [switch["state"] for switch in sides.submitted(CommandKind.SWITCH)] == [state]
        assert len(sides.submitted(CommandKind.SWITCH_STATE)) == 1

    def test_is_held_here_until_its_planned_time(self, sides: BothSides) -> None:
        sides.tell(ORDER, order(planned_at=START + timedelta(hours=5)))
        sides.rest()
        sides.clock.move(hours=4, minutes=59)
        sides.rest()
        assert sides.head_end.submitted == []

        sides.clock.move(minutes=1)
        sides.rest()
        assert len(sides.submitted(CommandKind.SWITCH)) == 1

    def test_of_a_bulk_is_confirmed_with_its_neighbours(self, sides: BothSides) -> None:
        sides.tell(
            ORDERS,
            order(METERS[0], number="1"),
            order(METERS[1], number="2", planned_at=START - timedelta(hours=2)),
        )
        carry_out(sides)

        confirmations = sides.sap.messages(ALL_CARRIED_OUT)
        items = f"{CARRIED_OUT}Message"
        told = {
            texts(item, "UtilitiesConnectionStatusChangeRequest/ID")[0]: texts(item, CODE)[0]
            for confirmation in confirmations
            for item in confirmation.iterfind(items)
        }
        assert told == {"1": "3", "2": "5"}

    def test_for_several_devices_tells_each(self, sides: BothSides) -> None:
        sides.tell(ORDER, order(METERS[0], METERS[1], "unknown"))
        sides.rest()
        sides.clock.move(minutes=30)
        carry_out(sides)

        [confirmation] = sides.sap.messages(CARRIED_OUT)
        assert texts(confirmation, CODE) == ["4"]
        assert texts(confirmation, f"{DEVICE}/UtilitiesDeviceID") == [*METERS, "unknown"]
        assert texts(confirmation, f"{DEVICE}/UtilitiesDeviceConnectionStatusProcessingResultCode") == ["1", "1", "2"]
        assert texts(confirmation, TYPE_ID) == ["110(MDUS)"]


class TestARefusedOrder:
    def refused(self, sides: BothSides) -> list[str]:
        [confirmation] = sides.sap.messages(CARRIED_OUT)
        assert texts(confirmation, CODE) == ["5"]
        assert texts(confirmation, f"{DEVICE}/UtilitiesDeviceConnectionStatusProcessingResultCode") == ["2"]
        assert sides.submitted(CommandKind.SWITCH) == []
        return texts(confirmation, TYPE_ID)

    def test_was_planned_too_long_ago(self, sides: BothSides) -> None:
        sides.tell(ORDER, order(planned_at=START - timedelta(minutes=61)))
        sides.rest()

        assert self.refused(sides) == ["311(MDUS)"]

    def test_expired_while_nobody_worked(self, sides: BothSides) -> None:
        sides.tell(ORDER, order())
        sides.decide()
        sides.clock.move(minutes=60)
        sides.rest()

        assert self.refused(sides) == ["312(MDUS)"]

    def test_is_test_data(self, sides: BothSides) -> None:
        sides.tell(ORDER, order(), test_data=True)
        sides.rest()

        assert self.refused(sides) == ["310(MDUS)"]

    def test_meets_the_kill_switch(self, sides: BothSides) -> None:
        with sides.database.begin() as uow:
            order_switching(uow.connection, stopped=True, reason="storm", ordered_by="operator", at=START)
        sides.tell(ORDER, order())
        sides.rest()

        assert self.refused(sides) == ["313(MDUS)"]
        sides.tell(ORDER, order(category="2", number="5"))
        sides.rest()
        assert [switch["state"] for switch in sides.submitted(CommandKind.SWITCH)] == ["connected"]

    @pytest.mark.parametrize(
        ("changed", "type_id"),
        [
            pytest.param({"head_end": "village"}, "321(MDUS)", id="another head end"),
            pytest.param({"valid_to": START.date()}, "316(MDUS)", id="out of service"),
        ],
    )
    @pytest.mark.parametrize("category", ["1", "2"], ids=["disconnect", "reconnect"])
    def test_finds_its_meter_moved_when_it_is_due(
        self, sides: BothSides, category: str, changed: dict[str, Any], type_id: str
    ) -> None:
        sides.tell(ORDER, order(category=category, planned_at=START + timedelta(hours=5)))
        sides.rest()
        sides.save(replace(sides.all(EndDevice)[0], **changed))
        sides.clock.move(hours=5)
        sides.rest()

        assert self.refused(sides) == [type_id]

    def test_is_for_a_meter_that_turns_out_to_have_no_breaker(self, sides: BothSides) -> None:
        sides.head_end.script = ["reject NO_BREAKER"]
        sides.tell(ORDER, order())
        sides.rest()

        [confirmation] = sides.sap.messages(CARRIED_OUT)
        assert texts(confirmation, TYPE_ID) == ["314(MDUS)"]


class TestAnUncertainSwitch:
    @pytest.mark.parametrize(
        ("state", "code"),
        [pytest.param("disconnected", "3", id="it happened"), pytest.param("connected", "5", id="it did not")],
    )
    def test_is_settled_by_the_position_read_back(self, sides: BothSides, state: str, code: str) -> None:
        sides.head_end.script = ["cut"]
        sides.tell(ORDER, order())
        sides.rest()
        assert sides.submitted(CommandKind.SWITCH_STATE) == []

        sides.clock.move(minutes=1)  # the call may have been on its way so long
        sides.rest()
        sides.answer(CommandKind.SWITCH_STATE, switch_state=state, switched_at=None)
        sides.rest()

        [confirmation] = sides.sap.messages(CARRIED_OUT)
        assert texts(confirmation, CODE) == [code]
        assert len(sides.submitted(CommandKind.SWITCH)) == 1

    def test_that_cannot_be_read_back_is_a_failure_with_an_event(self, sides: BothSides) -> None:
        sides.head_end.script = ["cut"]
        sides.tell(ORDER, order())
        sides.rest()
        sides.clock.move(minutes=1)
        for _ in range(3):
            sides.rest()
            sides.answer(CommandKind.SWITCH_STATE, status="failed", code="NO_RESPONSE", text="silence")
        sides.rest()

        [confirmation] = sides.sap.messages(CARRIED_OUT)
        assert texts(confirmation, TYPE_ID) == ["319(MDUS)"]
        assert len(sides.submitted(CommandKind.SWITCH)) == 1
        assert [case.kind for case in sides.all(ExceptionCase)] == ["switch_state_unknown"]
        assert len(sides.all(EndDeviceEvent)) == 1

    def test_that_stays_silent_is_read_back_when_patience_ends(self, sides: BothSides) -> None:
        sides.tell(ORDER, order())
        sides.rest()
        sides.clock.move(minutes=120)
        sides.rest()
        sides.answer(CommandKind.SWITCH_STATE, switch_state="disconnected", switched_at=None)
        sides.rest()

        [confirmation] = sides.sap.messages(CARRIED_OUT)
        assert texts(confirmation, CODE) == ["3"]
        assert len(sides.submitted(CommandKind.SWITCH)) == 1


class TestTwoOrdersForOneMeter:
    """The later one wins in the field, and each is told what became of itself."""

    def told(self, sides: BothSides) -> dict[str, tuple[str, list[str]]]:
        return {
            texts(message, "UtilitiesConnectionStatusChangeRequest/ID")[0]: (
                texts(message, CODE)[0],
                texts(message, TYPE_ID),
            )
            for message in sides.sap.messages(CARRIED_OUT)
        }

    @pytest.mark.parametrize("first", ["1", "2"], ids=["disconnect first", "reconnect first"])
    def test_are_carried_out_one_after_the_other(self, sides: BothSides, first: str) -> None:
        second = "2" if first == "1" else "1"
        states = {"1": "disconnected", "2": "connected"}
        sides.tell(ORDER, order(category=first, number="1"))
        sides.rest()
        sides.clock.move(seconds=1)
        sides.tell(ORDER, order(category=second, number="2", planned_at=sides.clock.now()))
        sides.rest()
        assert [switch["state"] for switch in sides.submitted(CommandKind.SWITCH)] == [states[first]]

        carry_out(sides, states[first])
        carry_out(sides, states[second])

        assert [switch["state"] for switch in sides.submitted(CommandKind.SWITCH)] == [states[first], states[second]]
        assert self.told(sides) == {"1": ("3", []), "2": ("3", [])}

    def test_the_known_position_is_not_trusted_while_the_first_is_under_way(self, sides: BothSides) -> None:
        status = sides.all(EndDeviceStatus)[0]
        sides.save(replace(status, switch_state=SwitchState.CONNECTED, switch_state_at=START))
        sides.tell(ORDER, order(number="1"))
        sides.rest()
        sides.clock.move(seconds=1)
        sides.tell(ORDER, order(category="2", number="2"))
        sides.rest()
        assert self.told(sides) == {}

        carry_out(sides, "disconnected")
        carry_out(sides, "connected")

        assert self.told(sides) == {"1": ("3", []), "2": ("3", [])}
        assert [switch["state"] for switch in sides.submitted(CommandKind.SWITCH)] == ["disconnected", "connected"]

    def test_a_disconnection_that_has_not_left_gives_way(self, sides: BothSides) -> None:
        sides.tell(ORDER, order(number="1"))
        sides.decide()
        sides.clock.move(seconds=1)
        sides.tell(ORDER, order(category="2", number="2"))
        sides.decide()
        sides.rest()
        carry_out(sides, "connected")

        assert self.told(sides) == {"1": ("5", ["323(MDUS)"]), "2": ("3", [])}
        assert [switch["state"] for switch in sides.submitted(CommandKind.SWITCH)] == ["connected"]

    def test_a_reconnection_planned_ahead_does_not_stop_a_disconnection_before_it(self, sides: BothSides) -> None:
        sides.tell(ORDER, order(category="2", number="2", planned_at=START + timedelta(hours=5)))
        sides.tell(ORDER, order(number="1", planned_at=START + timedelta(hours=4)))
        sides.rest()
        sides.clock.move(hours=4)
        carry_out(sides, "disconnected")
        sides.clock.move(hours=1)
        carry_out(sides, "connected")

        assert self.told(sides) == {"1": ("3", []), "2": ("3", [])}


class TestACancellation:
    def answer(self, sides: BothSides) -> tuple[list[str], list[str]]:
        [confirmation] = sides.sap.messages(CANCELLED)
        return texts(confirmation, CODE), texts(confirmation, TYPE_ID)

    def test_of_an_order_that_has_not_left_is_its_only_answer(self, sides: BothSides) -> None:
        sides.tell(ORDER, order(planned_at=START + timedelta(hours=5)))
        sides.rest()
        sides.tell(CANCEL, cancellation())
        sides.rest()
        sides.clock.move(days=1)
        sides.rest()

        assert self.answer(sides) == (["3"], [])
        assert sides.sap.messages(CARRIED_OUT) == []
        assert sides.head_end.submitted == []
        assert [command.status for command in sides.switches()] == [CommandStatus.CANCELLED]

    def test_that_comes_first_wins(self, sides: BothSides) -> None:
        sides.tell(CANCEL, cancellation())
        sides.rest()
        assert sides.sap.messages(CANCELLED) == []

        sides.tell(ORDER, order())
        sides.rest()

        assert self.answer(sides) == (["3"], [])
        assert sides.sap.messages(CARRIED_OUT) == []
        assert sides.head_end.submitted == []

    def test_of_an_order_that_never_comes_fails_after_half_an_hour(self, sides: BothSides) -> None:
        sides.tell(CANCEL, cancellation())
        sides.rest()
        sides.clock.move(minutes=30)
        sides.rest()

        assert self.answer(sides) == (["5"], ["330(MDUS)"])
        assert controls(sides) == []

    def test_of_an_order_that_waits_for_its_device_wins(self, sides: BothSides) -> None:
        sides.tell(ORDER, order("late"))
        sides.rest()
        sides.tell(CANCEL, cancellation("late"))
        sides.rest()
        sides.meter("late")
        sides.rest()

        assert self.answer(sides) == (["3"], [])
        assert sides.sap.messages(CARRIED_OUT) == []
        assert sides.head_end.submitted == []

    def test_loses_against_a_switch_that_has_left(self, sides: BothSides) -> None:
        sides.tell(ORDER, order())
        sides.rest()
        sides.tell(CANCEL, cancellation())
        sides.rest()
        carry_out(sides)

        assert self.answer(sides) == (["5"], ["331(MDUS)"])
        [confirmation] = sides.sap.messages(CARRIED_OUT)
        assert texts(confirmation, CODE) == ["3"]

    def test_after_the_confirmation_is_too_late(self, sides: BothSides) -> None:
        sides.tell(ORDER, order())
        carry_out(sides)
        sides.tell(CANCEL, cancellation())
        sides.rest()

        assert self.answer(sides) == (["5"], ["332(MDUS)"])

    def test_twice_has_the_same_answer(self, sides: BothSides) -> None:
        sides.tell(ORDER, order(planned_at=START + timedelta(hours=5)))
        for _ in range(2):
            sides.tell(CANCEL, cancellation())
            sides.rest()

        assert [texts(message, CODE) for message in sides.sap.messages(CANCELLED)] == [["3"], ["3"]]


class TestTheSameOrderAgain:
    def test_is_answered_from_its_outcome_without_a_switch(self, sides: BothSides) -> None:
        sides.tell(ORDER, order())
        carry_out(sides)
        sides.tell(ORDER, order())
        sides.rest()

        first, again = sides.sap.messages(CARRIED_OUT)
        assert texts(again, f"{DEVICE}/ProcessingDateTime") == texts(first, f"{DEVICE}/ProcessingDateTime")
        assert texts(again, CODE) == ["3"]
        assert len(sides.submitted(CommandKind.SWITCH)) == 1

    def test_waits_for_the_first_while_it_is_under_way(self, sides: BothSides) -> None:
        sides.tell(ORDER, order())
        sides.rest()
        sides.tell(ORDER, order())
        sides.rest()
        assert sides.sap.messages(CARRIED_OUT) == []

        carry_out(sides)

        assert [texts(message, CODE) for message in sides.sap.messages(CARRIED_OUT)] == [["3"], ["3"]]
        assert len(sides.submitted(CommandKind.SWITCH)) == 1
