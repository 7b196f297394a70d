"""A real head end process, a clock file it follows, and a real receiver of its pushes."""

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from simulators.clock import real_now, stamp

PATIENCE = 20.0  # real seconds until a test gives up waiting
START = datetime(2026, 3, 27, 10, 0, tzinfo=UTC)  # the Friday before summer time begins in Berlin


class Receiver:
    """The client's side of the pushes: keeps every one, answers by a script, then 200."""

    def __init__(self) -> None:
        self.pushes: list[tuple[str, dict[str, Any]]] = []
        self.answers: list[int] = []  # consumed first
        self.refused = 0
        self.user = ("head-end", "callback-secret")
        self._changed = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status = receiver.take(self.path, body, self.headers.get("Authorization", ""))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/head-ends/city"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def take(self, path: str, body: dict[str, Any], authorization: str) -> int:
        with self._changed:
            wanted = "Basic " + base64.b64encode(":".join(self.user).encode()).decode()
            status = 401 if authorization != wanted else self.answers.pop(0) if self.answers else 200
            if status == 200:
                self.pushes.append((path, body))
            else:
                self.refused += 1
            self._changed.notify_all()
            return status

    def wait(self, topic: str, condition: Callable[[list[dict[str, Any]]], bool] = bool) -> list[dict[str, Any]]:
        """Wait until the pushes of a topic fulfil the condition, and return them."""
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self.of(topic)), PATIENCE), self.pushes
            return self.of(topic)

    def of(self, topic: str) -> list[dict[str, Any]]:
        return [body for path, body in self.pushes if path == f"/head-ends/city/{topic}"]

    def results(self, *, count: int = 1) -> dict[str, dict[str, Any]]:
        """Wait for this many results, and return them by reference."""

        def found() -> dict[str, dict[str, Any]]:
            return {result["reference"]: result for push in self.of("results") for result in push["results"]}

        self.wait("results", lambda _: len(found()) >= count)
        return found()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class RunningHeadEnd:
    """The process, its API, and the clock it follows, which stands until a test moves it."""

    def __init__(self, folder: Path, receiver: Receiver, *options: str) -> None:
        self.receiver = receiver
        self.now = START
        self._clock = folder / "clock.json"
        self._write_clock()
        defaults = {
            "--port": "0",
            "--meters": "20",
            "--password": "secret",
            "--callback-user": receiver.user[0],
            "--callback-password": receiver.user[1],
            "--callback-url": receiver.url,
            "--clock": str(self._clock),
            "--latency": "0",
            "--hear-delay": "0",
            "--failure-rate": "0",
            "--event-rate": "0",
            "--state": str(folder / "state.jsonl"),
            "--parent": str(os.getpid()),
        }
        given = dict(zip(options[::2], options[1::2], strict=True))
        self.state_file = Path((defaults | given)["--state"])
        self._command = [sys.executable, "-m", "simulators.headend_rest"]
        self._command += [part for pair in (defaults | given).items() for part in pair]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        first_line = json.loads(self.process.stdout.readline())
        self.row = first_line["head_end"]
        self.api = httpx.Client(
            base_url=first_line["listening"], auth=("mdus", "secret"), timeout=PATIENCE, trust_env=False
        )

    def kill(self) -> None:
        """SIGKILL: no chance to tidy up."""
        self.api.close()
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def advance_to(self, now: datetime) -> None:
        self.now = now
        self._write_clock()

    def advance(self, **delta: float) -> None:
        self.advance_to(self.now + timedelta(**delta))

    def _write_clock(self) -> None:
        draft = self._clock.with_suffix(".draft")
        draft.write_text(json.dumps({"anchor": stamp(real_now()), "epoch": stamp(self.now), "speed": 0.0}))
        draft.replace(self._clock)

    def get(self, path: str, **parameters: str) -> Any:
        return self.api.get(path, params=parameters).raise_for_status().json()

    def control(self, path: str, **body: Any) -> Any:
        answer = self.api.post(f"/control/{path}", json=body).raise_for_status()
        return answer.json() if answer.content else None

    def meters(self, material: str | None = None) -> list[dict[str, Any]]:
        return [meter for meter in self.get("/control/meters")["meters"] if material in (None, meter["material"])]

    def submit(self, kind: str, *devices: dict[str, Any], **members: Any) -> httpx.Response:
        body = {"correlation_id": str(uuid4()), "kind": kind, "devices": list(devices)} | members
        return self.api.post("/v1/jobs", json=body)

    def provision(self, *meters: dict[str, Any], channels: bool = False) -> None:
        """Provision these meters (default: all), with interval registers or without, and wait until all are heard."""
        chosen = meters or self.meters()
        orders = [
            {
                "serial": meter["serial"],
                "reference": f"provision-{meter['serial']}",
                "device_id": f"{int(meter['serial']):018d}",
                "commodity": meter["commodity"],
                "registers": meter["registers"] + (meter["channels"] if channels else []),
            }
            for meter in chosen
        ]
        assert self.submit("provision", *orders).status_code == 202
        wanted = {meter["serial"] for meter in chosen}

        def all_heard(pushes: list[dict[str, Any]]) -> bool:
            return wanted <= {meter["serial"] for push in pushes for meter in push["meters"]}

        self.receiver.wait("heard", all_heard)
        self.idle()

    def idle(self) -> dict[str, Any]:
        """Wait until nothing is in flight, and return what is next."""
        deadline = threading.Event()
        for _ in range(int(PATIENCE / 0.01)):
            activity: dict[str, Any] = self.get("/control/activity")
            if activity["in_flight"] == 0:
                return activity
            deadline.wait(0.01)
        raise AssertionError(activity)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def run(tmp_path: Path, receiver: Receiver) -> Iterator[Callable[..., RunningHeadEnd]]:
    """Starts head ends with options given as "--name", "value", ...; ends them after the test."""
    running: list[RunningHeadEnd] = []

    def start(*options: str) -> RunningHeadEnd:
        running.append(RunningHeadEnd(tmp_path, receiver, *options))
        return running[-1]

    yield start
    for head_end in running:
        head_end.kill()


@pytest.fixture
def head_end(run: Callable[..., RunningHeadEnd]) -> RunningHeadEnd:
    """A head end of 20 meters that answers at once and never fails by itself."""
    return run()
