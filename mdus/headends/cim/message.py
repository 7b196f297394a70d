"""One IEC 61968-100 message out of its SOAP envelope: what its header says, how it replies, and its payloads.

Tolerant: local names alone count, children may stand in any order, roots may be of either style. A payload is an
element, compressed (gzip in base64), or the operations of an OperationSet, each with a verb and noun of its own.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from lxml import etree

from mdus.headends.cim import elements
from mdus.headends.cim.names import local
from mdus.headends.cim.reply_codes import ReplyError

#: Bytes a compressed payload may have: more is no payload but an attack.
_MOST_BYTES: Final = 32 * 1024 * 1024

#: What is beside the payload itself in a Payload element.
_BESIDE: Final = frozenset({"OperationSet", "Compressed", "Format"})

#: How zlib is told that gzip's header comes first.
_GZIP: Final = zlib.MAX_WBITS | 16


class Payload(NamedTuple):
    """What one operation is about: of a message without an OperationSet there is one."""

    verb: str
    noun: str
    element: etree._Element


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """A message as it was read; `result` is OK, PARTIAL or FAILED where it is a reply or a fault, else None."""

    root: etree._Element
    verb: str
    noun: str
    correlation: str
    message_id: str
    at: datetime | None
    result: str | None
    errors: tuple[ReplyError, ...]
    ids: tuple[str, ...]  # of the objects a reply is about
    payloads: tuple[Payload, ...]
    is_fault: bool = False

    @property
    def is_reply(self) -> bool:
        """Tell whether it answers something."""
        return self.verb == "reply" or self.result is not None


def read(body: bytes, *, zone: str | None = None) -> Message:
    """Read a message; raises ValueError for anything else."""
    envelope = elements.parse(body)
    if local(envelope) != "Envelope":
        raise ValueError(f"the document's root is {local(envelope)}, not a SOAP Envelope")
    found = elements.child(envelope, "Body")
    if found is None or not len(found):
        raise ValueError("the SOAP Body is missing or empty")
    root = found[0]
    return _fault(root, zone=zone) if local(root) == "Fault" else _message(root, zone=zone)


def failed(error: ReplyError) -> Message:
    """Return the reply that a refusal without a message comes to."""
    return Message(
        root=etree.Element("Fault"),
        verb="reply",
        noun="",
        correlation="",
        message_id="",
        at=None,
        result="FAILED",
        errors=(error,),
        ids=(),
        payloads=(),
        is_fault=True,
    )


def _message(root: etree._Element, *, zone: str | None, is_fault: bool = False) -> Message:
    header, reply = elements.child(root, "Header"), elements.child(root, "Reply")
    if header is None and reply is None:
        raise ValueError(f"{local(root)} has neither Header nor Reply")
    verb = (elements.text(header, "Verb") or ("reply" if reply is not None else "")).lower()
    noun = elements.text(header, "Noun") or ""
    result = elements.text(reply, "Result")
    if reply is not None and result is None:
        result = "FAILED" if local(root).endswith("FaultMessage") else "OK"
    payload = elements.child(root, "Payload")
    return Message(
        root=root,
        verb=verb,
        noun=noun,
        correlation=elements.text(header, "CorrelationID") or "",
        message_id=elements.text(header, "MessageID") or "",
        at=elements.earliest(header, "Timestamp", zone=zone),
        result=result.upper() if result is not None else None,
        errors=tuple(ReplyError.of(each) for each in elements.children(reply, "Error")) if reply is not None else (),
        ids=tuple(_texts(reply, "ID")),
        payloads=tuple(_payloads(payload, verb=verb, noun=noun)) if payload is not None else (),
        is_fault=is_fault or local(root).endswith("FaultMessage"),
    )


def _texts(element: etree._Element | None, name: str) -> Iterator[str]:
    if element is not None:
        yield from (told for each in elements.children(element, name) if (told := elements.text(each)) is not None)


def _fault(root: etree._Element, *, zone: str | None) -> Message:
    """Read a SOAP fault: the FaultMessage in its detail, or one made of what the fault itself says."""
    detail = elements.child(root, "detail")
    if detail is None:
        detail = elements.child(root, "Detail")  # SOAP 1.2
    for each in detail if detail is not None else ():
        if elements.child(each, "Reply") is not None:
            return _message(each, zone=zone, is_fault=True)
    code = elements.text(root, "faultcode") or elements.text(root, "Code", "Value") or ""
    reason = elements.text(root, "faultstring") or elements.text(root, "Reason", "Text") or "a SOAP fault"
    return failed(ReplyError(code=code.rpartition(":")[2], reason=reason))


def _payloads(payload: etree._Element, *, verb: str, noun: str) -> Iterator[Payload]:
    for each in payload:
        if local(each) not in _BESIDE:
            yield Payload(verb, noun or local(each), each)
        elif local(each) == "OperationSet":
            for operation in elements.children(each, "Operation"):
                yield from _of_operation(operation, verb=verb, noun=noun)
        elif local(each) == "Compressed":
            content = elements.parse(_decompressed(each))
            # The element itself, or the whole Payload around it.
            found = list(content) if local(content) == "Payload" else [content]
            yield from (Payload(verb, noun or local(one), one) for one in found)


def _of_operation(operation: etree._Element, *, verb: str, noun: str) -> Iterator[Payload]:
    own_verb = (elements.text(operation, "verb") or verb).lower()
    own_noun = elements.text(operation, "noun") or noun
    for each in operation:
        if local(each) not in ("operationId", "noun", "verb", "elementOperation"):
            yield Payload(own_verb, own_noun or local(each), each)


def _decompressed(element: etree._Element) -> bytes:
    try:
        packed = base64.b64decode("".join((element.text or "").split()), validate=True)
        stream = zlib.decompressobj(_GZIP)
        content = stream.decompress(packed, _MOST_BYTES)
    except (binascii.Error, zlib.error) as error:
        raise ValueError(f"the compressed payload cannot be read: {error}") from error
    if stream.unconsumed_tail:
        raise ValueError(f"the compressed payload has more than {_MOST_BYTES} bytes")
    if not stream.eof:
        raise ValueError("the compressed payload is cut off")
    return content
