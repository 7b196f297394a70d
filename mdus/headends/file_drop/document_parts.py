"""A MeterReadingDocument too large for one delivery, as several: each has the header and the table of statuses.

A document that breaks off gives all its whole channels; its last part breaks off as well, and so tells where.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Final

from lxml import etree

from mdus.contracts.meter_reading_document import ROOT

_CHANNEL: Final = "Channel"
_CHANNELS: Final = "Channels"

#: Bytes from one channel's end to the next at most: so much is held as a tree, which takes several times as much.
_LONGEST: Final = 32 * 1024 * 1024

#: Where the channels of a part go.
_PLACE: Final = b"<!--channels-->"


def parts(source: BinaryIO, *, most: int) -> Iterator[bytes]:
    """Yield a document that may be read twice, in parts of about so many bytes; a smaller one as it is.

    Raises ValueError where there is no such document.
    """
    whole = source.read(most + 1)
    if len(whole) <= most:
        yield whole
        return
    source.seek(0)
    before, _, after = _shell(source).partition(_PLACE)
    source.seek(0)
    held: list[bytes] = []
    size, is_first = 0, True
    try:
        for element in _elements(source):
            if _name(element) != _CHANNEL:
                continue
            if size >= most:
                yield before + b"".join(held) + after
                held, size, is_first = [], 0, False
            held.append(etree.tostring(element, encoding="UTF-8", xml_declaration=False, with_tail=False))
            size += len(held[-1])
            _forget(element)
    except etree.XMLSyntaxError:
        yield before + b"".join(held)
        return
    if held or is_first:
        yield before + b"".join(held) + after


def _shell(source: BinaryIO) -> bytes:
    """Return all of a document but its channels, with a place for them."""
    root: etree._Element | None = None
    try:
        for element in _elements(source):
            if _name(element) == ROOT:
                root = element
            elif _name(element) == _CHANNEL:
                root = next(element.iterancestors(f"{{*}}{ROOT}"), None)
                _forget(element)
    except etree.XMLSyntaxError as error:
        if root is None:
            raise ValueError(f"the body is no XML: {error.msg}") from error
    if root is None:
        raise ValueError(f"there is no {ROOT} in it")
    for channels in root.findall(f".//{{*}}{_CHANNELS}"):
        for channel in channels.findall(f"{{*}}{_CHANNEL}"):
            channels.remove(channel)
    place = root.find(f".//{{*}}{_CHANNELS}")
    if place is None:
        place = etree.SubElement(root, _CHANNELS)
    place.text = None
    place.insert(0, etree.Comment("channels"))
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True, with_tail=False)


class _Measured:
    """Reads a document, and no further than it may be to the end of a channel."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self.since_channel = 0  # bytes read since the last one ended

    def read(self, size: int) -> bytes:
        """Return so many bytes; raises ValueError where no channel has ended for too long."""
        chunk = self._source.read(size)
        self.since_channel += len(chunk)
        if self.since_channel > _LONGEST:
            raise ValueError(f"more than {_LONGEST} bytes of it are one channel, or none")
        return chunk


def _elements(source: BinaryIO) -> Iterator[etree._Element]:
    """Yield the channels as they are complete, and last the document.

    Raises ValueError for one with a DTD, or with a channel that does not end.
    """
    tags = [f"{{*}}{name}" for name in (ROOT, _CHANNEL)]
    measured = _Measured(source)
    for _, element in etree.iterparse(
        measured,
        events=("end",),
        tag=tags,
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=True,
        remove_comments=True,
        remove_pis=True,
    ):
        if element.getroottree().docinfo.internalDTD is not None:
            raise ValueError("a document type declaration is not taken")
        measured.since_channel = 0
        yield element


def _name(element: etree._Element) -> str:
    return etree.QName(element).localname


def _forget(element: etree._Element) -> None:
    element.clear()
    parent = element.getparent()
    while parent is not None and element.getprevious() is not None:
        del parent[0]
