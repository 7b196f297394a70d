"""How one device of a connection order is carried out: switch once, read the position back, believe only that.

```
ORDERED --SWITCH--> done, uncertain or silent --SWITCH_STATE--> as wanted     --> EXECUTED
                                                                not as wanted --> FAILED
                                                                not to be had --> again, then FAILED and an event
                --> refused before it was tried                               --> FAILED
                --> never taken, a reconnection that has not expired          --> SWITCH again after a minute
```
A switch that may have been tried is never sent a second time: when unsure, only the position is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import ClassVar, Final

from mdus.domain.command import Command, CommandKind, CommandStatus, OwnerKind, command_key
from mdus.domain.end_device import EndDevice, SwitchState
from mdus.domain.end_device_control import (
    NOT_CAPABLE,
    ControlCategory,
    ControlStatus,
    EndDeviceControl,
    Refusal,
)
from mdus.domain.end_device_event import LateFailure, late_failure
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.value import Value
from mdus.settings import Settings

#: The kind of exception case of a meter whose breaker position nobody knows.
STATE_UNKNOWN: Final = LateFailure.SWITCH_STATE_UNKNOWN.value

#: Codes of a failed switch after which the breaker was certainly not tried: refused by the governor, never delivered,
#: or rejected by the head end for what it knows of the meter. After any other failure the position is read, so also
#: after LOAD_SIDE_VOLTAGE: voltage behind a breaker is what a closed one has, and whom it supplies is connected.
NEVER_TRIED: Final = frozenset(
    {
        "CANCELLED",
        "ALREADY_FINAL",
        "TEST_DATA",
        "KILL_SWITCH",
        "TOO_LATE",
        "EXPIRED",
        "UNKNOWN_DEVICE",
        "OTHER_METER",
        "NOT_IN_SERVICE",
        "OTHER_HEAD_END",
        "OTHER_PLACE",
        "SUPERSEDED",
        "UNREACHABLE",
        "NO_HEAD_END",
        "BATCH_REFUSED",
        "UNKNOWN_METER",
        "NOT_PROVISIONED",
        "NO_BREAKER",
        NOT_CAPABLE,
        "BUSY",
        "NOT_ADDRESSABLE",
    }
)

#: Codes of a switch that its head end certainly did not take, and may take later: nobody stays in the dark for that.
_NOT_TAKEN: Final = frozenset({"BUSY", "UNREACHABLE"})
_TAKE_AGAIN: Final = timedelta(minutes=1)

#: How long after a call that broke off the head end may still be about to read it.
_ON_ITS_WAY: Final = timedelta(minutes=1)

_SWITCH: Final = "switch"
_VERIFY: Final = "verify"


@dataclass(frozen=True, kw_only=True, slots=True)
class SwitchRules(Value):
    """The patience with switches, from the section `switching` of the settings."""

    KEY: ClassVar[tuple[str, ...]] = ()

    disconnect_expiry: timedelta = timedelta(minutes=60)
    command_timeout: timedelta = timedelta(minutes=60)
    verify_timeout: timedelta = timedelta(minutes=15)
    verify_attempts: int = 3
    trusted_state: timedelta = timedelta(minutes=60)

    @classmethod
    def of(cls, settings: Settings) -> SwitchRules:
        """Return the rules that the settings say."""
        switching = settings.switching
        return cls(
            disconnect_expiry=timedelta(minutes=switching.disconnect_expiry_minutes),
            command_timeout=timedelta(minutes=switching.command_timeout_minutes),
            verify_timeout=timedelta(minutes=switching.verify_timeout_minutes),
            verify_attempts=switching.verify_attempts,
            trusted_state=timedelta(minutes=switching.trusted_state_minutes),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """The device needs this command; at `until` it is looked at again even if the command has not ended."""

    command: Command
    until: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """What became of the device is settled; `also` are the changes that come with it."""

    control: EndDeviceControl
    also: tuple[Value, ...] = ()


Step = Waiting | Ended


def next_step(
    control: EndDeviceControl,
    *,
    device: EndDevice,
    commands: Sequence[Command],
    rules: SwitchRules,
    now: datetime,
) -> Step:
    """Return what the device of an order that is not final needs next; `commands` are its own, oldest first."""
    switches = [command for command in commands if command.kind is CommandKind.SWITCH]
    switch = switches[-1] if switches else None
    if switch is None or _is_taken_again(control, switch, now=now):
        not_before = control.planned_at if switch is None else now + _TAKE_AGAIN
        command = _switch_command(control, device, attempt=len(switches) + 1, not_before=not_before)
        return Waiting(command=command, until=command.expires_at + rules.command_timeout)
    if not switch.has_ended and now < switch.expires_at + rules.command_timeout:
        return Waiting(command=switch, until=switch.expires_at + rules.command_timeout)
    if switch.status is CommandStatus.READY:
        # It has not left for whatever reason and must not any more; a final order is also refused by the governor.
        expired = Refusal(code="EXPIRED", note=f"No command had left by {switch.expires_at:%Y-%m-%d %H:%M:%S} UTC")
        unsent = replace(switch, status=CommandStatus.CANCELLED, ended_at=now, result_text=expired.note)
        return Ended(control=failed(control, expired, now=now), also=(unsent,))
    if switch.status is CommandStatus.CANCELLED or (
        switch.status is CommandStatus.FAILED and switch.result_code in NEVER_TRIED
    ):
        return Ended(control=failed(control, _refusal_of(switch), now=now))
    checks = [command for command in commands if command.kind is CommandKind.SWITCH_STATE]
    return _verified(control, device=device, switch=switch, checks=checks, rules=rules, now=now)


def _is_taken_again(control: EndDeviceControl, switch: Command, *, now: datetime) -> bool:
    """Tell whether a reconnection that was never taken is given to the head end once more before it expires."""
    return (
        control.category is ControlCategory.RECONNECT
        and switch.status is CommandStatus.FAILED
        and switch.result_code in _NOT_TAKEN
        and now + _TAKE_AGAIN < control.expires_at
    )


def _verified(
    control: EndDeviceControl,
    *,
    device: EndDevice,
    switch: Command,
    checks: Sequence[Command],
    rules: SwitchRules,
    now: datetime,
) -> Step:
    last = checks[-1] if checks else None
    if last is not None and not last.has_ended and now < last.expires_at:
        return Waiting(command=last, until=last.expires_at)
    state = last.result_state if last is not None and last.succeeded else None
    if last is None or state is None or state is SwitchState.UNKNOWN:
        if len(checks) < rules.verify_attempts:
            not_before = max(now, _settled_at(switch, now=now))
            command = _state_command(control, device, attempt=len(checks) + 1, not_before=not_before, rules=rules)
            return Waiting(command=command, until=command.expires_at)
        return _unknown(control, switch=switch, now=now)
    if state is control.category.wanted_state:
        done = executed(control, at=_switched_at(control, switch, last, now=now))
        return Ended(control=done, also=_told_to_sap(done, now=now))
    refusal = Refusal(code="NOT_SWITCHED", note=f"The position read back is {state.value}")
    return Ended(control=failed(control, refusal if switch.succeeded else _refusal_of(switch), now=now))


def _told_to_sap(control: EndDeviceControl, *, now: datetime) -> tuple[Value, ...]:
    """Return the event by which SAP learns of a breaker that somebody else had moved."""
    if control.client is None or control.processed_at is None:
        return ()
    return (
        late_failure(
            LateFailure.SWITCHED_OUTSIDE_SAP,
            sender_system=control.sender_system,
            device_id=control.device_id,
            at=control.processed_at,
            told_at=now,
            about=control.control_key,
            note=f"Device {control.device_id} is {control.category.wanted_state.value} by order of {control.client}",
        ),
    )


def _settled_at(switch: Command, *, now: datetime) -> datetime:
    """Return from when on the position tells of this switch: a call that broke off may still be on its way."""
    return (switch.ended_at or now) + _ON_ITS_WAY if switch.status is CommandStatus.UNCERTAIN else now


def _switched_at(control: EndDeviceControl, switch: Command, check: Command, *, now: datetime) -> datetime:
    """Return when the meter switched: as it tells with the switch, else with its position, else when we knew.

    A meter that stood as wanted before may tell of an earlier switch: what counts is then when this order found it so.
    """
    for told in (switch.acted_at, check.acted_at, switch.ended_at, check.ended_at):
        if told is not None and control.planned_at <= told <= now:
            return told
    return now


def _unknown(control: EndDeviceControl, *, switch: Command, now: datetime) -> Ended:
    refusal = Refusal(
        code="STATE_UNKNOWN",
        note=f"The switch ended as {switch.status.value}, and the position could not be read back",
    )
    note = (
        f"The breaker of device {control.device_id} is in an unknown position after request {control.request_id}: "
        f"{refusal.note}"
    )
    event = late_failure(
        LateFailure.SWITCH_STATE_UNKNOWN,
        sender_system=control.sender_system,
        device_id=control.device_id,
        at=now,
        told_at=now,
        about=control.control_key,
        note=note,
        case_key=control.control_key,
    )
    case = ExceptionCase(kind=STATE_UNKNOWN, case_key=control.control_key, opened_at=now, note=note)
    return Ended(control=failed(control, refusal, now=now), also=(event, case))


def executed(control: EndDeviceControl, *, at: datetime) -> EndDeviceControl:
    """Return the control of a device that stands as ordered since `at`."""
    return replace(control, status=ControlStatus.EXECUTED, processed_at=at, reported_success=True)


def failed(control: EndDeviceControl, refusal: Refusal, *, now: datetime) -> EndDeviceControl:
    """Return the control of a device that is not, or not provably, switched."""
    return replace(
        control,
        status=ControlStatus.FAILED,
        processed_at=now,
        reported_success=False,
        failure_code=refusal.code,
        note=refusal.note,
    )


def _refusal_of(switch: Command) -> Refusal:
    code = switch.result_code or switch.status.value.upper()
    return Refusal(code=code, note=switch.result_text or f"The switch ended as {switch.status.value}")


def _switch_command(control: EndDeviceControl, device: EndDevice, *, attempt: int, not_before: datetime) -> Command:
    return _command(
        control,
        device,
        kind=CommandKind.SWITCH,
        purpose=_SWITCH,
        attempt=attempt,
        not_before=not_before,
        expires_at=control.expires_at,
    )


def _state_command(
    control: EndDeviceControl, device: EndDevice, *, attempt: int, not_before: datetime, rules: SwitchRules
) -> Command:
    return _command(
        control,
        device,
        kind=CommandKind.SWITCH_STATE,
        purpose=_VERIFY,
        attempt=attempt,
        not_before=not_before,
        expires_at=not_before + rules.verify_timeout,
    )


def _command(
    control: EndDeviceControl,
    device: EndDevice,
    *,
    kind: CommandKind,
    purpose: str,
    attempt: int,
    not_before: datetime,
    expires_at: datetime,
) -> Command:
    owner_key = str(control.item_id)
    return Command(
        command_key=command_key(
            owner_kind=OwnerKind.ITEM,
            owner_key=owner_key,
            device_id=control.device_id,
            purpose=purpose,
            attempt=attempt,
        ),
        owner_kind=OwnerKind.ITEM,
        owner_key=owner_key,
        sender_system=control.sender_system,
        device_id=control.device_id,
        serial_id=device.serial_id,
        head_end=device.head_end or "",
        kind=kind,
        purpose=purpose,
        not_before=not_before,
        expires_at=expires_at,
        wanted_state=control.category.wanted_state if kind is CommandKind.SWITCH else None,
        control_key=control.control_key,
        test_data=control.test_data,
    )


def expiry(category: ControlCategory, *, planned_at: datetime, received_at: datetime, rules: SwitchRules) -> datetime:
    """Return the instant from which an order's switch must not leave any more."""
    if category is ControlCategory.DISCONNECT:
        return planned_at + rules.disconnect_expiry
    return max(planned_at, received_at) + rules.command_timeout
