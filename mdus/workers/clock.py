"""The scheduler: which jobs there are, when each is due, and who enqueues their slots.

```
business time passes a slot  ->  the process with the leader lease inserts (job, slot)  ->  any worker runs it, once
```

A trigger does nothing but insert that row, and (job, slot) is unique: firing twice is harmless. Which slots have passed
is computed from the newest one stored, so slots missed while everything was down are caught up at the next start, and a
steered clock may jump over many. docs/decisions/0015 says why APScheduler's triggers are used and its loop is not.
"""

from __future__ import annotations

import time as real_time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import structlog
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger
from sqlalchemy import Connection

from mdus.domain.clock import Clock
from mdus.storage import job as jobs
from mdus.storage.session import Database
from mdus.storage.time_series import next_look
from mdus.storage.validation import next_due as next_validation

log = structlog.get_logger(__name__)

#: The lease of the one process that enqueues slots.
LEADER: Final = "leader"

#: Real seconds the leader's lease lasts, and after which it is renewed: what a killed leader costs.
LEASE_SECONDS: Final = 10.0
_RENEW_SECONDS: Final = 3.0

#: How far back missed business dates are caught up, one run each.
CATCH_UP: Final = timedelta(days=7)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NEXT: Final = timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Slot:
    """One slot of a job: `text` is its key, `at` its instant, `on` the business date it belongs to."""

    text: str
    at: datetime
    on: date


