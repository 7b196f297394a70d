"""The readings worker: decodes what head ends delivered and takes it in, one claim and one transaction a turn.

```
READY ----> decoded and taken in ----> DONE
  |              |
  |              +-- some of it has no place yet ----> UNMATCHED -- looked at again, when devices arrive and now and
  |                                                        |         then, for 24 hours
  +-- unreadable ----> DEAD with a case                    +-------> DEAD with a case
```

Bodies are read and decoded before the transaction begins; in it the claim is checked again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

import structlog

from mdus.domain.clock import Clock
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.head_end import FieldEvent
from mdus.messaging.retry import RetryPolicy
from mdus.storage import delivery
from mdus.storage.delivery import Delivery, DeliveryStatus
from mdus.storage.session import Database, UnitOfWork
from mdus.telemetry.metrics import DELIVERIES, topic_label
from mdus.workers.field_events import take_in
from mdus.workers.told import Told

log = structlog.get_logger(__name__)

Decode = Callable[[str, bytes], Iterator[FieldEvent]]

#: How long a delivery may wait for the meter or command it speaks of, before it is shown (business time).
SHOWN_AFTER = timedelta(hours=24)

#: Deliveries looked at in one turn, and the events after which it takes no more: a transaction is short.
_DELIVERIES = 50
_EVENTS = 500

#: The longest pause between two looks at an unmatched delivery (real time).
_LONGEST_PAUSE = timedelta(minutes=1)


class ReadingsWorker:
    """Takes deliveries in; `turn` returns how many it handled, 0 when there was nothing to do.

    `decoders` holds the codec of each configured head end, by its name.
    """

    def __init__(self, *, database: Database, clock: Clock, decoders: Mapping[str, Decode], retry: RetryPolicy) -> None:
        self._database = database
        self._clock = clock
        self._decoders = decoders
        self._retry = retry
        self._newest_device = -1

    def turn(self) -> int:
        """Take in the oldest deliveries; returns how many were handled."""
        now = self._clock.now()
        self._retry_for_new_devices()
        with self._database.read() as uow:
            found = delivery.waiting(uow.connection, now=now, shown_after=SHOWN_AFTER, limit=_DELIVERIES)
        if not found:
            return 0
        readable: list[tuple[Delivery, Told]] = []
        unreadable: list[tuple[Delivery, str]] = []
        events = 0
        for each in found:
            try:
                told = self._decoded(each)
            except ValueError as error:
                unreadable.append((each, str(error)))
                continue
            readable.append((each, told))
            events += len(told.events)
            if events >= _EVENTS:
                break
        for each, reason in unreadable:
            self._bury(each, kind="delivery_unreadable", note=reason, now=now)
        self._take(readable, now=now)
        return len(readable) + len(unreadable)

    def _retry_for_new_devices(self) -> None:
        with self._database.read() as uow:
            newest = delivery.newest_device(uow.connection)
            arrived = newest != self._newest_device and delivery.has_unmatched(uow.connection)
        if arrived:
            with self._database.begin() as uow:
                delivery.look_again(uow.connection)
        self._newest_device = newest

    def _decoded(self, each: Delivery) -> Told:
        decode = self._decoders.get(each.head_end)
        if decode is None:
            raise ValueError(f"the head end {each.head_end} is not configured any more")
        return Told(
            delivery_id=each.id,
            head_end=each.head_end,
            received_at=each.received_at,
            events=tuple(decode(each.topic, each.body)),
        )

    def _take(self, batch: Sequence[tuple[Delivery, Told]], *, now: datetime) -> None:
        """Take a batch in; when it fails, halve it until the delivery at fault stands alone."""
        if not batch:
            return
        try:
            with self._database.begin() as uow:
                self._take_in(uow, batch, now=now)
        except Exception as error:  # the worker loop: the other deliveries go on
            if len(batch) > 1:
                middle = len(batch) // 2
                self._take(batch[:middle], now=now)
                self._take(batch[middle:], now=now)
            else:
                self._note_defect(batch[0][0], error, now=now)

    def _take_in(self, uow: UnitOfWork, batch: Sequence[tuple[Delivery, Told]], *, now: datetime) -> None:
        held = delivery.hold(uow.connection, [each.id for each, _ in batch])
        ours = [(each, told) for each, told in batch if each.id in held]
        unplaced = take_in(uow, [told for _, told in ours], now=now)
        delivery.finish(uow.connection, [each.id for each, _ in ours if each.id not in unplaced])
        for each, _ in ours:
            reasons = unplaced.get(each.id)
            if reasons is None:
                DELIVERIES.labels(each.head_end, topic_label(each.topic), "done").inc()
                continue
            note = _summary(reasons)
            if now - each.received_at >= SHOWN_AFTER:
                self._show(uow, each, kind="delivery_unmatched", note=note, now=now)
                continue
            pause = min(self._retry.delay(each.attempts + 1), _LONGEST_PAUSE)
            delivery.postpone(uow.connection, each.id, status=DeliveryStatus.UNMATCHED, pause=pause, note=note)
            if each.attempts == 0:
                DELIVERIES.labels(each.head_end, topic_label(each.topic), "unmatched").inc()
                log.info("delivery_unmatched", head_end=each.head_end, delivery=each.id, reason=note)

    def _note_defect(self, each: Delivery, error: Exception, *, now: datetime) -> None:
        attempt = each.attempts + 1
        log.exception("delivery_failed", head_end=each.head_end, delivery=each.id, attempt=attempt)
        note = f"{type(error).__name__}: {error}"
        if self._retry.is_exhausted(attempt):
            self._bury(each, kind="delivery_failed", note=f"given up after {attempt} attempts: {note}", now=now)
            return
        with self._database.begin() as uow:
            pause = self._retry.delay(attempt)
            delivery.postpone(uow.connection, each.id, status=DeliveryStatus.READY, pause=pause, note=note)

    def _bury(self, each: Delivery, *, kind: str, note: str, now: datetime) -> None:
        with self._database.begin() as uow:
            if delivery.hold(uow.connection, [each.id]):
                self._show(uow, each, kind=kind, note=note, now=now)

    def _show(self, uow: UnitOfWork, each: Delivery, *, kind: str, note: str, now: datetime) -> None:
        """Give a delivery up, with a case for a human: nothing a head end told is dropped silently."""
        log.warning(kind, head_end=each.head_end, delivery=each.id, topic=each.topic, reason=note)
        delivery.give_up(uow.connection, each.id, note=note)
        text = f"delivery {each.id} of {each.head_end}, topic {each.topic}: {note}"[:1000]
        uow.save([ExceptionCase(kind=kind, case_key=f"{each.head_end}/{each.id}", opened_at=now, note=text)])
        DELIVERIES.labels(each.head_end, topic_label(each.topic), "dead").inc()


def _summary(reasons: Sequence[str]) -> str:
    different = sorted(set(reasons))
    shown = "; ".join(different[:10])
    return shown if len(different) <= 10 else f"{shown}; and {len(different) - 10} more"
