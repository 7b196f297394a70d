"""Connecting and disconnecting a meter, and the governor that every switch passes just before it is submitted."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar, Final

from mdus.domain.capability import Capabilities, Capability, needed_for
from mdus.domain.command import Command, CommandKind
from mdus.domain.end_device import EndDevice, EndDeviceStatus, SwitchState
from mdus.domain.load_control_event import LoadControlAction
from mdus.domain.usage_point import DeviceLocation, place_on
from mdus.domain.value import Value


class ControlCategory(StrEnum):
    """SAP's category of a connection status change request."""

    DISCONNECT = "1"
    RECONNECT = "2"

    @property
    def wanted_state(self) -> SwitchState:
        """Return the breaker position the request asks for."""
        return SwitchState.DISCONNECTED if self is ControlCategory.DISCONNECT else SwitchState.CONNECTED


class ControlStatus(StrEnum):
    """The state of one device of a connection order."""

    ORDERED = "ordered"  # to be carried out
    CANCELLED = "cancelled"  # taken back by SAP before a command left
    EXECUTED = "executed"  # switched and read back
    FAILED = "failed"  # not carried out, or not to be proven
    WITHDRAWN = "withdrawn"  # cancelled by SAP, but the order itself has not come yet


def order_arrival(sender_system: str, request_id: str, category: str) -> str:
    """Return the name under which a cancellation waits for the connection order it cancels."""
    return f"connection_order/{sender_system}/{request_id}/{category}"


def order_progress(sender_system: str, request_id: str, category: str) -> str:
    """Return the name under which a repeated connection order waits for the end of the first."""
    return f"connection_order_progress/{sender_system}/{request_id}/{category}"


@dataclass(frozen=True, kw_only=True, slots=True)
class EndDeviceControl(Value):
    """One device of a connect/disconnect order, from ...ConnectionStatusChangeRequestERPCreateRequest (contract 3.6).

    `effective_at` is when the order counts from: its planned time, or when it came where that is later. Of two orders
    for one device it says which is the later. `expires_at` is the instant from which the switch must not leave any
    more: of a disconnect bound to its planned time, of a reconnect to our patience only. `installation_point_id` is
    where the device hung when the order came, None where nobody had told. `failure_code` is the short code of `note`
    when it failed. `client` is the REST client that ordered it, None for SAP.
    """

    KEY: ClassVar[tuple[str, ...]] = ("sender_system", "request_id", "category", "device_id")

    sender_system: str
    request_id: str
    category: ControlCategory
    device_id: str
    planned_at: datetime
    effective_at: datetime
    expires_at: datetime
    installation_point_id: str | None = None
    reason_code: str | None = None
    test_data: bool = False
    status: ControlStatus = ControlStatus.ORDERED
    item_id: int
    processed_at: datetime | None = None  # when the meter switched, or when we gave up
    reported_success: bool | None = None  # what SAP (or the client) was told; None: nothing yet
    failure_code: str | None = None
    note: str | None = None
    client: str | None = None

    @property
    def control_key(self) -> str:
        """Return the name by which a command points at this control."""
        return control_key(
            sender_system=self.sender_system,
            request_id=self.request_id,
            category=self.category,
            device_id=self.device_id,
        )

    def is_later_than(self, other: EndDeviceControl) -> bool:
        """Tell whether of two orders for one device this one has the last word."""
        return (self.effective_at, self.item_id) > (other.effective_at, other.item_id)

    @property
    def is_final(self) -> bool:
        """Tell whether what became of this device is settled."""
        return self.status in (ControlStatus.CANCELLED, ControlStatus.EXECUTED, ControlStatus.FAILED)

    @property
    def wakes(self) -> tuple[str, ...]:
        """Return whom this control wakes: a cancellation that came before it; once final, a repeated order too."""
        if self.status is ControlStatus.WITHDRAWN:
            return ()
        arrival = order_arrival(self.sender_system, self.request_id, self.category)
        if not self.is_final:
            return (arrival,)
        return arrival, order_progress(self.sender_system, self.request_id, self.category)


