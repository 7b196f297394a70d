"""Processes die at any moment, and still every order ends in exactly one outcome and no meter is switched twice.

HTTP process, workers, and both simulators are killed (SIGKILL) at random moments while about a thousand mixed orders
are placed, carried out, cancelled and repeated, and are started again. `make chaos` (CHAOS=long) plays more seeds, more
orders and more kills; CHAOS_SEED plays one seed only.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from mdus.storage.session import Database
from simulators.landscape.clients import Clients
from simulators.landscape.processes import Layout, head_end_process, mdus_process, new_layout, sap_process
from simulators.landscape.scenario import days_with_change
from simulators.landscape.steering import Steering
from tests.chaos.havoc import VICTIMS, Havoc
from tests.chaos.judgement import Evidence, evidence, still_open, violations
from tests.chaos.orders import Desk
from tests.conftest import require

_ZONE = ZoneInfo("Europe/Berlin")

#: The day before the clocks change: its night has an hour less or more.
_TODAY = days_with_change(_ZONE, after=datetime.now(UTC))[0]

#: How fast the clock runs while there is work: the shortest deadline, 15 minutes, outlasts any restart.
_PACE = 20.0

#: What a worker that died held is free again after this many real seconds; what failed is soon tried again.
_IMPATIENT = {
    "MDUS_WORKERS__LEASE_SECONDS": "3",
    "MDUS_HEAD_ENDS__MEADOW__TIMEOUT_SECONDS": "3",
    "MDUS_RETRY__BASE_SECONDS": "0.2",
    "MDUS_RETRY__CAP_SECONDS": "2",
    "MDUS_RETRY__ATTEMPTS": "500",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """How much is played."""

    meters: int
    rounds: int
    orders: int  # at least
    kills: int
    seeds: tuple[int, ...]
    seconds: int  # real, at most


_SHORT = Form(meters=108, rounds=6, orders=1000, kills=15, seeds=(1,), seconds=600)
_LONG = Form(meters=240, rounds=12, orders=4000, kills=72, seeds=(1, 2, 3), seconds=1800)
_FORM = _LONG if os.environ.get("CHAOS") == "long" else _SHORT
_SEEDS = (int(os.environ["CHAOS_SEED"]),) if "CHAOS_SEED" in os.environ else _FORM.seeds

pytestmark = [pytest.mark.landscape, pytest.mark.timeout(_FORM.seconds)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """One landscape whose processes are killed."""

    layout: Layout
    clients: Clients
    database: Database
    havoc: Havoc
    steering: Steering
    desk: Desk

    def play(self, form: Form) -> None:
        """Place the orders, kill, and let the clock run until nothing is open any more."""
        clients, steering, desk, havoc = self.clients, self.steering, self.desk, self.havoc
        clients.mdus.post("/clock", speed=_PACE)
        havoc.begin()
        stages = form.rounds + 3
        havoc.allow(form.kills // stages)
        desk.initialize(start_on=_TODAY - timedelta(days=30))
        desk.wait_for_registration()
        for number in range(2, form.rounds + 2):
            havoc.allow(form.kills * number // stages)
            desk.order_a_mix(_TODAY)
            havoc.wait(patience=120.0)
        while desk.placed < form.orders:
            desk.order_a_mix(_TODAY)
        # The night: snapshots, the day's jobs, and the results, while the rest of the kills go on.
        havoc.allow(form.kills)
        steering.run_until(_local(_TODAY + timedelta(days=1), 3))
        havoc.wait(patience=120.0)
        self.havoc.end()
        end = _local(_TODAY + timedelta(days=6), 6)
        while self.open() and steering.now() < end:
            steering.run_until(steering.now() + timedelta(hours=1))
        steering.settle(within=timedelta(minutes=5))

    def open(self) -> dict[str, int]:
        """Return what MDUS has not brought to an end."""
        with self.database.read() as uow:
            return still_open(uow.connection)


def _local(day: date, hour: int) -> datetime:
    return datetime(day.year, day.month, day.day, hour, tzinfo=_ZONE).astimezone(UTC)


@pytest.fixture(params=_SEEDS, ids=lambda seed: f"seed{seed}")
def stage(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> Iterator[Stage]:
    """A running landscape, about to be killed."""
    for module in ("spyne", "zeep"):
        require(module, purpose="the simulated SAP")
    seed = int(request.param)
    layout = new_layout(tmp_path, database_url=database_url)
    head_end = head_end_process(layout, seed=seed, meters=_FORM.meters, faults="")
    # A call is under way for a while: who is killed meanwhile does not know what became of it.
    head_end.command += ["--hear-delay", "30", "--answer-delay", "0.3"]
    havoc = Havoc(
        mdus=mdus_process(layout, environment=_IMPATIENT),
        sap=sap_process(layout, seed=seed, faults=""),
        head_end=head_end,
        sap_journal=layout.folder / "sap.journal",
        head_end_journal=layout.folder / "head_end.journal",
        seed=seed,
        kills=_FORM.kills,
    )
    clients, database = Clients(layout), Database(database_url)
    try:
        havoc.mdus.start()
        clients.mdus.post("/clock", speed=1.0, jump_to=_local(_TODAY, 8).isoformat())
        havoc.sap.start()
        havoc.head_end.start()
        steering = Steering(clients, speed=60.0, watch=havoc.watch, busy_speed=_PACE)
        desk = Desk(clients, steering, seed=seed, watch=havoc.watch)
        yield Stage(layout=layout, clients=clients, database=database, havoc=havoc, steering=steering, desk=desk)
    finally:
        havoc.close()
        clients.close()
        database.close()


class TestKillingProcesses:
    def test_leaves_every_order_with_one_outcome_and_no_meter_switched_twice(self, stage: Stage) -> None:
        began = time.monotonic()
        try:
            stage.play(_FORM)
        finally:
            print(f"\nwarnings and errors of MDUS: {_troubles(stage.layout.folder / 'mdus.log')}")
        seen = evidence(stage.clients, stage.database)
        _tell(stage, seen, seconds=time.monotonic() - began)
        with stage.database.read() as uow:
            found = violations(seen, uow.connection)
        assert not found, "\n".join(found)
        _was_chaos(stage, seen)


def _was_chaos(stage: Stage, seen: Evidence) -> None:
    """A run in which little was ordered, killed or carried out would prove nothing."""
    assert seen.placed >= _FORM.orders
    assert set(stage.havoc.counts()) == set(VICTIMS)
    assert any(not kill.all_up for kill in stage.havoc.kills), "nothing was killed while another was starting"
    orders = Counter(order["status"] for order in seen.orders.values())
    assert orders["result"] > len(seen.orders) * 0.7
    assert orders["cancelled"] > 0
    documents = Counter(document["status"] for document in seen.documents.values())
    assert documents["executed"] > len(seen.documents) * 0.4
    assert documents["cancelled"] > 0


def _troubles(log: Path) -> dict[str, int]:
    """Count what MDUS logged as warning or error, by event; a line torn by a kill is left out."""
    found: Counter[str] = Counter()
    for line in log.read_text(errors="replace").splitlines():
        with contextlib.suppress(ValueError):
            told = json.loads(line)
            if told.get("level") in ("warning", "error"):
                found[told["event"]] += 1
    return dict(found)


def _tell(stage: Stage, seen: Evidence, *, seconds: float) -> None:
    view = seen.view
    kills = [f"{kill.victim} {kill.seconds}{'' if kill.all_up else '*'} {kill.moment}" for kill in stage.havoc.kills]
    print(f"{seen.placed} orders, {len(kills)} kills, {seconds:.0f} s; clock {stage.steering.now()}")
    print(f"kills (victim, seconds, * while another was starting): {', '.join(kills)}")
    for name in ("devices", "orders", "documents", "repeated", "refusals", "defects"):
        print(f"{name}: {view[name]}")
    print(f"switch commands: {len(seen.switch_counts)}")
    print(f"cases: {dict(Counter(case.kind for case in seen.cases))}")
