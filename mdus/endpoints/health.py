"""Whether this process lives, whether it is ready, what it counts, and (in a landscape) the clock it goes by.

None of these asks for credentials: they tell nothing of meters or customers. The clock answers on loopback only.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mdus.domain.clock import SimulatedTime
from mdus.domain.kpi import KpiName
from mdus.endpoints.authentication import is_loopback
from mdus.endpoints.rest.problems import problem
from mdus.endpoints.runtime import Runtime
from mdus.storage import determinant, exception_figures, figures
from mdus.storage.activity import in_flight, lease_ages, missing_migrations, next_due, queues
from mdus.storage.exception_case import open_cases
from mdus.storage.job import set_simulated_time, simulated_time
from mdus.storage.schema import SchemaState, schema_state
from mdus.storage.session import StoredClock
from mdus.telemetry import metrics
from mdus.telemetry.logs import logger
from mdus.telemetry.metrics import CONTENT_TYPE, QUEUE_AGE_SECONDS, QUEUE_DEPTH, Figure, Values, exposition

log = logger(__name__)

Due = Callable[[Connection], datetime | None]

#: Faster than this the clock could pass a deadline between two looks of a worker.
_MOST_SPEED: Final = 3600.0

#: Seconds for which figures that count many rows are told again as they were, and devices, which are all counted.
_FRESH_SECONDS: Final = 30.0
_DEVICES_FRESH_SECONDS: Final = 300.0

#: Figures that the job `kpi_rollup` has counted.
_OF_DAYS: Final[Mapping[Figure, KpiName]] = {
    metrics.COMPLETENESS: KpiName.COMPLETENESS,
    metrics.ESTIMATED_SHARE: KpiName.ESTIMATED_SHARE,
    metrics.ESTIMATED_READS: KpiName.ESTIMATED_READS_SETTLED,
    metrics.READING_DELAY_SECONDS: KpiName.READING_SECONDS,
    metrics.BILLING_READY_SECONDS: KpiName.BILLING_READY_SECONDS,
}

_MEGABYTE: Final = 1_000_000


def health_routes(
    runtime: Runtime, *, leases: Sequence[str] = (), dues: Sequence[Due] = (), jobs: Sequence[str] = ()
) -> list[Route]:
    """Return the routes; `leases` must be held for the process to be ready, `dues` add to what is next due.

    `jobs` are those whose age is told among the metrics.
    """
    health = Health(runtime, leases=leases, dues=dues, jobs=jobs)
    routes = [
        Route("/healthz", health.alive, methods=["GET"]),
        Route("/readyz", health.ready, methods=["GET"]),
        Route("/metrics", health.metrics, methods=["GET"]),
    ]
    if runtime.simulated_clock:
        routes.append(Route("/clock", health.clock, methods=["GET"]))
        routes.append(Route("/clock", health.steer, methods=["POST"]))
        routes.append(Route("/clock/rate", health.rate, methods=["GET"]))
    return routes


class Health:
    """Answers the questions of those who run the process."""

    def __init__(
        self, runtime: Runtime, *, leases: Sequence[str], dues: Sequence[Due], jobs: Sequence[str] = ()
    ) -> None:
        self._runtime = runtime
        self._leases = leases
        self._dues = dues
        self._jobs = jobs
        self._known: dict[Figure, tuple[float, Values]] = {}  # with the real instant at which it is too old

    async def alive(self, _: Request) -> Response:
        """Answer, which only a living process can."""
        return JSONResponse({"status": "alive"})

    async def ready(self, _: Request) -> Response:
        """Answer 200 when messages can be taken in and worked on, else 503 with what is not ready."""
        checks = await run_in_threadpool(self._checks)
        is_ready = all(found == "ready" for found in checks.values())
        content = {"status": "ready" if is_ready else "not ready", "checks": checks}
        return JSONResponse(content, status_code=200 if is_ready else 503)

    async def metrics(self, _: Request) -> Response:
        """Return all metrics; the queues' are read from the database now, and left out when it does not answer."""
        content = await run_in_threadpool(self._exposition)
        return Response(content, headers={"Content-Type": CONTENT_TYPE})

    async def clock(self, request: Request) -> Response:
        """Return the steered clock, what is under way, and the next due instant; loopback only."""
        if refusal := _not_local(request):
            return refusal
        return JSONResponse(await run_in_threadpool(self._told))

    async def rate(self, request: Request) -> Response:
        """Return the steered clock only, for who goes by it and asks often; loopback only."""
        if refusal := _not_local(request):
            return refusal
        return JSONResponse(await run_in_threadpool(self._rate))

    async def steer(self, request: Request) -> Response:
        """Change the clock's speed, move it forward to `jump_to`, or both; it never goes back. Loopback only."""
        if refusal := _not_local(request):
            return refusal
        try:
            wanted = await request.json()
            speed, jump_to = _wanted(wanted)
        except ValueError as error:
            return problem(422, str(error))
        refused = await run_in_threadpool(self._steer, speed, jump_to)
        if refused is not None:
            return problem(409, refused)
        return JSONResponse(await run_in_threadpool(self._told))

    # -- in a thread --------------------------------------------------------------------------------------------------

    def _checks(self) -> dict[str, str]:
        runtime, checks = self._runtime, {"database": "ready", "schema": "ready"}
        minutes = runtime.settings.telemetry.queue_minutes
        stuck: list[str] = []
        try:
            with runtime.database.read() as uow:
                figures.be_brief(uow.connection)
                if told := _schema(uow.connection):
                    # Without the newest schema its tables may not be there to be asked.
                    return checks | {"schema": told}
                ages = lease_ages(uow.connection)
                # Steered business time jumps over hours in which nothing waited.
                if minutes and not runtime.simulated_clock:
                    now = runtime.clock.now()
                    stuck = figures.stuck_queues(uow.connection, now=now, since=now - timedelta(minutes=minutes))
        except SQLAlchemyError as error:
            log.warning("not_ready", why=type(error).__name__)
            mend = "start it, or correct database.url (MDUS_DATABASE__URL)"
            return {"database": f"does not answer: {type(error).__name__}: {mend}"}
        for name in self._leases:
            checks[name] = _lease(ages.get(name))
        checks["queues"] = _queues(stuck, minutes)
        if (told := _disk(runtime)) is not None:
            checks["disk"] = told
        return checks

    def _exposition(self) -> bytes:
        told: dict[Figure, Values] = {metrics.DISK_FREE_BYTES: _disk_free(self._runtime)}
        try:
            with self._runtime.database.read() as uow:
                figures.be_brief(uow.connection)
                now = self._runtime.clock.now()
                for queue in queues(uow.connection, now=now):
                    QUEUE_DEPTH.labels(queue.name).set(queue.depth)
                    QUEUE_AGE_SECONDS.labels(queue.name).set(queue.age_seconds)
                told |= self._figures(uow.connection, now=now)
        except SQLAlchemyError as error:
            log.warning("queues_not_read", why=type(error).__name__)
        return exposition(told)

    def _figures(self, connection: Connection, *, now: datetime) -> dict[Figure, Values]:
        """Return what the tables tell; what counts many rows is counted now and then only."""
        read: dict[Figure, tuple[float, Callable[[], Values]]] = {
            metrics.LEASE: (0.0, lambda: figures.leases(connection)),
            metrics.SWITCHING_STOPPED: (0.0, lambda: figures.switching_stopped(connection)),
            metrics.JOB_AGE_SECONDS: (0.0, lambda: figures.job_ages(connection, self._jobs, now=now)),
            metrics.DEAD: (_FRESH_SECONDS, lambda: figures.dead(connection)),
            metrics.OPEN_CASES: (
                _FRESH_SECONDS,
                lambda: {(kind,): float(count) for kind, count in open_cases(connection).items()},
            ),
            metrics.CASES: (_FRESH_SECONDS, lambda: exception_figures.work_list(connection)),
            metrics.CASES_OVERDUE: (_FRESH_SECONDS, lambda: exception_figures.overdue(connection, now=now)),
            metrics.OLDEST_CASE_SECONDS: (_FRESH_SECONDS, lambda: exception_figures.oldest(connection, now=now)),
            metrics.STORMS: (_FRESH_SECONDS, lambda: exception_figures.storms(connection)),
            **{
                figure: (_FRESH_SECONDS, partial(exception_figures.newest, connection, name, *figure.labels))
                for figure, name in _OF_DAYS.items()
            },
            metrics.DETERMINANTS_HELD: (
                _FRESH_SECONDS,
                lambda: {(gate,): float(count) for gate, count in determinant.held(connection).items()},
            ),
            metrics.OLDEST_HELD_SECONDS: (_FRESH_SECONDS, lambda: _age(determinant.held_since(connection), now=now)),
            metrics.SWITCH_ORDERS: (_FRESH_SECONDS, lambda: figures.switch_orders(connection, now=now)),
            metrics.READING_DOCUMENTS: (_FRESH_SECONDS, lambda: figures.reading_documents(connection, now=now)),
            metrics.DEVICES: (_DEVICES_FRESH_SECONDS, lambda: figures.devices(connection, now=now)),
        }
        present = time.monotonic()
        for figure, (seconds, ask) in read.items():
            if figure not in self._known or self._known[figure][0] <= present:
                self._known[figure] = present + seconds, {}  # what takes too long is left out until it is due again
                self._known[figure] = present + seconds, ask()
        return {figure: values for figure, (_, values) in self._known.items()}

    def _rate(self) -> dict[str, Any]:
        with self._runtime.database.read() as uow:
            return _shown(simulated_time(uow.connection) or _real_time(datetime.now(UTC)))

    def _told(self) -> dict[str, Any]:
        real = datetime.now(UTC)
        with self._runtime.database.read() as uow:
            time = simulated_time(uow.connection) or _real_time(real)
            now = time.at(real)
            dues = [next_due(uow.connection, now=now), *(due(uow.connection) for due in self._dues)]
            return {
                **_shown(time),
                "now": now.isoformat(),
                "in_flight": in_flight(uow.connection, now=now),
                "next_due": _text(min((due for due in dues if due is not None), default=None)),
            }

    def _steer(self, speed: float | None, jump_to: datetime | None) -> str | None:
        """Steer the clock; returns why not."""
        with self._runtime.database.begin() as uow:
            real = datetime.now(UTC)
            time = simulated_time(uow.connection) or _real_time(real)
            if jump_to is not None and jump_to < time.at(real):
                return f"the clock shows {time.at(real).isoformat()} and never goes back"
            set_simulated_time(uow.connection, time.steered(real=real, speed=speed, jump_to=jump_to))
        if isinstance(self._runtime.clock, StoredClock):
            self._runtime.clock.forget()
        return None


