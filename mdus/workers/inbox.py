"""The inbox worker: claims ready items of one service, lets the service decide them, stores the outcomes.

One turn is one claim and one transaction:

```
claim (up to 200 items of a service) -> load (one query per aggregate) -> decide (pure, in arrival order) -> save
```

An error of one item never costs its neighbours: a batch that fails is split until the item at fault stands alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from mdus.contracts.binding import from_json, shape_version, to_json
from mdus.domain.clock import Clock
from mdus.domain.end_device_event import LateFailure, late_failure
from mdus.domain.exception_case import ExceptionCase
from mdus.messaging.known import Known
from mdus.messaging.outcome import Await, BusinessError, Change, Done, Origin, Outcome, Park, Received, Result, received
from mdus.messaging.patterns import ClientRequest, NotificationReceived, RequestConfirmation, RequestSent, Service
from mdus.messaging.retry import RetryPolicy
from mdus.messaging.status import ItemStatus
from mdus.settings import Settings
from mdus.storage import inbox
from mdus.storage.answered import settle_answered
from mdus.storage.exception_case import DEAD_ITEM
from mdus.storage.inbox import ItemUpdate
from mdus.storage.mapping import AnyRow
from mdus.storage.session import Database, UnitOfWork, is_collision
from mdus.storage.waiting import hold
from mdus.telemetry import tracing
from mdus.telemetry.metrics import DECIDED_SECONDS, ITEMS
from mdus.workers.rebinding import bound_again

log = structlog.get_logger(__name__)

Decided = RequestConfirmation | NotificationReceived | RequestSent | ClientRequest

#: After how long a repeated item looks by itself whether its original is decided; it is woken when that happens.
_DUPLICATE_PAUSE = timedelta(hours=1)


class SameKeyOtherContent(BusinessError):
    """The identifier of this item was used before with other content"""

    type_id = "002(MDUS)"


class InboxWorker:
    """Decides received items; `turn` returns how many it moved, 0 when there was nothing to do."""

    def __init__(
        self,
        *,
        database: Database,
        services: Mapping[str, Service],
        settings: Settings,
        clock: Clock,
        retry: RetryPolicy,
    ) -> None:
        self._database = database
        self._services: dict[str, Decided] = {
            name: service for name, service in services.items() if isinstance(service, Decided)
        }
        self._settings = settings
        self._clock = clock
        self._retry = retry

    def turn(self) -> int:
        """Decide one batch of the service whose item has waited longest; returns the number of items moved."""
        now = self._clock.now()
        with self._database.read() as uow:
            names = inbox.services_with_work(uow.connection, list(self._services))
            overdue = inbox.is_overdue(uow.connection, now=now)
        moved = 0
        if overdue:
            with self._database.begin() as uow:
                moved += inbox.wake_overdue(uow.connection, now=now, limit=self._settings.workers.claim_size)
        for name in names:
            if decided := self._turn_of(self._services[name]):
                return moved + decided
        return moved

    def _turn_of(self, service: Decided) -> int:
        with self._database.begin() as uow:
            rows = inbox.claim_items(uow.connection, service.name, limit=self._settings.workers.claim_size)
            with tracing.span("decide", lambda: _messages(rows), service=service.name):
                return self._decide_batch(uow, service, rows)

    def _decide_batch(self, uow: UnitOfWork, service: Decided, rows: Sequence[AnyRow]) -> int:
        """Decide and store these items; on an error halve the batch until the item at fault is alone.

        Returns how many were moved: an item that something is just arriving for is left for the next turn.
        """
        if not rows:
            return 0
        now = self._clock.now()
        savepoint = uow.connection.begin_nested()
        try:
            updates = self._decided(uow, service, rows, now=now)
            inbox.finish_items(uow.connection, updates, now=now)
        except Exception as error:  # the worker loop: whatever is wrong, the other items go on
            if is_collision(error):
                raise  # no item is at fault: the turn is taken again
            savepoint.rollback()
            if len(rows) > 1:
                middle = len(rows) // 2
                return sum(self._decide_batch(uow, service, some) for some in (rows[:middle], rows[middle:]))
            self._note_defect(uow, service, rows[0], error, now=now)
            return 1
        savepoint.commit()
        _measure(service, rows, updates, now=now)
        return len(updates)

    def _note_defect(self, uow: UnitOfWork, service: Decided, row: AnyRow, error: Exception, *, now: datetime) -> None:
        attempt = row.attempts + 1
        pause = None if self._retry.is_exhausted(attempt) else self._retry.delay(attempt)
        log.exception(
            "item_failed", service=service.name, item_id=row.id, message_uuid=row.message_uuid, attempt=attempt
        )
        ITEMS.labels(service.name, "error").inc()
        text = f"{type(error).__name__}: {error}"[:500]
        inbox.fail_item(uow.connection, row, error=text, pause=pause, now=now)
        if pause is None:
            note = f"{service.name}, item {row.id}: given up after {attempt} attempts: {text}"
            uow.save([ExceptionCase(kind=DEAD_ITEM, case_key=str(row.id), opened_at=now, note=note)])

    def _decided(self, uow: UnitOfWork, service: Decided, rows: Sequence[AnyRow], *, now: datetime) -> list[ItemUpdate]:
        firsts = [row for row in rows if row.duplicate_of is None]
        repeats = [row for row in rows if row.duplicate_of is not None]
        updates = self._repeated(uow, service, repeats, now=now)
        requests = [self._request(uow, service, row) for row in firsts]
        known = service.load(requests, uow) if requests else Known()
        decide = service.settle if isinstance(service, RequestSent) else service.decide
        changes: list[Change] = []
        for row, update in zip(repeats, updates, strict=True):
            if update.note is not None:
                changes += _never_silent(service, row, update.note, now=now)
        parked: list[tuple[Received, ItemUpdate]] = []
        counts: Counter[str] = Counter()
        for row, request in zip(firsts, requests, strict=True):
            outcome = _outcome(decide, service, request, known, now=now)
            known = known.after(outcome)
            changes += _changes_of(outcome)
            counts[_named(outcome)] += 1
            update = _update(service, row, outcome)
            if update.note is not None:
                changes += _never_silent(service, row, update.note, now=now)
            if update.waits_for is not None and not _is_ordered_with(row, update.waits_for):
                parked.append((request, update))
            updates.append(update)
        uow.save(changes)
        for name, number in counts.items():
            ITEMS.labels(service.name, name).inc(number)
        if isinstance(service, RequestSent):
            _note_answers(uow, service, firsts, requests, now=now)
        arriving = _arriving(uow, service, decide, parked, now=now)
        return [update for update in updates if update.item_id not in arriving]

    def _repeated(
        self, uow: UnitOfWork, service: Decided, rows: Sequence[AnyRow], *, now: datetime
    ) -> list[ItemUpdate]:
        """Answer items that repeat an earlier one from its result; while that one is undecided they wait for it."""
        originals = inbox.results_of(uow.connection, [row.duplicate_of for row in rows]) if rows else {}
        updates = []
        for row in rows:
            confirmed = _is_confirmed(service, row)
            status, content, result, silent = originals[row.duplicate_of]
            update = ItemUpdate(item_id=row.id, message_id=row.message_id, status=ItemStatus.CLOSED, silent=True)
            if content != row.content:
                error = SameKeyOtherContent()
                update = replace(update, result=to_json(_failed(service, error)), silent=False)
                update = replace(update, status=ItemStatus.DECIDED) if confirmed else replace(update, note=str(error))
            elif status not in (ItemStatus.DECIDED, ItemStatus.CLOSED):
                waits_for = inbox.repeats_of(row.duplicate_of)
                update = replace(update, status=ItemStatus.PARKED, until=now + _DUPLICATE_PAUSE, waits_for=waits_for)
            elif confirmed and not silent:
                update = replace(update, status=ItemStatus.DECIDED, result=result, silent=False)
            updates.append(update)
        return updates

    def _request(self, uow: UnitOfWork, service: Decided, row: AnyRow) -> Received:
        """Return the item's request with its origin; bound again from the raw body when the shape has changed."""
        shape = service.shape
        if row.shape_version == shape_version(shape):
            request: Received = from_json(shape, row.content)
        else:
            request = bound_again(uow.connection, shape, row)
        return received(request, self._origin(service, row))

    def _origin(self, service: Decided, row: AnyRow) -> Origin:
        parking = self._settings.parking
        minutes = parking.confirmed_minutes if isinstance(service, RequestConfirmation) else parking.notified_minutes
        if not _is_of_sap(row):
            minutes = 0  # whoever reads at once what became of it can ask again
        return Origin(
            item_id=row.id,
            sender_system=row.sender_system,
            zone=zone_of(self._settings, row.sender_system),
            message_uuid=row.message_uuid,
            uuid=row.uuid or (None if row.bulk else row.message_uuid),
            id=row.header_id or (None if row.bulk else row.message_header_id),
            bulk=row.bulk,
            test_data=row.test_data,
            received_at=row.stored_at.astimezone(UTC),
            park_until=row.stored_at + timedelta(minutes=minutes),
            answers=row.reference_uuid.lower() if row.reference_uuid else None,
            overall_code=row.result_code,
            client=row.client,
        )


