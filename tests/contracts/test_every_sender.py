"""Every message that any service can send, in all its forms, is held against SAP's schema.

The services are those that are found at start, and a service that is found but has no example fails here: none can be
forgotten. Messages are made by the service itself, rendered by the outbox from stored rows, and judged by nothing but
lxml and the files in xsd/.
"""

from __future__ import annotations

import hashlib
import itertools
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from lxml import etree
from sqlalchemy import update

from mdus.bootstrap.discovery import discover
from mdus.cis.client import Delivery
from mdus.contracts.binding import shape_version, to_json
from mdus.contracts.catalog import catalog
from mdus.endpoints.intake import Asked as AskedBy
from mdus.endpoints.message_reading import Question
from mdus.endpoints.query import answered
from mdus.messaging.known import Known
from mdus.messaging.outcome import Result
from mdus.messaging.patterns import (
    Due,
    NotificationSent,
    Query,
    RequestConfirmation,
    RequestSent,
    Service,
    inbound_roots,
    outbound_roots,
)
from mdus.messaging.retry import RetryPolicy
from mdus.messaging.status import ItemStatus
from mdus.settings import data_folder, load_settings
from mdus.storage.intake import ReceivedItem, ReceivedMessage, StoredBody, store_message
from mdus.storage.message import ITEM
from mdus.workers.outbox import OutboxWorker
from tests.contracts import sap_tables
from tests.contracts.examples_of_senders import EXAMPLES, Answered, Asked, Started
from tests.flows.intake.installation import Installation

NOW = datetime(2026, 3, 29, 1, 0, 0, 123456, tzinfo=UTC)
SERVICES = discover().services
SENDERS = {name: service for name, service in SERVICES.items() if list(outbound_roots(service))}
FORMS = [(name, root, bulk) for name, service in SENDERS.items() for root, bulk in outbound_roots(service)]
SOAP_BODY = "{http://schemas.xmlsoap.org/soap/envelope/}Body"


def violations(body: bytes) -> tuple[str, list[str]]:
    """Return the root of the message in an envelope, and what its schema has against it."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    [message] = etree.fromstring(body, parser).find(SOAP_BODY)  # type: ignore[misc]
    root = etree.QName(message).localname
    schema = etree.XMLSchema(etree.parse(data_folder("xsd") / f"{root}.xsd", parser))
    schema.validate(message)
    return root, [str(error) for error in schema.error_log]


class Sap:
    """Takes what the outbox delivers."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def post(self, body: bytes, *, interface: str, sender_system: str) -> Delivery:
        self.bodies.append(body)
        return Delivery(delivered=True)

    def close(self) -> None:
        pass


