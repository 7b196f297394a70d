"""What clients hear of: in pages, as a stream, and by webhooks that are signed, tried again and given up visibly."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from mdus.domain.access import Role
from mdus.domain.end_device_event import EndDeviceEvent, event_id
from mdus.storage import news
from mdus.storage.news import News, Topic, note_news, number_news
from tests.flows import orders
from tests.flows.both_sides import SENDER, BothSides
from tests.flows.rest.doors import Client
from tests.flows.rest.processes import DOCUMENT, METER, START, reading_order


@pytest.fixture
def sides(database_url: str, tmp_path: Path) -> Iterator[BothSides]:
    made = BothSides(database_url, tmp_path, now=START)
    made.meter(METER)
    yield made
    made.close()


@pytest.fixture
def client(sides: BothSides) -> Client:
    return Client(sides)


class Receiver:
    """A client's own server, which takes what it is sent, or refuses it."""

    def __init__(self) -> None:
        self.received: list[tuple[bytes, dict[str, str]]] = []
        self.status = 204
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.received.append((body, dict(self.headers)))
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/told"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def news(self) -> list[dict[str, Any]]:
        return [one for body, _ in self.received for one in json.loads(body)["news"]]

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def alarm(sides: BothSides, *, event_type: str = "3.26.0.85", sender: str = SENDER) -> None:
    """Let a meter tell something of itself."""
    at = sides.clock.now()
    sides.save(
        EndDeviceEvent(
            event_id=event_id(device=METER, event_type=event_type, at=at, source="city"),
            sender_system=sender,
            device_id=METER,
            event_type=event_type,
            at=at,
            source="city",
            area="city",
            text="no power",
            told_at=at,
        )
    )
    sides.rest()


def webhook(sides: BothSides, receiver: Receiver, **members: Any) -> tuple[Client, dict[str, Any]]:
    admin = Client(sides, name="admin", role=Role.ADMIN)
    body = {"url": receiver.url, "topics": ["events", "requests", "readings"], "reason": "a test", **members}
    answer = sides.mdus.ask("POST", "/api/v1/webhooks", json=body, headers=admin.headers)
    assert answer.status_code == 201, answer.text
    return admin, answer.json()


