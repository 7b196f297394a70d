"""Child processes that are started, watched, started again when they end, and ended in good order."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

log = structlog.get_logger(__name__)

_LOOK_SECONDS: Final = 0.1

#: A child that ends this soon after its start is started again after a pause, doubled each time.
_TOO_SOON_SECONDS: Final = 10.0
_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 30.0


@dataclass(slots=True)
class _Child:
    name: str
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    start_at: float = 0.0
    pause: float = _FIRST_PAUSE


class Children:
    """A number of equal child processes, kept running by a thread until `stop`."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        count: int,
        environ: Mapping[str, str],
        ended: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Take what to start; `ended` is told the process id of each child that has ended."""
        self._command = tuple(command)
        self._environ = dict(environ)
        self._ended = ended
        self._children = [_Child(f"worker {number}") for number in range(1, count + 1)]
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._watch = threading.Thread(target=self._watch_all, name="children", daemon=True)

    def start(self) -> None:
        """Start all children and the watch over them."""
        for child in self._children:
            self._start(child)
        self._watch.start()

    @property
    def process_ids(self) -> list[int]:
        """The ids of the children that run now."""
        return [child.process.pid for child in self._children if child.process and child.process.poll() is None]

    def ask_to_end(self) -> None:
        """Ask all children to end after their present turn, and start none again."""
        self._stopping.set()
        with self._lock:
            for child in self._children:
                if child.process is not None and child.process.poll() is None:
                    child.process.terminate()

    def stop(self, *, seconds: float) -> None:
        """Ask all children to end, wait at most so long, then end what is left."""
        self.ask_to_end()
        deadline = time.monotonic() + seconds
        for child in self._children:
            if child.process is None:
                continue
            try:
                child.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.warning("worker_killed", worker=child.name, pid=child.process.pid)
                child.process.kill()
                child.process.wait()
        if self._watch.is_alive():
            self._watch.join()

    def _watch_all(self) -> None:
        while not self._stopping.wait(_LOOK_SECONDS):
            for child in self._children:
                self._look_at(child)

    def _look_at(self, child: _Child) -> None:
        now = time.monotonic()
        if child.process is None:
            if now >= child.start_at:
                self._start(child)
            return
        code = child.process.poll()
        if code is None:
            return
        soon = now - child.started_at < _TOO_SOON_SECONDS
        child.pause = min(child.pause * 2, _LONGEST_PAUSE) if soon else _FIRST_PAUSE
        child.start_at = now + child.pause
        log.error("worker_ended", worker=child.name, pid=child.process.pid, code=code, again_in=child.pause)
        self._ended(child.process.pid)
        child.process = None

    def _start(self, child: _Child) -> None:
        with self._lock:
            if self._stopping.is_set():
                return
            child.process = subprocess.Popen(self._command, env=self._environ, stdin=subprocess.DEVNULL)
        child.started_at = time.monotonic()
        log.info("worker_started", worker=child.name, pid=child.process.pid)
