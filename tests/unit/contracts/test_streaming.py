"""A bulk read item by item."""

from __future__ import annotations

import io

import pytest
from lxml import etree

from mdus.contracts.catalog import catalog
from mdus.contracts.envelope import (
    DtdRefused,
    EmptyBody,
    MalformedXml,
    NotAnEnvelope,
    SeveralMessages,
    WrongSoapVersion,
)
from mdus.contracts.streaming import MessageStream, iter_items
from mdus.contracts.validation import validate_item, validate_part
from tests.contracts.filled_messages import filled

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
ORDERS = catalog().root("SmartMeterMeterReadingDocumentERPBulkCreateRequest")
CONFIRMATIONS = catalog().root("MeterReadingDocumentERPResultBulkCreateConfirmation")


def text(element: etree._Element) -> str:
    """Return the canonical text: without the declarations of prefixes that only the elements around it use."""
    return etree.canonicalize(element)


def envelope(body: str, *, after: str = "", soap: str = SOAP, before: str = "") -> io.BytesIO:
    return io.BytesIO(f'{before}<s:Envelope xmlns:s="{soap}"><s:Body>{body}{after}</s:Body></s:Envelope>'.encode())


class Spool(io.RawIOBase):
    """A large bulk made while it is read: head, `count` times the item, tail."""

    def __init__(self, head: bytes, item: bytes, tail: bytes, *, count: int) -> None:
        self._parts = (head, item, tail)
        self._count = count
        self.seek(0)

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        assert (offset, whence) == (0, 0)
        self._next = 0
        self._rest = b""
        return 0

    def read(self, size: int = -1) -> bytes:
        while len(self._rest) < size and self._next < self._count + 2:
            head, item, tail = self._parts
            self._rest += head if self._next == 0 else item if self._next <= self._count else tail
            self._next += 1
        given, self._rest = self._rest[:size], self._rest[size:]
        return given


class TestItems:
    def test_are_those_of_the_tree_in_order(self) -> None:
        message = filled(ORDERS)
        stream = MessageStream(envelope(text(message)))
        assert catalog().root(stream.tag) is ORDERS
        streamed = [(position, text(item)) for position, item in stream.items(ORDERS)]
        assert streamed == [(position, text(item)) for position, item in iter_items(message, ORDERS)]
        assert [position for position, _ in streamed] == [1, 2]

    def test_come_with_the_header_before_the_first(self) -> None:
        stream = MessageStream(envelope(text(filled(ORDERS))))
        next(stream.items(ORDERS))
        assert stream.header is not None
        assert text(stream.header) == text(filled(ORDERS)[0])
        assert validate_part(stream.header, ORDERS).accepted

    def test_leave_the_log_and_a_clean_structure_behind(self) -> None:
        stream = MessageStream(envelope(text(filled(CONFIRMATIONS))))
        for position, item in stream.items(CONFIRMATIONS):
            assert validate_item(item, CONFIRMATIONS, position=position).accepted
        assert stream.log is not None
        assert text(stream.log) == text(filled(CONFIRMATIONS)[-1])
        assert stream.structure.accepted
        assert stream.structure.set_aside == ()

    def test_keep_their_text_when_comments_stand_in_it(self) -> None:
        message = text(filled(ORDERS)).replace("<ScheduledMeterReadingDate>", "<ScheduledMeterReadingDate><!-- x -->")
        (_, item), *_ = MessageStream(envelope(message)).items(ORDERS)
        assert validate_item(item, ORDERS, position=1).accepted

    def test_leave_nothing_of_those_before_in_memory(self) -> None:
        item = text(filled(ORDERS)[1]).encode()
        head, tail = text(filled(ORDERS)).encode().split(item)
        head = f'<s:Envelope xmlns:s="{SOAP}"><s:Body>'.encode() + head
        tail = tail + b"</s:Body></s:Envelope>"
        seen = 0
        for position, element in MessageStream(Spool(head, item, tail, count=2000)).items(ORDERS):
            seen = position
            parent = element.getparent()
            assert parent is not None
            assert element.getprevious() is None
            # Behind the item stands what the parser has read ahead and not yet announced: a chunk of the file.
            assert len(parent) < 50
        assert seen == 2001


class TestStructure:
    def structure(self, message: etree._Element) -> MessageStream:
        stream = MessageStream(envelope(text(message)))
        for _ in stream.items(ORDERS):
            pass
        return stream

    def test_sets_unknown_parts_aside(self) -> None:
        message = filled(ORDERS)
        message.insert(1, etree.Element("Before"))
        message.append(etree.Element("After"))
        structure = self.structure(message).structure
        assert structure.accepted
        assert [found.path for found in structure.set_aside] == ["Before", "After"]

    def test_refuses_a_missing_header(self) -> None:
        message = filled(ORDERS)
        message.remove(message[0])
        (violation,) = self.structure(message).structure.violations
        assert violation.path == "MessageHeader"

    def test_refuses_a_header_behind_the_items(self) -> None:
        message = filled(ORDERS)
        message.append(message[0])
        assert not self.structure(message).structure.accepted

    def test_refuses_a_bulk_without_items(self) -> None:
        message = filled(ORDERS)
        for item in list(message)[1:]:
            message.remove(item)
        (violation,) = self.structure(message).structure.violations
        assert violation.path == ORDERS.item_element

    def test_refuses_qualified_items(self) -> None:
        message = filled(ORDERS)
        for item in list(message)[1:]:
            item.tag = f"{{urn:elsewhere}}{item.tag}"
        structure = self.structure(message).structure
        assert [violation.found for violation in structure.violations] == [
            f"{ORDERS.item_element} in the namespace urn:elsewhere"
        ] * 2


class TestEnvelope:
    @pytest.mark.parametrize(
        ("file", "error"),
        [
            pytest.param(io.BytesIO(b""), MalformedXml, id="empty"),
            pytest.param(io.BytesIO(b"<a>"), NotAnEnvelope, id="other-root"),
            pytest.param(
                envelope("<a/>", soap="http://www.w3.org/2003/05/soap-envelope"), WrongSoapVersion, id="soap-1.2"
            ),
            pytest.param(envelope(""), EmptyBody, id="empty-body"),
            pytest.param(envelope("<a/>", before="<!DOCTYPE x [<!ENTITY e 'x'>]>"), DtdRefused, id="dtd"),
            pytest.param(io.BytesIO(f'<s:Envelope xmlns:s="{SOAP}"/>'.encode()), NotAnEnvelope, id="no-body"),
        ],
    )
    def test_is_refused_before_any_item(self, file: io.BytesIO, error: type[Exception]) -> None:
        with pytest.raises(error):
            MessageStream(file)

    def test_is_refused_when_it_breaks_off(self) -> None:
        whole = envelope(text(filled(ORDERS))).getvalue()
        stream = MessageStream(io.BytesIO(whole[:-100]))
        with pytest.raises(MalformedXml):
            list(stream.items(ORDERS))

    def test_is_refused_with_a_second_message(self) -> None:
        stream = MessageStream(envelope(text(filled(ORDERS)), after="<a/>"))
        with pytest.raises(SeveralMessages):
            list(stream.items(ORDERS))

    def test_skips_a_soap_header_and_what_is_named_body_inside(self) -> None:
        whole = envelope(text(filled(ORDERS))).getvalue().replace(b"<s:Body>", b"<s:Header><Body/></s:Header><s:Body>")
        assert len(list(MessageStream(io.BytesIO(whole)).items(ORDERS))) == 2
