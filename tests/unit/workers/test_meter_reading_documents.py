"""The worker of reading orders on both databases: how much a turn asks of the database, and when a human must look."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import event, update
from sqlalchemy.exc import OperationalError

from mdus.domain import meter_reading_collection as collection
from mdus.domain.meter_reading_collection import Collection
from mdus.domain.meter_reading_document import DocumentStatus, MeterReadingDocument
from mdus.domain.reading import MeterReading
from mdus.domain.register import Register
from mdus.domain.value import Value
from mdus.messaging.status import MessageStatus
from mdus.services.meter_reading_document_result import SERVICE as RESULT
from mdus.settings import load_settings
from mdus.storage.facts import EXCEPTION_CASE
from mdus.storage.message import MESSAGE
from mdus.storage.meter_reading_document import METER_READING_DOCUMENT
from mdus.storage.outbox import OutboundItem, store_message
from mdus.storage.session import Database
from mdus.workers import meter_reading_documents
from mdus.workers.meter_reading_documents import MeterReadingDocumentWorker, due_readings
from tests.unit.workers.scripted import START, Clock, rows_of


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def worker(database: Database, clock: Clock) -> MeterReadingDocumentWorker:
    return MeterReadingDocumentWorker(database=database, settings=load_settings({}), clock=clock)


def document(name: str, **changes: object) -> MeterReadingDocument:
    given: dict[str, object] = {
        "sender_system": "P11",
        "document_id": name,
        "device_id": f"of {name}",
        "measurement_task_id": "1",
        "obis_text": "1-0:1.8.0",
        "reading_type": "1-0:1.8.0*255",
        "reason_code": "01",
        "scheduled_on": date(2026, 3, 27),
        "time_zone": "UTC",
        "due_at": START - timedelta(hours=8),
        "window_from": START - timedelta(hours=9),
        "window_until": START - timedelta(hours=1),
        "next_try_at": START,
        "order_item_id": 1,
    }
    return MeterReadingDocument(**{**given, **changes})  # type: ignore[arg-type]


def sent(database: Database, names: list[str], *, attempts: int) -> None:
    """Store documents whose result SAP took at START."""
    with database.begin() as uow:
        uow.save(
            [
                document(
                    name,
                    status=DocumentStatus.RESULT_SENT,
                    next_try_at=None,
                    value=Decimal(1),
                    result_attempts=attempts,
                )
                for name in names
            ]
        )
        store_message(
            uow.connection,
            sender_system="P11",
            service=RESULT.name,
            root=RESULT.name,
            bulk=True,
            shape_version="1",
            items=[
                OutboundItem(key=name, attempt=attempts, content="{}", reference_uuid=None, reference_id=None)
                for name in names
            ],
            now=START,
        )
        uow.connection.execute(
            update(MESSAGE)
            .where(MESSAGE.c.status == MessageStatus.READY)
            .values(status=MessageStatus.DELIVERED, ended_at=START)
        )


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """Note every statement that is sent to the database."""
    seen: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    yield seen
    event.remove(database.engine, "before_cursor_execute", note)


class TestStatements:
    @pytest.mark.parametrize(
        ("prepare", "changes"),
        [
            pytest.param("due", {}, id="values_due"),
            pytest.param("due", {"status": DocumentStatus.RESULT_SENT, "value": Decimal(1)}, id="results_refused"),
            pytest.param("sent", {}, id="results_unanswered"),
        ],
    )
    def test_are_as_many_for_many_documents_as_for_few(
        self,
        database: Database,
        worker: MeterReadingDocumentWorker,
        clock: Clock,
        prepare: str,
        changes: dict[str, object],
    ) -> None:
        counts = []
        for size in (2, 150):
            worker.turn()  # it asks for unanswered results only now and then
            names = [f"{size}-{number}" for number in range(size)]
            if prepare == "sent":
                sent(database, names, attempts=1)
                clock.move(hours=1)
            else:
                with database.begin() as uow:
                    uow.save([document(name, **changes) for name in names])
            with statements(database) as seen:
                assert worker.turn() == size
            counts.append(len(seen))
        assert counts[0] == counts[1] <= 20

    def test_of_the_job_are_as_many_for_many_documents_as_for_few(self, database: Database) -> None:
        counts = []
        for size in (2, 150):
            with database.begin() as uow:
                soon = START + timedelta(minutes=5)
                uow.save([document(f"{size}-{number}", next_try_at=soon) for number in range(size)])
            with statements(database) as seen:
                assert due_readings(database, settings=load_settings({}), now=START).startswith(f"{size} ")
            counts.append(len(seen))
        assert counts[0] == counts[1] <= 20


class TestSilence:
    @pytest.mark.parametrize(
        ("spare", "status", "kinds"),
        [
            pytest.param(1, DocumentStatus.READ, [], id="sent_again_while_attempts_are_left"),
            pytest.param(0, DocumentStatus.RESULT_SENT, ["reading_result_unconfirmed"], id="shown_after_the_last"),
        ],
    )
    def test_of_sap_is_never_for_ever(
        self,
        database: Database,
        worker: MeterReadingDocumentWorker,
        clock: Clock,
        spare: int,
        status: DocumentStatus,
        kinds: list[str],
    ) -> None:
        sent(database, ["R1"], attempts=load_settings({}).reading.send_attempts - spare)
        assert worker.turn() == 0  # SAP still has time
        clock.move(hours=1)
        assert worker.turn() == 1
        assert worker.turn() == 0
        assert rows_of(database, METER_READING_DOCUMENT.table)[0].status is status
        assert [case.kind for case in rows_of(database, EXCEPTION_CASE.table)] == kinds


class TestARemoval:
    @pytest.mark.parametrize(
        ("reason", "status"), [("12", DocumentStatus.READ), ("01", DocumentStatus.FAILED)], ids=["removal", "periodic"]
    )
    def test_is_read_of_the_register_that_ended_with_the_day_before(
        self, database: Database, worker: MeterReadingDocumentWorker, reason: str, status: DocumentStatus
    ) -> None:
        order = document("R1", reason_code=reason)
        of_device = {"sender_system": "P11", "device_id": order.device_id}
        register = Register(
            **of_device,
            measurement_task_id="1",
            valid_from=date(2026, 1, 1),
            valid_to=order.scheduled_on,
            reading_type="1-0:1.8.0*255",
            unit="KWH",
        )
        readings = [
            MeterReading(
                **of_device,
                reading_type="1-0:1.8.0*255",
                measured_at=at,
                value=Decimal(7),
                received_at=START,
            )
            for at in (order.due_at, order.window_until)  # what none still to come could beat, for either reason
        ]
        with database.begin() as uow:
            uow.save([order, register, *readings])
        assert worker.turn() == 1
        assert rows_of(database, METER_READING_DOCUMENT.table)[0].status is status


class TestADefect:
    """What goes wrong with one document stops no other; it is told of at last."""

    @pytest.fixture(autouse=True)
    def failing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def next_step(due: Collection, **facts: Any) -> tuple[Value, ...]:
            if due.document.document_id == "R2":
                raise ZeroDivisionError("of ours")
            return collection.next_step(due, **facts)

        monkeypatch.setattr(meter_reading_documents, "next_step", next_step)

    @staticmethod
    def looked_at(database: Database) -> dict[str, MeterReadingDocument]:
        with database.read() as uow:
            found = METER_READING_DOCUMENT.fetch(uow.connection, METER_READING_DOCUMENT.select())
        return {one.document_id: one for one in found}

    def test_of_one_document_never_costs_its_neighbours(
        self, database: Database, worker: MeterReadingDocumentWorker
    ) -> None:
        names = [f"R{number}" for number in range(5)]
        with database.begin() as uow:
            uow.save([document(name) for name in names])
        assert worker.turn() == 5

        found = self.looked_at(database)
        assert {name for name, one in found.items() if one.status is DocumentStatus.FAILED} == {"R0", "R1", "R3", "R4"}
        assert found["R2"].status is DocumentStatus.ORDERED
        assert found["R2"].next_try_at == START + timedelta(days=1)
        assert worker.turn() == 0

    def test_of_the_database_is_no_documents(
        self, database: Database, worker: MeterReadingDocumentWorker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def next_step(due: Collection, **facts: Any) -> tuple[Value, ...]:
            raise OperationalError("select", {}, Exception("out of memory"))

        monkeypatch.setattr(meter_reading_documents, "next_step", next_step)
        with database.begin() as uow:
            uow.save([document("R1")])
        with pytest.raises(OperationalError):
            worker.turn()
        [found] = self.looked_at(database).values()
        assert found == document("R1")

    def test_that_stays_fails_the_document_aloud(
        self, database: Database, worker: MeterReadingDocumentWorker, clock: Clock
    ) -> None:
        with database.begin() as uow:
            uow.save([document("R2")])
        for _ in range(load_settings({}).reading.attempts):
            assert worker.turn() == 1
            assert rows_of(database, EXCEPTION_CASE.table) == []
            clock.move(days=1)
        assert worker.turn() == 1

        [failed] = self.looked_at(database).values()
        assert failed.status is DocumentStatus.FAILED
        assert failed.note == "It could not be looked at: ZeroDivisionError: of ours"
        assert [case.kind for case in rows_of(database, EXCEPTION_CASE.table)] == ["reading_missing"]
        assert worker.turn() == 0
