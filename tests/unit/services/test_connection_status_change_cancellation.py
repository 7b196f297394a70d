"""Taking connection orders back: every race, decided without a database."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from mdus.contracts.log import ProcessingResultCode
from mdus.domain.command import CommandKind, CommandStatus
from mdus.domain.end_device import SwitchState
from mdus.domain.end_device_control import ControlStatus
from mdus.messaging.outcome import Await, Done, Park
from mdus.services.connection_status_change_cancellation import CancellationResult, confirm
from tests.unit.services.connection_orders import METERS, MINUTE, Store, answered, cancel, meter, order
from tests.unit.services.device_initialization import origin


def ordered(count: int = 1) -> Store:
    """A store with an order for so many devices whose switches are ready to leave."""
    store = Store(*map(meter, METERS[:count]))
    store.decide(order(*METERS[:count]))
    return store


class TestWhileReady:
    def test_takes_back_every_device_whatever_it_lists(self) -> None:
        store = ordered(3)

        result = answered(store.decide(cancel(METERS[1])))

        assert (result.cancelled, result.problems) == (3, ())
        assert {command.status for command in store.commands()} == {CommandStatus.CANCELLED}
        assert [store.control(device).status for device in METERS] == [ControlStatus.CANCELLED] * 3  # type: ignore[union-attr]

    def test_takes_the_category_with_a_leading_zero(self) -> None:
        assert answered(ordered().decide(cancel(category_code="01"))).cancelled == 1

    def test_leaves_the_other_category_alone(self) -> None:
        store = ordered()

        assert isinstance(store.decide(cancel(category_code="2")), Await)
        assert [command.status for command in store.commands()] == [CommandStatus.READY]

    @pytest.mark.parametrize("category", ["0", "3", "X"])
    def test_refuses_another_category(self, category: str) -> None:
        [problem] = answered(ordered().decide(cancel(category_code=category))).problems

        assert problem.type_id == "301(MDUS)"


class TestAfterTheCommandLeft:
    @pytest.mark.parametrize(
        "status",
        [
            CommandStatus.SUBMITTING,
            CommandStatus.ACCEPTED,
            CommandStatus.DONE,
            CommandStatus.UNCERTAIN,
            CommandStatus.TIMED_OUT,
        ],
        ids=lambda status: status,
    )
    def test_cannot_cancel(self, status: CommandStatus) -> None:
        store = ordered()
        [command] = store.commands()
        store.add(replace(command, status=status))

        result = answered(store.decide(cancel()))

        assert result.cancelled == 0
        assert [problem.type_id for problem in result.problems] == ["331(MDUS)"]
        assert store.control().status is ControlStatus.ORDERED  # type: ignore[union-attr]
        assert store.commands()[0].status is status

    def test_cannot_cancel_while_the_position_is_read_back(self) -> None:
        store = ordered()
        [command] = store.commands()
        store.end(command)
        store.decide(order())

        result = answered(store.decide(cancel()))

        assert [problem.type_id for problem in result.problems] == ["331(MDUS)"]
        assert store.commands(CommandKind.SWITCH_STATE)[0].status is CommandStatus.READY

    def test_takes_back_what_it_still_can(self) -> None:
        store = ordered(2)
        store.add(replace(store.commands()[0], status=CommandStatus.ACCEPTED))

        result = answered(store.decide(cancel(*METERS[:2])))

        assert (result.cancelled, len(result.problems)) == (1, 1)
        assert METERS[0] in result.problems[0].note


class TestAfterTheEnd:
    @pytest.mark.parametrize(
        "state",
        [SwitchState.DISCONNECTED, SwitchState.CONNECTED],
        ids=["executed", "failed"],
    )
    def test_is_too_late(self, state: SwitchState) -> None:
        store = ordered()
        store.end(store.commands()[0])
        store.decide(order())
        store.end(store.commands(CommandKind.SWITCH_STATE)[0], result_state=state)
        store.decide(order())

        result = answered(store.decide(cancel()))

        assert [problem.type_id for problem in result.problems] == ["332(MDUS)"]


class TestWhileADeviceIsStillToCome:
    """The order is for two meters; SAP has not created the second yet."""

    @pytest.fixture
    def store(self) -> Store:
        made = Store(meter(METERS[0]))
        made.decide(order(*METERS[:2]))
        return made

    def arrives(self, store: Store) -> None:
        store.add(meter(METERS[1]))
        store.decide(order(*METERS[:2]))
        assert store.commands(CommandKind.SWITCH, METERS[1]) == []
        assert store.control(METERS[1]).status is ControlStatus.CANCELLED  # type: ignore[union-attr]

    def test_takes_it_back_though_the_others_switch_has_left(self, store: Store) -> None:
        store.add(replace(store.commands()[0], status=CommandStatus.ACCEPTED))

        result = answered(store.decide(cancel(*METERS[:2])))

        assert (result.cancelled, [problem.type_id for problem in result.problems]) == (1, ["331(MDUS)"])
        assert answered(store.decide(cancel(*METERS[:2], origin=origin(item_id=3)))) == result
        self.arrives(store)

    @pytest.mark.parametrize("status", [ControlStatus.EXECUTED, ControlStatus.FAILED], ids=lambda status: status)
    def test_takes_it_back_though_the_other_is_final(self, store: Store, status: ControlStatus) -> None:
        store.add(
            replace(
                store.control(),  # type: ignore[type-var]
                status=status,
                processed_at=store.now,
                reported_success=status is ControlStatus.EXECUTED,
                installation_point_id="IP1",
            )
        )

        result = answered(store.decide(cancel(*METERS[:2])))

        assert (result.cancelled, [problem.type_id for problem in result.problems]) == (1, ["332(MDUS)"])
        kept = store.control(METERS[1])
        assert kept is not None
        assert (kept.item_id, kept.failure_code) == (1, "CANCELLED")
        assert (kept.installation_point_id, kept.reported_success) == (None, None)
        self.arrives(store)

    def test_takes_both_back_while_nothing_has_left(self, store: Store) -> None:
        assert answered(store.decide(cancel(*METERS[:2]))) == CancellationResult(cancelled=1)
        self.arrives(store)

    def test_takes_back_no_more_than_a_client_has_ordered(self) -> None:
        """A client's order waits for no device, so what it did not name is none of its."""
        store = Store(meter(METERS[0]))
        store.decide(order(METERS[0], origin=origin(client="rest:portal")))
        store.add(replace(store.commands()[0], status=CommandStatus.ACCEPTED))

        assert answered(store.decide(cancel(*METERS[:2]))).cancelled == 0
        assert store.control(METERS[1]) is None