def unseen(sibling: EndDeviceControl, device_id: str) -> EndDeviceControl:
    """Return another device of an order that has not been looked at: nobody knows yet where it hangs."""
    return replace(
        sibling,
        device_id=device_id,
        installation_point_id=None,
        status=ControlStatus.ORDERED,
        processed_at=None,
        reported_success=None,
        failure_code=None,
        note=None,
    )


def taken_back(control: EndDeviceControl, *, now: datetime) -> EndDeviceControl:
    """Return a control as SAP's cancellation leaves it."""
    return replace(
        control,
        status=ControlStatus.CANCELLED,
        processed_at=now,
        failure_code=CANCELLED.code,
        note=CANCELLED.note,
    )


def withdrawals(
    device_ids: Iterable[str],
    *,
    sender_system: str,
    request_id: str,
    category: ControlCategory,
    item_id: int,
    now: datetime,
) -> tuple[EndDeviceControl, ...]:
    """Return the controls that keep an order from starting which SAP has cancelled before it came."""
    return tuple(
        EndDeviceControl(
            sender_system=sender_system,
            request_id=request_id,
            category=category,
            device_id=device_id,
            planned_at=now,
            effective_at=now,
            expires_at=now,
            status=ControlStatus.WITHDRAWN,
            item_id=item_id,
        )
        for device_id in dict.fromkeys(device_ids)
    )


def is_rescheduled(stored: Collection[EndDeviceControl], *, planned_at: datetime) -> bool:
    """Tell whether an order planned for `planned_at` takes the place of one that SAP cancelled, under the same name.

    Only a later one does: an earlier may be the cancelled one itself, sent again or overtaken by its cancellation.
    """
    return all(one.status is ControlStatus.CANCELLED and planned_at > one.planned_at for one in stored)


def control_key(*, sender_system: str, request_id: str, category: str, device_id: str) -> str:
    """Return the name of one device of a connection order, as commands carry it."""
    return f"{sender_system}/{request_id}/{category}/{device_id}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """Why a switch is not carried out: a short code and a sentence for SAP's log."""

    code: str
    note: str


@dataclass(frozen=True, kw_only=True, slots=True)
class GovernorRules:
    """The limits the governor enforces, from the section `switching` of the settings."""

    disconnect_expiry: timedelta = timedelta(minutes=60)
    least_limit_kw: Decimal = Decimal("0.5")


#: How long a reconnection waits for an earlier order of its device to be settled before it leaves all the same: a
#: disconnection that hangs must not keep anybody in the dark.
RECONNECT_PATIENCE: Final = timedelta(minutes=15)

#: The refusal of whatever carries TestDataIndicator.
TEST_DATA = Refusal(code="TEST_DATA", note="The message is marked as test data: no breaker is moved")

#: Commands that act on a customer, other than a switch: `permit_restraint` is asked for each.
ACTING: Final = frozenset(
    {CommandKind.LIMIT_DEMAND, CommandKind.CONTROL_LOAD, CommandKind.SET_TIME, CommandKind.SHOW_TEXT}
)

#: The refusal of an order that SAP has taken back.
CANCELLED = Refusal(code="CANCELLED", note="The order was cancelled before the switch command left")

NO_BREAKER = Refusal(code="NO_BREAKER", note="The meter has no breaker")


