"""SOAP envelopes with IEC 61968-100 messages in them: taken apart, and written in one style and vintage."""

import base64
import gzip
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from lxml import etree

from simulators.fleet.times import IN_UTC, Times
from simulators.headend_cim.words import SOAP, Spaces

Element = etree._Element


class NotAMessage(Exception):
    """The body is no envelope with a message."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """One Error of a reply: about one meter, or about the whole message."""

    code: str
    reason: str
    serial: str | None = None
    reference: str | None = None  # the mRID of the control it is about


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A message as it came: header by name, and what stands in Request and Payload."""

    header: Mapping[str, str]
    is_generic: bool
    start: str | None
    end: str | None
    ids: tuple[str, ...]  # that the client names in its Request
    content: Element | None  # the GetMeterReadings, EndDeviceControls ... in it

    @property
    def verb(self) -> str:
        """What is asked to be done."""
        return self.header.get("Verb", "").lower()

    @property
    def noun(self) -> str:
        """With what."""
        return self.header.get("Noun", "")

    @property
    def correlation(self) -> str:
        """The client's id of the call."""
        return self.header.get("CorrelationID") or self.header.get("MessageID") or str(uuid4())

    @property
    def reply_address(self) -> str | None:
        """Where results go that come later; None where they are waited for."""
        waits = self.header.get("AsyncReplyFlag", "false").lower() in ("true", "1")
        return self.header.get("ReplyAddress") if waits else None


def name(element: Element) -> str:
    """This will give an element's local name."""
    return str(etree.QName(element).localname)


def first(element: Element | None, *names: str) -> Element | None:
    """This will find the first child of a name, and its first child of the next name, and so on."""
    for each in names:
        element = None if element is None else next((child for child in element if name(child) == each), None)
    return element


def every(element: Element | None, wanted: str) -> Iterator[Element]:
    """This will yield all children of a name."""
    return iter(()) if element is None else (child for child in element if name(child) == wanted)


def text(element: Element | None, *names: str) -> str | None:
    """This will give the text at a path, None where there is none."""
    found = first(element, *names)
    return None if found is None or not (found.text or "").strip() else str(found.text).strip()


