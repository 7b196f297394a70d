"""The HTTP process: serves SOAP, REST and callbacks, and keeps the worker processes it starts running.

```
mdus serve  --+-- HTTP (this process, one event loop, a bounded pool of threads for SQL)
              +-- mdus work   (child; started again when it ends; ends with its parent)
```
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

import uvicorn
from prometheus_client import multiprocess
from sqlalchemy import Connection

from mdus.bootstrap.composition import Parts, compose, start_logs, start_traces
from mdus.bootstrap.database import prepare
from mdus.bootstrap.errors import CannotStart
from mdus.endpoints.application import create_app
from mdus.endpoints.authentication import UnprotectedListening, refuse_unprotected
from mdus.endpoints.push import push_route
from mdus.telemetry import logs
from mdus.telemetry.shared_counts import METRICS_FOLDER
from mdus.workers.clock import JOBS, LEADER, next_due
from mdus.workers.processes import Children

log = logs.logger(__name__)


def serve(
    environ: Mapping[str, str],
    *,
    host: str | None = None,
    port: int | None = None,
    workers: bool = True,
    simulated_clock: bool = False,
) -> int:
    """Serve until SIGTERM or SIGINT, then end in good order; returns the exit code. Raises CannotStart."""
    parts = compose(environ, simulated_clock=simulated_clock)
    settings, database = parts.runtime.settings, parts.runtime.database
    host, port = host or settings.http.host, settings.http.port if port is None else port
    try:
        refuse_unprotected(settings, host=host)
    except UnprotectedListening as error:
        raise CannotStart.because(str(error), where=error.where, mend=error.mend) from error
    prepare(database, simulated_clock=simulated_clock)
    start_logs(settings)
    start_traces(parts)
    server = _Server(_config(parts, workers=workers))
    with (
        server.ended_by_signals(),
        _listening(host, port) as listener,
        _child_processes(parts, workers=workers) as some,
    ):
        server.children = some
        log.info("mdus_serves", url=_url(listener), database=database.url.render_as_string(), workers=workers)
        server.run(sockets=[listener])
        if not server.started:
            return 1
    parts.close()
    log.info("mdus_ended")
    return 0


class _Server(uvicorn.Server):
    """A server that ends at the first SIGTERM or SIGINT, together with the workers, and at once at the second."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.children: Children | None = None

    @contextlib.contextmanager
    def ended_by_signals(self) -> Iterator[None]:
        """Take the signals while the block lasts, so that one that comes during the start ends us in good order too."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals as they are: uvicorn would raise them again at its end, and ours would be no good one."""
        yield

    def handle_exit(self, sig: int, frame: object) -> None:
        """Stop taking requests, and let the workers end meanwhile."""
        self.force_exit = self.should_exit
        self.should_exit = True
        if self.children is not None:
            self.children.ask_to_end()


def _config(parts: Parts, *, workers: bool) -> uvicorn.Config:
    runtime, zone = parts.runtime, ZoneInfo(parts.runtime.settings.time_zone)

    def job_due(connection: Connection) -> datetime | None:
        return next_due(connection, now=runtime.clock.now(), zone=zone)

    app = create_app(
        runtime,
        routes=[push_route(runtime)],
        leases=[LEADER] if workers else [],
        dues=[job_due] if workers else [],
        jobs=tuple(JOBS),
    )
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=runtime.settings.http.shutdown_seconds,
    )


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """Listen before anything is started, so that a taken port costs nothing."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise CannotStart.because(
            f"cannot listen on {host}:{port}: {error.strerror or error}",
            where="http.host and http.port, or --host and --port",
            mend="end the other process, or name a free port (--port 0 takes any)",
        ) from error
    with listener:
        # The body of an answer leaves at once. Otherwise it waits for the acknowledgement of the head, which callers
        # that keep their connection delay: 40 ms an answer. The event loop sees to that only for sockets of its own.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield listener


@contextlib.contextmanager
def _child_processes(parts: Parts, *, workers: bool) -> Iterator[Children | None]:
    """Keep the worker processes running while the block lasts."""
    if not workers:
        yield None
        return
    settings = parts.runtime.settings
    command = [sys.executable, "-m", "mdus", "work", "--child-of", str(os.getpid())]
    if parts.runtime.simulated_clock:
        command.append("--simulated-clock")
    count = 1 if parts.runtime.database.is_sqlite else settings.workers.processes
    children = Children(command, count=count, environ=os.environ, ended=_forget_process)
    children.start()
    try:
        yield children
    finally:
        children.stop(seconds=settings.http.shutdown_seconds)


def _forget_process(pid: int) -> None:
    if os.environ.get(METRICS_FOLDER):
        multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]  # the library leaves it unannotated


def _url(listener: socket.socket) -> str:
    address = listener.getsockname()
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    return f"http://{host}:{address[1]}"
