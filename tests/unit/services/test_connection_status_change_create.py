"""Carrying out connection orders, decided without a database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from mdus.contracts.log import ProcessingResultCode
from mdus.domain.capability import Capabilities, CapabilityRow
from mdus.domain.command import CommandKind, CommandStatus
from mdus.domain.end_device import SwitchState, device_arrival
from mdus.domain.end_device_control import ControlStatus, EndDeviceControl
from mdus.domain.exception_case import ExceptionCase
from mdus.messaging.outcome import Await, Done, Outcome, Park
from mdus.services.connection_status_change_create import SwitchResult, confirm
from tests.unit.services.connection_orders import (
    METERS,
    MINUTE,
    ORDER,
    Store,
    answered,
    awaited,
    cancel,
    meter,
    order,
    status,
    told,
)
from tests.unit.services.device_initialization import NOW, SENDER, origin

HOUR = timedelta(hours=1)
TICK = timedelta(microseconds=1)


def codes(result: SwitchResult) -> list[str]:
    """The TypeIDs SAP's log will list."""
    return [problem.type_id for problem in result.problems]


def carried_out(store: Store, request: Any, state: SwitchState = SwitchState.DISCONNECTED) -> Outcome:
    """Play the head end: the switch is done, the position read back."""
    store.decide(request)
    for command in store.commands(CommandKind.SWITCH):
        store.end(command, acted_at=store.now)
    store.decide(request)
    for command in store.commands(CommandKind.SWITCH_STATE):
        store.end(command, result_state=state)
    return store.decide(request)


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


class TestRefusedAtOnce:
    @pytest.mark.parametrize(
        ("age", "refused"),
        [
            pytest.param(HOUR - TICK, False, id="just inside"),
            pytest.param(HOUR, True, id="when it expires"),
            pytest.param(72 * HOUR, True, id="over a weekend"),
        ],
    )
    def test_a_disconnection_planned_too_long_ago(self, age: timedelta, refused: bool) -> None:
        outcome = Store(meter(), status()).decide(order(planned_at=NOW - age))

        if refused:
            assert codes(told(outcome)) == ["311(MDUS)"]
        else:
            assert isinstance(outcome, Await)

    def test_not_a_reconnection_planned_long_ago(self) -> None:
        [command] = awaited(Store(meter(), status()).decide(order(category_code="2", planned_at=NOW - 72 * HOUR)))

        assert command.expires_at == NOW + HOUR

    @pytest.mark.parametrize("category", ["1", "2"])
    def test_test_data(self, category: str) -> None:
        store = Store(meter(), status())

        outcome = store.decide(order(category_code=category, origin=origin(item_id=1, test_data=True)))

        assert codes(told(outcome)) == ["310(MDUS)"]
        assert store.commands() == []

    @pytest.mark.parametrize(
        ("device", "type_id"),
        [
            pytest.param(meter(ams_id="AM02"), "111(MDUS)", id="another metering system"),
            pytest.param(meter(valid_from=date(2026, 3, 29)), "316(MDUS)", id="not yet in service"),
            pytest.param(meter(valid_to=date(2026, 3, 28)), "316(MDUS)", id="no longer in service"),
            pytest.param(meter(head_end=None), "317(MDUS)", id="no head end"),
        ],
    )
    def test_a_device_that_cannot_be_switched(self, device: Any, type_id: str) -> None:
        store = Store(device, status())

        assert codes(told(store.decide(order()))) == [type_id]
        assert store.commands() == []

    def test_not_a_device_on_its_last_day_in_service(self) -> None:
        assert isinstance(Store(meter(valid_to=date(2026, 3, 29)), status()).decide(order()), Await)

    @pytest.mark.parametrize(
        ("has_breaker", "refused"), [(False, True), (True, False), (None, False)], ids=["none", "one", "unknown"]
    )
    def test_a_meter_without_breaker(self, has_breaker: bool | None, refused: bool) -> None:
        outcome = Store(meter(), status(has_breaker=has_breaker)).decide(order())

        assert isinstance(outcome, Done if refused else Await)

    @pytest.mark.parametrize(("year", "refused"), [(1899, True), (1900, False), (9998, False), (9999, True)], ids=str)
    def test_a_planned_time_beyond_the_calendar(self, year: int, refused: bool) -> None:
        planned_at = datetime(year, 12, 31, 23, 59, tzinfo=UTC)
        store = Store(meter(), status())

        outcome = store.decide(order(category_code="2", planned_at=planned_at))

        assert ("304(MDUS)" in (codes(outcome.result) if isinstance(outcome, Done) else [])) is refused


