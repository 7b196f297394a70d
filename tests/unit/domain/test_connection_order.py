"""What becomes of one device of a connection order when it is first looked at."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from mdus.domain.capability import Capabilities
from mdus.domain.connection_order import ConnectionOrder, OrderedMeter, begun, may_move, stands_as_ordered
from mdus.domain.end_device import EndDevice, EndDeviceStatus, SwitchState
from mdus.domain.end_device_control import ControlCategory, ControlStatus, EndDeviceControl
from mdus.domain.usage_point import DeviceLocation
from mdus.domain.verified_switch import SwitchRules

NOW = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)
TICK = timedelta(microseconds=1)
RULES = SwitchRules(disconnect_expiry=timedelta(minutes=60), trusted_state=timedelta(minutes=30))
ORDER = ConnectionOrder(
    sender_system="P11",
    request_id="000000004711",
    category=ControlCategory.DISCONNECT,
    planned_at=NOW,
    item_id=1,
    received_at=NOW,
    zone="Europe/Berlin",
)
DEVICE = EndDevice(
    sender_system="P11",
    device_id="000000000000000042",
    serial_id="S42",
    material_id="M",
    valid_from=date(2026, 1, 1),
    ams_id="AM01",
    head_end="north",
)
STANDS = EndDeviceStatus(
    sender_system="P11",
    device_id=DEVICE.device_id,
    has_breaker=True,
    switch_state=SwitchState.DISCONNECTED,
    switch_state_at=NOW,
)
CONTROL = ORDER.control(DEVICE.device_id, rules=RULES)


def begin(order: ConnectionOrder = ORDER, *, now: datetime = NOW, **facts: Any) -> EndDeviceControl:
    """The device of an order, of which this is known."""
    meter = OrderedMeter(**{"ams_id": "AM01", "device": DEVICE, **facts})
    control = order.control(DEVICE.device_id, rules=RULES)
    return begun(order, control, meter, matrix=Capabilities(), rules=RULES, now=now)


class TestADevice:
    def test_is_to_be_switched_where_it_hangs(self) -> None:
        location = DeviceLocation(
            sender_system="P11",
            device_id=DEVICE.device_id,
            installation_point_id="IP1",
            parent_installation_point_id="",
            valid_from=date(2026, 3, 1),
        )
        assert begin(locations=[location]) == replace(CONTROL, installation_point_id="IP1")

    @pytest.mark.parametrize(
        ("facts", "code"),
        [
            pytest.param({"device": None}, "UNKNOWN_DEVICE", id="not there"),
            pytest.param({"ams_id": "AM02"}, "OTHER_SYSTEM", id="of another system"),
            pytest.param(
                {"device": replace(DEVICE, valid_to=date(2026, 3, 28))}, "NOT_IN_SERVICE", id="out of service"
            ),
            pytest.param({"device": replace(DEVICE, head_end=None)}, "NO_HEAD_END", id="without head end"),
            pytest.param({"status": replace(STANDS, has_breaker=False)}, "NO_BREAKER", id="without breaker"),
        ],
    )
    def test_fails_at_once(self, facts: dict[str, Any], code: str) -> None:
        control = begin(**facts)
        assert (control.status, control.failure_code) == (ControlStatus.FAILED, code)

    def test_fails_as_test_data_whatever_it_is(self) -> None:
        assert begin(replace(ORDER, test_data=True), device=None).failure_code == "TEST_DATA"

    def test_is_not_disconnected_once_the_order_has_expired(self) -> None:
        assert begin(now=NOW + timedelta(hours=1) - TICK).status is ControlStatus.ORDERED
        assert begin(now=NOW + timedelta(hours=1)).failure_code == "TOO_LATE"

    def test_that_stands_as_ordered_is_left_alone_unless_another_order_may_move_it(self) -> None:
        assert begin(status=STANDS).status is ControlStatus.EXECUTED
        other = replace(CONTROL, category=ControlCategory.RECONNECT, request_id="000000004712")
        assert begin(status=STANDS, others=[other]).status is ControlStatus.ORDERED


class TestStandsAsOrdered:
    @pytest.mark.parametrize(
        ("facts", "stands"),
        [
            pytest.param({}, True, id="as ordered"),
            pytest.param({"switch_state": SwitchState.CONNECTED}, False, id="otherwise"),
            pytest.param({"switch_state_at": None}, False, id="nobody knows since when"),
            pytest.param({"switch_state_at": NOW - RULES.trusted_state}, False, id="read too long ago"),
            pytest.param({"switch_state_at": NOW - RULES.trusted_state + TICK}, True, id="read just in time"),
        ],
    )
    def test_tells(self, facts: dict[str, Any], stands: bool) -> None:
        assert stands_as_ordered(CONTROL, replace(STANDS, **facts), rules=RULES, now=NOW) is stands

    def test_waits_for_the_planned_time(self) -> None:
        assert not stands_as_ordered(replace(CONTROL, planned_at=NOW + TICK), STANDS, rules=RULES, now=NOW)


class TestMayMove:
    @pytest.mark.parametrize(
        ("facts", "moves"),
        [
            pytest.param({}, True, id="due and open"),
            pytest.param({"effective_at": NOW + TICK}, False, id="not due"),
            pytest.param({"status": ControlStatus.EXECUTED}, False, id="carried out"),
            pytest.param({"status": ControlStatus.FAILED, "failure_code": "STATE_UNKNOWN"}, True, id="in doubt"),
            pytest.param({"status": ControlStatus.FAILED, "failure_code": "TOO_LATE"}, False, id="never tried"),
            pytest.param(
                {
                    "status": ControlStatus.FAILED,
                    "failure_code": "STATE_UNKNOWN",
                    "processed_at": NOW - RULES.trusted_state,
                },
                False,
                id="in doubt long ago",
            ),
        ],
    )
    def test_tells(self, facts: dict[str, Any], moves: bool) -> None:
        other = replace(CONTROL, **{"processed_at": NOW, **facts})
        assert may_move(other, rules=RULES, now=NOW) is moves


class TestARepetition:
    @pytest.mark.parametrize(
        ("order", "device_ids", "repeats"),
        [
            pytest.param(ORDER, [DEVICE.device_id], True, id="is the same again"),
            pytest.param(ORDER, [DEVICE.device_id, "2"], True, id="may name more devices"),
            pytest.param(ORDER, ["2"], False, id="names the devices there are"),
            pytest.param(replace(ORDER, planned_at=NOW + TICK), [DEVICE.device_id], False, id="has the same time"),
            pytest.param(
                replace(ORDER, planned_at=NOW - TICK, immediate=True), [DEVICE.device_id], True, id="unless at once"
            ),
            pytest.param(replace(ORDER, reason_code="01"), [DEVICE.device_id], False, id="has the same reason"),
        ],
    )
    def test_is_told(self, order: ConnectionOrder, device_ids: list[str], repeats: bool) -> None:
        assert order.repeats([CONTROL], device_ids=device_ids) is repeats
