"""Two orders about one load control event: who asks the meter, who waits, and what each of them tells."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from mdus.domain.command import CommandStatus
from mdus.domain.device_limit import AFTER_ANOTHER
from mdus.domain.load_control_event import LoadControlEvent, LoadControlStatus
from mdus.messaging.outcome import Await, BusinessError, Done, Outcome
from mdus.services.load_control import (
    DeviceOutcome,
    EventDiffers,
    EventNotConfirmed,
    EventTakenBack,
    EventUncertain,
)
from tests.unit.services.device_initialization import NOW
from tests.unit.services.load_control_orders import (
    CANCELLED,
    FAILED,
    HOUR,
    METERS,
    ORDERED,
    SCHEDULED,
    UNCERTAIN,
    Store,
    answer,
    cancel,
    problems,
    schedule,
)


class TestTwoOrdersForTheSame:
    """The first still waits for another meter when the second has taken a device's event over."""

    def first(self, store: Store, status: CommandStatus, **facts: Any) -> None:
        """Have the first order's command end at one of its two meters."""
        store.decide(schedule(*METERS[:2]))
        store.end(store.commands()[0], status, **facts)
        store.decide(schedule(*METERS[:2]))

    def taken_over(self, store: Store, event: LoadControlEvent | None) -> None:
        """The first looks again, as often as it may: nothing is begun anew, and the event stays the second's."""
        for _ in range(3):
            store.now += timedelta(minutes=2)
            outcome = store.decide(schedule(*METERS[:2]))
            assert isinstance(outcome, Await)
            assert [command.device_id for command in outcome.commands] == [METERS[1]]
            assert store.event() == event

    def done(self, store: Store) -> Outcome:
        """The other meter confirms too."""
        [slow] = [command for command in store.commands() if command.device_id == METERS[1]]
        store.end(slow)
        return store.decide(schedule(*METERS[:2]))

    def test_tell_alike_what_is_uncertain_after_both(self) -> None:
        store = Store()
        self.first(store, CommandStatus.UNCERTAIN, result_code="UNCERTAIN")
        second = schedule(item_id=9)
        store.decide(second)
        self.taken_over(store, store.event())
        store.end(store.commands(9)[0], CommandStatus.UNCERTAIN, result_code="UNCERTAIN")
        assert problems(store.decide(second)) == [(METERS[0], EventUncertain.type_id)]

        self.taken_over(store, store.event())
        outcome = self.done(store)
        assert [one.status for one in answer(outcome).devices] == [UNCERTAIN, SCHEDULED]
        assert problems(outcome) == [(METERS[0], EventUncertain.type_id)]

    def test_tell_alike_what_the_second_has_settled(self) -> None:
        store = Store()
        self.first(store, CommandStatus.UNCERTAIN, result_code="UNCERTAIN")
        store.decide(schedule(item_id=9))
        store.end(store.commands(9)[0])
        store.decide(schedule(item_id=9))
        self.taken_over(store, store.event())
        assert answer(self.done(store)).problems == ()

    @pytest.mark.parametrize(
        ("code", "status", "error"),
        [
            pytest.param(None, CANCELLED, EventTakenBack, id="cancelled"),
            pytest.param("KILL_SWITCH", FAILED, EventNotConfirmed, id="refused"),
        ],
    )
    def test_never_bring_back_what_does_not_stand(
        self, code: str | None, status: LoadControlStatus, error: type[BusinessError]
    ) -> None:
        store = Store()
        self.first(store, CommandStatus.DONE)
        store.decide(cancel(METERS[0]))
        store.end(store.commands(8)[0])
        store.decide(cancel(METERS[0]))
        store.decide(schedule(item_id=9))
        store.end(store.commands(9)[0], CommandStatus.DONE if code is None else CommandStatus.FAILED, result_code=code)
        store.decide(schedule(item_id=9))
        if code is None:
            store.decide(cancel(METERS[0], item_id=10))
            store.end(store.commands(10)[0])
            store.decide(cancel(METERS[0], item_id=10))
        assert store.status() is status

        self.taken_over(store, store.event())
        outcome = self.done(store)
        assert [one.status for one in answer(outcome).devices] == [status, SCHEDULED]
        assert problems(outcome) == [(METERS[0], error.type_id)]

    def test_leave_a_name_to_another_event(self) -> None:
        store = Store()
        self.first(store, CommandStatus.FAILED, result_code="KILL_SWITCH")
        other = schedule(item_id=9, percent=10)
        assert isinstance(store.decide(other), Await)
        store.end(store.commands(9)[0])
        store.decide(other)
        self.taken_over(store, store.event())
        outcome = self.done(store)
        assert [one.status for one in answer(outcome).devices] == [SCHEDULED, SCHEDULED]
        assert problems(outcome) == [(METERS[0], EventDiffers.type_id)]

    def test_begin_at_a_meter_that_only_the_second_names(self) -> None:
        store = Store()
        self.first(store, CommandStatus.UNCERTAIN, result_code="UNCERTAIN")
        outcome = store.decide(schedule(METERS[0], METERS[2], item_id=9))
        assert isinstance(outcome, Await)
        assert [command.device_id for command in outcome.commands] == [METERS[0], METERS[2]]


