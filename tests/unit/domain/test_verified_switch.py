"""Switch once, read the position back, believe only that."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from mdus.domain.command import Command, CommandKind, CommandStatus
from mdus.domain.end_device import EndDevice, SwitchState
from mdus.domain.end_device_control import ControlCategory, ControlStatus, EndDeviceControl
from mdus.domain.end_device_event import EndDeviceEvent
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.verified_switch import NEVER_TRIED, Ended, Step, SwitchRules, Waiting, expiry, next_step

PLANNED = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
RULES = SwitchRules()
DEVICE = EndDevice(
    sender_system="P11",
    device_id="000000000000000042",
    serial_id="0000001234",
    material_id="LX100-SW",
    valid_from=date(2026, 1, 1),
    head_end="city",
)
CONTROL = EndDeviceControl(
    sender_system="P11",
    request_id="000000004711",
    category=ControlCategory.DISCONNECT,
    device_id="000000000000000042",
    planned_at=PLANNED,
    effective_at=PLANNED,
    expires_at=PLANNED + HOUR,
    item_id=9,
)


def step(*commands: Command, now: datetime = PLANNED, control: EndDeviceControl = CONTROL) -> Step:
    return next_step(control, device=DEVICE, commands=commands, rules=RULES, now=now)


def waited_for(found: Step) -> Command:
    assert isinstance(found, Waiting)
    return found.command


def end(found: Step) -> EndDeviceControl:
    assert isinstance(found, Ended)
    return found.control


def switch(**facts: Any) -> Command:
    return replace(waited_for(step()), **facts)


def switched(status: CommandStatus = CommandStatus.DONE, **facts: Any) -> Command:
    return switch(**{"status": status, "ended_at": PLANNED + MINUTE, **facts})


def check(status: CommandStatus = CommandStatus.DONE, *, attempt: int = 1, **facts: Any) -> Command:
    made = waited_for(step(switched(), now=PLANNED + MINUTE))
    told: dict[str, Any] = {"status": status, "ended_at": PLANNED + 2 * MINUTE, **facts}
    return replace(made, command_key=f"check {attempt}", **told)


class TestSwitching:
    def test_orders_one_switch_for_the_planned_time(self) -> None:
        found = step(now=PLANNED - 5 * HOUR)

        command = waited_for(found)
        assert (command.kind, command.wanted_state) == (CommandKind.SWITCH, SwitchState.DISCONNECTED)
        assert (command.not_before, command.expires_at) == (PLANNED, PLANNED + HOUR)
        assert (command.owner_key, command.control_key) == ("9", CONTROL.control_key)
        assert isinstance(found, Waiting)
        assert found.until == PLANNED + 2 * HOUR

    def test_orders_the_same_switch_when_decided_again(self) -> None:
        assert waited_for(step(now=PLANNED)) == waited_for(step(now=PLANNED + MINUTE))

    @pytest.mark.parametrize(
        "status", [CommandStatus.READY, CommandStatus.SUBMITTING, CommandStatus.ACCEPTED], ids=lambda status: status
    )
    def test_waits_for_the_switch(self, status: CommandStatus) -> None:
        under_way = switch(status=status)

        assert waited_for(step(under_way, now=PLANNED + 2 * HOUR - MINUTE)) == under_way

    def test_gives_up_a_switch_that_never_left_and_takes_it_back(self) -> None:
        found = step(switch(), now=PLANNED + 2 * HOUR)

        assert isinstance(found, Ended)
        assert found.control.failure_code == "EXPIRED"
        [command] = found.also
        assert isinstance(command, Command)
        assert command.status is CommandStatus.CANCELLED

    def test_reads_the_position_when_the_head_end_stays_silent(self) -> None:
        silent = switch(status=CommandStatus.ACCEPTED)

        assert waited_for(step(silent, now=PLANNED + 2 * HOUR)).kind is CommandKind.SWITCH_STATE

    @pytest.mark.parametrize("code", sorted(NEVER_TRIED))
    def test_fails_without_reading_when_the_breaker_was_never_tried(self, code: str) -> None:
        control = end(step(switched(CommandStatus.FAILED, result_code=code, result_text="why")))

        assert (control.status, control.failure_code, control.note) == (ControlStatus.FAILED, code, "why")
        assert control.reported_success is False

    @pytest.mark.parametrize("code", ["BUSY", "UNREACHABLE"])
    def test_gives_a_reconnection_that_was_not_taken_to_the_head_end_again_until_it_expires(self, code: str) -> None:
        reconnection = replace(CONTROL, category=ControlCategory.RECONNECT)
        first = waited_for(step(control=reconnection))
        refused = replace(first, status=CommandStatus.FAILED, result_code=code, ended_at=PLANNED)

        second = waited_for(step(refused, control=reconnection))

        assert second.command_key != first.command_key
        assert (second.not_before, second.expires_at) == (PLANNED + MINUTE, PLANNED + HOUR)
        assert waited_for(step(refused, second, control=reconnection)) == second
        late = PLANNED + HOUR - MINUTE
        assert end(step(refused, control=reconnection, now=late)).failure_code == code
        assert waited_for(step(refused, control=reconnection, now=late - MINUTE)).not_before == late

    @pytest.mark.parametrize(
        "ended",
        [
            pytest.param(switched(CommandStatus.DONE), id="done"),
            pytest.param(switched(CommandStatus.UNCERTAIN), id="uncertain"),
            pytest.param(switched(CommandStatus.TIMED_OUT), id="timed out"),
            pytest.param(switched(CommandStatus.FAILED, result_code="RELAY_STUCK"), id="stuck"),
            pytest.param(switched(CommandStatus.FAILED, result_code="LOAD_SIDE_VOLTAGE"), id="voltage behind it"),
            pytest.param(switched(CommandStatus.FAILED, result_code="NEVER_HEARD_OF"), id="unknown code"),
            pytest.param(switched(CommandStatus.FAILED), id="no code"),
        ],
    )
    def test_reads_the_position_whenever_the_breaker_may_have_moved(self, ended: Command) -> None:
        command = waited_for(step(ended, now=PLANNED + MINUTE))

        assert (command.kind, command.wanted_state) == (CommandKind.SWITCH_STATE, None)
        assert command.not_before >= PLANNED + MINUTE

    @pytest.mark.parametrize(
        ("status", "wait"),
        [
            pytest.param(CommandStatus.UNCERTAIN, MINUTE, id="the call broke off"),
            pytest.param(CommandStatus.DONE, timedelta(0), id="done"),
            pytest.param(CommandStatus.TIMED_OUT, timedelta(0), id="timed out"),
        ],
    )
    def test_reads_no_position_that_a_call_on_its_way_may_still_change(
        self, status: CommandStatus, wait: timedelta
    ) -> None:
        ended = switched(status)
        assert ended.ended_at is not None

        at_once = waited_for(step(ended, now=ended.ended_at))
        later = waited_for(step(ended, now=ended.ended_at + HOUR))

        assert (at_once.not_before, later.not_before) == (ended.ended_at + wait, ended.ended_at + HOUR)
        assert at_once.expires_at - at_once.not_before == RULES.verify_timeout


class TestVerifying:
    @pytest.mark.parametrize(
        "ended",
        [
            pytest.param(switched(CommandStatus.DONE), id="done"),
            pytest.param(switched(CommandStatus.UNCERTAIN), id="uncertain"),
            pytest.param(switched(CommandStatus.TIMED_OUT), id="timed out"),
        ],
    )
    def test_believes_the_position_read_back(self, ended: Command) -> None:
        as_wanted = end(step(ended, check(result_state=SwitchState.DISCONNECTED)))
        not_so = end(step(ended, check(result_state=SwitchState.CONNECTED)))

        assert (as_wanted.status, as_wanted.reported_success) == (ControlStatus.EXECUTED, True)
        assert (not_so.status, not_so.reported_success) == (ControlStatus.FAILED, False)

    def test_wants_the_other_position_for_a_reconnection(self) -> None:
        reconnect = replace(CONTROL, category=ControlCategory.RECONNECT)

        found = step(switched(), check(result_state=SwitchState.CONNECTED), control=reconnect)

        assert end(found).status is ControlStatus.EXECUTED

    @pytest.mark.parametrize(
        ("state", "status", "code"),
        [
            pytest.param(SwitchState.CONNECTED, ControlStatus.EXECUTED, None, id="of the grid"),
            pytest.param(SwitchState.DISCONNECTED, ControlStatus.FAILED, "LOAD_SIDE_VOLTAGE", id="of somebody else"),
        ],
    )
    def test_knows_by_the_position_whose_the_voltage_behind_a_breaker_is(
        self, state: SwitchState, status: ControlStatus, code: str | None
    ) -> None:
        reconnect = replace(CONTROL, category=ControlCategory.RECONNECT)
        live = switched(CommandStatus.FAILED, result_code="LOAD_SIDE_VOLTAGE", result_text="voltage")

        control = end(step(live, check(result_state=state), control=reconnect))

        assert (control.status, control.failure_code) == (status, code)

    def test_says_why_the_head_end_failed_when_the_position_agrees(self) -> None:
        stuck = switched(CommandStatus.FAILED, result_code="RELAY_STUCK", result_text="did not move")

        control = end(step(stuck, check(result_state=SwitchState.CONNECTED)))

        assert (control.failure_code, control.note) == ("RELAY_STUCK", "did not move")

    def test_waits_for_the_reading_back(self) -> None:
        under_way = check(CommandStatus.ACCEPTED, ended_at=None)

        assert waited_for(step(switched(), under_way, now=PLANNED + MINUTE)) == under_way

    @pytest.mark.parametrize(
        "bad",
        [
            pytest.param(check(CommandStatus.FAILED), id="failed"),
            pytest.param(check(CommandStatus.TIMED_OUT), id="timed out"),
            pytest.param(check(result_state=None), id="no position told"),
            pytest.param(check(result_state=SwitchState.UNKNOWN), id="position unknown"),
            pytest.param(check(CommandStatus.ACCEPTED, ended_at=None), id="silent past its time"),
        ],
    )
    def test_reads_again_and_never_switches_again(self, bad: Command) -> None:
        again = waited_for(step(switched(), bad, now=PLANNED + HOUR))

        assert again.kind is CommandKind.SWITCH_STATE
        assert again.command_key != bad.command_key

    def test_gives_up_aloud_when_the_position_cannot_be_had(self) -> None:
        bad = [check(CommandStatus.FAILED, attempt=attempt) for attempt in (1, 2, 3)]

        still = step(switched(), *bad[:2], now=PLANNED + HOUR)
        found = step(switched(), *bad, now=PLANNED + HOUR)

        assert isinstance(still, Waiting)
        assert isinstance(found, Ended)
        assert (found.control.status, found.control.failure_code) == (ControlStatus.FAILED, "STATE_UNKNOWN")
        assert [type(change) for change in found.also] == [EndDeviceEvent, ExceptionCase]


class TestSwitchedAt:
    @pytest.mark.parametrize(
        ("by_switch", "by_check", "expected"),
        [
            pytest.param(PLANNED + MINUTE, None, PLANNED + MINUTE, id="told with the switch"),
            pytest.param(None, PLANNED, PLANNED, id="told with the position"),
            pytest.param(None, None, PLANNED + MINUTE, id="told by nobody"),
            pytest.param(PLANNED - HOUR, None, PLANNED + MINUTE, id="stood so before"),
            pytest.param(PLANNED + HOUR, None, PLANNED + MINUTE, id="a meter's clock that is ahead"),
        ],
    )
    def test_is_when_the_meter_switched_for_this_order(
        self, by_switch: datetime | None, by_check: datetime | None, expected: datetime
    ) -> None:
        position = check(result_state=SwitchState.DISCONNECTED, acted_at=by_check)

        control = end(step(switched(acted_at=by_switch), position, now=PLANNED + 5 * MINUTE))

        assert control.processed_at == expected


class TestExpiry:
    def test_binds_a_disconnection_to_its_planned_time(self) -> None:
        received_at = PLANNED + 10 * HOUR

        assert (
            expiry(ControlCategory.DISCONNECT, planned_at=PLANNED, received_at=received_at, rules=RULES)
            == PLANNED + HOUR
        )

    @pytest.mark.parametrize(
        ("received_at", "expected"),
        [
            pytest.param(PLANNED + 10 * HOUR, PLANNED + 11 * HOUR, id="planned in the past"),
            pytest.param(PLANNED - 10 * HOUR, PLANNED + HOUR, id="planned ahead"),
        ],
    )
    def test_binds_a_reconnection_to_our_patience_only(self, received_at: datetime, expected: datetime) -> None:
        assert expiry(ControlCategory.RECONNECT, planned_at=PLANNED, received_at=received_at, rules=RULES) == expected
