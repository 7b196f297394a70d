"""Memory: how far the HTTP process grows while it takes in one very large bulk."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import psutil

from tests.benchmarks import orders
from tests.benchmarks.figure import Figure
from tests.benchmarks.landscape import Store, running

_MEGABYTE = 1024 * 1024
_AIM = 150.0
_LOOK_SECONDS = 0.005


def memory(store: Store, folder: Path, *, megabytes: int) -> Iterator[Figure]:
    """This will post a bulk of so many megabytes after a small one, and watch the resident memory."""
    today = date.today()  # noqa: DTZ011 - any day will do: nothing is decided here

    def bulk(numbers: range, seed: int) -> bytes:
        later = today + timedelta(days=1)
        return orders.bulk(numbers, on=later, on_demand=False, seed=seed, created_at=f"{today}T08:00:00Z")

    small = bulk(range(1, 1001), 1)
    items = megabytes * _MEGABYTE * 1000 // len(small)
    body = bulk(range(1001, 1001 + items), 2)
    with running(store, folder, workers=False) as (mdus, _):
        mdus.post(small)
        with _Watch(mdus.main) as watch:
            seconds = mdus.post(body)
    growth = (watch.peak - watch.before) / _MEGABYTE
    yield Figure(
        name=f"memory growth of the HTTP process, bulk of {len(body) / _MEGABYTE:.0f} MB, {items:,} orders",
        value=growth,
        unit="MB",
        ratio_to="the bulk's size",
        ratio=growth / (len(body) / _MEGABYTE),
        aim=f"under {_AIM:g} MB",
        held=growth < _AIM,
    )
    yield Figure(name=f"  its intake, {store.name}", value=items / seconds, unit="orders/s")


class _Watch:
    """Looks at the resident memory of a process all the time: the highest seen is its peak."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.before = self.peak = process.memory_info().rss

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._done.wait(_LOOK_SECONDS):
            self.peak = max(self.peak, self._process.memory_info().rss)
