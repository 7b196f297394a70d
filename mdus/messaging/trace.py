"""The account of one subject: everything that happened, and each expected step as it stands: came, due or missing.

```
order received -> decided -> [command handed over -> answered by the head end] -> confirmation delivered
                          -> value read -> result delivered -> result confirmed by SAP
```

What stands still is named with the instant since when: a message that SAP does not confirm, a command that its head end
does not answer, a message that waits for a device nobody has told of. Nothing is asked of the database here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from mdus.domain.command import Command, CommandStatus
from mdus.domain.end_device_control import ControlStatus, EndDeviceControl
from mdus.domain.meter_reading_document import DocumentStatus, MeterReadingDocument
from mdus.messaging.patterns import RequestConfirmation, RequestSent, Service
from mdus.messaging.status import ItemStatus, MessageStatus
from mdus.settings import Settings


class StepState(StrEnum):
    """How an expected step stands."""

    CAME = "came"
    DUE = "due"  # not yet, and its time is not up
    MISSING = "missing"  # its time is up
    FAILED = "failed"  # it will not come: the note says why


@dataclass(frozen=True, kw_only=True, slots=True)
class TracedMessage:
    """A message as far as its account needs it; `answers` is the message it confirms, as its row's identity."""

    id: int
    direction: str
    sender_system: str
    service: str
    root: str
    status: MessageStatus
    uuid: str | None
    answers: int | None
    stored_at: datetime
    ended_at: datetime | None
    attempts: int
    refusal: str | None
    last_error: str | None
    client: str | None = None  # the REST client that sent it, or is told by it


@dataclass(frozen=True, kw_only=True, slots=True)
class TracedItem:
    """An item of a message; `confirmation_id` is the message that confirms it."""

    id: int
    message_id: int
    position: int
    direction: str
    service: str
    status: ItemStatus
    key: str | None
    stored_at: datetime
    waits_for: str | None
    until: datetime | None
    confirmation_id: int | None
    note: str | None
    content: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class TracedCommand:
    """A command to a head end, with its row's identity, when it was last handed over, and until when its answer may."""

    id: int
    command: Command
    attempts: int
    token: str | None
    answer_by: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A change of status, of a message, an item or a command."""

    message_id: int | None = None
    item_id: int | None = None
    command_id: int | None = None
    status: str
    at: datetime
    note: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A call to a head end about one command."""

    command_id: int
    attempt: int
    head_end: str
    at: datetime
    ended_at: datetime | None
    outcome: str | None
    token: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Remark:
    """Something else that happened to the subject: a reading, an event of the meter, an exception case."""

    at: datetime
    what: str
    of: str
    note: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Gathered:
    """All that was found of one subject; `is_cut` when there was more than was asked for."""

    messages: Sequence[TracedMessage] = ()
    items: Sequence[TracedItem] = ()
    commands: Sequence[TracedCommand] = ()
    documents: Sequence[MeterReadingDocument] = ()
    controls: Sequence[EndDeviceControl] = ()
    changes: Sequence[Change] = ()
    calls: Sequence[Call] = ()
    remarks: Sequence[Remark] = ()
    is_cut: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Happening:
    """One line of the account. `seconds` is how long it took where it took time (a call, a delivery)."""

    at: datetime
    what: str
    of: str
    status: str = ""
    note: str | None = None
    seconds: float | None = None
    payload: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """An expected step: `at` when it came, else `since` when it is waited for and `until` when it may still come."""

    step: str
    of: str
    state: StepState
    at: datetime | None = None
    since: datetime | None = None
    until: datetime | None = None
    note: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Trace:
    """The account of a subject, oldest first, and its steps; `missing` are those whose time is up."""

    happenings: tuple[Happening, ...]
    steps: tuple[Step, ...]
    is_cut: bool = False

    @property
    def missing(self) -> tuple[Step, ...]:
        """Return the steps that did not come though their time is up."""
        return tuple(step for step in self.steps if step.state is StepState.MISSING)


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """How long each side may take: SAP to confirm ours, we to confirm SAP's, a message to reach SAP.

    `confirmed_by_sap` and `confirmed_by_us` name the services that have a confirmation.
    """

    sap: timedelta
    us: timedelta
    confirmed_by_sap: Collection[str] = field(default_factory=frozenset)
    confirmed_by_us: Collection[str] = field(default_factory=frozenset)

    @classmethod
    def of(cls, services: Mapping[str, Service], settings: Settings) -> Patience:
        """Return the patience that the settings say; we have as long as an item may be parked."""
        return cls(
            sap=timedelta(minutes=settings.reading.confirmation_timeout_minutes),
            us=timedelta(minutes=settings.parking.confirmed_minutes),
            confirmed_by_sap=frozenset(
                name
                for name, service in services.items()
                if isinstance(service, RequestSent) and service.always_confirmed
            ),
            confirmed_by_us=frozenset(
                name for name, service in services.items() if isinstance(service, RequestConfirmation)
            ),
        )