class TestTestData:
    @pytest.mark.parametrize("category", ["1", "2"], ids=["disconnect", "reconnect"])
    def test_takes_nothing_back(self, category: str) -> None:
        store = Store(meter())
        store.decide(order(category_code=category))

        result = answered(store.decide(cancel(category_code=category, origin=origin(item_id=2, test_data=True))))

        assert [problem.type_id for problem in result.problems] == ["310(MDUS)"]
        assert [command.status for command in store.commands()] == [CommandStatus.READY]

    def test_keeps_no_order_from_starting(self) -> None:
        store = Store(meter())

        assert answered(store.decide(cancel(origin=origin(item_id=2, test_data=True)))).failed

        assert isinstance(store.decide(order()), Await)


class TestTwice:
    def test_has_the_same_answer(self) -> None:
        store = ordered()

        first = answered(store.decide(cancel()))
        again = answered(store.decide(cancel(origin=origin(item_id=3))))

        assert first == again == CancellationResult(cancelled=1)

    def test_has_the_same_answer_when_only_some_were_taken_back(self) -> None:
        store = ordered(2)
        store.add(replace(store.commands()[0], status=CommandStatus.ACCEPTED))

        first = answered(store.decide(cancel()))
        again = answered(store.decide(cancel(origin=origin(item_id=3))))

        assert first == again


class TestBeforeItsOrder:
    def test_keeps_the_order_from_starting_then_waits_for_it(self) -> None:
        store = Store(meter())

        stored = store.decide(cancel())
        waiting = store.decide(cancel())

        assert isinstance(stored, Await)
        assert stored.until == store.now
        assert store.control().status is ControlStatus.WITHDRAWN  # type: ignore[union-attr]
        assert isinstance(waiting, Park)
        assert waiting.until == store.now + timedelta(minutes=30)

    def test_is_woken_by_the_order_and_succeeds(self) -> None:
        store = Store(meter())
        store.decide(cancel())
        waiting = store.decide(cancel())
        store.decide(order())

        assert isinstance(waiting, Park)
        assert waiting.waits_for in store.control().wakes  # type: ignore[union-attr]
        assert answered(store.decide(cancel())) == CancellationResult(cancelled=1)

    def test_fails_when_no_order_comes_and_lets_a_later_one_run(self) -> None:
        store = Store(meter())
        store.decide(cancel())
        store.pass_time(30 * MINUTE)

        assert [problem.type_id for problem in answered(store.decide(cancel())).problems] == ["330(MDUS)"]
        assert store.control() is None
        assert isinstance(store.decide(order()), Await)

    def test_holds_for_devices_it_did_not_list(self) -> None:
        store = Store(*map(meter, METERS))
        store.decide(cancel(METERS[2]))
        store.decide(cancel(METERS[2]))

        outcome = store.decide(order(METERS[0], METERS[1]))
        assert isinstance(outcome, Done)
        assert outcome.result is None

        assert answered(store.decide(cancel(METERS[2]))) == CancellationResult(cancelled=2)
        assert store.control(METERS[2]) is None

    def test_of_another_system_holds_for_nobody_else(self) -> None:
        store = Store(meter())
        foreign = cancel(origin=origin(item_id=2, sender_system="P12"))
        store.decide(foreign)

        assert isinstance(store.decide(order()), Await)


class TestConfirm:
    @pytest.mark.parametrize(
        ("cancelled", "problems", "code"),
        [
            pytest.param(2, 0, ProcessingResultCode.SUCCESSFUL, id="all"),
            pytest.param(1, 1, ProcessingResultCode.PARTIALLY_SUCCESSFUL, id="some"),
            pytest.param(0, 2, ProcessingResultCode.FAILED, id="none"),
        ],
    )
    def test_sums_up_the_devices(self, cancelled: int, problems: int, code: ProcessingResultCode) -> None:
        store = ordered(2)
        for command in store.commands()[:problems]:
            store.add(replace(command, status=CommandStatus.ACCEPTED))

        confirmation = confirm(cancel(), answered(store.decide(cancel())))

        assert confirmation.log.result_code is code
        assert len(confirmation.log.items) == problems
        assert confirmation.category_code == "1"
