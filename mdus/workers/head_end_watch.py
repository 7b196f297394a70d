"""Watches one head end: asks what it can do, at the start and daily or as it wants, and stores what arrives by itself.

```
messages of a broker, files in a folder --> stored, many at a time --> acknowledged, moved away
```

What was stored and not acknowledged comes again, and is known by its content. Of several processes the one that holds
the head end's lease listens. What a head end told by a subscription that it has lost does not come again: that there is
another is noted, and `unheard_time` asks for what was told in between.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import islice
from typing import Final

import structlog

from mdus.domain.clock import Clock
from mdus.domain.command import CommandKind
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.head_end import Arrival, HeadEnd, Probe, RawDelivery
from mdus.domain.unheard_time import UnheardTime, unheard
from mdus.messaging.retry import RetryPolicy, TransientError, UncertainError
from mdus.storage import concentrator, delivery, job
from mdus.storage.session import Database
from mdus.telemetry.metrics import DELIVERIES, topic_label

log = structlog.get_logger(__name__)

#: How often a head end is asked what it can do (real time), where it does not want to be asked sooner.
_PROBED_EVERY: Final = timedelta(days=1)

#: How long the lease of who listens lasts, in seconds of real time, and when it is renewed.
_LEASE_SECONDS: Final = 30.0
_RENEWED_EVERY: Final = 10.0

#: Deliveries stored in one transaction, and the bytes after which it takes no more.
_STORED_AT_ONCE: Final = 200
_BYTES_AT_ONCE: Final = 8 * 1024 * 1024


class HeadEndWatch:
    """Watches one head end; `turn` returns how many deliveries it stored.

    `takes` are the kinds of commands its kind takes; `limit_to` is told which of them are left when it has said so.
    With `listens` its arrivals are looked for, by the process called `holder` while it has the lease.
    """

    def __init__(
        self,
        head_end: HeadEnd,
        *,
        database: Database,
        clock: Clock,
        retry: RetryPolicy,
        takes: frozenset[CommandKind],
        limit_to: Callable[[frozenset[CommandKind]], None],
        listens: bool,
        holder: str,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._head_end = head_end
        self._database = database
        self._clock = clock
        self._retry = retry
        self._takes = takes
        self._limit_to = limit_to
        self._listens = listens
        self._holder = holder
        self._monotonic = monotonic
        self._probe_at = float("-inf")
        self._failures = 0
        self._is_ours = False
        self._renew_at = float("-inf")

    def turn(self) -> int:
        """Ask what is due to be asked, and store what has arrived."""
        if self._monotonic() >= self._probe_at:
            self._probe()
        if not self._listens or not self._hold_lease():
            return 0
        stored = 0
        try:
            for arrival in self._head_end.arrivals():
                stored += self._store(arrival)
        except (TransientError, UncertainError) as error:
            log.warning("head_end_not_heard", head_end=self._head_end.name, reason=str(error))
        return stored

    def close(self) -> None:
        """Let another process listen at once."""
        if self._is_ours:
            with self._database.begin() as uow:
                job.release_lease(uow.connection, self._lease, holder=self._holder)

    @property
    def _lease(self) -> str:
        return f"listens to {self._head_end.name}"

    def _hold_lease(self) -> bool:
        if self._monotonic() >= self._renew_at:
            with self._database.begin() as uow:
                self._is_ours = job.take_lease(uow.connection, self._lease, holder=self._holder, seconds=_LEASE_SECONDS)
            self._renew_at = self._monotonic() + _RENEWED_EVERY
        return self._is_ours

    def _probe(self) -> None:
        name = self._head_end.name
        try:
            probe = self._head_end.probe()
        except (TransientError, UncertainError) as error:
            self._failures += 1
            self._probe_at = self._monotonic() + self._retry.delay(self._failures).total_seconds()
            log.warning("head_end_not_probed", head_end=name, reason=str(error))
            return
        self._failures = 0
        self._probe_at = self._monotonic() + (probe.again_after or _PROBED_EVERY).total_seconds()
        left = self._takes if probe.takes is None else self._takes & probe.takes
        self._limit_to(left)
        if left != self._takes:
            log.info("head_end_offers_less", head_end=name, lacks=sorted(kind.value for kind in self._takes - left))
        with self._database.begin() as uow:
            now, before = self._clock.now(), concentrator.probes(uow.connection).get(name)
            concentrator.note_probe(uow.connection, name, probe, now=now)
            if before is not None and _was_unheard(before.probe, probe):
                log.warning("head_end_unheard", head_end=name, since=before.at.isoformat())
                known = next(iter(uow.load(UnheardTime, UnheardTime.KEY, [(name,)])), None)
                uow.save([unheard(name, since=before.at, known=known, now=now)])

    def _store(self, arrival: Arrival) -> int:
        """Store an arrival, many deliveries in a transaction; what cannot be read is shown, and set aside."""
        deliveries = iter(arrival.deliveries)
        new = 0
        try:
            while some := self._next(deliveries):
                new += self._store_some(some)
        except ValueError as error:
            self._show(str(error))
            arrival.failed(str(error))
        else:
            arrival.taken()
        return new

    def _next(self, deliveries: Iterator[RawDelivery]) -> list[RawDelivery]:
        some: list[RawDelivery] = []
        size = 0
        for each in islice(deliveries, _STORED_AT_ONCE):
            some.append(each)
            size += len(each.body)
            if size >= _BYTES_AT_ONCE:
                break
        return some

    def _store_some(self, some: list[RawDelivery]) -> int:
        packed = [delivery.pack(each) for each in some]
        with self._database.begin() as uow:
            new = delivery.store(uow.connection, packed, head_end=self._head_end.name, now=self._clock.now())
        for topic in {each.topic for each in some}:
            DELIVERIES.labels(self._head_end.name, topic_label(topic), "stored").inc(
                sum(each.topic == topic for each in some)
            )
        return new

    def _show(self, reason: str) -> None:
        name, now = self._head_end.name, self._clock.now()
        number = hashlib.sha256(reason.encode()).hexdigest()[:8]  # of several at one instant each has its own
        log.warning("arrival_unreadable", head_end=name, reason=reason)
        case = ExceptionCase(
            kind="delivery_unreadable",
            case_key=f"{name}/{now.isoformat()}/{number}",
            opened_at=now,
            note=f"{name}: {reason}"[:1000],
        )
        with self._database.begin() as uow:
            uow.save([case])


def _was_unheard(before: Probe, probe: Probe) -> bool:
    """Tell whether what a head end told between two looks may have gone nowhere: its subscription is another.

    By its name, and not by who has made it: that a call broke off which made one is nothing anybody could tell of.
    """
    return None not in (before.subscription, probe.subscription) and before.subscription != probe.subscription
