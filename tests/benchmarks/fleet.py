"""Reads on demand over a mixed fleet: how close MDUS comes to the schedule that the fleet's own limits allow.

Simulated head ends of every kind that can be asked, each with meters behind concentrators of a radio mesh, and MDUS;
every meter is read once. The ideal schedule gives each concentrator its next order in the instant another ends, with
the very latencies that were drawn: nobody is faster without giving a concentrator more than it bears.
"""

from __future__ import annotations

import contextlib
import heapq
import json
import os
import secrets
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import func, select

from mdus.domain.command import ENDED, Command, CommandKind, OwnerKind, command_key
from mdus.domain.end_device import EndDevice, EndDeviceStatus
from mdus.domain.head_end import ConcentratorTold
from mdus.domain.register import Register
from mdus.storage.command import COMMAND
from mdus.storage.concentrator import note_concentrators
from mdus.storage.session import Database
from simulators.landscape.processes import Process, free_ports
from tests.benchmarks.figure import Figure
from tests.benchmarks.landscape import Store
from tests.head_ends.kinds import Variant, variants

_SYSTEM = "S4HANA"
_SECONDS = 1500.0  # at most
_PER_CONCENTRATOR = 15  # orders under way at once: the limit of a radio mesh
_METERS_BEHIND = 60  # a concentrator
_UNITS = {"kWh": "KWH", "m3": "M3"}

#: What else a row says: the simulated CIM head end parts the answers of a call by meters (docs/head_ends/cim.md).
_OPTIONS: Mapping[str, Mapping[str, str]] = {"cim": {"parts": "by_meter"}}


@dataclass(kw_only=True)
class _HeadEnd:
    """A running simulated head end and the row by which MDUS knows it."""

    name: str
    running: subprocess.Popen[str]
    control: httpx.Client
    row: Mapping[str, Any]

    def get(self, path: str, **query: str) -> Any:
        return self.control.get(f"/control/{path}", params=query).raise_for_status().json()

    def close(self) -> None:
        self.control.close()
        self.running.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.running.wait(10)
        self.running.kill()
        self.running.wait()


