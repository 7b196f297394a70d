"""Rows of scheduled work, the leader lease, and the simulated clock's three values."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Float,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    and_,
    func,
    null,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from mdus.domain.clock import SimulatedTime
from mdus.storage.column_types import UtcInstant, database_now
from mdus.storage.mapping import METADATA, AnyRow, Identity64


class JobStatus(StrEnum):
    """The state of one run of a job."""

    READY = "ready"  # waits for a worker, or for its next attempt
    RUNNING = "running"  # a worker has it, for as long as its lease lasts
    DONE = "done"  # carried out; `outcome` says what it did
    FAILED = "failed"  # attempts exhausted; `outcome` says why


@dataclass(frozen=True, kw_only=True, slots=True)
class JobRun:
    """One slot of a job, and what became of it. Instants are business time, aware UTC."""

    id: int
    job: str
    slot: str
    status: JobStatus
    attempts: int
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    outcome: str | None


#: One row per job and slot: a trigger that fires twice inserts once.
JOB_RUN = Table(
    "job_run",
    METADATA,
    Column("id", Identity64, primary_key=True, autoincrement=True),
    Column("job", Text, nullable=False),
    Column("slot", Text, nullable=False),  # business date or instant, ISO 8601
    Column("status", Text, nullable=False),  # ready | running | done | failed
    Column("attempts", Integer, nullable=False),
    Column("due_at", UtcInstant),  # real clock: NULL is at once
    Column("lease_token", Text),
    Column("lease_until", UtcInstant),
    Column("created_at", UtcInstant, nullable=False),  # business instants from here
    Column("started_at", UtcInstant),
    Column("ended_at", UtcInstant),
    Column("outcome", Text),  # what it did, or why it failed
    UniqueConstraint("job", "slot", name="job_run_key"),
    Index("job_run_listed", "job", "id"),
    Index(
        "job_run_open",
        "id",
        sqlite_where=text("status IN ('ready', 'running')"),
        postgresql_where=text("status IN ('ready', 'running')"),
    ),
)

# Written out, because SQLite uses a partial index only where the query says the very words of the index.
_OPEN = text("job_run.status IN ('ready', 'running')")

#: Who leads: one row per lease, taken over only when it has run out on the database's clock.
LEASE = Table(
    "lease",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("token", BigInteger, nullable=False),  # counts take-overs
    Column("until", UtcInstant, nullable=False),
)

#: The steered clock of a landscape: at most one row; without it business time is real time.
SIMULATED_CLOCK = Table(
    "simulated_clock",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("anchor", UtcInstant, nullable=False),
    Column("epoch", UtcInstant, nullable=False),
    Column("speed", Float, nullable=False),
)


#: One claim at a time decides which run starts, so that no two runs of a job overlap ("job_run" in ASCII).
_CLAIM_LOCK = 0x6A6F625F72756E


def enqueue(
    connection: Connection, slots: Collection[tuple[str, str]], *, now: datetime, outcome: str | None = None
) -> int:
    """Insert the runs that are not there yet: (job, slot) each; returns how many were new.

    With an `outcome` they are done already: a slot that is known and asks for no work.
    """
    if not slots:
        return 0
    make = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    status = JobStatus.READY if outcome is None else JobStatus.DONE
    rows = [
        {
            "job": job,
            "slot": slot,
            "status": status.value,
            "attempts": 0,
            "created_at": now,
            "ended_at": None if outcome is None else now,
            "outcome": outcome,
        }
        for job, slot in slots
    ]
    new = connection.execute(
        make(JOB_RUN).values(rows).on_conflict_do_nothing(index_elements=["job", "slot"]).returning(JOB_RUN.c.id)
    )
    return len(new.all())


def run_again(connection: Connection, job: str, slot: str, *, now: datetime) -> int:
    """Make one run of a job ready, whether or not it ran before, and return its id; one under way is left to end."""
    enqueue(connection, [(job, slot)], now=now)
    named = and_(JOB_RUN.c.job == job, JOB_RUN.c.slot == slot)
    connection.execute(
        update(JOB_RUN)
        .where(named, JOB_RUN.c.status.in_([JobStatus.DONE, JobStatus.FAILED]))
        .values(status=JobStatus.READY, attempts=0, due_at=null(), outcome=null(), ended_at=null())
    )
    return int(connection.execute(select(JOB_RUN.c.id).where(named)).scalar_one())


def newest_slots(connection: Connection, jobs: Sequence[str]) -> dict[str, str]:
    """Return the newest slot of each job that has one; slots of a job order as text."""
    newest = [select(func.max(JOB_RUN.c.slot)).where(JOB_RUN.c.job == job).scalar_subquery().label(job) for job in jobs]
    found = connection.execute(select(*newest)).one()
    return {job: slot for job, slot in zip(jobs, found, strict=True) if slot is not None}


def has_open_run(connection: Connection) -> bool:
    """Tell whether any run can be started now, or was left behind by a worker that died."""
    return connection.execute(_one_open()).first() is not None


@cache
def _one_open() -> Any:
    """Return the question of `has_open_run`; making it anew costs more than asking it."""
    return select(JOB_RUN.c.id).where(_OPEN, _is_due()).limit(1)


def oldest_open(connection: Connection) -> datetime | None:
    """Return when the oldest run was enqueued that has not ended yet, None when all have."""
    return connection.execute(select(func.min(JOB_RUN.c.created_at)).where(_OPEN)).scalar()


def claim_run(
    connection: Connection, *, lease_token: str, seconds: float, now: datetime, run_id: int | None = None
) -> JobRun | None:
    """Claim the oldest run that is due, or the one named; None when there is none, or its job is running already.

    The lease is ours when the transaction commits, and must be renewed while the run lasts.
    """
    if connection.dialect.name != "sqlite":
        connection.execute(select(func.pg_advisory_xact_lock(_CLAIM_LOCK)))
    other = JOB_RUN.alias("other")
    same_job_runs = (
        select(other.c.id)
        .where(
            text("other.status IN ('ready', 'running')"),
            other.c.job == JOB_RUN.c.job,
            other.c.id != JOB_RUN.c.id,
            other.c.status == JobStatus.RUNNING,
            other.c.lease_until >= database_now(),
        )
        .exists()
    )
    due = select(JOB_RUN.c.id).where(_OPEN, _is_due(), ~same_job_runs)
    if run_id is not None:
        due = due.where(JOB_RUN.c.id == run_id)
    claimed = connection.execute(
        update(JOB_RUN)
        .where(JOB_RUN.c.id.in_(due.order_by(JOB_RUN.c.id).limit(1)))
        .values(
            status=JobStatus.RUNNING,
            attempts=JOB_RUN.c.attempts + 1,
            started_at=now,
            lease_token=lease_token,
            lease_until=database_now(plus=timedelta(seconds=seconds)),
        )
        .returning(JOB_RUN)
    ).first()
    return None if claimed is None else _job_run(claimed)


def renew_run(connection: Connection, run_id: int, *, lease_token: str, seconds: float) -> bool:
    """Extend the lease of a run that goes on; returns whether it still is ours."""
    renewed = connection.execute(
        update(JOB_RUN)
        .where(_is_ours(run_id, lease_token))
        .values(lease_until=database_now(plus=timedelta(seconds=seconds)))
    )
    return renewed.rowcount == 1


def end_run(
    connection: Connection,
    run_id: int,
    *,
    lease_token: str,
    status: JobStatus,
    outcome: str,
    now: datetime,
    pause: timedelta | None = None,
) -> bool:
    """Store how a run ended, if it still is ours: DONE, FAILED, or READY for another attempt after `pause`."""
    ended = connection.execute(
        update(JOB_RUN)
        .where(_is_ours(run_id, lease_token))
        .values(
            status=status,
            outcome=outcome,
            ended_at=None if status is JobStatus.READY else now,
            due_at=null() if pause is None else database_now(plus=pause),
            lease_token=null(),
            lease_until=null(),
        )
    )
    return ended.rowcount == 1


def newest_runs(connection: Connection, jobs: Sequence[str]) -> dict[str, JobRun]:
    """Return the newest run of each job that has one."""
    newest = [
        select(JOB_RUN.c.id).where(JOB_RUN.c.job == job).order_by(JOB_RUN.c.slot.desc()).limit(1).scalar_subquery()
        for job in jobs
    ]
    rows = connection.execute(select(JOB_RUN).where(or_(*(JOB_RUN.c.id == one for one in newest))))
    return {row.job: _job_run(row) for row in rows}


def newest_done(connection: Connection, job: str, *, before: str) -> str | None:
    """Return the newest slot of a job earlier than `before` that was carried out, None when none was."""
    return connection.execute(
        select(func.max(JOB_RUN.c.slot)).where(
            JOB_RUN.c.job == job, JOB_RUN.c.slot < before, JOB_RUN.c.status == JobStatus.DONE
        )
    ).scalar()


def find_run(connection: Connection, run_id: int) -> JobRun:
    """Return one run."""
    return _job_run(connection.execute(select(JOB_RUN).where(JOB_RUN.c.id == run_id)).one())


def _is_due() -> ColumnElement[bool]:
    return or_(
        and_(JOB_RUN.c.status == JobStatus.READY, or_(JOB_RUN.c.due_at.is_(None), JOB_RUN.c.due_at <= database_now())),
        and_(JOB_RUN.c.status == JobStatus.RUNNING, JOB_RUN.c.lease_until < database_now()),
    )


def _is_ours(run_id: int, lease_token: str) -> ColumnElement[bool]:
    return and_(JOB_RUN.c.id == run_id, JOB_RUN.c.lease_token == lease_token, JOB_RUN.c.status == JobStatus.RUNNING)


def _job_run(row: AnyRow) -> JobRun:
    return JobRun(
        id=row.id,
        job=row.job,
        slot=row.slot,
        status=JobStatus(row.status),
        attempts=row.attempts,
        created_at=row.created_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        outcome=row.outcome,
    )


def take_lease(connection: Connection, name: str, *, holder: str, seconds: float) -> bool:
    """Take or renew a lease; returns whether `holder` has it now. The database's clock alone decides.

    It is held before `until` and free from then on: SQLite's clock has milliseconds, and a lease may be given back and
    taken within the same one.
    """
    make = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    until = database_now(plus=timedelta(seconds=seconds))
    connection.execute(
        make(LEASE)
        .values(name=name, holder=holder, token=0, until=until)
        .on_conflict_do_nothing(index_elements=["name"])
    )
    renewed = connection.execute(
        update(LEASE)
        .where(LEASE.c.name == name, or_(LEASE.c.holder == holder, LEASE.c.until <= database_now()))
        .values(holder=holder, token=LEASE.c.token + 1, until=until)
    )
    return renewed.rowcount == 1


def release_lease(connection: Connection, name: str, *, holder: str) -> None:
    """Give a lease back at an orderly end, so that another process need not wait for it to run out."""
    connection.execute(update(LEASE).where(LEASE.c.name == name, LEASE.c.holder == holder).values(until=database_now()))


def simulated_time(connection: Connection) -> SimulatedTime | None:
    """Return the steered clock, or None when business time is real time."""
    row = connection.execute(select(SIMULATED_CLOCK.c.anchor, SIMULATED_CLOCK.c.epoch, SIMULATED_CLOCK.c.speed)).first()
    return None if row is None else SimulatedTime(anchor=row.anchor, epoch=row.epoch, speed=row.speed)


def set_simulated_time(connection: Connection, time: SimulatedTime) -> None:
    """Store the steered clock's values."""
    make = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    values = {"anchor": time.anchor, "epoch": time.epoch, "speed": time.speed}
    connection.execute(
        make(SIMULATED_CLOCK).values(id=1, **values).on_conflict_do_update(index_elements=["id"], set_=values)
    )


def real_now(connection: Connection) -> datetime:
    """Return the database's real clock."""
    return connection.execute(select(database_now())).scalar_one()