def _not_local(request: Request) -> Response | None:
    if request.client is not None and is_loopback(request.client.host):
        return None
    return problem(403, "the clock is steered from this machine only")


def _wanted(content: Any) -> tuple[float | None, datetime | None]:
    """Return (speed, jump_to) of a request; ValueError says what is wrong."""
    if not isinstance(content, Mapping) or not content or not content.keys() <= {"speed", "jump_to"}:
        raise ValueError("say speed, jump_to or both")
    speed, jump_to = content.get("speed"), content.get("jump_to")
    if speed is not None and (
        isinstance(speed, bool) or not isinstance(speed, int | float) or not 0 <= speed <= _MOST_SPEED
    ):
        raise ValueError(f"speed is a number from 0 to {_MOST_SPEED:g}")
    if jump_to is None:
        return speed, None
    instant = datetime.fromisoformat(jump_to) if isinstance(jump_to, str) else None
    if instant is None or instant.tzinfo is None:
        raise ValueError("jump_to is an instant with its zone")
    return speed, instant.astimezone(UTC)


def _shown(time: SimulatedTime) -> dict[str, Any]:
    return {"anchor": time.anchor.isoformat(), "epoch": time.epoch.isoformat(), "speed": time.speed}


def _real_time(real: datetime) -> SimulatedTime:
    return SimulatedTime(anchor=real, epoch=real, speed=1.0)


