"""Connection orders that SAP takes back, or sends again, decided without a database."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mdus.domain.command import CommandKind, CommandStatus
from mdus.domain.end_device import SwitchState
from mdus.domain.end_device_control import ControlStatus
from mdus.messaging.outcome import Await, Done, Park
from tests.unit.services.connection_orders import (
    METERS,
    MINUTE,
    Store,
    answered,
    cancel,
    carried_out,
    codes,
    meter,
    order,
    status,
    told,
)
from tests.unit.services.device_initialization import NOW, origin


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
