"""Envelopes: taken apart without trust, and written to the contract."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from lxml import etree

from mdus.contracts.binding import bind, wire
from mdus.contracts.catalog import catalog
from mdus.contracts.envelope import (
    DtdRefused,
    EmptyBody,
    Item,
    MalformedXml,
    NotAnEnvelope,
    NotToContract,
    SeveralMessages,
    WrongSoapVersion,
    fault,
    parse,
    render,
    render_to,
)
from mdus.contracts.header import MessageHeader
from mdus.contracts.log import Log, LogItem, ProcessingResultCode
from mdus.contracts.validation import validate

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
AT = datetime(2025, 3, 1, 10, tzinfo=UTC)
CONFIRMATION = "SmartMeterMeterReadingDocumentERPCreateConfirmation"
CONFIRMATIONS = "SmartMeterMeterReadingDocumentERPBulkCreateConfirmation"
NOTIFICATIONS = "UtilitiesDeviceERPSmartMeterRegisteredBulkNotification"


@dataclass(frozen=True, kw_only=True, slots=True)
class Confirmation:
    document_id: str = wire("MeterReadingDocument/ID")


@dataclass(frozen=True, kw_only=True, slots=True)
class WithLog:
    document_id: str = wire("MeterReadingDocument/ID")
    log: Log = wire("Log")


@dataclass(frozen=True, kw_only=True, slots=True)
class Registered:
    device_id: str = wire("UtilitiesDevice/ID")
    ams: str = wire("UtilitiesDevice/SmartMeter/UtilitiesAdvancedMeteringSystemID")


def header(number: int = 0) -> MessageHeader:
    return MessageHeader(uuid=f"00000000-0000-4000-8000-{number:012d}", created_at=AT)


def envelope(body: str, *, head: str = "", soap: str = SOAP) -> bytes:
    return f'<s:Envelope xmlns:s="{soap}">{head}<s:Body>{body}</s:Body></s:Envelope>'.encode()


class TestParse:
    def test_returns_the_root_of_the_message(self) -> None:
        assert parse(envelope("<a:b xmlns:a='urn:a'><c/></a:b>", head="<s:Header><x/></s:Header>")).tag == "{urn:a}b"

    def test_passes_over_white_space_comments_and_a_declaration(self) -> None:
        body = envelope("\n<!-- here --><a/>\n")
        assert parse(b"<?xml version='1.0' encoding='utf-8'?>\n<!-- x -->" + body).tag == "a"

    def test_reads_a_value_a_comment_stands_in_whole(self) -> None:
        assert parse(envelope("<a>12<!-- x -->34<?pi y?>56</a>")).text == "123456"

    def test_reads_cdata_as_text(self) -> None:
        assert parse(envelope("<a><![CDATA[1<2]]></a>")).text == "1<2"

    def test_reads_the_encoding_that_is_declared(self) -> None:
        text = envelope("<a>Zähler</a>").decode()
        assert parse(f"<?xml version='1.0' encoding='utf-16'?>{text}".encode("utf-16")).text == "Zähler"

    def test_says_where_the_xml_breaks(self) -> None:
        with pytest.raises(MalformedXml, match="line 2, column") as caught:
            parse(b"<a>\n<b></a>")
        assert caught.value.line == 2
        assert caught.value.column > 0

    @pytest.mark.parametrize("body", [b"", b"  ", b"no xml", b'{"json":1}'], ids=["empty", "blank", "text", "json"])
    def test_refuses_what_is_no_xml(self, body: bytes) -> None:
        with pytest.raises(MalformedXml):
            parse(body)

    @pytest.mark.parametrize(
        "subset",
        [
            pytest.param("", id="bare"),
            pytest.param("[<!ENTITY e 'text'>]", id="entity"),
            pytest.param("[<!ENTITY e SYSTEM 'file:///etc/passwd'>]", id="external-entity"),
            pytest.param("SYSTEM 'http://127.0.0.1:9/x.dtd'", id="external-subset"),
            pytest.param(
                "[<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'><!ENTITY e '&b;&b;&b;&b;&b;&b;'>]",
                id="entities-of-entities",
            ),
        ],
    )
    def test_refuses_a_dtd(self, subset: str) -> None:
        use = "&e;" if "ENTITY e" in subset else ""
        document = f"<!DOCTYPE x {subset}>".encode() + envelope(f"<a>{use}</a>")
        with pytest.raises(DtdRefused):
            parse(document)

    def test_refuses_another_root(self) -> None:
        with pytest.raises(NotAnEnvelope, match="root is a"):
            parse(b"<a/>")

    def test_refuses_soap_1_2_by_name(self) -> None:
        with pytest.raises(WrongSoapVersion, match=r"SOAP 1\.2"):
            parse(envelope("<a/>", soap="http://www.w3.org/2003/05/soap-envelope"))

    def test_refuses_an_envelope_without_body(self) -> None:
        with pytest.raises(NotAnEnvelope, match="no Body"):
            parse(f'<s:Envelope xmlns:s="{SOAP}"/>'.encode())

    @pytest.mark.parametrize("body", ["", " \n ", "<!-- nothing -->"], ids=["empty", "blank", "comment"])
    def test_refuses_an_empty_body(self, body: str) -> None:
        with pytest.raises(EmptyBody):
            parse(envelope(body))

    def test_refuses_two_messages(self) -> None:
        with pytest.raises(SeveralMessages, match="2 elements"):
            parse(envelope("<a/><b/>"))

    def test_reads_deep_trees_only_when_told(self) -> None:
        deep = envelope("<a>" * 300 + "</a>" * 300)
        with pytest.raises(MalformedXml):
            parse(deep)
        assert parse(deep, huge=True).tag == "a"


class TestFault:
    def test_is_soap_1_1_with_saps_fault_as_detail(self) -> None:
        body = parse(fault("Client", "three things are wrong", details=["one", "two\x00", "three"]))
        assert body.tag == f"{{{SOAP}}}Fault"
        assert body.findtext("faultcode") == "soap:Client"
        assert body.nsmap["soap"] == SOAP
        assert body.findtext("faultstring") == "three things are wrong"
        (detail,) = body.find("detail")
        catalog().fault_schema().assertValid(detail)
        assert [text.text for text in detail.iter("text")] == ["one", "two?", "three"]

    def test_needs_no_details(self) -> None:
        (detail,) = parse(fault("Server", "later")).find("detail")
        catalog().fault_schema().assertValid(detail)


class TestRender:
    def test_writes_a_single_message_with_its_log(self) -> None:
        body = parse(
            render(CONFIRMATION, header=header(), items=[(None, Confirmation(document_id="1"))], log=Log.success())
        )
        assert body.tag == catalog().root(CONFIRMATION).tag
        assert [child.tag for child in body] == ["MessageHeader", "MeterReadingDocument", "Log"]
        assert validate(body, catalog().root(CONFIRMATION)).set_aside == ()

    def test_takes_the_log_from_the_value_as_well(self) -> None:
        value = WithLog(document_id="1", log=Log.failure([LogItem(note="no such device")]))
        body = parse(render(CONFIRMATION, items=[(header(3), value)]))
        assert bind(WithLog, body) == value
        assert bind(MessageHeader, body[0]) == header(3)

    def test_writes_a_bulk_with_headers_logs_and_the_overall_log(self) -> None:
        items = [Item(header(n), Confirmation(document_id=str(n)), Log.success()) for n in range(1, 4)]
        overall = Log.overall([ProcessingResultCode.SUCCESSFUL] * 3)
        body = parse(render(CONFIRMATIONS, header=header(), items=iter(items), log=overall))
        root = catalog().root(CONFIRMATIONS)
        catalog().schema(root).assertValid(body)
        written = body.findall(root.item_element)
        assert [bind(Confirmation, item).document_id for item in written] == ["1", "2", "3"]
        assert [bind(MessageHeader, item[0]) for item in written] == [header(1), header(2), header(3)]
        assert bind(Log, body[-1]) == overall

    def test_writes_a_bulk_without_overall_log_where_there_is_none(self) -> None:
        body = parse(render(NOTIFICATIONS, header=header(), items=[(header(1), Registered(device_id="1", ams="A"))]))
        catalog().schema(catalog().root(NOTIFICATIONS)).assertValid(body)

    def test_leaves_the_children_in_no_namespace(self) -> None:
        sent = render(NOTIFICATIONS, header=header(), items=[(header(1), Registered(device_id="1", ams="A"))])
        assert b"<MessageHeader>" in sent
        assert sent.startswith(b"<?xml version='1.0' encoding='UTF-8'?>")

    def test_counts_the_items(self) -> None:
        out = io.BytesIO()
        items = ((header(n), Registered(device_id=str(n), ams="A")) for n in range(1, 8))
        assert render_to(out, NOTIFICATIONS, header=header(), items=items) == 7
        assert out.getvalue().endswith(b"</soap:Envelope>")

    def test_lets_nothing_leave_that_breaks_the_contract(self) -> None:
        with pytest.raises(NotToContract, match=r"Message\[2\].*maxLength"):
            render(
                NOTIFICATIONS,
                header=header(),
                items=[
                    (header(1), Registered(device_id="1" * 18, ams="A")),
                    (header(2), Registered(device_id="1" * 19, ams="A")),
                ],
            )

    @pytest.mark.parametrize(
        ("root", "arguments", "reason"),
        [
            pytest.param(NOTIFICATIONS, {"header": header(), "items": []}, "at least one item", id="no-items"),
            pytest.param(
                NOTIFICATIONS, {"items": [(header(), Registered(device_id="1", ams="A"))]}, "a header", id="no-header"
            ),
            pytest.param(
                NOTIFICATIONS,
                {"header": header(), "items": [(header(), Registered(device_id="1", ams="A"))], "log": Log.success()},
                "has no overall Log",
                id="log-too-many",
            ),
            pytest.param(
                CONFIRMATIONS,
                {"header": header(), "items": [Item(header(), Confirmation(document_id="1"), Log.success())]},
                "needs an overall Log",
                id="log-missing",
            ),
            pytest.param(
                CONFIRMATION,
                {"header": header(), "items": [(None, Confirmation(document_id="1"))] * 2, "log": Log.success()},
                "one item, not 2",
                id="two-items-in-a-single-message",
            ),
            pytest.param(
                CONFIRMATION,
                {"header": header(), "items": [(None, Confirmation(document_id="1"))]},
                "Log",
                id="single-without-log",
            ),
            pytest.param(
                CONFIRMATION,
                {"items": [(None, Confirmation(document_id="1"))], "log": Log.success()},
                "MessageHeader",
                id="single-without-header",
            ),
        ],
    )
    def test_refuses_an_incomplete_message(self, root: str, arguments: dict[str, object], reason: str) -> None:
        with pytest.raises(NotToContract, match=reason):
            render(root, **arguments)  # type: ignore[arg-type]

    def test_escapes_what_markup_is_made_of(self) -> None:
        value = WithLog(document_id="<1&2>", log=Log.success(note="a < b & c > d ]]>"))
        assert bind(WithLog, parse(render(CONFIRMATION, header=header(), items=[(None, value)]))) == value

    def test_is_read_by_another_parser(self) -> None:
        sent = render(CONFIRMATION, header=header(), items=[(None, Confirmation(document_id="1"))], log=Log.success())
        assert etree.fromstring(sent).tag == f"{{{SOAP}}}Envelope"
