"""The governor: every refusal on both sides."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from mdus.domain.command import Command, CommandKind, OwnerKind
from mdus.domain.end_device import EndDevice, EndDeviceStatus, SwitchState
from mdus.domain.end_device_control import (
    ControlCategory,
    ControlStatus,
    EndDeviceControl,
    GovernorRules,
    order_arrival,
    order_progress,
    permit,
    permit_restraint,
    restrains,
)
from mdus.domain.usage_point import DeviceLocation

PLANNED = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)
CONTROL = EndDeviceControl(
    sender_system="P11",
    request_id="000000004711",
    category=ControlCategory.DISCONNECT,
    device_id="000000000000000042",
    planned_at=PLANNED,
    effective_at=PLANNED,
    expires_at=PLANNED + HOUR,
    item_id=1,
)
SWITCH = Command(
    command_key="c1",
    owner_kind=OwnerKind.ITEM,
    owner_key="1",
    sender_system="P11",
    device_id="000000000000000042",
    serial_id="0000001234",
    head_end="city",
    kind=CommandKind.SWITCH,
    purpose="switch",
    not_before=PLANNED,
    expires_at=PLANNED + HOUR,
    wanted_state=SwitchState.DISCONNECTED,
    control_key=CONTROL.control_key,
)
RECONNECT = replace(CONTROL, category=ControlCategory.RECONNECT, expires_at=PLANNED + 100 * HOUR)
RECONNECTING = replace(SWITCH, wanted_state=SwitchState.CONNECTED, expires_at=PLANNED + 100 * HOUR)
DEVICE = EndDevice(
    sender_system="P11",
    device_id="000000000000000042",
    serial_id="0000001234",
    material_id="LX100-SW",
    valid_from=date(2026, 1, 1),
    head_end="city",
)
STATUS = EndDeviceStatus(sender_system="P11", device_id="000000000000000042", has_breaker=True)

BOTH = [pytest.param(SWITCH, CONTROL, id="disconnect"), pytest.param(RECONNECTING, RECONNECT, id="reconnect")]


def facts(**other: Any) -> dict[str, Any]:
    usual = {"control": CONTROL, "device": DEVICE, "status": STATUS, "stopped": None, "rules": GovernorRules()}
    return {**usual, "today": PLANNED.date(), **other}


def code(command: Command = SWITCH, *, now: datetime = PLANNED, **other: Any) -> str | None:
    refusal = permit(command, now=now, **facts(**other))
    return refusal and refusal.code


class TestPermit:
    def test_lets_an_order_leave_that_nothing_speaks_against(self) -> None:
        assert code() is None
        assert code(RECONNECTING, control=RECONNECT) is None

    @pytest.mark.parametrize(
        ("status", "expected"),
        [
            pytest.param(ControlStatus.ORDERED, None, id="ordered"),
            pytest.param(ControlStatus.CANCELLED, "CANCELLED", id="cancelled"),
            pytest.param(ControlStatus.WITHDRAWN, "CANCELLED", id="cancelled before it came"),
            pytest.param(ControlStatus.EXECUTED, "ALREADY_FINAL", id="executed"),
            pytest.param(ControlStatus.FAILED, "ALREADY_FINAL", id="failed"),
        ],
    )
    def test_refuses_an_order_that_does_not_stand(self, status: ControlStatus, expected: str | None) -> None:
        assert code(control=replace(CONTROL, status=status)) == expected

    def test_refuses_a_switch_without_an_order(self) -> None:
        assert code(control=None) == "CANCELLED"

    @pytest.mark.parametrize(
        ("command", "control"),
        [
            pytest.param(replace(SWITCH, test_data=True), CONTROL, id="the command says so"),
            pytest.param(SWITCH, replace(CONTROL, test_data=True), id="the order says so"),
            pytest.param(replace(RECONNECTING, test_data=True), RECONNECT, id="a reconnection too"),
        ],
    )
    def test_refuses_test_data(self, command: Command, control: EndDeviceControl) -> None:
        assert code(command, control=control) == "TEST_DATA"

    def test_refuses_any_disconnection_while_the_kill_switch_is_on(self) -> None:
        assert code(stopped="storm") == "KILL_SWITCH"
        assert code(stopped=None) is None

    @pytest.mark.parametrize(
        ("ordered_at", "places", "expected"),
        [
            pytest.param("A", {"A": None}, None, id="it hangs where it hung"),
            pytest.param("A", {"A": PLANNED.date(), "B": None}, "OTHER_PLACE", id="it hangs elsewhere since today"),
            pytest.param("A", {"A": PLANNED.date() + DAY, "B": None}, None, id="it hangs elsewhere from tomorrow"),
            pytest.param("A", {}, "OTHER_PLACE", id="it is not installed any more"),
            pytest.param(None, {"B": None}, None, id="nobody had told where it hung"),
        ],
    )
    def test_refuses_to_disconnect_whoever_has_the_meter_now(
        self, ordered_at: str | None, places: dict[str, date | None], expected: str | None
    ) -> None:
        since, locations = date(2026, 1, 1), []
        for place, until in places.items():
            locations.append(
                DeviceLocation(
                    sender_system="P11",
                    device_id=CONTROL.device_id,
                    installation_point_id=place,
                    valid_from=since,
                    valid_to=until,
                    parent_installation_point_id="H1",
                )
            )
            since = until or since
        control = replace(CONTROL, installation_point_id=ordered_at)
        assert code(control=control, locations=locations) == expected
        reconnect = replace(RECONNECT, installation_point_id=ordered_at)
        assert code(RECONNECTING, control=reconnect, locations=locations) is None

    def test_lets_a_reconnection_pass_the_kill_switch(self) -> None:
        assert code(RECONNECTING, control=RECONNECT, stopped="storm") is None

    def test_refuses_even_without_a_reason_given(self) -> None:
        assert code(stopped="") == "KILL_SWITCH"

    @pytest.mark.parametrize(("command", "control"), BOTH)
    @pytest.mark.parametrize(
        ("device", "expected"),
        [
            pytest.param(None, "UNKNOWN_DEVICE", id="gone"),
            pytest.param(replace(DEVICE, serial_id="0000001235"), "OTHER_METER", id="another meter"),
            pytest.param(replace(DEVICE, head_end="village"), "OTHER_HEAD_END", id="another head end"),
            pytest.param(replace(DEVICE, head_end=None), "OTHER_HEAD_END", id="no head end"),
            pytest.param(replace(DEVICE, valid_to=PLANNED.date()), "NOT_IN_SERVICE", id="left service"),
            pytest.param(replace(DEVICE, valid_to=PLANNED.date() + timedelta(days=1)), None, id="on its last day"),
            pytest.param(replace(DEVICE, valid_from=PLANNED.date()), None, id="on its first day"),
        ],
    )
    def test_refuses_a_meter_that_may_not_be_meant(
        self, command: Command, control: EndDeviceControl, device: EndDevice | None, expected: str | None
    ) -> None:
        assert code(command, control=control, device=device) == expected

    @pytest.mark.parametrize(
        ("status", "expected"),
        [
            pytest.param(replace(STATUS, has_breaker=False), "NO_BREAKER", id="has none"),
            pytest.param(replace(STATUS, has_breaker=None), None, id="nobody has said"),
            pytest.param(None, None, id="nothing known of the meter"),
        ],
    )
    def test_refuses_a_meter_without_breaker(self, status: EndDeviceStatus | None, expected: str | None) -> None:
        assert code(status=status) == expected

    @pytest.mark.parametrize(
        ("age", "expected"),
        [
            pytest.param(HOUR - TICK, None, id="just inside"),
            pytest.param(HOUR, None, id="exactly the limit"),
            pytest.param(HOUR + TICK, "TOO_LATE", id="just outside"),
        ],
    )
    def test_refuses_a_disconnection_planned_too_long_ago(self, age: timedelta, expected: str | None) -> None:
        patient = replace(SWITCH, expires_at=PLANNED + 10 * HOUR)

        assert code(patient, now=PLANNED + age) == expected

    def test_takes_the_limit_from_the_rules(self) -> None:
        patient, now = replace(SWITCH, expires_at=PLANNED + 10 * HOUR), PLANNED + 2 * HOUR

        assert code(patient, now=now, rules=GovernorRules(disconnect_expiry=2 * HOUR)) is None
        assert code(patient, now=now, rules=GovernorRules(disconnect_expiry=2 * HOUR - TICK)) == "TOO_LATE"

    def test_does_not_refuse_a_reconnection_for_its_planned_time(self) -> None:
        assert code(RECONNECTING, control=RECONNECT, now=PLANNED + 99 * HOUR) is None

    @pytest.mark.parametrize(
        ("now", "expected"),
        [
            pytest.param(PLANNED + HOUR / 2 - TICK, None, id="just before"),
            pytest.param(PLANNED + HOUR / 2, "EXPIRED", id="from the instant on"),
        ],
    )
    def test_refuses_what_has_expired(self, now: datetime, expected: str | None) -> None:
        assert code(replace(SWITCH, expires_at=PLANNED + HOUR / 2), now=now) == expected

    def test_refuses_an_expired_reconnection(self) -> None:
        expires_at = RECONNECTING.expires_at

        assert code(RECONNECTING, control=RECONNECT, now=expires_at) == "EXPIRED"
        assert code(RECONNECTING, control=RECONNECT, now=expires_at - TICK) is None


class TestSuperseded:
    LATER = replace(RECONNECT, request_id="4712", effective_at=PLANNED + TICK, item_id=2)

    @pytest.mark.parametrize(
        ("other", "expected"),
        [
            pytest.param({}, "SUPERSEDED", id="a later reconnection"),
            pytest.param({"effective_at": PLANNED}, "SUPERSEDED", id="at the same instant, but later told"),
            pytest.param({"effective_at": PLANNED, "item_id": 0}, None, id="an earlier reconnection"),
            pytest.param({"effective_at": PLANNED - TICK}, None, id="planned before"),
            pytest.param({"effective_at": PLANNED + HOUR / 2}, "SUPERSEDED", id="due by now"),
            pytest.param({"effective_at": PLANNED + HOUR / 2 + TICK}, None, id="not due yet"),
            pytest.param({"status": ControlStatus.EXECUTED}, "SUPERSEDED", id="carried out"),
            pytest.param({"status": ControlStatus.FAILED}, "SUPERSEDED", id="failed"),
            pytest.param({"status": ControlStatus.CANCELLED}, None, id="taken back"),
            pytest.param({"status": ControlStatus.WITHDRAWN}, None, id="taken back before it came"),
            pytest.param({"test_data": True, "status": ControlStatus.FAILED}, None, id="test data"),
            pytest.param({"category": ControlCategory.DISCONNECT}, None, id="a later disconnection"),
        ],
    )
    def test_refuses_a_disconnection_by(self, other: dict[str, Any], expected: str | None) -> None:
        assert code(now=PLANNED + HOUR / 2, others=[CONTROL, replace(self.LATER, **other)]) == expected

    def test_never_refuses_a_reconnection(self) -> None:
        later = replace(self.LATER, category=ControlCategory.DISCONNECT)

        assert code(RECONNECTING, control=RECONNECT, now=PLANNED + HOUR / 2, others=[later, self.LATER]) is None


class TestWakes:
    @pytest.mark.parametrize(
        ("status", "arrival", "progress"),
        [
            pytest.param(ControlStatus.ORDERED, True, False, id="under way"),
            pytest.param(ControlStatus.CANCELLED, True, True, id="cancelled"),
            pytest.param(ControlStatus.EXECUTED, True, True, id="executed"),
            pytest.param(ControlStatus.FAILED, True, True, id="failed"),
            pytest.param(ControlStatus.WITHDRAWN, False, False, id="not there yet"),
        ],
    )
    def test_names_who_waits_for_the_order(self, status: ControlStatus, arrival: bool, progress: bool) -> None:
        names = replace(CONTROL, status=status).wakes

        assert (order_arrival("P11", "000000004711", "1") in names) is arrival
        assert (order_progress("P11", "000000004711", "1") in names) is progress


def acting(kind: CommandKind, **parameters: str) -> Command:
    return replace(SWITCH, kind=kind, wanted_state=None, control_key=None, parameters=tuple(parameters.items()))


LIMIT = acting(CommandKind.LIMIT_DEMAND, limit_kw="3.5")
LIFT = acting(CommandKind.LIMIT_DEMAND)
SCHEDULE = acting(CommandKind.CONTROL_LOAD, event="e", action="schedule")
CANCEL = acting(CommandKind.CONTROL_LOAD, event="e", action="cancel")
TEXT = acting(CommandKind.SHOW_TEXT, text="hello")
TIME = acting(CommandKind.SET_TIME)

RESTRAINING = [pytest.param(LIMIT, id="a limit"), pytest.param(SCHEDULE, id="an event")]
HARMLESS = [
    pytest.param(LIFT, id="no limit any more"),
    pytest.param(CANCEL, id="no event any more"),
    pytest.param(TEXT, id="a text"),
    pytest.param(TIME, id="the time"),
]


def restraint(command: Command, **other: Any) -> str | None:
    usual: dict[str, Any] = {"device": DEVICE, "may_switch": False, "stopped": None, "rules": GovernorRules()}
    refusal = permit_restraint(command, **{**usual, "today": PLANNED.date(), **other})
    return refusal and refusal.code


class TestPermitRestraint:
    @pytest.mark.parametrize("command", RESTRAINING)
    def test_lets_nothing_leave_that_restrains_while_the_kill_switch_is_on(self, command: Command) -> None:
        assert restrains(command)
        assert restraint(command) is None
        assert restraint(command, stopped="a flood") == "KILL_SWITCH"
        assert restraint(command, stopped="a flood", may_switch=True) == "KILL_SWITCH"

    @pytest.mark.parametrize("command", HARMLESS)
    def test_lets_leave_whatever_else_there_is(self, command: Command) -> None:
        assert not restrains(command)
        assert restraint(command, stopped="a flood") is None

    @pytest.mark.parametrize(
        ("limit_kw", "may_switch", "expected"),
        [
            pytest.param("0.5", False, None, id="the least"),
            pytest.param("0.499", False, "LIMIT_TOO_LOW", id="just below it"),
            pytest.param("0", False, "LIMIT_TOO_LOW", id="nothing at all"),
            pytest.param("0.499", True, None, id="below it, by a client that may order disconnections"),
        ],
    )
    def test_refuses_a_disconnection_in_disguise(self, limit_kw: str, may_switch: bool, expected: str | None) -> None:
        command = acting(CommandKind.LIMIT_DEMAND, limit_kw=limit_kw)
        assert restraint(command, may_switch=may_switch) == expected

    def test_goes_by_the_least_that_is_configured(self) -> None:
        rules = GovernorRules(least_limit_kw=Decimal("3.6"))
        assert restraint(LIMIT, rules=rules) == "LIMIT_TOO_LOW"
        assert restraint(LIMIT, rules=rules, may_switch=True) is None
        assert restraint(LIFT, rules=rules) is None

    @pytest.mark.parametrize("command", [*RESTRAINING, *HARMLESS])
    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            pytest.param({}, None, id="the one that is meant"),
            pytest.param({"device": None}, "UNKNOWN_DEVICE", id="gone"),
            pytest.param({"device": replace(DEVICE, serial_id="0000005678")}, "OTHER_METER", id="another meter"),
            pytest.param({"device": replace(DEVICE, head_end="north")}, "OTHER_HEAD_END", id="at another head end"),
        ],
    )
    def test_refuses_to_act_on_another_meter(
        self, command: Command, changes: dict[str, Any], expected: str | None
    ) -> None:
        assert restraint(command, **changes) == expected

    @pytest.mark.parametrize(
        ("command", "expected"),
        [
            pytest.param(LIMIT, "NOT_IN_SERVICE", id="a limit"),
            pytest.param(SCHEDULE, "NOT_IN_SERVICE", id="an event"),
            pytest.param(TEXT, "NOT_IN_SERVICE", id="a text"),
            pytest.param(TIME, "NOT_IN_SERVICE", id="the time"),
            pytest.param(LIFT, None, id="no limit any more"),
            pytest.param(CANCEL, None, id="no event any more"),
        ],
    )
    def test_refuses_a_device_out_of_service_unless_it_frees_it(self, command: Command, expected: str | None) -> None:
        day = PLANNED.date()
        assert restraint(command, device=replace(DEVICE, valid_to=day)) == expected
        assert restraint(command, device=replace(DEVICE, valid_to=day + DAY)) is None

    @pytest.mark.parametrize("command", [*RESTRAINING, *HARMLESS])
    def test_refuses_test_data(self, command: Command) -> None:
        assert restraint(replace(command, test_data=True)) == "TEST_DATA"
