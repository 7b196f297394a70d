"""Taking in one SOAP message: read it, see whose it is, store it in one transaction, or refuse it with a visible copy.

```
body -> envelope -> root -> service -> contract -> header -> sender and key -> Requests -> one transaction -> 202
          \\_________________________ Refused ______________________________/ -> copy without a key -> fault
```
A query is not stored: it is told back, with the system that asks, to be answered at once.

Runs in a thread: nothing here may wait in the event loop.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from sqlalchemy.exc import DBAPIError

from mdus.contracts.header import MessageHeader
from mdus.domain.exception_case import ExceptionCase
from mdus.endpoints.message_reading import Glimpse, MessageReader, Question, Reading
from mdus.endpoints.received_body import ReceivedBody
from mdus.endpoints.refusal import Reason, Refused
from mdus.endpoints.runtime import Runtime
from mdus.endpoints.same_content import same_content
from mdus.messaging.patterns import inbound_roots
from mdus.settings import Sender
from mdus.storage.intake import (
    Fate,
    Stored,
    StoredBody,
    body_of_message,
    store_message,
    store_refused,
    store_repeat,
)
from mdus.storage.session import UnitOfWork, is_collision
from mdus.telemetry import tracing
from mdus.telemetry.logs import correlated, logger
from mdus.telemetry.metrics import CHILDREN_SET_ASIDE, MESSAGES_RECEIVED, MESSAGES_REFUSED, MESSAGES_REPEATED

log = logger(__name__)
T = TypeVar("T")

_REFUSAL_LENGTH: Final = 8000
#: Two bulks may bring the same items in another order.
_ATTEMPTS: Final = 3
#: A body from which on compressing it takes longer than handing it to another thread.
_PACKED_BESIDE: Final = 1 << 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A query to be answered, and the system that asks: it has no header, so its sender's own."""

    question: Question
    sender_system: str


