"""Case 18. SAP's endpoint is down, answers with a fault, with an HTTP error, or not at all.

Only an empty 2xx is a delivery. Anything else is sent again, the same bytes under the same UUID, and nothing overtakes
what SAP must read first.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mdus.bootstrap.composition import delivery_policy
from mdus.cis.client import CisClient, Delivery
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.head_end import RawDelivery
from mdus.messaging.retry import RetryPolicy
from mdus.messaging.status import MessageStatus
from mdus.settings import load_settings
from mdus.storage import delivery
from mdus.storage.message import MESSAGE
from tests.flows.both_sides import BothSides, texts
from tests.flows.hard_cases.conftest import Open
from tests.flows.hard_cases.sap_messages import (
    CANCEL_READING,
    CREATE,
    CREATED,
    HEADER_UUID,
    METER,
    READ,
    READ_ACCEPTED,
    READING_CANCELLED,
    REGISTERED,
    REGISTERS,
    RESULT,
    SWITCH,
    SWITCHED,
    cancel_reading,
    device,
    reading,
    register,
    registers,
    switch,
)
from tests.flows.hard_cases.steps import MIDNIGHT, START, cases, switches

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
FAULT = (
    f'<s:Envelope xmlns:s="{SOAP}"><s:Body><s:Fault><faultcode>s:Server</faultcode><faultstring>no memory</faultstring>'
    "</s:Fault></s:Body></s:Envelope>"
).encode()
TIMEOUT_SECONDS = 1.0


class Endpoint:
    """SAP's endpoint over real HTTP: answers as told, the last answer for ever, and keeps what it was sent."""

    def __init__(self) -> None:
        self.answers: list[Any] = [(202, b"")]
        self.bodies: list[bytes] = []
        self._gone = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # the name http.server asks for
                outer.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                answer = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                if answer == "silence":
                    outer._gone.wait(10 * TIMEOUT_SECONDS)
                if isinstance(answer, str):
                    self.connection.close()
                    return
                status, content = answer
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                with suppress(OSError):  # nobody need read it
                    self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/{{interface}}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        self._gone.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    opened = Endpoint()
    yield opened
    opened.close()


def reached(sides: BothSides, endpoint: Endpoint) -> BothSides:
    """Let what is sent go to the endpoint over HTTP."""
    cis = sides.mdus.runtime.settings.cis.model_copy(update={"url": endpoint.url, "timeout_seconds": TIMEOUT_SECONDS})
    sides.outbox._client = CisClient(sides.mdus.runtime.settings.model_copy(update={"cis": cis}))
    return sides


def outgoing(sides: BothSides, root: str | None = None) -> list[Any]:
    rows = [row for row in sides.mdus.rows(MESSAGE) if row.direction == "out"]
    return [row for row in rows if root in (None, row.root)]


NO_DELIVERY = [
    pytest.param((500, FAULT), id="a SOAP fault"),
    pytest.param((200, FAULT), id="a SOAP fault with 200"),
    pytest.param((503, b"Service Unavailable"), id="an HTTP error"),
    pytest.param((200, b"<html>It works!</html>"), id="the page of a proxy"),
    pytest.param((200, b" " * 1_048_577), id="more than is read: the outcome is unknown"),
    pytest.param("cut", id="a connection cut: the outcome is unknown"),
    pytest.param("silence", id="no answer in time: the outcome is unknown"),
]


