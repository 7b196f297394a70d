"""A bulk larger than memory should hold, read item by item from a spooled file.

No schema takes part in the parsing: each item is judged by itself, so tolerance and explanations work per item.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, BinaryIO

from lxml import etree

from mdus.contracts.catalog import HEADER_ELEMENT, LOG_ELEMENT, Root
from mdus.contracts.envelope import (
    BODY,
    EmptyBody,
    NotAnEnvelope,
    SeveralMessages,
    check_envelope,
    malformed,
    refuse_dtd,
)
from mdus.contracts.validation import BulkStructure, Verdict


class MessageStream:
    """A SOAP envelope in a seekable file, opened at the root of its message.

    `tag` is the qualified name of that root. `header` is set before the first item comes. Walk `items(root)` to its
    end: only then are `log` and `structure` set, and only then is it known that the whole file is well-formed.
    """

    def __init__(self, file: BinaryIO, *, huge: bool = False) -> None:
        """Read up to the start of the message; raises the `EnvelopeError`s that `envelope.parse` raises."""
        self._file = file
        self._huge = huge
        self.header: etree._Element | None = None
        self.log: etree._Element | None = None
        self.structure = Verdict()
        self._last: etree._Element | None = None
        self.tag = self._find_message()

    def items(self, root: Root) -> Iterator[tuple[int, etree._Element]]:
        """Yield (position from 1, element) of each item of the bulk `root`, in constant memory.

        An item is only good until the next is asked for. Raises `MalformedXml` when the file stops being XML,
        `SeveralMessages` when another message follows.
        """
        structure = BulkStructure(root)
        for _, element in self._events("end", tag=(str(root.item_element), root.tag, BODY)):
            parent = element.getparent()
            if element.tag == root.item_element and parent is not None and parent.tag == root.tag:
                position = self._take(parent, element, structure)
                _forget_before(element)
                if position is not None:
                    yield position, element
            elif element.tag == root.tag and parent is not None and parent.tag == BODY:
                self._take(element, None, structure)
            elif element.tag == BODY and len(element) != 1:
                raise SeveralMessages(f"the SOAP Body holds {len(element)} elements, not one message")
        self.structure = structure.verdict()

    def _take(self, message: etree._Element, until: etree._Element | None, structure: BulkStructure) -> int | None:
        """Note the children of the message not seen before, up to an item or to the end; return the item's position."""
        position = None
        for child in message.iterchildren(tag=etree.Element):
            if child is self._last:
                continue
            position = structure.take(child)
            if child is until:
                break
            if child.tag == HEADER_ELEMENT and self.header is None:
                self.header = copy.deepcopy(child)
            elif child.tag == LOG_ELEMENT and self.log is None:
                self.log = copy.deepcopy(child)
        self._last = until
        return position

    def _find_message(self) -> str:
        """Return the tag of the message's root."""
        depth = 0
        in_body = False
        for event, element in self._events("start", "end"):
            if event == "end":
                depth -= 1
                if in_body and element.tag == BODY:
                    raise EmptyBody("the SOAP Body is empty")
                continue
            if depth == 0:
                refuse_dtd(element)
                check_envelope(str(element.tag))
            elif depth == 1 and element.tag == BODY:
                in_body = True
            elif in_body:
                return str(element.tag)
            depth += 1
        raise NotAnEnvelope("the envelope has no Body")

    def _events(self, *events: str, tag: tuple[str, ...] | None = None) -> Iterator[tuple[str, etree._Element]]:
        """Yield the events of the file from its beginning."""
        self._file.seek(0)
        parsed: Any = etree.iterparse(
            self._file,
            events=events,
            tag=tag,
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            huge_tree=self._huge,
            remove_comments=True,
            remove_pis=True,
        )
        try:
            yield from iter(parsed)
        except etree.XMLSyntaxError as error:
            raise malformed(error) from error


def _forget_before(element: etree._Element) -> None:
    """Free what stands before the element.

    The parser is ahead of the events and may already be appending to what follows; only what precedes is safe to drop.
    """
    parent = element.getparent()
    while parent is not None and element.getprevious() is not None:
        del parent[0]


def iter_items(element: etree._Element, root: Root) -> Iterator[tuple[int, etree._Element]]:
    """Yield (position from 1, element) of each item of a bulk that was parsed whole, as `MessageStream.items` does."""
    yield from enumerate(element.iterchildren(tag=str(root.item_element)), start=1)