def zone_of(settings: Settings, sender_system: str) -> str:
    """Return the IANA zone of dates and times on a sender system's wire."""
    named = settings.sender_for(sender_system)
    return named.time_zone if named else settings.time_zone


def _outcome(decide: Any, service: Decided, request: Received, known: Known, *, now: datetime) -> Outcome:
    try:
        outcome: Outcome = decide(request, known, now=now)
    except BusinessError as error:
        return Done(result=_failed(service, error))
    if isinstance(outcome, Park) and outcome.until <= now:
        return Done(result=_failed(service, outcome.otherwise))
    return outcome


def _is_ordered_with(row: AnyRow, waits_for: str) -> bool:
    """Tell whether what the item waits for comes in items of the same ordering key: never while this one is claimed."""
    return f"{waits_for.partition('/')[2]}/".startswith(f"{row.ordering_key}/")


def _arriving(
    uow: UnitOfWork, service: Decided, decide: Any, parked: Sequence[tuple[Received, ItemUpdate]], *, now: datetime
) -> set[int]:
    """Return the items to be decided in the next turn: what they were to wait for has just come, or is just coming."""
    if not parked or uow.is_alone:
        return set()
    held = hold(uow.connection, {update.waits_for or "" for _, update in parked})
    certain = [(request, update) for request, update in parked if update.waits_for in held]
    known = service.load([request for request, _ in certain], uow.looking()) if certain else Known()
    waiting = set()
    for request, update in certain:
        outcome = _outcome(decide, service, request, known, now=now)
        if isinstance(outcome, Park) and outcome.waits_for == update.waits_for:
            waiting.add(update.item_id)
    return {update.item_id for _, update in parked} - waiting


