"""A simulated SAP at a fixed instant, and an HTTP receiver that serves the contract files and keeps what is posted."""

import base64
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from simulators.clock import Clock
from simulators.sap_cis.business import Business
from simulators.sap_cis.cis import Cis, Options
from simulators.sap_cis.contract import Contract, contract_folder
from simulators.sap_cis.faults import Faults, chosen
from simulators.sap_cis.journal import Journal

NOW = datetime(2026, 3, 28, 10, 0, tzinfo=UTC)  # the day before the clocks go forward in Berlin
METERS = [
    {
        "serial": f"000000123{number}",
        "material": "LX100",
        "commodity": "electricity",
        "registers": [
            {"obis": "1-0:1.8.0*255", "unit": "kWh", "digits": 6, "decimals": 2},
            {"obis": "1-0:1.8.1*255", "unit": "kWh", "digits": 6, "decimals": 2},
        ],
    }
    for number in range(3)
]
CHANNEL = {"obis": "1-0:1.29.0*255", "unit": "kWh", "interval_minutes": 15, "factor": "20"}


def wait_for(condition: Callable[[], Any], *, seconds: float = 20.0) -> Any:
    """This will return the condition's value once it is true; AssertionError if it never is."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "the condition never held"
        threading.Event().wait(0.02)
    return value


def make_cis(*, faults: str = "", state: Path | None = None, **options: Any) -> Cis:
    """This will return a simulated SAP whose clock stands at `NOW`."""
    return Cis(
        options=Options(zone=ZoneInfo("Europe/Berlin"), mdus_system="MDUS", **options),
        contract=Contract(contract_folder()),
        journal=Journal(state),
        clock=Clock(real=lambda: NOW),
        faults=Faults(chosen(faults)),
    )


@pytest.fixture
def cis() -> Cis:
    """A simulated SAP that knows nothing yet."""
    return make_cis()


@pytest.fixture
def business(cis: Cis) -> Business:
    """The people at `cis`."""
    return Business(cis)


@dataclass
class Recorder:
    """What a receiver was posted, and how it answers: the next of `script`, else 202 with nothing."""

    url: str
    posted: list[tuple[str, bytes, str]] = field(default_factory=list)  # interface, body, soapAction
    script: list[tuple[int, bytes] | str] = field(default_factory=list)
    on_post: Callable[[str, bytes], None] | None = None

    def of(self, word: str) -> list[bytes]:
        """This will return the bodies posted to interfaces with this word in their name."""
        return [body for interface, body, _ in list(self.posted) if word in interface]


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    """A receiver on loopback that serves wsdl/ and xsd/ and wants the credentials sap:secret."""
    folder = contract_folder()
    wanted = "Basic " + base64.b64encode(b"sap:secret").decode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            return

        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            name = path.rpartition("/")[2]
            file = folder / "wsdl" / f"{name}.wsdl" if query == "wsdl" else folder / "xsd" / name
            if self.headers.get("Authorization") != wanted:
                self._answer(401, b"")
            elif not file.is_file():
                self._answer(404, b"")
            else:
                self._answer(200, file.read_bytes().replace(b"http://localhost/sap", f"{kept.url}/sap".encode()))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            interface = self.path.rpartition("/")[2]
            assert self.headers.get("Authorization") == wanted
            kept.posted.append((interface, body, self.headers["SOAPAction"]))
            answer = kept.script.pop(0) if kept.script else (202, b"")
            if isinstance(answer, str):
                self.close_connection = True
                return
            self._answer(*answer)
            if kept.on_post is not None and answer[0] == 202:
                kept.on_post(interface, body)

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    kept = Recorder(url=f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield kept
    server.shutdown()
    server.server_close()


@dataclass
class Process:
    """A running `python -m simulators.sap_cis`: its address and a client with MDUS's credentials."""

    url: str
    popen: subprocess.Popen[str]

    def post(self, interface: str, body: bytes, *, password: str = "right") -> httpx.Response:
        """This will post a message as MDUS does."""
        headers = {"Content-Type": "text/xml; charset=utf-8"}
        auth = ("mdus", password)
        return httpx.post(f"{self.url}/sap/{interface}", content=body, headers=headers, auth=auth, trust_env=False)

    def control(self, name: str, command: dict[str, Any] | None = None) -> Any:
        """This will look at /control/<name>, or give a command."""
        if command is None:
            answer = httpx.get(f"{self.url}/control/{name}", trust_env=False)
        else:
            answer = httpx.post(f"{self.url}/control/{name}", json=command, trust_env=False)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def kill(self) -> None:
        """This will end the process as a power cut would."""
        self.popen.kill()
        self.popen.wait()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts simulators: start(mdus_url, "--faults", "...")."""
    clock = tmp_path / "clock.json"
    clock.write_text(json.dumps({"anchor": NOW.isoformat(), "epoch": NOW.isoformat(), "speed": 0.0}))
    started: list[Process] = []

    def launch(mdus_url: str, *options: str) -> Process:
        command = [sys.executable, "-m", "simulators.sap_cis", "--port", "0", "--mdus-url", mdus_url]
        command += ["--password", "secret", "--own-password", "right", "--mdus-system", "MDUS", "--clock", str(clock)]
        command += ["--parent", str(os.getpid())]
        popen = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True)
        assert popen.stdout is not None
        process = Process(url=json.loads(popen.stdout.readline())["listening"], popen=popen)
        started.append(process)
        return process

    yield launch
    for process in started:
        process.kill()