def _schema(connection: Connection) -> str | None:
    """Return what the schema lacks, None when it is the one this version needs."""
    if missing := missing_migrations(connection):
        if schema_state(connection) is SchemaState.NEWER:
            return "is of a newer version of MDUS: install that version again"
        return f"lacks {', '.join(missing)}: run mdus migrate"
    return None


def _lease(seconds_left: float | None) -> str:
    mend = "start mdus work, or mdus serve without --no-workers, and read its log"
    if seconds_left is None:
        return f"no worker has ever held its lease: {mend}"
    if seconds_left < 0:
        return f"no worker for {math.ceil(-seconds_left)} seconds: {mend}"
    return "ready"


def _queues(stuck: Sequence[str], minutes: int) -> str:
    if not stuck:
        return "ready"
    mend = "read the workers' log, mdus_turns_failed_total and mdus_queue_age_seconds"
    return f"nobody took what was due in {', '.join(stuck)} for {minutes} minutes: {mend}"


def _disk(runtime: Runtime) -> str | None:
    """Return whether the disk of a SQLite file has room, None where there is no such file or nobody wants to know."""
    wanted = runtime.settings.telemetry.disk_free_megabytes
    free = _disk_free(runtime).get(())
    if free is None or not wanted:
        return None
    if free >= wanted * _MEGABYTE:
        return "ready"
    told = f"{int(free / _MEGABYTE)} MB free where {runtime.database.url.database} is, {wanted} are wanted"
    return f"{told}: make room, or move the file to a larger disk (database.url)"


def _disk_free(runtime: Runtime) -> Values:
    file = runtime.database.url.database
    if not runtime.database.is_sqlite or not file or file == ":memory:":
        return {}
    try:
        return {(): float(shutil.disk_usage(Path(file).resolve().parent).free)}
    except OSError:
        return {}  # the folder is gone: the check of the database says so


def _age(since: datetime | None, *, now: datetime) -> Values:
    return {} if since is None else {(): max(0.0, (now - since).total_seconds())}


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()
