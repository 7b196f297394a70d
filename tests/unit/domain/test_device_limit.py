"""How a demand limit ends: taken away when its time is up, again until it is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar

import pytest

from mdus.domain.command import Command, CommandKind, CommandStatus, OwnerKind
from mdus.domain.device_limit import (
    AFTER_ANOTHER,
    LIMIT_DOUBTFUL,
    DeviceLimit,
    LimitRules,
    doubted,
    limit_text,
    next_step,
)
from mdus.domain.end_device import EndDevice
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.value import Remove, Value

END = datetime(2026, 3, 28, 18, 0, tzinfo=UTC)
RULES = LimitRules()
DEVICE = EndDevice(
    sender_system="P11",
    device_id="42",
    serial_id="0000001234",
    material_id="LX100",
    valid_from=date(2026, 1, 1),
    head_end="city",
)
LIMIT = DeviceLimit(
    sender_system="P11",
    device_id="42",
    serial_id="0000001234",
    limit_kw=Decimal("3.50"),
    set_at=END - timedelta(hours=8),
    valid_until=END,
    look_at=END,
    item_id=7,
    client="rest:portal",
)
CASE = ExceptionCase(kind=LIMIT_DOUBTFUL, case_key="P11/42", opened_at=END, note="x")
GONE = Remove(DeviceLimit, LIMIT.key)


def step(now: datetime = END, **facts: Any) -> tuple[Value | Remove, ...]:
    usual: dict[str, Any] = {
        "device": DEVICE,
        "ordered": (),
        "lifts": (),
        "others": (),
        "is_busy": False,
        "is_concentrated": False,
        "cases": (),
        "rules": RULES,
    }
    return next_step(facts.pop("limit", LIMIT), now=now, **{**usual, **facts})


def lift(**ended: Any) -> Command:
    command, _ = step()
    assert isinstance(command, Command)
    return replace(command, **ended)


FAILED: dict[str, Any] = {"status": CommandStatus.FAILED, "ended_at": END, "result_code": "NO_RESPONSE"}


class TestALimitWhoseTimeIsUp:
    def test_is_taken_away_by_a_command(self) -> None:
        command, looked_at = step()
        assert isinstance(command, Command)
        assert (command.kind, command.parameters) == (CommandKind.LIMIT_DEMAND, None)
        assert (command.owner_kind, command.owner_key) == (OwnerKind.LIMIT, "7")
        assert (command.not_before, command.expires_at) == (END, END + RULES.timeout)
        assert looked_at == replace(LIMIT, look_at=END + 2 * RULES.timeout)

    def test_is_gone_once_the_meter_has_confirmed_it(self) -> None:
        done = lift(status=CommandStatus.DONE, ended_at=END)
        assert step(lifts=[done]) == (GONE,)
        assert step(lifts=[done], cases=[CASE]) == (GONE, replace(CASE, closed_at=END))

    def test_waits_for_a_command_that_is_under_way(self) -> None:
        on_its_way = lift(status=CommandStatus.ACCEPTED)
        assert step(lifts=[on_its_way]) == (replace(LIMIT, look_at=END + 2 * RULES.timeout),)

    def test_is_taken_away_again_where_nothing_more_is_heard(self) -> None:
        lost = lift(status=CommandStatus.ACCEPTED)
        command, _ = step(now=END + 2 * RULES.timeout, lifts=[lost])
        assert isinstance(command, Command)
        assert command.command_key != lost.command_key

    def test_waits_for_another_command_about_it(self) -> None:
        assert step(is_busy=True) == (replace(LIMIT, look_at=END + AFTER_ANOTHER),)

    def test_that_could_not_be_taken_away_is_a_case_and_tried_again_after_a_while(self) -> None:
        failed = lift(**FAILED)
        looked_at, case = step(now=END + RULES.interval - timedelta(seconds=1), lifts=[failed])
        assert looked_at == replace(LIMIT, look_at=END + RULES.interval)
        assert isinstance(case, ExceptionCase)
        assert (case.kind, case.case_key) == (LIMIT_DOUBTFUL, "P11/42")
        assert "3.5 kW could not be taken away (NO_RESPONSE)" in case.note

        again, _ = step(now=END + RULES.interval, lifts=[failed])
        assert isinstance(again, Command)
        assert again.command_key != failed.command_key

    def test_without_a_head_end_is_a_case(self) -> None:
        looked_at, case = step(device=replace(DEVICE, head_end=None))
        assert looked_at == replace(LIMIT, look_at=END + RULES.interval)
        assert isinstance(case, ExceptionCase)

    @pytest.mark.parametrize(
        ("device", "lifts"),
        [
            pytest.param(None, [], id="no device any more"),
            pytest.param(replace(DEVICE, serial_id="0000005678"), [], id="another meter"),
            pytest.param(None, [lift(**FAILED)], id="no device any more, after a failure"),
        ],
    )
    def test_is_gone_with_its_meter(self, device: EndDevice | None, lifts: Sequence[Command]) -> None:
        assert step(device=device, lifts=lifts) == (GONE,)


class TestALimitInDoubt:
    DOUBTED = replace(LIMIT, item_id=8, in_doubt=True, set_at=END - timedelta(hours=1))

    def test_is_taken_away_like_one_that_was_confirmed(self) -> None:
        command, looked_at = step(limit=self.DOUBTED)
        assert isinstance(command, Command)
        assert (command.parameters, command.owner_key) == (None, "8")
        assert looked_at == replace(self.DOUBTED, look_at=END + 2 * RULES.timeout)

    def test_ends_with_another_that_is_taken_away(self) -> None:
        done = lift(status=CommandStatus.DONE, ended_at=END)
        gone = step(lifts=[done], others=[self.DOUBTED], cases=[CASE])
        assert gone == (GONE, Remove(DeviceLimit, self.DOUBTED.key), replace(CASE, closed_at=END))

    def test_takes_with_it_the_one_that_was_confirmed(self) -> None:
        done = replace(lift(status=CommandStatus.DONE, ended_at=END), owner_key="8")
        assert step(limit=self.DOUBTED, lifts=[done], others=[LIMIT]) == (Remove(DeviceLimit, self.DOUBTED.key), GONE)

    def test_that_came_since_stays_with_its_case(self) -> None:
        done = lift(status=CommandStatus.DONE, ended_at=END)
        at_once, since = replace(self.DOUBTED, set_at=END), replace(self.DOUBTED, set_at=END + timedelta(seconds=1))
        assert step(lifts=[done], others=[since], cases=[CASE]) == (GONE,)
        assert len(step(lifts=[done], others=[at_once], cases=[CASE])) == 3

    def test_goes_with_the_meter_that_may_have_it(self) -> None:
        of_another = replace(self.DOUBTED, serial_id="0000005678")
        assert step(device=None, others=[self.DOUBTED]) == (GONE, Remove(DeviceLimit, self.DOUBTED.key))
        assert step(device=replace(DEVICE, serial_id="0000005678"), others=[of_another]) == (GONE,)

    def test_without_an_end_makes_room_for_the_next(self) -> None:
        endless = replace(self.DOUBTED, valid_until=None, look_at=None)
        newest = replace(endless, item_id=9)
        assert doubted(newest, [LIMIT, self.DOUBTED, endless]) == (newest, Remove(DeviceLimit, endless.key))


class TestALimitOfAMeterThatCanHoldNone:
    """It is in doubt, and its head end refuses for certain to take it away."""

    DOUBTED = replace(LIMIT, in_doubt=True, set_at=END - timedelta(hours=1))
    ORDERED = replace(
        lift(status=CommandStatus.UNCERTAIN, ended_at=END - timedelta(hours=1), result_code="NOT_SUPPORTED"),
        owner_kind=OwnerKind.ITEM,
        parameters=(("limit_kw", "3.5"),),
    )
    REFUSED: ClassVar[dict[str, Any]] = {
        "status": CommandStatus.FAILED,
        "result_code": "NOT_SUPPORTED",
        "result_text": "no",
    }

    def refused(self, times: int, **changes: Any) -> list[Command]:
        """So many attempts, the last of which ended at the instant after which it is looked again."""
        first = lift(ended_at=END, **self.REFUSED)
        return [replace(first, command_key=str(number), **changes) for number in range(times)]

    def step(self, lifts: Sequence[Command], now: datetime = END, **facts: Any) -> tuple[Value | Remove, ...]:
        return step(now, lifts=lifts, **{"limit": self.DOUBTED, "ordered": [self.ORDERED], **facts})

    @pytest.mark.parametrize(
        ("times", "pause"),
        [
            pytest.param(1, timedelta(minutes=15), id="the first time"),
            pytest.param(2, timedelta(minutes=30), id="once more"),
            pytest.param(7, timedelta(hours=16), id="the last time but one"),
        ],
    )
    def test_is_tried_again_after_pauses_that_double(self, times: int, pause: timedelta) -> None:
        looked_at, case = self.step(self.refused(times), now=END + pause - timedelta(seconds=1))
        assert looked_at == replace(self.DOUBTED, look_at=END + pause)
        assert isinstance(case, ExceptionCase)

        again, _ = self.step(self.refused(times), now=END + pause)
        assert isinstance(again, Command)

    def test_is_tried_at_least_once_a_day(self) -> None:
        looked_at, _ = self.step(self.refused(30), is_concentrated=True)
        assert looked_at == replace(self.DOUBTED, look_at=END + timedelta(days=1))

    @pytest.mark.parametrize("code", ["NOT_SUPPORTED", "NO_BREAKER"])
    def test_is_left_to_its_case_after_so_many(self, code: str) -> None:
        looked_at, case = self.step(self.refused(8, result_code=code))
        assert looked_at == replace(self.DOUBTED, look_at=END + timedelta(days=1))
        assert isinstance(case, ExceptionCase)
        assert case.closed_at is None
        assert "city has refused 8 times to take a demand limit away" in case.note
        assert "It is not asked again. Have somebody look whether the meter limits the customer" in case.note
        assert len(case.note) < 500

    @pytest.mark.parametrize("closed_at", [None, END], ids=["open", "closed by somebody"])
    def test_is_looked_at_once_a_day_and_leaves_its_case_as_it_is(self, closed_at: datetime | None) -> None:
        _, case = self.step(self.refused(8))
        assert isinstance(case, ExceptionCase)
        now = END + timedelta(days=1)
        steps = self.step(self.refused(8), now=now, cases=[replace(case, closed_at=closed_at)])
        assert steps == (replace(self.DOUBTED, look_at=now + timedelta(days=1)),)

    def test_is_left_after_as_many_as_the_rules_say(self) -> None:
        rules = replace(RULES, refusals=2)
        assert isinstance(self.step(self.refused(1), now=END + timedelta(days=2), rules=rules)[0], Command)
        assert isinstance(self.step(self.refused(2), now=END + timedelta(days=2), rules=rules)[0], DeviceLimit)

    @pytest.mark.parametrize(
        "facts",
        [
            pytest.param({"limit": LIMIT}, id="the meter has confirmed it, so it can hold one"),
            pytest.param({"is_concentrated": True}, id="another concentrator may have given it"),
            pytest.param({"ordered": ()}, id="nobody knows who may have given it"),
            pytest.param({"ordered": [replace(ORDERED, head_end="village")]}, id="another head end may have given it"),
            pytest.param({"device": replace(DEVICE, head_end="village")}, id="another head end serves it now"),
        ],
    )
    def test_is_never_left_where_what_refuses_does_not_know(self, facts: dict[str, Any]) -> None:
        again, _ = self.step(self.refused(20), now=END + timedelta(days=1), **facts)
        assert isinstance(again, Command)

    def test_is_asked_anew_of_a_head_end_that_serves_the_meter_again(self) -> None:
        by_another = self.refused(20, head_end="village")
        again, _ = self.step(by_another, now=END + RULES.interval)
        assert isinstance(again, Command)
        assert again.head_end == "city"

    @pytest.mark.parametrize(
        "answer",
        [
            pytest.param({"result_code": "UNKNOWN_METER"}, id="the meter is not known there"),
            pytest.param({"result_code": "NOT_PROVISIONED"}, id="the meter has not joined"),
            pytest.param({"result_code": "BUSY"}, id="busy"),
            pytest.param({"result_code": "NO_RESPONSE"}, id="silent"),
            pytest.param({"result_code": "REJECTED_UNKNOWN"}, id="for what no row explains"),
            pytest.param({"result_code": None}, id="for nothing"),
            pytest.param({"status": CommandStatus.UNCERTAIN}, id="after a call that broke off"),
        ],
    )
    def test_is_tried_as_often_as_any_after_another_answer(self, answer: dict[str, Any]) -> None:
        lifts = [*self.refused(20), *self.refused(1, **answer)]
        looked_at, _ = self.step(lifts, now=END + RULES.interval - timedelta(seconds=1))
        assert looked_at == replace(self.DOUBTED, look_at=END + RULES.interval)
        again, _ = self.step(lifts, now=END + RULES.interval)
        assert isinstance(again, Command)

    def test_that_was_confirmed_is_tried_as_often_as_any(self) -> None:
        again, _ = step(now=END + RULES.interval, lifts=self.refused(20))
        assert isinstance(again, Command)


class TestALimitThatCameAfterItsOrdersOwnWasTakenAway:
    BACK = replace(LIMIT, set_at=END + timedelta(hours=1), valid_until=END + timedelta(hours=1))

    def test_is_taken_away_once_more(self) -> None:
        before = lift(status=CommandStatus.DONE, ended_at=END)
        again, _ = step(limit=self.BACK, lifts=[before], now=END + timedelta(hours=1))
        assert isinstance(again, Command)
        assert again.command_key != before.command_key

        since = replace(again, status=CommandStatus.DONE, ended_at=END + timedelta(hours=1))
        assert step(limit=self.BACK, lifts=[before, since], now=END + timedelta(hours=1)) == (GONE,)

    def test_waits_for_one_that_is_still_under_way(self) -> None:
        under_way = lift(status=CommandStatus.ACCEPTED)
        assert len(step(limit=self.BACK, lifts=[under_way], now=END + timedelta(hours=1))) == 1


@pytest.mark.parametrize(
    ("limit_kw", "text"),
    [("3.50", "3.5"), ("10", "10"), ("100", "100"), ("0", "0"), ("0.000", "0"), ("1E+1", "10"), ("2.125", "2.125")],
)
def test_a_limit_is_told_in_plain_digits(limit_kw: str, text: str) -> None:
    assert limit_text(Decimal(limit_kw)) == text
