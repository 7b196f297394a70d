"""Slots and the scheduler: which slots have passed, each enqueued once, whoever leads."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from mdus.storage.job import JOB_RUN
from mdus.storage.session import Database
from mdus.workers.clock import CATCH_UP, JOBS, Daily, Job, Scheduler, Sweep, next_due
from tests.unit.workers.clocks import SetClock
from tests.unit.workers.scripted import rows_of

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

SWEEP = Sweep(every=timedelta(minutes=15))
NIGHTLY = Daily(at=time(4, 0))
TABLE = (
    Job(name="sweep", trigger=SWEEP, what="looks now and then"),
    Job(name="nightly", trigger=NIGHTLY, what="looks once a day"),
)


class Real:
    """The real clock of a scheduler, moved by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def texts(slots: object) -> list[str]:
    return [slot.text for slot in slots]  # type: ignore[attr-defined]


class TestSweep:
    @pytest.mark.parametrize(
        ("now", "newest"),
        [
            pytest.param(NOON, "2026-03-28T12:00:00Z", id="at the slot"),
            pytest.param(NOON - MICROSECOND, "2026-03-28T11:45:00Z", id="just before it"),
            pytest.param(NOON + MICROSECOND, "2026-03-28T12:00:00Z", id="just after it"),
        ],
    )
    def test_names_the_newest_slot_that_has_passed(self, now: datetime, newest: str) -> None:
        assert texts(SWEEP.missed(after=None, now=now, zone=BERLIN)) == [newest]

    def test_catches_up_the_newest_of_many_missed_slots_only(self) -> None:
        missed = SWEEP.missed(after="2026-01-01T00:00:00Z", now=NOON, zone=BERLIN)
        assert texts(missed) == ["2026-03-28T12:00:00Z"]

    def test_names_nothing_when_the_newest_is_known(self) -> None:
        assert SWEEP.missed(after="2026-03-28T12:00:00Z", now=NOON + timedelta(minutes=14), zone=BERLIN) == ()

    def test_next_slot_is_after_now(self) -> None:
        assert SWEEP.next(now=NOON, zone=BERLIN).at == NOON + timedelta(minutes=15)
        assert SWEEP.next(now=NOON - MICROSECOND, zone=BERLIN).at == NOON

    def test_stored_key_names_its_slot_again(self) -> None:
        slot = SWEEP.next(now=NOON, zone=BERLIN)
        assert SWEEP.slot(slot.text, BERLIN) == slot


class TestDaily:
    def test_slot_is_a_business_date_of_the_installation(self) -> None:
        # 02:30 UTC is half past three in Berlin: the slot of that day is still to come.
        missed = NIGHTLY.missed(after="2026-03-26", now=datetime(2026, 3, 28, 2, 30, tzinfo=UTC), zone=BERLIN)
        assert texts(missed) == ["2026-03-27"]

    @pytest.mark.parametrize(
        ("now", "found"),
        [
            pytest.param(datetime(2026, 3, 28, 3, 0, tzinfo=UTC), ["2026-03-28"], id="at the slot"),
            pytest.param(datetime(2026, 3, 28, 3, 0, tzinfo=UTC) - MICROSECOND, [], id="just before it"),
        ],
    )
    def test_slot_passes_at_its_local_time(self, now: datetime, found: list[str]) -> None:
        assert texts(NIGHTLY.missed(after="2026-03-27", now=now, zone=BERLIN)) == found

    @pytest.mark.parametrize(
        ("day", "at"),
        [
            pytest.param(date(2026, 3, 29), datetime(2026, 3, 29, 2, 0, tzinfo=UTC), id="day of 23 hours"),
            pytest.param(date(2026, 10, 25), datetime(2026, 10, 25, 3, 0, tzinfo=UTC), id="day of 25 hours"),
        ],
    )
    def test_changes_with_daylight_saving(self, day: date, at: datetime) -> None:
        assert NIGHTLY.on(day, BERLIN).at == at
        assert NIGHTLY.next(now=at - MICROSECOND, zone=BERLIN).at == at

    @pytest.mark.parametrize("at", [time(1, 30), time(2, 30), time(4, 0)], ids=str)
    @pytest.mark.parametrize(
        "first", [pytest.param(date(2026, 3, 27), id="spring"), pytest.param(date(2026, 10, 23), id="autumn")]
    )
    def test_has_each_date_once_over_a_change(self, at: time, first: date) -> None:
        trigger = Daily(at=at)
        now = datetime.combine(first + timedelta(days=5), time(12), UTC)
        missed = trigger.missed(after=first.isoformat(), now=now, zone=BERLIN)
        assert [slot.on for slot in missed] == [first + timedelta(days=day) for day in range(1, 6)]

    def test_catches_up_every_missed_date_oldest_first(self) -> None:
        assert texts(NIGHTLY.missed(after="2026-03-24", now=NOON, zone=BERLIN)) == [
            "2026-03-25",
            "2026-03-26",
            "2026-03-27",
            "2026-03-28",
        ]

    def test_does_not_reach_back_beyond_its_bound(self) -> None:
        missed = NIGHTLY.missed(after="2025-01-01", now=NOON, zone=BERLIN)
        assert len(missed) == CATCH_UP.days
        assert missed[-1].text == "2026-03-28"

    def test_without_a_past_names_the_newest_only(self) -> None:
        assert texts(NIGHTLY.missed(after=None, now=NOON, zone=BERLIN)) == ["2026-03-28"]


