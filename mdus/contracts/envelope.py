"""SOAP 1.1 envelopes: taken apart without trusting them, and written item by item.

Reading resolves no entity, loads no DTD and opens no network connection. Writing lets nothing leave that the contract's
schema refuses.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO, Final, NamedTuple, cast

from lxml import etree

from mdus.contracts.catalog import HEADER_ELEMENT, LOG_ELEMENT, Catalog, Root, catalog, reasons
from mdus.contracts.header import MessageHeader
from mdus.contracts.log import Log
from mdus.contracts.printable import printable
from mdus.contracts.wire_types import FAULT_NAMESPACE, ROOT_NAMESPACE
from mdus.contracts.writing import fill, write

SOAP: Final = "http://schemas.xmlsoap.org/soap/envelope/"
SOAP_1_2: Final = "http://www.w3.org/2003/05/soap-envelope"
ENVELOPE: Final = f"{{{SOAP}}}Envelope"
BODY: Final = f"{{{SOAP}}}Body"


class EnvelopeError(ValueError):
    """The bytes are no SOAP 1.1 envelope with one message in it."""


class MalformedXml(EnvelopeError):
    """The bytes are not well-formed XML; `line` and `column` say where."""

    def __init__(self, reason: str, *, line: int, column: int) -> None:
        super().__init__(f"not well-formed XML at line {line}, column {column}: {reason}")
        self.line = line
        self.column = column


class DtdRefused(EnvelopeError):
    """The document carries a DTD, which no SOAP message may (SOAP 1.1, section 3)."""


class NotAnEnvelope(EnvelopeError):
    """The root is no SOAP envelope, or the envelope has no Body."""


class WrongSoapVersion(EnvelopeError):
    """The envelope is one of SOAP 1.2."""


class EmptyBody(EnvelopeError):
    """The Body holds no message."""


class SeveralMessages(EnvelopeError):
    """The Body holds more than one message."""


class NotToContract(Exception):
    """A message of ours breaks the contract: a defect of ours, found before anything was sent."""


# -- reading ----------------------------------------------------------------------------------------------------------


def parse(body: bytes, *, huge: bool = False) -> etree._Element:
    """Return the root element of the message in a SOAP 1.1 envelope; a SOAP Header is skipped.

    `huge` lifts libxml2's limits on depth and text size; only for bodies whose size was limited before. Each way to be
    no envelope is an `EnvelopeError` of its own class.
    """
    # Comments and processing instructions are dropped while parsing: inside a value they would split its text in two.
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=huge,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        document = etree.fromstring(body, parser)
    except etree.XMLSyntaxError as error:
        raise malformed(error) from error
    refuse_dtd(document)
    check_envelope(document.tag)
    return _message(document)


def malformed(error: etree.XMLSyntaxError) -> MalformedXml:
    """Return lxml's syntax error as ours, with its place."""
    line, column = error.position
    return MalformedXml(str(error.msg), line=int(line or 0), column=int(column or 0))


def refuse_dtd(element: etree._Element) -> None:
    """Raise `DtdRefused` if the element's document has a DTD, so that no entity was ever silently dropped."""
    if element.getroottree().docinfo.internalDTD is not None:
        raise DtdRefused("a SOAP message carries no document type declaration")


def check_envelope(tag: str) -> None:
    """Raise unless `tag`, the document's root, is a SOAP 1.1 envelope."""
    if tag == f"{{{SOAP_1_2}}}Envelope":
        raise WrongSoapVersion(f"this is SOAP 1.2 ({SOAP_1_2}); send SOAP 1.1 ({SOAP})")
    if tag != ENVELOPE:
        raise NotAnEnvelope(f"the document's root is {tag}, not {ENVELOPE}")


def _message(envelope: etree._Element) -> etree._Element:
    bodies = envelope.findall(BODY)
    if len(bodies) != 1:
        raise NotAnEnvelope(f"the envelope has {len(bodies) or 'no'} Body")
    messages = list(bodies[0])
    if not messages:
        raise EmptyBody("the SOAP Body is empty")
    if len(messages) > 1:
        raise SeveralMessages(f"the SOAP Body holds {len(messages)} elements, not one message")
    return messages[0]


# -- faults -----------------------------------------------------------------------------------------------------------


def fault(code: str, text: str, *, details: Sequence[str] = ()) -> bytes:
    """Return a SOAP 1.1 fault: `code` is Client or Server, `text` one sentence, `details` a line per place at fault.

    The detail is SAP's own `StandardMessageFault`, so that a proxy generated from SAP's WSDLs can read it. Texts quote
    what the sender wrote, whatever that is.
    """
    envelope = etree.Element(ENVELOPE, nsmap={"soap": SOAP})
    element = etree.SubElement(etree.SubElement(envelope, BODY), f"{{{SOAP}}}Fault")
    etree.SubElement(element, "faultcode").text = f"soap:{code}"
    etree.SubElement(element, "faultstring").text = printable(text)
    standard_fault = etree.SubElement(
        etree.SubElement(element, "detail"), f"{{{FAULT_NAMESPACE}}}StandardMessageFault", nsmap={"n0": FAULT_NAMESPACE}
    )
    standard = etree.SubElement(standard_fault, "standard")
    etree.SubElement(standard, "faultText").text = printable(text)
    for detail in details:
        etree.SubElement(etree.SubElement(standard, "faultDetail"), "text").text = printable(detail)
    return etree.tostring(envelope, xml_declaration=True, encoding="UTF-8")


