"""The simulated head ends of the shared suite: every folder simulators/headend_<kind>, in each of its variants."""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

import httpx

import simulators
from mdus.bootstrap.discovery import discover
from mdus.domain.head_end import HeadEndKind, SilentHeadEnd
from simulators.clock import real_now, stamp
from simulators.fleet.face import Kind
from simulators.fleet.process import arguments

CALLBACK = ("city-callback", "callback-secret")

_PREFIX = "headend_"

#: The fault of all that speak TLS.
_OF_TLS = "tls_certificate_rollover"


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way to run a simulated head end, and what MDUS's side of it can do."""

    kind: str  # as in config/head_ends.toml
    name: str  # empty where there is one only
    options: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.kind}-{self.name}" if self.name else self.kind

    @property
    def ours(self) -> HeadEndKind:
        """The kind as MDUS has it."""
        return discover().kinds[self.kind]

    @property
    def program(self) -> str | None:
        """The program its simulator needs beside Python, if any."""
        programs: dict[str, str] = getattr(self._package, "PROGRAMS", {})
        return programs.get(self.name)

    @property
    def tells_of_concentrators(self) -> bool:
        """Whether MDUS learns from it which meters are behind which concentrator."""
        return bool(getattr(self._package, "TELLS_OF_CONCENTRATORS", False))

    @property
    def strays(self) -> frozenset[str]:
        """The faults its simulator has of its own that make one delivery unreadable, or one that belongs nowhere."""
        names: frozenset[str] = getattr(self._module("faults"), "STRAYS", frozenset())
        return names

    @property
    def faults(self) -> frozenset[str]:
        """The faults its simulator can have."""
        return _faults_of(self)

    @property
    def speaks_http(self) -> bool:
        """Whether it is called by HTTP, and may speak TLS."""
        return self.simulator.speaks_http

    @property
    def simulator(self) -> Kind:
        """What its simulator says of itself."""
        kind: Kind = self._module("__main__").KIND
        return kind

    @property
    def _package(self) -> ModuleType:
        return importlib.import_module(f"simulators.{_PREFIX}{self.kind}")

    def _module(self, name: str) -> ModuleType:
        return importlib.import_module(f"{self._package.__name__}.{name}")

    def fetches(self, what: str) -> bool:
        """Tell whether MDUS can ask for `snapshots`, `intervals`, `events`, `meters`, or `find` a call it has lost."""
        adapter = get_type_hints(self.ours.connect)["return"]
        return getattr(adapter, what) is not getattr(SilentHeadEnd, what)


@cache
def _faults_of(variant: Variant) -> frozenset[str]:
    kind = variant.simulator
    table = kind.faults_with(arguments(kind).parse_args(variant.options))
    return frozenset(table) | ({_OF_TLS} if variant.speaks_http else frozenset())


@cache
def variants() -> tuple[Variant, ...]:
    """Return every variant of every simulated head end."""
    return tuple(_variants())


def _variants() -> Iterator[Variant]:
    for module in pkgutil.iter_modules(simulators.__path__):
        if module.name.startswith(_PREFIX):
            named: dict[str, list[str]] = importlib.import_module(f"simulators.{module.name}").VARIANTS
            for name, options in named.items():
                yield Variant(kind=module.name.removeprefix(_PREFIX), name=name, options=tuple(options))


