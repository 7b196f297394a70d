"""Requests as they go out: a SOAP envelope with a header in the order of IEC 61968-100, and what is asked."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from lxml import etree

from mdus.contracts.envelope import BODY, ENVELOPE, SOAP
from mdus.headends.cim.names import Names, Style
from mdus.headends.cim.payload_writing import stamp

CREATE: Final = "create"
GET: Final = "get"


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """A message to a head end: a payload to be created or changed, or a question with its period or ids.

    With `reply_address` the reply may come there later; without, it is wanted at once.
    """

    verb: str
    noun: str
    element: etree._Element
    correlation: str
    period_from: datetime | None = None
    period_to: datetime | None = None
    ids: tuple[str, ...] = ()
    reply_address: str | None = None


def write(request: Request, *, names: Names, style: Style, source: str, now: datetime) -> bytes:
    """Return the envelope of a request; its MessageID is new, whatever was sent before."""
    envelope = etree.Element(ENVELOPE, nsmap={"soap": SOAP})
    tag = names.root(style, verb=request.verb, noun=request.noun)
    space = etree.QName(tag).namespace
    root = etree.SubElement(etree.SubElement(envelope, BODY), tag, nsmap={"m": names.message, "r": space})
    _header(etree.SubElement(root, f"{{{space}}}Header"), request, names=names, source=source, now=now)
    if request.verb != GET:
        etree.SubElement(root, f"{{{space}}}Payload").append(request.element)
    else:
        asked = etree.SubElement(root, f"{{{space}}}Request")
        # Of a typed question the period is of the wrapper's own type, as the header's frame is.
        within = space if style is Style.TYPED else names.message
        for name, at in (("StartTime", request.period_from), ("EndTime", request.period_to)):
            if at is not None:
                etree.SubElement(asked, f"{{{within}}}{name}").text = stamp(at)
        for each in request.ids:
            etree.SubElement(asked, f"{{{within}}}ID").text = each
        asked.append(request.element)
    return etree.tostring(envelope, xml_declaration=True, encoding="UTF-8")


def new_id() -> str:
    """Return an id that no other message has."""
    return str(uuid.uuid4())


def _header(header: etree._Element, request: Request, *, names: Names, source: str, now: datetime) -> None:
    waits = request.reply_address is not None
    told = {
        "Verb": request.verb,
        "Noun": request.noun,
        "Timestamp": stamp(now),
        "Source": source,
        "AsyncReplyFlag": "true" if waits else "false",
        "ReplyAddress": request.reply_address,
        "AckRequired": "true",
        "MessageID": new_id(),
        "CorrelationID": request.correlation,
    }
    for name, text in told.items():
        if text is not None:
            etree.SubElement(header, f"{{{names.message}}}{name}").text = text
