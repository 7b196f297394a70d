"""The readings worker: decodes what head ends delivered and takes it in, one claim and one transaction a turn.

```
READY ----> decoded and taken in ----> DONE
  |              |
  |              +-- some of it has no place yet ----> UNMATCHED -- looked at again, when devices arrive and now and
  |              |                                         |         then, for 24 hours
  |              +-- some lines are unreadable --+         |
  +-- unreadable --------------------------------+-> DEAD with a case
```

Bodies are read and decoded before the transaction begins; in it the claim is checked again. What can be read of a
delivery is taken in whatever else is in it; a case for lines that cannot opens at once, also while others wait.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from mdus.domain.clock import Clock
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.head_end import Decode, FieldEvent, FieldIntervals, RawDelivery, Unmapped, UnreadableLine
from mdus.domain.mapping_version import MappingVersion
from mdus.messaging.retry import RetryPolicy
from mdus.storage import delivery
from mdus.storage.delivery import Delivery, DeliveryStatus, Packed
from mdus.storage.session import Database, UnitOfWork
from mdus.storage.unmapped import note_version
from mdus.telemetry.metrics import DELIVERIES, topic_label
from mdus.workers.field_events import take_in
from mdus.workers.told import Told

log = structlog.get_logger(__name__)

#: How long a delivery may wait for the meter or command it speaks of, before it is shown (business time).
SHOWN_AFTER = timedelta(hours=24)

#: The kind of the case for lines of a delivery that cannot be read.
_LINES_UNREADABLE = "delivery_lines_unreadable"

#: Deliveries looked at in one turn, and the events after which it takes no more: a transaction is short.
_DELIVERIES = 50
_EVENTS = 500

#: The longest pause between two looks at an unmatched delivery (real time).
_LONGEST_PAUSE = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class TakenAtOnce:
    """What became of a delivery that was stored and taken in at once: values, unreadable lines, and what waits.

    `unmapped` counts what is told under codes that no table explains.
    """

    is_new: bool
    values: int = 0
    unmapped: int = 0
    unreadable: tuple[UnreadableLine, ...] = ()
    unplaced: tuple[str, ...] = ()


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
        self._read_by = ""

    def turn(self) -> int:
        """Take in the oldest deliveries; returns how many were handled."""
        now = self._clock.now()
        self._retry_for_new_devices()
        with self._database.read() as uow:
            found = delivery.waiting(uow.connection, now=now, shown_after=SHOWN_AFTER, limit=_DELIVERIES)
        if not found:
            return 0
        self._note_tables(now=now)
        readable: list[tuple[Delivery, Told]] = []
        unreadable: list[tuple[Delivery, str]] = []
        failed: list[tuple[Delivery, Exception]] = []
        events = 0
        for each in found:
            try:
                raw = RawDelivery(
                    topic=each.topic, correlation=each.correlation, body=each.body, received_at=each.received_at
                )
                told = self._told(each, self.decoded(raw, head_end=each.head_end))
            except ValueError as error:
                unreadable.append((each, str(error)))
                continue
            except Exception as error:  # the worker loop: a defect of a codec holds up nobody else
                failed.append((each, error))
                continue
            readable.append((each, told))
            events += len(told.events)
            if events >= _EVENTS:
                break
        for each, reason in unreadable:
            self._bury(each, kind="delivery_unreadable", note=reason, now=now)
        for each, defect in failed:
            self._note_defect(each, defect, now=now)
        self._take(readable, now=now)
        return len(readable) + len(unreadable) + len(failed)

    def decoded(self, raw: RawDelivery, *, head_end: str) -> tuple[FieldEvent, ...]:
        """Return what a delivery tells; raises ValueError when nothing of it can be read."""
        decode = self._decoders.get(head_end)
        if decode is None:
            raise ValueError(f"the head end {head_end} is not configured any more")
        return tuple(decode(raw))

    def knows(self, packed: Packed, *, head_end: str) -> bool:
        """Tell whether a delivery was stored before."""
        with self._database.read() as uow:
            return delivery.is_stored(uow.connection, packed, head_end=head_end)

    def take_at_once(
        self, raw: RawDelivery, packed: Packed, events: tuple[FieldEvent, ...], *, head_end: str
    ) -> TakenAtOnce:
        """Store a delivery and take in what it tells, in one transaction: both or neither. One known changes nothing.

        One that cannot be taken in for a defect of ours is stored all the same, for the worker's turn to deal with.
        """
        now = self._clock.now()
        self._note_tables(now=now)
        try:
            with self._database.begin() as uow:
                number = delivery.store_one(uow.connection, packed, head_end=head_end, now=now)
                if number is None:
                    return TakenAtOnce(is_new=False)
                each = Delivery(
                    id=number,
                    head_end=head_end,
                    topic=raw.topic,
                    correlation=raw.correlation,
                    data=packed.data,
                    received_at=now,
                    attempts=0,
                )
                unplaced = self._take_in(uow, [(each, self._told(each, events))], now=now)
        except Exception:  # as in the worker loop: what was told is kept
            log.exception("delivery_failed", head_end=head_end, topic=raw.topic)
            with self._database.begin() as uow:
                delivery.store(uow.connection, [packed], head_end=head_end, now=now)
            return TakenAtOnce(is_new=True, unplaced=("it could not be taken in, and waits for the readings worker",))
        return TakenAtOnce(
            is_new=True,
            values=sum(len(event.values) for event in events if isinstance(event, FieldIntervals)),
            unmapped=sum(isinstance(event, Unmapped) for event in events),
            unreadable=tuple(event for event in events if isinstance(event, UnreadableLine)),
            unplaced=tuple(unplaced.get(number, ())),
        )

    def _note_tables(self, *, now: datetime) -> None:
        """Keep the tables that deliveries are read by, once for all that are read by them."""
        version = self._database.settings.made(MappingVersion)
        if version.name != self._read_by:
            with self._database.begin() as uow:
                note_version(uow.connection, version, now=now)
            self._read_by = version.name

    def _retry_for_new_devices(self) -> None:
        with self._database.read() as uow:
            newest = delivery.newest_device(uow.connection)
            arrived = newest != self._newest_device and delivery.has_unmatched(uow.connection)
        if arrived:
            with self._database.begin() as uow:
                delivery.look_again(uow.connection)
        self._newest_device = newest

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

    def _take_in(
        self, uow: UnitOfWork, batch: Sequence[tuple[Delivery, Told]], *, now: datetime
    ) -> Mapping[int, Sequence[str]]:
        """Take a batch in and note what became of each delivery; returns what found no place yet, by delivery."""
        held = delivery.hold(uow.connection, [each.id for each, _ in batch])
        ours = [(each, told) for each, told in batch if each.id in held]
        given_up = frozenset(each.id for each, _ in ours if now - each.received_at >= SHOWN_AFTER)
        unplaced = take_in(uow, [told for _, told in ours], now=now, given_up=given_up)
        unreadable = {each.id: note for each, told in ours if (note := _unreadable(told)) is not None}
        done = [each.id for each, _ in ours if each.id not in unplaced and each.id not in unreadable]
        delivery.finish(uow.connection, done, read_by=self._read_by)
        for each, _ in ours:
            reasons, mistakes = unplaced.get(each.id), unreadable.get(each.id)
            if reasons is not None:
                self._wait(uow, each, _summary(reasons), mistakes, now=now)
            elif mistakes is not None:
                self._show(uow, each, kind=_LINES_UNREADABLE, note=mistakes, now=now)
            else:
                DELIVERIES.labels(each.head_end, topic_label(each.topic), "done").inc()
        return unplaced

    def _wait(self, uow: UnitOfWork, each: Delivery, note: str, mistakes: str | None, *, now: datetime) -> None:
        """Leave a delivery of which something has no place yet for another look, up to a day."""
        if now - each.received_at >= SHOWN_AFTER:
            text = note if mistakes is None else f"{note}; {mistakes}"
            self._show(uow, each, kind="delivery_unmatched", note=text, now=now)
            return
        pause = min(self._retry.delay(each.attempts + 1), _LONGEST_PAUSE)
        delivery.postpone(
            uow.connection,
            each.id,
            status=DeliveryStatus.UNMATCHED,
            pause=pause,
            note=note,
            read_by=self._read_by,
        )
        if each.attempts == 0:
            DELIVERIES.labels(each.head_end, topic_label(each.topic), "unmatched").inc()
            log.info("delivery_unmatched", head_end=each.head_end, delivery=each.id, reason=note)
            if mistakes is not None:
                uow.save([_case(each, kind=_LINES_UNREADABLE, note=mistakes, now=now)])

    def _note_defect(self, each: Delivery, error: Exception, *, now: datetime) -> None:
        attempt = each.attempts + 1
        log.error("delivery_failed", head_end=each.head_end, delivery=each.id, attempt=attempt, exc_info=error)
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
        delivery.give_up(uow.connection, each.id, note=note, read_by=self._read_by)
        uow.save([_case(each, kind=kind, note=note, now=now)])
        DELIVERIES.labels(each.head_end, topic_label(each.topic), "dead").inc()

    def _told(self, each: Delivery, events: tuple[FieldEvent, ...]) -> Told:
        return Told(
            delivery_id=each.id,
            head_end=each.head_end,
            received_at=each.received_at,
            events=events,
            is_again=each.read_by is not None,
            is_explained=each.read_by not in (None, self._read_by),
        )


def _case(each: Delivery, *, kind: str, note: str, now: datetime) -> ExceptionCase:
    text = f"delivery {each.id} of {each.head_end}, topic {each.topic}: {note}"[:1000]
    return ExceptionCase(kind=kind, case_key=f"{each.head_end}/{each.id}", opened_at=now, note=text)


def _unreadable(told: Told) -> str | None:
    """Return which lines of a delivery cannot be read, and why; None when all can."""
    lines = [event for event in told.events if isinstance(event, UnreadableLine)]
    if not lines:
        return None
    shown = "; ".join(f"line {each.line}: {each.reason}" for each in lines[:10])
    return shown if len(lines) <= 10 else f"{shown}; and {len(lines) - 10} more"


def _summary(reasons: Sequence[str]) -> str:
    different = sorted(set(reasons))
    shown = "; ".join(different[:10])
    return shown if len(different) <= 10 else f"{shown}; and {len(different) - 10} more"
