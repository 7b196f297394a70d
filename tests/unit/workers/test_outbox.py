"""The outbox worker against a receiver on loopback, on both databases."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from lxml import etree
from sqlalchemy import event, select, update
from sqlalchemy.exc import OperationalError

from mdus.cis.client import CisClient
from mdus.contracts.catalog import catalog
from mdus.contracts.envelope import parse
from mdus.domain.exception_case import ExceptionCase
from mdus.messaging.retry import RetryPolicy
from mdus.messaging.status import ItemStatus, MessageStatus, sources_of
from mdus.settings import load_settings
from mdus.storage.answered import settle_answered
from mdus.storage.end_device_event import END_DEVICE_EVENT
from mdus.storage.exception_case import DEAD_MESSAGE
from mdus.storage.facts import EXCEPTION_CASE
from mdus.storage.message import ITEM, MESSAGE, MESSAGE_EVENT
from mdus.storage.outbox import OutboundItem, lease_messages, store_message
from mdus.storage.session import Database
from mdus.workers.inbox import InboxWorker
from mdus.workers.outbox import OutboxWorker
from tests.unit.workers.scripted import ROOT, SERVICE, START, Clock, rows_of, store

UUID = "0e3f5a52-7c4e-4d0a-9f56-0a4a1d7f9a{:02d}"
OVERDUE = -1.0


class Receiver:
    """An SAP that answers as told, the last answer for ever, and keeps what it was sent."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, bytes] | None] = [(202, b"")]  # None: the connection is cut
        self.received: list[tuple[str, bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.received.append((self.path, body))
                answer = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                if answer is None:
                    self.connection.close()
                    return
                status, content = answer
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/{{interface}}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def messages(self) -> list[Any]:
        return [parse(body) for _, body in self.received]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    opened = Receiver()
    yield opened
    opened.close()


def workers(database: Database, url: str, **environ: str) -> tuple[InboxWorker, OutboxWorker]:
    settings = load_settings({"MDUS_CIS__URL": url, "MDUS_CIS__TIMEOUT_SECONDS": "5", **environ})
    retry = RetryPolicy(base=timedelta(), cap=timedelta(), attempts=3)
    clock = Clock()
    inbox = InboxWorker(database=database, services={ROOT: SERVICE}, settings=settings, clock=clock, retry=retry)
    outbox = OutboxWorker(
        database=database,
        services={ROOT: SERVICE},
        settings=settings,
        clock=clock,
        retry=retry,
        contract=catalog(),
        client=CisClient(settings),
    )
    return inbox, outbox


def run(inbox: InboxWorker, outbox: OutboxWorker) -> None:
    for _ in range(50):
        if inbox.turn() + outbox.turn() == 0:
            return
    raise AssertionError("inbox and outbox never come to rest")


def outbound(database: Database) -> list[Any]:
    return rows_of(database, MESSAGE, direction="out")


class TestConfirming:
    def test_items_that_are_ready_together_go_in_one_bulk_confirmation(
        self, database: Database, receiver: Receiver
    ) -> None:
        store(database, [("D1", ""), ("D2", "refuse"), ("D3", "")], uuid=UUID.format(1))
        run(*workers(database, receiver.url))
        ((path, body),) = receiver.received
        assert path == "/UtilitiesDeviceERPSmartMeterBulkCreateConfirmation_In"
        message = parse(body)
        assert catalog().schema(catalog().root(message.tag)).validate(message)
        assert message.findtext("MessageHeader/ReferenceUUID") == UUID.format(1)
        assert message.findtext("Log/BusinessDocumentProcessingResultCode") == "4"
        codes = message.findall("*/Log/BusinessDocumentProcessingResultCode")
        assert [code.text for code in codes] == ["3", "5", "3"]
        assert rows_of(database, MESSAGE, direction="in")[0].status is MessageStatus.COMPLETED
        assert outbound(database)[0].status is MessageStatus.DELIVERED

    def test_a_single_request_is_answered_by_a_single_confirmation(
        self, database: Database, receiver: Receiver
    ) -> None:
        store(database, [("D1", "")], uuid=UUID.format(1), bulk=False)
        run(*workers(database, receiver.url))
        (message,) = receiver.messages()
        assert etree.QName(message).localname == "UtilitiesDeviceERPSmartMeterCreateConfirmation"
        assert message.findtext("MessageHeader/ReferenceUUID") == UUID.format(1)

    @pytest.mark.parametrize(
        ("environ", "type_id"),
        [
            pytest.param({}, "900(MDUS)", id="as the service says it"),
            pytest.param({"MDUS_CIS__MESSAGE_CLASS": "ZAMI"}, "900(ZAMI)", id="under another message class"),
            pytest.param(
                {"MDUS_LOG_TYPES__A__NUMBER": "900", "MDUS_LOG_TYPES__A__TYPE_ID": "017(EL)"},
                "017(EL)",
                id="by its row",
            ),
        ],
    )
    def test_an_error_stands_in_the_log_as_sap_is_to_read_it(
        self, database: Database, receiver: Receiver, environ: dict[str, str], type_id: str
    ) -> None:
        store(database, [("D1", "refuse")], uuid=UUID.format(1), bulk=False)
        run(*workers(database, receiver.url, **environ))
        (message,) = receiver.messages()
        assert message.findtext("Log/Item/TypeID") == type_id

    def test_late_items_follow_in_a_further_part_with_its_own_uuid(
        self, database: Database, receiver: Receiver
    ) -> None:
        store(database, [("D1", ""), ("D2", "park")], uuid=UUID.format(1))
        both = workers(database, receiver.url)
        run(*both)
        assert [len(message.findall("*/UtilitiesDevice")) for message in receiver.messages()] == [1]
        store(database, [("AWAITED", "silent")], uuid=UUID.format(2))
        store(database, [("AWAITED", "")], uuid=UUID.format(3))
        run(*both)
        parts = [m for m in receiver.messages() if m.findtext("MessageHeader/ReferenceUUID") == UUID.format(1)]
        assert [part.findtext("*/UtilitiesDevice/ID") for part in parts] == ["D1", "D2"]
        assert len({part.findtext("MessageHeader/UUID") for part in parts}) == 2

    def test_a_silent_item_is_confirmed_by_nothing(self, database: Database, receiver: Receiver) -> None:
        store(database, [("D1", "silent")], uuid=UUID.format(1))
        run(*workers(database, receiver.url))
        assert receiver.received == []

    def test_no_part_is_larger_than_the_setting(self, database: Database, receiver: Receiver) -> None:
        store(database, [(f"D{number}", "") for number in range(5)], uuid=UUID.format(1))
        run(*workers(database, receiver.url, MDUS_CIS__BULK_SIZE="2"))
        assert sorted(len(message.findall("*/UtilitiesDevice")) for message in receiver.messages()) == [1, 2, 2]


class TestDelivering:
    @pytest.mark.parametrize(
        "bad",
        [
            pytest.param((503, b"busy"), id="503"),
            pytest.param((200, b"<html>logged out</html>"), id="200_with_html"),
            pytest.param((500, b"<fault/>"), id="fault"),
            pytest.param(None, id="cut_connection"),
        ],
    )
    def test_what_is_not_delivered_is_sent_again_byte_for_byte(
        self, database: Database, receiver: Receiver, bad: tuple[int, bytes] | None
    ) -> None:
        receiver.answers = [bad, (202, b"")]
        store(database, [("D1", "")], uuid=UUID.format(1))
        run(*workers(database, receiver.url))
        first, second = receiver.received
        assert first == second
        assert outbound(database)[0].status is MessageStatus.DELIVERED

    @pytest.mark.parametrize(
        "good",
        [
            pytest.param((200, b""), id="200_empty"),
            pytest.param((202, b"  \n"), id="202_blank"),
            pytest.param(
                (
                    200,
                    b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Header/><s:Body/></s:Envelope>',
                ),
                id="200_with_an_empty_envelope",
            ),
        ],
    )
    def test_an_empty_answer_means_delivered(
        self, database: Database, receiver: Receiver, good: tuple[int, bytes]
    ) -> None:
        receiver.answers = [good]
        store(database, [("D1", "")], uuid=UUID.format(1))
        run(*workers(database, receiver.url))
        assert len(receiver.received) == 1
        assert outbound(database)[0].status is MessageStatus.DELIVERED

    def test_exhausted_attempts_end_dead_with_an_open_case(self, database: Database, receiver: Receiver) -> None:
        receiver.answers = [(503, b"down for good")]
        store(database, [("D1", "")], uuid=UUID.format(1))
        run(*workers(database, receiver.url))
        assert len(receiver.received) == 3
        (message,) = outbound(database)
        assert message.status is MessageStatus.DEAD
        assert "down for good" in message.last_error
        assert [case.kind for case in rows_of(database, EXCEPTION_CASE.table)] == ["dead_message"]
        (event,) = rows_of(database, END_DEVICE_EVENT.table)
        assert (event.event_type, event.device_id) == ("confirmation_untold", None)

    def test_a_lease_left_behind_is_taken_over_and_the_first_holder_stores_nothing(
        self, database: Database, receiver: Receiver
    ) -> None:
        store(database, [("D1", "")], uuid=UUID.format(1))
        inbox, outbox = workers(database, receiver.url)
        inbox.turn()
        outbox.form_confirmations()
        with database.begin() as uow:
            (left,) = lease_messages(uow.connection, token="dead worker", seconds=OVERDUE, limit=10, now=START)
        run(inbox, outbox)
        assert outbound(database)[0].status is MessageStatus.DELIVERED
        outbox._store(left, "dead worker", _failed(), body=None, interface="X", defect=False)
        assert outbound(database)[0].status is MessageStatus.DELIVERED

    def test_without_a_url_it_says_what_to_set(self, database: Database) -> None:
        store(database, [("D1", "")], uuid=UUID.format(1))
        inbox, outbox = workers(database, "http://127.0.0.1:9/{interface}")
        outbox._client = CisClient(load_settings({}))
        inbox.turn()
        outbox.turn()
        assert "MDUS_CIS__URL" in outbound(database)[0].last_error

    def test_each_attempt_leaves_its_rows(self, database: Database, receiver: Receiver) -> None:
        receiver.answers = [(503, b"busy"), (202, b"")]
        store(database, [("D1", "")], uuid=UUID.format(1))
        run(*workers(database, receiver.url))
        (message,) = outbound(database)
        events = rows_of(database, MESSAGE_EVENT, message_id=message.id)
        assert [row.status for row in events] == ["ready", "sending", "ready", "sending", "delivered"]

    def test_a_database_that_was_away_for_a_moment_buries_no_message(
        self, database: Database, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store(database, [("D1", "")], uuid=UUID.format(1))
        inbox, outbox = workers(database, receiver.url)
        rendered, failures = outbox.rendered, [OperationalError("SELECT", {}, Exception("server closed"))]

        def rendered_after_failures(row: Any) -> bytes:
            if failures:
                raise failures.pop()
            return rendered(row)

        monkeypatch.setattr(outbox, "rendered", rendered_after_failures)
        run(inbox, outbox)
        assert outbound(database)[0].status is MessageStatus.DELIVERED

    def test_what_cannot_be_formed_does_not_stop_what_can_be_delivered(
        self, database: Database, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store(database, [("D1", "")], uuid=UUID.format(1))
        inbox, outbox = workers(database, receiver.url)
        inbox.turn()
        outbox.form_confirmations()

        def broken() -> int:
            raise ZeroDivisionError

        broken.__name__ = "start_messages"
        monkeypatch.setattr(outbox, "start_messages", broken)
        assert outbox.turn() == 1
        assert outbound(database)[0].status is MessageStatus.DELIVERED
        with pytest.raises(ZeroDivisionError):  # nothing else moved: the loop rests
            outbox.turn()


class TestRepeats:
    def test_a_message_given_up_is_delivered_when_its_request_comes_again(
        self, database: Database, receiver: Receiver
    ) -> None:
        receiver.answers = [(503, b"down")]
        store(database, [("D1", "")], uuid=UUID.format(1))
        both = workers(database, receiver.url)
        run(*both)
        assert outbound(database)[0].status is MessageStatus.DEAD
        receiver.answers = [(202, b"")]
        store(database, [("D1", "")], uuid=UUID.format(1))
        run(*both)
        (message,) = outbound(database)
        assert message.status is MessageStatus.DELIVERED
        assert [case.closed_at is not None for case in rows_of(database, EXCEPTION_CASE.table)] == [True]

    def test_a_request_that_comes_again_while_in_flight_is_confirmed_once(
        self, database: Database, receiver: Receiver
    ) -> None:
        for _ in range(3):
            store(database, [("D1", "")], uuid=UUID.format(1))
        run(*workers(database, receiver.url))
        assert len(receiver.received) == 1


class TestSettling:
    @pytest.mark.parametrize("status", [pytest.param(one, id=one.value) for one in sources_of(MessageStatus.CONFIRMED)])
    def test_a_confirmation_proves_the_arrival_whatever_we_knew(
        self, database: Database, status: MessageStatus
    ) -> None:
        started(database)
        with database.begin() as uow:
            uow.connection.execute(update(MESSAGE).values(status=status))
            (message,) = uow.connection.execute(select(MESSAGE)).all()
            case = ExceptionCase(kind=DEAD_MESSAGE, case_key=message.uuid, opened_at=START, note="given up")
            uow.save([case] if status is MessageStatus.DEAD else [])
            settle_answered(uow.connection, [(ROOT, message.uuid.upper(), "R1")], sender_system="P11", now=START)
        (message,) = outbound(database)
        assert message.status is MessageStatus.CONFIRMED
        assert message.ended_at == START
        assert [item.status for item in rows_of(database, ITEM)] == [ItemStatus.ANSWERED]
        assert all(case.closed_at for case in rows_of(database, EXCEPTION_CASE.table))
        events = [(row.item_id is None, row.status) for row in rows_of(database, MESSAGE_EVENT)]
        assert events[-2:] == [(False, "answered"), (True, "confirmed")]

    @pytest.mark.parametrize("status", [pytest.param(one, id=one.value) for one in sources_of(MessageStatus.CONFIRMED)])
    def test_a_confirmation_of_a_part_proves_the_arrival_and_leaves_the_rest_open(
        self, database: Database, status: MessageStatus
    ) -> None:
        started(database, "R1", "R2")
        (message,) = outbound(database)
        ended_at = START if status is MessageStatus.DELIVERED else None
        with database.begin() as uow:
            uow.connection.execute(update(MESSAGE).values(status=status, ended_at=ended_at))
            case = ExceptionCase(kind=DEAD_MESSAGE, case_key=message.uuid, opened_at=START, note="given up")
            uow.save([case] if status is MessageStatus.DEAD else [])
        for key, expected in (("R1", MessageStatus.DELIVERED), ("R2", MessageStatus.CONFIRMED)):
            for _ in range(2):  # also when it comes again
                with database.begin() as uow:
                    settle_answered(uow.connection, [(ROOT, message.uuid, key)], sender_system="P11", now=START)
                (found,) = outbound(database)
                assert (found.status, found.ended_at, found.lease_token) == (expected, START, None)
        assert [item.status for item in rows_of(database, ITEM)] == [ItemStatus.ANSWERED] * 2
        assert all(case.closed_at for case in rows_of(database, EXCEPTION_CASE.table))
        events = [row.status for row in rows_of(database, MESSAGE_EVENT) if row.item_id is None]
        assert events == ["ready", *(["delivered"] if status is not MessageStatus.DELIVERED else []), "confirmed"]

    def test_where_sap_need_not_answer_each_the_first_answer_is_of_all(self, database: Database) -> None:
        started(database, "R1", "R2")
        with database.begin() as uow:
            (message,) = uow.connection.execute(select(MESSAGE)).all()
            answered = [(ROOT, message.uuid, "R1")]
            settle_answered(uow.connection, answered, sender_system="P11", always_confirmed=False, now=START)
        assert outbound(database)[0].status is MessageStatus.CONFIRMED

    def test_another_systems_confirmation_settles_nothing(self, database: Database) -> None:
        started(database)
        with database.begin() as uow:
            (message,) = uow.connection.execute(select(MESSAGE)).all()
            settle_answered(uow.connection, [(ROOT, message.uuid, "R1")], sender_system="Q11", now=START)
        assert outbound(database)[0].status is MessageStatus.READY
        assert [item.status for item in rows_of(database, ITEM)] == [ItemStatus.SENT]


def started(database: Database, *keys: str) -> None:
    """Store a message of ours, as if a service had found something due."""
    with database.begin() as uow:
        store_message(
            uow.connection,
            sender_system="P11",
            service=ROOT,
            root=ROOT,
            bulk=len(keys) > 1,
            shape_version="1",
            items=[
                OutboundItem(key=key, attempt=1, content="{}", reference_uuid=None, reference_id=None)
                for key in keys or ("R1",)
            ],
            now=START,
        )


@pytest.mark.parametrize("step", ["form_confirmations", "deliver"])
def test_a_turn_runs_a_bounded_number_of_statements_whatever_the_size_of_the_bulk(
    database: Database, receiver: Receiver, step: str
) -> None:
    counts = []
    for size in (2, 150):
        store(database, [(f"{size}-{number}", "") for number in range(size)], uuid=UUID.format(size % 100))
        inbox, outbox = workers(database, receiver.url)
        inbox.turn()
        if step == "deliver":
            outbox.form_confirmations()
        seen: list[str] = []

        def note(_c: object, _cursor: object, statement: str, *_: object, seen: list[str] = seen) -> None:
            seen.append(statement)

        event.listen(database.engine, "before_cursor_execute", note)
        getattr(outbox, step)()
        event.remove(database.engine, "before_cursor_execute", note)
        run(inbox, outbox)
        outbox.close()
        counts.append(len(seen))
    assert counts[0] == counts[1] <= 16


def test_every_item_is_in_exactly_one_confirmation(database: Database, receiver: Receiver) -> None:
    store(database, [(f"D{number}", "" if number % 3 else "refuse") for number in range(30)], uuid=UUID.format(1))
    run(*workers(database, receiver.url, MDUS_WORKERS__CLAIM_SIZE="7", MDUS_CIS__BULK_SIZE="4"))
    confirmed = [row.confirmation_id for row in rows_of(database, ITEM)]
    assert None not in confirmed
    ids = [item.text for message in receiver.messages() for item in message.findall("*/UtilitiesDevice/ID")]
    assert sorted(ids) == sorted(f"D{number}" for number in range(30))


def _failed() -> Any:
    from mdus.cis.client import Delivery

    return Delivery(delivered=False, error="too late to say")
