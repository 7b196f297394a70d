"""Carrying out connection orders, decided without a database."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from mdus.contracts.log import ProcessingResultCode
from mdus.domain.command import CommandKind, CommandStatus
from mdus.domain.end_device import SwitchState
from mdus.domain.end_device_control import ControlStatus, EndDeviceControl
from mdus.domain.exception_case import ExceptionCase
from mdus.messaging.outcome import Done
from mdus.services.connection_status_change_create import SwitchResult, confirm
from tests.unit.services.connection_orders import (
    METERS,
    ORDER,
    Store,
    awaited,
    carried_out,
    codes,
    meter,
    order,
    status,
    told,
)
from tests.unit.services.device_initialization import NOW

HOUR = timedelta(hours=1)
TICK = timedelta(microseconds=1)


class TestDecide:
    def test_switches_when_planned(self) -> None:
        store = Store(meter(), status())

        [command] = awaited(store.decide(order(planned_at=NOW + 5 * HOUR)))

        assert (command.kind, command.wanted_state) == (CommandKind.SWITCH, SwitchState.DISCONNECTED)
        assert (command.not_before, command.expires_at) == (NOW + 5 * HOUR, NOW + 6 * HOUR)
        control = store.control()
        assert control is not None
        assert (control.status, control.item_id) == (ControlStatus.ORDERED, 1)

    def test_tells_the_execution_with_its_instant(self) -> None:
        store = Store(meter(), status())

        outcome = carried_out(store, order())

        [device] = told(outcome).devices
        assert (device.switched, device.processed_at) == (True, NOW)
        assert told(outcome).problems == ()
        control = store.control()
        assert control is not None
        assert (control.status, control.reported_success) == (ControlStatus.EXECUTED, True)

    def test_tells_a_failure_when_the_position_is_not_as_ordered(self) -> None:
        outcome = carried_out(Store(meter(), status()), order(), SwitchState.CONNECTED)

        assert codes(told(outcome)) == ["318(MDUS)"]
        assert [device.switched for device in told(outcome).devices] == [False]

    def test_reconnects(self) -> None:
        store = Store(meter(), status())

        outcome = carried_out(store, order(category_code="2"), SwitchState.CONNECTED)

        assert [device.switched for device in told(outcome).devices] == [True]

    def test_takes_the_category_with_a_leading_zero(self) -> None:
        [command] = awaited(Store(meter(), status()).decide(order(category_code="02")))

        assert command.wanted_state is SwitchState.CONNECTED

    @pytest.mark.parametrize("category", ["0", "3", "10", "X"])
    def test_refuses_another_category_and_names_the_devices(self, category: str) -> None:
        result = told(Store(meter(), status()).decide(order(*METERS[:2], category_code=category)))

        assert codes(result) == ["301(MDUS)"]
        assert [(device.device_id, device.switched) for device in result.devices] == [
            (METERS[0], False),
            (METERS[1], False),
        ]

    def test_opens_a_case_when_the_position_cannot_be_had(self) -> None:
        store, request = Store(meter(), status()), order()
        store.decide(request)
        [switch] = store.commands()
        store.end(switch, CommandStatus.UNCERTAIN)
        for attempt in range(3):
            store.decide(request)
            check = store.commands(CommandKind.SWITCH_STATE)[attempt]
            store.end(check, CommandStatus.FAILED, result_code="NO_RESPONSE")

        outcome = store.decide(request)

        assert codes(told(outcome)) == ["319(MDUS)"]
        assert isinstance(outcome, Done)
        assert [change.kind for change in outcome.changes if isinstance(change, ExceptionCase)] == [
            "switch_state_unknown"
        ]
        assert len(store.commands(CommandKind.SWITCH)) == 1

    @pytest.mark.parametrize(
        ("code", "type_id"),
        [
            ("TEST_DATA", "310(MDUS)"),
            ("TOO_LATE", "311(MDUS)"),
            ("EXPIRED", "312(MDUS)"),
            ("KILL_SWITCH", "313(MDUS)"),
            ("NO_BREAKER", "314(MDUS)"),
            ("BUSY", "320(MDUS)"),
        ],
    )
    def test_tells_why_the_switch_was_refused(self, code: str, type_id: str) -> None:
        store, request = Store(meter(), status()), order()
        store.decide(request)
        [command] = store.commands()
        store.end(command, CommandStatus.FAILED, result_code=code, result_text="the reason")

        [problem] = told(store.decide(request)).problems

        assert problem.type_id == type_id
        assert "the reason" in problem.note
        assert METERS[0] in problem.note


class TestImmediate:
    def test_does_not_wait_for_the_planned_time(self) -> None:
        [command] = awaited(Store(meter(), status()).decide(order(planned_at=NOW + 5 * HOUR, immediate=True)))

        assert (command.not_before, command.expires_at) == (NOW, NOW + HOUR)

    def test_does_not_make_an_old_disconnection_young(self) -> None:
        outcome = Store(meter(), status()).decide(order(planned_at=NOW - 5 * HOUR, immediate=True))

        assert codes(told(outcome)) == ["311(MDUS)"]


class TestStandsAsOrdered:
    @pytest.mark.parametrize(
        ("read_at", "planned_at", "state", "switches"),
        [
            pytest.param(NOW - HOUR + TICK, NOW, SwitchState.DISCONNECTED, False, id="read back just now"),
            pytest.param(NOW - HOUR, NOW, SwitchState.DISCONNECTED, True, id="read back too long ago"),
            pytest.param(NOW, NOW + TICK, SwitchState.DISCONNECTED, True, id="planned ahead"),
            pytest.param(NOW, NOW, SwitchState.CONNECTED, True, id="stands otherwise"),
            pytest.param(NOW, NOW, SwitchState.UNKNOWN, True, id="unknown"),
        ],
    )
    def test_is_success_without_a_switch(
        self, read_at: datetime, planned_at: datetime, state: SwitchState, switches: bool
    ) -> None:
        store = Store(meter(), status(switch_state=state, switch_state_at=read_at))

        outcome = store.decide(order(planned_at=planned_at))

        if switches:
            assert [command.kind for command in awaited(outcome)] == [CommandKind.SWITCH]
        else:
            assert [(device.switched, device.processed_at) for device in told(outcome).devices] == [(True, NOW)]


class TestAnotherOrderOfTheDevice:
    """The position read back is trusted only while nothing else may move the breaker."""

    @pytest.mark.parametrize(
        ("other", "trusted"),
        [
            pytest.param({}, False, id="under way"),
            pytest.param({"effective_at": NOW + TICK}, True, id="not due yet"),
            pytest.param({"status": ControlStatus.EXECUTED}, True, id="carried out"),
            pytest.param({"status": ControlStatus.CANCELLED}, True, id="taken back"),
            pytest.param(
                {"status": ControlStatus.FAILED, "failure_code": "STATE_UNKNOWN", "processed_at": NOW - HOUR + TICK},
                False,
                id="ended in doubt",
            ),
            pytest.param(
                {"status": ControlStatus.FAILED, "failure_code": "STATE_UNKNOWN", "processed_at": NOW - HOUR},
                True,
                id="ended in doubt long ago",
            ),
            pytest.param(
                {"status": ControlStatus.FAILED, "failure_code": "KILL_SWITCH", "processed_at": NOW},
                True,
                id="never tried",
            ),
        ],
    )
    def test_may_make_its_position_untrusted(self, other: dict[str, Any], trusted: bool) -> None:
        first = Store(meter(), status())
        first.decide(order(request_id="1"))
        [control] = first.known.find(EndDeviceControl, request_id="1")
        store = Store(
            meter(),
            status(switch_state=SwitchState.CONNECTED, switch_state_at=NOW),
            replace(control, **{"item_id": 9, **other}),
        )

        outcome = store.decide(order(category_code="2"))

        assert isinstance(outcome, Done) is trusted


class TestConfirm:
    def outcome(self, *switched: bool) -> SwitchResult:
        store, request = Store(*map(meter, METERS)), order(*METERS[: len(switched)])
        store.decide(request)
        for command, well in zip(store.commands(CommandKind.SWITCH), switched, strict=True):
            if well:
                store.end(command)
            else:
                store.end(command, CommandStatus.FAILED, result_code="BUSY")
        store.decide(request)
        for check in store.commands(CommandKind.SWITCH_STATE):
            store.end(check, result_state=SwitchState.DISCONNECTED)
        return told(store.decide(request))

    @pytest.mark.parametrize(
        ("switched", "code"),
        [
            pytest.param((True, True), ProcessingResultCode.SUCCESSFUL, id="all"),
            pytest.param((True, False), ProcessingResultCode.PARTIALLY_SUCCESSFUL, id="some"),
            pytest.param((False, False), ProcessingResultCode.FAILED, id="none"),
        ],
    )
    def test_sums_up_the_devices(self, switched: tuple[bool, ...], code: ProcessingResultCode) -> None:
        confirmation = confirm(order(*METERS[:2]), self.outcome(*switched))

        assert confirmation.log.result_code is code
        assert [device.result_code for device in confirmation.devices] == ["1" if well else "2" for well in switched]
        assert len(confirmation.log.items) == switched.count(False)

    def test_echoes_the_order_as_sent(self) -> None:
        confirmation = confirm(order(category_code="01"), SwitchResult())

        assert (confirmation.request_id, confirmation.category_code) == (ORDER, "01")