# -- writing ----------------------------------------------------------------------------------------------------------


class Item(NamedTuple):
    """One single message: its header (None in the synchronous query), its value, its Log if the value holds none."""

    header: MessageHeader | None
    value: object
    log: Log | None = None


Items = Iterable[Item | tuple[MessageHeader | None, object]]


def render(
    root: Root | str,
    *,
    header: MessageHeader | None = None,
    items: Items,
    log: Log | None = None,
    contract: Catalog | None = None,
) -> bytes:
    """Return the envelope that `render_to` writes."""
    buffer = io.BytesIO()
    render_to(buffer, root, header=header, items=items, log=log, contract=contract)
    return buffer.getvalue()


def render_to(
    out: BinaryIO,
    root: Root | str,
    *,
    header: MessageHeader | None = None,
    items: Items,
    log: Log | None = None,
    contract: Catalog | None = None,
) -> int:
    """Write the envelope of a message to a binary file, in memory that does not grow with it; return the items written.

    A bulk has its own header and overall Log, and each item a header of its own. A single message has exactly one item;
    its header is `header`, or that of the item. Every part is validated before it is written: `NotToContract` says what
    is wrong, and what `out` holds by then is to be thrown away.
    """
    contract = contract or catalog()
    known = contract.root(root) if isinstance(root, str) else root
    listed = (Item(*entry) for entry in items)
    with etree.xmlfile(out, encoding="UTF-8") as writer:
        writer.write_declaration()
        with writer.element(ENVELOPE, nsmap={"soap": SOAP}), writer.element(BODY):
            if not known.is_bulk:
                writer.write(_single(contract, known, header, listed, log))
                return 1
            with writer.element(known.tag, nsmap={"n0": ROOT_NAMESPACE}):
                count = 0
                for part in _bulk_parts(contract, known, header, listed, log):
                    writer.write(part)
                    count += part.tag == known.item_element
                return count


def _single(
    contract: Catalog, root: Root, header: MessageHeader | None, items: Iterator[Item], log: Log | None
) -> etree._Element:
    entries = list(items)
    if len(entries) != 1:
        raise NotToContract(f"{root.name} is a single message: it has one item, not {len(entries)}")
    item = entries[0]
    element = etree.Element(root.tag, nsmap={"n0": ROOT_NAMESPACE})
    _complete(element, root, Item(header or item.header, item.value, log or item.log))
    _hold(contract.schema(root), element, root.name)
    return element


def _bulk_parts(
    contract: Catalog, root: Root, header: MessageHeader | None, items: Iterator[Item], log: Log | None
) -> Iterator[etree._Element]:
    """Yield header, items and Log of a bulk, each validated."""
    if header is None:
        raise NotToContract(f"{root.name} needs a header")
    yield _part(contract, root, HEADER_ELEMENT, header)
    item_schema = contract.item_schema(root)
    position = 0
    for position, item in enumerate(items, start=1):
        element = build_item(root, item)
        _hold(item_schema, element, f"{root.name}/{root.item_element}[{position}]")
        yield element
    if position == 0:
        raise NotToContract(f"{root.name} needs at least one item")
    needs_log = root.type.child(LOG_ELEMENT) is not None
    if needs_log is not (log is not None):
        raise NotToContract(f"{root.name} {'needs an overall Log' if needs_log else 'has no overall Log'}")
    if log is not None:
        yield _part(contract, root, LOG_ELEMENT, log)


def build_item(root: Root, item: Item) -> etree._Element:
    """Return one item of a bulk as it would be written; whether it holds to the contract is not asked."""
    element = etree.Element(cast(str, root.item_element))
    _complete(element, root, item)
    return element


def size_of(root: Root, value: object) -> int:
    """Return how many bytes the body of one item takes when it is written; its header comes on top."""
    return len(etree.tostring(build_item(root, Item(None, value)), encoding="UTF-8"))


def _complete(element: etree._Element, root: Root, item: Item) -> None:
    """Fill an element with header, body and Log of one single message."""
    of = root.message_type
    if item.header is not None:
        element.append(write(item.header, name=HEADER_ELEMENT, of=_type_of(root, HEADER_ELEMENT)))
    fill(element, item.value, of=of)
    if item.log is not None:
        element.append(write(item.log, name=LOG_ELEMENT, of=_type_of(root, LOG_ELEMENT)))


def _part(contract: Catalog, root: Root, name: str, value: object) -> etree._Element:
    of = _type_of(root, name)
    element = write(value, name=name, of=of)
    _hold(contract.part_schema(name, of), element, f"{root.name}/{name}")
    return element


def _type_of(root: Root, name: str) -> Any:
    child = root.type.child(name) or root.message_type.child(name)
    if child is None:
        raise NotToContract(f"{root.name} has no {name}")
    return child.type


def _hold(schema: etree.XMLSchema, element: etree._Element, where: str) -> None:
    if not schema.validate(element):
        raise NotToContract(f"{where}: {'; '.join(reasons(schema))}")
