"""SAP's order to connect or disconnect some devices, and what becomes of each of them when it is first looked at.

```
device of an order --test data, planned too long ago--> FAILED at once
                   --unknown, not to be switched    --> FAILED
                   --stands as ordered              --> EXECUTED, unless another order may be about to move it
                   --else                           --> ORDERED: `verified_switch` carries it out
```
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from mdus.domain.capability import Capabilities
from mdus.domain.end_device import EndDevice, EndDeviceStatus
from mdus.domain.end_device_control import (
    NO_BREAKER,
    TEST_DATA,
    ControlCategory,
    ControlStatus,
    EndDeviceControl,
    Refusal,
    too_late,
    unable,
)
from mdus.domain.local_time import local_day
from mdus.domain.usage_point import DeviceLocation, place_on
from mdus.domain.verified_switch import NEVER_TRIED, SwitchRules, executed, expiry, failed

_UNKNOWN_DEVICE: Final = Refusal(
    code="UNKNOWN_DEVICE", note="The device is not known: no create request for it has come."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectionOrder:
    """What the devices of an order have in common; `zone` is the IANA zone of the sender system.

    An `immediate` order is due when it came, however much later it is planned.
    """

    sender_system: str
    request_id: str
    category: ControlCategory
    planned_at: datetime
    immediate: bool = False
    reason_code: str | None = None
    test_data: bool = False
    item_id: int
    received_at: datetime
    zone: str
    client: str | None = None

    def control(self, device_id: str, *, rules: SwitchRules) -> EndDeviceControl:
        """Return one device of the order, to be carried out."""
        planned_at = min(self.planned_at, self.received_at) if self.immediate else self.planned_at
        return EndDeviceControl(
            sender_system=self.sender_system,
            request_id=self.request_id,
            category=self.category,
            device_id=device_id,
            planned_at=planned_at,
            effective_at=max(planned_at, self.received_at),
            expires_at=expiry(self.category, planned_at=planned_at, received_at=self.received_at, rules=rules),
            reason_code=self.reason_code,
            test_data=self.test_data,
            item_id=self.item_id,
            client=self.client,
        )

    def repeats(self, stored: Sequence[EndDeviceControl], *, device_ids: Collection[str]) -> bool:
        """Tell whether the order, of these devices, asks for what an earlier one of the same name did."""
        first = stored[0]
        asked = self.control(first.device_id, rules=SwitchRules())
        return (
            (self.immediate or asked.planned_at == first.planned_at)
            and (asked.reason_code, asked.test_data) == (first.reason_code, first.test_data)
            and {control.device_id for control in stored} <= set(device_ids)
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderedMeter:
    """What is known of a device when its order is first looked at: `device` is None when SAP has not created it.

    `ams_id` is the metering system the order names, `others` are the other orders for the device.
    """

    ams_id: str
    device: EndDevice | None
    status: EndDeviceStatus | None = None
    locations: Sequence[DeviceLocation] = ()
    others: Sequence[EndDeviceControl] = ()


def barred(control: EndDeviceControl, *, rules: SwitchRules, now: datetime) -> Refusal | None:
    """Return why a device is not switched whatever it is, or None."""
    if control.test_data:
        return TEST_DATA
    if control.category is ControlCategory.DISCONNECT and now >= control.expires_at:
        return too_late(rules.disconnect_expiry)
    return None


def begun(
    order: ConnectionOrder,
    control: EndDeviceControl,
    meter: OrderedMeter,
    *,
    matrix: Capabilities,
    rules: SwitchRules,
    now: datetime,
) -> EndDeviceControl:
    """Return one device of an order as it begins: settled if nothing is to be done, else with the place it hangs at."""
    refusal = barred(control, rules=rules, now=now) or _refusal(order, meter, matrix=matrix)
    if refusal is not None:
        return failed(control, refusal, now=now)
    place = place_on(local_day(order.received_at, zone=order.zone), meter.locations)
    control = replace(control, installation_point_id=place)
    is_moving = any(may_move(other, rules=rules, now=now) for other in meter.others)
    if not is_moving and stands_as_ordered(control, meter.status, rules=rules, now=now):
        return executed(control, at=now)
    return control


def _refusal(order: ConnectionOrder, meter: OrderedMeter, *, matrix: Capabilities) -> Refusal | None:
    """Return why this device cannot be switched, or is not the one that is meant."""
    device = meter.device
    if device is None:
        return _UNKNOWN_DEVICE
    if device.ams_id not in (None, meter.ams_id):
        return Refusal(code="OTHER_SYSTEM", note=f"The device belongs to the advanced metering system {device.ams_id}")
    day = local_day(order.planned_at, zone=order.zone)
    if not device.is_valid_on(day):
        return Refusal(code="NOT_IN_SERVICE", note=f"The device is not in service on {day}")
    if device.head_end is None:
        return Refusal(code="NO_HEAD_END", note="No head end serves the device")
    if meter.status is not None and meter.status.has_breaker is False:
        return NO_BREAKER
    return unable(device, order.category, matrix=matrix)


def may_move(other: EndDeviceControl, *, rules: SwitchRules, now: datetime) -> bool:
    """Tell whether another order of the device may move the breaker any moment: it is due and open, or ended in doubt.

    In doubt means that its switch left and nobody knows whether the meter will still follow it.
    """
    if other.status is ControlStatus.ORDERED:
        return other.effective_at <= now
    in_doubt = other.status is ControlStatus.FAILED and other.failure_code not in NEVER_TRIED
    return in_doubt and other.processed_at is not None and now - other.processed_at < rules.trusted_state


def stands_as_ordered(
    control: EndDeviceControl, status: EndDeviceStatus | None, *, rules: SwitchRules, now: datetime
) -> bool:
    """Tell whether the order is due and the position, read back recently, is already the one ordered."""
    return (
        status is not None
        and status.switch_state is control.category.wanted_state
        and status.switch_state_at is not None
        and now - status.switch_state_at < rules.trusted_state
        and control.planned_at <= now
    )
