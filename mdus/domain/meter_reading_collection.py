"""What to do next about a reading order whose value is due: take a value, ask the head end, wait, or give up aloud.

```
due --value that nothing can beat--> READ
    --none, or one that may be beaten--> ask the head end (a command), wait until it ends --> best value --> READ
                                         nothing: again after a pause, until the attempts are used up --> FAILED
```
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from mdus.domain.command import Command, CommandKind, OwnerKind, called_back, command_key
from mdus.domain.end_device import EndDevice
from mdus.domain.end_device_control import NOT_CAPABLE
from mdus.domain.end_device_event import LateFailure, late_failure
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.meter_reading_document import DocumentStatus, MeterReadingDocument
from mdus.domain.meter_reading_selection import ReadingPolicies, ReadingPolicy, Window, choose, misfit
from mdus.domain.reading import MeterReading
from mdus.domain.register import Register
from mdus.domain.value import Value

#: The kind of exception case of an order that could not be read.
READING_MISSING: Final = LateFailure.READING_MISSING.value

#: What a head end's adapter says when the meter holds nothing for a period: asking again would change nothing.
_NO_DATA: Final = "NO_DATA"

_PURPOSE: Final = "reading"


@dataclass(frozen=True, kw_only=True, slots=True)
class Collection:
    """A due document with all that bears on it.

    `readings` are of the register's channel within the document's window, `commands` those the document owns; both
    oldest first. `device` and `register` are None when SAP has taken them back since the order.
    """

    document: MeterReadingDocument
    device: EndDevice | None
    register: Register | None
    readings: Sequence[MeterReading] = ()
    commands: Sequence[Command] = ()


def read_command(
    document: MeterReadingDocument, device: EndDevice, *, attempt: int, not_before: datetime, lasts: timedelta
) -> Command | None:
    """Return the command that fetches a document's value, or None for a device that no head end serves.

    On demand the register is read at the meter; otherwise the values stored in the window are asked for, whose end is
    inside.
    """
    if device.head_end is None:
        return None
    owner_key = document_owner(document)
    stored = not document.on_demand
    return Command(
        command_key=command_key(
            owner_kind=OwnerKind.DOCUMENT,
            owner_key=owner_key,
            device_id=device.device_id,
            purpose=_PURPOSE,
            attempt=attempt,
        ),
        owner_kind=OwnerKind.DOCUMENT,
        owner_key=owner_key,
        sender_system=device.sender_system,
        device_id=device.device_id,
        serial_id=device.serial_id,
        head_end=device.head_end,
        kind=CommandKind.READ_REGISTERS if stored else CommandKind.READ_ON_DEMAND,
        purpose=_PURPOSE,
        not_before=not_before,
        expires_at=not_before + lasts,
        period_from=document.window_from if stored else None,
        period_to=document.window_until + timedelta(seconds=1) if stored else None,
    )


def document_owner(document: MeterReadingDocument) -> str:
    """Return the key under which a document owns commands."""
    return f"{document.sender_system}/{document.document_id}"


def next_step(due: Collection, *, policies: ReadingPolicies, now: datetime) -> tuple[Value, ...]:
    """Return what changes about a document that is due: the document itself, and what comes with it.

    A value that nothing still to come could beat is taken at once, another one only after the head end has been asked.
    A document that can have no value fails with a smart meter event and a case: SAP accepts no second confirmation.
    """
    document = due.document
    policy = policies.for_reason(document.reason_code) or ReadingPolicy()
    window = Window(starts_at=document.window_from, target_at=document.due_at, ends_at=document.window_until)
    register = due.register
    under_way = [command for command in due.commands if not command.has_ended]
    if due.device is not None and not due.device.serves_on(document.scheduled_on, removal=policy.removal):
        # It may well answer, from a shelf or another cellar: what it shows there is nobody's.
        reason = "The device is not in service on the scheduled date"
        return (*_failed(document, reason, now=now), *called_back(under_way, reason=reason, now=now))
    chosen = register and choose(
        due.readings,
        register=register,
        window=window,
        choice=policy.choice,
        on_demand=document.on_demand,
        units=policies.units,
        turns_over=policies.turns_over,
    )
    if chosen and (chosen.is_certain or (due.commands and not under_way)):
        read = replace(
            document,
            status=DocumentStatus.READ if document.client is None else DocumentStatus.AVAILABLE,
            next_try_at=None,
            value=chosen.value,
            unit=chosen.unit,
            measured_at=chosen.measured_at,
        )
        return (read, *called_back(under_way, reason="The value is there", now=now))
    if under_way:
        # It wakes the document when it ends; this is for a wake-up that was lost.
        ends_by = max(command.expires_at for command in under_way)
        return (replace(document, next_try_at=max(ends_by, now) + policies.on_demand_timeout),)
    if register is None:
        return _failed(document, "Its register is no longer known on the scheduled date", now=now)
    first_look_at = window.complete_at(policy.choice) + policies.collection_delay
    if not document.on_demand and not due.commands and now < first_look_at:
        # A reading that came in made it look early; what is still being collected may be better.
        return (replace(document, next_try_at=first_look_at),)
    return _ask(due, policy=policy, policies=policies, now=now)


def _ask(due: Collection, *, policy: ReadingPolicy, policies: ReadingPolicies, now: datetime) -> tuple[Value, ...]:
    document = due.document
    last = due.commands[-1] if due.commands else None
    if last is not None:
        if document.attempts >= policy.attempts or _is_hopeless(document, last, now=now):
            unfit = due.register and misfit(due.readings, register=due.register, units=policies.units)
            return _failed(document, unfit or _reason(document, last), now=now)
        pause = policies.on_demand_interval if document.on_demand else policy.attempt_interval
        again_at = (last.ended_at or now) + pause
        if again_at > now:
            return (replace(document, next_try_at=again_at),)
    lasts = policies.on_demand_timeout if document.on_demand else policy.attempt_interval
    attempt = document.attempts + 1
    command = due.device and read_command(document, due.device, attempt=attempt, not_before=now, lasts=lasts)
    if not command:
        return _failed(document, "No head end serves the device", now=now)
    waiting = replace(document, attempts=attempt, next_try_at=command.expires_at + policies.on_demand_timeout)
    return waiting, command


def _is_hopeless(document: MeterReadingDocument, last: Command, *, now: datetime) -> bool:
    """Tell whether no later attempt would find a value.

    On demand that is when the meter cannot be asked; of stored values when the window is over and nothing in it, or
    nothing that could be fetched: until then they may still come by themselves.
    """
    if document.on_demand:
        return last.result_code == NOT_CAPABLE
    nothing = last.succeeded or last.result_code in (_NO_DATA, NOT_CAPABLE)
    return nothing and (last.ended_at or now) > document.window_until


def _reason(document: MeterReadingDocument, last: Command) -> str:
    if last.succeeded or last.result_code == _NO_DATA:
        return "The meter has no value of this register in the window"
    told = ": ".join(part for part in (last.result_code, last.result_text) if part)
    return f"The meter could not be read in {document.attempts} attempts ({told or last.status})"


def _failed(document: MeterReadingDocument, reason: str, *, now: datetime) -> tuple[Value, ...]:
    note = (
        f"No reading for document {document.document_id}, register {document.measurement_task_id}, "
        f"scheduled for {document.scheduled_on}: {reason}"
    )
    failed = replace(document, status=DocumentStatus.FAILED, next_try_at=None, note=reason)
    if document.client is not None:
        return (failed,)
    return (
        failed,
        late_failure(
            LateFailure.READING_MISSING,
            sender_system=document.sender_system,
            device_id=document.device_id,
            at=now,
            told_at=now,
            about=f"document/{document.document_id}",
            note=note,
            case_key=document_owner(document),
        ),
        ExceptionCase(kind=READING_MISSING, case_key=document_owner(document), opened_at=now, note=note),
    )
