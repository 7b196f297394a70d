"""Whether this process lives, whether it is ready, what it counts, and (in a landscape) the clock it goes by.

None of these asks for credentials: they tell nothing of meters or customers. The clock answers on loopback only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mdus.domain.clock import SimulatedTime
from mdus.endpoints.authentication import is_loopback
from mdus.endpoints.rest.problems import problem
from mdus.endpoints.runtime import Runtime
from mdus.storage.activity import in_flight, lease_ages, missing_migrations, next_due, queues
from mdus.storage.job import set_simulated_time, simulated_time
from mdus.storage.session import StoredClock
from mdus.telemetry.logs import logger
from mdus.telemetry.metrics import CONTENT_TYPE, QUEUE_AGE_SECONDS, QUEUE_DEPTH, exposition

log = logger(__name__)

Due = Callable[[Connection], datetime | None]

#: Faster than this the clock could pass a deadline between two looks of a worker.
_MOST_SPEED: Final = 3600.0


def health_routes(runtime: Runtime, *, leases: Sequence[str] = (), dues: Sequence[Due] = ()) -> list[Route]:
    """Return the routes; `leases` must be held for the process to be ready, `dues` add to what is next due."""
    health = Health(runtime, leases=leases, dues=dues)
    routes = [
        Route("/healthz", health.alive, methods=["GET"]),
        Route("/readyz", health.ready, methods=["GET"]),
        Route("/metrics", health.metrics, methods=["GET"]),
    ]
    if runtime.simulated_clock:
        routes.append(Route("/clock", health.clock, methods=["GET"]))
        routes.append(Route("/clock", health.steer, methods=["POST"]))
    return routes


class Health:
    """Answers the questions of those who run the process."""

    def __init__(self, runtime: Runtime, *, leases: Sequence[str], dues: Sequence[Due]) -> None:
        self._runtime = runtime
        self._leases = leases
        self._dues = dues

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
        try:
            with self._runtime.database.read() as uow:
                checks = {"database": "ready", "schema": "ready"}
                if missing := missing_migrations(uow.connection):
                    # Without the newest schema its tables may not be there to be asked.
                    return checks | {"schema": f"lacks {', '.join(missing)}: run mdus migrate"}
                ages = lease_ages(uow.connection)
        except SQLAlchemyError as error:
            log.warning("not_ready", why=type(error).__name__)
            return {"database": f"does not answer: {type(error).__name__}"}
        for name in self._leases:
            checks[name] = _lease(ages.get(name))
        return checks

    def _exposition(self) -> bytes:
        try:
            with self._runtime.database.read() as uow:
                for queue in queues(uow.connection, now=self._runtime.clock.now()):
                    QUEUE_DEPTH.labels(queue.name).set(queue.depth)
                    QUEUE_AGE_SECONDS.labels(queue.name).set(queue.age_seconds)
        except SQLAlchemyError as error:
            log.warning("queues_not_read", why=type(error).__name__)
        return exposition()

    def _told(self) -> dict[str, Any]:
        real = datetime.now(UTC)
        with self._runtime.database.read() as uow:
            time = simulated_time(uow.connection) or _real_time(real)
            now = time.at(real)
            dues = [next_due(uow.connection, now=now), *(due(uow.connection) for due in self._dues)]
            return {
                "anchor": time.anchor.isoformat(),
                "epoch": time.epoch.isoformat(),
                "speed": time.speed,
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


def _real_time(real: datetime) -> SimulatedTime:
    return SimulatedTime(anchor=real, epoch=real, speed=1.0)


def _lease(seconds_left: float | None) -> str:
    if seconds_left is None:
        return "no worker has ever held its lease"
    if seconds_left < 0:
        return f"no worker for {math.ceil(-seconds_left)} seconds"
    return "ready"


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()