class TestNews:
    def test_tell_of_events_and_of_the_clients_own_orders(self, sides: BothSides, client: Client) -> None:
        number = client.order("reading-orders", reading_order())
        orders.read_now(sides, "12345.67")
        alarm(sides)
        page = client.get("news")
        assert [(one["topic"], one["about"]) for one in page["items"]] == [
            ("requests", f"request/{number}"),
            ("readings", f"document/{DOCUMENT}"),
            ("events", page["items"][2]["about"]),
        ]
        reading, event = page["items"][1]["content"], page["items"][2]["content"]
        assert (reading["status"], float(reading["value"])) == ("available", 12345.67)
        assert (event["device_id"], event["event_type"], event["text"]) == (METER, "3.26.0.85", "no power")
        assert client.get("news", after=page["last"])["items"] == []
        assert [one["topic"] for one in client.get("news", topic="events")["items"]] == ["events"]

    def test_of_others_orders_and_systems_are_not_told(self, sides: BothSides, client: Client) -> None:
        client.order("reading-orders", reading_order())
        alarm(sides)
        other = Client(sides, name="other")
        assert [one["topic"] for one in other.get("news")["items"]] == ["events"]
        assert Client(sides, name="far", systems=["Q11"]).get("news")["items"] == []
        admin = Client(sides, name="admin", role=Role.ADMIN)
        assert [one["topic"] for one in admin.get("news")["items"]] == ["requests", "events"]

    def test_keep_their_numbers_however_transactions_overlap(self, sides: BothSides) -> None:
        def one(about: str) -> News:
            return News(at=START, topic=Topic.EVENTS, sender_system=SENDER, about=about, content={})

        if sides.database.is_sqlite:
            pytest.skip("SQLite has one writer: transactions do not overlap")
        with sides.database.begin() as slow:
            note_news(slow.connection, [one("first inserted, last committed")])
            with sides.database.begin() as quick:
                note_news(quick.connection, [one("committed first")])
            with sides.database.begin() as numbering:
                assert [row.about for row in number_news(numbering.connection, limit=10)] == ["committed first"]
                with sides.database.begin() as also:
                    assert number_news(also.connection, limit=10) == []
        with sides.database.begin() as numbering:
            [late] = number_news(numbering.connection, limit=10)
            assert (late.number, late.about) == (2, "first inserted, last committed")

    def test_that_an_audience_hears_seldom_are_looked_through_in_bounds(
        self, sides: BothSides, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(news, "_LOOKED_THROUGH", 2)
        for _ in range(5):
            alarm(sides)
            sides.clock.move(hours=2)
        client.order("reading-orders", reading_order(scheduled_on="2026-03-29"))
        sides.rest()
        numbers, found, last = [], [], 0
        while not found:
            page = client.get("news", topic="requests", after=last)
            found, last = page["items"], page["last"]
            numbers.append(last)
        assert numbers == [2, 4, 6]
        assert client.get("news", topic="requests", after=last) == {"items": [], "last": 6}

    def test_are_forgotten_but_for_the_newest_number(self, sides: BothSides, client: Client) -> None:
        for _ in range(3):
            alarm(sides)
            sides.clock.move(hours=2)
        with sides.database.begin() as uow:
            assert news.forget_news(uow.connection, before=sides.clock.now(), limit=10) == 2
        assert [one["number"] for one in client.get("news")["items"]] == [3]


@contextmanager
def listening(sides: BothSides) -> Iterator[str]:
    """The installation on a socket: a stream is read as it comes."""
    server = uvicorn.Server(uvicorn.Config(sides.mdus.app, log_level="warning", access_log=False))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


class TestAStream:
    def test_tells_what_happens_and_is_taken_up_again(self, sides: BothSides, client: Client) -> None:
        alarm(sides, event_type="3.26.0.216")  # before anybody listens
        headers = client.headers | {"Accept": "text/event-stream"}
        with listening(sides) as address, httpx.Client(timeout=10) as http:
            with http.stream("GET", f"{address}/api/v1/news?seconds=30", headers=headers) as stream:
                lines = stream.iter_lines()
                assert next(lines).startswith(":")
                sides.clock.move(minutes=5)
                alarm(sides)
                told = [line for line in (next(lines) for _ in range(4)) if line]
                assert told[:2] == ["id: 2", "event: events"]
                assert json.loads(told[2].removeprefix("data: "))["content"]["event_type"] == "3.26.0.85"
            again = headers | {"Last-Event-ID": "1"}
            started = time.monotonic()
            with http.stream("GET", f"{address}/api/v1/news?seconds=1", headers=again) as stream:
                lines_again = [line for line in stream.iter_lines() if line.startswith("id:")]
            assert lines_again == ["id: 2"]
            assert time.monotonic() - started < 8


class TestAWebhook:
    def test_is_told_signed(self, sides: BothSides, client: Client, receiver: Receiver) -> None:
        _, made = webhook(sides, receiver, topics=["events", "requests"], client="rest:portal")
        number = client.order("reading-orders", reading_order())
        sides.rest()
        alarm(sides)
        assert [one["topic"] for one in receiver.news()] == ["requests", "events"]
        assert receiver.news()[0]["about"] == f"request/{number}"
        body, headers = receiver.received[0]
        at, signed = (part.partition("=")[2] for part in headers["MDUS-Signature"].split(","))
        expected = hmac.new(made["secret"].encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
        assert signed == expected
        assert abs(time.time() - int(at)) < 60
        assert len({headers["MDUS-Webhook-Id"] for _, headers in receiver.received}) == len(receiver.received)

    def test_that_refuses_is_tried_again_and_given_up_visibly(self, sides: BothSides, receiver: Receiver) -> None:
        admin, made = webhook(sides, receiver)
        receiver.status = 503
        alarm(sides)  # three attempts without pause
        assert len(receiver.received) == 3
        assert len({body for body, _ in receiver.received}) == 1
        assert len({headers["MDUS-Webhook-Id"] for _, headers in receiver.received}) == 1
        [dead] = admin.get("dead", kind="message")["items"]
        assert "503" in dead["why"]

        receiver.status = 200
        answer = sides.mdus.ask(
            "POST", "/api/v1/dead/retry", json={"kind": "message", "reason": "mended"}, headers=admin.headers
        )
        assert answer.json()["count"] == 1
        sides.rest()
        assert admin.get("dead", kind="message")["items"] == []
        assert len(receiver.received) == 4
        assert made["told_up_to"] == 0

    def test_that_is_deleted_is_told_nothing_more(self, sides: BothSides, receiver: Receiver) -> None:
        admin, made = webhook(sides, receiver)
        path = f"/api/v1/webhooks/{made['id']}/delete"
        assert sides.mdus.ask("POST", path, json={"reason": "unused"}, headers=admin.headers).status_code == 200
        alarm(sides)
        assert receiver.received == []
        assert admin.get("webhooks") == []
        assert sides.mdus.ask("POST", path, json={"reason": "unused"}, headers=admin.headers).status_code == 404
        assert [deed["action"] for deed in admin.get("audit")["items"]] == ["webhook deleted", "webhook made"]

    def test_does_not_tell_its_secret_again(self, sides: BothSides, receiver: Receiver) -> None:
        admin, made = webhook(sides, receiver)
        assert made["secret"].startswith("mdus_whsec_")
        assert [set(one) for one in admin.get("webhooks")] == [set(made) - {"secret"}]

    @pytest.mark.parametrize("url", ["http://example.com/x", "ftp://127.0.0.1/", "file:///etc/passwd", "nothing", ""])
    def test_goes_to_encrypted_addresses_only(self, sides: BothSides, url: str) -> None:
        admin = Client(sides, name="admin", role=Role.ADMIN)
        body = {"url": url, "topics": ["events"], "reason": "a test"}
        answer = sides.mdus.ask("POST", "/api/v1/webhooks", json=body, headers=admin.headers)
        assert answer.status_code == 422
        assert "expected https://host/path" in answer.json()["detail"]

    def test_takes_the_role_admin(self, sides: BothSides, receiver: Receiver, client: Client) -> None:
        body = {"url": receiver.url, "topics": ["events"], "reason": "a test"}
        assert sides.mdus.ask("POST", "/api/v1/webhooks", json=body, headers=client.headers).status_code == 403

    def test_hears_of_its_systems_only(self, sides: BothSides, receiver: Receiver) -> None:
        webhook(sides, receiver, systems=["Q11"])
        alarm(sides)
        assert receiver.received == []


def test_an_instant_is_told_in_utc(sides: BothSides, client: Client) -> None:
    alarm(sides)
    [one] = client.get("news")["items"]
    assert datetime.fromisoformat(one["at"]) == START.astimezone(UTC)
