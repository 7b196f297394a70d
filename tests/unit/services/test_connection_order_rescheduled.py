"""Rescheduling: SAP cancels a connection order and orders again for later, under the same name or another."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from mdus.domain.command import CommandKind, CommandStatus
from mdus.domain.end_device_control import ControlStatus
from mdus.messaging.outcome import Await, Done, Park
from mdus.services import connection_status_change_create as create
from tests.unit.services.connection_orders import METERS, MINUTE, Store, answered, cancel, meter, order, status, told
from tests.unit.services.device_initialization import NOW, origin

LATER = NOW + timedelta(days=1)


def rescheduled(*device_ids: str, **facts: Any) -> create.Request:
    """The order under the same name, as another message, for the next day."""
    return order(*device_ids, **{"origin": origin(item_id=3), "planned_at": LATER, **facts})


def codes(store: Store, request: create.Request) -> list[str]:
    return [problem.type_id for problem in told(store.decide(request)).problems]


@pytest.fixture
def store() -> Store:
    """An order for two meters that SAP has taken back."""
    made = Store(*map(meter, METERS), *map(status, METERS))
    made.decide(order(*METERS[:2]))
    made.decide(cancel(*METERS[:2]))
    return made


class TestACancelledOrder:
    def test_that_is_planned_later_is_a_new_one(self, store: Store) -> None:
        assert isinstance(store.decide(rescheduled(*METERS[:2])), Await)

        ready = [command for command in store.commands(CommandKind.SWITCH) if command.status is CommandStatus.READY]
        assert [(command.device_id, command.not_before) for command in ready] == [(one, LATER) for one in METERS[:2]]
        control = store.control()
        assert control is not None
        assert (control.status, control.planned_at, control.item_id) == (ControlStatus.ORDERED, LATER, 3)

    def test_leaves_nothing_of_meters_it_does_not_name_any_more(self, store: Store) -> None:
        store.decide(rescheduled(METERS[0]))
        assert store.control(METERS[1]) is None
        # So that the new order, coming again, is the same.
        assert isinstance(store.decide(rescheduled(METERS[0], origin=origin(item_id=4))), Park)

    @pytest.mark.parametrize(
        ("planned_at", "type_id"),
        [
            pytest.param(NOW, "315(MDUS)", id="as it was"),
            pytest.param(NOW - MINUTE, "302(MDUS)", id="earlier"),
        ],
    )
    def test_that_is_not_planned_later_stays_cancelled(self, store: Store, planned_at: Any, type_id: str) -> None:
        assert set(codes(store, rescheduled(*METERS[:2], planned_at=planned_at))) == {type_id}
        assert store.commands(CommandKind.SWITCH) == [
            replace(command, status=CommandStatus.CANCELLED) for command in store.commands(CommandKind.SWITCH)
        ]

    def test_that_comes_late_itself_does_not_replace_the_new_one(self, store: Store) -> None:
        store.decide(rescheduled(*METERS[:2]))
        assert codes(store, order(*METERS[:2], origin=origin(item_id=4))) == ["302(MDUS)"]
        control = store.control()
        assert control is not None
        assert control.planned_at == LATER

    def test_may_be_cancelled_again(self, store: Store) -> None:
        store.decide(rescheduled(*METERS[:2]))
        assert answered(store.decide(cancel(*METERS[:2], origin=origin(item_id=4)))).cancelled == 2

        outcome = store.decide(rescheduled(*METERS[:2]))
        assert isinstance(outcome, Done)
        assert outcome.result is None
        assert {command.status for command in store.commands(CommandKind.SWITCH)} == {CommandStatus.CANCELLED}

    def test_cannot_be_taken_back_once_its_new_switch_has_left(self, store: Store) -> None:
        store.decide(rescheduled(*METERS[:2]))
        for command in store.commands(CommandKind.SWITCH):
            if command.status is CommandStatus.READY:
                store.add(replace(command, status=CommandStatus.ACCEPTED))
        result = answered(store.decide(cancel(*METERS[:2], origin=origin(item_id=4))))
        assert [problem.type_id for problem in result.problems] == ["331(MDUS)"] * 2

    def test_of_which_a_meter_was_switched_is_not_ordered_again(self) -> None:
        store = Store(*map(meter, METERS), *map(status, METERS))
        store.decide(order(*METERS[:2]))
        first, _ = store.commands(CommandKind.SWITCH)
        store.add(replace(first, status=CommandStatus.ACCEPTED))
        store.decide(cancel(*METERS[:2]))
        assert codes(store, rescheduled(*METERS[:2])) == ["302(MDUS)"]


class TestAnOrderAtOnce:
    """Its planned time says nothing: it is due when it comes, and kept as planned no later than that."""

    @pytest.mark.parametrize("ahead", [timedelta(seconds=3), timedelta(days=1)], ids=["clock ahead", "another day"])
    def test_stays_cancelled_when_it_comes_again(self, ahead: timedelta) -> None:
        store = Store(meter(), status())
        store.decide(order(planned_at=NOW + ahead, immediate=True))
        store.decide(cancel())

        store.pass_time(MINUTE)
        again = rescheduled(planned_at=NOW + ahead, immediate=True, origin=origin(item_id=3, received_at=store.now))
        assert codes(store, again) == ["315(MDUS)"]
        assert {command.status for command in store.commands()} == {CommandStatus.CANCELLED}

    def test_takes_the_place_of_no_planned_one_that_was_cancelled(self, store: Store) -> None:
        assert codes(store, rescheduled(*METERS[:2], immediate=True)) == ["315(MDUS)"] * 2

    def test_that_was_cancelled_gives_way_to_one_that_is_planned_later(self) -> None:
        store = Store(meter(), status())
        store.decide(order(planned_at=NOW + timedelta(seconds=3), immediate=True))
        store.decide(cancel())
        assert isinstance(store.decide(rescheduled()), Await)

    def test_that_says_otherwise_waits_for_no_cancellation(self) -> None:
        store = Store(meter(), status())
        store.decide(order())
        assert codes(store, rescheduled(immediate=True, reason_code="1")) == ["302(MDUS)"]


class TestAnOrderThatComesBeforeTheCancellation:
    def test_of_the_one_it_replaces_waits_for_it(self) -> None:
        store = Store(meter(), status())
        store.decide(order())
        waiting = store.decide(rescheduled())
        assert isinstance(waiting, Park)

        store.decide(cancel())
        control = store.control()
        assert control is not None
        assert waiting.waits_for in control.wakes
        assert isinstance(store.decide(rescheduled()), Await)

    def test_is_refused_when_none_comes(self) -> None:
        store = Store(meter(), status())
        store.decide(order(planned_at=NOW + timedelta(hours=5)))
        store.pass_time(timedelta(minutes=30))
        assert codes(store, rescheduled()) == ["302(MDUS)"]

    def test_does_not_wait_for_one_that_is_carried_out(self) -> None:
        store = Store(meter(), status())
        store.decide(order())
        control = store.control()
        assert control is not None
        store.add(replace(control, status=ControlStatus.EXECUTED, processed_at=NOW))
        assert codes(store, rescheduled()) == ["302(MDUS)"]

    def test_and_overtakes_both_is_cancelled_with_the_first(self) -> None:
        """Cancellation, new order, old order: nothing is switched, which harms nobody."""
        store = Store(meter(), status())
        store.decide(cancel())
        store.decide(rescheduled())
        assert codes(store, order(origin=origin(item_id=4))) == ["302(MDUS)"]
        assert store.commands() == []
