"""Wires the parts of a process from the settings: the runtime all share, the loops of a worker, the bodies of jobs."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from mdus.bootstrap.discovery import Found, contract_problems, discover, settings_problems
from mdus.bootstrap.errors import CannotStart
from mdus.cis.client import CisClient
from mdus.contracts.catalog import catalog
from mdus.domain.end_device_control import GovernorRules
from mdus.domain.head_end import HeadEnd, HeadEndKind
from mdus.domain.local_time import day_start
from mdus.endpoints.runtime import Runtime
from mdus.messaging.retry import RetryPolicy
from mdus.settings import HeadEnd as HeadEndRow
from mdus.settings import Problem, Settings, SettingsError, load_settings
from mdus.storage.job import newest_done
from mdus.storage.outstanding import Limits
from mdus.storage.session import Database, StoredClock
from mdus.telemetry import logs, tracing
from mdus.workers import (
    confirmation_watch,
    determinants,
    estimate_missing,
    exception_ageing,
    head_end_poll,
    interval_corrections,
    interval_export,
    kpi_rollup,
    reconcile,
    registry_sync,
    retention,
    unheard_time,
)
from mdus.workers.clock import JOBS, Scheduler, Slot
from mdus.workers.command_timeouts import command_timeouts
from mdus.workers.device_limits import DeviceLimitWorker
from mdus.workers.event_sorting import EventSorter
from mdus.workers.exception_routing import ExceptionRouter
from mdus.workers.head_end import HeadEndWorker, patience
from mdus.workers.head_end_watch import HeadEndWatch
from mdus.workers.inbox import InboxWorker
from mdus.workers.job_runner import Body, JobRunner
from mdus.workers.measured_head_end import MeasuredHeadEnd
from mdus.workers.meter_reading_documents import MeterReadingDocumentWorker, due_readings
from mdus.workers.outbox import OutboxWorker
from mdus.workers.readings import ReadingsWorker
from mdus.workers.rule_set_preview import Previews
from mdus.workers.rule_sets import stored, stored_for_registers
from mdus.workers.running import Loop
from mdus.workers.validation import ValidationWorker


@dataclass(frozen=True, kw_only=True, slots=True)
class Examined:
    """The settings with what the packages expose, and everything that is wrong with either."""

    settings: Settings | None
    found: Found
    problems: tuple[Problem, ...] = ()


@dataclass(slots=True)
class Parts:
    """What one process is made of; `close` ends what holds connections, newest first."""

    runtime: Runtime
    found: Found
    head_end_workers: Mapping[str, HeadEndWorker] = field(default_factory=dict)
    closing: ExitStack = field(default_factory=ExitStack)

    def close(self) -> None:
        """Close the head ends' connections and the database's."""
        self.closing.close()


def examine(environ: Mapping[str, str]) -> Examined:
    """Read the settings and hold everything against each other; collects every problem and raises none."""
    found = discover()
    problems = [*found.problems, *contract_problems(found.services, catalog())]
    settings: Settings | None = None
    try:
        offered = {kind.name: kind.offers for kind in found.kinds.values()}
        longest_texts = {kind.name: kind.longest_text for kind in found.kinds.values()}
        settings = load_settings(environ, tables=found.tables, offered=offered, longest_texts=longest_texts)
    except SettingsError as error:
        problems += error.problems
    else:
        problems += settings_problems(found, settings)
        if settings.telemetry.otlp_url is not None and not tracing.is_installed():
            where = "telemetry.otlp_url (MDUS_TELEMETRY__OTLP_URL)"
            mend = "pip install 'mdus[telemetry]', or leave the setting out"
            problems.append(Problem(what="traces need OpenTelemetry, which is not installed", where=where, mend=mend))
    return Examined(settings=settings, found=found, problems=tuple(problems))


def compose(environ: Mapping[str, str], *, simulated_clock: bool = False) -> Parts:
    """Return the parts of a process; raises CannotStart with every problem of settings, services and head ends.

    Nothing is called yet, neither the database nor a head end.
    """
    examined = examine(environ)
    if examined.settings is None or examined.problems:
        raise CannotStart(examined.problems)
    return compose_from(examined.settings, examined.found, simulated_clock=simulated_clock)


def compose_from(settings: Settings, found: Found, *, simulated_clock: bool) -> Parts:
    """Return the parts of a process whose settings have been examined."""
    database = Database(settings.database.url, settings=settings)
    clock = StoredClock(database, simulated=simulated_clock)
    closing = ExitStack()
    closing.callback(database.close)
    connected = connect_head_ends(settings, found, closing)
    head_ends = {name: MeasuredHeadEnd(head_end) for name, head_end in connected.items()}
    runtime = Runtime(
        settings=settings,
        database=database,
        clock=clock,
        catalog=catalog(),
        services=found.services,
        head_ends=head_ends,
        commands={row.name: found.kinds[row.kind].takes(row) for row in settings.head_ends},
        part_files={
            row.name: part_file
            for row in settings.head_ends
            if (part_file := found.kinds[row.kind].part_file) is not None
        },
        callbacks={row.name: found.kinds[row.kind].callbacks for row in settings.head_ends},
        tools=found.tools,
        preview=Previews(database, settings, found.tools),
        simulated_clock=simulated_clock,
    )
    rules = GovernorRules(
        disconnect_expiry=timedelta(minutes=settings.switching.disconnect_expiry_minutes),
        least_limit_kw=settings.switching.least_limit_kw,
    )
    workers = {
        row.name: HeadEndWorker(
            head_ends[row.name],
            database=database,
            clock=clock,
            retry=retry_policy(settings),
            patience=patience(settings),
            rules=rules,
            takes=found.kinds[row.kind].takes(row),
            limits=limits_of(row, found.kinds[row.kind]),
            poll_after=None if row.poll_seconds is None else timedelta(seconds=row.poll_seconds),
            # A call, and the look for it when its answer is lost.
            lease=timedelta(seconds=max(settings.workers.lease_seconds, 3 * row.timeout_seconds)),
        )
        for row in settings.head_ends
    }
    return Parts(runtime=runtime, found=found, head_end_workers=workers, closing=closing)


def limits_of(row: HeadEndRow, kind: HeadEndKind) -> Limits:
    """Return how much a head end is given at once."""
    return Limits(
        outstanding=row.outstanding,
        per_concentrator=row.outstanding_per_concentrator,
        needs_concentrator=kind.needs_concentrator,
    )


def connect_head_ends(settings: Settings, found: Found, closing: ExitStack) -> dict[str, HeadEnd]:
    """Return the configured head ends by name; none is called yet."""
    head_ends = {row.name: found.kinds[row.kind].connect(settings, row) for row in settings.head_ends}
    for head_end in head_ends.values():
        closing.callback(head_end.close)
    return head_ends


def start_logs(settings: Settings) -> None:
    """Send this process's log lines where the settings say; what libraries tell of their daily work is left out."""
    logs.configure(form=settings.log.format, level=settings.log.level, secrets=settings.secrets())
    for name in ("alembic", "apscheduler", "httpx"):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))


