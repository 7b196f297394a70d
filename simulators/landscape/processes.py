"""The processes of the landscape: on free ports with generated passwords, watched, and all stopped at the end."""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

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
        while time.monotonic() < deadline:
            if self.running.poll() is not None:
                raise CannotStart(f"{self.name} ended with code {self.running.returncode}:\n{self.log_end()}")
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(self.ready_url, timeout=2.0, trust_env=False).status_code == 200:
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


def new_layout(folder: Path, *, database_url: str | None = None) -> Layout:
    """This will choose free ports and passwords; the database is a fresh SQLite file unless a URL is given."""
    mdus, sap, head_end = free_ports(3)
    return Layout(
        folder=folder,
        database_url=database_url or f"sqlite:///{folder / 'mdus.db'}",
        mdus_port=mdus,
        sap_port=sap,
        head_end_port=head_end,
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
    config = layout.folder / "config"
    config.mkdir(exist_ok=True)
    (config / "head_ends.toml").write_text(
        f"""[[head_ends]]
name = "meadow"
kind = "rest"
url = "{layout.head_end_url}"
user = "mdus"
password = "{layout.head_end_password}"
callback_url = "{layout.mdus_url}/head-ends/meadow"
callback_user = "meadow"
callback_password = "{layout.callback_password}"
ams_ids = ["AM01"]
time_zone = "{layout.time_zone}"
"""
    )
    settings = {
        "MDUS_CONFIG": str(config),
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


def sap_process(layout: Layout, *, seed: int, faults: str) -> Process:
    """This will describe the simulated SAP."""
    return Process(
        name="simulated SAP",
        command=[
            *(sys.executable, "-m", "simulators.sap_cis"),
            *("--port", str(layout.sap_port), "--seed", str(seed), "--faults", faults),
            *("--state", str(layout.folder / "sap.journal"), "--clock", f"{layout.mdus_url}/clock"),
            *("--mdus-url", layout.mdus_url, "--user", "sap", "--own-user", "mdus", "--system", "AM01"),
            *("--sender", "S4HANA", "--time-zone", layout.time_zone, "--truth-url", layout.head_end_url),
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
            *("--state", str(layout.folder / "head_end.journal"), "--clock", f"{layout.mdus_url}/clock"),
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


def _clean_environment() -> dict[str, str]:
    """Return this process's environment without settings of another MDUS, and with this code first on the path."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MDUS_")}
    here = str(Path(__file__).resolve().parents[2])
    kept["PYTHONPATH"] = os.pathsep.join(part for part in (here, kept.get("PYTHONPATH")) if part)
    return kept
