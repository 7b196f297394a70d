"""A reading order from SAP's bulk to the delivered result: no step runs more statements for more orders.

A statement that is executed for many rows at once counts as one. Orders of one claim are compared: two and a hundred.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, func, select

from mdus.bootstrap.discovery import discover
from mdus.cis.client import CisClient, Delivery
from mdus.contracts.catalog import catalog
from mdus.domain.end_device_control import GovernorRules
from mdus.domain.head_end import RawDelivery
from mdus.domain.meter_reading_document import DocumentStatus
from mdus.endpoints.intake import Intake
from mdus.endpoints.received_body import ReceivedBody
from mdus.endpoints.runtime import Runtime
from mdus.headends.rest import HEAD_END
from mdus.messaging.retry import RetryPolicy
from mdus.settings import HeadEnd as Row
from mdus.settings import load_settings
from mdus.storage import delivery, rule_set
from mdus.storage.meter_reading_document import METER_READING_DOCUMENT
from mdus.storage.session import Database
from mdus.vee.rule_set import RuleSetRow
from mdus.workers.head_end import HeadEndWorker, patience
from mdus.workers.inbox import InboxWorker
from mdus.workers.meter_reading_documents import MeterReadingDocumentWorker
from mdus.workers.outbox import OutboxWorker
from mdus.workers.readings import ReadingsWorker
from mdus.workers.rule_sets import stored_for_registers
from tests.benchmarks import orders
from tests.benchmarks.landscape import Store, fill_registry
from tests.head_ends.scripted import ScriptedHeadEnd

NOON = datetime(2026, 3, 27, 11, tzinfo=UTC)
FEW, MANY = 2, 100


class Noon:
    """Business time that stands still."""

    def now(self) -> datetime:
        return NOON


class TakesAll(CisClient):
    """An SAP that takes every message."""

    def post(self, body: bytes, *, interface: str, sender_system: str) -> Delivery:
        return Delivery(delivered=True)


class Chain:
    """The steps of reading orders on demand, each a turn of the worker that takes it."""

    def __init__(self, url: str, scripted: ScriptedHeadEnd) -> None:
        settings = load_settings({})
        clock, retry = Noon(), RetryPolicy(base=timedelta(0), cap=timedelta(0), attempts=3)
        self.database = database = Database(url, settings=settings)
        self._scripted, self._settings, self._seed, self._orders = scripted, settings, 0, 0
        row = Row(name=orders.HEAD_END, kind="rest", url=scripted.url, time_zone="Europe/Berlin")
        self._head_end = HEAD_END.connect(settings, row)
        services = discover().services
        runtime = Runtime(settings=settings, database=database, clock=clock, catalog=catalog(), services=services)
        self._intake = Intake(runtime)
        inbox = InboxWorker(database=database, services=services, settings=settings, clock=clock, retry=retry)
        self._outbox = OutboxWorker(
            database=database,
            services=services,
            settings=settings,
            clock=clock,
            retry=retry,
            contract=catalog(),
            client=TakesAll(settings),
        )
        head_end = HeadEndWorker(
            self._head_end,
            database=database,
            clock=clock,
            retry=retry,
            patience=patience(settings),
            rules=GovernorRules(),
            lease=timedelta(minutes=1),
        )
        readings = ReadingsWorker(
            database=database, clock=clock, decoders={orders.HEAD_END: HEAD_END.decoder(settings, row)}, retry=retry
        )
        with database.begin() as uow:
            rule_set.seed(uow.connection, settings.rows("rule_sets", RuleSetRow), now=NOON)
        documents = MeterReadingDocumentWorker(
            database=database, settings=settings, clock=clock, rule_sets=stored_for_registers(discover().tools)
        )
        self.steps: dict[str, Callable[[], Any]] = {
            "intake": self._take_in,
            "inbox": inbox.turn,
            "confirmation": self._outbox.turn,
            "head end": head_end.turn,
            "push": self._push,
            "readings": readings.turn,
            "documents": documents.turn,
            "result": self._outbox.turn,
        }

    def run(self, count: int) -> dict[str, int]:
        """Take so many new orders through all steps; returns the statements of each."""
        self._seed, self._orders = self._seed + 1, count
        counted = {}
        for name, step in self.steps.items():
            seen: list[str] = []

            def note(_c: object, _cursor: object, statement: str, *_: object, seen: list[str] = seen) -> None:
                seen.append(statement)

            event.listen(self.database.engine, "before_cursor_execute", note)
            step()
            event.remove(self.database.engine, "before_cursor_execute", note)
            counted[name] = len(seen)
        return counted

    def results_sent(self) -> int:
        """Return how many documents have their result sent."""
        table = METER_READING_DOCUMENT.table
        query = select(func.count()).where(table.c.status == DocumentStatus.RESULT_SENT)
        with self.database.read() as uow:
            return int(uow.connection.scalar(query) or 0)

    def close(self) -> None:
        self._outbox.close()
        self._head_end.close()  # type: ignore[attr-defined]
        self.database.close()

    def _take_in(self) -> None:
        first = self._seed * 1000
        numbers = range(first, first + self._orders)
        body = ReceivedBody(self._settings.http, gzip=False)
        body.feed(orders.bulk(numbers, on=NOON.date(), on_demand=True, seed=self._seed, created_at=f"{NOON:%FT%TZ}"))
        body.finish()
        self._intake.take(body, interface=None, sender=None)

    def _push(self) -> None:
        job = self._scripted.submitted[-1]
        at = f"{NOON:%FT%TZ}"
        results = [
            {
                "serial": device["serial"],
                "reference": device["reference"],
                "status": "ok",
                "completed_at": at,
                "readings": [{"obis": orders.OBIS, "at": at, "value": "1.00", "unit": "kWh"}],
            }
            for device in job["devices"]
        ]
        body = json.dumps({"correlation_id": job["correlation_id"], "kind": job["kind"], "results": results}).encode()
        packed = delivery.pack(RawDelivery(topic="results", correlation=job["correlation_id"], body=body))
        with self.database.begin() as uow:
            delivery.store(uow.connection, [packed], head_end=orders.HEAD_END, now=NOON)


@pytest.fixture
def chain(database_url: str) -> Iterator[Chain]:
    fill_registry(Store(name="under test", url=database_url), 4000)
    scripted = ScriptedHeadEnd()
    chain = Chain(database_url, scripted)
    yield chain
    chain.close()
    scripted.close()


class TestStatements:
    def test_are_as_many_for_a_hundred_orders_as_for_two_at_every_step(self, chain: Chain) -> None:
        chain.run(1)  # some workers look back in their first turn
        few, many = chain.run(FEW), chain.run(MANY)
        assert few == many
        assert chain.results_sent() == 1 + FEW + MANY

    def test_stay_within_what_a_step_is_worth(self, chain: Chain) -> None:
        chain.run(1)
        most = {
            "intake": 8,
            "inbox": 24,
            "confirmation": 36,  # each service that starts messages is asked whether it has any
            "head end": 20,
            "push": 3,
            "readings": 30,
            "documents": 20,
            "result": 36,
        }
        assert {name: count for name, count in chain.run(MANY).items() if count > most[name]} == {}
