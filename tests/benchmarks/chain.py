"""The whole chain: reading orders on demand come in, the head end answers at once, every result goes out to SAP."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import psutil

from tests.benchmarks import orders
from tests.benchmarks.figure import Figure
from tests.benchmarks.landscape import Mdus, PeersClient, Store, cpu_seconds, fill_registry, running
from tests.benchmarks.parsing import NAME, parse_seconds

_AIM = 1000.0
_CONFIRMATIONS = "SmartMeterMeterReadingDocumentERPBulkCreateConfirmation_In"
_RESULTS = "MeterReadingDocumentERPResultBulkCreateRequest_In"
_WARM_UP = 200
_PATIENCE_SECONDS = 180.0


class NotDelivered(Exception):
    """Orders were lost, or came more than once; a rate of such a run would tell nothing."""


def chain(store: Store, folder: Path, *, items: int, bulk_size: int = 5000) -> Iterator[Figure]:
    """This will measure from the first bulk posted until the sink has the last result."""
    now = datetime.now(UTC)
    today = now.astimezone(ZoneInfo("Europe/Berlin")).date()

    def bulk(numbers: range, seed: int) -> bytes:
        return orders.bulk(numbers, on=today, on_demand=True, seed=seed, created_at=f"{now:%Y-%m-%dT%H:%M:%SZ}")

    first = bulk(range(1, _WARM_UP + 1), 0)
    last_number = _WARM_UP + items
    bodies = [
        bulk(range(start, min(start + bulk_size, last_number + 1)), start)
        for start in range(_WARM_UP + 1, last_number + 1, bulk_size)
    ]
    parsed = sum(parse_seconds(body) for body in bodies)
    fill_registry(store, last_number)
    with running(store, folder) as (mdus, peers):
        mdus.post(first)
        _wait(peers, mdus, _WARM_UP)
        cpu = _Cpu(mdus=mdus.main, peers=peers.main, store=store.server)
        began = time.perf_counter()
        posted = sum(mdus.post(body) for body in bodies)
        _wait(peers, mdus, last_number)
        seconds = time.perf_counter() - began
        used = cpu.used()
        _check(peers.documents(), last_number)
    rate = items / seconds
    yield Figure(
        name=f"whole chain, {items:,} reading orders on demand, {store.name}",
        value=rate,
        unit="orders/s",
        ratio_to=f"{NAME} (seconds)",
        ratio=seconds / parsed,
        aim=f"at least {_AIM:,.0f} orders/s",
        held=rate >= _AIM,
    )
    yield Figure(
        name=f"  its intake, {store.name}",
        value=posted,
        unit="s",
        ratio_to="the whole chain",
        ratio=posted / seconds,
    )
    everybody = sum(used.values())
    yield Figure(
        name=f"  CPU of MDUS, {store.name}",
        value=used["mdus"],
        unit="s",
        ratio_to="CPU of MDUS, database server, sink and head end",
        ratio=used["mdus"] / everybody,
    )


def _wait(peers: PeersClient, mdus: Mdus, count: int) -> None:
    if not peers.wait_for(_RESULTS, count, seconds=_PATIENCE_SECONDS):
        raise NotDelivered(f"{peers.counts()} of {count} documents after {_PATIENCE_SECONDS:.0f} s\n{mdus.log_end()}")


def _check(documents: dict[str, dict[str, int]], last_number: int) -> None:
    """Raise NotDelivered unless every order was confirmed once and answered by one result."""
    wanted = {orders.document_id(number): 1 for number in range(1, last_number + 1)}
    for interface in (_CONFIRMATIONS, _RESULTS):
        found = documents.get(interface, {})
        if found != wanted:
            wrong = [key for key in wanted.keys() | found.keys() if found.get(key) != 1]
            raise NotDelivered(f"{interface}: {len(wrong)} documents are missing or came twice, such as {wrong[0]}")


class _Cpu:
    """The CPU time of several process trees from its making on."""

    def __init__(self, **trees: psutil.Process | None) -> None:
        self._trees = trees
        self._before = {name: cpu_seconds(tree) for name, tree in trees.items()}

    def used(self) -> dict[str, float]:
        """This will return the seconds each tree has used since."""
        return {name: cpu_seconds(tree) - self._before[name] for name, tree in self._trees.items()}
