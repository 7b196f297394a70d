"""Writes the messages of SAP, and spoils them.

What is to be said comes as nested mappings in the wire's own names, SAP's misspellings included, in the order of the
schema; `@name` is an attribute, a list repeats its element, None leaves it out.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from lxml import etree

from simulators.conformance.contract import ENVELOPE, GLOBAL, ROOTS, Contract, Form

Content = Mapping[str, Any]


def stamp(instant: datetime) -> str:
    """This will print an instant as the contract wants it: UTC with Z, whole seconds."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One object of a message: its business key, the UUID of its own header in a bulk, and what is said of it."""

    key: str
    uuid: str
    content: Content
    reference: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """A message to be sent. `log` is the overall one of a bulk confirmation; `plain` leaves the root unprefixed."""

    root: str
    uuid: str
    items: tuple[Item, ...]
    reference: str | None = None
    log: Content | None = None
    plain: bool = False

    @property
    def form(self) -> Form:
        """Its form."""
        return ROOTS[self.root][1]


@dataclass(frozen=True, kw_only=True, slots=True)
class Writer:
    """This will write messages of the sender system `sender`."""

    contract: Contract
    sender: str
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))

    def element(self, message: Message) -> etree._Element:
        """This will return the root element of a message."""
        root = etree.Element(f"{{{GLOBAL}}}{message.root}", nsmap={"n0": GLOBAL})
        item_element = self.contract.item_element(message.root)
        if item_element is None:
            (item,) = message.items
            if message.root != "UtilitiesTimeSeriesItemByIDQuery_sync":  # it alone has no header
                self._header(root, message.uuid, message.reference)
            _fill(root, item.content)
            return root
        self._header(root, message.uuid, message.reference)
        for item in message.items:
            inside = etree.SubElement(root, item_element)
            self._header(inside, item.uuid, item.reference)
            _fill(inside, item.content)
        if message.log is not None:
            _fill(root, {"Log": message.log})
        return root

    def write(self, message: Message) -> bytes:
        """This will return the envelope of a message as bytes."""
        return enveloped(self.element(message), plain=message.plain)

    def _header(self, parent: etree._Element, uuid: str, reference: str | None) -> None:
        """As a real SAP writes it: UUID, creation time and sender, no ID."""
        content = {
            "UUID": uuid,
            "ReferenceUUID": reference,
            "CreationDateTime": stamp(self.now()),
            "SenderBusinessSystemID": self.sender,
        }
        _fill(parent, {"MessageHeader": content})


def enveloped(message: etree._Element, *, plain: bool = False) -> bytes:
    """This will return a SOAP 1.1 envelope around a message; `plain` as in `Message`."""
    inside = _plain(message) if plain else etree.tostring(message)
    return (
        b'<?xml version="1.0" encoding="utf-8"?>'
        b'<soap:Envelope xmlns:soap="' + ENVELOPE.encode() + b'"><soap:Body>' + inside + b"</soap:Body></soap:Envelope>"
    )


def _plain(message: etree._Element) -> bytes:
    """SAP's other way to write one and the same: the namespace is the root's own, and taken back by its children."""
    name = etree.QName(message).localname.encode()
    children = []
    for child in message:
        alone = etree.fromstring(etree.tostring(child))
        etree.cleanup_namespaces(alone)
        children.append(etree.tostring(alone).replace(b">", b' xmlns="">', 1))
    return b"<" + name + b' xmlns="' + GLOBAL.encode() + b'">' + b"".join(children) + b"</" + name + b">"


def _fill(parent: etree._Element, content: Content) -> None:
    for name, value in content.items():
        if name.startswith("@"):
            parent.set(name[1:], value)
            continue
        repeated = value if isinstance(value, list | tuple) else [value]
        for one in repeated:
            if one is None:
                continue
            child = etree.SubElement(parent, name)
            if isinstance(one, Mapping):
                _fill(child, one)
            else:
                child.text = str(one)


def changed(content: Content, path: str, value: str) -> Content:
    """This will return the content with another value at a path; of what repeats the first is changed."""
    name, _, rest = path.partition("/")
    inside = content[name]
    if not rest:
        return {**content, name: value}
    if isinstance(inside, Sequence):
        return {**content, name: [changed(inside[0], rest, value), *inside[1:]]}
    return {**content, name: changed(inside, rest, value)}


# -- spoiling ---------------------------------------------------------------------------------------------------------


def _cut(message: etree._Element) -> bytes:
    whole = enveloped(message)
    return whole[: len(whole) * 2 // 3]


def _without_a_mandatory_child(message: etree._Element) -> bytes:
    # The last child of a single message is mandatory in every message of the contract: what it is about, or its Log.
    single = message if ROOTS[etree.QName(message).localname][1] is Form.SINGLE else _middle_item(message)
    single.remove(single[-1])
    return enveloped(message)


def _with_qualified_children(message: etree._Element) -> bytes:
    for child in message.iterdescendants(tag=etree.Element):
        child.tag = f"{{{GLOBAL}}}{child.tag}"
    return enveloped(message)


def _with_an_impossible_value(message: etree._Element) -> bytes:
    single = message if ROOTS[etree.QName(message).localname][1] is Form.SINGLE else _middle_item(message)
    created = single.find("MessageHeader/CreationDateTime")
    if created is not None:
        created.text = "yesterday"
    else:
        period = single.find("UtilitiesTimeSeriesItemSelectionByID/UtilitiesTimeSeriesItemValidityPeriod")
        period[0].text = "yesterday"  # type: ignore[index]
    return enveloped(message)


def _with_a_document_type(message: etree._Element) -> bytes:
    declaration, _, rest = enveloped(message).partition(b"?>")
    return declaration + b'?><!DOCTYPE x [<!ENTITY y "z">]>' + rest


def _middle_item(message: etree._Element) -> etree._Element:
    items = [child for child in message if child.tag not in ("MessageHeader", "Log")]
    return items[len(items) // 2]


#: What is done to a message so that it must be refused, by what the report calls it.
SPOILS: Mapping[str, Callable[[etree._Element], bytes]] = {
    "XML cut off in the middle": _cut,
    "a mandatory element left out": _without_a_mandatory_child,
    "qualified children": _with_qualified_children,
    "a date-time that is none": _with_an_impossible_value,
    "a document type declaration": _with_a_document_type,
}

#: Spoils that leave no message to be judged by a schema: HTTP may say no without a SOAP fault.
UNREADABLE = frozenset({"XML cut off in the middle", "a document type declaration"})


def spoil(name: str, message: etree._Element) -> bytes:
    """This will return the envelope of a message spoiled in one of the ways of `SPOILS`."""
    return SPOILS[name](copy.deepcopy(message))
