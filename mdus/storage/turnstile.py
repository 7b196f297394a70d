"""Whose turn it is to write a SQLite file, among all threads and processes that do.

SQLite lets a writer that finds the file locked try again after growing pauses. A process that writes one transaction
after the other leaves gaps of microseconds between them, and whoever pauses misses them for seconds: an HTTP process
would keep SAP waiting as long as the worker has work. So a writer passes a turnstile first: while it waits for its turn
nobody gets in before it.
"""

from __future__ import annotations

import fcntl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Final

#: Between two looks whether it is our turn; a transaction takes tens of milliseconds.
_LOOK_SECONDS: Final = 0.001


class Turnstile:
    """Two locks on files beside the database: who is next, and who writes. They end with the process that holds them.

    After `patience` seconds a writer goes on without its turn: SQLite then says what is wrong. Without a path (a
    database in memory) only the threads of this process take turns.
    """

    def __init__(self, database: Path | None, *, patience: float) -> None:
        self._paths = (Path(f"{database}.next"), Path(f"{database}.writer")) if database else ()
        self._patience = patience
        self._thread = threading.Lock()
        self._files: list[IO[str]] = []

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for the turn of this thread and keep it for the block."""
        with self._thread, ExitStack() as held:
            if self._paths:
                following, writing = self._opened()
                deadline = time.monotonic() + self._patience
                with ExitStack() as queued:
                    if _lock(following, deadline):
                        queued.callback(fcntl.flock, following, fcntl.LOCK_UN)
                    if _lock(writing, deadline):
                        held.callback(fcntl.flock, writing, fcntl.LOCK_UN)
            yield

    def close(self) -> None:
        """Let go of the files; a turn opens them again."""
        with self._thread:
            for file in self._files:
                file.close()
            self._files.clear()

    def _opened(self) -> list[IO[str]]:
        if not self._files:
            self._files += [path.open("a") for path in self._paths]
        return self._files


def _lock(file: IO[str], deadline: float) -> bool:
    """Wait until the file is ours; tell whether it was before the deadline."""
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_LOOK_SECONDS)
        else:
            return True
