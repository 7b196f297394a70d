"""Which of the events that were told go to SAP: those it wants, each once, and not in storms.

The order of arrival decides, so that the same events in the same order always end the same.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from mdus.domain.command import Command, CommandKind, OwnerKind, command_key
from mdus.domain.end_device import EndDevice, EndDeviceStatus
from mdus.domain.end_device_event import (
    MDUS,
    EndDeviceEvent,
    EventReason,
    EventState,
    EventWindow,
    LateFailure,
    late_failure,
)
from mdus.domain.event_types import EventType, EventTypes
from mdus.domain.local_time import local_day
from mdus.domain.value import Value, type_key
from mdus.settings import Settings

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PURPOSE: Final = "read_back"


@dataclass(frozen=True, kw_only=True, slots=True)
class EventRules:
    """When events are suppressed, from the section `events` of the settings; `read_back_lasts` from `switching`."""

    repeat_within: timedelta = timedelta(minutes=15)
    storm_limit: int = 1000
    storm_window: timedelta = timedelta(minutes=60)
    read_back_lasts: timedelta = timedelta(minutes=15)

    @classmethod
    def of(cls, settings: Settings) -> EventRules:
        """Return the rules that the settings say."""
        events = settings.events
        return cls(
            repeat_within=timedelta(minutes=events.repeat_minutes),
            storm_limit=events.storm_limit,
            storm_window=timedelta(minutes=events.storm_window_minutes),
            read_back_lasts=timedelta(minutes=settings.switching.verify_timeout_minutes),
        )

    def window_of(self, event: EndDeviceEvent) -> EventWindow:
        """Return the empty window an event is counted in: by when it was told, for that is what floods SAP."""
        spans = (event.told_at - _EPOCH) // self.storm_window
        return EventWindow(
            sender_system=event.sender_system,
            area=event.area,
            event_type=event.event_type,
            window_from=_EPOCH + spans * self.storm_window,
        )


@dataclass(kw_only=True, slots=True)
class Sorted:
    """What sorting changed: the events told, the windows they were counted in, and what comes with them."""

    events: list[EndDeviceEvent] = field(default_factory=list)
    windows: dict[type_key, EventWindow] = field(default_factory=dict)
    also: list[Value] = field(default_factory=list)
    storms: int = 0  # events suppressed in storms


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """What is known when events are sorted.

    `near` are the events of the same devices, not repetitions themselves, that happened about the same time; `windows`
    those already counted in; `devices` and `statuses` by (sender system, device id), of those whose breaker is told of;
    `zone_of` gives a sender system's zone.
    """

    types: EventTypes
    rules: EventRules
    zone_of: Callable[[str], str]
    near: Iterable[EndDeviceEvent] = ()
    windows: Iterable[EventWindow] = ()
    devices: Mapping[type_key, EndDevice] = field(default_factory=dict)
    statuses: Mapping[type_key, EndDeviceStatus] = field(default_factory=dict)


def sort_events(told: Sequence[EndDeviceEvent], around: Surroundings, *, now: datetime) -> Sorted:
    """Decide what becomes of events that were told, in the order they came.

    - What no row of the table is for, or whose row says so, is withheld.
    - A repetition is the same type again of the same device within the time set, if nothing else of its subject was
      told of in between: power that failed, came back and failed again has failed twice.
    - Beyond the limit of type and area in a window the others are a storm: suppressed, and one event tells of it.
    - What MDUS itself has to tell is neither: each is the only word SAP gets about one order. It is due at once, for
      it may be about a device that is not registered, or about none. Only that a confirmation could not be delivered
      is held: while SAP takes nothing, this would end like the confirmation.
    - All else is held until its device may be spoken of.
    """
    rules, history = around.rules, _History(around.near)
    done = Sorted(windows={window.key: window for window in around.windows})
    for event in told:
        row = around.types.find(event.sender_system, event.event_type)
        if row is None or not row.send:
            reason = EventReason.UNMAPPED if row is None else EventReason.UNWANTED
            done.events.append(replace(event, state=EventState.WITHHELD, reason=reason))
        elif event.source == MDUS:
            waits = event.event_type == LateFailure.CONFIRMATION_UNTOLD
            done.events.append(replace(event, state=EventState.HELD if waits else EventState.DUE))
            continue
        elif history.repeats(event, within=rules.repeat_within):
            done.events.append(replace(event, state=EventState.SUPPRESSED, reason=EventReason.REPEATED))
            continue
        else:
            _count(done, event, row, around, now=now)
        history.add(event)
    return done


class _History:
    """What was told of each device's subjects, by when it happened."""

    def __init__(self, events: Iterable[EndDeviceEvent]) -> None:
        self._told: dict[tuple[str, str | None, str], list[tuple[datetime, str]]] = {}
        for event in events:
            self.add(event)

    def add(self, event: EndDeviceEvent) -> None:
        insort(self._of(event), (event.at, event.event_type))

    def repeats(self, event: EndDeviceEvent, *, within: timedelta) -> bool:
        """Tell whether the news before or after this one was the same; events may come in any order."""
        told = self._of(event)
        place = bisect_left(told, (event.at, event.event_type))
        beside = told[max(place - 1, 0) : place + 1]
        return any(kind == event.event_type and abs(at - event.at) < within for at, kind in beside)

    def _of(self, event: EndDeviceEvent) -> list[tuple[datetime, str]]:
        return self._told.setdefault((event.sender_system, event.device_id, event.subject), [])


