"""SOAP 1.1 and what the two versions of MultiSpeak call things, as a head end writes and reads them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from lxml import etree

from simulators.clock import instant, stamp
from simulators.fleet.times import IN_UTC, Times

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
NAMESPACES = {
    "3.0": "http://www.multispeak.org/Version_3.0",
    "4.1": "http://www.multispeak.org/Version_4.1_Release",
}
HEADER = "MultiSpeakMsgHeader"

#: What stands in a header that we write, but for what changes.
_SELF = {
    "3.0": {"Version": "3.0", "AppName": "Simulated head end", "AppVersion": "1"},
    "4.1": {
        "MajorVersion": "4",
        "MinorVersion": "1",
        "Build": "6",
        "BuildString": "Release",
        "AppName": "Simulated head end",
        "AppVersion": "1",
        "Context": "Testing",
    },
}

_LENGTHS = {
    "Milliseconds": timedelta(milliseconds=1),
    "Seconds": timedelta(seconds=1),
    "Minutes": timedelta(minutes=1),
    "Hours": timedelta(hours=1),
    "Days": timedelta(days=1),
    "Weeks": timedelta(weeks=1),
}

_LOCAL = re.compile(r"\{[^}]*\}")


class NotUnderstood(Exception):
    """A request that no method of ours is."""


@dataclass(kw_only=True, slots=True)
class Element:
    """An element to be written: children in order, attributes without a value left out."""

    name: str
    text: str | None = None
    attributes: Mapping[str, str | None] = field(default_factory=dict)
    children: "Sequence[Element]" = ()

    def backwards(self) -> "Element":
        """This will give the element with the children of all that is in it in reverse order."""
        inside = [child.backwards() for child in reversed(self.children)]
        return Element(name=self.name, text=self.text, attributes=self.attributes, children=inside)


def element(name: str, *inside: "Element | str | None", **attributes: str | None) -> Element:
    """This will make an element with a text or with children; None is nothing."""
    texts = [each for each in inside if isinstance(each, str)]
    children = [each for each in inside if isinstance(each, Element)]
    return Element(name=name, text=texts[0] if texts else None, children=children, attributes=attributes)


@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """One version of MultiSpeak, as this head end speaks it: with the unit of 3.0's expirationTime, and its clock."""

    name: str
    length: timedelta
    times: Times = IN_UTC

    @property
    def is_3(self) -> bool:
        """Whether it is 3.0."""
        return self.name == "3.0"

    @property
    def namespace(self) -> str:
        """The namespace of all its elements."""
        return NAMESPACES[self.name]

    def envelope(self, message: Element, *, at: datetime, **header: str | None) -> bytes:
        """This will write a message that is sent at an instant."""
        root = etree.Element(f"{{{SOAP}}}Envelope", nsmap={"s": SOAP})
        told = {**_SELF[self.name], "TimeStamp": self.times.said(stamp(at)), **header}
        top = Element(name=HEADER, attributes=told)
        self._write(etree.SubElement(root, f"{{{SOAP}}}Header"), top)
        self._write(etree.SubElement(root, f"{{{SOAP}}}Body"), message)
        return etree.tostring(root, xml_declaration=True, encoding="utf-8")

    def _write(self, parent: Any, one: Element) -> None:
        written = etree.SubElement(parent, f"{{{self.namespace}}}{one.name}", nsmap={None: self.namespace})  # type: ignore[dict-item]
        for name, value in one.attributes.items():
            if value is not None:
                written.set(name, value)
        written.text = one.text
        for child in one.children:
            self._write(written, child)

    def meter(self, serial: str, service: str | None = None) -> list[Element]:
        """This will name a meter, as most elements do."""
        if self.is_3:
            return [element("meterNo", serial)]
        return [element("meterID", serial, meterNo=serial, serviceType=service)]

    def expiry(self, message: "Read", now: datetime) -> datetime | None:
        """This will read until when a call may be worked at."""
        told = message.child("expirationTime") if self.is_3 else message.child("expTime")
        if told is None or not told.text:
            return None
        try:
            length = self.length if self.is_3 else _LENGTHS[told.attribute("units") or ""]
            return now + float(told.text) * length
        except (KeyError, ValueError) as error:
            raise NotUnderstood(f"the expiration {told.text!r} {told.attribute('units')!r} is no time") from error


@dataclass(frozen=True, slots=True)
class Read:
    """An element that was received, read by local names."""

    of: Any

    @property
    def name(self) -> str:
        """Its local name."""
        return _LOCAL.sub("", self.of.tag)

    @property
    def namespace(self) -> str:
        """The namespace it is in."""
        return str(etree.QName(self.of).namespace or "")

    @property
    def text(self) -> str:
        """Its text."""
        return (self.of.text or "").strip()

    def attribute(self, name: str) -> str | None:
        """This will return an attribute."""
        found = {_LOCAL.sub("", key): value for key, value in self.of.attrib.items()}.get(name)
        return None if found is None else str(found)

    def children(self, *names: str) -> "Iterator[Read]":
        """This will list the children of these names, or all."""
        for each in self.of:
            if isinstance(each.tag, str) and (not names or _LOCAL.sub("", each.tag) in names):
                yield Read(each)

    def child(self, *names: str) -> "Read | None":
        """This will return the first child of these names."""
        return next(self.children(*names), None)

    def said(self, *names: str) -> str | None:
        """This will return the text of the first child of these names, None where it is missing or empty."""
        found = self.child(*names)
        return None if found is None else found.text or None

    def below(self, *names: str) -> "Iterator[Read]":
        """This will list the elements of these names anywhere in it."""
        for each in self.of.iter():
            if each is not self.of and isinstance(each.tag, str) and _LOCAL.sub("", each.tag) in names:
                yield Read(each)

    def when(self, name: str) -> datetime:
        """This will read an instant with a zone."""
        try:
            return instant(self.said(name) or "")
        except ValueError as error:
            raise NotUnderstood(f"{name} of {self.name} is no instant with a zone") from error


def read(body: bytes) -> tuple[Mapping[str, str], Read]:
    """This will read an envelope: the attributes of its header, and its message."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True)
    try:
        envelope = Read(etree.fromstring(body, parser))
    except etree.XMLSyntaxError as error:
        raise NotUnderstood(str(error)) from error
    if envelope.of.tag != f"{{{SOAP}}}Envelope":
        raise NotUnderstood("the body is no SOAP 1.1 envelope")
    top = envelope.child("Header")
    told = None if top is None else top.child(HEADER)
    header = {} if told is None else {_LOCAL.sub("", name): str(value) for name, value in told.of.attrib.items()}
    inside = envelope.child("Body")
    messages = [] if inside is None else list(inside.children())
    if len(messages) != 1:
        raise NotUnderstood(f"the body holds {len(messages)} messages")
    return header, messages[0]


def fault(reason: str, *, is_theirs: bool) -> bytes:
    """This will write a SOAP fault."""
    root = etree.Element(f"{{{SOAP}}}Envelope", nsmap={"s": SOAP})
    told = etree.SubElement(etree.SubElement(root, f"{{{SOAP}}}Body"), f"{{{SOAP}}}Fault")
    etree.SubElement(told, "faultcode").text = "s:Client" if is_theirs else "s:Server"
    etree.SubElement(told, "faultstring").text = reason
    return etree.tostring(root, xml_declaration=True, encoding="utf-8")
