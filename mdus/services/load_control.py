"""What a REST client orders of up to 1,000 meters: to leave controlled load only a part of its power for a while.

SAP has no message for it. An event has the client's own id; at each device it is what the meter has confirmed.

```
client --schedule-->               passed, another event of this id, device unknown, not capable: refused at once
MDUS   --event--> head end         per device; repeated while nobody answers, until the event is over
client <--GET /requests/{id}--     per device: scheduled, why not, or that nobody knows
client --cancel-->                 the event unknown, over: told; not left yet: taken back; else
MDUS   --event off--> head end     per device
```
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from mdus.domain.capability import Capabilities, Capability
from mdus.domain.command import Command, CommandKind, CommandStatus, OwnerKind, called_back
from mdus.domain.device_limit import AFTER_ANOTHER
from mdus.domain.end_device import EndDevice
from mdus.domain.load_control_event import (
    LONGEST_MINUTES,
    LoadControlAction,
    LoadControlEvent,
    LoadControlStatus,
)
from mdus.domain.meter_reading_selection import ReadingPolicies
from mdus.domain.repeatable_command import again, may_have_acted, what_came
from mdus.messaging.commanded_device import able, check_real
from mdus.messaging.known import Known
from mdus.messaging.outcome import Await, BusinessError, Change, Done, Outcome, Problem, Received, Result
from mdus.messaging.patterns import ClientRequest, Door, faceted
from mdus.storage.session import UnitOfWork

#: By this a head end says that the meter has no such event: it is cancelled all the same.
_NO_SUCH_EVENT: Final = "UNKNOWN_EVENT"

_UNDER_WAY: Final = frozenset({CommandStatus.SUBMITTING, CommandStatus.ACCEPTED})

#: How much longer than its head end's patience a command is waited for.
_SETTLING: Final = timedelta(minutes=1)

#: An event for several meters is looked at this often while it waits for the slowest, so that the others are told.
_LOOK_AGAIN: Final = timedelta(minutes=2)


@dataclass(frozen=True, kw_only=True, slots=True)
class Request(Received):
    """An event to be scheduled at up to 1,000 devices, or cancelled: at those named, or at all that have it.

    To schedule takes `device_ids`, `start_at`, `minutes` and `percent`: of the load, this part is left.
    """

    event_id: str = faceted(default=..., maxLength=40)
    action: LoadControlAction
    device_ids: tuple[str, ...] = ()
    start_at: datetime | None = None
    minutes: int | None = faceted(minInclusive=1, maxInclusive=LONGEST_MINUTES)
    percent: int | None = faceted(minInclusive=0, maxInclusive=100)


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceOutcome:
    """How the event stands at one device; without a status the device was not asked."""

    device_id: str
    status: LoadControlStatus | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer(Result):
    """What became of an event: its devices, and a problem for each at which it does not stand as ordered."""

    devices: tuple[DeviceOutcome, ...] = ()


class EventIncomplete(BusinessError):
    """To schedule an event takes devices, start, minutes and percent."""

    type_id = "351(MDUS)"


class EventIsOver(BusinessError):
    """The event is over."""

    type_id = "352(MDUS)"


class EventUnknown(BusinessError):
    """There is no event of this id."""

    type_id = "353(MDUS)"


class EventDiffers(BusinessError):
    """Another event of this id stands at the device."""

    type_id = "354(MDUS)"


class EventNotConfirmed(BusinessError):
    """The meter has not confirmed it."""

    type_id = "355(MDUS)"


class EventTakenBack(BusinessError):
    """The event was cancelled before the meter had it."""

    type_id = "356(MDUS)"


class EventUncertain(BusinessError):
    """It is not known whether the meter has it."""

    type_id = "357(MDUS)"


@dataclass(kw_only=True, slots=True)
class _Progress:
    """What one look at an event finds, device by device."""

    changes: list[Change] = field(default_factory=list)
    waiting: list[Command] = field(default_factory=list)
    until: list[datetime] = field(default_factory=list)
    outcomes: list[DeviceOutcome] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def settle(self, device_id: str, status: LoadControlStatus | None, error: BusinessError | None = None) -> None:
        """Note how the event stands at a device for good."""
        self.outcomes.append(DeviceOutcome(device_id=device_id, status=status))
        if error is not None:
            self.problems.append(Problem(type_id=error.type_id, note=f"Device {device_id}: {error}"[:200]))

    def wait(self, command: Command, *, until: datetime) -> None:
        """Note that a device needs a command, and how long it is waited for at most."""
        self.waiting.append(command)
        self.until.append(until)

    def outcome(self, *, now: datetime) -> Outcome:
        """Return what is decided of the whole."""
        if not self.until:
            return Done(
                changes=tuple(self.changes),
                result=Answer(problems=tuple(self.problems), devices=tuple(self.outcomes)),
            )
        soon = [now + _LOOK_AGAIN] if len(self.until) > 1 else []
        return Await(commands=tuple(self.waiting), until=min([*self.until, *soon]), changes=tuple(self.changes))


def load(requests: Sequence[Request], uow: UnitOfWork) -> Known:
    """Fetch the events of these ids, held, their devices, the commands of these items and of who scheduled them.

    Also what else is under way about events of the devices; the items' own come last, in the order they were given.
    """
    named = {(request.origin.sender_system, request.event_id) for request in requests}
    events = uow.load(LoadControlEvent, ("sender_system", "event_id"), named)
    devices = {(request.origin.sender_system, each) for request in requests for each in request.device_ids}
    devices |= {(event.sender_system, event.device_id) for event in events}
    items = {request.origin.item_id for request in requests}
    return Known(
        [ReadingPolicies.of(uow.settings), Capabilities.of(uow.settings)],
        events,
        uow.load(EndDevice, EndDevice.KEY, devices, lock=False),
        uow.load_open_commands(CommandKind.CONTROL_LOAD, devices),
        uow.load_commands(items | {event.item_id for event in events if event.stands}),
    )


def decide(request: Request, known: Known, *, now: datetime) -> Outcome:
    """Schedule or cancel the event device by device; done when it is settled at each.

    - To schedule: an event that is over is refused, and so is another one under an id that stands, or may stand, at a
      device. The same again is answered as it stands, or ordered once more where nobody knows. A device that is
      unknown, out of service or not capable is told, the others go on.
    - To cancel: an id that nobody has scheduled is told; so is an event that is over. A command that has not left is
      taken back, one that is under way is waited for.
    - Of a meter one thing is asked about an event at a time, and what was asked last is what stands.
    """
    check_real(request.origin)
    if request.action is LoadControlAction.CANCEL:
        return _cancelled(request, known, now=now)
    return _scheduled(request, known, now=now)


# -- to schedule ------------------------------------------------------------------------------------------------------


def _scheduled(request: Request, known: Known, *, now: datetime) -> Outcome:
    if request.start_at is None or request.minutes is None or request.percent is None or not request.device_ids:
        raise EventIncomplete
    progress = _Progress()
    for device_id in dict.fromkeys(request.device_ids):
        wanted = LoadControlEvent(
            sender_system=request.origin.sender_system,
            event_id=request.event_id,
            device_id=device_id,
            start_at=request.start_at,
            minutes=request.minutes,
            percent=request.percent,
            item_id=request.origin.item_id,
            client=request.origin.client,
        )
        stored = known.one(LoadControlEvent, *wanted.key)
        # An order asks a meter once. Where another has asked it since, this one tells what came of that: it would take
        # the event back with a command that has ended already, and say of it what is true no more.
        has_asked = bool(_given(request, device_id, known))
        if stored is not None and stored.item_id == wanted.item_id:
            _follow(progress, request, stored, known, now=now)
        elif stored is None or (not has_asked and _gives_way(stored, wanted, now=now)):
            _begin(progress, request, wanted, known, now=now)
        elif not stored.is_same_as(wanted):
            progress.settle(device_id, stored.status, EventDiffers())
        elif not stored.is_settled or _is_busy(request, device_id, known, now=now):
            progress.until.append(now + AFTER_ANOTHER)  # whoever ordered the same, or cancels it, is answered first
        elif stored.status is LoadControlStatus.UNCERTAIN and not has_asked:
            # The meter may have it, and goes on so should this order come to nothing.
            _begin(progress, request, replace(wanted, status=stored.status, note=stored.note), known, now=now)
        else:
            _tell(progress, stored)
    return progress.outcome(now=now)


def _gives_way(stored: LoadControlEvent, wanted: LoadControlEvent, *, now: datetime) -> bool:
    """Tell whether an event leaves its name to another."""
    return not stored.stands or (stored.ends_at <= now and not stored.is_same_as(wanted))


def _begin(progress: _Progress, request: Request, wanted: LoadControlEvent, known: Known, *, now: datetime) -> None:
    try:
        if wanted.ends_at <= now:
            raise EventIsOver(f"The event was to end at {wanted.ends_at:%Y-%m-%d %H:%M:%S} UTC")
        device = _able(request, wanted.device_id, known, now=now)
    except BusinessError as error:
        progress.settle(wanted.device_id, None, error)
        return
    if _is_busy(request, wanted.device_id, known, now=now):
        progress.until.append(now + AFTER_ANOTHER)
        return
    progress.changes.append(wanted)
    command = wanted.command(LoadControlAction.SCHEDULE, device, item_id=wanted.item_id, now=now)
    progress.wait(command, until=_patience(command, known))


def _follow(progress: _Progress, request: Request, event: LoadControlEvent, known: Known, *, now: datetime) -> None:
    """See how an event stands that this very item has begun."""
    if not event.is_settled:
        given = _given(request, event.device_id, known)
        if _is_called_back_now(given[-1], now=now):
            progress.until.append(now + AFTER_ANOTHER)
            return
        command = _next(progress, request, given, event, known, now=now)
        if command is None:
            return
        event = _ended(event, command, may_have_it=may_have_acted(given), now=now)
        progress.changes.append(event)
    _tell(progress, event)


def _is_called_back_now(command: Command, *, now: datetime) -> bool:
    """Tell whether a command was called back in this very turn.

    How it ended is in the store when the turn is over: uncertain, where an attempt of it may have been carried out.
    """
    return command.status is CommandStatus.CANCELLED and command.ended_at == now


def _tell(progress: _Progress, event: LoadControlEvent) -> None:
    """Note how an event stands that nothing more comes of."""
    errors: Mapping[LoadControlStatus, BusinessError] = {
        LoadControlStatus.CANCELLED: EventTakenBack(),
        LoadControlStatus.FAILED: _unconfirmed(event.note or ""),
        LoadControlStatus.UNCERTAIN: EventUncertain(f"It is not known whether the meter has it ({event.note})"[:160]),
    }
    progress.settle(event.device_id, event.status, errors.get(event.status))


def _ended(event: LoadControlEvent, command: Command, *, may_have_it: bool, now: datetime) -> LoadControlEvent:
    """Return the event as the last of its commands leaves it; `may_have_it` says that one may have been carried out."""
    if command.succeeded:
        return event.settled(LoadControlStatus.SCHEDULED, now=command.acted_at or now)
    if may_have_it or not command.has_ended or event.status is LoadControlStatus.UNCERTAIN:
        return event.settled(LoadControlStatus.UNCERTAIN, now=now, note=what_came(command)[:500])
    if command.status is CommandStatus.CANCELLED:
        return event.settled(LoadControlStatus.CANCELLED, now=now)
    return event.settled(LoadControlStatus.FAILED, now=now, note=what_came(command)[:500])


# -- to cancel --------------------------------------------------------------------------------------------------------


def _cancelled(request: Request, known: Known, *, now: datetime) -> Outcome:
    events = known.find(LoadControlEvent, sender_system=request.origin.sender_system, event_id=request.event_id)
    if not events:
        raise EventUnknown(f"There is no event {request.event_id}")
    by_device = {event.device_id: event for event in events}
    progress = _Progress()
    for device_id in dict.fromkeys(request.device_ids or by_device):
        event = by_device.get(device_id)
        if event is None:
            progress.settle(device_id, None, EventUnknown(f"There is no event {request.event_id} at the device"))
        else:
            _call_off(progress, request, event, known, now=now)
    return progress.outcome(now=now)


def _call_off(progress: _Progress, request: Request, event: LoadControlEvent, known: Known, *, now: datetime) -> None:
    """Have one device forget the event; it is asked even where nobody can tell whether it ever had it."""
    given = _given(request, event.device_id, known)
    if given and _is_scheduled_since(given[-1], event, known):
        progress.settle(event.device_id, event.status, _lack(given[-1]))
        return
    if given:
        command = _next(progress, request, given, event, known, now=now)
        if command is not None:
            _note_cancelled(progress, event, command, now=now)
        return
    if event.status is LoadControlStatus.CANCELLED:
        progress.settle(event.device_id, event.status)
        return
    ordered = known.find(Command, owner_key=str(event.item_id), device_id=event.device_id)
    if any(command.status in _UNDER_WAY for command in ordered):
        progress.until.append(now + AFTER_ANOTHER)
        return
    progress.changes += called_back(ordered, reason=f"cancelled by {request.origin.client}", now=now)
    try:
        if event.ends_at <= now:
            raise EventIsOver(f"The event ended at {event.ends_at:%Y-%m-%d %H:%M:%S} UTC")
        device = _able(request, event.device_id, known, now=now)
    except BusinessError as error:
        progress.settle(event.device_id, event.status, error)
        return
    command = event.command(LoadControlAction.CANCEL, device, item_id=request.origin.item_id, now=now)
    progress.wait(command, until=_patience(command, known))


def _is_scheduled_since(cancelling: Command, event: LoadControlEvent, known: Known) -> bool:
    """Tell whether the event is that of an order that was given to the meter after this command was."""
    owners = (cancelling.owner_key, str(event.item_id))
    commands = known.find(Command, sender_system=event.sender_system, device_id=event.device_id)
    return [command.owner_key for command in commands if command.owner_key in owners][-1] != cancelling.owner_key


def _note_cancelled(progress: _Progress, event: LoadControlEvent, command: Command, *, now: datetime) -> None:
    lack = _lack(command)
    if lack is None:
        event = event.settled(LoadControlStatus.CANCELLED, now=command.acted_at or now)
        progress.changes.append(event)
    progress.settle(event.device_id, event.status, lack)


def _lack(command: Command) -> BusinessError | None:
    """Return why the meter may still have what this command was to cancel, None when it has not."""
    if command.succeeded or command.result_code == _NO_SUCH_EVENT:
        return None
    return _unconfirmed(what_came(command))


# -- both -------------------------------------------------------------------------------------------------------------


def _able(request: Request, device_id: str, known: Known, *, now: datetime) -> EndDevice:
    origin = request.origin
    device = known.one(EndDevice, origin.sender_system, device_id)
    matrix = known.one(Capabilities) or Capabilities()
    return able(device, Capability.LOAD_CONTROL, matrix=matrix, origin=origin, now=now)


def _given(request: Request, device_id: str, known: Known) -> tuple[Command, ...]:
    return known.find(Command, owner_kind=OwnerKind.ITEM, owner_key=str(request.origin.item_id), device_id=device_id)


def _is_busy(request: Request, device_id: str, known: Known, *, now: datetime) -> bool:
    """Tell whether another order's command about the event is under way: what the meter does last would be chance.

    One that is lost is waited for no longer than its own order waits.
    """
    of_device = known.find(Command, sender_system=request.origin.sender_system, device_id=device_id)
    others = [command for command in of_device if command.owner_key != str(request.origin.item_id)]
    return any(
        not command.has_ended and command.parameter("event") == request.event_id and now < _patience(command, known)
        for command in others
    )


def _next(
    progress: _Progress,
    request: Request,
    given: Sequence[Command],
    event: LoadControlEvent,
    known: Known,
    *,
    now: datetime,
) -> Command | None:
    """Return the last of the commands given to a device once nothing more comes of it; else note what is awaited."""
    last = given[-1]
    until = _patience(last, known)
    if not last.has_ended and now < until:
        progress.wait(last, until=until)
        return None
    if last.has_ended and not last.succeeded:
        repeated = again(given, lasts=_timeout(known), until=event.ends_at, now=now)
        if repeated is not None and _is_busy(request, event.device_id, known, now=now):
            progress.until.append(now + AFTER_ANOTHER)
            return None
        if repeated is not None:
            progress.wait(repeated, until=_patience(repeated, known))
            return None
    return last


def _timeout(known: Known) -> timedelta:
    return (known.one(ReadingPolicies) or ReadingPolicies(by_reason={})).on_demand_timeout


def _patience(command: Command, known: Known) -> datetime:
    return command.expires_at + _timeout(known) + _SETTLING


def _unconfirmed(note: str) -> EventNotConfirmed:
    return EventNotConfirmed(f"The meter has not confirmed it ({note})"[:160])


SERVICE = ClientRequest(
    name="LoadControl",
    door=Door(path="load-control-events"),
    shape=Request,
    result=Answer,
    order_by="event_id",
    load=load,
    decide=decide,
)
