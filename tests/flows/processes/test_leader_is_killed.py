"""Two worker processes and one leader lease: the holder is killed, and every slot is still run exactly once."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from mdus.domain.clock import SimulatedTime
from mdus.storage.job import JOB_RUN, LEASE, set_simulated_time, simulated_time
from mdus.storage.session import Database
from mdus.workers.clock import JOBS, LEADER, Daily
from tests.flows.processes.running import Mdus, is_running, mdus, until

#: Noon in Berlin, in the year the clocks change on the second day.
START = datetime(2031, 3, 28, 11, 0, tzinfo=UTC)
DAILY = sorted(name for name, job in JOBS.items() if isinstance(job.trigger, Daily))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url)
    with opened.begin() as uow:
        set_simulated_time(uow.connection, SimulatedTime(anchor=datetime.now(UTC), epoch=START, speed=1.0))
    yield opened
    opened.close()


def jump(database: Database, **span: float) -> datetime:
    """Move the clock forward and return the instant it shows then."""
    with database.begin() as uow:
        time = simulated_time(uow.connection)
        assert time is not None
        real = datetime.now(UTC)
        moved = time.steered(real=real, jump_to=time.at(real) + timedelta(**span))
        set_simulated_time(uow.connection, moved)
        return moved.epoch


def dates_done(database: Database, job: str) -> list[str]:
    with database.read() as uow:
        query = select(JOB_RUN.c.slot).where(JOB_RUN.c.job == job, JOB_RUN.c.status == "done", JOB_RUN.c.attempts > 0)
        return sorted(uow.connection.scalars(query))


def done_up_to(database: Database, day: str) -> bool:
    return all(day in dates_done(database, job) for job in DAILY)


def leader(database: Database, among: dict[int, Mdus]) -> int | None:
    """Return the process id of the lease's holder, once one of these processes has it."""
    with database.read() as uow:
        holder = uow.connection.execute(select(LEASE.c.holder).where(LEASE.c.name == LEADER)).scalar()
    pid = int(holder.rpartition(":")[2]) if holder else None
    return pid if pid in among else None


def test_each_slot_is_run_exactly_once(database: Database, tmp_path: Path) -> None:
    settings = {"MDUS_DATABASE__URL": database.url.render_as_string(hide_password=False)}
    with (
        mdus("work", "--simulated-clock", folder=tmp_path, name="one", **settings) as one,
        mdus("work", "--simulated-clock", folder=tmp_path, name="two", **settings) as two,
    ):
        workers = {worker.process.pid: worker for worker in (one, two)}
        first = until(lambda: leader(database, workers), what="a leader")
        until(lambda: len(rows(database)) >= len(JOBS), what="the jobs to begin")
        day = jump(database, days=1)
        until(lambda: done_up_to(database, f"{day:%Y-%m-%d}"), what="the slots of the first day")

        jump(database, days=1)
        os.kill(first, signal.SIGKILL)
        workers.pop(first).process.wait()
        assert not is_running(first)
        for _ in range(3):  # days nobody enqueues
            day = jump(database, days=1)
        second = until(lambda: leader(database, workers), what="another leader")
        assert second != first
        until(lambda: done_up_to(database, f"{day:%Y-%m-%d}"), what="the slots missed meanwhile")

        day = jump(database, days=1)
        until(lambda: done_up_to(database, f"{day:%Y-%m-%d}"), what="the slots of the last day")
        until(lambda: all(row.status in ("done", "failed") for row in rows(database)), what="every run to end")
        assert workers[second].end() == 0

    expected = [f"{START + timedelta(days=number):%Y-%m-%d}" for number in range(1, 7)]
    assert {job: dates_done(database, job) for job in DAILY} == dict.fromkeys(DAILY, expected)
    ran = Counter((event["job"], event["slot"]) for worker in (one, two) for event in worker.events("job_done"))
    assert {run: times for run, times in ran.items() if times != 1} == {}
    assert all(row.status == "done" for row in rows(database))


def rows(database: Database) -> list[Any]:
    with database.read() as uow:
        return list(uow.connection.execute(select(JOB_RUN)))
