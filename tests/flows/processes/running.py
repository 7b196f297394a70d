"""Real `mdus` processes of a test: started with settings of their own, read by their log, ended whatever happens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

PATIENCE_SECONDS = 60.0


def until(condition: Callable[[], T | None], *, what: str, seconds: float = PATIENCE_SECONDS) -> T:
    """Return what `condition` returns once that is true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        threading.Event().wait(0.05)
    raise AssertionError(f"not within {seconds} seconds: {what}")


class Mdus:
    """One process `mdus ...`, whose log lines are read as JSON."""

    def __init__(self, *arguments: str, folder: Path, name: str = "mdus", **settings: str) -> None:
        self.log = folder / f"{name}.log"
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("MDUS_", "PROMETHEUS_"))}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mdus", *arguments],
                env={**kept, "MDUS_LOG__FORMAT": "json", "MDUS_WORKERS__POLL_SECONDS": "0.1", **settings},
                cwd=folder,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the log lines with this event."""
        found = []
        for line in self.log.read_text(errors="replace").splitlines():
            if line.startswith("{"):
                event = json.loads(line)
                if event.get("event") == name:
                    found.append(event)
        return found

    def event(self, name: str, *, count: int = 1) -> dict[str, Any]:
        """Return the log line with this event, the `count`-th, once it is there."""

        def last() -> dict[str, Any] | None:
            found = self.events(name)
            if len(found) >= count:
                return found[count - 1]
            if self.process.poll() is not None:
                raise AssertionError(f"ended with {self.process.returncode}:\n{self.log.read_text()}")
            return None

        return until(last, what=f"{name} in:\n{self.log}")

    @property
    def url(self) -> str:
        """The address it serves, once it does."""
        return str(self.event("mdus_serves")["url"])

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_SECONDS)

    def clear(self) -> None:
        """End whatever is left of the process and its children."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def mdus(*arguments: str, folder: Path, name: str = "mdus", **settings: str) -> Iterator[Mdus]:
    """Run `mdus ...` while the block lasts."""
    running = Mdus(*arguments, folder=folder, name=name, **settings)
    try:
        yield running
    finally:
        running.clear()


def is_running(pid: int) -> bool:
    """Tell whether a process of this id still runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A child nobody has waited for yet answers signals too.
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()


@contextmanager
def sap() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """Take in what MDUS sends to SAP while the block lasts; yields the URL and (interface, body) of each message."""
    received: list[tuple[str, bytes]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the name http.server asks for
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((self.path.removeprefix("/"), body))
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/{{interface}}", received
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