def reads_on_demand(store: Store, folder: Path, *, reads: int) -> Iterator[Figure]:
    """This will read every meter of the fleet once and compare the time with the ideal schedule's."""
    asked = [one for one in _one_of_each_kind() if CommandKind.READ_ON_DEMAND in one.ours.capabilities]
    meters = -(-reads // len(asked))
    (mdus_port,) = free_ports(1)
    password = secrets.token_urlsafe(12)
    with contextlib.ExitStack() as stack:
        fleet = []
        for variant in asked:
            head_end = _start(variant, folder, meters=meters, mdus_port=mdus_port, password=password)
            stack.callback(head_end.close)
            fleet.append(head_end)
        database = Database(store.url)
        stack.callback(database.close)
        _install(database, fleet)
        mdus = _mdus(store, folder, fleet, port=mdus_port, password=password)
        stack.callback(mdus.stop)
        mdus.start()
        _provision(database, fleet, mdus)
        began = time.perf_counter()
        orders = _order(database, fleet, CommandKind.READ_ON_DEMAND)
        _wait(database, CommandKind.READ_ON_DEMAND, orders, mdus)
        seconds = time.perf_counter() - began
        ideal = max(_ideal(head_end) for head_end in fleet)
        most = max(each["most_under_way"] for head_end in fleet for each in head_end.get("concentrators").values())
    ratio = seconds / ideal
    kinds = ", ".join(head_end.name for head_end in fleet)
    yield Figure(
        name=f"{orders:,} reads on demand over {kinds} on {store.name}",
        value=seconds,
        unit="s",
        ratio_to=f"the ideal schedule of the same answers ({ideal:.1f} s)",
        ratio=ratio,
        aim="at most 1.2 x",
        held=ratio <= 1.2,
    )
    yield Figure(
        name="most orders under way at one concentrator",
        value=float(most),
        unit="orders",
        aim=f"at most {_PER_CONCENTRATOR}",
        held=most <= _PER_CONCENTRATOR,
    )


def _one_of_each_kind() -> list[Variant]:
    return list({variant.kind: variant for variant in reversed(variants())}.values())


def _start(variant: Variant, folder: Path, *, meters: int, mdus_port: int, password: str) -> _HeadEnd:
    name = variant.kind.replace("_", "-")
    options = {
        "--port": "0",
        "--meters": str(meters),
        "--seed": str(sum(map(ord, name))),  # each has meters of its own
        "--password": password,
        "--callback-user": name,
        "--callback-password": password,
        "--callback-url": f"http://127.0.0.1:{mdus_port}/head-ends/{name}",
        "--profile": "rf_mesh",
        "--concentrators": str(max(1, meters // _METERS_BEHIND)),
        "--hear-delay": "0",
        "--event-rate": "0",
        "--state": str(folder / f"{name}.journal"),
    }
    command = [sys.executable, "-m", f"simulators.headend_{variant.kind}", *variant.options]
    log = (folder / f"{name}.log").open("w")
    running = subprocess.Popen(
        [*command, *(f"{name}={value}" for name, value in options.items())],
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    assert running.stdout is not None
    first = json.loads(running.stdout.readline())
    control = httpx.Client(base_url=first["listening"], timeout=120.0, trust_env=False)
    return _HeadEnd(name=name, running=running, control=control, row=first["head_end"])


def _mdus(store: Store, folder: Path, fleet: Sequence[_HeadEnd], *, port: int, password: str) -> Process:
    config = folder / "config"
    config.mkdir(exist_ok=True)
    rows = []
    for head_end in fleet:
        given = {
            **head_end.row,
            "options": {**head_end.row.get("options", {}), **_OPTIONS.get(head_end.row["kind"], {})},
            "name": head_end.name,
            "user": "mdus",
            "password": password,
            "callback_url": f"http://127.0.0.1:{port}/head-ends/{head_end.name}",
            "callback_user": head_end.name,
            "callback_password": password,
            "outstanding_per_concentrator": _PER_CONCENTRATOR,
            "devices_per_call": 200,
        }
        rows.append("[[head_ends]]\n" + "".join(f"{name} = {_toml(value)}\n" for name, value in given.items()))
    (config / "head_ends.toml").write_text("\n".join(rows))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MDUS_")}
    return Process(
        name="MDUS",
        command=[sys.executable, "-m", "mdus", "serve", "--host", "127.0.0.1", "--port", str(port)],
        environment={
            **kept,
            "MDUS_CONFIG": str(config),
            "MDUS_DATABASE__URL": store.url,
            "MDUS_AUTH__USER": "bench",
            "MDUS_AUTH__PASSWORD": password,
            "MDUS_CIS__URL": "http://127.0.0.1:9/{interface}",
        },
        log=folder / "mdus.log",
        ready_url=f"http://127.0.0.1:{port}/readyz",
    )


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{name} = {_toml(each)}" for name, each in value.items() if each is not None) + " }"
    return json.dumps(value)


def _install(database: Database, fleet: Sequence[_HeadEnd]) -> None:
    since = date(2020, 1, 1)
    for head_end in fleet:
        values: list[Any] = []
        for meter in head_end.get("meters")["meters"]:
            device_id = f"{head_end.name}-{meter['serial']}"
            values.append(
                EndDevice(
                    sender_system=_SYSTEM,
                    device_id=device_id,
                    serial_id=meter["serial"],
                    material_id=meter["material"],
                    valid_from=since,
                    head_end=head_end.name,
                )
            )
            values.append(EndDeviceStatus(sender_system=_SYSTEM, device_id=device_id))
            values += [
                Register(
                    sender_system=_SYSTEM,
                    device_id=device_id,
                    measurement_task_id=f"{device_id}/{register['obis']}",
                    valid_from=since,
                    reading_type=register["obis"],
                    unit=_UNITS[register["unit"]],
                    total_digits=register["digits"] + register["decimals"],
                    fraction_digits=register["decimals"],
                )
                for register in meter["registers"]
            ]
        with database.begin() as uow:
            uow.save(values)


def _provision(database: Database, fleet: Sequence[_HeadEnd], mdus: Process) -> None:
    """This will make all meters known to their head ends, let them be heard, and MDUS know where they are."""
    able = [each for each in fleet if CommandKind.PROVISION in _kind(each)]
    number = _order(database, able, CommandKind.PROVISION)
    _wait(database, CommandKind.PROVISION, number, mdus)
    for head_end in fleet:
        head_end.control.post("/control/hear", json={"serials": "all"}).raise_for_status()
    now = datetime.now(UTC)
    for head_end in fleet:
        behind: defaultdict[str, list[str]] = defaultdict(list)
        for meter in head_end.get("meters")["meters"]:
            behind[meter["concentrator"]].append(meter["serial"])
        told = [
            (head_end.name, ConcentratorTold(concentrator=name, at=now, serials=tuple(serials)))
            for name, serials in behind.items()
        ]
        with database.begin() as uow:
            note_concentrators(uow.connection, told)


def _kind(head_end: _HeadEnd) -> frozenset[CommandKind]:
    return next(each.ours.capabilities for each in variants() if each.kind == head_end.row["kind"])


def _order(database: Database, fleet: Sequence[_HeadEnd], kind: CommandKind) -> int:
    now = datetime.now(UTC)
    commands = []
    with database.read() as uow:
        devices: list[EndDevice] = uow.load(
            EndDevice, ("head_end",), [(head_end.name,) for head_end in fleet], lock=False
        )
    for device in devices:
        commands.append(
            Command(
                command_key=command_key(
                    owner_kind=OwnerKind.REGISTRY, owner_key="bench", device_id=device.device_id, purpose=kind
                ),
                owner_kind=OwnerKind.REGISTRY,
                owner_key="bench",
                sender_system=_SYSTEM,
                device_id=device.device_id,
                serial_id=device.serial_id,
                head_end=device.head_end or "",
                kind=kind,
                purpose=kind,
                not_before=now,
                expires_at=now + timedelta(hours=2),
            )
        )
    with database.begin() as uow:
        uow.save(commands)
    return len(commands)


def _wait(database: Database, kind: CommandKind, number: int, mdus: Process) -> None:
    table = COMMAND.table
    ended = select(func.count()).where(table.c.kind == kind, table.c.status.in_([status.value for status in ENDED]))
    deadline = time.monotonic() + _SECONDS
    while True:
        with database.read() as uow:
            done = uow.connection.scalar(ended) or 0
        if done >= number:
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"{done} of {number} commands {kind} ended in {_SECONDS:.0f} s")
        mdus.check()
        time.sleep(0.25)


def _ideal(head_end: _HeadEnd) -> float:
    """Return how long the answers of a head end take at least, its concentrators never having more than they bear."""
    concentrators = {meter["serial"]: meter["concentrator"] for meter in head_end.get("meters")["meters"]}
    waiting: defaultdict[str, list[float]] = defaultdict(list)
    for order in head_end.get("commands", kind="read_on_demand")["commands"]:
        if order["result"] is not None:
            took = datetime.fromisoformat(order["result"]["completed_at"]) - datetime.fromisoformat(
                order["received_at"]
            )
            waiting[concentrators[order["serial"]]].append(took.total_seconds())
    return max(_makespan(seconds) for seconds in waiting.values())


def _makespan(seconds: Sequence[float]) -> float:
    """Return when the last of these orders ends, each begun in the instant a place is free, in their order."""
    places = [0.0] * _PER_CONCENTRATOR
    for took in seconds:
        heapq.heapreplace(places, places[0] + took)
    return max(places)
