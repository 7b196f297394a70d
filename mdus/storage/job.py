"""Rows of scheduled work, the leader lease, and the simulated clock's three values."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from mdus.domain.clock import SimulatedTime
from mdus.storage.column_types import UtcInstant, database_now
from mdus.storage.mapping import METADATA, Identity64

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
    Index("job_run_ready", "id", sqlite_where=text("status = 'ready'"), postgresql_where=text("status = 'ready'")),
)

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


def take_lease(connection: Connection, name: str, *, holder: str, seconds: float) -> bool:
    """Take or renew a lease; returns whether `holder` has it now. The database's clock alone decides."""
    make = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    until = database_now(plus=timedelta(seconds=seconds))
    connection.execute(
        make(LEASE)
        .values(name=name, holder=holder, token=0, until=until)
        .on_conflict_do_nothing(index_elements=["name"])
    )
    renewed = connection.execute(
        update(LEASE)
        .where(LEASE.c.name == name, or_(LEASE.c.holder == holder, LEASE.c.until < database_now()))
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
