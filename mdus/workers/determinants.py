"""The job `determinants`: makes versions of the determinants of billing periods that have ended, or have changed.

A run looks at points of delivery whose values were written since the last one, that a billing reading was ordered for,
that were assigned another set, and, once a month is settled, at all that have no determinants of it:

```
usage points, registers, channels -> spans   orders -> periods   sets -> rows      (a bounded number of statements
parts of days (those that lack are made from the final blocks)                      for each batch)
tally -> gate -> what is new against the newest versions -> save, cases
```

At last the daily files are written, where a folder is set. A run that is repeated makes nothing twice.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final

import structlog

from mdus.billing.determinant import (
    DETERMINANTS_HELD,
    Determinant,
    DeterminantStatus,
    case_key,
    determinants_of,
    new_versions,
)
from mdus.billing.determinant_file import file_name, header, lines
from mdus.billing.determinant_set import BillingPolicy, DeterminantSetAssignment, DeterminantSetRow
from mdus.billing.measured import DeviceKey, Span, spans_of
from mdus.billing.period import Boundary, Period, periods
from mdus.billing.register_advance import ReadingKey, advance, keys_of
from mdus.billing.tally import ChannelDay, Flags, StoredParts, lacking, tally
from mdus.domain.channel import Channel
from mdus.domain.end_device import EndDevice
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.interval_block import IntervalBlock, Layer
from mdus.domain.local_time import day_start, local_day
from mdus.domain.meter_reading_document import DocumentStatus, MeterReadingDocument
from mdus.domain.meter_reading_selection import ReadingPolicies, reason_number
from mdus.domain.reading import MeterReading
from mdus.domain.register import Register
from mdus.domain.time_series_policy import TimeSeriesPolicy
from mdus.domain.usage_point import UsagePoint
from mdus.settings import Settings
from mdus.storage import determinant as determinants
from mdus.storage.billing_part import Place, final_days, stored_parts
from mdus.storage.billing_parts import flags_of, store_parts
from mdus.storage.determinant import PointKey
from mdus.storage.exception_case import close_cases, close_rare
from mdus.storage.interval_block import current_blocks, note_used_days
from mdus.storage.mapping import chunks
from mdus.storage.meter_reading_document import read_lately
from mdus.storage.paging import sender_systems
from mdus.storage.registry import END_DEVICE
from mdus.storage.session import Database, UnitOfWork, is_collision
from mdus.telemetry.metrics import DETERMINANTS
from mdus.workers.inbox import zone_of

log = structlog.get_logger(__name__)

#: The kinds of case of a point of delivery that cannot be determined: a defect of ours, a set that is no more.
DETERMINATION_FAILED: Final = "determination_failed"
SET_UNKNOWN: Final = "determinant_set_unknown"

#: Points of delivery determined in one transaction.
_AT_ONCE: Final = 50
#: Days read in one statement, blocks parted in one pass, versions written to a file at once.
_PAGE: Final = 5000
_BLOCKS: Final = 500

#: Blocks are stamped before their transaction ends: what the run before may not have seen yet.
_OVERLAP: Final = timedelta(minutes=10)
_A_DAY: Final = timedelta(days=1)

_BY: Final = "job determinants"

#: What has changed of a point of delivery: the days of which values did, None for all there are.
Touched = dict[PointKey, set[date] | None]


@dataclass(kw_only=True, slots=True)
class Run:
    """What a run did, for the list of jobs."""

    looked_at: int = 0
    periods: int = 0
    versions: int = 0
    held: int = 0
    failed: int = 0
    made: Counter[tuple[str, str]] = field(default_factory=Counter)  # status, cause of versions not counted yet
    files: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        parts = [f"{self.looked_at} points of delivery looked at, {self.periods} periods: {self.versions} versions"]
        parts += [f"{self.held} of them held"] if self.held else []
        parts += [f"{self.failed} failed"] if self.failed else []
        parts += [f"wrote {', '.join(self.files)}"] if self.files else []
        return "; ".join(parts)


def run(database: Database, *, settings: Settings, now: datetime, since: datetime) -> str:
    """Determine what has ended or changed since the instant of the last run; returns what was done."""
    policy, done = Policies.of(settings), Run()
    touched = _touched(database, policy.billing, settings, now=now, since=since)
    for some in chunks(sorted(touched), _AT_ONCE):
        with database.begin() as uow:
            determinants.alone(uow.connection)
            _look(uow, {point: touched[point] for point in some}, policy, done, now=now)
        # What is committed is counted, whatever becomes of the others: no later run makes it again.
        for of, count in done.made.items():
            DETERMINANTS.labels(*of).inc(count)
        done.made.clear()
    if settings.billing.folder is not None:
        today = local_day(now, zone=settings.time_zone)
        for day in (today - _A_DAY, today):
            done.files.append(write_file(database, settings.billing.folder, day, zone=settings.time_zone).name)
    return str(done)


@dataclass(frozen=True, kw_only=True, slots=True)
class Policies:
    """What the settings say of billing, of profiles and of readings."""

    billing: BillingPolicy
    series: TimeSeriesPolicy
    readings: ReadingPolicies

    @classmethod
    def of(cls, settings: Settings) -> Policies:
        """Return what the settings say."""
        return cls(
            billing=settings.made(BillingPolicy),
            series=TimeSeriesPolicy.of(settings),
            readings=ReadingPolicies.of(settings),
        )


# -- what is to be looked at ------------------------------------------------------------------------------------------


def _touched(
    database: Database, policy: BillingPolicy, settings: Settings, *, now: datetime, since: datetime
) -> Touched:
    """Return the points of delivery that may have something new."""
    touched: Touched = {}
    after: Place | None = None
    while True:
        with database.read() as uow:
            page = final_days(uow.connection, since=since - _OVERLAP, after=after, limit=_PAGE)
            by_device: dict[DeviceKey, set[date]] = defaultdict(set)
            for row in page:
                by_device[row.sender_system, row.device_id].add(row.day)
            _touch(touched, uow, by_device)
        if len(page) < _PAGE:
            break
        after = (page[-1].written_at, page[-1].id)
    with database.read() as uow:
        ordered: dict[DeviceKey, set[date]] = defaultdict(set)
        systems = sender_systems(uow.connection, END_DEVICE.table)
        for document in read_lately(uow.connection, systems, since=since - policy.settling):
            if reason_number(document.reason_code) in policy.reasons:
                ordered[document.sender_system, document.device_id].add(document.scheduled_on)
        _touch(touched, uow, ordered)
        for point in determinants.newly_assigned(uow.connection, since=since - _OVERLAP):
            touched[point] = None
        before = local_day(since - policy.settling, zone=settings.time_zone).replace(day=1)
        month = local_day(now - policy.settling, zone=settings.time_zone).replace(day=1)
        if before < month:
            start = day_start((month - _A_DAY).replace(day=1), zone=settings.time_zone)
            end = day_start(month, zone=settings.time_zone)
            for point in determinants.undetermined(uow.connection, start=start, end=end, until=month):
                touched.setdefault(point, set())
    return touched


def _touch(touched: Touched, uow: UnitOfWork, by_device: Mapping[DeviceKey, set[date]]) -> None:
    for point in uow.load(UsagePoint, EndDevice.KEY, by_device.keys(), lock=False):
        key = (point.sender_system, point.point_of_delivery_id)
        days = touched.setdefault(key, set())
        if days is not None:
            days |= by_device[point.sender_system, point.device_id]


# -- looking ----------------------------------------------------------------------------------------------------------


def _look(uow: UnitOfWork, touched: Touched, policy: Policies, done: Run, *, now: datetime) -> None:
    """Determine a batch of points of delivery; when that fails, halve it until the one at fault stands alone."""
    if not touched:
        return
    savepoint = uow.connection.begin_nested()
    try:
        versions, count = _determined(uow, touched, policy, now=now)
    except Exception as error:  # the worker loop: the other points of delivery go on
        if is_collision(error):
            raise  # none is at fault: the run is taken again
        savepoint.rollback()
        points = list(touched)
        if len(points) > 1:
            middle = len(points) // 2
            for some in (points[:middle], points[middle:]):
                _look(uow, {point: touched[point] for point in some}, policy, done, now=now)
            return
        _note_defect(uow, points[0], error, now=now)
        done.failed += 1
        return
    savepoint.commit()
    done.looked_at += len(touched)
    done.periods += count
    done.versions += len(versions)
    done.made.update((version.status.value, version.cause.value) for version in versions)
    done.held += sum(version.status is DeterminantStatus.HELD for version in versions)


def _note_defect(uow: UnitOfWork, point: PointKey, error: Exception, *, now: datetime) -> None:
    log.exception("determination_failed", point_of_delivery=point[1], sender_system=point[0])
    note = f"{type(error).__name__}: {error}"[:500]
    uow.save([ExceptionCase(kind=DETERMINATION_FAILED, case_key="/".join(point), opened_at=now, note=note)])


@dataclass(kw_only=True, slots=True)
class _Point:
    """A point of delivery with what measures it, its periods, and which of them are determined anew."""

    key: PointKey
    spans: tuple[Span, ...]
    ended: list[Period] = field(default_factory=list)
    wanted: list[tuple[Period, DeterminantSetRow]] = field(default_factory=list)
    looked_at: set[tuple[date, date]] = field(default_factory=set)
    newest: list[Determinant] = field(default_factory=list)


def _determined(uow: UnitOfWork, touched: Touched, policy: Policies, *, now: datetime) -> tuple[list[Determinant], int]:
    """Determine points of delivery and store what is new; returns that, and how many periods were looked at."""
    points = _points(uow, touched, policy, now=now)
    stored, blocks, flags = _values(uow, points, policy.billing)
    readings = _readings(uow, points)
    versions: list[Determinant] = []
    used: set[tuple[Channel, date, date]] = set()
    for point in points:
        found: list[Determinant] = []
        for period, row in point.wanted:
            spans = _measuring(point, period, row)
            counted = tally(spans, period, row, stored, blocks, flags, policy.billing)
            counted.advance = advance(spans, period, readings, row, policy.billing)
            system, name = point.key
            found += determinants_of(
                counted, row, period, sender_system=system, point_of_delivery_id=name, now=now, by=_BY
            )
        made = new_versions(found, point.newest, point.ended, looked_at=point.looked_at, now=now)
        for period, row in point.wanted if made else ():
            used |= {(span.channel, period.start, period.end) for span in _measuring(point, period, row)}
        versions += made
    determinants.write_versions(uow.connection, versions)
    note_used_days(uow.connection, used)
    _keep_cases(uow, points, versions, now=now)
    close_rare(uow, DETERMINATION_FAILED, map("/".join, touched), now)
    return versions, sum(len(point.looked_at) for point in points)


def _points(uow: UnitOfWork, touched: Touched, policy: Policies, *, now: datetime) -> list[_Point]:
    by_point = ("sender_system", "point_of_delivery_id")
    usage: dict[PointKey, list[UsagePoint]] = defaultdict(list)
    for each in uow.load(UsagePoint, by_point, touched.keys(), lock=False):
        usage[each.sender_system, each.point_of_delivery_id].append(each)
    devices = {(each.sender_system, each.device_id) for some in usage.values() for each in some}
    registers: dict[tuple[DeviceKey, str], list[Register]] = defaultdict(list)
    for register in uow.load(Register, EndDevice.KEY, devices, lock=False):
        registers[(register.sender_system, register.device_id), register.measurement_task_id].append(register)
    channels: dict[DeviceKey, list[Channel]] = defaultdict(list)
    for channel in uow.load(Channel, EndDevice.KEY, devices, lock=False):
        channels[channel.sender_system, channel.device_id].append(channel)
    documents: dict[DeviceKey, list[MeterReadingDocument]] = defaultdict(list)
    for document in uow.load(MeterReadingDocument, EndDevice.KEY, devices, lock=False):
        documents[document.sender_system, document.device_id].append(document)
    assigned: dict[PointKey, list[DeterminantSetAssignment]] = defaultdict(list)
    for assignment in uow.load(DeterminantSetAssignment, by_point, touched.keys(), lock=False):
        assigned[assignment.sender_system, assignment.point_of_delivery_id].append(assignment)
    reach = (now - policy.billing.reach).date()
    newest: dict[PointKey, list[Determinant]] = defaultdict(list)
    for version in determinants.newest_of(uow.connection, touched.keys(), since=reach):
        newest[version.sender_system, version.point_of_delivery_id].append(version)
    found = []
    for key in touched:
        zone = zone_of(uow.settings, key[0])
        spans = spans_of(usage[key], registers, channels, policy=policy.series, zone=zone)
        if not spans:
            continue
        point = _Point(key=key, spans=spans, newest=newest[key])
        boundaries = _boundaries(usage[key], documents, policy)
        point.ended = _ended(spans, boundaries, until=local_day(now - policy.billing.settling, zone=zone), reach=reach)
        _want(uow, point, touched[key], assigned[key], policy.billing, now=now)
        found.append(point)
    return found


def _boundaries(
    usage: Iterable[UsagePoint], documents: Mapping[DeviceKey, Sequence[MeterReadingDocument]], policy: Policies
) -> list[Boundary]:
    """Return the billing-relevant readings that were ordered of what measured a point of delivery when they are due."""
    found = []
    for point in usage:
        for document in documents.get((point.sender_system, point.device_id), ()):
            reason = reason_number(document.reason_code)
            reading = policy.readings.for_reason(document.reason_code)
            if (
                reason not in policy.billing.reasons
                or reading is None
                or document.client is not None
                or document.status is DocumentStatus.CANCELLED
                or document.measurement_task_id != point.measurement_task_id
            ):
                continue
            boundary = Boundary(scheduled_on=document.scheduled_on, anchor=reading.anchor, reason=reason)
            first = local_day(point.valid_from, zone=document.time_zone)
            last = None if point.valid_to is None else local_day(point.valid_to, zone=document.time_zone)
            if first <= boundary.on and (last is None or boundary.on <= last + _A_DAY):
                found.append(boundary)
    return found


def _ended(spans: Sequence[Span], boundaries: Sequence[Boundary], *, until: date, reach: date) -> list[Period]:
    ends = [span.day_after for span in spans]
    found = periods(
        boundaries,
        measured_from=min(span.first_day for span in spans),
        measured_to=None if None in ends else max(end for end in ends if end is not None),
        until=until,
    )
    return [period for period in found if period.end >= reach]


def _want(
    uow: UnitOfWork,
    point: _Point,
    days: set[date] | None,
    assigned: Sequence[DeterminantSetAssignment],
    policy: BillingPolicy,
    *,
    now: datetime,
) -> None:
    """Note which periods are determined, and by what: those with days that changed, and those that never were."""
    known = {
        (each.period_from, each.period_to) for each in point.newest if each.status is not DeterminantStatus.WITHDRAWN
    }
    for period in point.ended:
        key = (period.start, period.end)
        if key in known and days is not None and not any(period.start <= day < period.end for day in days):
            continue
        name = policy.set_on(period.last_day, assigned)
        if name not in policy.sets:
            note = f"The determinant set {name} is none of config/billing.toml"
            uow.save([ExceptionCase(kind=SET_UNKNOWN, case_key="/".join(point.key), opened_at=now, note=note)])
            continue
        point.looked_at.add(key)
        point.wanted += [
            (period, row) for row in policy.rows_of(name, period.last_day) if _measuring(point, period, row)
        ]


def _measuring(point: _Point, period: Period, row: DeterminantSetRow) -> list[Span]:
    """Return what measures the reading type of a row in a period."""
    found = []
    for span in point.spans:
        if span.channel.reading_type == row.reading_type:
            first, after, some = span.days(period.start, period.end)
            if first < after or some:
                found.append(span)
    return found


def _values(
    uow: UnitOfWork, points: Sequence[_Point], policy: BillingPolicy
) -> tuple[StoredParts, dict[ChannelDay, IntervalBlock], Flags]:
    """Return the parts of all days that are wanted, and the blocks of those in part; parts that lack are made."""
    wanted = [(period, row, _measuring(point, period, row)) for point in points for period, row in point.wanted]
    channels = {span.channel for _, _, spans in wanted for span in spans}
    start = min((period.start for period, _, _ in wanted), default=date.min)
    end = max((period.end for period, _, _ in wanted), default=date.min)
    stored = stored_parts(uow.connection, channels, start, end)
    whole: set[ChannelDay] = set()
    partial: set[ChannelDay] = set()
    for period, row, spans in wanted:
        some, others = lacking(spans, period, row, stored, policy)
        whole |= some
        partial |= others
    made = 0
    for days in chunks(sorted(whole, key=lambda pair: (pair[0].key, pair[1])), _BLOCKS):
        blocks = list(current_blocks(uow.connection, days, layer=Layer.FINAL).values())
        store_parts(uow, blocks)
        made += len(blocks)
    if made:
        stored = stored_parts(uow.connection, channels, start, end)
    found = current_blocks(uow.connection, partial, layer=Layer.FINAL)
    return stored, found, flags_of(uow, list(found.values()))


def _readings(uow: UnitOfWork, points: Sequence[_Point]) -> dict[ReadingKey, MeterReading]:
    """Return what registers showed where the spans of periods begin and end; of several the newest counts."""
    wanted = {
        key
        for point in points
        for period, row in point.wanted
        if row.most_off_register_percent is not None
        for key in keys_of(_measuring(point, period, row), period)
    }
    by = ("sender_system", "device_id", "reading_type", "measured_at")
    found = uow.load(MeterReading, by, wanted, lock=False)
    return {(each.sender_system, each.device_id, each.reading_type, each.measured_at): each for each in found}


def _keep_cases(uow: UnitOfWork, points: Sequence[_Point], versions: Sequence[Determinant], *, now: datetime) -> None:
    """Open a case for each period that is held, close those of periods that are held no more."""
    current: dict[str, dict[tuple[object, ...], Determinant]] = defaultdict(dict)
    for each in (*(one for point in points for one in point.newest), *versions):
        current[case_key(each.sender_system, each.point_of_delivery_id, each.period_to)][each.key] = each
    opened, closed = [], []
    for key in {case_key(each.sender_system, each.point_of_delivery_id, each.period_to) for each in versions}:
        held = [one for one in current[key].values() if one.status is DeterminantStatus.HELD]
        if held:
            note = f"{len(held)} determinants are held: {held[0].gate_reason}"
            opened.append(ExceptionCase(kind=DETERMINANTS_HELD, case_key=key, opened_at=now, note=note))
        else:
            closed.append(key)
    uow.save(opened)
    close_cases(uow.connection, DETERMINANTS_HELD, closed, now=now)


# -- files ------------------------------------------------------------------------------------------------------------


def write_file(database: Database, folder: Path, day: date, *, zone: str) -> Path:
    """Write the versions that were made on a local day of the installation; the file is there whole, or not at all.

    The file of a day that is over is the same whenever it is written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / file_name(day)
    start, end = day_start(day, zone=zone), day_start(day + _A_DAY, zone=zone)
    descriptor, draft = tempfile.mkstemp(dir=folder, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file, database.read() as uow:
            file.write(header())
            rows = determinants.versions_made(uow.connection, start, end, limit=_PAGE)
            while rows:
                file.write(lines(map(determinants.determinant, rows)))
                start, after = rows[-1].made_at, rows[-1].id
                rows = determinants.versions_made(uow.connection, start, end, after=after, limit=_PAGE)
            file.flush()
            os.fsync(file.fileno())
        Path(draft).chmod(0o644)
        Path(draft).replace(target)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    return target