class TestNotCapable:
    @pytest.mark.parametrize(
        ("lacking", "category", "refused"),
        [
            pytest.param("disconnect", "1", True, id="disconnection of what cannot be disconnected"),
            pytest.param("disconnect", "2", False, id="its reconnection"),
            pytest.param("reconnect", "2", True, id="reconnection of what cannot be reconnected"),
            pytest.param("reconnect", "1", False, id="its disconnection"),
        ],
    )
    def test_is_refused_at_once(self, lacking: str, category: str, refused: bool) -> None:
        matrix = Capabilities(rows=(CapabilityRow.model_validate({"name": "a", lacking: False}),))
        store = Store(matrix, meter(), status())

        outcome = store.decide(order(category_code=category))

        if refused:
            assert codes(told(outcome)) == ["150(MDUS)"]
            assert store.commands() == []
            control = store.control(category=category)
            assert control is not None
            assert (control.status, control.failure_code) == (ControlStatus.FAILED, "NOT_CAPABLE")
        else:
            assert len(awaited(outcome)) == 1

    def test_does_not_hold_back_the_other_devices(self) -> None:
        row = CapabilityRow(name="gas", material_id="GX*", disconnect=False)
        store = Store(
            Capabilities(rows=(row,)),
            meter(METERS[0]),
            meter(METERS[1], material_id="GX10"),
            status(METERS[0]),
            status(METERS[1]),
        )

        assert [command.device_id for command in awaited(store.decide(order(*METERS[:2])))] == [METERS[0]]

    def test_is_told_when_it_turned_out_as_the_switch_was_to_leave(self) -> None:
        store, request = Store(meter(), status()), order()
        [switch] = awaited(store.decide(request))
        store.end(switch, CommandStatus.FAILED, result_code="NOT_CAPABLE", result_text="no longer")

        assert codes(told(store.decide(request))) == ["150(MDUS)"]
        assert store.commands(CommandKind.SWITCH_STATE) == []


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


class TestDeviceNotThereYet:
    def test_is_waited_for(self) -> None:
        outcome = Store().decide(order())

        assert isinstance(outcome, Park)
        assert (outcome.waits_for, outcome.until) == (device_arrival(SENDER, METERS[0]), NOW + 30 * MINUTE)

    def test_fails_when_it_does_not_come(self) -> None:
        store = Store()
        store.decide(order())
        store.pass_time(30 * MINUTE)

        assert codes(told(store.decide(order()))) == ["110(MDUS)"]

    def test_is_switched_when_it_comes(self) -> None:
        store = Store()
        store.decide(order())
        store.add(meter(), status())
        store.pass_time(29 * MINUTE)

        assert [command.kind for command in awaited(store.decide(order()))] == [CommandKind.SWITCH]

    def test_does_not_hold_back_the_other_devices(self) -> None:
        store, request = Store(meter(), status()), order(*METERS[:2])

        waiting = store.decide(request)
        assert [command.device_id for command in awaited(waiting)] == [METERS[0]]
        assert isinstance(waiting, Await)
        assert waiting.until <= NOW + 30 * MINUTE

        store.pass_time(30 * MINUTE)
        outcome = carried_out(store, request)

        assert [(device.device_id, device.switched) for device in told(outcome).devices] == [
            (METERS[0], True),
            (METERS[1], False),
        ]

    def test_is_looked_for_again_when_the_others_are_settled(self) -> None:
        store, request = Store(meter(ams_id="AM02"), status()), order(*METERS[:2])

        outcome = store.decide(request)

        assert isinstance(outcome, Await)
        assert outcome.commands == ()
        assert NOW < outcome.until <= NOW + 2 * MINUTE
        parked = store.decide(request)
        assert isinstance(parked, Park)
        assert parked.waits_for == device_arrival(SENDER, METERS[1])


class TestSeveralDevices:
    def test_switches_each_once_even_if_named_twice(self) -> None:
        store = Store(meter(METERS[0]), meter(METERS[1]))

        commands = awaited(store.decide(order(METERS[0], METERS[1], METERS[0])))

        assert [command.device_id for command in commands] == [METERS[0], METERS[1]]

    def test_is_told_once_when_all_are_settled(self) -> None:
        store, request = Store(*map(meter, METERS)), order(*METERS)
        store.decide(request)
        first, second, third = store.commands(CommandKind.SWITCH)
        store.end(first)
        store.end(second, CommandStatus.FAILED, result_code="BUSY")

        assert isinstance(store.decide(request), Await)

        store.end(third)
        store.decide(request)
        for check in store.commands(CommandKind.SWITCH_STATE):
            store.end(check, result_state=SwitchState.DISCONNECTED)
        result = told(store.decide(request))

        assert [device.switched for device in result.devices] == [True, False, True]
        assert codes(result) == ["320(MDUS)"]

    def test_looks_again_before_the_slowest_has_ended(self) -> None:
        one = Store(meter(METERS[0])).decide(order(METERS[0]))
        several = Store(*map(meter, METERS)).decide(order(*METERS))

        assert isinstance(one, Await)
        assert isinstance(several, Await)
        assert several.until == NOW + 2 * MINUTE < one.until