def start_traces(parts: Parts) -> None:
    """Send this process's traces where the settings say, until the parts are closed."""
    url = parts.runtime.settings.telemetry.otlp_url
    if url is not None:
        tracing.start(url)
        parts.closing.callback(tracing.stop)


def retry_policy(settings: Settings) -> RetryPolicy:
    """Return how work is tried again, from `[retry]`."""
    return RetryPolicy(
        base=timedelta(seconds=settings.retry.base_seconds),
        cap=timedelta(seconds=settings.retry.cap_seconds),
        attempts=settings.retry.attempts,
    )


def delivery_policy(settings: Settings) -> RetryPolicy:
    """Return how messages to SAP are tried again, from `[retry]`: as all else, but for much longer."""
    return replace(retry_policy(settings), attempts=settings.retry.delivery_attempts)


def loops_of(parts: Parts) -> list[Loop]:
    """Return the loops of a worker process."""
    runtime = parts.runtime
    settings, database, clock, retry = runtime.settings, runtime.database, runtime.clock, retry_policy(runtime.settings)
    inbox = InboxWorker(database=database, services=runtime.services, settings=settings, clock=clock, retry=retry)
    outbox = OutboxWorker(
        database=database,
        services=runtime.services,
        settings=settings,
        clock=clock,
        retry=delivery_policy(settings),
        contract=runtime.catalog,
        client=CisClient(settings),
    )
    readings = readings_worker(parts)
    documents = MeterReadingDocumentWorker(
        database=database, settings=settings, clock=clock, rule_sets=stored_for_registers(parts.found.tools)
    )
    validation = validation_worker(parts)
    limits = DeviceLimitWorker(database=database, settings=settings, clock=clock)
    events = EventSorter(database=database, settings=settings, clock=clock)
    exceptions = ExceptionRouter(database=database, settings=settings, clock=clock)
    scheduler = Scheduler(database=database, clock=clock, zone=settings.time_zone, holder=process_name())
    loops = [
        Loop("inbox", inbox.turn),
        Loop("outbox", outbox.turn, close=outbox.close),
        Loop("readings", readings.turn),
        Loop("meter_reading_documents", documents.turn),
        Loop("device_limits", limits.turn),
        Loop("validation", validation.turn),
        Loop("events", events.turn),
        Loop("exceptions", exceptions.turn),
        Loop("scheduler", scheduler.turn, close=scheduler.close, wakeful=False),
        Loop("jobs", job_runner(parts).turn, wakeful=False),
    ]
    for row in settings.head_ends:
        worker = parts.head_end_workers[row.name]
        # One thread per call that may be under way: a head end that takes its time holds up its own calls only.
        first, *others = (f"head_end {row.name} {number}" for number in range(1, row.calls + 1))
        loops += [Loop(first, worker.turn), *(Loop(name, worker.turn, crew=first) for name in others)]
        kind = parts.found.kinds[row.kind]
        watch = HeadEndWatch(
            runtime.head_ends[row.name],
            database=database,
            clock=clock,
            retry=retry,
            takes=kind.takes(row),
            limit_to=worker.take_only,
            listens=kind.listens,
            holder=process_name(),
        )
        loops.append(Loop(f"watch {row.name}", watch.turn, close=watch.close, wakeful=False))
    return loops


