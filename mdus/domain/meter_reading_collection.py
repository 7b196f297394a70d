"""What to do next about a reading order whose value is due: take a value, ask the head end, wait, or give up aloud.

```
due --valid value that nothing can beat--> READ
    --none, or one that may be beaten--> ask the head end (a command), wait until it ends --> best valid value --> READ
                                         nothing: again after a pause, until the attempts are used up --> FAILED
                                         or, where the policy of its reason says so, an estimate, marked  --> READ
```
A reading that validation holds as suspect is as good as none, but a person is told at once, and may accept it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from mdus.domain.command import Command, CommandKind, CommandStatus, OwnerKind, called_back, command_key
from mdus.domain.end_device import EndDevice
from mdus.domain.end_device_control import NOT_CAPABLE, OTHER_HEAD_END
from mdus.domain.end_device_event import LateFailure, late_failure
from mdus.domain.exception_case import ExceptionCase, closed
from mdus.domain.local_time import day_start
from mdus.domain.meter_reading_document import DocumentStatus, MeterReadingDocument
from mdus.domain.meter_reading_selection import (
    Candidate,
    Instead,
    ReadingPolicies,
    ReadingPolicy,
    Window,
    best,
    candidates,
    misfit,
)
from mdus.domain.reading import MeterReading
from mdus.domain.reading_verdict import ReadingVerdict
from mdus.domain.register import Register, days_held
from mdus.domain.value import Value, changed, type_key

#: The kind of exception case of an order that could not be read.
READING_MISSING: Final = LateFailure.READING_MISSING.value

#: The kind of exception case of an order for which only readings came that validation holds as suspect.
READING_SUSPECT: Final = "reading_suspect"

#: What a head end's adapter says when the meter holds nothing for a period: asking again would change nothing.
_NO_DATA: Final = "NO_DATA"

_PURPOSE: Final = "reading"


@dataclass(frozen=True, kw_only=True, slots=True)
class EstimatedReading:
    """What a register is taken to show at the instant an order means.

    `usage` is what is taken to be used since the reading before, `basis` (JSON) what it was made from.
    """

    value: Decimal
    usage: Decimal
    basis: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Collection:
    """A due document with all that bears on it.

    `readings` are of the register's channel within the document's window, `commands` those the document owns; both
    oldest first. `device` and `register` are None when SAP has taken them back since the order. `suspect` are the
    verdicts on readings that are held, by the readings' keys; `case` is the open one that tells of them. `estimate` is
    there where one was asked for and could be made, `ranked` where the candidates were asked for before. `part` is what
    of the window is left where the register has its number for a part of it only.
    """

    document: MeterReadingDocument
    device: EndDevice | None
    register: Register | None
    readings: Sequence[MeterReading] = ()
    commands: Sequence[Command] = ()
    suspect: Mapping[type_key, ReadingVerdict] = field(default_factory=dict)
    case: ExceptionCase | None = None
    estimate: EstimatedReading | None = None
    ranked: Sequence[Candidate] | None = None
    part: Window | None = None

    def window(self) -> Window:
        """Return the window in which a value counts."""
        return window_of(self.document) if self.part is None else self.part

    def candidates(self, policies: ReadingPolicies) -> Sequence[Candidate]:
        """Return the readings that may answer, the best first, whether they are held or not."""
        if self.ranked is not None:
            return self.ranked
        if self.register is None or not self.readings or self.moved():
            return []  # of another channel they are another register's
        return candidates(
            self.readings,
            register=self.register,
            window=self.window(),
            choice=(policies.for_reason(self.document.reason_code) or ReadingPolicy()).choice,
            on_demand=self.document.on_demand,
            units=policies.units,
            turns_over=policies.turns_over,
        )

    def moved(self) -> str | None:
        """Return why its number does not name what was ordered any more, None where it does."""
        register, document = self.register, self.document
        if register is None or register.reading_type == document.reading_type:
            return None
        return f"The register measures {register.obis_text or register.reading_type} now, not {document.obis_text}"

    def instead(self, policy: ReadingPolicy) -> Instead:
        """Return what is done where no valid value is there: for want of any, or of one that is not suspect."""
        return policy.if_suspect if self.suspect else policy.if_missing

    def doubt(self) -> str | None:
        """Return why the best of the readings that came is held, None where none is."""
        if not self.suspect:
            return None
        first = next(iter(self.suspect.values()))
        at = f"{first.measured_at:%Y-%m-%d %H:%M:%S} UTC"
        return f"The value {first.value} of {at} is held as {first.says()}"[:500]


def window_of(document: MeterReadingDocument) -> Window:
    """Return the window that the policy gave a document when it was ordered."""
    return Window(starts_at=document.window_from, target_at=document.due_at, ends_at=document.window_until)


def part_held(
    document: MeterReadingDocument,
    *,
    device: EndDevice | None,
    register: Register,
    others: Iterable[Register],
    removal: bool,
) -> Window:
    """Return the part of a document's window in which what the register shows is its number's.

    `others` are the registers of the device. The first instant of a day is the last of the number that ended with the
    day before and the first of the one that comes: a final and an initial reading meet in it.
    """
    first_on, last_on = days_held(register, others, removal=removal)
    if device is not None and device.valid_to is not None and not removal:
        last_on = device.valid_to if last_on is None else min(last_on, device.valid_to)
    zone = document.time_zone
    return window_of(document).within(
        day_start(first_on, zone=zone), None if last_on is None else day_start(last_on, zone=zone)
    )


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
    Where its number has come to name another register than was ordered there is none.
    A document that can have no value fails with a smart meter event and a case: SAP accepts no second confirmation.
    Where the policy of its reason says so it is answered by an estimate instead, or fails without further attempts.
    While only suspect readings are there, a case says so: a person may accept one.
    """
    document = due.document
    policy = policies.for_reason(document.reason_code) or ReadingPolicy()
    window = due.window()
    register = due.register
    under_way = [command for command in due.commands if not command.has_ended]
    if due.device is not None and not due.device.serves_on(document.scheduled_on, removal=policy.removal):
        # It may well answer, from a shelf or another cellar: what it shows there is nobody's.
        reason = "The device is not in service on the scheduled date"
        return (*_failed(due, reason, now=now), *called_back(under_way, reason=reason, now=now))
    chosen = register and best(
        due.candidates(policies),
        register=register,
        window=window,
        choice=policy.choice,
        on_demand=document.on_demand,
        held=due.suspect.keys(),
    )
    if chosen and (chosen.is_certain or (due.commands and not under_way)):
        read = _answered(document, value=chosen.value, unit=chosen.unit, measured_at=chosen.measured_at)
        return (read, *_settled(due, now=now), *called_back(under_way, reason="The value is there", now=now))
    first_look_at = window.complete_at(policy.choice) + policies.collection_delay
    is_early = not document.on_demand and not due.commands and now < first_look_at
    moved = due.moved()
    if moved and not is_early:
        return (*_failed(due, moved, now=now), *called_back(under_way, reason=moved, now=now))
    if not chosen and due.suspect and not is_early and policy.if_suspect is Instead.EVENT:
        reason = due.doubt() or ""
        return (*_failed(due, reason, now=now), *called_back(under_way, reason=reason, now=now))
    told = () if chosen else _doubted(due, now=now)
    if under_way:
        # It wakes the document when it ends; this is for a wake-up that was lost.
        ends_by = max(command.expires_at for command in under_way)
        return (replace(document, next_try_at=max(ends_by, now) + policies.on_demand_timeout), *told)
    if register is None:
        return _failed(due, "Its register is no longer known on the scheduled date", now=now)
    if is_early:
        # A reading that came in made it look early; what is still being collected may be better.
        return (replace(document, next_try_at=first_look_at), *told)
    return _ask(due, told, policy=policy, policies=policies, now=now)


