"""Steps that several hard cases take, and what they look at afterwards."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from lxml import etree

from mdus.domain.command import CommandKind
from mdus.domain.end_device_event import EndDeviceEvent, LateFailure
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.meter_reading_document import DocumentStatus, MeterReadingDocument
from tests.flows.both_sides import SENDER, BothSides, texts
from tests.flows.hard_cases.sap_messages import CODE, EVENT, EVENTS, METER, READ, TYPE_ID, reading
from tests.flows.intake.messages import envelope, header, new_uuid

#: Saturday noon in Berlin; on the day that follows the clocks go forward.
START = datetime(2026, 3, 28, 10, 0, tzinfo=UTC)
#: The end of that day, when what is scheduled for it is to be read: 23 hours after it began.
MIDNIGHT = datetime(2026, 3, 29, 22, 0, tzinfo=UTC)


def message(root: str, *bodies: str, header_xml: str | None = None, item_headers: tuple[str, ...] = ()) -> bytes:
    """Return a message as bytes that can be sent more than once; a bulk if its root says so."""
    head = header_xml or header(uuid=new_uuid(), sender=SENDER)
    if "Bulk" not in root:
        return envelope(root, head + bodies[0])
    item = root.replace("Bulk", "") + "Message"
    heads = item_headers or tuple(header(uuid=new_uuid(), sender=SENDER) for _ in bodies)
    items = (f"<{item}>{each}{body}</{item}>" for each, body in zip(heads, bodies, strict=True))
    return envelope(root, head + "".join(items))


def take(sides: BothSides, content: bytes) -> None:
    """Post a message; it is accepted."""
    answer = sides.mdus.post(content)
    assert (answer.status_code, answer.content) == (202, b""), answer.text


def carry_out(sides: BothSides, state: str = "disconnected") -> None:
    """Let the head end switch, and tell the position it is asked for."""
    sides.rest()
    sides.clock.move(seconds=20)
    sides.answer(CommandKind.SWITCH, switch_state=state, switched_at=sides.clock.now().isoformat())
    sides.rest()
    sides.clock.move(seconds=20)
    sides.answer(CommandKind.SWITCH_STATE, switch_state=state, switched_at=None)
    sides.rest()


def switches(sides: BothSides) -> list[str]:
    """Return the positions the head end was told to bring about, each as often as it was told."""
    return [order["state"] for order in sides.submitted(CommandKind.SWITCH)]


def answers(sides: BothSides, root: str) -> list[tuple[str, list[str]]]:
    """Return (result code, TypeIDs) of every message of one root that SAP received."""
    return [(texts(found, CODE)[0], texts(found, TYPE_ID)) for found in sides.sap.messages(root)]


def by_document(bulk: etree._Element, path: str) -> dict[str, str]:
    """Return a text of each item of a bulk by the id of its document."""
    return {
        item.findtext("MeterReadingDocument/ID") or "": item.findtext(path) or ""
        for item in bulk
        if item.find("MeterReadingDocument") is not None
    }


def document(sides: BothSides, document_id: str | None = None) -> MeterReadingDocument:
    """Return the one reading order there is, or the one with this id."""
    found: list[Any] = [one for one in sides.all(MeterReadingDocument) if document_id in (None, one.document_id)]
    [one] = found
    assert isinstance(one, MeterReadingDocument)
    return one


def cases(sides: BothSides) -> list[str]:
    """Return the kinds of the open cases."""
    return [case.kind for case in sides.all(ExceptionCase) if case.closed_at is None]


def late_failures(sides: BothSides) -> list[str]:
    """Return what failed when no confirmation could tell it any more; SAP has an event of each."""
    stored = [event.event_type for event in sides.all(EndDeviceEvent) if event.event_type in set(LateFailure)]
    item = f"{EVENT}Message/UtilitiesSmartMeterEvent/ID"
    told = {event_id for found in sides.sap.messages(EVENTS) for event_id in texts(found, item)}
    assert len(told) == len(stored)
    return stored


def read_and_sent(sides: BothSides, body: str | None = None, *, value: str = "12345.679") -> None:
    """Bring one order so far that SAP has its result and has not answered."""
    sides.tell(READ, body or reading())
    sides.clock.instant = MIDNIGHT
    sides.snapshot(MIDNIGHT, (METER, value))
    sides.clock.move(hours=1)
    sides.rest()
    assert document(sides).status is DocumentStatus.RESULT_SENT
