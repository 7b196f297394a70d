"""The worker that sorts events: decides of each that was told whether and when it goes to SAP.

```
sort    claim (up to 500 told) -> what is near, windows, devices -> decide (pure, in the order they came) -> save
look    now and then: held events whose device is registered by now, storms that are over, what is held too long
```
One process sorts at a time. The service `smart_meter_event` sends what is due.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog

from mdus.domain.clock import Clock
from mdus.domain.end_device import EndDevice, EndDeviceStatus
from mdus.domain.end_device_event import EndDeviceEvent, EventReason, EventWindow, LateFailure
from mdus.domain.event_sorting import EventRules, Sorted, Surroundings, sort_events
from mdus.domain.event_types import EventTypes
from mdus.services.device_registered import SERVICE as REGISTERED
from mdus.settings import Settings
from mdus.storage import end_device_event as events
from mdus.storage.exception_case import keep_cases, open_cases
from mdus.storage.news import News, Topic, note_news
from mdus.storage.session import Database, UnitOfWork
from mdus.telemetry.metrics import EVENTS
from mdus.workers.inbox import zone_of

log = structlog.get_logger(__name__)

#: Events sorted in one turn: a transaction is short.
_AT_ONCE: Final = 500

#: Events released or given up in one look.
_LOOKED_AT: Final = 1000

#: For how many windows a storm must have been over before its case is closed.
_OVER_AFTER: Final = 2

#: How long windows are kept.
_WINDOWS_KEPT: Final = timedelta(days=7)


class EventSorter:
    """Sorts events; `turn` returns how many it moved, 0 when there was nothing to do.

    It looks for what business time or a registration has changed every `look_seconds` of real time.
    """

    def __init__(
        self,
        *,
        database: Database,
        settings: Settings,
        clock: Clock,
        look_seconds: float = 5.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._types = EventTypes.of(settings)
        self._rules = EventRules.of(settings)
        self._look_seconds = look_seconds
        self._monotonic = monotonic
        self._looked_at = float("-inf")

    def turn(self) -> int:
        """Sort a batch of what was told, and look now and then; returns how many events were moved."""
        with self._database.read() as uow:
            is_told = events.is_any_told(uow.connection)
        moved = self._sort() if is_told else 0
        if self._monotonic() - self._looked_at >= self._look_seconds:
            moved += self._look()
            self._looked_at = self._monotonic()
        return moved

    def _sort(self) -> int:
        now = self._clock.now()
        with self._database.begin() as uow:
            if not events.is_alone_in_sorting(uow.connection):
                return 0
            told = events.claim_told(uow.connection, limit=_AT_ONCE)
            done = sort_events(told, self._surroundings(uow, told), now=now)
            uow.save([*done.events, *done.windows.values(), *done.also])
            note_news(uow.connection, [_news(event) for event in done.events])
            devices = {(one.sender_system, one.device_id) for one in told if one.device_id is not None}
            events.release(uow.connection, self._releasable(uow, devices))
            if done.storms:
                self._keep_storms(uow, now=now)
                events.forget_windows(uow.connection, before=now - _WINDOWS_KEPT)
        _tell(done)
        return len(told)

    def _surroundings(self, uow: UnitOfWork, told: Sequence[EndDeviceEvent]) -> Surroundings:
        """Fetch what bears on a batch: one query per aggregate."""
        windows = {self._rules.window_of(event).key for event in told}
        moved = {
            (event.sender_system, event.device_id)
            for event in told
            if (row := self._types.sent(event.sender_system, event.event_type)) is not None and row.read_back
        }
        return Surroundings(
            types=self._types,
            rules=self._rules,
            zone_of=lambda sender_system: zone_of(self._settings, sender_system),
            near=events.near(uow.connection, told, within=self._rules.repeat_within),
            windows=uow.load(EventWindow, EventWindow.KEY, windows),
            devices={one.key: one for one in uow.load(EndDevice, EndDevice.KEY, moved, lock=False)},
            statuses={one.key: one for one in uow.load(EndDeviceStatus, EndDevice.KEY, moved, lock=False)},
        )

    def _look(self) -> int:
        now = self._clock.now()
        with self._database.read() as uow:
            releasable = self._releasable(uow)
            tellable, moot = events.untold(uow.connection, limit=_LOOKED_AT)
            held_since = now - timedelta(days=self._settings.events.held_days)
            expired = events.expired(uow.connection, told_before=held_since, limit=_LOOKED_AT)
            unmapped = [one for one in events.types_due(uow.connection) if self._types.sent(*one) is None]
            is_stormy = LateFailure.EVENT_STORM.value in open_cases(uow.connection)
        if not (releasable or tellable or moot or expired or unmapped or is_stormy):
            return 0
        with self._database.begin() as uow:
            moved = events.release(uow.connection, [*releasable, *tellable])
            moved += events.withhold(uow.connection, moot, EventReason.MOOT)
            moved += events.withhold(uow.connection, expired, EventReason.EXPIRED)
            if unmapped:
                moved += events.withhold_due(uow.connection, unmapped)
            if is_stormy:
                self._keep_storms(uow, now=now)
        return moved

    def _releasable(self, uow: UnitOfWork, devices: set[tuple[str, str]] | None = None) -> list[int]:
        """Return the held events that may go, of all devices or of these."""
        if devices is not None and not devices:
            return []
        return events.releasable(
            uow.connection,
            registered_service=REGISTERED.name,
            needs_register=self._settings.events.needs_register,
            limit=_LOOKED_AT,
            devices=devices,
        )

    def _keep_storms(self, uow: UnitOfWork, *, now: datetime) -> None:
        """Keep a case open for each type and area of which events are being suppressed."""
        suppressed: Counter[str] = Counter()
        began: dict[str, EventWindow] = {}
        for window in events.storms(uow.connection, since=now - _OVER_AFTER * self._rules.storm_window):
            suppressed[window.case_key] += window.suppressed
            began.setdefault(window.case_key, window)
        kind = LateFailure.EVENT_STORM.value
        notes = {
            (kind, key): f"{suppressed[key]} events {window.event_type} of {window.area} "
            f"not sent to {window.sender_system} since {window.window_from:%Y-%m-%d %H:%M} UTC"
            for key, window in began.items()
        }
        keep_cases(uow.connection, [kind], notes, now=now)


def _news(event: EndDeviceEvent) -> News:
    return News(
        at=event.at,
        topic=Topic.EVENTS,
        sender_system=event.sender_system,
        about=f"event/{event.event_id}",
        content={
            "event_id": event.event_id,
            "device_id": event.device_id,
            "event_type": event.event_type,
            "at": event.at.isoformat(),
            "source": event.source,
            "text": event.text,
            "properties": dict(event.properties),
            "state": event.state.value,
            "reason": event.reason.value if event.reason else None,
        },
    )


def _tell(done: Sorted) -> None:
    counts = Counter((event.state.value, event.reason.value if event.reason else "") for event in done.events)
    for (state, reason), number in counts.items():
        EVENTS.labels(state, reason).inc(number)
    if done.storms:
        log.warning("events_suppressed", count=done.storms)
