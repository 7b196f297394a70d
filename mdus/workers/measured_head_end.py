"""A head end whose every call is timed and counted: the one place that all kinds, workers and jobs pass."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TypeVar

from mdus.domain.head_end import Arrival, Batch, FieldMeter, HeadEnd, Probe, RawDelivery, Submission
from mdus.messaging.retry import TransientError, UncertainError
from mdus.telemetry.metrics import HEAD_END_CALL_SECONDS

T = TypeVar("T")


class MeasuredHeadEnd:
    """Passes everything on to a head end, and notes how long each call took and how it ended."""

    def __init__(self, head_end: HeadEnd) -> None:
        self._head_end = head_end
        self.name = head_end.name

    @property
    def batch_size(self) -> int:
        """Return the largest batch it takes, which it may come to know only as it is told."""
        return self._head_end.batch_size

    def submit(self, batch: Batch) -> Submission:
        """Give a batch of one kind to the head end."""
        with self._timed("submit"):
            return self._head_end.submit(batch)

    def find(self, correlation: str) -> Submission | None:
        """Return what became of a call whose answer was lost."""
        with self._timed("find"):
            return self._head_end.find(correlation)

    def results(self, token: str) -> Iterable[RawDelivery]:
        """Return the results known so far of an accepted call."""
        with self._timed("results"):
            return list(self._head_end.results(token))

    def snapshots(self, *, period_from: datetime, period_to: datetime) -> Iterator[RawDelivery]:
        """Yield the stored register values of a period, page by page."""
        return self._paged("snapshots", self._head_end.snapshots(period_from=period_from, period_to=period_to))

    def intervals(self, *, period_from: datetime, period_to: datetime) -> Iterator[RawDelivery]:
        """Yield the interval values of a period, page by page."""
        return self._paged("intervals", self._head_end.intervals(period_from=period_from, period_to=period_to))

    def events(self, *, period_from: datetime, period_to: datetime) -> Iterator[RawDelivery]:
        """Yield what meters told of themselves in a period, page by page."""
        return self._paged("events", self._head_end.events(period_from=period_from, period_to=period_to))

    def meters(self) -> Iterator[FieldMeter]:
        """Yield the head end's own registry; to read it through is one call here, for a meter is no page."""
        with self._timed("meters"):
            yield from self._head_end.meters()

    def probe(self) -> Probe:
        """Ask what the head end can do."""
        with self._timed("probe"):
            return self._head_end.probe()

    def reach(self) -> None:
        """See whether the head end answers."""
        with self._timed("reach"):
            self._head_end.reach()

    def arrivals(self) -> Iterator[Arrival]:
        """Yield what has arrived by itself: nobody is called for it."""
        return self._head_end.arrivals()

    def close(self) -> None:
        """Let go of all connections."""
        self._head_end.close()

    def _paged(self, call: str, pages: Iterator[T]) -> Iterator[T]:
        while True:
            with self._timed(call):
                page = next(pages, None)
            if page is None:
                return
            yield page

    @contextmanager
    def _timed(self, call: str) -> Iterator[None]:
        began, result = time.perf_counter(), "error"
        try:
            yield
            result = "ok"
        except TransientError:
            result = "transient"
            raise
        except UncertainError:
            result = "uncertain"
            raise
        finally:
            HEAD_END_CALL_SECONDS.labels(self.name, call, result).observe(time.perf_counter() - began)