def _update(service: Decided, row: AnyRow, outcome: Outcome) -> ItemUpdate:
    item_id, message_id = row.id, row.message_id
    match outcome:
        case Await(until=until):
            return ItemUpdate(item_id=item_id, message_id=message_id, status=ItemStatus.AWAITING, until=until)
        case Park(until=until, waits_for=waits_for):
            return ItemUpdate(
                item_id=item_id, message_id=message_id, status=ItemStatus.PARKED, until=until, waits_for=waits_for
            )
    result = outcome.result
    if result is None:
        return ItemUpdate(item_id=item_id, message_id=message_id, status=ItemStatus.CLOSED, silent=True)
    confirmed = _is_confirmed(service, row)
    silenced = result.failed and not confirmed
    return ItemUpdate(
        item_id=item_id,
        message_id=message_id,
        status=ItemStatus.DECIDED if confirmed else ItemStatus.CLOSED,
        result=to_json(result),
        silent=not _is_of_sap(row),
        note="; ".join(problem.note for problem in result.problems) if silenced else None,
    )


def _is_confirmed(service: Decided, row: AnyRow) -> bool:
    """Tell whether SAP awaits a confirmation of this item."""
    return isinstance(service, RequestConfirmation) and _is_of_sap(row)


def _is_of_sap(row: AnyRow) -> bool:
    """Tell whether SAP sent it itself: an import tells what became of it in its report, REST in the resource."""
    return not row.imported and row.client is None


def _named(outcome: Outcome) -> str:
    """Return the outcome as it is counted."""
    match outcome:
        case Await():
            return "awaiting"
        case Park():
            return "parked"
    return "failed" if outcome.result is not None and outcome.result.failed else "done"


def _failed(service: Decided, error: BusinessError) -> Result:
    result = service.result if isinstance(service, RequestConfirmation | ClientRequest) else Result
    return result(problems=(error.problem,))


def _measure(service: Decided, rows: Sequence[AnyRow], updates: Sequence[ItemUpdate], *, now: datetime) -> None:
    """Note how long the items took that are decided for good; those of one message were stored together."""
    decided = {update.item_id for update in updates if update.status in (ItemStatus.DECIDED, ItemStatus.CLOSED)}
    stored = Counter(row.stored_at for row in rows if row.id in decided)
    DECIDED_SECONDS.labels(service.name).observe_many(
        {max(0.0, (now - at).total_seconds()): times for at, times in stored.items()}
    )


def _messages(rows: Sequence[AnyRow]) -> set[str]:
    """Return what names the messages that items are of."""
    return {name for row in rows if (name := row.message_uuid or row.message_header_id)}


def _changes_of(outcome: Outcome) -> tuple[Change, ...]:
    match outcome:
        case Done():
            return outcome.changes
        case Await():
            return (*outcome.changes, *outcome.commands)
    return ()


def _never_silent(service: Decided, row: AnyRow, note: str, *, now: datetime) -> tuple[Change, ...]:
    """What no confirmation tells becomes an open case and, unless SAP only answered us, a smart meter event."""
    if not _is_of_sap(row):
        return ()
    failure = service.failure if isinstance(service, NotificationReceived) else LateFailure.MESSAGE_FAILED
    text, key = f"{service.name}: {note}", str(row.id)
    case = ExceptionCase(kind=failure.value, case_key=key, opened_at=now, note=text)
    if not isinstance(service, NotificationReceived):
        return (case,)
    event = late_failure(
        failure,
        sender_system=row.sender_system,
        device_id=row.ordering_key.removeprefix(f"{row.sender_system}/") if service.order_by == "device_id" else None,
        at=now,
        told_at=now,
        about=f"item/{row.id}",
        note=text,
        case_key=key,
    )
    return event, case


def _note_answers(
    uow: UnitOfWork, service: RequestSent, rows: Sequence[AnyRow], requests: Sequence[Received], *, now: datetime
) -> None:
    """Mark our own messages and items that SAP has confirmed, per sender system."""
    answered: dict[str, list[tuple[str, str | None, str]]] = {}
    for row, request in zip(rows, requests, strict=True):
        key = service.settled_by(request)
        answered.setdefault(row.sender_system, []).append((service.name, row.reference_uuid, key or ""))
    for sender_system, some in answered.items():
        settle_answered(
            uow.connection, some, sender_system=sender_system, always_confirmed=service.always_confirmed, now=now
        )
