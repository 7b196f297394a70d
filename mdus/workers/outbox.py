"""The outbox worker: forms confirmations, claims what is due to SAP, and delivers both.

```
decided items --form--> a confirmation (own UUID)  \\
                                                     >-- lease --> render --> POST --> delivered | again later | DEAD
due subjects  --start-> a message (select, build)  /
news          --tell--> a message to each webhook  /
```

Forming and starting are one transaction each. A delivery is three steps: lease, call outside any transaction, outcome
stored only while the lease still is ours. A message is rendered from stored rows that never change, so each attempt
sends the same bytes.
"""

from __future__ import annotations

import hashlib
import uuid
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import groupby
from typing import Any

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from mdus.cis.client import CisClient, Delivery
from mdus.cis.webhooks import WebhookClient
from mdus.contracts.binding import from_json, shape_version, to_json
from mdus.contracts.catalog import Catalog
from mdus.contracts.envelope import Item, render, size_of
from mdus.contracts.header import MessageHeader
from mdus.contracts.log import Log
from mdus.domain.clock import Clock
from mdus.domain.end_device_event import LateFailure, late_failure
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.value import Value
from mdus.messaging.log_types import LogTypes
from mdus.messaging.parts import parted
from mdus.messaging.patterns import (
    Due,
    NotificationSent,
    RequestConfirmation,
    RequestSent,
    Service,
    outbound_root,
    outbound_roots,
)
from mdus.messaging.retry import RetryPolicy
from mdus.messaging.status import MessageStatus
from mdus.settings import Settings
from mdus.storage import outbox, webhook
from mdus.storage.exception_case import DEAD_MESSAGE
from mdus.storage.mapping import AnyRow
from mdus.storage.message import store_body
from mdus.storage.outbox import OutboundItem
from mdus.storage.session import Database
from mdus.telemetry import tracing
from mdus.telemetry.metrics import CONFIRMED_SECONDS, DELIVERED_SECONDS, MESSAGES_SENT, TURNS_FAILED
from mdus.workers.news import tell_news
from mdus.workers.rebinding import bound_again

log = structlog.get_logger(__name__)

#: Messages formed into confirmations in one turn, and messages leased for delivery in one turn.
_CONFIRMED_AT_ONCE = 50
_SUBJECTS_AT_ONCE = 1000

#: What the header of an item takes at most, and what a bulk takes around its items.
_HEADER_BYTES = 1000
_AROUND_BYTES = 2000


