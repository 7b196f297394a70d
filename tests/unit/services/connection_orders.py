"""Connection orders and their cancellations as requests, and a store that drives them without a database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from mdus.domain.command import Command, CommandKind, CommandStatus
from mdus.domain.end_device import EndDevice, EndDeviceStatus, SwitchState
from mdus.domain.end_device_control import EndDeviceControl
from mdus.domain.value import Value
from mdus.domain.verified_switch import SwitchRules
from mdus.messaging.known import Known
from mdus.messaging.outcome import Await, BusinessError, Done, Outcome, Park, Result
from mdus.services import connection_status_change_cancellation as cancellation
from mdus.services import connection_status_change_create as create
from tests.unit.services.device_initialization import NOW, SENDER, known_device, origin

ORDER = "000000004711"
METERS = ("000000000000000042", "000000000000000043", "000000000000000044")
MINUTE = timedelta(minutes=1)


def meter(device_id: str = METERS[0], **facts: Any) -> EndDevice:
    """A device in service at a head end."""
    return known_device(device_id=device_id, serial_id=f"S{device_id}", **facts)


def status(device_id: str = METERS[0], **facts: Any) -> EndDeviceStatus:
    """What is known of a meter with a breaker."""
    return EndDeviceStatus(sender_system=SENDER, device_id=device_id, **{"has_breaker": True, **facts})


def order(*device_ids: str, **facts: Any) -> create.Request:
    """A disconnection, planned for now, of these devices or of the first."""
    told: dict[str, Any] = {
        "origin": origin(item_id=1),
        "request_id": ORDER,
        "category_code": "1",
        "planned_at": NOW,
        "devices": tuple(
            create.OrderedDevice(device_id=device_id, ams_id="AM01") for device_id in device_ids or METERS[:1]
        ),
    }
    return create.Request(**{**told, **facts})


def cancel(*device_ids: str, **facts: Any) -> cancellation.Request:
    """The cancellation of that order."""
    told: dict[str, Any] = {
        "origin": origin(item_id=2),
        "request_id": ORDER,
        "category_code": "1",
        "devices": tuple(cancellation.CancelledDevice(device_id=device_id) for device_id in device_ids or METERS[:1]),
    }
    return cancellation.Request(**{**told, **facts})


class Store:
    """What is known from one decision to the next, kept as the inbox and the head-end worker keep it."""

    def __init__(self, *values: Value, rules: SwitchRules | None = None) -> None:
        self.known = Known([rules or SwitchRules()], values)
        self.now = NOW

    def decide(self, request: create.Request | cancellation.Request) -> Outcome:
        """Decide a request as the inbox does, overdue parking included, and keep what it changes."""
        decide = create.decide if isinstance(request, create.Request) else cancellation.decide
        result_of: type[Result] = create.SwitchResult
        if isinstance(request, cancellation.Request):
            result_of = cancellation.CancellationResult
        outcome: Outcome
        try:
            outcome = decide(request, self.known, now=self.now)  # type: ignore[arg-type]
        except BusinessError as error:
            outcome = Done(result=result_of(problems=(error.problem,)))
        if isinstance(outcome, Park) and outcome.until <= self.now:
            outcome = Done(result=result_of(problems=(outcome.otherwise.problem,)))
        self.known.after(outcome)
        return outcome

    def add(self, *values: Value) -> None:
        """Let values arrive from elsewhere."""
        self.known.after(Done(changes=values))

    def pass_time(self, span: timedelta) -> datetime:
        """Let business time pass."""
        self.now += span
        return self.now

    def commands(self, kind: CommandKind | None = None, device_id: str | None = None) -> list[Command]:
        """Return the commands there are."""
        return [
            command
            for item_id in (1, 2, 3)
            for command in self.known.find(Command, owner_key=str(item_id))
            if kind in (None, command.kind) and device_id in (None, command.device_id)
        ]

    def end(self, command: Command, ended: CommandStatus = CommandStatus.DONE, **facts: Any) -> None:
        """Let the head end answer a command."""
        self.add(replace(command, **{"status": ended, "ended_at": self.now, **facts}))

    def control(self, device_id: str = METERS[0], *, category: str = "1") -> EndDeviceControl | None:
        """Return what is kept of one device of the order."""
        return self.known.one(EndDeviceControl, SENDER, ORDER, category, device_id)


def awaited(outcome: Outcome) -> Sequence[Command]:
    """The commands a decision waits for."""
    assert isinstance(outcome, Await)
    return outcome.commands


def told(outcome: Outcome) -> create.SwitchResult:
    """What SAP will be told of an order."""
    assert isinstance(outcome, Done)
    assert isinstance(outcome.result, create.SwitchResult)
    return outcome.result


def answered(outcome: Outcome) -> cancellation.CancellationResult:
    """What SAP will be told of a cancellation."""
    assert isinstance(outcome, Done)
    assert isinstance(outcome.result, cancellation.CancellationResult)
    return outcome.result


def codes(result: create.SwitchResult) -> list[str]:
    """The TypeIDs SAP's log will list."""
    return [problem.type_id for problem in result.problems]


def carried_out(store: Store, request: create.Request, state: SwitchState = SwitchState.DISCONNECTED) -> Outcome:
    """Play the head end: the switch is done, the position read back."""
    store.decide(request)
    for command in store.commands(CommandKind.SWITCH):
        store.end(command, acted_at=store.now)
    store.decide(request)
    for command in store.commands(CommandKind.SWITCH_STATE):
        store.end(command, result_state=state)
    return store.decide(request)
