"""Running jobs: a run is carried out once, tried again when it fails, taken over only from the dead."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from mdus.messaging.retry import RetryPolicy
from mdus.storage import job as jobs
from mdus.storage.column_types import database_now
from mdus.storage.facts import EXCEPTION_CASE
from mdus.storage.job import JOB_RUN, JobStatus
from mdus.storage.session import Database
from mdus.workers.clock import Job, Slot, Sweep
from mdus.workers.job_runner import FAILED_JOB, JobRunner
from tests.unit.workers.clocks import SetClock
from tests.unit.workers.scripted import rows_of

NOON = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)
SLOT = "2026-03-28T12:00:00Z"
LATER = "2026-03-28T12:15:00Z"
TABLE = {name: Job(name=name, trigger=Sweep(every=timedelta(minutes=15)), what="works") for name in ("work", "other")}


class Defect(Exception):
    """Something is wrong with the job."""


def runner(database: Database, body: Callable[[Slot], str], *, attempts: int = 3) -> JobRunner:
    return JobRunner(
        database=database,
        clock=SetClock(NOON),
        zone="Europe/Berlin",
        bodies={"work": body, "other": body},
        table=TABLE,
        retry=RetryPolicy(base=timedelta(), cap=timedelta(), attempts=attempts),
    )


def enqueue(database: Database, *slots: tuple[str, str]) -> None:
    with database.begin() as uow:
        jobs.enqueue(uow.connection, slots, now=NOON)


def the_run(database: Database, slot: str = SLOT) -> tuple[str, int, str | None]:
    (row,) = [row for row in rows_of(database, JOB_RUN) if row.slot == slot]
    return row.status, row.attempts, row.outcome


class TestTurn:
    def test_carries_out_what_is_enqueued_and_stores_what_it_did(self, database: Database) -> None:
        slots: list[Slot] = []

        def body(slot: Slot) -> str:
            slots.append(slot)
            return "did it"

        enqueue(database, ("work", SLOT))
        assert runner(database, body).turn() == 1
        assert the_run(database) == ("done", 1, "did it")
        assert slots[0].at == NOON

    def test_has_nothing_to_do_without_a_run(self, database: Database) -> None:
        assert runner(database, lambda _: "never").turn() == 0

    def test_does_not_carry_out_a_run_twice(self, database: Database) -> None:
        enqueue(database, ("work", SLOT))
        enqueue(database, ("work", SLOT))
        mine = runner(database, lambda _: "did it")
        assert [mine.turn(), mine.turn()] == [1, 0]

    def test_tries_a_failed_run_again(self, database: Database) -> None:
        answers = iter([Defect("not now")])

        def body(_: Slot) -> str:
            for error in answers:
                raise error
            return "did it"

        enqueue(database, ("work", SLOT))
        mine = runner(database, body)
        mine.turn()
        assert the_run(database) == ("ready", 1, "Defect: not now")
        mine.turn()
        assert the_run(database) == ("done", 2, "did it")

    def test_shows_a_run_that_failed_for_good(self, database: Database) -> None:
        def body(_: Slot) -> str:
            raise Defect("never")

        enqueue(database, ("work", SLOT))
        mine = runner(database, body, attempts=2)
        mine.turn()
        assert rows_of(database, EXCEPTION_CASE.table) == []
        mine.turn()
        assert the_run(database) == ("failed", 2, "Defect: never")
        (case,) = rows_of(database, EXCEPTION_CASE.table)
        assert (case.kind, case.case_key, case.closed_at) == (FAILED_JOB, "work", None)
        assert mine.turn() == 0

    def test_next_good_run_closes_the_case(self, database: Database) -> None:
        fails = True

        def body(_: Slot) -> str:
            if fails:
                raise Defect("never")
            return "did it"

        enqueue(database, ("work", SLOT), ("work", LATER))
        mine = runner(database, body, attempts=1)
        mine.turn()
        fails = False
        mine.turn()
        (case,) = rows_of(database, EXCEPTION_CASE.table)
        assert case.closed_at == NOON

    def test_run_of_an_unknown_job_fails_visibly(self, database: Database) -> None:
        enqueue(database, ("gone", SLOT))
        runner(database, lambda _: "never").turn()
        assert the_run(database)[0] == "failed"


class TestLease:
    def test_runs_of_one_job_do_not_overlap(self, database: Database) -> None:
        enqueue(database, ("work", SLOT), ("work", LATER), ("other", SLOT))
        taken: list[int] = []

        def body(slot: Slot) -> str:
            if slot.text == SLOT and not taken:
                taken.append(runner(database, lambda _: "meanwhile").turn())
                taken.append(runner(database, lambda _: "meanwhile").turn())
            return "did it"

        runner(database, body).turn()
        statuses = {(row.job, row.slot): row.status for row in rows_of(database, JOB_RUN)}
        assert taken == [1, 0]
        assert statuses == {("work", SLOT): "done", ("other", SLOT): "done", ("work", LATER): "ready"}

    def test_run_of_a_dead_process_is_taken_over(self, database: Database) -> None:
        enqueue(database, ("work", SLOT))
        with database.begin() as uow:
            claimed = jobs.claim_run(uow.connection, lease_token="dead", seconds=-1, now=NOON)
        assert claimed is not None
        assert runner(database, lambda _: "did it").turn() == 1
        assert the_run(database) == ("done", 2, "did it")

    def test_run_in_hand_is_left_alone(self, database: Database) -> None:
        enqueue(database, ("work", SLOT))
        with database.begin() as uow:
            jobs.claim_run(uow.connection, lease_token="alive", seconds=60, now=NOON)
        assert runner(database, lambda _: "did it").turn() == 0

    def test_outcome_of_a_run_taken_over_is_not_stored(self, database: Database) -> None:
        def body(_: Slot) -> str:
            with database.begin() as uow:
                uow.connection.execute(update(JOB_RUN).values(lease_token="another"))
            return "too late"

        enqueue(database, ("work", SLOT))
        runner(database, body).turn()
        assert the_run(database) == ("running", 1, None)

    def test_is_renewed_while_the_body_runs(self, database: Database) -> None:
        enqueue(database, ("work", SLOT))
        renewed = threading.Event()

        def body(_: Slot) -> str:
            # Run out by hand: only the renewal brings the lease back.
            with database.begin() as uow:
                uow.connection.execute(update(JOB_RUN).values(lease_until=database_now(plus=timedelta(seconds=-60))))
            for _ in range(500):
                with database.read() as uow:
                    if not jobs.has_open_run(uow.connection):
                        renewed.set()
                        break
                threading.Event().wait(0.01)
            return "did it"

        mine = JobRunner(
            database=database,
            clock=SetClock(NOON),
            zone="Europe/Berlin",
            bodies={"work": body},
            table=TABLE,
            lease_seconds=0.3,
        )
        mine.turn()
        assert renewed.is_set()
        assert the_run(database)[0] == "done"


class TestRunAgain:
    @pytest.mark.parametrize("status", [JobStatus.DONE, JobStatus.FAILED], ids=str)
    def test_makes_an_ended_run_ready(self, database: Database, status: JobStatus) -> None:
        enqueue(database, ("work", SLOT))
        with database.begin() as uow:
            uow.connection.execute(update(JOB_RUN).values(status=status, attempts=4, outcome="before"))
            jobs.run_again(uow.connection, "work", SLOT, now=NOON)
        assert the_run(database) == ("ready", 0, None)

    def test_leaves_a_run_under_way(self, database: Database) -> None:
        enqueue(database, ("work", SLOT))
        with database.begin() as uow:
            jobs.claim_run(uow.connection, lease_token="alive", seconds=60, now=NOON)
            jobs.run_again(uow.connection, "work", SLOT, now=NOON)
        assert the_run(database)[0] == "running"
