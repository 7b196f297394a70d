"""What a callback says of itself before it is read, and what it is answered."""

from __future__ import annotations

import pytest

from mdus.headends.multispeak import soap
from mdus.headends.multispeak.callbacks import CALLBACKS, answer, correlation, credentials, refuse, wsdl
from tests.unit.headends.multispeak.messages import envelope
from tests.unit.headends.samples import CORRELATION

READING = f"<ReadingChangedNotification><transactionID>{CORRELATION}</transactionID></ReadingChangedNotification>"


class TestCorrelation:
    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            pytest.param(envelope(READING), CORRELATION, id="plain"),
            pytest.param(b'<a:transactionID xmlns:a="x"> t-1 </a:transactionID>', "t-1", id="with a prefix"),
            pytest.param(b"<transactionID></transactionID>", "", id="empty"),
            pytest.param(b"<transactionID/>", "", id="closed at once"),
            pytest.param(b"not xml", "", id="none"),
        ],
    )
    def test_is_the_transaction(self, body: bytes, expected: str) -> None:
        assert correlation(body) == expected


class TestCredentials:
    def test_are_those_of_the_header(self) -> None:
        body = envelope(READING, header='Pwd="a&amp;b" UserID="head end"')
        assert credentials(body) == ("head end", "a&b")

    @pytest.mark.parametrize(
        "body",
        [
            pytest.param(envelope(READING), id="no header"),
            pytest.param(envelope(READING, header='Version="3.0"'), id="no user"),
            pytest.param(b"<html>", id="no xml"),
            pytest.param(b"", id="nothing"),
        ],
    )
    def test_are_none_where_the_body_has_none(self, body: bytes) -> None:
        assert credentials(body) is None

    def test_are_not_looked_for_behind_the_header(self) -> None:
        body = envelope(READING.replace("<transactionID>", "<MultiSpeakMsgHeader UserID='x'/><transactionID>"))
        assert credentials(body) is None


class TestStored:
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-be"])
    def test_is_all_but_the_password(self, encoding: str) -> None:
        body = envelope(READING, header="UserID='head end' Pwd=\"a&amp;'b\" AuditPassword='\"c' Company='x'").decode()
        kept = CALLBACKS.stored(body.encode(encoding)).decode(encoding)
        assert kept == body.replace("a&amp;'b", "").replace("'\"c'", "''")

    def test_is_a_body_without_one_as_it_came(self) -> None:
        body = envelope(READING, header='UserID="head end" Company="Pwd"')
        assert CALLBACKS.stored(body) == body


class TestAnswer:
    @pytest.mark.parametrize("version", ["3.0", "4.1"])
    def test_is_an_empty_list_of_errors_in_its_version(self, version: str) -> None:
        told = answer("soap", envelope(READING, version=version))
        received = soap.received(told.content)
        assert (told.status, told.media_type) == (200, "text/xml; charset=utf-8")
        assert received.message.tag == f"{{{soap.NAMESPACES[version]}}}ReadingChangedNotificationResponse"
        (result,) = received.message
        assert (soap.local(result), len(result)) == ("ReadingChangedNotificationResult", 0)
        assert "Pwd" not in received.header
        assert ("BuildString" in received.header) is (version == "4.1")

    def test_to_a_breaker_of_3_0_is_empty(self) -> None:
        received = soap.received(answer("soap", envelope("<CDStateChangedNotification/>")).content)
        assert len(received.message) == 0
        of_4_1 = soap.received(answer("soap", envelope("<CDStateChangedNotification/>", version="4.1")).content)
        assert len(of_4_1.message) == 1

    def test_lists_what_is_read_here(self) -> None:
        def listed(version: str) -> set[str | None]:
            body = answer("soap", envelope("<GetMethods/>", version=version)).content
            return {each.text for each in soap.everywhere(soap.received(body).message, "string")}

        assert "MeterEventNotification" in listed("4.1")
        assert "MeterEventNotification" not in listed("3.0")
        assert listed("3.0") & listed("4.1") >= {"PingURL", "ReadingChangedNotification"}

    @pytest.mark.parametrize(
        "body",
        [
            pytest.param(b"<html><p>", id="no xml"),
            pytest.param(envelope(READING).replace(b"Version_3.0", b"Version_5.0"), id="another version"),
        ],
    )
    def test_to_what_is_no_message_is_a_fault(self, body: bytes) -> None:
        told = answer("soap", body)
        fault = soap.fault_of(soap.received(told.content).message)
        assert told.status == 500
        assert fault is not None
        assert fault.is_ours  # of whoever sent it

    def test_of_a_stranger_is_a_fault(self) -> None:
        told = refuse("soap", "wrong user")
        fault = soap.fault_of(soap.received(told.content).message)
        assert told.status == 401
        assert fault == soap.Fault(text="wrong user", is_ours=True)


class TestWsdl:
    def test_describes_both_versions_at_the_address(self) -> None:
        told = wsdl("soap", 'https://mdus/head-ends/"city"/soap')
        assert told is not None
        root = soap.parsed(told)
        places = [each.get("location") for each in soap.everywhere(root, "address")]
        assert places == ['https://mdus/head-ends/"city"/soap'] * 2
        assert [each.get("name") for each in soap.everywhere(root, "service")] == ["MultiSpeak_3_0", "MultiSpeak_4_1"]

    def test_is_of_one_topic(self) -> None:
        assert wsdl("readings", "x") is None
        assert CALLBACKS.wsdl is wsdl