class SimulatedHeadEnd:
    """A simulated head end in a process of its own, steered by the control API that all have.

    `row` is what its first line says MDUS has to be told of it.
    """

    def __init__(self, variant: Variant, folder: Path, *, callback_url: str, now: datetime, **options: str) -> None:
        self._clock = folder / "clock.json"
        self.set_clock(now)
        usual = {
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
            "--parent": str(os.getpid()),
        }
        given = usual | {f"--{name.replace('_', '-')}": value for name, value in options.items()}
        self._command = [sys.executable, "-m", f"simulators.{_PREFIX}{variant.kind}", *variant.options]
        self._command += [part for pair in given.items() for part in pair]
        self._port = "0"
        self.row: dict[str, Any] = {}
        self.start()

    def start(self) -> None:
        """Start it, again with what it remembered."""
        command = [*self._command, "--port", self._port]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        first = json.loads(self._process.stdout.readline())
        self.row = first["head_end"]
        url = first["listening"]
        self._port = url.rpartition(":")[2]
        self._api = httpx.Client(base_url=url, timeout=30, trust_env=False)

    def kill(self) -> None:
        """End it without warning."""
        self._api.close()
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def stop(self) -> None:
        """End it in good order."""
        self._api.close()
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def set_clock(self, now: datetime) -> None:
        """Let its time stand at an instant."""
        draft = self._clock.with_suffix(".draft")
        draft.write_text(json.dumps({"anchor": stamp(real_now()), "epoch": stamp(now), "speed": 0.0}))
        draft.replace(self._clock)

    def meters(self) -> list[dict[str, Any]]:
        """Return its meters: serial, has_breaker, registers (that count), channels (interval registers)."""
        found: list[dict[str, Any]] = self._get("meters")["meters"]
        return found

    def breaker(self, serial: str) -> str:
        """Return the true position of a breaker."""
        return str(self._get("switches")[serial]["state"])

    def true_value(self, serial: str, reading_type: str, at: datetime) -> str:
        """Return what a register truly shows at an instant."""
        return str(self._get("true", serial=serial, obis=reading_type, at=stamp(at))["shown"])

    def true_intervals(self, serial: str, reading_type: str, day: date) -> list[str]:
        """Return what truly passed in the ended intervals of a local day."""
        channels = self.interval_truth(serial, day)
        return next(list(channel["values"]) for channel in channels if channel["obis"] == reading_type)

    def interval_truth(self, serial: str, day: date) -> list[dict[str, Any]]:
        """Return what truly passed in the ended intervals of a local day, by channel, and how far it was told."""
        channels: list[dict[str, Any]] = self._get("intervals", serial=serial, day=day.isoformat())["channels"]
        return channels

    def spoil(self, serial: str, kind: str, begin: datetime, end: datetime) -> None:
        """Let interval values be `gap` (not collected, the meter has them), `lost`, `late` or `revised`."""
        self._post("irregular", {"serial": serial, "kind": kind, "from": stamp(begin), "to": stamp(end)})

    def raise_event(self, serial: str, code: str) -> None:
        """Let a meter tell an event now."""
        self._post("event", {"serial": serial, "code": code})

    def events(self) -> list[dict[str, Any]]:
        """Return the events it has heard of and told: serial, code, at."""
        found: list[dict[str, Any]] = self._get("events")["events"]
        return found

    def storm(self, meters: int) -> None:
        """Let so many meters lose power within a minute, and have it back minutes later."""
        self._post("storm", {"meters": meters})

    def switches(self) -> list[tuple[int, int]]:
        """Return, per switch command it has received, how often that was and how often it was executed.

        Not every protocol has a word for the command: what is given again after it was lost may be one of its own.
        """
        counts = self._get("switch_counts").values()
        return [(count["received"], count["executed"]) for count in counts if count["received"]]

    def executed(self) -> Counter[tuple[str, str]]:
        """Return how often each breaker was moved by a command, by serial number and the state it was moved to."""
        counts = self._get("switch_counts").values()
        return Counter((count["serial"], count["state"]) for count in counts for _ in range(count["executed"]))

    def commands(self, **which: str) -> list[dict[str, Any]]:
        """Return the device orders it took, oldest first."""
        found: list[dict[str, Any]] = self._get("commands", **which)["commands"]
        return found

    def fired(self) -> dict[str, list[dict[str, Any]]]:
        """Return what each fault has hit, for all that were asked for."""
        return {name: fault["hits"] for name, fault in self._get("faults")["fired"].items()}

    def concentrators(self) -> dict[str, dict[str, Any]]:
        """Return its data concentrators: under_way, most_under_way, limit, online."""
        found: dict[str, dict[str, Any]] = self._get("concentrators")
        return found

    def take_offline(self, concentrator: str, *, is_online: bool = False) -> None:
        """Let a data concentrator be away, or back."""
        self._post("concentrators", {"name": concentrator, "online": is_online})

    def is_quiet(self) -> bool:
        """Tell whether nothing is on its way from it to MDUS."""
        return bool(self._get("activity")["in_flight"] == 0)

    def script(self, serial: str, kind: str, *outcomes: str) -> None:
        """Make the next commands to a meter end as told."""
        self._post("script", {"serial": serial, "kind": kind, "outcomes": list(outcomes)})

    def arm(self, fault: str) -> None:
        """Make a fault fire at its next opportunity."""
        self._post("faults", {"name": fault, "times": 1})

    def hear(self, *serials: str) -> None:
        """Let meters communicate for the first time, now."""
        self._post("hear", {"serials": list(serials)})

    def snapshot(self, at: datetime) -> None:
        """Push the registers as they stood at an instant."""
        self._post("snapshot", {"at": stamp(at)})

    def _get(self, path: str, **query: str) -> Any:
        return self._api.get(f"/control/{path}", params=query).raise_for_status().json()

    def _post(self, path: str, body: dict[str, Any]) -> None:
        self._api.post(f"/control/{path}", json=body).raise_for_status()
