"""Our own service with a simulated head end on loopback, put through the conformance tester: all real processes."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from simulators.landscape.processes import Process, free_ports

CHECKOUT = Path(__file__).parents[2]

#: The SAP systems played: one that gets bulks where MDUS starts a message, and one that wants single messages.
BULKS, SINGLES = "CONFORM", "CONFORM1"

_METERS = 400
_ZONE = "Europe/Berlin"


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnService:
    """Where everything is, and with which passwords."""

    folder: Path
    mdus: str
    head_end: str
    listen: str
    password: str = field(default_factory=lambda: secrets.token_urlsafe(18))
    own_password: str = field(default_factory=lambda: secrets.token_urlsafe(18))
    head_end_password: str = field(default_factory=lambda: secrets.token_urlsafe(18))

    def test(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the tester against the service, from the command line."""
        trigger = f"{sys.executable} -m simulators.conformance.headend_rest --url {self.head_end}"
        return subprocess.run(
            [
                *(sys.executable, "-m", "mdus", "conformance", "--url", self.mdus, "--listen", self.listen),
                *("--system", BULKS, "--single-system", SINGLES, "--timeout", "40", "--trigger", trigger),
                *("--user", "sap", "--own-user", "mdus", "--time-zone", _ZONE),
                *arguments,
            ],
            env={
                **_environment(),
                "CONFORMANCE_PASSWORD": self.password,
                "CONFORMANCE_OWN_PASSWORD": self.own_password,
            },
            cwd=self.folder,
            text=True,
            capture_output=True,
            timeout=340,
            check=False,
        )


@contextmanager
def own_service(folder: Path) -> Iterator[OwnService]:
    """Run MDUS and a head end while the block lasts, on a fresh SQLite file in the folder."""
    mdus, head_end, listen = free_ports(3)
    service = OwnService(
        folder=folder,
        mdus=f"http://127.0.0.1:{mdus}",
        head_end=f"http://127.0.0.1:{head_end}",
        listen=f"127.0.0.1:{listen}",
    )
    with ExitStack() as stack:
        for process in (_head_end(service), _mdus(service)):
            stack.callback(process.stop)
            process.start()
        stack.enter_context(_uploading(service))
        yield service


def _mdus(service: OwnService) -> Process:
    (service.folder / "settings.toml").write_text(
        f"""time_zone = "{_ZONE}"

[cis]
url = "http://{service.listen}/{{interface}}"
user = "mdus"
password = "{service.own_password}"

[workers]
poll_seconds = 0.1

[[head_ends]]
name = "meadow"
kind = "rest"
url = "{service.head_end}"
user = "mdus"
password = "{service.head_end_password}"
callback_url = "{service.mdus}/head-ends/meadow"
callback_user = "meadow"
callback_password = "{service.head_end_password}"
ams_ids = ["AM01"]

[[senders]]
name = "singles"
user = "sap1"
password = "{service.password}1"
systems = ["{SINGLES}"]
default_system = "{SINGLES}"
single_services = ["UtilitiesDeviceERPSmartMeterRegisteredNotification"]

[[senders]]
name = "bulks"
user = "sap"
password = "{service.password}"
systems = ["{BULKS}", "{SINGLES}"]
default_system = "{BULKS}"
"""
    )
    return Process(
        name="MDUS",
        command=[sys.executable, "-m", "mdus", "serve", "--port", service.mdus.rpartition(":")[2]],
        environment=_settings(service),
        log=service.folder / "mdus.log",
        ready_url=f"{service.mdus}/readyz",
    )


@contextmanager
def _uploading(service: OwnService) -> Iterator[None]:
    """Have interval values uploaded soon while the block lasts."""
    with (service.folder / "uploading.log").open("ab") as log:
        running = subprocess.Popen(
            [sys.executable, "-m", "tests.conformance.uploading"], env=_settings(service), stdout=log, stderr=log
        )
        try:
            yield
        finally:
            running.terminate()
            running.wait()


def _settings(service: OwnService) -> dict[str, str]:
    return {
        **_environment(),
        "MDUS_CONFIG": str(service.folder),
        "MDUS_DATABASE__URL": f"sqlite:///{service.folder / 'mdus.db'}",
        "MDUS_LOG__FORMAT": "json",
    }


def _head_end(service: OwnService) -> Process:
    return Process(
        name="simulated head end",
        command=[
            *(sys.executable, "-m", "simulators.headend_rest", "--port", service.head_end.rpartition(":")[2]),
            *("--meters", str(_METERS), "--failure-rate", "0", "--latency", "0.1", "--user", "mdus"),
            *("--callback-url", f"{service.mdus}/head-ends/meadow", "--callback-user", "meadow"),
            # Meters are heard when the tester says so, not by themselves.
            *("--hear-delay", "86400", "--time-zone", _ZONE, "--parent", str(os.getpid())),
        ],
        environment={
            **_environment(),
            "HEADEND_REST_PASSWORD": service.head_end_password,
            "HEADEND_REST_CALLBACK_PASSWORD": service.head_end_password,
        },
        log=service.folder / "head_end.log",
        ready_url=f"{service.head_end}/control/activity",
    )


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MDUS_")}
    kept["PYTHONPATH"] = os.pathsep.join(part for part in (str(CHECKOUT), kept.get("PYTHONPATH")) if part)
    return kept
