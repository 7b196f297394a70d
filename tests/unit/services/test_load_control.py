"""Load control events at several meters: scheduled, cancelled, told device by device; decided without a database."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from mdus.domain.capability import Capabilities, CapabilityRow
from mdus.domain.command import CommandKind, CommandStatus
from mdus.domain.device_limit import AFTER_ANOTHER
from mdus.domain.load_control_event import LoadControlStatus
from mdus.domain.repeatable_command import PAUSE
from mdus.messaging.commanded_device import TestData as OnlyTestData
from mdus.messaging.outcome import Await, Done, Outcome
from mdus.services.load_control import (
    Answer,
    DeviceOutcome,
    EventDiffers,
    EventIncomplete,
    EventIsOver,
    EventNotConfirmed,
    EventTakenBack,
    EventUncertain,
    EventUnknown,
)
from tests.unit.services.device_initialization import NOW, known_device, origin
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


class TestAnEvent:
    def test_is_ordered_of_each_meter_once(self) -> None:
        store = Store()
        outcome = store.decide(schedule(METERS[0], METERS[1], METERS[0]))
        assert isinstance(outcome, Await)
        one, other = outcome.commands
        assert [one.device_id, other.device_id] == list(METERS[:2])
        assert (one.kind, one.expires_at) == (CommandKind.CONTROL_LOAD, NOW + HOUR + timedelta(minutes=90))
        assert one.parameters == (
            ("event", "peak"),
            ("action", "schedule"),
            ("start", "2026-03-28T13:00:00Z"),
            ("minutes", "90"),
            ("percent", "40"),
        )
        assert (store.status(), store.status(METERS[1])) == (ORDERED, ORDERED)

    def test_stands_where_the_meter_has_confirmed_it(self) -> None:
        store = Store()
        request = schedule(*METERS[:2])
        store.decide(request)
        one, other = store.commands()
        store.end(one, acted_at=NOW + PAUSE)
        assert isinstance(store.decide(request), Await)
        assert (store.status(), store.status(METERS[1])) == (SCHEDULED, ORDERED)

        store.end(other, CommandStatus.FAILED, result_code="NOT_SUPPORTED", result_text="no load to control")
        outcome = store.decide(request)
        assert answer(outcome).devices == (
            DeviceOutcome(device_id=METERS[0], status=SCHEDULED),
            DeviceOutcome(device_id=METERS[1], status=FAILED),
        )
        assert problems(outcome) == [(METERS[1], EventNotConfirmed.type_id)]
        event = store.event(METERS[1])
        assert event is not None
        assert event.note == "NOT_SUPPORTED: no load to control"

    def test_is_ordered_again_of_a_meter_that_stays_silent(self) -> None:
        store = Store()
        store.decide(schedule())
        [command] = store.commands()
        store.end(command, CommandStatus.TIMED_OUT, result_code="TIMED_OUT")
        store.decide(schedule())
        _, repeated = store.commands()
        assert repeated.parameters == command.parameters
        assert repeated.not_before == NOW + PAUSE
        store.end(repeated)
        assert answer(store.decide(schedule())).devices[0].status is SCHEDULED

    @pytest.mark.parametrize(
        ("start_at", "minutes", "taken"),
        [
            pytest.param(NOW + HOUR, 90, True, id="to come"),
            pytest.param(NOW - HOUR, 61, True, id="under way"),
            pytest.param(NOW - HOUR, 60, False, id="just over"),
            pytest.param(NOW - 10 * HOUR, 60, False, id="long over"),
        ],
    )
    def test_that_has_passed_is_refused(self, start_at: Any, minutes: int, taken: bool) -> None:
        outcome = Store().decide(schedule(start_at=start_at, minutes=minutes))
        assert isinstance(outcome, Await) is taken
        if not taken:
            assert problems(outcome) == [(METERS[0], EventIsOver.type_id)]

    @pytest.mark.parametrize("lacking", ["start_at", "minutes", "percent", "device_ids"])
    def test_that_does_not_say_all_is_refused(self, lacking: str) -> None:
        nothing = () if lacking == "device_ids" else None
        with pytest.raises(EventIncomplete):
            Store().decide(replace(schedule(), **{lacking: nothing}))

    def test_of_test_data_is_refused(self) -> None:
        for request in (schedule(), cancel()):
            with pytest.raises(OnlyTestData):
                Store().decide(replace(request, origin=origin(test_data=True)))

    def test_goes_on_without_devices_that_cannot(self) -> None:
        matrix = Capabilities(rows=(CapabilityRow(name="a", material_id="NO", load_control=False),))
        unable = known_device(device_id=METERS[1], material_id="NO")
        store = Store(matrix, unable)
        outcome = store.decide(schedule("9", *METERS[:2]))
        assert isinstance(outcome, Await)
        assert [command.device_id for command in outcome.commands] == [METERS[0]]
        store.end(outcome.commands[0])
        outcome = store.decide(schedule("9", *METERS[:2]))
        assert problems(outcome) == [("9", "110(MDUS)"), (METERS[1], "150(MDUS)")]
        assert [one.status for one in answer(outcome).devices] == [None, SCHEDULED, None]


class TestTheSameAgain:
    def test_is_answered_as_it_stands(self) -> None:
        store = Store()
        store.scheduled()
        outcome = store.decide(schedule(item_id=9))
        assert answer(outcome) == Answer(devices=(DeviceOutcome(device_id=METERS[0], status=SCHEDULED),))
        assert store.commands(9) == []

    def test_waits_for_the_first(self) -> None:
        store = Store()
        store.decide(schedule())
        assert store.decide(schedule(item_id=9)) == Await(commands=(), until=NOW + AFTER_ANOTHER)

    @pytest.mark.parametrize("changes", [{"start_at": NOW + 2 * HOUR}, {"minutes": 91}, {"percent": 41}])
    def test_with_other_content_is_refused(self, changes: dict[str, Any]) -> None:
        store = Store()
        store.scheduled()
        assert problems(store.decide(schedule(item_id=9, **changes))) == [(METERS[0], EventDiffers.type_id)]

    def test_with_other_content_is_ordered_when_the_one_before_is_over(self) -> None:
        store = Store()
        store.scheduled()
        store.now = NOW + timedelta(days=1)
        outcome = store.decide(schedule(item_id=9, start_at=store.now + HOUR))
        assert isinstance(outcome, Await)
        assert len(outcome.commands) == 1

    @pytest.mark.parametrize("status", [CANCELLED, FAILED])
    def test_is_ordered_where_it_does_not_stand(self, status: LoadControlStatus) -> None:
        store = Store()
        store.scheduled()
        event = store.event()
        assert event is not None
        store.known.after(Done(changes=(event.settled(status, now=NOW),)))
        outcome = store.decide(schedule(item_id=9, percent=10))
        assert isinstance(outcome, Await)
        assert len(outcome.commands) == 1


class TestAnEventInDoubt:
    """Nobody knows whether the meter has it: it may be in force."""

    def doubted(self, store: Store, *codes: str) -> Outcome:
        """Let the attempts of an event end with these codes; returns what becomes of its request."""
        outcome = store.decide(schedule())
        for code in codes:
            store.end(store.commands()[-1], CommandStatus.FAILED, result_code=code)
            outcome = store.decide(schedule())
        return outcome

    @pytest.mark.parametrize(
        ("codes", "status"),
        [
            pytest.param(["NO_RESPONSE"] * 3, UNCERTAIN, id="silent"),
            pytest.param(["NO_RESPONSE", "KILL_SWITCH"], UNCERTAIN, id="silent, then refused"),
            pytest.param(["NO_RESPONSE", "EXPIRED"], UNCERTAIN, id="silent, then expired"),
            pytest.param(["NO_RESPONSE", "NOT_SUPPORTED"], UNCERTAIN, id="silent, then told that the meter cannot"),
            pytest.param(["NO_RESPONSE", "UNKNOWN_METER"], UNCERTAIN, id="silent, then no such meter"),
            pytest.param(["NOT_SUPPORTED"], FAILED, id="refused by a meter that cannot"),
            pytest.param(["EXPIRED"], FAILED, id="never given"),
        ],
    )
    def test_has_not_failed(self, codes: list[str], status: LoadControlStatus) -> None:
        store = Store()
        outcome = self.doubted(store, *codes)
        assert store.status() is status
        error = EventUncertain if status is UNCERTAIN else EventNotConfirmed
        assert problems(outcome) == [(METERS[0], error.type_id)]

    def test_is_one_whose_command_expired_after_an_uncertain_attempt(self) -> None:
        store = Store()
        store.decide(schedule())
        store.end(store.commands()[0], CommandStatus.UNCERTAIN, result_code="EXPIRED")
        store.decide(schedule())
        assert store.status() is UNCERTAIN

    def test_lets_no_other_take_its_name(self) -> None:
        store = Store()
        self.doubted(store, *["NO_RESPONSE"] * 3)
        assert problems(store.decide(schedule(item_id=9, percent=10))) == [(METERS[0], EventDiffers.type_id)]
        store.now = NOW + timedelta(days=1)
        assert isinstance(store.decide(schedule(item_id=10, start_at=store.now + HOUR)), Await)

    def test_is_ordered_once_more_by_the_same_again(self) -> None:
        store = Store()
        self.doubted(store, *["NO_RESPONSE"] * 3)
        again = schedule(item_id=9)
        assert isinstance(store.decide(again), Await)
        assert store.decide(schedule(item_id=10)) == Await(commands=(), until=NOW + AFTER_ANOTHER)
        store.end(store.commands(9)[0])
        assert answer(store.decide(again)).problems == ()
        assert store.status() is SCHEDULED

    def test_stays_so_when_that_is_refused(self) -> None:
        store = Store()
        self.doubted(store, *["NO_RESPONSE"] * 3)
        again = schedule(item_id=9)
        store.decide(again)
        store.end(store.commands(9)[0], CommandStatus.FAILED, result_code="KILL_SWITCH")
        assert problems(store.decide(again)) == [(METERS[0], EventUncertain.type_id)]
        assert store.status() is UNCERTAIN

    @pytest.mark.parametrize(
        ("code", "status"),
        [
            pytest.param(None, CANCELLED, id="confirmed"),
            pytest.param("UNKNOWN_EVENT", CANCELLED, id="never had"),
            pytest.param("NOT_SUPPORTED", UNCERTAIN, id="refused"),
        ],
    )
    def test_is_cancelled_by_what_the_meter_says(self, code: str | None, status: LoadControlStatus) -> None:
        store = Store()
        self.doubted(store, *["NO_RESPONSE"] * 3)
        store.decide(cancel())
        ended = CommandStatus.DONE if code is None else CommandStatus.FAILED
        store.end(store.commands(8)[0], ended, result_code=code)
        store.decide(cancel())
        assert store.status() is status

    def test_is_not_cancelled_by_what_is_only_called_back(self) -> None:
        store = Store()
        store.decide(schedule())
        store.end(store.commands()[0], CommandStatus.FAILED, result_code="NO_RESPONSE")
        store.decide(schedule())
        store.decide(cancel())
        assert [command.status for command in store.commands()] == [CommandStatus.FAILED, CommandStatus.CANCELLED]
        store.end(store.commands(8)[0], CommandStatus.FAILED, result_code="NOT_SUPPORTED")
        store.decide(cancel())
        store.now += AFTER_ANOTHER
        assert problems(store.decide(schedule())) == [(METERS[0], EventUncertain.type_id)]
        assert store.status() is UNCERTAIN


class TestACancellation:
    def test_is_ordered_of_all_that_have_the_event(self) -> None:
        store = Store()
        store.scheduled(*METERS[:2])
        outcome = store.decide(cancel())
        assert isinstance(outcome, Await)
        assert [command.device_id for command in outcome.commands] == list(METERS[:2])
        assert {command.parameter("action") for command in outcome.commands} == {"cancel"}
        assert store.status() is SCHEDULED

        for command in outcome.commands:
            store.end(command)
        outcome = store.decide(cancel())
        assert answer(outcome).problems == ()
        assert (store.status(), store.status(METERS[1])) == (CANCELLED, CANCELLED)

    def test_is_ordered_of_those_named(self) -> None:
        store = Store()
        store.scheduled(*METERS[:2])
        outcome = store.decide(cancel(METERS[1]))
        assert isinstance(outcome, Await)
        assert [command.device_id for command in outcome.commands] == [METERS[1]]

    def test_of_an_event_that_nobody_knows_is_told(self) -> None:
        store = Store()
        with pytest.raises(EventUnknown):
            store.decide(cancel())
        store.scheduled()
        with pytest.raises(EventUnknown):
            store.decide(cancel(event_id="other"))
        assert problems(store.decide(cancel(METERS[1]))) == [(METERS[1], EventUnknown.type_id)]

    def test_of_an_event_that_is_over_is_told(self) -> None:
        store = Store()
        store.scheduled()
        store.now = NOW + HOUR + timedelta(minutes=90)
        outcome = store.decide(cancel())
        assert problems(outcome) == [(METERS[0], EventIsOver.type_id)]
        assert store.status() is SCHEDULED

    def test_that_the_meter_does_not_confirm_leaves_the_event_as_it_is(self) -> None:
        store = Store()
        store.scheduled()
        store.decide(cancel())
        store.end(store.commands(8)[0], CommandStatus.FAILED, result_code="NOT_SUPPORTED")
        assert problems(store.decide(cancel())) == [(METERS[0], EventNotConfirmed.type_id)]
        assert store.status() is SCHEDULED

    def test_is_done_where_the_meter_knows_of_no_such_event(self) -> None:
        store = Store()
        store.scheduled()
        store.decide(cancel())
        store.end(store.commands(8)[0], CommandStatus.FAILED, result_code="UNKNOWN_EVENT")
        assert answer(store.decide(cancel())).problems == ()
        assert store.status() is CANCELLED

    def test_calls_back_what_has_not_left_and_asks_the_meter_all_the_same(self) -> None:
        store = Store()
        store.decide(schedule())
        outcome = store.decide(cancel())
        [ordered] = store.commands()
        assert ordered.status is CommandStatus.CANCELLED
        assert isinstance(outcome, Await)
        assert [command.parameter("action") for command in outcome.commands] == ["cancel"]

        store.now += AFTER_ANOTHER
        assert problems(store.decide(schedule())) == [(METERS[0], EventTakenBack.type_id)]
        assert store.status() is CANCELLED
        store.end(store.commands(8)[0], CommandStatus.FAILED, result_code="UNKNOWN_EVENT")
        assert answer(store.decide(cancel())).problems == ()

    @pytest.mark.parametrize(
        ("ended", "status"),
        [
            pytest.param(CommandStatus.CANCELLED, CANCELLED, id="never given"),
            pytest.param(CommandStatus.UNCERTAIN, UNCERTAIN, id="perhaps carried out"),
        ],
    )
    def test_decides_nothing_in_the_turn_that_calls_back(self, ended: CommandStatus, status: LoadControlStatus) -> None:
        store = Store()
        store.decide(schedule())
        store.decide(cancel())
        assert store.decide(schedule()) == Await(commands=(), until=NOW + AFTER_ANOTHER)
        assert store.status() is ORDERED

        store.end(store.commands()[0], ended)
        store.now += AFTER_ANOTHER
        store.decide(schedule())
        assert store.status() is status

    def test_waits_for_what_is_under_way(self) -> None:
        store = Store()
        store.decide(schedule())
        [command] = store.commands()
        store.known.after(Done(changes=(replace(command, status=CommandStatus.ACCEPTED),)))
        assert store.decide(cancel()) == Await(commands=(), until=NOW + AFTER_ANOTHER)
        store.end(command)
        store.decide(schedule())
        outcome = store.decide(cancel())
        assert isinstance(outcome, Await)
        assert len(outcome.commands) == 1

    def test_again_is_done_already(self) -> None:
        store = Store()
        store.scheduled()
        store.decide(cancel())
        store.end(store.commands(8)[0])
        store.decide(cancel())
        assert answer(store.decide(cancel(item_id=9))).devices == (
            DeviceOutcome(device_id=METERS[0], status=CANCELLED),
        )
