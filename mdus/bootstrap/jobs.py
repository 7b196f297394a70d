"""The jobs of an installation, listed and run by hand."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

from mdus.bootstrap.composition import compose, job_runner, start_logs
from mdus.bootstrap.database import refuse_other_schema, state_of
from mdus.bootstrap.errors import CannotStart
from mdus.bootstrap.operating import clock_of, opened
from mdus.storage import job as jobs
from mdus.storage.job import JobRun, JobStatus
from mdus.storage.session import Database
from mdus.workers.clock import JOBS

_LOOK_SECONDS: Final = 0.2


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """One job as `mdus jobs` shows it: when it is due, its newest run if there is one, and its next slot."""

    name: str
    what: str
    due: str
    last: JobRun | None
    next_at: datetime


def list_jobs(environ: Mapping[str, str]) -> list[Listed]:
    """Return every job with its newest run and its next slot."""
    with opened(environ) as database:
        zone, now = ZoneInfo(database.settings.time_zone), clock_of(database).now()
        with database.read() as uow:
            runs = jobs.newest_runs(uow.connection, list(JOBS))
    return [
        Listed(
            name=job.name,
            what=job.what,
            due=str(job.trigger),
            last=runs.get(job.name),
            next_at=job.trigger.next(now=now, zone=zone).at,
        )
        for job in JOBS.values()
    ]


def run_job(environ: Mapping[str, str], name: str, *, day: date | None = None) -> JobRun:
    """Run one job here, for a business date or (None) the newest slot, and return how it ended.

    A run a worker has in hand meanwhile is waited for. Raises CannotStart for an unknown job or a date to come.
    """
    if name not in JOBS:
        raise CannotStart.because(
            f"there is no job {name!r}", where="mdus jobs run NAME", mend=f"name one of {', '.join(JOBS)}"
        )
    parts = compose(environ, simulated_clock=True)
    database = parts.runtime.database
    try:
        refuse_other_schema(state_of(database), database.settings)
        start_logs(database.settings)
        run_id = _enqueued(database, name, day=day, now=parts.runtime.clock.now())
        runner = job_runner(parts)
        while True:
            ended = runner.run(run_id) or _found(database, run_id)
            if ended.status in (JobStatus.DONE, JobStatus.FAILED):
                return ended
            time.sleep(_LOOK_SECONDS)
    finally:
        parts.close()


def _enqueued(database: Database, name: str, *, day: date | None, now: datetime) -> int:
    trigger, zone = JOBS[name].trigger, ZoneInfo(database.settings.time_zone)
    today = now.astimezone(zone).date()
    if day is not None and day > today:
        # Its slot would hide all slots before it from the scheduler.
        raise CannotStart.because(f"{day} is yet to come", where="--date", mend=f"name a date up to {today}")
    slot = trigger.missed(after=None, now=now, zone=zone)[0] if day is None else trigger.on(day, zone)
    with database.begin() as uow:
        return jobs.run_again(uow.connection, name, slot.text, now=now)


def _found(database: Database, run_id: int) -> JobRun:
    with database.read() as uow:
        return jobs.find_run(uow.connection, run_id)
