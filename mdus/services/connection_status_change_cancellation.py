"""SmartMeterUtilitiesConnectionStatusChangeRequestERPCancellationRequest: SAP takes a connection order back.

Answered by SmartMeterUtilitiesConnectionStatusChangeRequestERPCancellationConfirmation. The order is known by ID and
category; it is taken back as a whole, whatever devices the cancellation lists.

```
SAP   --CancellationRequest-->        the order is not there yet: keep it from starting, wait for it 30 minutes
                                      no command has left: cancelled, and the order gets no confirmation of its own
                                      a command has left: it cannot be called back, "cannot cancel" wins
                                      a device is not there yet: cancelled, so that it finds itself so when it comes
SAP   <--CancellationConfirmation--   3 all devices, 4 some, 5 none
```
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from mdus.contracts.binding import wire
from mdus.contracts.log import Log, ProcessingResultCode
from mdus.domain.access import Role
from mdus.domain.command import Command, CommandKind, CommandStatus, called_back
from mdus.domain.end_device_control import (
    CANCELLED,
    ControlCategory,
    ControlStatus,
    EndDeviceControl,
    order_arrival,
    taken_back,
    unseen,
    withdrawals,
)
from mdus.domain.value import Remove
from mdus.messaging.commanded_device import check_real
from mdus.messaging.known import Known
from mdus.messaging.outcome import Await, BusinessError, Change, Done, Outcome, Park, Problem, Received, Result
from mdus.messaging.patterns import Door, RequestConfirmation
from mdus.storage.session import UnitOfWork


@dataclass(frozen=True, kw_only=True, slots=True)
class CancelledDevice:
    """One device SAP lists."""

    device_id: str = wire("UtilitiesDeviceID")


@dataclass(frozen=True, kw_only=True, slots=True)
class Request(Received):
    """The order to take back."""

    request_id: str = wire("UtilitiesConnectionStatusChangeRequest/ID")
    category_code: str = wire("UtilitiesConnectionStatusChangeRequest/CategoryCode")
    devices: tuple[CancelledDevice, ...] = wire("UtilitiesConnectionStatusChangeRequest/DeviceConnectionStatus")


@dataclass(frozen=True, kw_only=True, slots=True)
class Confirmation:
    """What SAP reads: the order and how much of it was taken back."""

    request_id: str = wire("UtilitiesConnectionStatusChangeRequest/ID")
    category_code: str = wire("UtilitiesConnectionStatusChangeRequest/CategoryCode")
    log: Log = wire("Log")


@dataclass(frozen=True, kw_only=True, slots=True)
class CancellationResult(Result):
    """How a cancellation went: how many devices were taken back; the others are among the problems."""

    cancelled: int = 0


class CategoryUnknown(BusinessError):
    """The category is neither 1 (disconnect) nor 2 (reconnect)."""

    type_id = "301(MDUS)"


class NothingToCancel(BusinessError):
    """No order with this ID and category has come."""

    type_id = "330(MDUS)"


class CannotCancel(BusinessError):
    """The switch command has left and cannot be called back."""

    type_id = "331(MDUS)"


class AlreadyFinal(BusinessError):
    """The order is already final."""

    type_id = "332(MDUS)"


def load(requests: Sequence[Request], uow: UnitOfWork) -> Known:
    """Fetch the controls of these orders and their commands, held until it is decided what can be taken back."""
    orders = {
        (request.origin.sender_system, request.request_id, category)
        for request in requests
        for category in ControlCategory
    }
    controls = uow.load(EndDeviceControl, ("sender_system", "request_id", "category"), orders)
    keys = {(control.control_key,) for control in controls if not control.is_final}
    return Known(controls, uow.load(Command, ("control_key",), keys))


def decide(request: Request, known: Known, *, now: datetime) -> Outcome:
    """Take back what has not left (SAP contract 3.6).

    - A device whose switch has not been submitted is cancelled with its command; what is cancelled stays so, so the
      same cancellation again has the same answer.
    - A device whose command has left, or that is final, is not: its order will be, or was, confirmed.
    - A listed device that the order still waits for is: it finds itself cancelled when it comes.
    - Before its order: the listed devices are withdrawn, so that the order finds itself cancelled when it comes. If it
      does not come in time the cancellation fails and the order may run.
    - Test data takes nothing back, as it switches nothing.
    """
    origin = request.origin
    check_real(origin)
    try:
        category = ControlCategory(request.category_code.lstrip("0"))
    except ValueError as error:
        raise CategoryUnknown from error
    controls = known.find(
        EndDeviceControl, sender_system=origin.sender_system, request_id=request.request_id, category=category
    )
    withdrawn = [control for control in controls if control.status is ControlStatus.WITHDRAWN]
    standing = [control for control in controls if control.status is not ControlStatus.WITHDRAWN]
    forgotten = tuple(
        Remove(EndDeviceControl, control.key) for control in withdrawn if control.item_id == origin.item_id
    )
    if not standing:
        return _too_early(request, category, withdrawn, forgotten, now=now)

    changes: list[Change] = list(forgotten)
    problems: list[Problem] = []
    for control in standing:
        if control.status is ControlStatus.CANCELLED:
            continue
        # Of an order that took the place of a cancelled one, not the commands of that.
        commands = known.find(Command, control_key=control.control_key, owner_key=str(control.item_id))
        if control.status is not ControlStatus.ORDERED:
            problems.append(_problem(control, AlreadyFinal()))
        elif all(command.status is CommandStatus.READY for command in commands if command.kind is CommandKind.SWITCH):
            changes.append(taken_back(control, now=now))
            changes += called_back(commands, reason=CANCELLED.note, now=now)
        else:
            problems.append(_problem(control, CannotCancel()))
    absent = _still_to_come(request, standing, now=now) if problems else ()
    changes += absent
    cancelled = len(standing) - len(problems) + len(absent)
    return Done(changes=tuple(changes), result=CancellationResult(problems=tuple(problems), cancelled=cancelled))


def _still_to_come(
    request: Request, standing: Sequence[EndDeviceControl], *, now: datetime
) -> tuple[EndDeviceControl, ...]:
    """Return the listed devices the order waits for, taken back.

    Asked only where some device cannot be taken back: one that can keeps from starting whatever comes after it. A
    client's order waits for no device.
    """
    if standing[0].client is not None:
        return ()
    known = {control.device_id for control in standing}
    listed = dict.fromkeys(device.device_id for device in request.devices)
    return tuple(taken_back(unseen(standing[0], device_id), now=now) for device_id in listed if device_id not in known)


def _too_early(
    request: Request,
    category: ControlCategory,
    withdrawn: Sequence[EndDeviceControl],
    forgotten: tuple[Change, ...],
    *,
    now: datetime,
) -> Outcome:
    origin = request.origin
    if now >= origin.park_until:
        return Done(changes=forgotten, result=CancellationResult(problems=(NothingToCancel().problem,)))
    if not withdrawn:
        # Stored first, then waited for: parking itself changes nothing.
        controls = withdrawals(
            (device.device_id for device in request.devices),
            sender_system=origin.sender_system,
            request_id=request.request_id,
            category=category,
            item_id=origin.item_id,
            now=now,
        )
        return Await(commands=(), until=now, changes=controls)
    waits_for = order_arrival(origin.sender_system, request.request_id, category)
    return Park(waits_for=waits_for, until=origin.park_until, otherwise=NothingToCancel())


def _problem(control: EndDeviceControl, error: BusinessError) -> Problem:
    return replace(error.problem, note=f"Device {control.device_id}: {error}")


def confirm(request: Request, result: CancellationResult) -> Confirmation:
    """Return the confirmation: 3 if all devices were taken back, 5 if none, else 4."""
    log = result.log
    if result.failed and result.cancelled:
        log = replace(log, result_code=ProcessingResultCode.PARTIALLY_SUCCESSFUL)
    return Confirmation(request_id=request.request_id, category_code=request.category_code, log=log)


SERVICE = RequestConfirmation(
    request="SmartMeterUtilitiesConnectionStatusChangeRequestERPCancellationRequest",
    confirmation="SmartMeterUtilitiesConnectionStatusChangeRequestERPCancellationConfirmation",
    shape=Request,
    confirmation_shape=Confirmation,
    result=CancellationResult,
    order_by="request_id",
    load=load,
    decide=decide,
    confirm=confirm,
    door=Door(path="connection-order-cancellations", role=Role.APPROVER),
)