class TestAnAnswerThatIsNoDelivery:
    @pytest.mark.parametrize("answer", NO_DELIVERY)
    def test_has_the_message_sent_again_byte_for_byte(
        self, sides_on_sqlite: BothSides, endpoint: Endpoint, answer: Any
    ) -> None:
        self.sent_again(sides_on_sqlite, endpoint, answer)

    def test_of_what_no_database_can_hold_does_so_too(self, sides: BothSides, endpoint: Endpoint) -> None:
        self.sent_again(sides, endpoint, (502, b"\x1f\x8b\x00\x00\xff"))

    def sent_again(self, sides: BothSides, endpoint: Endpoint, answer: Any) -> None:
        endpoint.answers = [answer, (202, b"")]
        reached(sides, endpoint).tell(READ, reading())
        sides.rest()

        assert len(endpoint.bodies) == 2
        assert len(set(endpoint.bodies)) == 1
        [message] = outgoing(sides)
        assert (message.status, message.attempts) == (MessageStatus.DELIVERED, 2)

    def test_for_ever_is_shown_and_ends_when_sap_asks_again(self, sides: BothSides, endpoint: Endpoint) -> None:
        endpoint.answers = [(503, b"")]
        reached(sides, endpoint)
        again = sides.tell(READ, reading(), uuid_="00000000-0000-4000-8000-000000000001")
        sides.rest()
        assert [message.status for message in outgoing(sides, READ_ACCEPTED)] == [MessageStatus.DEAD]
        assert "dead_message" in cases(sides)

        endpoint.answers = [(200, b"")]
        sides.tell(READ, reading(), uuid_=again)
        sides.rest()
        [message] = outgoing(sides, READ_ACCEPTED)
        assert message.status is MessageStatus.DELIVERED
        assert len({body for body in endpoint.bodies if f"<n0:{READ_ACCEPTED}".encode() in body}) == 1
        assert message.uuid not in {case.case_key for case in sides.all(ExceptionCase) if case.closed_at is None}

    def test_is_tried_over_a_long_weekend_before_it_is_given_up(self) -> None:
        policy = delivery_policy(load_settings({}))
        at_least = sum((policy.delay(n, spread=Shortest()) for n in range(1, policy.attempts)), start=timedelta())

        assert timedelta(days=4) < at_least < timedelta(days=14)
        assert not policy.is_exhausted(policy.attempts - 1)
        assert policy.is_exhausted(policy.attempts)


class Shortest(random.Random):
    """Makes every pause the shortest it can be."""

    def uniform(self, a: float, b: float) -> float:
        return a


class TestAnAnswerThatIs:
    @pytest.mark.parametrize(
        "answer",
        [
            pytest.param((200, b""), id="200"),
            pytest.param((202, b""), id="202"),
            pytest.param((200, b" \r\n"), id="white space"),
            pytest.param((200, f'<s:Envelope xmlns:s="{SOAP}"><s:Body/></s:Envelope>'.encode()), id="an empty Body"),
        ],
    )
    def test_empty_ends_it(self, sides_on_sqlite: BothSides, endpoint: Endpoint, answer: Any) -> None:
        endpoint.answers = [answer]
        reached(sides_on_sqlite, endpoint).tell(READ, reading())
        sides_on_sqlite.rest()

        assert len(endpoint.bodies) == 1
        assert [message.status for message in outgoing(sides_on_sqlite)] == [MessageStatus.DELIVERED]


