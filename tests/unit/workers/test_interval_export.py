"""The job that hands values of profiles to SAP: one profile at fault costs no other, and it says what it did."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from mdus.domain.exception_case import ExceptionCase
from mdus.domain.interval_block import Layer
from mdus.domain.time_series_upload import TimeSeriesLook, TimeSeriesUpload
from mdus.storage.interval_block import INTERVAL_BLOCK
from mdus.storage.job import enqueue
from mdus.workers import interval_export
from mdus.workers.clock import JOBS, Daily, next_due
from tests.flows.profiles.day_of_values import CUT_OFF, MIDNIGHT, day_of
from tests.flows.profiles.metering import CREATE, Metering, role

PROFILES = [f"{number:018d}" for number in range(1, 6)]


@pytest.fixture
def metering(database_url: str, tmp_path: Path) -> Iterator[Metering]:
    made = Metering(database_url, tmp_path, now=MIDNIGHT, MDUS_INTERVALS__BACKFILL_DAYS="1")
    yield made
    made.close()


def assigned(metering: Metering) -> None:
    for profile in PROFILES:
        metering.meter(profile, task=profile)
        metering.assign(role(task=profile), profile=profile)
        metering.deliver(MIDNIGHT, day_of(), device=profile)


class TestAProfileAtFault:
    def test_is_shown_and_costs_no_other(self, metering: Metering, monkeypatch: pytest.MonkeyPatch) -> None:
        assigned(metering)
        take = interval_export.looked_at

        def fails(there: Any, *arguments: Any, **facts: Any) -> Any:
            if there.look.time_series_id == PROFILES[2] and there.day.start == MIDNIGHT:
                raise ZeroDivisionError("of ours")
            return take(there, *arguments, **facts)

        monkeypatch.setattr(interval_export, "looked_at", fails)
        done = metering.export(at=CUT_OFF)
        assert done.endswith("1 failed")
        sent = {profile: len(metering.sent(CREATE, profile=profile)) for profile in PROFILES}
        assert sent == {profile: 0 if profile == PROFILES[2] else 96 for profile in PROFILES}
        [case] = metering.all(ExceptionCase)
        assert (case.kind, case.note) == ("profile_look_failed", "ZeroDivisionError: of ours")
        [later] = [each for each in metering.all(TimeSeriesLook) if each.day.day == 27]
        assert later.due_at == CUT_OFF + timedelta(days=1)

        monkeypatch.setattr(interval_export, "looked_at", take)
        metering.export(at=later.due_at - timedelta(seconds=1))
        assert [each.closed_at for each in metering.all(ExceptionCase) if each.kind == case.kind] == [None]
        metering.export(at=later.due_at)
        assert [each.closed_at for each in metering.all(ExceptionCase) if each.kind == case.kind] == [later.due_at]


class TestARun:
    def test_says_what_it_did(self, metering: Metering) -> None:
        assigned(metering)
        assert metering.export(at=CUT_OFF).startswith("15 profile days looked at: 480 values to create, 0 to change")
        metering.confirm()
        metering.deliver(MIDNIGHT, ["0.5"], device=PROFILES[0])
        done = metering.export(at=CUT_OFF + timedelta(minutes=10))
        assert done == (
            "1 profile days looked at: 0 values to create, 1 to change; 1 of them for values that came late or changed"
        )

    def test_that_is_cut_off_is_taken_up_by_the_next(self, metering: Metering, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each batch is a transaction: what is stored is sent once, what is not is looked at again."""
        assigned(metering)
        save = interval_export.UnitOfWork.save

        def breaks_off(uow: Any, changes: Any) -> None:
            if any(isinstance(change, TimeSeriesUpload) for change in changes):
                raise KeyboardInterrupt
            save(uow, changes)

        with monkeypatch.context() as patched:
            patched.setattr(interval_export.UnitOfWork, "save", breaks_off)
            with pytest.raises(KeyboardInterrupt):
                metering.export(at=CUT_OFF)
        assert metering.all(TimeSeriesUpload) == []
        metering.export(at=CUT_OFF + timedelta(minutes=5))
        assert all(len(metering.sent(CREATE, profile=profile)) == 96 for profile in PROFILES)

    def test_finds_nothing_of_a_channel_that_no_profile_has(self, metering: Metering) -> None:
        metering.meter()
        metering.deliver(MIDNIGHT, day_of())
        metering.clock.instant = CUT_OFF + timedelta(days=3)
        metering.deliver(MIDNIGHT, ["0.5"])
        assert metering.export() == "0 profile days looked at: 0 values to create, 0 to change"

    def test_marks_as_used_only_what_is_settled(self, metering: Metering) -> None:
        metering.meter()
        metering.assign(role())
        metering.deliver(MIDNIGHT, day_of(95))
        metering.export(at=CUT_OFF)
        assert finals_used(metering) == [False]
        metering.export(at=CUT_OFF + timedelta(days=1))
        assert finals_used(metering) == [True]


def finals_used(metering: Metering) -> list[bool]:
    return [block.used for block in metering.mdus.rows(INTERVAL_BLOCK) if block.layer is Layer.FINAL]


class TestASteeredClock:
    def test_does_not_jump_over_the_slot_at_which_a_profile_is_looked_at(self, metering: Metering) -> None:
        zone, slot = ZoneInfo("Europe/Berlin"), MIDNIGHT + timedelta(minutes=5)
        daily = [job for job in JOBS.values() if isinstance(job.trigger, Daily)]
        begun = [(job.name, job.trigger.missed(after=None, now=MIDNIGHT, zone=zone)[0].text) for job in daily]
        look = TimeSeriesLook(
            sender_system="P11", time_series_id="1", day=MIDNIGHT.date(), due_at=slot - timedelta(minutes=3)
        )
        with metering.database.begin() as uow:
            enqueue(uow.connection, begun, now=MIDNIGHT, outcome="begins after this slot")
            without = next_due(uow.connection, now=MIDNIGHT, zone=zone)
            assert without is not None
            assert without > MIDNIGHT + timedelta(hours=1)
            uow.save([look])
            assert next_due(uow.connection, now=MIDNIGHT, zone=zone) == slot
            # The run of that slot is over, and the look came after it.
            assert next_due(uow.connection, now=slot, zone=zone) == slot + timedelta(minutes=5)
