"""What is unanswered for too long becomes a case per sender system and service, and ceases to be one."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

import pytest
from sqlalchemy import insert, update

from mdus.messaging.status import ItemStatus, MessageStatus
from mdus.services.meter_reading_document_result import SERVICE as RESULT
from mdus.services.smart_meter_event import SERVICE as EVENT
from mdus.settings import load_settings
from mdus.storage.facts import EXCEPTION_CASE
from mdus.storage.message import ITEM, MESSAGE, MESSAGE_EVENT
from mdus.storage.session import Database
from mdus.telemetry.metrics import UNANSWERED, UNANSWERED_AGE_SECONDS
from mdus.workers import confirmation_watch
from mdus.workers.confirmation_watch import DELIVERY_STUCK, REQUEST_UNCONFIRMED, SAP_SILENT
from tests.unit.workers.scripted import ROOT, SERVICE, START, rows_of, store

SETTINGS = load_settings({})
SERVICES = {ROOT: SERVICE, RESULT.name: RESULT, EVENT.name: EVENT}
#: Defaults: SAP has 60 minutes for a confirmation, we have 30.
SAP_HAS = timedelta(minutes=60)
WE_HAVE = timedelta(minutes=30)
SECOND = timedelta(seconds=1)


def watch(database: Database, after: timedelta) -> list[tuple[str, str]]:
    """Run the job some time after START and return the open cases."""
    confirmation_watch.run(database, services=SERVICES, settings=SETTINGS, now=START + after)
    return [(row.kind, row.case_key) for row in rows_of(database, EXCEPTION_CASE.table) if row.closed_at is None]


def sent(database: Database, status: MessageStatus, *, service: str = RESULT.name) -> None:
    """Store a message of ours that reached SAP, or began to leave, at START."""
    with database.begin() as uow:
        uow.connection.execute(
            insert(MESSAGE).values(
                direction="out",
                sender_system="P11",
                service=service,
                root=service,
                bulk=False,
                status=status,
                created_at=START,
                stored_at=START,
                ended_at=START,
            )
        )


def received(database: Database, status: ItemStatus, **values: object) -> None:
    """Store one request of SAP's at START, its item in a status."""
    store(database, [("1", "")], uuid="0e3f5a52-7c4e-4d0a-9f56-0a4a1d7f9a01")
    with database.begin() as uow:
        uow.connection.execute(update(ITEM).values(status=status, **values))


class TestSapSilent:
    def test_message_is_shown_once_saps_time_is_up(self, database: Database) -> None:
        sent(database, MessageStatus.DELIVERED)
        assert watch(database, SAP_HAS - SECOND) == []
        assert watch(database, SAP_HAS) == [(SAP_SILENT, f"P11/{RESULT.name}")]

    def test_confirmed_message_closes_the_case(self, database: Database) -> None:
        sent(database, MessageStatus.DELIVERED)
        watch(database, SAP_HAS)
        with database.begin() as uow:
            uow.connection.execute(update(MESSAGE).values(status=MessageStatus.CONFIRMED))
        assert watch(database, SAP_HAS + SECOND) == []
        (case,) = rows_of(database, EXCEPTION_CASE.table)
        assert case.closed_at == START + SAP_HAS + SECOND

    def test_confirmation_of_ours_is_not_answered_by_sap(self, database: Database) -> None:
        sent(database, MessageStatus.DELIVERED, service=ROOT)
        assert watch(database, timedelta(days=9)) == []

    def test_silence_is_no_fault_where_sap_confirms_by_its_customizing(self, database: Database) -> None:
        sent(database, MessageStatus.DELIVERED, service=EVENT.name)
        assert watch(database, timedelta(days=9)) == []

    def test_many_messages_are_one_case(self, database: Database) -> None:
        for _ in range(3):
            sent(database, MessageStatus.DELIVERED)
        assert len(watch(database, SAP_HAS)) == 1
        assert rows_of(database, EXCEPTION_CASE.table)[0].note.startswith("3 messages")

    def test_case_keeps_the_instant_it_was_opened(self, database: Database) -> None:
        sent(database, MessageStatus.DELIVERED)
        watch(database, SAP_HAS)
        sent(database, MessageStatus.DELIVERED)
        watch(database, 2 * SAP_HAS)
        (case,) = rows_of(database, EXCEPTION_CASE.table)
        assert (case.opened_at, case.note[:1]) == (START + SAP_HAS, "2")