class OutboxWorker:
    """Sends to SAP; `turn` returns how much it moved, 0 when there was nothing to do."""

    def __init__(
        self,
        *,
        database: Database,
        services: Mapping[str, Service],
        settings: Settings,
        clock: Clock,
        retry: RetryPolicy,
        contract: Catalog,
        client: CisClient,
    ) -> None:
        self._database = database
        self._services = services
        self._settings = settings
        self._clock = clock
        self._retry = retry
        self._contract = contract
        self._client = client
        self._log_types = LogTypes.of(settings)
        self._webhooks = WebhookClient(settings.cis)
        self._senders = ThreadPoolExecutor(settings.cis.connections, thread_name_prefix="delivery")

    def turn(self) -> int:
        """Form what is ready, start what is due, deliver what is leased; what fails keeps none of the others."""
        moved = 0
        failure: Exception | None = None
        for step in (self.form_confirmations, self.start_messages, self.tell_news, self.deliver):
            try:
                moved += step()
            except Exception as error:  # the worker loop: what cannot be started must not stop what can be delivered
                log.exception("outbox_step_failed", step=step.__name__)
                TURNS_FAILED.labels(f"outbox {step.__name__}").inc()
                failure = error
        if failure is not None and not moved:
            raise failure
        return moved

    # -- forming confirmations ----------------------------------------------------------------------------------------

    def form_confirmations(self) -> int:
        """Put decided items into confirmations, per message; returns the number of items."""
        with self._database.read() as uow:
            if not outbox.has_decided_items(uow.connection):
                return 0
        formed = 0
        with self._database.begin() as uow:
            now = self._clock.now()
            for received in outbox.messages_to_confirm(uow.connection, limit=_CONFIRMED_AT_ONCE):
                root = outbound_root(self._services[received.service], bulk=received.bulk)
                size = self._settings.cis.bulk_size if received.bulk else 1
                formed += outbox.confirm_message(
                    uow.connection,
                    received,
                    root=root,
                    size=size,
                    most_bytes=self._settings.cis.bulk_bytes - _AROUND_BYTES,
                    now=now,
                )
        return formed

    # -- starting messages --------------------------------------------------------------------------------------------

    def start_messages(self) -> int:
        """Store messages for everything the sending services find due; returns the number of items."""
        sending = [each for each in self._services.values() if isinstance(each, NotificationSent | RequestSent)]
        with self._database.read() as uow:
            now = self._clock.now()
            due = [service for service in sending if service.select(uow, now=now, limit=1)]
        return sum(self._start(service) for service in due)

    def _start(self, service: NotificationSent | RequestSent) -> int:
        with self._database.begin() as uow:
            now = self._clock.now()
            due = service.select(uow, now=now, limit=_SUBJECTS_AT_ONCE)
            for (system, bulk, _), subjects in _by_form(due, self._settings, service):
                root = outbound_root(service, bulk=bulk)
                for items in self._parts(service, subjects, root=root, bulk=bulk):
                    outbox.store_message(
                        uow.connection,
                        sender_system=system,
                        service=service.name,
                        root=root,
                        bulk=bulk,
                        shape_version=shape_version(_stored_shape(service)),
                        items=items,
                        now=now,
                    )
            uow.save([change for one in due for change in one.changes])
            return len(due)

    def _parts(
        self, service: NotificationSent | RequestSent, subjects: Sequence[Due], *, root: str, bulk: bool
    ) -> Iterator[Sequence[OutboundItem]]:
        """Yield the items of each message that these subjects make."""
        contents = [service.build(one.subject) for one in subjects]
        items = [
            OutboundItem(
                key=one.key,
                attempt=one.attempt,
                content=to_json(content),
                reference_uuid=one.reference_uuid,
                reference_id=one.reference_id,
            )
            for one, content in zip(subjects, contents, strict=True)
        ]
        if not bulk:
            return ((item,) for item in items)
        heaviest = self._settings.cis.bulk_bytes - _AROUND_BYTES
        weights = self._weights(service, root, items, contents, heaviest=heaviest)
        return parted(items, weights, most=self._settings.cis.bulk_size, heaviest=heaviest)

    def _weights(
        self,
        service: NotificationSent | RequestSent,
        root: str,
        items: Sequence[OutboundItem],
        contents: Sequence[object],
        *,
        heaviest: int,
    ) -> Sequence[int]:
        """Return the bytes of each item in its message, or of all alike where it is plain that they fit together."""
        known = self._contract.root(root)
        longest = max(range(len(items)), key=lambda place: len(items[place].content))
        of_longest = _HEADER_BYTES + size_of(known, _unpacked(service, contents[longest]))
        # Weighing an item takes as long as writing it; twice that of the longest is more than any other can have.
        if 2 * of_longest * len(items) <= heaviest:
            return [of_longest] * len(items)
        return [_HEADER_BYTES + size_of(known, _unpacked(service, content)) for content in contents]

    def tell_news(self) -> int:
        """Put news into the outbox for clients' webhooks; returns how many there were."""
        return tell_news(self._database, now=self._clock.now())

    # -- delivering ---------------------------------------------------------------------------------------------------

    def deliver(self) -> int:
        """Lease what is due and post it; returns the number of messages tried."""
        with self._database.read() as uow:
            if not outbox.has_due_messages(uow.connection):
                return 0
        token = str(uuid.uuid4())
        limit = self._settings.cis.connections * 2
        with self._database.begin() as uow:
            rows = outbox.lease_messages(
                uow.connection,
                token=token,
                seconds=self._settings.workers.lease_seconds,
                limit=limit,
                now=self._clock.now(),
            )
        list(self._senders.map(lambda row: self._deliver(row, token), rows))
        return len(rows)

    def _deliver(self, row: AnyRow, token: str) -> None:
        structlog.contextvars.bind_contextvars(message_uuid=row.uuid)
        with tracing.span("deliver", lambda: [_traced_with(row)], root=row.root, attempt=row.attempts) as span:
            delivery = self._posted_and_stored(row, token)
            span.attributes["delivered"] = delivery.delivered
        structlog.contextvars.unbind_contextvars("message_uuid")

    def _posted_and_stored(self, row: AnyRow, token: str) -> Delivery:
        is_news = row.service == webhook.SERVICE
        interface = webhook.SERVICE if is_news else self._contract.root(row.root).interface
        body: bytes | None = None
        defect = False
        try:
            if is_news:
                body, delivery = self._told(row)
            else:
                body = self.rendered(row)
                delivery = self._client.post(body, interface=interface, sender_system=row.sender_system)
        except (DBAPIError, PoolTimeout) as error:  # the database was away for a moment: no fault of the message
            delivery = Delivery(delivered=False, error=f"{type(error).__name__}: {error}"[:500])
        except Exception as error:  # the worker loop: a message that cannot be made must not stop the others
            log.exception("message_not_rendered", root=row.root, message_id=row.id)
            delivery, defect = Delivery(delivered=False, error=f"{type(error).__name__}: {error}"[:500]), True
        self._store(row, token, delivery, body=body, interface=interface, defect=defect)
        return delivery

    def _told(self, row: AnyRow) -> tuple[bytes, Delivery]:
        """Post news to the webhook they are for."""
        with self._database.read() as uow:
            [item] = outbox.items_of_message(uow.connection, row.id)
            hook = webhook.webhook(uow.connection, int(row.header_id))
        body = str(item.content).encode()
        if hook is None:
            return body, Delivery(delivered=False, error="the webhook was deleted")
        return body, self._webhooks.post(body, url=hook.url, secret=hook.secret, uuid=row.uuid)

    def _store(
        self, row: AnyRow, token: str, delivery: Delivery, *, body: bytes | None, interface: str, defect: bool
    ) -> None:
        now = self._clock.now()
        status, pause = MessageStatus.DELIVERED, None
        if not delivery.delivered:
            exhausted = defect or self._retry.is_exhausted(row.attempts)
            status = MessageStatus.DEAD if exhausted else MessageStatus.READY
            pause = None if exhausted else self._retry.delay(row.attempts)
        data = None if body is None else zlib.compress(body, 3)
        asked_at = None
        with self._database.begin() as uow:
            content_hash = None
            if body is not None and data is not None:
                content_hash = hashlib.sha256(body).digest()
                store_body(uow.connection, content_hash=content_hash, data=data, size=len(body))
            mine = outbox.end_delivery(
                uow.connection,
                row.id,
                token=token,
                status=status,
                pause=pause,
                error=delivery.error,
                content_hash=content_hash,
                now=now,
            )
            if mine and status is MessageStatus.DEAD:
                uow.save(self._given_up(row, delivery, now=now))
            if mine and delivery.delivered and row.original_id is not None:
                asked_at = outbox.stored_at(uow.connection, row.original_id)
        if mine and delivery.delivered:
            _measure(row, interface=interface, asked_at=asked_at, now=now)
        result = {MessageStatus.DELIVERED: "delivered", MessageStatus.READY: "retried"}.get(status, "dead")
        MESSAGES_SENT.labels(interface, result).inc()
        log.info(
            "message_sent" if delivery.delivered else "message_not_delivered",
            root=row.root,
            uuid=row.uuid,
            attempt=row.attempts,
            result=result,
            error=delivery.error,
        )

    def _given_up(self, row: AnyRow, delivery: Delivery, *, now: datetime) -> list[Value]:
        """Return what tells of a message that SAP does not take: a case, and of a confirmation an event to SAP."""
        note = f"{row.root} {row.uuid} to {row.sender_system}: {delivery.error}"
        told: list[Value] = [ExceptionCase(kind=DEAD_MESSAGE, case_key=row.uuid, opened_at=now, note=note)]
        if isinstance(self._services.get(row.service), RequestConfirmation):
            told.append(
                late_failure(
                    LateFailure.CONFIRMATION_UNTOLD,
                    sender_system=row.sender_system,
                    device_id=None,
                    at=now,
                    told_at=now,
                    about=row.uuid,
                    note=f"{row.root} for {row.reference_uuid or row.reference_id} could not be delivered",
                    case_key=row.uuid,
                )
            )
        return told

    # -- rendering ----------------------------------------------------------------------------------------------------

    def rendered(self, row: AnyRow) -> bytes:
        """Return the envelope of a stored message of ours; the same rows give the same bytes."""
        service = self._services[row.service]
        header = self._header(row, uuid=row.uuid, reference_uuid=row.reference_uuid, reference_id=row.reference_id)
        if isinstance(service, RequestConfirmation):
            items, log_of_all = self._confirmed(row, service)
        else:
            items, log_of_all = self._started(row, service), None
        return render(
            row.root,
            header=header,
            items=items if row.bulk else [Item(None, items[0].value)],
            log=log_of_all if row.bulk else None,
            contract=self._contract,
        )

    def _confirmed(self, row: AnyRow, service: RequestConfirmation) -> tuple[list[Item], Log]:
        with self._database.read() as uow:
            stored = outbox.items_of_confirmation(uow.connection, row.id)
            version = shape_version(service.shape)
            requests = [
                from_json(service.shape, item.content)
                if item.shape_version == version
                else bound_again(uow.connection, service.shape, item)
                for item in stored
            ]
        # Most of a bulk ended alike: each result is read once.
        results = {
            text: self._log_types.told(from_json(service.result, text)) for text in {each.result for each in stored}
        }
        items = []
        for item, request in zip(stored, requests, strict=True):
            made = outbox.item_uuid(row.uuid, item.position)
            header = self._header(
                row, uuid=made, reference_uuid=item.uuid, reference_id=item.header_id, test_data=item.test_data
            )
            items.append(Item(header, service.confirm(request, results[item.result])))
        return items, Log.overall(item.value.log.result_code for item in items)  # type: ignore[attr-defined]

    def _started(self, row: AnyRow, service: Any) -> list[Item]:
        with self._database.read() as uow:
            stored = outbox.items_of_message(uow.connection, row.id)
        return [
            Item(
                self._header(row, uuid=item.uuid, reference_uuid=item.reference_uuid, reference_id=item.reference_id),
                _unpacked(service, from_json(_stored_shape(service), item.content)),
            )
            for item in stored
        ]

    def _header(
        self,
        row: AnyRow,
        *,
        uuid: str,
        reference_uuid: str | None,
        reference_id: str | None,
        test_data: bool | None = None,
    ) -> MessageHeader:
        is_test = row.test_data if test_data is None else test_data
        return MessageHeader(
            uuid=uuid,
            reference_uuid=reference_uuid,
            reference_id=reference_id,
            created_at=_to_seconds(row.created_at),
            test_data=True if is_test else None,
            sender_system=self._settings.cis.own_system,
            recipient_system=row.sender_system,
        )

    def close(self) -> None:
        """Wait for deliveries under way and close the connections."""
        self._senders.shutdown()
        self._client.close()
        self._webhooks.close()