def look_failed(due: Collection, defect: str, *, policies: ReadingPolicies, now: datetime) -> tuple[Value, ...]:
    """Return what changes about a document that a defect of ours kept from being looked at.

    It counts as an attempt: the document is looked at again after a pause, and fails aloud after the last.
    """
    document = due.document
    policy = policies.for_reason(document.reason_code) or ReadingPolicy()
    if document.attempts < policy.attempts:
        pause = policies.on_demand_interval if document.on_demand else policy.attempt_interval
        return (replace(document, attempts=document.attempts + 1, next_try_at=now + pause),)
    reason = f"It could not be looked at: {defect}"[:500]
    under_way = [command for command in due.commands if not command.has_ended]
    return (*_failed(due, reason, now=now), *called_back(under_way, reason=reason, now=now))


def wants_estimate(due: Collection, step: Iterable[Value], *, policies: ReadingPolicies) -> bool:
    """Tell whether a document that fails by its next step is to be estimated instead, and no estimate was tried."""
    policy = policies.for_reason(due.document.reason_code) or ReadingPolicy()
    return (
        due.instead(policy) is Instead.ESTIMATE
        and due.register is not None
        and any(isinstance(each, MeterReadingDocument) and each.status is DocumentStatus.FAILED for each in step)
    )


def _ask(
    due: Collection, told: tuple[Value, ...], *, policy: ReadingPolicy, policies: ReadingPolicies, now: datetime
) -> tuple[Value, ...]:
    document = due.document
    last = due.commands[-1] if due.commands else None
    if last is not None and _was_asked(last):
        attempts = 1 if due.instead(policy) is Instead.EVENT else policy.attempts
        if document.attempts >= attempts or _is_hopeless(document, last, now=now):
            unfit = due.register and misfit(due.readings, register=due.register, units=policies.units)
            reason = unfit or due.doubt() or _reason(document, last)
            return _given_up(due, reason, policy=policy, policies=policies, now=now)
        pause = policies.on_demand_interval if document.on_demand else policy.attempt_interval
        again_at = (last.ended_at or now) + pause
        if again_at > now:
            return (replace(document, next_try_at=again_at), *told)
    lasts = policies.on_demand_timeout if document.on_demand else policy.attempt_interval
    attempt = document.attempts + 1
    command = due.device and read_command(document, due.device, attempt=attempt, not_before=now, lasts=lasts)
    if not command:
        return _given_up(due, "No head end serves the device", policy=policy, policies=policies, now=now)
    waiting = replace(document, attempts=attempt, next_try_at=command.expires_at + policies.on_demand_timeout)
    return (waiting, command, *told)