class Intake:
    """Takes in messages for all services of a runtime; may be used by many threads at once."""

    def __init__(self, runtime: Runtime) -> None:
        """Find out which roots are taken in, and by which service."""
        self._runtime = runtime
        services = {root: service for service in runtime.services.values() for root, _ in inbound_roots(service)}
        self._reader = MessageReader(runtime.catalog, services)
        self._packers = ThreadPoolExecutor(thread_name_prefix="packer")

    def take(
        self, body: ReceivedBody, *, interface: str | None, sender: Sender | None, imported: bool = False
    ) -> Stored:
        """Store the message in a body and return what became of it, durable; or raise Refused, with a copy kept.

        `interface` is the one the sender addressed, None for any; `sender` the authenticated row of the settings, None
        where no credentials are configured. An `imported` message was made of a file of ours.
        """
        taken = self.receive(body, interface=interface, sender=sender, imported=imported)
        if isinstance(taken, Asked):
            raise Refused(Reason.UNSUPPORTED_SERVICE, "A query is answered, not stored")
        return taken

    def receive(
        self, body: ReceivedBody, *, interface: str | None, sender: Sender | None, imported: bool = False
    ) -> Stored | Asked:
        """Do as `take` does, but return a query, which is to be answered and not stored."""
        began = time.time_ns()
        stored_body = self._packed(body)
        settings = self._runtime.settings
        default_system = settings.auth.default_system if sender is None else sender.default_system
        glimpse = Glimpse(default_system=default_system)

        def system_of(header: MessageHeader) -> str:
            system = header.sender_system or default_system
            if sender is not None and not sender.may_send_for(system):
                text = f"The user {sender.user} may not send for the SenderBusinessSystemID {system}"
                raise Refused(Reason.SENDER_SYSTEM, text)
            return system

        try:
            with (
                self._reader.read(
                    body,
                    interface=interface,
                    system_of=system_of,
                    glimpse=glimpse,
                    small_limit=settings.http.small_message_bytes,
                ) as reading,
            ):
                if isinstance(reading, Question):
                    return Asked(question=reading, sender_system=default_system)
                message = reading.message
                name = message.uuid or message.header_id
                with (
                    correlated(message_uuid=message.uuid or message.key),
                    tracing.span("intake", lambda: [name] if name else [], began=began) as span,
                ):
                    stored = self._store(reading.imported() if imported else reading, stored_body())
                    span.is_root = stored.fate is Fate.NEW
                    span.attributes |= {"interface": reading.interface, "fate": stored.fate.value}
                    return stored
        except Refused as refused:
            if refused.is_readable:
                self._keep(refused, glimpse, stored_body())
            self.count(refused, interface=interface or glimpse.interface)
            raise

    def _packed(self, body: ReceivedBody) -> Callable[[], StoredBody]:
        """Return what tells the form in which the body is kept; a large one is compressed while it is parsed."""
        return self._packers.submit(body.stored).result if body.size > _PACKED_BESIDE else body.stored

    def count(self, refused: Refused, *, interface: str | None) -> None:
        """Count and log a refusal."""
        # Never a text of the caller's as a metric's label.
        label = interface if interface in self._runtime.catalog.interfaces else "unknown"
        MESSAGES_REFUSED.labels(label, refused.reason.value).inc()
        log.warning("message_refused", interface=label, reason=refused.reason.value, why=refused.told[:500])

    def _store(self, reading: Reading, body: StoredBody) -> Stored:
        if self._runtime.database.is_sqlite:
            reading = reading.bound()  # a turn at its one writer is for writing; PostgreSQL stores beside the binding
        message, now = reading.message, self._runtime.clock.now()
        stored = self._transaction(
            lambda uow: store_message(
                uow.connection,
                message,
                body=body,
                batches=reading.batches,
                shape_version=reading.shape_version,
                now=now,
            )
        )
        if stored.fate is Fate.KEY_TAKEN:
            stored = self._store_same_key(reading, body, original_id=stored.message_id, now=now)
        if stored.fate is Fate.NEW:
            MESSAGES_RECEIVED.labels(reading.interface).inc()
            CHILDREN_SET_ASIDE.labels(reading.interface).inc(message.set_aside)
        else:
            MESSAGES_REPEATED.labels(reading.interface).inc()
        log.info(
            "message_received",
            interface=reading.interface,
            message_id=stored.message_id,
            fate=stored.fate.value,
            items=message.item_count,
            repeated_items=stored.repeated_items,
            set_aside=message.set_aside,
        )
        return stored

    def _store_same_key(self, reading: Reading, body: StoredBody, *, original_id: int, now: datetime) -> Stored:
        """Store a message whose key came before with other bytes: a repeat if it says the same, else Refused."""
        message = reading.message
        with self._runtime.database.read() as uow:
            original = body_of_message(uow.connection, original_id)
        if original is not None and same_content(original, body.data):
            return self._transaction(
                lambda uow: store_repeat(uow.connection, message, body=body, original_id=original_id, now=now)
            )
        case = ExceptionCase(
            kind="changed_duplicate",
            case_key=f"{message.sender_system}/{message.service}/{message.key}",
            opened_at=now,
            note=f"{message.root}: the key {message.key} came again with other content, which was refused",
        )
        self._transaction(lambda uow: uow.save([case]))
        text = f"The key {message.key} was used before, with other content; send a change under a new UUID"
        raise Refused(Reason.CHANGED_DUPLICATE, text)

    def _keep(self, refused: Refused, glimpse: Glimpse, body: StoredBody) -> None:
        """Keep a visible copy of a refused message."""
        now = self._runtime.clock.now()
        told = refused.told[:_REFUSAL_LENGTH]
        self._transaction(
            lambda uow: store_refused(uow.connection, glimpse.message(now), body=body, refusal=told, now=now)
        )

    def _transaction(self, work: Callable[[UnitOfWork], T]) -> T:
        attempt = 0
        while True:
            attempt += 1
            try:
                with self._runtime.database.begin() as uow:
                    return work(uow)
            except DBAPIError as error:
                if not is_collision(error) or attempt == _ATTEMPTS:
                    raise