def _count(done: Sorted, event: EndDeviceEvent, row: EventType, around: Surroundings, *, now: datetime) -> None:
    """Let an event through, unless its window is full."""
    empty = around.rules.window_of(event)
    window = done.windows.get(empty.key, empty)
    if window.passed < around.rules.storm_limit:
        done.windows[window.key] = replace(window, passed=window.passed + 1)
        zone = around.zone_of(event.sender_system)
        done.events.append(replace(event, state=EventState.HELD, happened_on=local_day(event.at, zone=zone)))
        if row.read_back:
            done.also += _read_back(event, around, now=now)
        return
    done.events.append(replace(event, state=EventState.SUPPRESSED, reason=EventReason.STORM))
    done.windows[window.key] = replace(window, suppressed=window.suppressed + 1)
    done.storms += 1
    if not window.suppressed:
        done.also.append(_storm(window, rules=around.rules, told_at=event.told_at))


def _storm(window: EventWindow, *, rules: EventRules, told_at: datetime) -> EndDeviceEvent:
    until = window.window_from + rules.storm_window
    return late_failure(
        LateFailure.EVENT_STORM,
        sender_system=window.sender_system,
        device_id=None,
        at=told_at,
        told_at=told_at,
        about=f"{window.area}/{window.event_type}/{window.window_from.isoformat()}",
        note=f"More than {rules.storm_limit} events {window.event_type} of {window.area}; "
        f"until {until:%Y-%m-%d %H:%M} UTC no more of them are sent",
    )


def _read_back(event: EndDeviceEvent, around: Surroundings, *, now: datetime) -> Iterator[Command]:
    """Yield the command that asks where the breaker stands, unless it was read since; an alarm proves nothing."""
    key = (event.sender_system, event.device_id)
    device, status = around.devices.get(key), around.statuses.get(key)
    if device is None or device.head_end is None:
        return
    if status is not None and status.switch_state_at is not None and status.switch_state_at >= event.at:
        return
    owner_key = f"{event.sender_system}/{event.event_id}"
    yield Command(
        command_key=command_key(
            owner_kind=OwnerKind.REGISTRY, owner_key=owner_key, device_id=device.device_id, purpose=_PURPOSE
        ),
        owner_kind=OwnerKind.REGISTRY,
        owner_key=owner_key,
        sender_system=device.sender_system,
        device_id=device.device_id,
        serial_id=device.serial_id,
        head_end=device.head_end,
        kind=CommandKind.SWITCH_STATE,
        purpose=_PURPOSE,
        not_before=now,
        expires_at=now + around.rules.read_back_lasts,
    )
