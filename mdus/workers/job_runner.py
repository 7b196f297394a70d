"""Runs enqueued jobs: claims one run, carries it out, stores what it did.

```
claim (lease, attempt counted)  ->  the job's body, in transactions of its own  ->  DONE | again after a pause | FAILED
```

The lease is renewed while the body runs, so a run is taken over only from a process that has died. Two runs of one job
never overlap. A run that has failed for good opens a case, which the job's next good run closes.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy.exc import SQLAlchemyError

from mdus.domain.clock import Clock
from mdus.domain.exception_case import ExceptionCase
from mdus.messaging.retry import RetryPolicy
from mdus.storage import job as jobs
from mdus.storage.job import JobRun, JobStatus
from mdus.storage.session import Database, UnitOfWork
from mdus.telemetry.metrics import JOB_SECONDS
from mdus.workers.clock import JOBS, Job, Slot

log = structlog.get_logger(__name__)

#: The body of a job: does the work of one slot and returns what it did, for the list of jobs.
Body = Callable[[Slot], str]

#: A job is tried again a few times only: its next slot is the better attempt.
RETRY: Final = RetryPolicy(base=timedelta(seconds=2), cap=timedelta(minutes=1), attempts=4)

#: The kind of the case that a job failed for good opens, keyed by the job.
FAILED_JOB: Final = "job_failed"

_OUTCOME_LENGTH: Final = 2000


class JobRunner:
    """Carries out enqueued runs; `turn` returns 1 when it ran one, 0 when there was nothing to do."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        zone: str,
        bodies: Mapping[str, Body],
        table: Mapping[str, Job] = JOBS,
        retry: RetryPolicy = RETRY,
        lease_seconds: float = 60.0,
    ) -> None:
        self._database = database
        self._clock = clock
        self._zone = ZoneInfo(zone)
        self._bodies = bodies
        self._table = table
        self._retry = retry
        self._lease_seconds = lease_seconds

    def turn(self) -> int:
        """Carry out the oldest run that is due."""
        with self._database.read() as uow:
            if not jobs.has_open_run(uow.connection):
                return 0
        return 0 if self.run() is None else 1

    def run(self, run_id: int | None = None) -> JobRun | None:
        """Carry out one run, the named or the oldest due; returns it as it ended, None when none could be claimed."""
        token = str(uuid.uuid4())
        with self._database.begin() as uow:
            claimed = jobs.claim_run(
                uow.connection,
                lease_token=token,
                seconds=self._lease_seconds,
                now=self._clock.now(),
                run_id=run_id,
            )
        if claimed is None:
            return None
        began = time.monotonic()
        with self._renewed(claimed, token):
            status, outcome = self._carried_out(claimed)
        if claimed.job in self._table:
            JOB_SECONDS.labels(claimed.job, status.value).observe(time.monotonic() - began)
        return self._store(claimed, token, status=status, outcome=outcome)

    def _carried_out(self, run: JobRun) -> tuple[JobStatus, str]:
        job, body = self._table.get(run.job), self._bodies.get(run.job)
        if job is None or body is None:
            return JobStatus.FAILED, "this version of MDUS has no such job"
        log.info("job_started", job=run.job, slot=run.slot, attempt=run.attempts)
        try:
            return JobStatus.DONE, body(job.trigger.slot(run.slot, self._zone))
        except Exception as error:  # the worker loop: whatever is wrong with one job, the others go on
            exhausted = self._retry.is_exhausted(run.attempts)
            log.exception("job_failed", job=run.job, slot=run.slot, attempt=run.attempts, last=exhausted)
            return JobStatus.FAILED if exhausted else JobStatus.READY, f"{type(error).__name__}: {error}"

    def _store(self, run: JobRun, token: str, *, status: JobStatus, outcome: str) -> JobRun:
        now, outcome = self._clock.now(), outcome[:_OUTCOME_LENGTH]
        pause = self._retry.delay(run.attempts) if status is JobStatus.READY else None
        with self._database.begin() as uow:
            ours = jobs.end_run(
                uow.connection,
                run.id,
                lease_token=token,
                status=status,
                outcome=outcome,
                now=now,
                pause=pause,
            )
            if ours:
                _note_case(uow, run, status=status, outcome=outcome, now=now)
        if not ours:
            log.warning("job_taken_over", job=run.job, slot=run.slot)
        elif status is JobStatus.DONE:
            log.info("job_done", job=run.job, slot=run.slot, outcome=outcome)
        return replace(run, status=status, outcome=outcome, ended_at=None if status is JobStatus.READY else now)

    @contextmanager
    def _renewed(self, run: JobRun, token: str) -> Iterator[None]:
        """Keep the run's lease alive while the block lasts."""
        ended = threading.Event()

        def renew() -> None:
            while not ended.wait(self._lease_seconds / 3):
                try:
                    with self._database.begin() as uow:
                        jobs.renew_run(uow.connection, run.id, lease_token=token, seconds=self._lease_seconds)
                except SQLAlchemyError as error:
                    log.warning("job_lease_not_renewed", job=run.job, slot=run.slot, why=type(error).__name__)

        thread = threading.Thread(target=renew, name=f"lease of {run.job}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def _note_case(uow: UnitOfWork, run: JobRun, *, status: JobStatus, outcome: str, now: datetime) -> None:
    """Open a case for a job that failed for good; close it when the job has done well again."""
    if status is JobStatus.READY:
        return
    stored = uow.load(ExceptionCase, ExceptionCase.KEY, [(FAILED_JOB, run.job)])
    is_open = any(case.closed_at is None for case in stored)
    if status is JobStatus.FAILED:
        opened_at = stored[0].opened_at if is_open else now
        note = f"{run.job} {run.slot}: {outcome}"
        uow.save([ExceptionCase(kind=FAILED_JOB, case_key=run.job, opened_at=opened_at, note=note)])
    elif is_open:
        uow.save([replace(stored[0], closed_at=now)])