class Sender:
    """The outbox on a database of its own, given what services have decided."""

    def __init__(self, url: str) -> None:
        settings = load_settings({})
        self.runtime = Installation(url).runtime
        self.database = self.runtime.database
        self.sap = Sap()
        self.services: dict[str, Service] = dict(SERVICES)
        self.outbox = OutboxWorker(
            database=self.database,
            services=self.services,
            settings=settings,
            clock=self,
            retry=RetryPolicy(attempts=1),
            contract=catalog(),
            client=self.sap,  # type: ignore[arg-type]
        )
        self._numbers = itertools.count(1)

    def now(self) -> datetime:
        return NOW

    def sent(self, name: str, *, bulk: bool) -> list[bytes]:
        """Return the messages that tell a service's example in one form."""
        service, example = self.services[name], EXAMPLES[name]
        match service, example:
            case RequestConfirmation(), Answered():
                batches = [example.results] if bulk else [[result] for result in example.results]
                for results in batches:
                    self._decide(service, example, results, bulk=bulk)
                self.outbox.form_confirmations()
            case ((NotificationSent() | RequestSent()), Started()):
                self._start(service, example, bulk=bulk)
            case (Query(), Asked()):
                return [self._answer(service, example, known) for known in example.known]
            case _:
                raise TypeError(f"the example of {name} does not fit its pattern")
        while self.outbox.deliver():
            pass
        return self.sap.bodies

    def _decide(
        self, service: RequestConfirmation, example: Answered, results: Sequence[Result], *, bulk: bool
    ) -> None:
        """Store a request as intake does, decided with these results, one per item."""
        name = f"00000000-0000-4000-8000-{next(self._numbers):012}"
        content = to_json(example.request)
        items = [
            ReceivedItem(
                position=position,
                key=f"{name}/{position}",
                uuid=name if position == 1 else None,
                header_id="I" * 35 if position == 2 else None,
                ordering_key="P11/Z",
                content=content,
                test_data=position == 2,
            )
            for position, _ in enumerate(results, start=1)
        ]
        root = next(root for root, is_bulk in inbound_roots(service) if is_bulk is bulk)
        message = ReceivedMessage(
            sender_system="P" * 60,
            service=service.name,
            root=root,
            bulk=bulk,
            key=name,
            uuid=name,
            header_id="I" * 35,
            created_at=NOW,
            item_count=len(items),
        )
        body = StoredBody(content_hash=hashlib.sha256(name.encode()).digest(), data=zlib.compress(b"x"), size=1)
        with self.database.begin() as uow:
            stored = store_message(
                uow.connection, message, body=body, batches=[items], shape_version=shape_version(service.shape), now=NOW
            )
            for position, result in enumerate(results, start=1):
                uow.connection.execute(
                    update(ITEM)
                    .where(ITEM.c.message_id == stored.message_id, ITEM.c.position == position)
                    .values(status=ItemStatus.DECIDED, result=to_json(result))
                )

    def _start(self, service: NotificationSent | RequestSent, example: Started, *, bulk: bool) -> None:
        """Let the subjects be due once."""
        due = [
            Due(subject=subject, sender_system="P11", key=str(number), bulk=bulk, reference_uuid=None)
            for number, subject in enumerate(example.subjects)
        ]

        def select(uow: Any, *, now: datetime, limit: int) -> Sequence[Due]:
            return due[:limit]

        self.services[service.name] = replace(service, select=select)
        self.outbox._services = self.services
        self.outbox._start(self.services[service.name])  # type: ignore[arg-type]
        self.services[service.name] = service

    def _answer(self, service: Query, example: Asked, known: Known) -> bytes:
        """Answer a query as the endpoint does, by what a test says is stored."""
        told = replace(service, load=lambda requests, uow: known)
        question = Question(interface="any", service=told, request=example.request, set_aside=0)
        return answered(AskedBy(question=question, sender_system="P11"), self.runtime)


@pytest.fixture
def sender(sqlite_url: str) -> Iterator[Sender]:
    made = Sender(sqlite_url)
    yield made
    made.outbox.close()
    made.database.close()


@pytest.mark.parametrize(("name", "root", "bulk"), FORMS, ids=[root for _, root, _ in FORMS])
def test_every_message_a_service_sends_holds_to_its_schema(sender: Sender, name: str, root: str, bulk: bool) -> None:
    bodies = sender.sent(name, bulk=bulk)

    assert bodies, f"{root} was not sent"
    assert [violations(body) for body in bodies] == [(root, [])] * len(bodies)


def test_every_service_that_sends_has_an_example() -> None:
    assert sorted(set(SENDERS) - set(EXAMPLES)) == []


def test_no_example_is_of_a_service_that_is_gone() -> None:
    assert sorted(set(EXAMPLES) - set(SENDERS)) == []


def test_the_judge_sees_what_does_not_hold(sender: Sender) -> None:
    [body, *_] = sender.sent("UtilitiesDeviceERPSmartMeterCreateRequest", bulk=False)
    for old, new in (
        (b"<ID>", b"<Id>"),
        (b"Z" * 18, b"Z" * 19),
        (b"<UtilitiesDevice>", b"<UtilitiesDevice xmlns='x'>"),
    ):
        assert old in body
        _, found = violations(body.replace(old, new).replace(b"</ID>", b"</Id>" if old == b"<ID>" else b"</ID>"))
        assert found


def test_a_service_without_an_example_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(EXAMPLES, "UtilitiesDeviceERPSmartMeterCreateRequest")  # type: ignore[arg-type]
    with pytest.raises(AssertionError):
        test_every_service_that_sends_has_an_example()


def test_every_message_that_sap_awaits_of_us_has_a_sender() -> None:
    awaited = {
        row["root_element"]
        for row in sap_tables.services()
        if row["direction"] == "MDUS->CIS" or row["mode"] == "request-response/output"
    }
    assert {root for _, root, _ in FORMS} == awaited
