"""The processes of the landscape: on free ports with generated passwords, watched, and all stopped at the end."""

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from simulators.landscape.head_ends import Further, Share, shares

_PATIENCE_SECONDS = 60.0
_STOP_SECONDS = 15.0


class CannotStart(Exception):
    """A process of the landscape did not come up; the text says which and where its log is."""


@dataclass(slots=True)
class Process:
    """One running process: what it was started with, so that it can be killed and started again."""

    name: str
    command: list[str]
    environment: dict[str, str]
    log: Path
    ready_url: str
    running: subprocess.Popen[bytes] | None = None
    starts: int = 0

    def start(self) -> None:
        """This will start the process and return when it answers; raises CannotStart with the end of its log."""
        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C reaches us, and we stop what we started in order.
            self.running = subprocess.Popen(
                self.command,
                env=self.environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self.starts += 1
        deadline = time.monotonic() + _PATIENCE_SECONDS
        with httpx.Client(timeout=2.0, trust_env=False) as client:
            while time.monotonic() < deadline:
                if self.running.poll() is not None:
                    raise CannotStart(f"{self.name} ended with code {self.running.returncode}:\n{self.log_end()}")
                with contextlib.suppress(httpx.HTTPError):
                    if client.get(self.ready_url).status_code == 200:
                        return
                time.sleep(0.05)
        raise CannotStart(f"{self.name} does not answer at {self.ready_url}:\n{self.log_end()}")

    def check(self) -> None:
        """This will raise CannotStart if the process has ended by itself."""
        if self.running is not None and self.running.poll() is not None:
            raise CannotStart(f"{self.name} ended with code {self.running.returncode}:\n{self.log_end()}")

    def kill(self) -> None:
        """This will end the process and its children at once, as a power cut would."""
        self._signal(signal.SIGKILL)
        if self.running is not None:
            self.running.wait()

    def kill_alone(self) -> None:
        """This will end the process at once and leave its children to find out."""
        if self.running is not None:
            self.running.kill()
            self.running.wait()

    def stop(self) -> None:
        """This will ask the process to end, and end it if it does not."""
        if self.running is None or self.running.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self.running.terminate()
        try:
            self.running.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self.running.wait()
        # What a process leaves behind in its session ends with it.
        self._signal(signal.SIGKILL)

    def log_end(self, lines: int = 20) -> str:
        """This will return the last lines of the process's log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def _signal(self, number: signal.Signals) -> None:
        if self.running is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.running.pid, number)


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Addresses, files and passwords of one landscape, all generated."""

    folder: Path
    database_url: str
    mdus_port: int
    sap_port: int
    head_end_port: int
    shares: tuple[Share, ...] = ()  # of further head ends
    time_zone: str = "Europe/Berlin"
    sap_password: str = field(default_factory=lambda: secrets.token_urlsafe(18))
    mdus_password: str = field(default_factory=lambda: secrets.token_urlsafe(18))
    head_end_password: str = field(default_factory=lambda: secrets.token_urlsafe(18))
    callback_password: str = field(default_factory=lambda: secrets.token_urlsafe(18))

    @property
    def mdus_url(self) -> str:
        """The base URL of MDUS."""
        return f"http://127.0.0.1:{self.mdus_port}"

    @property
    def sap_url(self) -> str:
        """The base URL of the simulated SAP."""
        return f"http://127.0.0.1:{self.sap_port}"

    @property
    def head_end_url(self) -> str:
        """The base URL of the simulated head end."""
        return f"http://127.0.0.1:{self.head_end_port}"


def new_layout(
    folder: Path, *, database_url: str | None = None, further: Sequence[Further] = (), meters: int = 0, begin: int = 0
) -> Layout:
    """This will choose free ports and passwords; the database is a fresh SQLite file unless a URL is given.

    `further` head ends have shares of so many meters, which begin where `begin` says.
    """
    mdus, sap, head_end, *ports = free_ports(3 + len(further))
    return Layout(
        folder=folder,
        database_url=database_url or f"sqlite:///{folder / 'mdus.db'}",
        mdus_port=mdus,
        sap_port=sap,
        head_end_port=head_end,
        shares=shares(further, meters=meters, begin=begin, ports=ports),
    )


def free_ports(count: int) -> list[int]:
    """This will return ports nobody listens on, all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def mdus_process(layout: Layout, *, environment: Mapping[str, str] | None = None) -> Process:
    """This will describe MDUS: HTTP, workers and scheduler, on the steered clock."""
    write_head_ends(layout, [])
    settings = {
        "MDUS_CONFIG": str(_config(layout)),
        "MDUS_DATABASE__URL": layout.database_url,
        "MDUS_TIME_ZONE": layout.time_zone,
        "MDUS_AUTH__USER": "sap",
        "MDUS_AUTH__PASSWORD": layout.sap_password,
        "MDUS_AUTH__DEFAULT_SYSTEM": "S4HANA",
        "MDUS_CIS__URL": f"{layout.sap_url}/sap/{{interface}}",
        "MDUS_CIS__USER": "mdus",
        "MDUS_CIS__PASSWORD": layout.mdus_password,
        "MDUS_LOG__FORMAT": "json",
        "MDUS_WORKERS__POLL_SECONDS": "0.1",
        **(environment or {}),
    }
    return Process(
        name="MDUS",
        command=[
            *(sys.executable, "-m", "mdus", "serve"),
            *("--host", "127.0.0.1", "--port", str(layout.mdus_port), "--simulated-clock"),
        ],
        environment={**_clean_environment(), **settings},
        log=layout.folder / "mdus.log",
        ready_url=f"{layout.mdus_url}/readyz",
    )


def write_head_ends(layout: Layout, further: Sequence[Mapping[str, Any]]) -> None:
    """This will write config/head_ends.toml: the head end with most of the meters, and rows of `further`."""
    meadow = {"name": "meadow", "kind": "rest", "url": layout.head_end_url, "ams_ids": ["AM01"]}
    text = "\n".join(_row(layout, each) for each in (meadow, *further))
    (_config(layout) / "head_ends.toml").write_text(text)


def row_of(layout: Layout, share: Share) -> dict[str, Any]:
    """This will return the row of a further head end that runs: what the first line of its log says, and its name."""
    for line in _log(layout, share).read_text(errors="replace").splitlines():
        if line.startswith('{"listening"'):
            row: dict[str, Any] = json.loads(line)["head_end"]
            # So few meters need no calls side by side.
            return {**row, "name": share.head_end.name, "ams_ids": [share.head_end.ams_id], "calls": 1}
    raise CannotStart(f"the simulated head end {share.head_end.name} does not say what MDUS needs of it")


def _row(layout: Layout, row: Mapping[str, Any]) -> str:
    given = {
        **row,
        "user": "mdus",
        "password": layout.head_end_password,
        "callback_url": f"{layout.mdus_url}/head-ends/{row['name']}",
        "callback_user": row["name"],
        "callback_password": layout.callback_password,
        "time_zone": layout.time_zone,
    }
    return "[[head_ends]]\n" + "".join(f"{name} = {_toml(value)}\n" for name, value in given.items())


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        pairs = (f"{json.dumps(name)} = {_toml(each)}" for name, each in value.items() if each is not None)
        return "{ " + ", ".join(pairs) + " }"
    return json.dumps(value)


def _config(layout: Layout) -> Path:
    folder = layout.folder / "config"
    folder.mkdir(exist_ok=True)
    return folder


def start_all(processes: Sequence[Process]) -> None:
    """This will start processes side by side; raises CannotStart for the first that does not come up."""
    if processes:
        with ThreadPoolExecutor(len(processes)) as pool:
            list(pool.map(Process.start, processes))


def sap_process(layout: Layout, *, seed: int, faults: str) -> Process:
    """This will describe the simulated SAP."""
    return Process(
        name="simulated SAP",
        command=[
            *(sys.executable, "-m", "simulators.sap_cis"),
            *("--port", str(layout.sap_port), "--seed", str(seed), "--faults", faults),
            *("--state", str(layout.folder / "sap.journal"), "--clock", f"{layout.mdus_url}/clock/rate"),
            *("--mdus-url", layout.mdus_url, "--user", "sap", "--own-user", "mdus", "--system", "AM01"),
            *("--sender", "S4HANA", "--time-zone", layout.time_zone, "--truth-url", layout.head_end_url),
            *(part for each in layout.shares for part in ("--truth-url", f"{each.head_end.ams_id}={each.url}")),
            *("--parent", str(os.getpid())),
        ],
        environment={
            **_clean_environment(),
            "SAP_CIS_PASSWORD": layout.sap_password,
            "SAP_CIS_OWN_PASSWORD": layout.mdus_password,
        },
        log=layout.folder / "sap.log",
        ready_url=f"{layout.sap_url}/control/activity",
    )


def head_end_process(
    layout: Layout, *, seed: int, meters: int, faults: str, latency: float = 3.0, profiles: str = "model"
) -> Process:
    """This will describe the simulated head end with its meters, which tell interval values as `profiles` says."""
    return Process(
        name="simulated head end",
        command=[
            *(sys.executable, "-m", "simulators.headend_rest"),
            *("--port", str(layout.head_end_port), "--seed", str(seed), "--meters", str(meters), "--faults", faults),
            *("--state", str(layout.folder / "head_end.journal"), "--clock", f"{layout.mdus_url}/clock/rate"),
            *("--callback-url", f"{layout.mdus_url}/head-ends/meadow", "--user", "mdus"),
            *("--callback-user", "meadow", "--time-zone", layout.time_zone, "--latency", str(latency)),
            *("--profiles", profiles, "--parent", str(os.getpid())),
        ],
        environment={
            **_clean_environment(),
            "HEADEND_REST_PASSWORD": layout.head_end_password,
            "HEADEND_REST_CALLBACK_PASSWORD": layout.callback_password,
        },
        log=layout.folder / "head_end.log",
        ready_url=f"{layout.head_end_url}/control/activity",
    )


def further_process(layout: Layout, share: Share, *, seed: int, latency: float = 3.0) -> Process:
    """This will describe a further simulated head end; nothing goes wrong there."""
    head_end = share.head_end
    prefix = f"HEADEND_{head_end.kind.upper()}"
    return Process(
        name=f"simulated head end {head_end.name} ({head_end.kind})",
        command=[
            *(sys.executable, "-m", f"simulators.headend_{head_end.kind}", *head_end.options),
            *("--port", str(share.port), "--seed", str(seed)),
            *("--first", str(share.first), "--meters", str(share.meters)),
            *("--state", str(layout.folder / f"{head_end.name}.journal"), "--clock", f"{layout.mdus_url}/clock/rate"),
            *("--callback-url", f"{layout.mdus_url}/head-ends/{head_end.name}", "--user", "mdus"),
            *("--callback-user", head_end.name, "--time-zone", layout.time_zone, "--latency", str(latency)),
            *("--failure-rate", "0", "--event-rate", "0", "--profiles", "daily", "--parent", str(os.getpid())),
        ],
        environment={
            **_clean_environment(),
            f"{prefix}_PASSWORD": layout.head_end_password,
            f"{prefix}_CALLBACK_PASSWORD": layout.callback_password,
        },
        log=_log(layout, share),
        ready_url=f"{share.url}/control/activity",
    )


def _log(layout: Layout, share: Share) -> Path:
    return layout.folder / f"{share.head_end.name}.log"


def _clean_environment() -> dict[str, str]:
    """Return this process's environment without settings of another MDUS, and with this code first on the path."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MDUS_")}
    here = str(Path(__file__).resolve().parents[2])
    kept["PYTHONPATH"] = os.pathsep.join(part for part in (here, kept.get("PYTHONPATH")) if part)
    return kept