def _given_up(
    due: Collection, reason: str, *, policy: ReadingPolicy, policies: ReadingPolicies, now: datetime
) -> tuple[Value, ...]:
    """Answer a document that no valid reading answers any more by its estimate, else let it fail."""
    if due.instead(policy) is not Instead.ESTIMATE:
        return _failed(due, reason, now=now)
    if due.estimate is None or due.register is None:
        return _failed(due, f"{reason}; nothing is known that its value could be estimated from", now=now)
    estimated = _answered(
        due.document,
        value=due.estimate.value,
        unit=due.register.unit,
        measured_at=due.window().target_at,
        type_code=policies.estimate_type_code,
        estimate=json.dumps({**json.loads(due.estimate.basis), "because": reason}),
        estimated_usage=due.estimate.usage,
    )
    return (estimated, *_settled(due, now=now))


def _answered(document: MeterReadingDocument, **answer: Any) -> MeterReadingDocument:
    """Return a document with its value."""
    status = DocumentStatus.READ if document.client is None else DocumentStatus.AVAILABLE
    return changed(document, status=status, next_try_at=None, **answer)


def _doubted(due: Collection, *, now: datetime) -> tuple[Value, ...]:
    """Return the case that only suspect readings have come, where it is not open yet or says something else."""
    doubt = due.doubt()
    if doubt is None:
        return _settled(due, now=now)
    key = document_owner(due.document)
    note = f"Document {due.document.document_id}, device {due.document.device_id}: {doubt}"
    if due.case is not None and due.case.note == note:
        return ()
    opened_at = now if due.case is None else due.case.opened_at
    return (ExceptionCase(kind=READING_SUSPECT, case_key=key, opened_at=opened_at, note=note),)


def _settled(due: Collection, *, now: datetime) -> tuple[ExceptionCase, ...]:
    """Return the case of suspect readings closed, where one is open."""
    return closed([due.case], now=now) if due.case is not None else ()


def _was_asked(last: Command) -> bool:
    """Tell whether a command was an attempt: not when its device moved to another head end before it could leave."""
    return last.status is not CommandStatus.CANCELLED and last.result_code != OTHER_HEAD_END


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


def _failed(due: Collection, reason: str, *, now: datetime) -> tuple[Value, ...]:
    document = due.document
    note = (
        f"No reading for document {document.document_id}, register {document.measurement_task_id}, "
        f"scheduled for {document.scheduled_on}: {reason}"
    )
    failed = replace(document, status=DocumentStatus.FAILED, next_try_at=None, note=reason)
    if document.client is not None:
        return (failed, *_settled(due, now=now))
    return (
        failed,
        *_settled(due, now=now),
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
