"""SmartMeterUtilitiesConnectionStatusChangeRequestERPCreateRequest: SAP orders meters disconnected or reconnected.

Answered by SmartMeterUtilitiesConnectionStatusChangeRequestERPCreateConfirmation once it is settled what became of
every device: the confirmation tells the execution, never the intention. An order SAP has cancelled is answered by the
cancellation's confirmation only.

```
SAP   --CreateRequest-->           device not there yet: wait for it, 30 minutes at most
MDUS  --switch--> head end         when planned; the governor may refuse it up to the last instant
MDUS  --switch state--> head end   the position is read back: only that counts
SAP   <--CreateConfirmation--      per device 1 or 2 with the instant; overall 3, 4 or 5, with the reasons
```
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from mdus.contracts.binding import wire
from mdus.contracts.log import Log, ProcessingResultCode
from mdus.domain.access import MAY_SWITCH
from mdus.domain.capability import Capabilities
from mdus.domain.command import Command
from mdus.domain.connection_order import ConnectionOrder, OrderedMeter, barred, begun
from mdus.domain.end_device import EndDevice, EndDeviceStatus
from mdus.domain.end_device_control import (
    NOT_CAPABLE,
    ControlCategory,
    ControlStatus,
    EndDeviceControl,
    is_rescheduled,
    order_progress,
    taken_back,
)
from mdus.domain.usage_point import DeviceLocation
from mdus.domain.value import Remove
from mdus.domain.verified_switch import Step, SwitchRules, Waiting, next_step
from mdus.messaging.addressed_device import awaited
from mdus.messaging.known import Known
from mdus.messaging.outcome import Await, BusinessError, Change, Done, Outcome, Park, Problem, Received, Result
from mdus.messaging.patterns import Door, RequestConfirmation
from mdus.storage.session import UnitOfWork

#: UtilitiesDeviceConnectionStatusProcessingResultCode.
_SWITCHED: Final = "1"
_NOT_SWITCHED: Final = "2"

#: What the head end says under a code of its own.
_SAID_BY_HEAD_END: Final = "SAID_BY_THE_HEAD_END"

#: Short code of a failure -> TypeID of its log item; what is not listed is said by the head end.
TYPE_IDS: Final[Mapping[str, str]] = {
    "UNKNOWN_DEVICE": "110(MDUS)",
    "OTHER_SYSTEM": "111(MDUS)",
    NOT_CAPABLE: "150(MDUS)",
    "TEST_DATA": "310(MDUS)",
    "TOO_LATE": "311(MDUS)",
    "EXPIRED": "312(MDUS)",
    "KILL_SWITCH": "313(MDUS)",
    "NO_BREAKER": "314(MDUS)",
    "CANCELLED": "315(MDUS)",
    "NOT_IN_SERVICE": "316(MDUS)",
    "NO_HEAD_END": "317(MDUS)",
    "NOT_SWITCHED": "318(MDUS)",
    "STATE_UNKNOWN": "319(MDUS)",
    "OTHER_HEAD_END": "321(MDUS)",
    "OTHER_METER": "322(MDUS)",
    "SUPERSEDED": "323(MDUS)",
    "OTHER_PLACE": "324(MDUS)",
    _SAID_BY_HEAD_END: "320(MDUS)",
}

#: Years a planned time may be in: beyond them the calendar ends.
_FIRST_YEAR: Final = 1900
_LAST_YEAR: Final = 9998

#: An order for several meters is looked at this often while it waits for the slowest, so that the others are verified.
_LOOK_AGAIN: Final = timedelta(minutes=2)


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderedDevice:
    """One device of the order."""

    device_id: str = wire("UtilitiesDeviceID")
    ams_id: str = wire("SmartMeter/UtilitiesAdvancedMeteringSystemID")


@dataclass(frozen=True, kw_only=True, slots=True)
class Request(Received):
    """One disconnection document's order; the planned time is an instant."""

    request_id: str = wire("UtilitiesConnectionStatusChangeRequest/ID")
    category_code: str = wire("UtilitiesConnectionStatusChangeRequest/CategoryCode")
    reason_code: str | None = wire("UtilitiesConnectionStatusChangeRequest/UtilitiesServiceDisconnectionReasonCode")
    planned_at: datetime = wire("UtilitiesConnectionStatusChangeRequest/PlannedProcessingDateTime")
    immediate: bool | None = wire("UtilitiesConnectionStatusChangeRequest/ImmediateStatusChangeIndicator")
    devices: tuple[OrderedDevice, ...] = wire("UtilitiesConnectionStatusChangeRequest/DeviceConnectionStatus")

    @property
    def distinct(self) -> tuple[OrderedDevice, ...]:
        """Return the devices, each once: a device named twice is switched once."""
        first: dict[str, OrderedDevice] = {}
        for device in self.devices:
            first.setdefault(device.device_id, device)
        return tuple(first.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfirmedDevice:
    """What became of one device, and when."""

    processed_at: datetime = wire("ProcessingDateTime")
    result_code: str = wire("UtilitiesDeviceConnectionStatusProcessingResultCode")
    device_id: str = wire("UtilitiesDeviceID")


@dataclass(frozen=True, kw_only=True, slots=True)
class Confirmation:
    """What SAP reads: the order and what became of each of its devices."""

    request_id: str = wire("UtilitiesConnectionStatusChangeRequest/ID")
    category_code: str = wire("UtilitiesConnectionStatusChangeRequest/CategoryCode")
    devices: tuple[ConfirmedDevice, ...] = wire("UtilitiesConnectionStatusChangeRequest/DeviceConnectionStatus")
    log: Log = wire("Log")


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceOutcome:
    """What became of one device of the order."""

    device_id: str
    switched: bool
    processed_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class SwitchResult(Result):
    """What became of an order: its devices, and a problem for each that was not switched."""

    devices: tuple[DeviceOutcome, ...] = ()


class CategoryUnknown(BusinessError):
    """The category is neither 1 (disconnect) nor 2 (reconnect)."""

    type_id = "301(MDUS)"


class OrderDiffers(BusinessError):
    """An order with this ID and category came before with other content."""

    type_id = "302(MDUS)"


class PlannedTimeImpossible(BusinessError):
    """The planned time lies beyond any that an order can have."""

    type_id = "304(MDUS)"


class OrderUnderWay(BusinessError):
    """The same order came before and is not finished."""

    type_id = "303(MDUS)"


def load(requests: Sequence[Request], uow: UnitOfWork) -> Known:
    """Fetch devices with status, places and all that was ordered for them, these orders, the commands of these items.

    Devices are held, so that of two orders for one device the one decided second knows of the first.
    """
    devices = {(request.origin.sender_system, one.device_id) for request in requests for one in request.devices}
    orders = {
        (request.origin.sender_system, request.request_id, category)
        for request in requests
        for category in ControlCategory
    }
    by_id = ("sender_system", "device_id")
    return Known(
        [SwitchRules.of(uow.settings), Capabilities.of(uow.settings)],
        uow.load(EndDevice, by_id, devices),
        uow.load(EndDeviceStatus, by_id, devices, lock=False),
        uow.load(DeviceLocation, by_id, devices, lock=False),
        uow.load(EndDeviceControl, by_id, devices, lock=False),
        uow.load(EndDeviceControl, ("sender_system", "request_id", "category"), orders),
        uow.load_commands([request.origin.item_id for request in requests]),
    )


def decide(request: Request, known: Known, *, now: datetime) -> Outcome:
    """Carry the order out device by device; done when every device is settled (SAP contract 3.6).

    - Refused at once, per device: test data, a disconnection planned too long ago, a device of another system, out of
      service, without head end or breaker, not capable of it. A device not there yet is waited for, the others go on.
    - A planned time in the past means now. A device known to stand as ordered, read back recently, is not switched,
      unless another order may be about to move it.
    - The same order again (ID and category) is answered with the stored outcome, with other content refused. Unless SAP
      has cancelled it and plans it later now: that is a new order, and waits if it comes before the cancellation. One
      that is to be carried out at once never is: its planned time does not tell it from the cancelled one, sent again.
    - Devices cancelled by SAP are not switched; if all are, the order gets no confirmation of its own.
    """
    try:
        return _decided(request, known, now=now)
    except BusinessError as error:
        devices = tuple(
            DeviceOutcome(device_id=one.device_id, switched=False, processed_at=now) for one in request.distinct
        )
        return Done(result=SwitchResult(problems=(error.problem,), devices=devices))


def _decided(request: Request, known: Known, *, now: datetime) -> Outcome:
    origin = request.origin
    rules = known.one(SwitchRules) or SwitchRules()
    category = category_of(request.category_code)
    order = _order(request, category)
    if not _FIRST_YEAR <= request.planned_at.year <= _LAST_YEAR:
        raise PlannedTimeImpossible(f"The planned time {request.planned_at:%Y-%m-%dT%H:%M:%SZ} is impossible")
    stored = known.find(
        EndDeviceControl, sender_system=origin.sender_system, request_id=request.request_id, category=category
    )
    own = {control.device_id: control for control in stored if control.item_id == origin.item_id}
    changes: list[Change] = []
    if stored and not own:
        if not request.immediate and is_rescheduled(stored, planned_at=request.planned_at):
            changes += (Remove(EndDeviceControl, control.key) for control in stored)
        elif any(control.status is not ControlStatus.WITHDRAWN for control in stored):
            return _repeated(request, order, stored, now=now)
        else:
            return _cancelled_before(request, order, rules=rules, now=now)
    is_cancelled = any(control.status is ControlStatus.CANCELLED for control in own.values())
    settled: list[EndDeviceControl] = []
    waiting: list[Waiting] = []
    missing: list[str] = []
    for one in request.distinct:
        control = own.get(one.device_id)
        if control is None:
            if is_cancelled:
                control = taken_back(order.control(one.device_id, rules=rules), now=now)
            else:
                control = _begun(request, order, one, known, rules=rules, now=now)
            if control is None:
                missing.append(one.device_id)
                continue
            changes.append(control)
        if not control.is_final:
            step = _step(control, known, rules=rules, now=now)
            if isinstance(step, Waiting):
                waiting.append(step)
                continue
            control = step.control
            changes += [control, *step.also]
        settled.append(control)
    if waiting or missing:
        return _wait(request, waiting, missing, changes, now=now)
    return _done(settled, changes)


def _step(control: EndDeviceControl, known: Known, *, rules: SwitchRules, now: datetime) -> Step:
    device = known.one(EndDevice, control.sender_system, control.device_id)
    if device is None:
        raise LookupError(f"device {control.device_id} was known when request {control.request_id} began")
    commands = known.find(Command, owner_key=str(control.item_id), device_id=control.device_id)
    return next_step(control, device=device, commands=commands, rules=rules, now=now)


def category_of(code: str) -> ControlCategory:
    """Return the category of a request; codes may have leading zeros."""
    try:
        return ControlCategory(code.lstrip("0"))
    except ValueError as error:
        raise CategoryUnknown(f"The category {code} is neither 1 (disconnect) nor 2 (reconnect)") from error


def _order(request: Request, category: ControlCategory) -> ConnectionOrder:
    origin = request.origin
    return ConnectionOrder(
        sender_system=origin.sender_system,
        request_id=request.request_id,
        category=category,
        planned_at=request.planned_at,
        immediate=bool(request.immediate),
        reason_code=request.reason_code,
        test_data=origin.test_data,
        item_id=origin.item_id,
        received_at=origin.received_at,
        zone=origin.zone,
        client=origin.client,
    )


def _begun(
    request: Request, order: ConnectionOrder, one: OrderedDevice, known: Known, *, rules: SwitchRules, now: datetime
) -> EndDeviceControl | None:
    """Return the control of a device first seen, settled if nothing is to be done; None: it is not there yet."""
    control = order.control(one.device_id, rules=rules)
    owner = {"sender_system": order.sender_system, "device_id": one.device_id}
    meter = OrderedMeter(
        ams_id=one.ams_id,
        device=known.one(EndDevice, *owner.values()),
        status=known.one(EndDeviceStatus, *owner.values()),
        locations=known.find(DeviceLocation, **owner),
        others=[other for other in known.find(EndDeviceControl, **owner) if other.key != control.key],
    )
    may_come = meter.device is None and now < request.origin.park_until
    if may_come and barred(control, rules=rules, now=now) is None:
        return None
    matrix = known.one(Capabilities) or Capabilities()
    return begun(order, control, meter, matrix=matrix, rules=rules, now=now)


def _wait(
    request: Request, waiting: Sequence[Waiting], missing: Sequence[str], changes: Sequence[Change], *, now: datetime
) -> Outcome:
    origin = request.origin
    if missing and not waiting and not changes:
        # What becomes of a device that never comes is decided at that instant, per device.
        return awaited(origin, missing[0])
    until = [step.until for step in waiting]
    if missing:
        until.append(min(origin.park_until, now + _LOOK_AGAIN))
    if len(waiting) > 1:
        until.append(max(now, *(step.command.not_before for step in waiting)) + _LOOK_AGAIN)
    return Await(commands=tuple(step.command for step in waiting), until=min(until), changes=tuple(changes))


def _done(settled: Sequence[EndDeviceControl], changes: Sequence[Change]) -> Done:
    if all(control.status is ControlStatus.CANCELLED for control in settled):
        return Done(changes=tuple(changes), result=None)
    told = tuple(
        replace(control, reported_success=False)
        for control in settled
        if control.status is ControlStatus.CANCELLED and control.reported_success is None
    )
    return Done(changes=(*changes, *told), result=_result(settled))


def _result(settled: Sequence[EndDeviceControl]) -> SwitchResult:
    return SwitchResult(
        problems=tuple(_problem(control) for control in settled if control.status is not ControlStatus.EXECUTED),
        devices=tuple(
            DeviceOutcome(
                device_id=control.device_id,
                switched=control.status is ControlStatus.EXECUTED,
                processed_at=control.processed_at or control.planned_at,
            )
            for control in settled
        ),
    )


def _problem(control: EndDeviceControl) -> Problem:
    code = control.failure_code or control.status.value.upper()
    return Problem(
        type_id=TYPE_IDS.get(code, TYPE_IDS[_SAID_BY_HEAD_END]),
        note=f"Device {control.device_id}: {control.note or code} ({code})",
    )


def _cancelled_before(request: Request, order: ConnectionOrder, *, rules: SwitchRules, now: datetime) -> Done:
    """Keep the order as cancelled: SAP's cancellation came first, waits for it, and will be its only answer."""
    controls = (order.control(one.device_id, rules=rules) for one in request.distinct)
    return Done(changes=tuple(taken_back(control, now=now) for control in controls), result=None)


def _repeated(
    request: Request, order: ConnectionOrder, stored: Sequence[EndDeviceControl], *, now: datetime
) -> Outcome:
    """Answer an order that came before from its outcome; while it is under way wait for that."""
    origin = request.origin
    same = order.repeats(stored, device_ids=[one.device_id for one in request.devices])
    progress = order_progress(origin.sender_system, order.request_id, order.category)
    is_later = not request.immediate and request.planned_at > stored[0].planned_at
    if not same and is_later and not any(control.is_final for control in stored):
        return Park(waits_for=progress, until=origin.park_until, otherwise=OrderDiffers())
    if not same:
        raise OrderDiffers
    by_device = {control.device_id: control for control in stored}
    settled = [by_device[one.device_id] for one in request.distinct if one.device_id in by_device]
    if len(settled) < len(request.distinct) or not all(control.is_final for control in settled):
        until = max(origin.park_until, *(control.expires_at + timedelta(hours=2) for control in stored))
        if now >= until:
            raise OrderUnderWay
        return Park(waits_for=progress, until=until, otherwise=OrderUnderWay())
    return Done(result=_result(settled))


def confirm(request: Request, result: SwitchResult) -> Confirmation:
    """Return the confirmation of one order: overall 3 if every device was switched, 5 if none, else 4."""
    switched = [outcome for outcome in result.devices if outcome.switched]
    log = result.log
    if result.failed and switched:
        log = replace(log, result_code=ProcessingResultCode.PARTIALLY_SUCCESSFUL)
    return Confirmation(
        request_id=request.request_id,
        category_code=request.category_code,
        devices=tuple(
            ConfirmedDevice(
                processed_at=outcome.processed_at,
                result_code=_SWITCHED if outcome.switched else _NOT_SWITCHED,
                device_id=outcome.device_id,
            )
            for outcome in result.devices
        ),
        log=log,
    )


SERVICE = RequestConfirmation(
    request="SmartMeterUtilitiesConnectionStatusChangeRequestERPCreateRequest",
    bulk_request="SmartMeterUtilitiesConnectionStatusChangeRequestERPBulkCreateRequest",
    confirmation="SmartMeterUtilitiesConnectionStatusChangeRequestERPCreateConfirmation",
    bulk_confirmation="SmartMeterUtilitiesConnectionStatusChangeRequestERPBulkCreateConfirmation",
    shape=Request,
    confirmation_shape=Confirmation,
    result=SwitchResult,
    order_by="request_id",
    load=load,
    decide=decide,
    confirm=confirm,
    door=Door(path="connection-orders", role=MAY_SWITCH, made="request_id"),
)
