"""How a demand limit ends: taken away when its time is up, again until it is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

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
    usual: dict[str, Any] = {"device": DEVICE, "lifts": (), "others": (), "is_busy": False, "cases": (), "rules": RULES}
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


@pytest.mark.parametrize(
    ("limit_kw", "text"),
    [("3.50", "3.5"), ("10", "10"), ("100", "100"), ("0", "0"), ("0.000", "0"), ("1E+1", "10"), ("2.125", "2.125")],
)
def test_a_limit_is_told_in_plain_digits(limit_kw: str, text: str) -> None:
    assert limit_text(Decimal(limit_kw)) == text