class TestDeliveryStuck:
    @pytest.mark.parametrize("status", [MessageStatus.READY, MessageStatus.SENDING], ids=str)
    def test_message_that_does_not_leave_is_shown(self, database: Database, status: MessageStatus) -> None:
        sent(database, status)
        assert watch(database, WE_HAVE - SECOND) == []
        assert watch(database, WE_HAVE) == [(DELIVERY_STUCK, f"P11/{RESULT.name}")]


class TestRequestUnconfirmed:
    shown: ClassVar = [(REQUEST_UNCONFIRMED, f"P11/{ROOT}")]

    @pytest.mark.parametrize("status", [ItemStatus.READY, ItemStatus.DECIDED], ids=str)
    def test_item_nobody_moves_on_is_shown(self, database: Database, status: ItemStatus) -> None:
        received(database, status)
        assert watch(database, WE_HAVE - SECOND) == []
        assert watch(database, WE_HAVE) == self.shown

    @pytest.mark.parametrize("status", [ItemStatus.AWAITING, ItemStatus.PARKED], ids=str)
    def test_item_may_wait_until_its_time_is_up(self, database: Database, status: ItemStatus) -> None:
        received(database, status, until=START + timedelta(days=2))
        assert watch(database, timedelta(days=2) + WE_HAVE - SECOND) == []
        assert watch(database, timedelta(days=2) + WE_HAVE) == self.shown

    def test_item_just_woken_is_not_shown(self, database: Database) -> None:
        received(database, ItemStatus.READY)
        (item,) = rows_of(database, ITEM)
        with database.begin() as uow:
            uow.connection.execute(
                insert(MESSAGE_EVENT).values(item_id=item.id, status=ItemStatus.AWAITING.value, at=START)
            )
        assert watch(database, timedelta(days=1)) == []

    def test_item_that_fails_again_and_again_is_shown(self, database: Database) -> None:
        received(database, ItemStatus.READY, attempts=3)
        assert watch(database, WE_HAVE) == self.shown

    def test_item_decided_lately_is_not_shown(self, database: Database) -> None:
        received(database, ItemStatus.DECIDED)
        (item,) = rows_of(database, ITEM)
        with database.begin() as uow:
            decided = {"item_id": item.id, "status": ItemStatus.DECIDED.value, "at": START + timedelta(hours=5)}
            uow.connection.execute(insert(MESSAGE_EVENT).values(decided))
        assert watch(database, timedelta(hours=5) + WE_HAVE - SECOND) == []
        assert watch(database, timedelta(hours=5) + WE_HAVE) == self.shown

    @pytest.mark.parametrize("status", [ItemStatus.CLOSED, ItemStatus.DEAD], ids=str)
    def test_item_that_has_ended_is_not_shown(self, database: Database, status: ItemStatus) -> None:
        received(database, status)
        assert watch(database, timedelta(days=1)) == []


class TestGauges:
    def test_tell_number_and_age_and_go_back_to_nothing(self, database: Database) -> None:
        sent(database, MessageStatus.DELIVERED)
        watch(database, 2 * SAP_HAS)
        gauges = [gauge.labels(SAP_SILENT, RESULT.name) for gauge in (UNANSWERED, UNANSWERED_AGE_SECONDS)]
        assert [gauge._value.get() for gauge in gauges] == [1, 7200]
        with database.begin() as uow:
            uow.connection.execute(update(MESSAGE).values(status=MessageStatus.CONFIRMED))
        watch(database, 3 * SAP_HAS)
        assert [gauge._value.get() for gauge in gauges] == [0, 0]
