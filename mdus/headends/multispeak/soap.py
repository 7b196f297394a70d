"""SOAP 1.1 with MultiSpeak's header: read without trusting it, and written.

A peer's messages are read by local names: whatever their prefix, their version and the order of their children. No DTD,
no entity, no network. Whatever cannot be read is a ValueError.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, cast

from lxml import etree

from mdus.contracts.envelope import SOAP, SOAP_1_2, malformed, refuse_dtd
from mdus.contracts.printable import printable
from mdus.domain import local_time
from mdus.domain.local_time import Meanings

NAMESPACES: Final[Mapping[str, str]] = {
    "3.0": "http://www.multispeak.org/Version_3.0",
    "4.1": "http://www.multispeak.org/Version_4.1_Release",
}

HEADER: Final = "MultiSpeakMsgHeader"

_NIL: Final = "{http://www.w3.org/2001/XMLSchema-instance}nil"
_ENVELOPES: Final = frozenset({f"{{{SOAP}}}Envelope", f"{{{SOAP_1_2}}}Envelope"})
_CHUNK: Final = 4096

#: Header and name of the message stand in so many bytes; who sends more before them is not listened to.
_BEGINNING: Final = 64 * 1024

#: Greater and smaller powers of ten no quantity has, and to write one out would fill the memory.
_GREATEST_EXPONENT: Final = 60

#: How a parser is to be that trusts nothing. Comments inside a value would split its text in two.
_CAREFUL: Final[Mapping[str, Any]] = {
    "resolve_entities": False,
    "no_network": True,
    "load_dtd": False,
    "dtd_validation": False,
    "remove_comments": True,
    "remove_pis": True,
}

#: A password in an attribute, also of a message quoted in a text, cut off, or in UTF-16.
_PASSWORD: Final = re.compile(
    rb"((?:p\0?w\0?d|p\0?a\0?s\0?s\0?w\0?o\0?r\0?d)[\s\0]*=[\s\0]*)"
    rb"(?:(\"\0?)[^\"<]*|('\0?)[^'<]*|(&quot;)(?:(?!&quot;)[^\"<])*)",
    re.IGNORECASE,
)

Attributes = Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    """A message out of an envelope of so many bytes, with what its header says."""

    header: Attributes
    message: etree._Element
    size: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """What a SOAP fault says; `is_ours` when it is the request's mistake, not the server's."""

    text: str
    is_ours: bool


@dataclass(frozen=True, slots=True)
class Node:
    """An element to be written: its local name, text, attributes and children."""

    name: str
    text: str | None = None
    children: Sequence[Node] = ()
    attributes: Attributes = field(default_factory=dict)


# ---- reading ---------------------------------------------------------------------------------------------------------


def received(body: bytes) -> Received:
    """Return the message in an envelope."""
    envelope = parsed(body)
    if envelope.tag not in _ENVELOPES:
        raise ValueError(f"the body is no SOAP envelope, but {envelope.tag}")
    messages = list(children(child(envelope, "Body")))
    if len(messages) != 1:
        raise ValueError(f"the SOAP Body holds {len(messages)} messages")
    header = child(child(envelope, "Header"), HEADER)
    return Received(header=attributes(header), message=messages[0], size=len(body))


def without_passwords(body: bytes) -> bytes:
    """Return a body, or a part of one, in which passwords (Pwd, AuditPassword) are blank."""
    return _PASSWORD.sub(rb"\1\2\3\4", body)


def parsed(body: bytes) -> etree._Element:
    """Return the root of a document that is trusted in nothing."""
    try:
        root = etree.fromstring(body, etree.XMLParser(**_CAREFUL))
    except etree.XMLSyntaxError as error:
        raise malformed(error) from error
    refuse_dtd(root)
    return root


def beginning(body: bytes) -> tuple[Attributes, str, str]:
    """Return the header's attributes, and namespace and local name of the message, from as little as tells them."""
    parser = etree.XMLPullParser(("start",), **_CAREFUL)
    header: Attributes = {}
    is_body = False
    try:
        for start in range(0, min(len(body), _BEGINNING), _CHUNK):
            parser.feed(body[start : start + _CHUNK])
            for _, element in parser.read_events():
                if not isinstance(element, etree._Element):
                    continue
                name = etree.QName(element)
                if is_body:
                    refuse_dtd(element)
                    return header, name.namespace or "", name.localname
                if name.localname == HEADER:
                    header = attributes(element)
                is_body = name.localname == "Body"
    except etree.XMLSyntaxError as error:
        raise malformed(error) from error
    raise ValueError("the body is no SOAP envelope with a message in it")


def fault_of(message: etree._Element) -> Fault | None:
    """Return what a message says that is a fault, None of any other."""
    if local(message) != "Fault":
        return None
    code = text(message, "faultcode") or text(child(message, "Code"), "Value") or ""
    reason = text(message, "faultstring") or text(child(message, "Reason"), "Text") or ""
    detail = child(message, "detail")
    more = "" if detail is None else " ".join("".join(map(str, detail.itertext())).split())[:200]
    told = "; ".join(part for part in (reason, more) if part)
    said = printable(without_passwords(told.encode("utf-8", "replace")).decode()) or "no reason is given"
    return Fault(text=said, is_ours=code.rpartition(":")[2] in ("Client", "Sender"))


