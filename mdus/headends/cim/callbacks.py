"""How the pushes of a head end are answered: with a ResponseMessage in the words they came in, once they are stored.

What is no message is answered with a fault; it is kept all the same, for a human to see.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Final, cast
from xml.sax.saxutils import quoteattr

from lxml import etree

from mdus.contracts.envelope import BODY, ENVELOPE, SOAP, malformed, refuse_dtd
from mdus.contracts.printable import printable
from mdus.domain.head_end import Answer, Callbacks
from mdus.headends.cim import elements
from mdus.headends.cim.decoding import PUSHED
from mdus.headends.cim.names import Names, Noun, Vintage, local, namespace
from mdus.headends.cim.payload_writing import stamp
from mdus.headends.cim.request_writing import new_id

#: Where a body names its call: with any prefix, in the header, which is near its beginning.
_CORRELATION: Final = re.compile(rb"<(?:[\w.-]+:)?CorrelationID\b[^>]*>\s*([^<]{1,200}?)\s*</")
_BEGINNING: Final = 64 * 1024

_XML: Final = "text/xml"

#: Reply codes of what is refused at the door.
_NOT_VALID: Final = "1.8"
_NOT_LET_IN: Final = "7.2"

_GENERIC: Final = frozenset({"RequestMessage", "ResponseMessage", "EventMessage", "FaultMessage"})

#: The place of the address in callback.wsdl.
_ADDRESS: Final = b'"{address}"'


def correlation_in(body: bytes) -> str:
    """Return the call a body names in its header, empty when it names none there."""
    found = _CORRELATION.search(body, 0, _BEGINNING)
    return printable(found.group(1).decode("utf-8", "replace")) if found else ""


def answer(topic: str, body: bytes) -> Answer:
    """Return the reply to a push: OK, in the style and the namespaces of what came.

    Only the beginning is looked at: a worker reads the rest.
    """
    del topic
    try:
        root, header = _beginning(body)
    except ValueError as error:
        return Answer(status=500, media_type=_XML, content=_fault(f"this is no message: {error}", code=_NOT_VALID))
    return Answer(status=200, media_type=_XML, content=_reply(root, header))


def refuse(topic: str, reason: str) -> Answer:
    """Return the fault for a sender that is not let in."""
    del topic
    return Answer(status=401, media_type=_XML, content=_fault(reason, code=_NOT_LET_IN))


def wsdl(topic: str, address: str) -> bytes | None:
    """Return the WSDL of the pushes that are taken at an address; None for a topic nothing is pushed under."""
    if topic != PUSHED:
        return None
    return _described().replace(_ADDRESS, quoteattr(address).encode())


@cache
def _described() -> bytes:
    return Path(__file__).with_name("callback.wsdl").read_bytes()


def _beginning(body: bytes) -> tuple[etree._Element, etree._Element]:
    """Return the root of a message and its header; what stands behind it is not there yet."""
    parser = etree.XMLPullParser(
        events=("end",),
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        parser.feed(body[:_BEGINNING])
        for event in parser.read_events():
            element = cast(etree._Element, event[1])
            root = element.getparent()
            within = root.getparent() if root is not None else None
            if local(element) == "Header" and root is not None and within is not None and local(within) == "Body":
                refuse_dtd(element)
                return root, element
    except etree.XMLSyntaxError as error:
        raise malformed(error) from error
    raise ValueError("no Header is in the SOAP Body")


def _reply(of: etree._Element, header: etree._Element) -> bytes:
    space, words = namespace(of), namespace(header[0]) if len(header) else namespace(of)
    noun = elements.text(header, "Noun") or ""
    is_generic = local(of) in _GENERIC or noun not in set(Noun)
    envelope = etree.Element(ENVELOPE, nsmap={"soap": SOAP})
    tag = _tag(space, "ResponseMessage" if is_generic else f"{noun}ResponseMessage")
    root = etree.SubElement(etree.SubElement(envelope, BODY), tag, nsmap={"m": words} if words else None)
    told = {
        "Verb": "reply",
        "Noun": noun,
        "Timestamp": stamp(datetime.now(UTC)),
        "Source": "MDUS",
        "MessageID": new_id(),
        "CorrelationID": elements.text(header, "CorrelationID") or elements.text(header, "MessageID"),
    }
    made = etree.SubElement(root, _tag(space, "Header"))
    for each, text in told.items():
        if text:
            etree.SubElement(made, _tag(words, each)).text = text
    _result(etree.SubElement(root, _tag(space, "Reply")), "OK", code="0.0", words=words)
    return etree.tostring(envelope, xml_declaration=True, encoding="UTF-8")


def _fault(text: str, *, code: str) -> bytes:
    words = Names(Vintage.OF_2011).message
    envelope = etree.Element(ENVELOPE, nsmap={"soap": SOAP})
    fault = etree.SubElement(etree.SubElement(envelope, BODY), f"{{{SOAP}}}Fault")
    etree.SubElement(fault, "faultcode").text = "soap:Client"
    etree.SubElement(fault, "faultstring").text = printable(text)
    detail = etree.SubElement(fault, "detail")
    told = etree.SubElement(detail, _tag(words, "FaultMessage"), nsmap={"m": words})
    _result(etree.SubElement(told, _tag(words, "Reply")), "FAILED", code=code, words=words, reason=text)
    return etree.tostring(envelope, xml_declaration=True, encoding="UTF-8")


def _result(reply: etree._Element, result: str, *, code: str, words: str, reason: str | None = None) -> None:
    etree.SubElement(reply, _tag(words, "Result")).text = result
    error = etree.SubElement(reply, _tag(words, "Error"))
    etree.SubElement(error, _tag(words, "code")).text = code
    etree.SubElement(error, _tag(words, "level")).text = "INFORM" if result == "OK" else "FATAL"
    if reason is not None:
        etree.SubElement(error, _tag(words, "reason")).text = printable(reason)


def _tag(space: str, name: str) -> str:
    return f"{{{space}}}{name}" if space else name


CALLBACKS: Final = Callbacks(correlation=correlation_in, answer=answer, refuse=refuse, wsdl=wsdl)
