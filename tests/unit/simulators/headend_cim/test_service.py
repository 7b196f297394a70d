"""The simulated head end as a client sees it: what it takes, how it misbehaves, what comes to the reply address."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from lxml import etree

from tests.head_ends.kinds import SimulatedHeadEnd, variants

NOW = datetime(2026, 3, 27, 11, 0, tzinfo=UTC)
PATIENCE = 20.0
BASE = "http://iec.ch/TC57/2011"
SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
OK = (
    f'<s:Envelope xmlns:s="{SOAP}"><s:Body><ResponseMessage xmlns="{BASE}/schema/message"><Header/>'
    "<Reply><Result>OK</Result></Reply></ResponseMessage></s:Body></s:Envelope>"
).encode()


def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


class Receiver:
    """A reply address: keeps every message, and answers by a script, then OK."""

    def __init__(self) -> None:
        self.messages: list[etree._Element] = []
        self.answers: list[bytes] = []  # consumed first
        self._changed = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = receiver.take(body)
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/head-ends/city"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def take(self, body: bytes) -> bytes:
        with self._changed:
            self.messages.append(etree.fromstring(body))
            self._changed.notify_all()
            return self.answers.pop(0) if self.answers else OK

    def wait(self, condition: Callable[[list[etree._Element]], bool]) -> list[etree._Element]:
        """Wait until the messages fulfil a condition, and return them."""
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self.messages), PATIENCE), len(self.messages)
            return list(self.messages)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Client:
    """A client of the head end that writes generic messages by hand."""

    def __init__(self, simulated: SimulatedHeadEnd, receiver: Receiver) -> None:
        self.simulated = simulated
        self.receiver = receiver
        self.serials = [each["serial"] for each in simulated.meters() if each["has_breaker"]]
        self._url = simulated.row["url"] + simulated.row["options"]["path"]

    def post(
        self, verb: str, noun: str, content: str, *, waits: bool = False, password: str = "secret"
    ) -> httpx.Response:
        within = "Request" if verb == "get" else "Payload"
        address = "" if waits else f"<ReplyAddress>{self.receiver.url}/cim</ReplyAddress>"
        header = (
            f"<Header><Verb>{verb}</Verb><Noun>{noun}</Noun><AsyncReplyFlag>{str(not waits).lower()}</AsyncReplyFlag>"
            f"{address}<CorrelationID>call-1</CorrelationID></Header>"
        )
        body = (
            f'<s:Envelope xmlns:s="{SOAP}"><s:Body><RequestMessage xmlns="{BASE}/schema/message">{header}'
            f"<{within}>{content}</{within}></RequestMessage></s:Body></s:Envelope>"
        )
        return httpx.post(self._url, content=body.encode(), auth=("mdus", password), timeout=PATIENCE, trust_env=False)

    def read(self, *serials: str, **more: Any) -> httpx.Response:
        devices = "".join(f"<EndDevice><mRID>{each}</mRID></EndDevice>" for each in serials)
        return self.post("get", "MeterReadings", f"<GetMeterReadings>{devices}</GetMeterReadings>", **more)

    def control(self, serial: str, code: str = "3.31.0.23", *, key: str = "c-1", **more: Any) -> httpx.Response:
        content = (
            f'<EndDeviceControl><mRID>{key}</mRID><EndDeviceControlType ref="{code}"/>'
            f"<EndDevices><mRID>{serial}</mRID></EndDevices></EndDeviceControl>"
        )
        return self.post("create", "EndDeviceControls", f"<EndDeviceControls>{content}</EndDeviceControls>", **more)

    def provision(self, *serials: str) -> None:
        """Let the head end serve meters, and hear them."""
        register = '<Channels><ReadingType ref="0.0.0.1.1.1.12.0.0.0.0.0.0.0.0.3.72.0"/></Channels>'
        meters = "".join(
            f"<Meter><serialNumber>{each}</serialNumber><Names><name>1</name><NameType><name>UtilitiesDeviceID</name>"
            f"</NameType></Names><SimpleEndDeviceFunction><Registers>{register}</Registers></SimpleEndDeviceFunction>"
            "</Meter>"
            for each in serials
        )
        answer = self.post("create", "MeterConfig", f"<MeterConfig>{meters}</MeterConfig>", waits=True)
        assert told(answer, "Result") == ["OK"]
        self.simulated.hear(*serials)
        self.receiver.wait(lambda messages: len(messages) >= 2)  # the reply comes here, too, and that they were heard
        self.receiver.messages.clear()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def client(receiver: Receiver, tmp_path: Path) -> Iterator[Client]:
    variant = next(each for each in variants() if str(each) == "cim-typed")
    simulated = SimulatedHeadEnd(variant, tmp_path, callback_url=receiver.url, now=NOW)
    yield Client(simulated, receiver)
    simulated.stop()


def texts(message: etree._Element, name: str) -> list[str]:
    """Return the texts of all elements of a name."""
    return [each.text or "" for each in message.iter(f"{{*}}{name}")]


def told(answer: httpx.Response, name: str) -> list[str]:
    return texts(etree.fromstring(answer.content), name)


class TestOrders:
    def test_are_acknowledged_and_answered_at_the_reply_address(self, client: Client, receiver: Receiver) -> None:
        client.provision(client.serials[0])

        answer = client.control(client.serials[0])

        assert (told(answer, "Result"), told(answer, "code")) == (["OK"], ["0.3"])
        messages = receiver.wait(lambda found: len(found) == 2)
        (reply,) = [each for each in messages if "reply" in texts(each, "Verb")]
        assert (texts(reply, "CorrelationID"), texts(reply, "mRID")) == (["call-1"], ["c-1"])
        (event,) = [each for each in messages if "created" in texts(each, "Verb")]
        assert [each.get("ref") for each in event.iter("{*}EndDeviceEventType")] == ["3.31.0.68"]
        assert client.simulated.breaker(client.serials[0]) == "disconnected"

    def test_are_told_again_until_the_client_says_ok(self, client: Client, receiver: Receiver) -> None:
        client.provision(client.serials[0])
        receiver.answers = [b"", OK.replace(b">OK<", b">FAILED<")]

        client.read(client.serials[0])

        messages = receiver.wait(lambda found: len(found) == 3)
        assert {tuple(texts(each, "value")) for each in messages} == {tuple(texts(messages[0], "value"))}

    def test_are_answered_at_once_where_that_is_wanted(self, client: Client) -> None:
        client.provision(client.serials[0])

        answer = client.read(client.serials[0], "9999999999", waits=True)

        assert (told(answer, "Result"), told(answer, "code")) == (["PARTIAL"], ["2.4"])
        assert len(told(answer, "value")) == 1

    @pytest.mark.parametrize(
        ("verb", "noun", "content", "code"),
        [
            ("get", "Bills", "<GetBills/>", "2.5"),
            ("delete", "MeterReadings", "<MeterReadings/>", "2.9"),
            ("get", "MeterReadings", "", "1.7"),
            ("get", "MeterReadings", "<GetMeterReadings><EndDevice/></GetMeterReadings>", "1.7"),
            ("create", "EndDeviceControls", "<EndDeviceControls/>", "1.7"),
        ],
    )
    def test_are_refused_by_a_code(self, client: Client, verb: str, noun: str, content: str, code: str) -> None:
        answer = client.post(verb, noun, content)

        assert (told(answer, "Result"), told(answer, "code")) == (["FAILED"], [code])

    def test_of_a_type_nobody_knows_are_refused(self, client: Client) -> None:
        assert told(client.control(client.serials[0], "3.1.2.3"), "code") == ["2.9"]

    def test_of_strangers_are_refused(self, client: Client) -> None:
        answer = client.read(client.serials[0], password="wrong")

        assert answer.status_code == 401
        assert told(answer, "code") == ["7.1"]

    def test_are_found_by_the_id_of_their_call(self, client: Client) -> None:
        client.provision(client.serials[0])
        asked = "<ID>{}</ID><GetEndDeviceControls/>"
        unknown = client.post("get", "EndDeviceControls", asked.format("other"), waits=True)
        client.control(client.serials[0])

        found = client.post("get", "EndDeviceControls", asked.format("call-1"), waits=True)

        assert (told(unknown, "code"), told(found, "Result")) == (["2.15"], ["OK"])


class TestFaults:
    @pytest.mark.parametrize(
        ("fault", "status", "codes"),
        [
            ("max_pending", 200, ["3.2"]),
            ("too_many_items", 200, ["3.1"]),
            ("soap_fault", 500, []),
            ("login_refused_once", 401, ["7.1"]),
        ],
    )
    def test_are_told_in_messages(self, client: Client, fault: str, status: int, codes: list[str]) -> None:
        client.provision(*client.serials[:2])
        client.simulated.arm(fault)

        answer = client.read(*client.serials[:2])

        assert (answer.status_code, told(answer, "code")) == (status, codes)
        assert client.simulated.commands(kind="read_on_demand") == []

    @pytest.mark.parametrize(
        ("fault", "status", "body", "wanted"),
        [
            ("overloaded", 503, b"Service unavailable", "connected"),
            ("html_error_page", 500, b"<h1>", "connected"),
            ("html_error_page_after_acceptance", 500, b"<h1>", "disconnected"),
            ("empty_200", 200, b"", "disconnected"),
        ],
    )
    def test_are_no_messages(self, client: Client, fault: str, status: int, body: bytes, wanted: str) -> None:
        client.provision(client.serials[0])
        client.simulated.arm(fault)

        answer = client.control(client.serials[0])

        assert answer.status_code == status
        assert body in answer.content
        until(lambda: client.simulated.breaker(client.serials[0]) == wanted)  # after its answer, or without one

    def test_part_what_was_read(self, client: Client, receiver: Receiver) -> None:
        meter = next(each for each in client.simulated.meters() if len(each["registers"]) > 1)
        client.provision(meter["serial"])
        client.simulated.arm("partial_replies")
        period = "<StartTime>2026-03-25T00:00:00Z</StartTime><EndTime>2026-03-27T00:00:00Z</EndTime>"
        device = f"<EndDevice><mRID>{meter['serial']}</mRID></EndDevice>"

        client.post("get", "MeterReadings", f"{period}<GetMeterReadings>{device}</GetMeterReadings>")

        first, last = receiver.wait(lambda found: len(found) == 2)
        assert (texts(first, "Result"), texts(first, "code")) == (["PARTIAL"], ["0.1"])
        assert (texts(last, "Result"), texts(last, "code")) == (["PARTIAL"], ["0.2"])
        assert texts(first, "timeStamp") != texts(last, "timeStamp")

    def test_tell_of_a_control_that_was_attempted(self, client: Client, receiver: Receiver) -> None:
        client.provision(client.serials[0])
        client.simulated.arm("attempted_and_failed")

        client.control(client.serials[0])

        messages = receiver.wait(lambda found: len(found) == 2)
        (reply,) = [each for each in messages if "reply" in texts(each, "Verb")]
        assert (texts(reply, "Result"), texts(reply, "code")) == (["FAILED"], ["5.3"])
        assert client.simulated.breaker(client.serials[0]) == "disconnected"
