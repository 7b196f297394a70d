"""The simulated head ends of the shared suite: one class per kind, all with the same few verbs."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date, datetime
from pathlib import Path
from typing import Any, Protocol

import httpx

from simulators.clock import real_now, stamp

CALLBACK = ("city-callback", "callback-secret")


class SimulatedHeadEnd(Protocol):
    """What the suite asks of a simulated head end, whatever it speaks."""

    url: str

    def set_clock(self, now: datetime) -> None:
        """Let its time stand at an instant."""

    def meters(self) -> list[dict[str, Any]]:
        """Return its meters: serial, has_breaker, registers (that count), channels (interval registers)."""

    def breaker(self, serial: str) -> str:
        """Return the true position of a breaker."""

    def true_value(self, serial: str, reading_type: str, at: datetime) -> str:
        """Return what a register truly shows at an instant."""

    def true_intervals(self, serial: str, reading_type: str, day: date) -> list[str]:
        """Return what truly passed in the ended intervals of a local day."""

    def spoil(self, serial: str, kind: str, begin: datetime, end: datetime) -> None:
        """Let interval values be `gap` (not collected, the meter has them), `lost`, `late` or `revised`."""

    def raise_event(self, serial: str, code: str) -> None:
        """Let a meter tell an event now."""

    def storm(self, meters: int) -> None:
        """Let so many meters lose power within a minute, and have it back minutes later."""

    def switches(self) -> list[tuple[int, int]]:
        """Return, per switch command it was told, how often it was received and executed."""

    def script(self, serial: str, kind: str, *outcomes: str) -> None:
        """Make the next commands to a meter end as told."""

    def arm(self, fault: str) -> None:
        """Make a fault fire at its next opportunity."""

    def hear(self, *serials: str) -> None:
        """Let meters communicate for the first time, now."""

    def snapshot(self, at: datetime) -> None:
        """Push the registers as they stood at an instant."""

    def kill(self) -> None:
        """End it without warning."""

    def start(self) -> None:
        """Start it, again with what it remembered."""


class Rest:
    """The kind `rest`: python -m simulators.headend_rest."""

    def __init__(self, folder: Path, *, callback_url: str, now: datetime) -> None:
        self._clock = folder / "clock.json"
        self.set_clock(now)
        options = {
            "--port": "0",
            "--meters": "12",
            "--password": "secret",
            "--callback-user": CALLBACK[0],
            "--callback-password": CALLBACK[1],
            "--callback-url": callback_url,
            "--clock": str(self._clock),
            "--latency": "0",
            "--hear-delay": "60",
            "--failure-rate": "0",
            "--event-rate": "0",
            "--state": str(folder / "head_end.jsonl"),
        }
        self._command = [sys.executable, "-m", "simulators.headend_rest"]
        self._command += [part for pair in options.items() for part in pair]
        self._port = "0"
        self.start()

    def start(self) -> None:
        command = [*self._command, "--port", self._port]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = json.loads(self._process.stdout.readline())["listening"]
        self._port = self.url.rpartition(":")[2]
        self._api = httpx.Client(base_url=self.url, timeout=30, trust_env=False)

    def kill(self) -> None:
        self._api.close()
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def set_clock(self, now: datetime) -> None:
        draft = self._clock.with_suffix(".draft")
        draft.write_text(json.dumps({"anchor": stamp(real_now()), "epoch": stamp(now), "speed": 0.0}))
        draft.replace(self._clock)

    def meters(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._get("meters")["meters"]
        return found

    def breaker(self, serial: str) -> str:
        return str(self._get("switches")[serial]["state"])

    def true_value(self, serial: str, reading_type: str, at: datetime) -> str:
        return str(self._get("true", serial=serial, obis=reading_type, at=stamp(at))["shown"])

    def true_intervals(self, serial: str, reading_type: str, day: date) -> list[str]:
        channels = self._get("intervals", serial=serial, day=day.isoformat())["channels"]
        return next(list(channel["values"]) for channel in channels if channel["obis"] == reading_type)

    def spoil(self, serial: str, kind: str, begin: datetime, end: datetime) -> None:
        self._post("irregular", {"serial": serial, "kind": kind, "from": stamp(begin), "to": stamp(end)})

    def raise_event(self, serial: str, code: str) -> None:
        self._post("event", {"serial": serial, "code": code})

    def storm(self, meters: int) -> None:
        self._post("storm", {"meters": meters})

    def switches(self) -> list[tuple[int, int]]:
        return [(count["received"], count["executed"]) for count in self._get("switch_counts").values()]

    def script(self, serial: str, kind: str, *outcomes: str) -> None:
        self._post("script", {"serial": serial, "kind": kind, "outcomes": list(outcomes)})

    def arm(self, fault: str) -> None:
        self._post("faults", {"name": fault, "times": 1})

    def hear(self, *serials: str) -> None:
        self._post("hear", {"serials": list(serials)})

    def snapshot(self, at: datetime) -> None:
        self._post("snapshot", {"at": stamp(at)})

    def _get(self, path: str, **query: str) -> Any:
        return self._api.get(f"/control/{path}", params=query).raise_for_status().json()

    def _post(self, path: str, body: dict[str, Any]) -> None:
        self._api.post(f"/control/{path}", json=body).raise_for_status()


#: Every kind of head end there is, by its name in config/head_ends.toml.
KINDS: dict[str, Any] = {"rest": Rest}