@dataclass(frozen=True, kw_only=True, slots=True)
class Sweep:
    """Due every so often, at multiples of `every` since 1970. Of the slots missed only the newest is run."""

    every: timedelta

    def missed(self, *, after: str | None, now: datetime, zone: ZoneInfo) -> tuple[Slot, ...]:
        """Return the newest slot up to `now`, if it is later than the slot `after`."""
        # The first fire time from just after one period ago: the newest that has passed.
        slot = self._slot(self._trigger().get_next_fire_time(None, now - self.every + _NEXT), zone)
        return () if after is not None and slot.text <= after else (slot,)

    def next(self, *, now: datetime, zone: ZoneInfo) -> Slot:
        """Return the first slot after `now`."""
        return self._slot(self._trigger().get_next_fire_time(None, now + _NEXT), zone)

    def slot(self, text: str, zone: ZoneInfo) -> Slot:
        """Return the slot a stored key names."""
        return self._slot(datetime.fromisoformat(text), zone)

    def on(self, day: date, zone: ZoneInfo) -> Slot:
        """Return the slot for a business date: its beginning."""
        return self._slot(datetime.combine(day, time(), zone).astimezone(UTC), zone)

    def __str__(self) -> str:
        minutes = int(self.every.total_seconds() // 60)
        return "every minute" if minutes == 1 else f"every {minutes} minutes"

    def _trigger(self) -> Any:
        return IntervalTrigger(seconds=int(self.every.total_seconds()), start_date=_EPOCH, timezone=UTC)

    @staticmethod
    def _slot(at: datetime, zone: ZoneInfo) -> Slot:
        text = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return Slot(text=text, at=at.astimezone(UTC), on=at.astimezone(zone).date())


@dataclass(frozen=True, kw_only=True, slots=True)
class Daily:
    """Due once per business date, at a local time of the installation. Each date missed is run, oldest first."""

    at: time

    def missed(self, *, after: str | None, now: datetime, zone: ZoneInfo) -> tuple[Slot, ...]:
        """Return the slots later than `after` up to `now`; without `after` only the newest."""
        since = now - CATCH_UP
        if after is not None:
            since = max(since, self.slot(after, zone).at)
        slots: dict[str, Slot] = {}
        trigger, previous = CronTrigger(hour=self.at.hour, minute=self.at.minute, timezone=zone), since
        while True:
            fires: datetime = trigger.get_next_fire_time(previous, previous)
            if fires > now:
                break
            slot = self.on(fires.date(), zone)
            if after is None or slot.text > after:
                slots[slot.text] = slot  # a local time that clocks show twice fires twice, on one date
            previous = fires
        found = tuple(slots.values())
        return found[-1:] if after is None else found

    def next(self, *, now: datetime, zone: ZoneInfo) -> Slot:
        """Return the first slot after `now`."""
        fires = CronTrigger(hour=self.at.hour, minute=self.at.minute, timezone=zone).get_next_fire_time(
            None, now + _NEXT
        )
        return self.on(fires.date(), zone)

    def slot(self, text: str, zone: ZoneInfo) -> Slot:
        """Return the slot a stored key names."""
        return self.on(date.fromisoformat(text[:10]), zone)

    def on(self, day: date, zone: ZoneInfo) -> Slot:
        """Return the slot of a business date."""
        return Slot(text=day.isoformat(), at=datetime.combine(day, self.at, zone).astimezone(UTC), on=day)

    def __str__(self) -> str:
        return f"daily at {self.at:%H:%M}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A scheduled job: its name, when its slots are, and what one run does."""

    name: str
    trigger: Sweep | Daily
    what: str


#: Every job there is; docs/glossary.md has the words.
JOBS: Final[Mapping[str, Job]] = {
    job.name: job
    for job in (
        Job(
            name="due_readings",
            trigger=Sweep(every=timedelta(minutes=5)),
            what="asks head ends for stored values that are about to be looked for",
        ),
        Job(
            name="command_timeouts",
            trigger=Sweep(every=timedelta(minutes=1)),
            what="ends commands whose results did not come in time, also of head ends no longer configured",
        ),
        Job(
            name="confirmation_watch",
            trigger=Sweep(every=timedelta(minutes=5)),
            what="shows messages that SAP or MDUS has left unanswered, by age and service",
        ),
        Job(
            name="head_end_poll",
            trigger=Sweep(every=timedelta(minutes=15)),
            what="fetches snapshots, interval values, events and results that head ends should have pushed",
        ),
        Job(
            name="interval_export",
            trigger=Sweep(every=timedelta(minutes=5)),
            what="hands interval values of profiles to SAP, those that are due and those that have changed",
        ),
        Job(
            name="estimate_missing",
            trigger=Daily(at=time(3, 0)),
            what="has days looked at of which no value came at all",
        ),
        Job(
            name="interval_corrections",
            trigger=Daily(at=time(3, 30)),
            what="asks meters again for values that were estimated in their stead",
        ),
        Job(
            name="determinants",
            trigger=Daily(at=time(6, 30)),
            what="determines what is billed of periods that have ended or whose values have changed",
        ),
        Job(
            name="exception_ageing",
            trigger=Sweep(every=timedelta(hours=1)),
            what="tells how old the open cases are, raises those that are overdue",
        ),
        Job(
            name="registry_sync",
            trigger=Daily(at=time(4, 0)),
            what="compares meters and registers with each head end's, provisions what is missing",
        ),
        Job(
            name="kpi_rollup",
            trigger=Daily(at=time(6, 0)),
            what="keeps the figures of the days before: cases, completeness, estimated values, delays",
        ),
        Job(
            name="retention",
            trigger=Daily(at=time(6, 30)),
            what="forgets what has been kept long enough: bodies, keys, closed cases, deeds, figures",
        ),
        Job(
            name="reconcile",
            trigger=Daily(at=time(5, 0)),
            what="compares what SAP ordered, what MDUS knows and what head ends report",
        ),
    )
}


class Scheduler:
    """Enqueues the slots that have passed, while this process holds the leader lease.

    `monotonic` is the real clock that renewals are measured with.
    """

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        zone: str,
        holder: str,
        table: Sequence[Job] = tuple(JOBS.values()),
        monotonic: Callable[[], float] = real_time.monotonic,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self._database = database
        self._clock = clock
        self._zone = ZoneInfo(zone)
        self._holder = holder
        self._jobs = tuple(table)
        self._monotonic = monotonic
        self._lease_seconds = lease_seconds
        self._leads = False
        self._renewed_at = float("-inf")
        self._newest: dict[str, str] = {}
        self._next: datetime | None = None

    def turn(self) -> int:
        """Hold the lease and enqueue what has become due; returns how many runs were inserted."""
        if not self._hold_lease():
            return 0
        now = self._clock.now()
        if self._next is not None and now < self._next:
            return 0
        passed = {
            job.name: job.trigger.missed(after=self._newest.get(job.name), now=now, zone=self._zone)
            for job in self._jobs
        }
        due = [(job.name, slot.text) for job in self._jobs if self._has_begun(job) for slot in passed[job.name]]
        # A job never enqueued before begins here: nothing was missed while it did not exist.
        first = [(job.name, slot.text) for job in self._jobs if not self._has_begun(job) for slot in passed[job.name]]
        inserted = 0
        if due or first:
            with self._database.begin() as uow:
                inserted = jobs.enqueue(uow.connection, due, now=now)
                jobs.enqueue(uow.connection, first, now=now, outcome="the job begins after this slot")
        for job in self._jobs:
            if passed[job.name]:
                self._newest[job.name] = passed[job.name][-1].text
        self._next = min(job.trigger.next(now=now, zone=self._zone).at for job in self._jobs)
        if inserted:
            log.info("slots_enqueued", slots=[f"{name} {slot}" for name, slot in due])
        return inserted

    def close(self) -> None:
        """Give the lease back, so that another process leads at once."""
        if self._leads:
            self._leads = False
            with self._database.begin() as uow:
                jobs.release_lease(uow.connection, LEADER, holder=self._holder)

    def _has_begun(self, job: Job) -> bool:
        return job.name in self._newest

    def _hold_lease(self) -> bool:
        """Take or renew the lease, seldom enough to cost nothing; returns whether this process leads."""
        real = self._monotonic()
        # Whoever waits for the lease only looks; whoever leads renews in good time.
        pause = min(_RENEW_SECONDS, self._lease_seconds / 3)
        if real - self._renewed_at < pause:
            return self._leads
        led = self._leads
        with self._database.begin() as uow:
            self._leads = jobs.take_lease(uow.connection, LEADER, holder=self._holder, seconds=self._lease_seconds)
            if self._leads and not led:
                self._newest = jobs.newest_slots(uow.connection, [job.name for job in self._jobs])
                self._next = None
        self._renewed_at = real
        if self._leads is not led:
            log.info("leader_changed", leads=self._leads, holder=self._holder)
        return self._leads


def next_due(connection: Connection, *, now: datetime, zone: ZoneInfo) -> datetime | None:
    """Return the next business instant a steered clock must not jump over for the jobs' sake.

    That is a run that has not ended, a slot of a business date that has passed and is about to be enqueued, or else the
    next such slot. Sweeps are left out, for whatever they look for is due by itself or can wait until they come round;
    but for the one that looks at profiles, which nobody else does.
    """
    open_since = jobs.oldest_open(connection)
    if open_since is not None:
        return open_since
    daily = [job for job in JOBS.values() if isinstance(job.trigger, Daily)]
    newest = jobs.newest_slots(connection, [job.name for job in daily])
    dues = []
    for job in daily:
        passed = job.trigger.missed(after=newest.get(job.name), now=now, zone=zone)
        dues.append(passed[0].at if passed else job.trigger.next(now=now, zone=zone).at)
    validates_at = next_validation(connection)
    if validates_at is not None:
        dues.append(validates_at)
    look = next_look(connection)
    if look is not None:
        dues.append(JOBS["interval_export"].trigger.next(now=max(look - _NEXT, now), zone=zone).at)
    return min(dues, default=None)
