"""How pushes are answered."""

from __future__ import annotations

import pytest
from lxml import etree

from mdus.headends.cim import message
from mdus.headends.cim.adapter import HEAD_END
from mdus.headends.cim.message import Message
from tests.unit.headends.cim.messages import BASES, created, event, meter_reading, reading, reply, soap
from tests.unit.headends.samples import CORRELATION

CALLBACKS = HEAD_END.callbacks


def answered(body: bytes) -> tuple[int, Message]:
    answer = CALLBACKS.answer("cim", body)
    assert answer.media_type == "text/xml"
    return answer.status, message.read(answer.content)


class TestCorrelation:
    def test_is_that_of_the_header_whatever_its_prefix(self) -> None:
        body = reply("MeterReadings", meter_reading(reading()))

        assert CALLBACKS.correlation(body) == CORRELATION
        assert CALLBACKS.correlation(body.replace(b"<CorrelationID>", b'<m:CorrelationID a="b"> ')) == CORRELATION

    def test_is_empty_where_none_is_named(self) -> None:
        assert CALLBACKS.correlation(created("EndDeviceEvents", event("3.26.0.85"))) == ""


class TestAnswer:
    @pytest.mark.parametrize("base", BASES.values(), ids=BASES)
    @pytest.mark.parametrize("typed", [True, False], ids=["typed", "generic"])
    def test_is_a_reply_in_the_words_of_what_came(self, base: str, typed: bool) -> None:
        body = created("MeterReadings", meter_reading(reading()), correlation=CORRELATION, base=base, typed=typed)

        status, found = answered(body)

        assert (status, found.verb, found.noun, found.result) == (200, "reply", "MeterReadings", "OK")
        assert found.correlation == CORRELATION
        name = "MeterReadingsMessage}MeterReadingsResponseMessage" if typed else "schema/message}ResponseMessage"
        assert found.root.tag == f"{{{base}/{name}"
        assert found.root[0][0].tag == f"{{{base}/schema/message}}Verb"

    def test_names_the_message_where_no_call_is_named(self) -> None:
        assert answered(created("EndDeviceEvents", event("3.26.0.85")))[1].correlation == "m-1"

    def test_looks_at_the_beginning_only(self) -> None:
        body = created("MeterReadings", meter_reading(*[reading()] * 1000))

        assert answered(body[:-100])[0] == 200

    @pytest.mark.parametrize("noun", ["Meter Readings", "<x/>", "Bills"])
    def test_of_a_strange_noun_is_generic(self, noun: str) -> None:
        header = f"<Header><Verb>created</Verb><Noun>{noun}</Noun></Header>"

        _, found = answered(soap(f"<CreatedBills>{header}</CreatedBills>"))

        assert found.root.tag == "ResponseMessage"

    @pytest.mark.parametrize("body", [b"{}", soap("<Hello/>"), b"<!DOCTYPE a []>" + soap("<a><Header/></a>")])
    def test_of_what_is_no_message_is_a_fault(self, body: bytes) -> None:
        status, found = answered(body)

        assert (status, found.is_fault, found.result) == (500, True, "FAILED")
        assert found.errors[0].code == "1.8"

    def test_of_a_stranger_is_a_fault(self) -> None:
        refused = CALLBACKS.refuse("cim", "user or password is wrong")

        found = message.read(refused.content)
        assert (refused.status, found.is_fault, found.errors[0].code) == (401, True, "7.2")
        assert found.errors[0].reason == "user or password is wrong"


class TestWsdl:
    def test_names_its_address(self) -> None:
        assert CALLBACKS.wsdl is not None
        content = CALLBACKS.wsdl("cim", "http://mdus/head-ends/a&b/cim")

        assert content is not None
        (address,) = etree.fromstring(content).iter("{http://schemas.xmlsoap.org/wsdl/soap/}address")
        assert address.get("location") == "http://mdus/head-ends/a&b/cim"

    def test_is_of_the_one_topic(self) -> None:
        assert CALLBACKS.wsdl is not None
        assert CALLBACKS.wsdl("readings", "http://mdus") is None