class TestScheduler:
    def scheduler(
        self, database: Database, clock: SetClock, *, holder: str = "one", real: Real | None = None
    ) -> Scheduler:
        return Scheduler(
            database=database,
            clock=clock,
            zone="Europe/Berlin",
            holder=holder,
            table=TABLE,
            monotonic=real or Real(),
            lease_seconds=60.0,
        )

    def runs(self, database: Database) -> list[tuple[str, str, str]]:
        return [(row.job, row.slot, row.status) for row in rows_of(database, JOB_RUN)]

    def begun(self, database: Database, clock: SetClock, real: Real | None = None) -> Scheduler:
        scheduler = self.scheduler(database, clock, real=real)
        scheduler.turn()
        return scheduler

    def test_begins_with_the_slots_after_the_first_start(self, database: Database) -> None:
        clock = SetClock(NOON)
        assert self.scheduler(database, clock).turn() == 0
        assert {status for _, _, status in self.runs(database)} == {"done"}

    def test_enqueues_each_slot_that_passes_once(self, database: Database) -> None:
        clock = SetClock(NOON)
        scheduler = self.begun(database, clock)
        clock.present = NOON + timedelta(minutes=15)
        assert scheduler.turn() == 1
        assert scheduler.turn() == 0
        assert self.runs(database)[-1] == ("sweep", "2026-03-28T12:15:00Z", "ready")

    def test_catches_up_over_a_jump_of_the_clock(self, database: Database) -> None:
        clock = SetClock(NOON)
        scheduler = self.begun(database, clock)
        clock.present = NOON + timedelta(days=3)
        assert scheduler.turn() == 4
        assert [slot for job, slot, _ in self.runs(database) if job == "nightly"] == [
            "2026-03-28",
            "2026-03-29",
            "2026-03-30",
            "2026-03-31",
        ]

    def test_catches_up_after_a_time_without_any_process(self, database: Database) -> None:
        clock = SetClock(NOON)
        self.begun(database, clock).close()
        clock.present = NOON + timedelta(days=2)
        assert self.scheduler(database, clock, holder="two").turn() == 3

    def test_only_the_holder_of_the_lease_enqueues(self, database: Database) -> None:
        clock = SetClock(NOON)
        self.begun(database, clock)
        clock.present = NOON + timedelta(hours=1)
        assert self.scheduler(database, clock, holder="two").turn() == 0

    def test_another_leads_at_once_after_an_orderly_end(self, database: Database) -> None:
        clock = SetClock(NOON)
        self.begun(database, clock).close()
        clock.present = NOON + timedelta(hours=1)
        assert self.scheduler(database, clock, holder="two").turn() == 1

    def test_two_that_both_believe_to_lead_insert_each_slot_once(self, database: Database) -> None:
        clock = SetClock(NOON)
        real = Real()
        paused = self.begun(database, clock, real)
        paused.close()
        paused._leads = True  # as if it had been stopped in the middle of a turn, and its lease run out meanwhile
        clock.present = NOON + timedelta(minutes=15)
        assert self.scheduler(database, clock, holder="two").turn() == 1
        assert paused.turn() == 0
        assert len([slot for job, slot, _ in self.runs(database) if job == "sweep"]) == 2


class TestNextDue:
    def due(self, database: Database, now: datetime) -> datetime | None:
        with database.read() as uow:
            return next_due(uow.connection, now=now, zone=BERLIN)

    def scheduler(self, database: Database, clock: SetClock) -> Scheduler:
        return Scheduler(database=database, clock=clock, zone="Europe/Berlin", holder="one", monotonic=Real())

    def test_is_the_next_date_of_a_daily_job(self, database: Database) -> None:
        self.scheduler(database, SetClock(NOON)).turn()
        assert self.due(database, NOON) == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)

    def test_holds_the_clock_until_a_passed_date_is_enqueued(self, database: Database) -> None:
        clock = SetClock(NOON)
        scheduler = self.scheduler(database, clock)
        scheduler.turn()
        clock.present = NOON + timedelta(days=1)
        due = self.due(database, clock.present)
        assert due is not None
        assert due <= clock.present

    def test_holds_the_clock_while_a_run_is_open(self, database: Database) -> None:
        clock = SetClock(NOON)
        scheduler = self.scheduler(database, clock)
        scheduler.turn()
        clock.present = NOON + timedelta(hours=1)
        assert scheduler.turn() > 0
        assert self.due(database, clock.present) == clock.present


class TestTable:
    @pytest.mark.parametrize("name", ["due_readings", "command_timeouts", "confirmation_watch", "head_end_poll"])
    def test_has_the_sweeps(self, name: str) -> None:
        assert isinstance(JOBS[name].trigger, Sweep)

    @pytest.mark.parametrize("name", ["registry_sync", "reconcile"])
    def test_has_the_nightly_comparisons(self, name: str) -> None:
        assert isinstance(JOBS[name].trigger, Daily)
