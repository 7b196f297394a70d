"""The job `interval_export`: hands interval values of profiles to SAP, when they are due and when they have changed.

One run: what was written anew since the last one makes its profile days due; what SAP has not answered goes again; then
all days that are due are looked at, a batch and a transaction at a time, with a bounded number of statements:

```
claim due days -> assignments, registers, channels, devices -> blocks, what SAP has -> looked_at (pure) -> save
```

The messages are made by the outbox from the uploads that are stored here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Final

import structlog

from mdus.domain.channel import Channel
from mdus.domain.end_device import EndDevice, EndDeviceStatus
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.interval_block import IntervalBlock, Layer
from mdus.domain.interval_export import Background, Looked, Prepared, case_key, looked_at, prepared
from mdus.domain.register import Register
from mdus.domain.time_series import ChannelDay, DeviceKey, Sources, TimeSeriesAssignment, channel_days
from mdus.domain.time_series_policy import TimeSeriesPolicy
from mdus.domain.time_series_upload import (
    VALUES_MISSING,
    VALUES_UNCONFIRMED,
    TimeSeriesDay,
    TimeSeriesLook,
    UploadStatus,
)
from mdus.domain.value import Remove
from mdus.messaging.outcome import Change
from mdus.services.time_series_item_change import SERVICE as CHANGE
from mdus.services.time_series_item_create import SERVICE as CREATE
from mdus.settings import Settings
from mdus.storage import outbox
from mdus.storage import time_series as profiles
from mdus.storage.exception_case import close_rare
from mdus.storage.interval_block import current_blocks, revised_days
from mdus.storage.session import Database, UnitOfWork, is_collision
from mdus.workers.inbox import zone_of

log = structlog.get_logger(__name__)

#: The kind of case of a day that cannot be looked at: a defect of ours.
LOOK_FAILED: Final = "profile_look_failed"

#: Days looked at in one transaction; with 96 values each it takes some 50 ms.
_AT_ONCE: Final = 100
#: Revised days read in one statement.
_PAGE: Final = 5000
#: Silent uploads seen to in one transaction.
_SILENT_AT_ONCE: Final = 1000

#: Blocks are stamped before their transaction ends: what the run before may not have seen yet.
_OVERLAP: Final = timedelta(minutes=10)
_AGAIN_AFTER: Final = timedelta(days=1)

ProfileKey = tuple[str, str]  # sender system, profile
TaskKey = tuple[str, str]  # sender system, logical register number


@dataclass(kw_only=True, slots=True)
class Run:
    """What a run did, for the list of jobs."""

    revised: int = 0
    sent_again: int = 0
    unanswered: int = 0
    looks: int = 0
    created: int = 0
    changed: int = 0
    failed: int = 0

    def __str__(self) -> str:
        parts = [f"{self.looks} profile days looked at: {self.created} values to create, {self.changed} to change"]
        parts += [f"{self.revised} of them for values that came late or changed"] if self.revised else []
        parts += [f"{self.sent_again} messages sent again"] if self.sent_again else []
        parts += [f"{self.unanswered} uploads never answered"] if self.unanswered else []
        parts += [f"{self.failed} failed"] if self.failed else []
        return "; ".join(parts)


def run(
    database: Database, *, settings: Settings, now: datetime, since: datetime, refused_on: date | None = None
) -> str:
    """Look at all profile days that are due; returns what was done.

    `since` is the instant of the last run. With `refused_on` also values of that day are made anew that SAP has refused
    for good: the run of a business date, by hand.
    """
    policy, done = TimeSeriesPolicy.of(settings), Run()
    if refused_on is not None:
        with database.begin() as uow:
            profiles.try_refused(uow.connection, refused_on, now=now)
    _mark_revised(database, policy, done, now=now, since=since - _OVERLAP)
    _see_to_silence(database, policy, done, now=now)
    while True:
        with database.begin() as uow:
            looks = _oldest(profiles.due_looks(uow.connection, now=now, limit=_AT_ONCE))
            _look(uow, looks, policy, done, now=now)
        if not looks:
            return str(done)
        done.looks += len(looks)


# -- what makes days due ----------------------------------------------------------------------------------------------


def _mark_revised(database: Database, policy: TimeSeriesPolicy, done: Run, *, now: datetime, since: datetime) -> None:
    """Make the profile days due whose values were written anew after somebody had acted on them."""
    after = 0
    while True:
        with database.begin() as uow:
            page = revised_days(uow.connection, since=since, after=after, limit=_PAGE)
            recent = [(channel, day) for _, channel, day in page if day >= (now - policy.backfill).date()]
            looks = _looks_at(uow, recent, policy, now=now)
            profiles.look_by(uow.connection, looks)
        done.revised += len(looks)
        if len(page) < _PAGE:
            return
        after = page[-1][0]


def _looks_at(
    uow: UnitOfWork, days: Sequence[ChannelDay], policy: TimeSeriesPolicy, *, now: datetime
) -> list[TimeSeriesLook]:
    """Return a look at each day of a profile that days of channels may be a part of."""
    devices = {(channel.sender_system, channel.device_id) for channel, _ in days}
    tasks: dict[tuple[DeviceKey, str], set[TaskKey]] = defaultdict(set)
    for register in uow.load(Register, EndDevice.KEY, devices, lock=False):
        for reading_type in policy.interval_types(register):
            device = (register.sender_system, register.device_id)
            tasks[device, reading_type].add((register.sender_system, register.measurement_task_id))
    named = {task for some in tasks.values() for task in some}
    by_task: dict[TaskKey, set[str]] = defaultdict(set)
    for assignment in uow.load(TimeSeriesAssignment, ("sender_system", "measurement_task_id"), named, lock=False):
        by_task[assignment.sender_system, assignment.measurement_task_id].add(assignment.time_series_id)
    found = {
        (sender_system, profile, day)
        for channel, day in days
        for sender_system, task in tasks[(channel.sender_system, channel.device_id), channel.reading_type]
        for profile in by_task[sender_system, task]
    }
    return [
        TimeSeriesLook(sender_system=sender_system, time_series_id=profile, day=day, due_at=now)
        for sender_system, profile, day in sorted(found)
    ]


def _see_to_silence(database: Database, policy: TimeSeriesPolicy, done: Run, *, now: datetime) -> None:
    """Send messages again that SAP has not answered, the same bytes: it may have them. At last a human must look."""
    with database.begin() as uow:
        silent = profiles.silent_uploads(
            uow.connection,
            services=[CREATE.name, CHANGE.name],
            sent_before=now - policy.confirmation_timeout,
            limit=_SILENT_AT_ONCE,
        )
        again = {one.message_id for one in silent if one.message_id and one.upload.attempts < policy.send_attempts}
        changes: list[Change] = []
        for upload, message_id in silent:
            if message_id in again:
                changes.append(replace(upload, attempts=upload.attempts + 1))
                continue
            note = f"SAP has not answered values of profile {upload.time_series_id} of {upload.day}"
            key = case_key(upload.sender_system, upload.time_series_id, upload.day)
            changes.append(replace(upload, status=UploadStatus.UNANSWERED, note=note))
            changes.append(ExceptionCase(kind=VALUES_UNCONFIRMED, case_key=key, opened_at=now, note=note))
            done.unanswered += 1
        outbox.send_again(uow.connection, again, note="SAP has not answered", now=now)
        uow.save(changes)
    done.sent_again += len(again)


# -- looking ----------------------------------------------------------------------------------------------------------


def _oldest(looks: Iterable[TimeSeriesLook]) -> list[TimeSeriesLook]:
    """Return of each profile the oldest day: looking at it may make the next one due."""
    found: dict[ProfileKey, TimeSeriesLook] = {}
    for look in sorted(looks, key=lambda each: each.day):
        found.setdefault((look.sender_system, look.time_series_id), look)
    return list(found.values())


def _look(
    uow: UnitOfWork, looks: Sequence[TimeSeriesLook], policy: TimeSeriesPolicy, done: Run, *, now: datetime
) -> None:
    """Look at a batch of days; when that fails, halve it until the day at fault stands alone."""
    if not looks:
        return
    savepoint = uow.connection.begin_nested()
    try:
        results = _looked_at(uow, looks, policy, now=now)
    except Exception as error:  # the worker loop: the other profiles go on
        if is_collision(error):
            raise  # no day is at fault: the run is taken again
        savepoint.rollback()
        if len(looks) > 1:
            middle = len(looks) // 2
            _look(uow, looks[:middle], policy, done, now=now)
            _look(uow, looks[middle:], policy, done, now=now)
            return
        _note_defect(uow, looks[0], error, now=now)
        done.failed += 1
        return
    savepoint.commit()
    done.created += sum(result.created for result in results)
    done.changed += sum(result.changed for result in results)


def _note_defect(uow: UnitOfWork, look: TimeSeriesLook, error: Exception, *, now: datetime) -> None:
    log.exception("profile_look_failed", time_series=look.time_series_id, day=str(look.day))
    note = f"{type(error).__name__}: {error}"[:500]
    key = case_key(*look.key)  # type: ignore[arg-type]
    case = ExceptionCase(kind=LOOK_FAILED, case_key=key, opened_at=now, note=note)
    uow.save([replace(look, due_at=now + _AGAIN_AFTER), case])


def _looked_at(
    uow: UnitOfWork, looks: Sequence[TimeSeriesLook], policy: TimeSeriesPolicy, *, now: datetime
) -> list[Looked]:
    """Take a look at each of the days and store what it leads to."""
    prepared_looks, changes = _prepared(uow, looks, policy, now=now)
    days = [there.look.key for there in prepared_looks]
    parts = [channel_days(there.segments, there.day) for there in prepared_looks]
    # Held until the end: what is marked as used must be what was seen.
    blocks = _newest(uow, {pair for some in parts for pair in some})
    qualities = uow.quality_sets(blocks.values())
    held = _unregistered(uow, prepared_looks)
    devices = {(each.sender_system, each.device_id): each for each in _devices(uow, prepared_looks)}
    told = {day.key: day for day in uow.load(TimeSeriesDay, TimeSeriesDay.KEY, days)}
    under_way = profiles.days_under_way(uow.connection, days)  # type: ignore[arg-type]
    numbers = profiles.newest_numbers(uow.connection, {key[:2] for key in days})  # type: ignore[misc]
    cases = _cases(uow, prepared_looks)
    results, used = [], []
    for there, pairs in zip(prepared_looks, parts, strict=True):
        look = there.look
        profile = (look.sender_system, look.time_series_id)
        background = Background(
            told=told.get(look.key),
            is_under_way=look.key in under_way,
            next_number=numbers.get(profile, 0) + 1,
            case=cases.get(case_key(*profile, look.day)),
        )
        result = looked_at(
            there, blocks, background, qualities=qualities, held=held, devices=devices, policy=policy, now=now
        )
        numbers[profile] = numbers.get(profile, 0) + result.uploads
        changes += result.changes
        if result.is_settled:
            used += [blocks[pair] for pair in pairs if pair in blocks and not blocks[pair].used]
        results.append(result)
    uow.note_used(used)
    uow.save(changes)
    close_rare(uow, LOOK_FAILED, (case_key(*look.key) for look in looks), now)  # type: ignore[arg-type]
    return results


def _prepared(
    uow: UnitOfWork, looks: Sequence[TimeSeriesLook], policy: TimeSeriesPolicy, *, now: datetime
) -> tuple[list[Prepared], list[Change]]:
    """Return the looks with what feeds their profiles; of those that nothing feeds only what follows."""
    assignments: dict[ProfileKey, list[TimeSeriesAssignment]] = defaultdict(list)
    profile = ("sender_system", "time_series_id")
    keys = {(look.sender_system, look.time_series_id) for look in looks}
    for assignment in uow.load(TimeSeriesAssignment, profile, keys, lock=False):
        assignments[assignment.sender_system, assignment.time_series_id].append(assignment)
    some = [each for of_profile in assignments.values() for each in of_profile]
    sources = _sources(uow, some, policy, systems={look.sender_system for look in looks})
    there: list[Prepared] = []
    changes: list[Change] = []
    for look in looks:
        found = prepared(
            look, assignments[look.sender_system, look.time_series_id], sources[look.sender_system], now=now
        )
        if isinstance(found, Prepared):
            there.append(found)
            continue
        changes.append(Remove(TimeSeriesLook, look.key))
        if found is not None:
            changes.append(found)
    return there, changes


def _sources(
    uow: UnitOfWork,
    assignments: Collection[TimeSeriesAssignment],
    policy: TimeSeriesPolicy,
    *,
    systems: Collection[str],
) -> dict[str, Sources]:
    """Return what profiles are resolved with, by sender system."""
    tasks = {(each.sender_system, each.measurement_task_id) for each in assignments}
    registers: dict[str, dict[str, list[Register]]] = {system: {} for system in systems}
    devices = set()
    for register in uow.load(Register, ("sender_system", "measurement_task_id"), tasks, lock=False):
        registers[register.sender_system].setdefault(register.measurement_task_id, []).append(register)
        devices.add((register.sender_system, register.device_id))
    channels: dict[DeviceKey, list[Channel]] = {}
    for channel in uow.load(Channel, EndDevice.KEY, devices, lock=False):
        channels.setdefault((channel.sender_system, channel.device_id), []).append(channel)
    return {
        system: Sources(
            registers=registers[system], channels=channels, policy=policy, zone=zone_of(uow.settings, system)
        )
        for system in systems
    }


def _newest(uow: UnitOfWork, days: Collection[ChannelDay]) -> dict[ChannelDay, IntervalBlock]:
    """Return what of these days is fit to bill, held until the transaction ends."""
    return current_blocks(uow.connection, days, layer=Layer.FINAL, lock=True)


def _keys(looks: Sequence[Prepared]) -> set[DeviceKey]:
    return {segment.device for there in looks for segment in there.segments if segment.device is not None}


def _devices(uow: UnitOfWork, looks: Sequence[Prepared]) -> Iterable[EndDevice]:
    return uow.load(EndDevice, EndDevice.KEY, _keys(looks), lock=False)


def _unregistered(uow: UnitOfWork, looks: Sequence[Prepared]) -> set[DeviceKey]:
    """Return the devices that SAP has not been told to be registered."""
    devices = _keys(looks)
    statuses = uow.load(EndDeviceStatus, EndDeviceStatus.KEY, devices, lock=False)
    return devices - {(each.sender_system, each.device_id) for each in statuses if each.registered_at is not None}


def _cases(uow: UnitOfWork, looks: Sequence[Prepared]) -> dict[str, ExceptionCase]:
    keys = {
        (VALUES_MISSING, case_key(there.look.sender_system, there.look.time_series_id, there.look.day))
        for there in looks
    }
    return {case.case_key: case for case in uow.load(ExceptionCase, ExceptionCase.KEY, keys)}