class TestACancellationAndAnotherOrder:
    """Of one meter one thing is asked at a time, and what it did last is what stands."""

    def cancelled_at_one(self, store: Store) -> None:
        """Have the event cancelled at the first of two meters; the cancellation still waits for the other."""
        store.scheduled(*METERS[:2])
        store.decide(cancel())
        store.end(store.commands(8)[0])
        store.decide(cancel())
        assert (store.status(), store.status(METERS[1])) == (CANCELLED, SCHEDULED)

    def test_leaves_what_was_scheduled_since(self) -> None:
        store = Store()
        self.cancelled_at_one(store)
        store.decide(schedule(item_id=9))
        store.decide(cancel())
        assert store.status() is ORDERED
        store.end(store.commands(9)[0])
        store.decide(schedule(item_id=9))
        store.now += timedelta(minutes=2)
        store.decide(cancel())
        assert store.status() is SCHEDULED

        [slow] = [command for command in store.commands(8) if not command.has_ended]
        store.end(slow)
        outcome = store.decide(cancel())
        assert {one.device_id: one.status for one in answer(outcome).devices} == {
            METERS[0]: SCHEDULED,
            METERS[1]: CANCELLED,
        }
        assert problems(outcome) == []

    def test_asks_no_more_once_it_is_scheduled_since(self) -> None:
        store = Store()
        store.scheduled()
        event = store.event()
        assert event is not None
        store.known.after(Done(changes=(event.settled(UNCERTAIN, now=NOW),)))
        store.decide(cancel())
        store.end(store.commands(8)[0], CommandStatus.FAILED, result_code="NO_RESPONSE")
        store.decide(schedule(item_id=9))
        store.end(store.commands(9)[0])
        store.decide(schedule(item_id=9))
        outcome = store.decide(cancel())
        assert problems(outcome) == [(METERS[0], EventNotConfirmed.type_id)]
        assert (store.status(), len(store.commands(8))) == (SCHEDULED, 1)

    def test_is_waited_for_before_the_event_is_scheduled_again(self) -> None:
        store = Store()
        store.decide(schedule())
        store.decide(cancel())
        store.now += AFTER_ANOTHER
        store.decide(schedule())
        again = schedule(item_id=9)
        assert store.decide(again) == Await(commands=(), until=store.now + AFTER_ANOTHER)
        assert store.status() is CANCELLED

        store.end(store.commands(8)[0])
        store.decide(cancel())
        assert isinstance(store.decide(again), Await)
        store.end(store.commands(9)[0])
        assert answer(store.decide(again)).problems == ()
        assert store.status() is SCHEDULED

    def test_is_waited_for_before_the_event_is_told_to_stand(self) -> None:
        store = Store()
        store.scheduled()
        store.decide(cancel())
        again = schedule(item_id=9)
        assert store.decide(again) == Await(commands=(), until=NOW + AFTER_ANOTHER)
        store.end(store.commands(8)[0], CommandStatus.FAILED, result_code="NOT_SUPPORTED")
        assert answer(store.decide(again)).devices == (DeviceOutcome(device_id=METERS[0], status=SCHEDULED),)

    def test_that_is_lost_is_not_waited_for(self) -> None:
        store = Store()
        store.scheduled()
        store.decide(cancel())
        again = schedule(item_id=9)
        patience = HOUR + timedelta(minutes=90) + HOUR + timedelta(minutes=1)  # the event, a result, and a while
        store.now = NOW + patience - timedelta(seconds=1)
        assert isinstance(store.decide(again), Await)
        store.now = NOW + patience
        assert answer(store.decide(again)).devices[0].status is SCHEDULED

    def test_of_another_event_is_not_waited_for(self) -> None:
        store = Store()
        store.decide(schedule())
        store.decide(cancel())
        assert store.decide(schedule(item_id=9, event_id="other")) != Await(commands=(), until=NOW + AFTER_ANOTHER)
        assert len(store.commands(9)) == 1

    def test_is_waited_for_before_a_silent_meter_is_told_again(self) -> None:
        store = Store()
        store.decide(schedule())
        store.end(store.commands()[0], CommandStatus.FAILED, result_code="NO_RESPONSE")
        store.decide(cancel())  # before the order has looked what became of its command
        assert store.decide(schedule()) == Await(commands=(), until=NOW + AFTER_ANOTHER)
        store.end(store.commands(8)[0])
        store.decide(cancel())
        assert problems(store.decide(schedule())) == [(METERS[0], EventTakenBack.type_id)]
        assert (store.status(), len(store.commands())) == (CANCELLED, 1)