def _traced_with(row: AnyRow) -> str:
    """Return what names the message whose trace a delivery belongs to: the one it answers, else itself."""
    return str(row.reference_uuid or row.reference_id or row.uuid)


def _measure(row: AnyRow, *, interface: str, asked_at: datetime | None, now: datetime) -> None:
    """Note how long a delivered message took, and, where it confirms items of SAP's, how long those did."""
    DELIVERED_SECONDS.labels(interface).observe(max(0.0, (now - row.stored_at).total_seconds()))
    if asked_at is not None:
        seconds = max(0.0, (now - asked_at).total_seconds())
        CONFIRMED_SECONDS.labels(row.service).observe_many({seconds: row.item_count})


def _stored_shape(service: NotificationSent | RequestSent) -> type[Any]:
    """Return the shape in which the content of an item is stored."""
    packed = service.packed_shape if isinstance(service, RequestSent) else None
    return packed or service.content_shape


def _unpacked(service: NotificationSent | RequestSent, content: object) -> object:
    """Return the wire content of what is stored with an item."""
    unpack = service.unpack if isinstance(service, RequestSent) else None
    return content if unpack is None else unpack(content)


def _by_form(
    due: Sequence[Due], settings: Settings, service: NotificationSent | RequestSent
) -> list[tuple[tuple[str, bool, int], list[Due]]]:
    """Return the due subjects by (sender system, bulk, part), in their order."""
    forms = {form for _, form in outbound_roots(service)}

    def is_bulk(one: Due) -> bool:
        if len(forms) == 1:
            return next(iter(forms))
        if one.bulk is not None:
            return one.bulk
        sender = settings.sender_for(one.sender_system)
        return sender is None or service.name not in sender.single_services

    def form_of(one: Due) -> tuple[str, bool, int]:
        return one.sender_system, is_bulk(one), one.part

    ordered = sorted(due, key=form_of)
    return [(form, list(group)) for form, group in groupby(ordered, key=form_of)]


def _to_seconds(instant: datetime) -> datetime:
    return instant.replace(microsecond=0)
