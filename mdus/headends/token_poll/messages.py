"""Messages of the head end: what stands before the data in an answer or a push, read without reading the data.

```
<any root of ours, in a SOAP Body>
  RequestToken, CallerReference, Operation, Status
  Endpoints/Endpoint                 what became of each meter
    ElectronicSerialNumber, Outcome, Code, Text, CompletedWhen, SwitchState, SwitchedWhen, LoadSideVoltage
  MeterException                     what a meter tells of itself; as many as there are
    ElectronicSerialNumber, ReceivedWhen, ExceptionCategory, Name, ID, Timestamp, SequenceNumber
    Arguments/Argument@Name
  Data/MeterReadingDocument          last
```
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from lxml import etree

from mdus.contracts.meter_reading_document import ROOT as DOCUMENT
from mdus.contracts.meter_reading_document import line_of
from mdus.contracts.printable import printable

_HEAD: Final = ("RequestToken", "CallerReference", "Operation", "Status")
_LISTED: Final = ("Endpoint", "MeterException")
_WATCHED: Final = [f"{{*}}{name}" for name in (*_HEAD, *_LISTED, "Body", DOCUMENT)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """An entry of a list in a message: its line there, its texts by name, and its arguments."""

    line: int
    texts: dict[str, str]
    arguments: tuple[tuple[str, str], ...] = ()

    def optional(self, name: str) -> str | None:
        """Return a text, None where there is none."""
        return self.texts.get(name) or None

    def text(self, name: str) -> str:
        """Return a text that must be there."""
        text = self.texts.get(name)
        if not text:
            raise ValueError(f"{name} is missing")
        return text

    def optional_instant(self, name: str) -> datetime | None:
        """Return an instant in UTC that may be missing."""
        text = self.texts.get(name)
        if not text:
            return None
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            raise ValueError(f"{name} is {text!r}, not an instant") from None
        if at.tzinfo is None:
            raise ValueError(f"{name} is {text!r}, an instant without zone")
        try:
            return at.astimezone(UTC)
        except OverflowError:
            raise ValueError(f"{name} is {text!r}, beyond the calendar") from None

    def instant(self, name: str) -> datetime:
        """Return an instant in UTC that must be there."""
        at = self.optional_instant(name)
        if at is None:
            raise ValueError(f"{name} is missing")
        return at


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """A message as far as its data: `name` is its root's."""

    name: str
    token: str | None = None
    reference: str | None = None
    operation: str | None = None
    status: str | None = None
    endpoints: tuple[Entry, ...] = ()
    exceptions: tuple[Entry, ...] = ()
    has_data: bool = False


@dataclass(slots=True)
class _Collected:
    head: dict[str, str] = field(default_factory=dict)
    lists: dict[str, list[Entry]] = field(default_factory=lambda: {name: [] for name in _LISTED})
    has_data: bool = False


def read(body: bytes) -> Message:
    """Read a message; what follows on the beginning of its data is not looked at. Raises ValueError."""
    found = _Collected()
    events = etree.iterparse(
        io.BytesIO(body),
        events=("start", "end"),
        tag=_WATCHED,
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=True,
        remove_comments=True,
        remove_pis=True,
    )
    root = None
    try:
        for event, element in events:
            root = element.getroottree().getroot() if root is None else root
            name = etree.QName(element).localname
            if event == "start" and name == DOCUMENT:
                found.has_data = True
                break
            if event == "end":
                _collect(found, name, element)
    except etree.XMLSyntaxError as error:
        raise ValueError(f"the body is no XML: {error.msg}") from error
    root = events.root if root is None else root
    if root is None or root.getroottree().docinfo.internalDTD is not None:
        raise ValueError("a message without document type declaration is expected")
    return Message(
        name=_name(root),
        token=found.head.get("RequestToken"),
        reference=found.head.get("CallerReference"),
        operation=found.head.get("Operation"),
        status=found.head.get("Status"),
        endpoints=tuple(found.lists["Endpoint"]),
        exceptions=tuple(found.lists["MeterException"]),
        has_data=found.has_data,
    )


def _collect(found: _Collected, name: str, element: etree._Element) -> None:
    if name in _HEAD:
        text = _text(element)
        if text:
            found.head.setdefault(name, text)
    elif name in _LISTED:
        texts = {etree.QName(child).localname: _text(child) for child in element}
        arguments = tuple(
            (printable(argument.get("Name", "")), _text(argument))
            for argument in element.iterfind("{*}Arguments/{*}Argument")
        )
        found.lists[name].append(Entry(line=line_of(element), texts=texts, arguments=arguments))
        element.clear()


def _text(element: etree._Element) -> str:
    return printable((element.text or "").strip())


def _name(root: etree._Element) -> str:
    """Return the name of the message in an envelope, or of a message that comes without one."""
    if etree.QName(root).localname != "Envelope":
        return str(etree.QName(root).localname)
    messages = [message for body in root.iterfind("{*}Body") for message in body]
    if not messages:
        raise ValueError("the SOAP Body is empty")
    return str(etree.QName(messages[0]).localname)