def too_late(disconnect_expiry: timedelta) -> Refusal:
    """Return the refusal of a disconnection whose planned time is too long ago."""
    minutes = int(disconnect_expiry.total_seconds() // 60)
    return Refusal(code="TOO_LATE", note=f"The disconnection was planned more than {minutes} minutes ago")


def superseding(
    control: EndDeviceControl, *, others: Iterable[EndDeviceControl], now: datetime
) -> EndDeviceControl | None:
    """Return the reconnection that forbids this disconnection, of the orders for the same device, or None.

    A later reconnection that is due, whatever became of it: who was to be connected since is not cut off any more.
    What SAP took back, and test data, says nothing.
    """
    if control.category is not ControlCategory.DISCONNECT:
        return None
    for other in others:
        stands = other.status not in (ControlStatus.CANCELLED, ControlStatus.WITHDRAWN) and not other.test_data
        if (
            stands
            and other.category is ControlCategory.RECONNECT
            and other.effective_at <= now
            and other.is_later_than(control)
        ):
            return other
    return None


#: The short code of a command whose device has moved to another head end.
OTHER_HEAD_END: Final = "OTHER_HEAD_END"


def misdirected(command: Command, *, device: EndDevice | None) -> Refusal | None:
    """Return why this command would go to the wrong place: its device has moved to another head end meanwhile.

    A device that is not known any more is no reason here: only a switch may not leave for it.
    """
    if device is None or device.head_end == command.head_end:
        return None
    return Refusal(code=OTHER_HEAD_END, note=f"The device is served by {device.head_end or 'no head end'} now")


#: The short code of what a device, or its head end, cannot do.
NOT_CAPABLE: Final = "NOT_CAPABLE"


def unable(device: EndDevice, category: ControlCategory, *, matrix: Capabilities) -> Refusal | None:
    """Return why a device cannot be switched this way at all, or None when it can."""
    disconnects = category is ControlCategory.DISCONNECT
    return _lacking(device, Capability.DISCONNECT if disconnects else Capability.RECONNECT, matrix)


def incapable(
    command: Command, *, device: EndDevice | None, takes: frozenset[CommandKind], matrix: Capabilities
) -> Refusal | None:
    """Return why this command would come to nothing, or None when it may have an effect.

    `takes` are the kinds of commands its head end can be given. A device that is not known any more has no reason here.
    """
    if command.kind not in takes:
        note = f"The head end {command.head_end} takes no commands of the kind {command.kind.value}"
        return Refusal(code=NOT_CAPABLE, note=note)
    capability = needed_for(command)
    return None if capability is None or device is None else _lacking(device, capability, matrix)


def _lacking(device: EndDevice, capability: Capability, matrix: Capabilities) -> Refusal | None:
    lack = matrix.lack(device, capability)
    return None if lack is None else Refusal(code=NOT_CAPABLE, note=lack)


def permit(
    command: Command,
    *,
    control: EndDeviceControl | None,
    device: EndDevice | None,
    status: EndDeviceStatus | None,
    others: Iterable[EndDeviceControl] = (),
    locations: Iterable[DeviceLocation] = (),
    stopped: str | None,
    rules: GovernorRules,
    today: date,
    now: datetime,
) -> Refusal | None:
    """Return why this switch must not be submitted now, or None when it may leave.

    Asked in the transaction of the intent row, with control, device, its status, the `others` ordered for it, its
    `locations` and the kill switch (`stopped`: its reason) read there; `today` is the sender's local date. Refused are:
    what SAP has cancelled or what is final already; test data; a device that is gone, is another meter, has another
    head end or has left service; a meter without breaker; whatever expired. A disconnection is also refused while the
    kill switch is on, after a later reconnection, when the meter hangs elsewhere than when it was ordered, and when it
    was planned longer ago than the rules allow; none of these ever holds up a reconnection.
    """
    disconnect = command.wanted_state is not SwitchState.CONNECTED
    if control is None or control.status in (ControlStatus.CANCELLED, ControlStatus.WITHDRAWN):
        return CANCELLED
    if control.status is not ControlStatus.ORDERED:
        return Refusal(code="ALREADY_FINAL", note="The order is already final")
    if command.test_data or control.test_data:
        return TEST_DATA
    if disconnect and stopped is not None:
        return Refusal(code="KILL_SWITCH", note=f"Disconnections are stopped: {stopped}")
    wrong_meter = _wrong_meter(command, device=device, today=today)
    if wrong_meter is not None:
        return wrong_meter
    if status is not None and status.has_breaker is False:
        return NO_BREAKER
    reconnection = superseding(control, others=others, now=now)
    if reconnection is not None:
        return Refusal(code="SUPERSEDED", note=f"The later order {reconnection.request_id} reconnects the device")
    if disconnect and (moved := _moved(control, place=place_on(today, locations))) is not None:
        return moved
    if disconnect and now > control.planned_at + rules.disconnect_expiry:
        return too_late(rules.disconnect_expiry)
    if now >= command.expires_at:
        return Refusal(code="EXPIRED", note=f"The order expired at {command.expires_at:%Y-%m-%d %H:%M:%S} UTC")
    return None


def restrains(command: Command) -> bool:
    """Tell whether a command lets a customer have less than before: a limit that is set, an event that is planned."""
    if command.kind is CommandKind.LIMIT_DEMAND:
        return command.parameter("limit_kw") is not None
    return command.kind is CommandKind.CONTROL_LOAD and command.parameter("action") != LoadControlAction.CANCEL


def _frees(command: Command) -> bool:
    """Tell whether a command takes back what has restrained a customer."""
    return command.kind in (CommandKind.LIMIT_DEMAND, CommandKind.CONTROL_LOAD) and not restrains(command)


def disguised(limit_kw: Decimal, *, may_switch: bool, least: Decimal) -> Refusal | None:
    """Return why a limit is a disconnection that whoever orders it may not order, or None."""
    if limit_kw >= least or may_switch:
        return None
    note = f"A limit of {limit_kw} kW, below {least} kW, disconnects: that takes a client that may order disconnections"
    return Refusal(code="LIMIT_TOO_LOW", note=note)


def permit_restraint(
    command: Command,
    *,
    device: EndDevice | None,
    may_switch: bool,
    stopped: str | None,
    rules: GovernorRules,
    today: date,
) -> Refusal | None:
    """Return why a command that acts on a customer, other than a switch, must not be submitted now; None: it may leave.

    Asked in the transaction of the intent row, as `permit`. Refused are test data, and a device that is gone, is
    another meter, has another head end or has left service. What restrains the customer is also refused while the kill
    switch is on, and a limit that is a disconnection in disguise unless whoever ordered it `may_switch` now. To take a
    limit away or to cancel an event is held up by none of this, but for another meter.
    """
    if command.test_data:
        return TEST_DATA
    if restrains(command) and stopped is not None:
        return Refusal(code="KILL_SWITCH", note=f"Disconnections, limits and load control are stopped: {stopped}")
    limit_kw = command.parameter("limit_kw") if command.kind is CommandKind.LIMIT_DEMAND else None
    low = disguised(Decimal(limit_kw), may_switch=may_switch, least=rules.least_limit_kw) if limit_kw else None
    return low or _wrong_meter(command, device=device, today=None if _frees(command) else today)


def _moved(control: EndDeviceControl, *, place: str | None) -> Refusal | None:
    """Return why a disconnection would hit somebody else: the meter does not hang any more where it was ordered."""
    if control.installation_point_id in (None, place):
        return None
    now_at = f"hangs at {place} now" if place else "is not installed now"
    return Refusal(
        code="OTHER_PLACE", note=f"The device {now_at}; it hung at {control.installation_point_id} when it was ordered"
    )


def _wrong_meter(command: Command, *, device: EndDevice | None, today: date | None) -> Refusal | None:
    """Return why the meter of this serial number may not be the one that is meant any more.

    It has to be in service `today`; None: it may have left.
    """
    if device is None:
        return Refusal(code="UNKNOWN_DEVICE", note="The device is not known any more")
    if device.serial_id != command.serial_id:
        return Refusal(code="OTHER_METER", note=f"The device has the serial number {device.serial_id} now")
    if today is not None and not device.is_valid_on(today):
        return Refusal(code="NOT_IN_SERVICE", note=f"The device is not in service on {today}")
    return misdirected(command, device=device)