def traced(found: Gathered, *, patience: Patience, now: datetime) -> Trace:
    """Return the account of what was found."""
    account = _Account(found, patience=patience, now=now)
    steps = sorted(account.steps(), key=lambda step: step.at or step.since or now)
    happenings = sorted(account.happenings(), key=lambda one: one.at)
    return Trace(happenings=tuple(happenings), steps=tuple(steps), is_cut=found.is_cut)


class _Account:
    def __init__(self, found: Gathered, *, patience: Patience, now: datetime) -> None:
        self._found = found
        self._patience = patience
        self._now = now
        self._messages = {message.id: message for message in found.messages}
        self._items = {item.id: item for item in found.items}
        self._commands = {command.id: command for command in found.commands}
        self._of_items = _by(found.changes, "item_id")
        self._of_messages = _by([one for one in found.changes if one.item_id is None], "message_id")
        self._of_commands = _by(found.changes, "command_id")
        self._calls: dict[int, list[Call]] = {}
        for call in found.calls:
            self._calls.setdefault(call.command_id, []).append(call)

    # ---- what happened ----

    def happenings(self) -> Iterator[Happening]:
        for message in self._found.messages:
            yield from self._of_message(message)
        for item in self._found.items:
            payload = item.content
            for change in self._of_items.get(item.id, ()):
                yield Happening(at=change.at, what="item", of=_item(item), status=change.status, note=change.note)
            yield Happening(
                at=item.stored_at, what="item stored", of=_item(item), note=_about(item), payload=payload or None
            )
        for traced_command in self._found.commands:
            for change in self._of_commands.get(traced_command.id, ()):
                yield Happening(
                    at=change.at,
                    what="command",
                    of=_command(traced_command.command),
                    status=change.status,
                    note=change.note,
                )
        for call in self._found.calls:
            known = self._commands[call.command_id].command
            took = None if call.ended_at is None else (call.ended_at - call.at).total_seconds()
            note = f"attempt {call.attempt}" + (f", token {call.token}" if call.token else "")
            yield Happening(
                at=call.at,
                what=f"call to head end {call.head_end}",
                of=_command(known),
                status=call.outcome or "unknown",
                note=note,
                seconds=took,
            )
        for remark in self._found.remarks:
            yield Happening(at=remark.at, what=remark.what, of=remark.of, note=remark.note)

    def _of_message(self, message: TracedMessage) -> Iterator[Happening]:
        """Yield what happened to a message; the first line says what it is."""
        other = message.client or "SAP"
        what = f"message from {other}" if message.direction == "in" else f"message to {other}"
        changes = self._of_messages.get(message.id, ())
        told = f"{message.root} {message.uuid or ''}".strip()
        if not changes:
            yield Happening(at=message.stored_at, what=what, of=_message(message), status=message.status, note=told)
        for place, change in enumerate(changes):
            took = (change.at - message.stored_at).total_seconds() if change.status in _ENDS else None
            note = ": ".join(filter(None, (told if place == 0 else None, change.note)))
            yield Happening(
                at=change.at, what=what, of=_message(message), status=change.status, note=note or None, seconds=took
            )

    # ---- what is expected ----

    def steps(self) -> Iterator[Step]:
        answered = {message.answers for message in self._found.messages if message.direction == "out"}
        for item in self._found.items:
            if item.direction == "in":
                yield from self._of_item(item)
        for message in self._found.messages:
            if message.direction == "out":
                yield from self._delivery(message)
            elif message.status is MessageStatus.REFUSED:
                yield Step(
                    step="message accepted",
                    of=_message(message),
                    state=StepState.FAILED,
                    since=message.stored_at,
                    note=message.refusal,
                )
            elif message.id not in answered and not any(item.message_id == message.id for item in self._found.items):
                yield Step(step="message received", of=_message(message), state=StepState.CAME, at=message.stored_at)
        for command in self._found.commands:
            yield from self._answer(command)
        for document in self._found.documents:
            yield self._value(document)
        for control in self._found.controls:
            yield self._switched(control)

    def _of_item(self, item: TracedItem) -> Iterator[Step]:
        name = _item(item)
        came = "answer received" if item.service in self._patience.confirmed_by_sap else "order received"
        yield Step(step=came, of=name, state=StepState.CAME, at=item.stored_at, note=_about(item))
        decided = self._last(self._of_items.get(item.id, ()), ItemStatus.DECIDED, ItemStatus.CLOSED)
        match item.status:
            case ItemStatus.DECIDED | ItemStatus.CLOSED:
                yield Step(step="decided", of=name, state=StepState.CAME, at=decided or item.stored_at, note=item.note)
            case ItemStatus.DEAD:
                yield Step(step="decided", of=name, state=StepState.FAILED, since=item.stored_at, note=item.note)
            case ItemStatus.PARKED:
                since = self._last(self._of_items.get(item.id, ()), ItemStatus.PARKED) or item.stored_at
                yield Step(
                    step=f"arrival of {item.waits_for}",
                    of=name,
                    state=StepState.MISSING,
                    since=since,
                    until=item.until,
                    note="SAP has not told of it yet",
                )
            case ItemStatus.AWAITING:
                since = self._last(self._of_items.get(item.id, ()), ItemStatus.AWAITING) or item.stored_at
                yield self._waiting("decided", name, since=since, until=item.until or item.stored_at)
            case _:
                yield self._waiting("decided", name, since=item.stored_at, until=item.stored_at + self._patience.us)
        if (
            item.service in self._patience.confirmed_by_us
            and item.confirmation_id is None
            and item.status is ItemStatus.DECIDED
        ):
            since = decided or item.stored_at
            yield self._waiting("confirmation made", name, since=since, until=since + self._patience.us)

    def _delivery(self, message: TracedMessage) -> Iterator[Step]:
        name = _message(message)
        other = message.client or "SAP"
        what = f"confirmation delivered to {other}" if message.answers is not None else f"delivered to {other}"
        changes = self._of_messages.get(message.id, ())
        delivered = self._last(changes, MessageStatus.DELIVERED) or message.ended_at
        match message.status:
            case MessageStatus.DELIVERED | MessageStatus.CONFIRMED:
                yield Step(
                    step=what, of=name, state=StepState.CAME, at=delivered or message.stored_at, note=message.root
                )
            case MessageStatus.DEAD:
                yield Step(step=what, of=name, state=StepState.FAILED, since=message.stored_at, note=message.last_error)
            case _:
                until = message.stored_at + self._patience.us
                tries = f"{message.attempts} attempts" + (f": {message.last_error}" if message.last_error else "")
                note = tries if message.attempts else None
                yield self._waiting(what, name, since=message.stored_at, until=until, note=note)
        if message.answers is not None or message.service not in self._patience.confirmed_by_sap:
            return
        if message.status is MessageStatus.CONFIRMED:
            came = self._last(changes, MessageStatus.CONFIRMED) or message.ended_at
            yield Step(step="confirmed by SAP", of=name, state=StepState.CAME, at=came)
        elif message.status is MessageStatus.DELIVERED and delivered is not None:
            yield self._waiting("confirmed by SAP", name, since=delivered, until=delivered + self._patience.sap)

    def _answer(self, traced_command: TracedCommand) -> Iterator[Step]:
        command, name = traced_command.command, _command(traced_command.command)
        calls = self._calls.get(traced_command.id, [])
        handed_over = max((call.at for call in calls), default=None)
        if command.status is CommandStatus.READY:
            until = max(command.not_before, command.expires_at)
            yield self._waiting("handed over to the head end", name, since=command.not_before, until=until)
            return
        if command.status is CommandStatus.CANCELLED:
            return  # nothing was to come of it
        if handed_over is not None:
            yield Step(step="handed over to the head end", of=name, state=StepState.CAME, at=handed_over)
        what, since = "answered by the head end", handed_over or command.not_before
        match command.status:
            case CommandStatus.DONE:
                yield Step(step=what, of=name, state=StepState.CAME, at=command.ended_at)
            case CommandStatus.FAILED:
                yield Step(
                    step=what,
                    of=name,
                    state=StepState.FAILED,
                    since=since,
                    note=f"{command.result_code}: {command.result_text}",
                )
            case CommandStatus.TIMED_OUT | CommandStatus.UNCERTAIN:
                yield Step(step=what, of=name, state=StepState.MISSING, since=since, note=command.result_text)
            case _:
                yield self._waiting(what, name, since=since, until=traced_command.answer_by or command.expires_at)

    def _value(self, document: MeterReadingDocument) -> Step:
        name = f"meter reading document {document.document_id}"
        match document.status:
            case DocumentStatus.ORDERED:
                return self._waiting(
                    "value read", name, since=document.due_at, until=document.window_until, note=document.note
                )
            case DocumentStatus.FAILED:
                return Step(
                    step="value read", of=name, state=StepState.FAILED, since=document.due_at, note=document.note
                )
            case DocumentStatus.CANCELLED:
                return Step(step="cancelled", of=name, state=StepState.CAME, at=document.due_at)
            case DocumentStatus.REJECTED:
                return Step(
                    step="result taken by SAP",
                    of=name,
                    state=StepState.FAILED,
                    since=document.measured_at,
                    note=document.note,
                )
            case _:
                note = f"{document.value} {document.unit or ''}".strip()
                step = "value estimated" if document.is_estimated else "value read"
                return Step(step=step, of=name, state=StepState.CAME, at=document.measured_at, note=note)

    def _switched(self, control: EndDeviceControl) -> Step:
        name = f"order {control.request_id} for device {control.device_id}"
        if control.status is ControlStatus.EXECUTED:
            return Step(step="switched", of=name, state=StepState.CAME, at=control.processed_at)
        if control.status is ControlStatus.ORDERED:
            return self._waiting("switched", name, since=control.effective_at, until=control.expires_at)
        return Step(step="switched", of=name, state=StepState.FAILED, since=control.effective_at, note=control.note)

    def _waiting(self, step: str, of: str, *, since: datetime, until: datetime, note: str | None = None) -> Step:
        state = StepState.DUE if self._now < until else StepState.MISSING
        return Step(step=step, of=of, state=state, since=since, until=until, note=note)

    @staticmethod
    def _last(changes: Iterable[Change], *statuses: StrEnum) -> datetime | None:
        wanted = {status.value for status in statuses}
        return max((change.at for change in changes if change.status in wanted), default=None)


#: Statuses of a message that end a delivery or its processing.
_ENDS = frozenset({MessageStatus.DELIVERED, MessageStatus.CONFIRMED, MessageStatus.COMPLETED, MessageStatus.DEAD})


def _by(changes: Iterable[Change], name: str) -> Mapping[int, list[Change]]:
    found: dict[int, list[Change]] = {}
    for change in changes:
        key = getattr(change, name)
        if key is not None:
            found.setdefault(key, []).append(change)
    return found


def _message(message: TracedMessage) -> str:
    return f"message {message.id}"


def _item(item: TracedItem) -> str:
    return f"item {item.position} of message {item.message_id}"


def _about(item: TracedItem) -> str:
    return f"{item.service} {item.key or ''}".strip()


def _command(command: Command) -> str:
    return f"command {command.kind} of device {command.device_id}"