def readings_worker(parts: Parts) -> ReadingsWorker:
    """Return what takes deliveries of head ends in."""
    runtime = parts.runtime
    settings, kinds = runtime.settings, parts.found.kinds
    return ReadingsWorker(
        database=runtime.database,
        clock=runtime.clock,
        decoders={row.name: kinds[row.kind].decoder(settings, row) for row in settings.head_ends},
        retry=retry_policy(settings),
    )


def validation_worker(parts: Parts) -> ValidationWorker:
    """Return what validates interval values."""
    runtime = parts.runtime
    return ValidationWorker(
        database=runtime.database,
        settings=runtime.settings,
        clock=runtime.clock,
        rule_sets=stored(parts.found.tools),
    )


def job_runner(parts: Parts) -> JobRunner:
    """Return what carries out the runs of jobs."""
    runtime = parts.runtime
    return JobRunner(
        database=runtime.database,
        clock=runtime.clock,
        zone=runtime.settings.time_zone,
        bodies=jobs_of(parts),
        lease_seconds=runtime.settings.workers.lease_seconds,
    )


def jobs_of(parts: Parts) -> dict[str, Body]:
    """Return the body of every job of the table in workers/clock.py."""
    runtime = parts.runtime
    database, settings, now = runtime.database, runtime.settings, runtime.clock.now
    zone = ZoneInfo(settings.time_zone)
    answering = {
        row.name: runtime.head_ends[row.name]
        for row in settings.head_ends
        if (kind := parts.found.kinds[row.kind]).answers and kind.keeps_records and row.name in runtime.head_ends
    }

    zones = {row.name: row.time_zone for row in settings.head_ends}

    def last_run(job: str, slot: Slot) -> datetime:
        with database.read() as uow:
            before = newest_done(uow.connection, job, before=slot.text)
        return slot.at if before is None else JOBS[job].trigger.slot(before, zone).at

    def poll(slot: Slot) -> str:
        polled = head_end_poll.run(database, answering, now=now(), since=last_run("head_end_poll", slot))
        return "; ".join(filter(None, (polled, unheard_time.run(database, zones, now=now()))))

    def export(slot: Slot) -> str:
        # A sweep's slot of a business date is its beginning: who runs one by hand means that day.
        day = slot.on if slot.at == day_start(slot.on, zone=settings.time_zone) else None
        since = last_run("interval_export", slot)
        return interval_export.run(database, settings=settings, now=now(), since=since, refused_on=day)

    def determine(slot: Slot) -> str:
        return determinants.run(database, settings=settings, now=now(), since=last_run("determinants", slot))

    def forget(slot: Slot) -> str:
        with database.read() as uow:
            before = newest_done(uow.connection, "retention", before=slot.text)
        since = None if before is None else JOBS["retention"].trigger.slot(before, zone).at
        return retention.run(
            database, settings=settings, services=runtime.services, now=now(), day=slot.on, since=since
        )

    return {
        "due_readings": lambda _: due_readings(database, settings=settings, now=now()),
        "command_timeouts": lambda _: command_timeouts(database, parts.head_end_workers, now=now()),
        "confirmation_watch": lambda _: confirmation_watch.run(
            database, services=runtime.services, settings=settings, now=now()
        ),
        "head_end_poll": poll,
        "interval_export": export,
        "estimate_missing": lambda slot: estimate_missing.run(database, settings=settings, now=now(), day=slot.on),
        "interval_corrections": lambda slot: interval_corrections.run(
            database, settings=settings, now=now(), day=slot.on
        ),
        "determinants": determine,
        "exception_ageing": lambda _: exception_ageing.run(database, settings=settings, now=now()),
        "kpi_rollup": lambda slot: kpi_rollup.run(database, settings=settings, now=now(), day=slot.on),
        "retention": forget,
        "registry_sync": lambda slot: registry_sync.run(database, answering, now=now(), day=slot.on),
        "reconcile": lambda slot: reconcile.run(database, answering, now=now(), day=slot.on),
    }


def process_name() -> str:
    """Return the name of this process among all that share the database."""
    return f"{socket.gethostname()}:{os.getpid()}"