def take_apart(body: bytes) -> Asked:
    """This will read what came in; NotAMessage where it is none."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True)
    try:
        envelope = etree.fromstring(body, parser)
    except etree.XMLSyntaxError as error:
        raise NotAMessage(f"no XML: {error}") from error
    soap_body = first(envelope, "Body")
    root = None if soap_body is None or len(soap_body) == 0 else soap_body[0]
    header = first(root, "Header")
    if root is None or header is None:
        raise NotAMessage("no message with a Header in the SOAP Body")
    request, payload = first(root, "Request"), first(root, "Payload")
    beside = ("StartTime", "EndTime", "Option", "ID")
    inside = [each for part in (request, payload) if part is not None for each in part if name(each) not in beside]
    return Asked(
        header={name(each): (each.text or "").strip() for each in header},
        is_generic=name(root) == "RequestMessage",
        start=text(request, "StartTime"),
        end=text(request, "EndTime"),
        ids=tuple(told for each in every(request, "ID") if (told := text(each)) is not None),
        content=inside[0] if inside else None,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Writer:
    """Writes messages as the command line says: style, vintage, whether payloads are compressed, and its clock."""

    spaces: Spaces
    is_generic: bool
    is_compressed: bool = False
    times: Times = IN_UTC

    def payload(self, noun: str) -> "Node":
        """This will begin a payload."""
        return Node(etree.Element(f"{{{self.spaces.profile(noun)}}}{noun}", nsmap={"p": self.spaces.profile(noun)}))

    def reply(
        self,
        noun: str,
        *,
        at: str,
        correlation: str,
        result: str,
        codes: Sequence[str] = (),
        failures: Iterable[Failure] = (),
        payload: "Node | None" = None,
    ) -> bytes:
        """This will write a reply: whether it went well, what did not, and what was asked for."""
        envelope, root = self._root("ResponseMessage" if self.is_generic else f"{noun}ResponseMessage", noun)
        self._header(root, verb="reply", noun=noun, at=at, correlation=correlation)
        self._result(root.add("Reply"), result, codes, failures)
        self._payload(root, payload)
        return _printed(envelope)

    def event(self, noun: str, *, at: str, payload: "Node") -> bytes:
        """This will write news nobody asked for."""
        envelope, root = self._root("EventMessage" if self.is_generic else f"Created{noun}", noun)
        self._header(root, verb="created", noun=noun, at=at, correlation=None)
        self._payload(root, payload)
        return _printed(envelope)

    def fault(self, text: str, *, code: str | None = None, whose: str = "Server") -> bytes:
        """This will write a SOAP fault, with a reply code where there is one."""
        envelope = etree.Element(f"{{{SOAP}}}Envelope", nsmap={"soap": SOAP})
        fault = etree.SubElement(etree.SubElement(envelope, f"{{{SOAP}}}Body"), f"{{{SOAP}}}Fault")
        etree.SubElement(fault, "faultcode").text = f"soap:{whose}"
        etree.SubElement(fault, "faultstring").text = text
        if code is not None:
            detail = Node(etree.SubElement(fault, "detail"))
            message = Node(etree.SubElement(detail.element, f"{{{self.spaces.message}}}FaultMessage"))
            self._result(message.add("Reply"), "FAILED", (), [Failure(code=code, reason=text)])
        return _printed(envelope)

    def _root(self, root: str, noun: str) -> tuple[Element, "Node"]:
        space = self.spaces.message if self.is_generic else self.spaces.wrapper(noun)
        envelope = etree.Element(f"{{{SOAP}}}Envelope", nsmap={"soap": SOAP})
        body = etree.SubElement(envelope, f"{{{SOAP}}}Body")
        element = etree.SubElement(body, f"{{{space}}}{root}", nsmap={"w": space, "m": self.spaces.message})
        return envelope, Node(element)

    def _header(self, root: "Node", *, verb: str, noun: str, at: str, correlation: str | None) -> None:
        header = Node(root.add("Header").element, space=self.spaces.message)
        stamped = self.times.said(at)
        told = {"Verb": verb, "Noun": noun, "Timestamp": stamped, "Source": "HES", "MessageID": str(uuid4())}
        for each, value in told.items():
            header.add(each, value)
        if correlation is not None:
            header.add("CorrelationID", correlation)

    def _result(self, reply: "Node", result: str, codes: Sequence[str], failures: Iterable[Failure]) -> None:
        reply = Node(reply.element, space=self.spaces.message)
        reply.add("Result", result)
        for code in codes:
            error = reply.add("Error")
            error.add("code", code)
            error.add("level", "INFORM")
        for failure in failures:
            error = reply.add("Error")
            error.add("code", failure.code)
            error.add("level", "FATAL")
            error.add("reason", failure.reason)
            if failure.reference is not None:
                error.add("relatedID", failure.reference)
            if failure.serial is not None:
                about = error.add("object")
                about.add("Name").add("name", failure.serial)
                about.add("objectType", "EndDevice")

    def _payload(self, root: "Node", payload: "Node | None") -> None:
        if payload is None:
            return
        holder = root.add("Payload")
        if not self.is_compressed:
            holder.element.append(payload.element)
            return
        holder.add("Compressed", base64.b64encode(gzip.compress(etree.tostring(payload.element))).decode())
        holder.add("Format", "XML")


@dataclass(frozen=True, slots=True)
class Node:
    """An element to add to, in one namespace."""

    element: Element
    space: str | None = field(default=None)

    def add(self, name: str, value: str | None = None, **attributes: Any) -> "Node":
        """This will add a child of the namespace."""
        space = self.space if self.space is not None else etree.QName(self.element).namespace
        child = etree.SubElement(self.element, name if space is None else f"{{{space}}}{name}", attributes)
        child.text = value
        return Node(child)


def _printed(envelope: Element) -> bytes:
    return etree.tostring(envelope, xml_declaration=True, encoding="UTF-8")


def is_positive(body: bytes) -> bool:
    """This will say whether what the client answered is a reply that says OK."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        envelope = etree.fromstring(body, parser)
    except etree.XMLSyntaxError:
        return False
    soap_body = first(envelope, "Body")
    return soap_body is not None and len(soap_body) == 1 and text(soap_body[0], "Reply", "Result") == "OK"