def local(element: etree._Element) -> str:
    """Return the name of an element without its namespace."""
    return _local(element.tag)


def _local(name: str) -> str:
    # A quarter of what a QName costs, and this is asked of every element.
    return name.rpartition("}")[2]


def children(element: etree._Element | None, *names: str) -> Iterator[etree._Element]:
    """Yield the children of an element, those of one of these names if any are given; none of none."""
    if element is not None:
        yield from element.iterchildren(*(f"{{*}}{name}" for name in names))


def child(element: etree._Element | None, *names: str) -> etree._Element | None:
    """Return the first child with one of these names."""
    return next(children(element, *names), None)


def everywhere(element: etree._Element | None, *names: str) -> Iterator[etree._Element]:
    """Yield the elements of these names below an element, however deep, in the order of the document."""
    if element is not None:
        yield from element.iterdescendants(*(f"{{*}}{name}" for name in names))


def text(element: etree._Element | None, *names: str) -> str | None:
    """Return the text of the first child with one of these names, None of one that is missing, empty or nil."""
    return own_text(child(element, *names))


def own_text(element: etree._Element | None) -> str | None:
    """Return the text in an element, None where there is none."""
    if element is None or element.get(_NIL) in ("true", "1"):
        return None
    said = printable((element.text or "").strip())
    return said or None


def line(element: etree._Element) -> int:
    """Return the line of a body that an element begins in."""
    return cast("int | None", element.sourceline) or 1


def attributes(element: etree._Element | None) -> Attributes:
    """Return the attributes of an element by their local names."""
    if element is None:
        return {}
    return {_local(str(name)): printable(str(value)) for name, value in element.attrib.items()}


def attribute(element: etree._Element | None, name: str) -> str | None:
    """Return an attribute, None where it is missing or empty."""
    return None if element is None else attributes(element).get(name, "").strip() or None


def instant(value: str, where: str, *, zone: str) -> datetime:
    """Return the instant that a dateTime says; one without an offset is local in `zone`, and must be there once."""
    first, *others = instants(value, where, zone=zone)
    if others:
        raise ValueError(f"{where} is {value!r}, which is there twice in {zone}, and does not say which it is")
    return first


def earliest(value: str, where: str, *, zone: str) -> datetime:
    """Return the first instant that a dateTime may mean, whatever the clocks do there.

    For what must not be lost for the sake of its time.
    """
    try:
        at = datetime.fromisoformat(value)
        return local_time.earliest(at, zone=zone) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{where} is {value!r}, not an instant") from None


def instants(value: str, where: str, *, zone: str) -> Meanings:
    """Return the instants that a dateTime may mean, earlier ones first: two when summer time ends, else one."""
    try:
        at = datetime.fromisoformat(value)
        found = local_time.meanings(at, zone=zone) if at.tzinfo is None else (at.astimezone(UTC),)
    except (ValueError, OverflowError):
        raise ValueError(f"{where} is {value!r}, not an instant") from None
    if not found:
        raise ValueError(f"{where} is {value!r}, which no clock shows in {zone}")
    return found


def decimal(value: str, where: str) -> Decimal:
    """Return the number that a text says, however a float writes it, but for none that is no number."""
    try:
        number = Decimal(value)
    except ArithmeticError:
        number = Decimal("NaN")
    if not number.is_finite() or abs(number.adjusted()) > _GREATEST_EXPONENT:
        raise ValueError(f"{where} is {value!r}, not a number")
    return number


# ---- writing ---------------------------------------------------------------------------------------------------------


def envelope(message: Node, *, version: str, header: Attributes) -> bytes:
    """Return an envelope with a message and its header; an attribute without text is left out."""
    namespace = NAMESPACES[version]
    root = etree.Element(f"{{{SOAP}}}Envelope", nsmap={"soap": SOAP})
    top = etree.SubElement(root, f"{{{SOAP}}}Header")
    told = etree.SubElement(top, f"{{{namespace}}}{HEADER}", nsmap=cast("dict[str, str]", {None: namespace}))
    for name, value in header.items():
        if value:
            told.set(name, printable(value))
    _write(etree.SubElement(root, f"{{{SOAP}}}Body"), message, namespace, nsmap={None: namespace})
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def fault(reason: str, *, is_theirs: bool) -> bytes:
    """Return an envelope with a fault: of theirs who sent a message, or ours."""
    root = etree.Element(f"{{{SOAP}}}Envelope", nsmap={"soap": SOAP})
    body = etree.SubElement(root, f"{{{SOAP}}}Body")
    told = etree.SubElement(body, f"{{{SOAP}}}Fault")
    etree.SubElement(told, "faultcode").text = "soap:Client" if is_theirs else "soap:Server"
    etree.SubElement(told, "faultstring").text = printable(reason)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def _write(parent: etree._Element, node: Node, namespace: str, nsmap: Mapping[str | None, str] | None = None) -> None:
    element = etree.SubElement(parent, f"{{{namespace}}}{node.name}", nsmap=nsmap)  # type: ignore[arg-type]
    for name, value in node.attributes.items():
        element.set(name, printable(value))
    if node.text is not None:
        element.text = printable(node.text)
    for each in node.children:
        _write(element, each, namespace)


def stamp(at: datetime) -> str:
    """Print an instant as a dateTime in UTC."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
