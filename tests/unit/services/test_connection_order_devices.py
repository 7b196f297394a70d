"""Connection orders of several devices, or of one that is not there yet, decided without a database."""

from __future__ import annotations

from mdus.domain.command import CommandKind, CommandStatus
from mdus.domain.end_device import SwitchState, device_arrival
from mdus.messaging.outcome import Await, Park
from tests.unit.services.connection_orders import (
    METERS,
    MINUTE,
    Store,
    awaited,
    carried_out,
    codes,
    meter,
    order,
    status,
    told,
)
from tests.unit.services.device_initialization import NOW, SENDER


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
