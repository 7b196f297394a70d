"""One worker process: all loops as threads, until it is told to end or its parent has died."""

from __future__ import annotations

import fcntl
import gc
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from mdus.bootstrap.composition import compose, loops_of, start_logs, start_traces
from mdus.bootstrap.database import prepare
from mdus.bootstrap.errors import CannotStart
from mdus.domain.clock import Clock
from mdus.storage.session import Database, StoredClock
from mdus.telemetry import logs
from mdus.workers.running import Loops

log = logs.logger(__name__)

_LOOK_SECONDS: Final = 0.5
#: The same where business time may be steered: whatever a jump makes due is looked for at once.
_STEERED_LOOK_SECONDS: Final = 0.1

#: New objects after which the youngest are looked through for garbage; Python's own 700 suits smaller work.
_COLLECTED_AFTER: Final = 20_000

#: How long a worker waits for the one before it to leave a SQLite file.
_HANDOVER_SECONDS: Final = 60.0


def work(environ: Mapping[str, str], *, simulated_clock: bool = False, parent: int | None = None) -> int:
    """Run all loops until SIGTERM or SIGINT; returns the exit code, 1 when a loop ended by itself.

    With `parent` it also ends when that process is no longer its parent. Raises CannotStart.
    """
    parts = compose(environ, simulated_clock=simulated_clock)
    settings = parts.runtime.settings
    prepare(parts.runtime.database, simulated_clock=simulated_clock)
    start_logs(settings)
    start_traces(parts)
    told_to_end = False
    with only_worker(parts.runtime.database):
        loops = Loops(loops_of(parts), poll_seconds=settings.workers.poll_seconds)

        def end(number: int, _: object) -> None:
            nonlocal told_to_end
            told_to_end = True
            loops.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)
        collect_seldom()
        loops.start()
        log.info("worker_works", pid=os.getpid())
        steered = steering_of(parts.runtime.clock)
        while loops.wait(_STEERED_LOOK_SECONDS if simulated_clock else _LOOK_SECONDS):
            if next(steered):
                loops.wake()
            if parent is not None and os.getppid() != parent:
                log.warning("parent_died", parent=parent)
                told_to_end = True
                loops.stop()
        loops.stop()
        loops.join()
    parts.close()
    log.info("worker_ended", pid=os.getpid())
    return 0 if told_to_end else 1


def collect_seldom() -> None:
    """Look for garbage less often, and never again among what is there now.

    What lives as long as the process need not be looked at in every collection, and a batch makes thousands of values
    that are in no circle: most collections would find nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECTED_AFTER, *gc.get_threshold()[1:])


def steering_of(clock: Clock) -> Iterator[bool]:
    """Yield at each look whether business time was steered since the one before; never on the real clock."""
    seen = None
    while True:
        steered_at = None
        if isinstance(clock, StoredClock):
            with suppress(SQLAlchemyError):  # the loops say so themselves when the database is away
                clock.now()
            steered_at = clock.steered_at()
        yield steered_at != seen
        seen = steered_at


@contextmanager
def only_worker(database: Database, *, seconds: float = _HANDOVER_SECONDS) -> Iterator[None]:
    """Hold a SQLite file's lock for its one worker process while the block lasts; the lock ends with the process.

    Raises CannotStart when another worker keeps it for so long.
    """
    if not database.is_sqlite or not database.url.database or database.url.database == ":memory:":
        yield
        return
    file = Path(f"{database.url.database}.worker")
    deadline = time.monotonic() + seconds
    with file.open("a") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise CannotStart.because(
                        "another worker process works on this SQLite file",
                        where=str(file),
                        mend="end it, or use PostgreSQL, where any number may work",
                    ) from None
                time.sleep(0.1)
        yield