class TestCancelled:
    def test_gets_no_confirmation_of_its_own(self) -> None:
        store = Store(meter(), status())
        store.decide(order())
        store.decide(cancel())

        outcome = store.decide(order())

        assert isinstance(outcome, Done)
        assert outcome.result is None
        assert [command.status for command in store.commands()] == [CommandStatus.CANCELLED]

    def test_in_part_is_confirmed_with_all_its_devices(self) -> None:
        store, request = Store(*map(meter, METERS[:2])), order(*METERS[:2])
        store.decide(request)
        first, _ = store.commands(CommandKind.SWITCH)
        store.add(replace(first, status=CommandStatus.ACCEPTED))
        store.decide(cancel())
        store.end(first)
        store.decide(request)
        [check] = store.commands(CommandKind.SWITCH_STATE)
        store.end(check, result_state=SwitchState.DISCONNECTED)

        result = told(store.decide(request))

        assert [(device.device_id, device.switched) for device in result.devices] == [
            (METERS[0], True),
            (METERS[1], False),
        ]
        assert codes(result) == ["315(MDUS)"]

    def test_does_not_begin_a_device_that_comes_later(self) -> None:
        store, request = Store(meter(METERS[0])), order(*METERS[:2])
        store.decide(request)
        assert answered(store.decide(cancel())).cancelled == 1
        store.add(meter(METERS[1]))

        outcome = store.decide(request)

        assert isinstance(outcome, Done)
        assert outcome.result is None
        assert [command.device_id for command in store.commands(CommandKind.SWITCH)] == [METERS[0]]

    def test_before_it_came_is_never_begun(self) -> None:
        store = Store(meter(), status())
        store.decide(cancel())
        store.decide(cancel())

        outcome = store.decide(order())

        assert isinstance(outcome, Done)
        assert outcome.result is None
        assert store.commands() == []
        assert answered(store.decide(cancel())).failed is False

    def test_while_it_waited_for_its_device_is_never_begun(self) -> None:
        store = Store()
        assert isinstance(store.decide(order()), Park)
        store.decide(cancel())
        store.add(meter())

        outcome = store.decide(order())

        assert isinstance(outcome, Done)
        assert outcome.result is None
        assert store.commands() == []


class TestRepeated:
    def again(self, **facts: Any) -> Any:
        return order(**{"origin": origin(item_id=3), **facts})

    def test_is_answered_with_the_stored_outcome(self) -> None:
        store = Store(meter(), status())
        first = told(carried_out(store, order()))

        assert told(store.decide(self.again())) == first
        assert len(store.commands(CommandKind.SWITCH)) == 1

    def test_is_answered_with_the_stored_failure(self) -> None:
        store = Store(meter(), status())
        first = told(carried_out(store, order(), SwitchState.CONNECTED))

        assert told(store.decide(self.again())) == first

    def test_waits_while_the_first_is_under_way(self) -> None:
        store = Store(meter(), status())
        store.decide(order())

        waiting = store.decide(self.again())

        assert isinstance(waiting, Park)
        control = store.control()
        assert control is not None
        ended = replace(control, status=ControlStatus.EXECUTED)
        assert waiting.waits_for in ended.wakes
        assert waiting.waits_for not in control.wakes
        assert len(store.commands(CommandKind.SWITCH)) == 1

    @pytest.mark.parametrize(
        "other",
        [
            {"planned_at": NOW + MINUTE},
            {"reason_code": "02"},
            {"devices": order(METERS[1]).devices},
            {"origin": origin(item_id=3, test_data=True)},
        ],
        ids=lambda other: next(iter(other)),
    )
    def test_is_refused_with_other_content(self, other: dict[str, Any]) -> None:
        store = Store(meter(), status())
        carried_out(store, order())

        assert codes(told(store.decide(self.again(**other)))) == ["302(MDUS)"]

    def test_of_the_other_category_is_another_order(self) -> None:
        store = Store(meter(), status())
        carried_out(store, order())

        assert isinstance(store.decide(self.again(category_code="2")), Await)

    def test_after_its_cancellation_does_not_switch(self) -> None:
        store = Store(meter(), status())
        store.decide(order())
        store.decide(cancel())

        assert codes(told(store.decide(self.again()))) == ["315(MDUS)"]
        assert [command.status for command in store.commands()] == [CommandStatus.CANCELLED]


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