class TestWhatSapMustReadFirst:
    """One interface of SAP is down, the others take what they are sent."""

    def down(self, sides: BothSides, *roots: str) -> set[str]:
        closed = {*roots}
        taken = sides.sap.post

        def post(body: bytes, *, interface: str, sender_system: str) -> Delivery:
            if any(interface.startswith(f"{root}_") for root in closed):
                return Delivery(delivered=False, error="down")
            return taken(body, interface=interface, sender_system=sender_system)

        sides.sap.post = post  # type: ignore[method-assign]
        sides.outbox._retry = RetryPolicy(base=timedelta(), cap=timedelta(), attempts=100)
        return closed

    def settle(self, sides: BothSides) -> None:
        """Give everybody a few turns, though what is down will not come to rest."""
        for _ in range(5):
            for turn in (sides.inbox.turn, sides.commands.turn, sides.readings.turn, sides.documents.turn):
                while turn():
                    pass
            sides.outbox.turn()

    def roots(self, sides: BothSides) -> list[str]:
        return [str(found.tag).rpartition("}")[2] for found in sides.sap.received]

    def test_of_a_device_is_that_it_is_created_then_that_it_is_registered(self, empty_sides: BothSides) -> None:
        sides = empty_sides
        closed = self.down(sides, CREATED)
        sides.tell(CREATE, device())
        sides.tell(REGISTERS, registers(register()))
        heard(sides, f"S{METER}")
        self.settle(sides)
        assert REGISTERED not in self.roots(sides)

        closed.clear()
        sides.rest()
        told = [root for root in self.roots(sides) if root in (CREATED, REGISTERED)]
        assert told == [CREATED, REGISTERED]

    def test_of_a_reading_is_that_it_is_accepted_then_its_value(self, sides: BothSides) -> None:
        closed = self.down(sides, READ_ACCEPTED)
        sides.tell(READ, reading())
        sides.clock.instant = MIDNIGHT
        sides.snapshot(MIDNIGHT, (METER, "1.25"))
        sides.clock.move(hours=1)
        self.settle(sides)
        assert RESULT not in self.roots(sides)

        closed.clear()
        sides.rest()
        assert [root for root in self.roots(sides) if root != REGISTERED] == [READ_ACCEPTED, RESULT]

    def test_of_a_cancelled_reading_is_that_it_was_accepted(self, sides: BothSides) -> None:
        closed = self.down(sides, READ_ACCEPTED)
        sides.tell(READ, reading())
        self.settle(sides)
        sides.tell(CANCEL_READING, cancel_reading())
        for _ in range(4):
            self.settle(sides)
            sides.clock.move(minutes=15)
        assert self.roots(sides) == []

        closed.clear()
        for _ in range(2):
            sides.rest()
            sides.clock.move(seconds=30)
        assert self.roots(sides) == [READ_ACCEPTED, READING_CANCELLED]


class TestAnMdusThatDies:
    def test_between_sap_taking_a_message_and_noting_it_sends_it_again_under_its_uuid(
        self, sides: BothSides, open_sides: Open, database_url: str
    ) -> None:
        taken = sides.sap.post

        def post(body: bytes, *, interface: str, sender_system: str) -> Delivery:
            taken(body, interface=interface, sender_system=sender_system)
            raise KeyboardInterrupt  # nothing of this process is done any more

        sides.sap.post = post  # type: ignore[method-assign]
        sides.tell(SWITCH, switch(planned_at=START, category="9"))
        sides.decide()
        with pytest.raises(KeyboardInterrupt):
            sides.outbox.turn()
        assert [message.status for message in outgoing(sides)] == [MessageStatus.SENDING]

        restarted = open_sides(database_url)
        with restarted.database.begin() as uow:
            uow.connection.execute(MESSAGE.update().values(lease_until=START))  # its lease has run out
        restarted.rest()
        [first], [again] = sides.sap.messages(SWITCHED), restarted.sap.messages(SWITCHED)
        assert texts(first, HEADER_UUID) == texts(again, HEADER_UUID)
        assert [*first.itertext()] == [*again.itertext()]
        assert switches(restarted) == []


def heard(sides: BothSides, serial: str) -> None:
    """Let a meter communicate with its head end."""
    body = f'{{"meters": [{{"serial": "{serial}", "at": "{START.isoformat()}"}}]}}'.encode()
    packed = [delivery.pack(RawDelivery(topic="heard", correlation="", body=body))]
    with sides.database.begin() as uow:
        delivery.store(uow.connection, packed, head_end="city", now=START)


def test_the_address_is_told_when_none_is_set(sides_on_sqlite: BothSides, tmp_path: Path) -> None:
    sides = sides_on_sqlite
    sides.outbox._client = CisClient(sides.mdus.runtime.settings)
    sides.tell(READ, reading())
    sides.rest()

    assert "MDUS_CIS__URL" in outgoing(sides)[0].last_error
