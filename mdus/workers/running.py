"""The loops of one worker process: each a thread that takes turns until it is told to stop.

A loop that moved something turns again at once and wakes the others of its process: what one worker decides, another
sends. With nothing to do it looks again after a pause that grows up to `poll_seconds`. Of several loops that share one
kind of work the helpers are woken by their own crew only: until one of it has found work, there is none to share. An
error of a turn never ends the loop: whatever is wrong may pass, such as a database that restarts.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from mdus.messaging.retry import RetryPolicy
from mdus.telemetry.metrics import TURNS_FAILED

log = structlog.get_logger(__name__)

#: The first pause after a loop has found nothing; doubled with each look in vain.
_FIRST_PAUSE: Final = 0.02

#: How long a loop rests after it was woken: the one that woke it may go on turning, and each look costs a query.
_AFTER_WAKING: Final = 0.05

#: The pause after a turn that failed.
_AFTER_ERROR: Final = RetryPolicy(base=timedelta(seconds=0.5), cap=timedelta(seconds=30), attempts=1_000_000)


@dataclass(slots=True)
class Loop:
    """One loop: `turn` moves what it can and returns how much that was; `close` ends it in good order.

    A loop that is not `wakeful` takes nothing from the others, and only looks now and then. A loop with a `crew` helps
    the loop of that name.
    """

    name: str
    turn: Callable[[], int]
    close: Callable[[], None] | None = None
    wakeful: bool = True
    crew: str = ""
    woken: threading.Event = field(default_factory=threading.Event)


class Loops:
    """All loops of a process, run in threads until `stop`."""

    def __init__(self, loops: Sequence[Loop], *, poll_seconds: float) -> None:
        self._loops = tuple(loops)
        self._poll_seconds = poll_seconds
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(loop,), name=loop.name) for loop in self._loops]

    def start(self) -> None:
        """Start every loop."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Tell every loop to end after its present turn; safe in a signal handler."""
        self._stopping.set()
        for loop in self._loops:
            loop.woken.set()

    def wake(self) -> None:
        """Have every loop look at once: a steered clock has jumped."""
        for loop in self._loops:
            loop.woken.set()

    def wait(self, seconds: float) -> bool:
        """Wait until told to stop, at most this long; returns whether all loops still run."""
        self._stopping.wait(seconds)
        return not self._stopping.is_set() and all(thread.is_alive() for thread in self._threads)

    def join(self) -> None:
        """Wait until every loop has ended, then close each."""
        for thread in self._threads:
            thread.join()
        for loop in self._loops:
            if loop.close is not None:
                try:
                    loop.close()
                except Exception:  # the others are still to be closed
                    log.exception("loop_not_closed", loop=loop.name)

    def _run(self, loop: Loop) -> None:
        pause, failures = _FIRST_PAUSE, 0
        while not self._stopping.is_set():
            loop.woken.clear()
            try:
                moved = loop.turn()
                failures = 0
            except Exception as error:  # the worker loop: what fails now may pass
                failures += 1
                rest = _AFTER_ERROR.delay(failures).total_seconds()
                TURNS_FAILED.labels(loop.crew or loop.name).inc()
                _tell(loop, error, failures=failures, rest=rest)
                self._stopping.wait(rest)
                continue
            if moved:
                pause = _FIRST_PAUSE
                for other in self._woken_by(loop):
                    other.woken.set()
                continue
            if loop.woken.wait(pause):
                self._stopping.wait(_AFTER_WAKING)
            else:
                pause = min(pause * 2, self._poll_seconds)

    def _woken_by(self, loop: Loop) -> Iterator[Loop]:
        crew = loop.crew or loop.name
        for other in self._loops:
            if other is not loop and other.wakeful and other.crew in ("", crew):
                yield other


def _tell(loop: Loop, error: Exception, *, failures: int, rest: float) -> None:
    if isinstance(error, DBAPIError | PoolTimeout):
        # The database is away or busy: its words say all, and they come often.
        why = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
        log.warning("turn_failed", loop=loop.name, failures=failures, again_in=round(rest, 1), why=why)
    else:
        log.exception("turn_failed", loop=loop.name, failures=failures, again_in=round(rest, 1))
