"""Both sides with meters that tell things, and the words SAP and the head end use for them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from lxml import etree

from mdus.domain.end_device import EndDeviceStatus
from mdus.domain.end_device_event import EndDeviceEvent
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.register import Register
from mdus.domain.value import Remove
from tests.flows.both_sides import SENDER, BothSides, texts

START = datetime(2026, 3, 28, 10, 0, tzinfo=UTC)
METER = "000000000000000042"
POWER_FAILED, POWER_RESTORED, DISCONNECTED = "3.26.0.85", "3.26.0.216", "3.31.0.68"

EVENTS = "UtilitiesSmartMeterEventERPBulkCreateRequest"
CONFIRMED = "UtilitiesSmartMeterEventERPBulkCreateConfirmation"
REGISTERED = "UtilitiesDeviceERPSmartMeterRegisteredBulkNotification"
_CONFIRMED_ITEM = "UtilitiesSmartMeterEventERPCreateConfirmationMessage"
_ITEM = "UtilitiesSmartMeterEventERPCreateRequestMessage/UtilitiesSmartMeterEvent"


@contextmanager
def playing(url: str, folder: Path, *, settings: str = "") -> Iterator[BothSides]:
    """Play both sides, under settings of [events] where a test names some."""
    if settings:
        (folder / "events.toml").write_text(f"[events]\n{settings}\n")
    sides = BothSides(url, folder, now=START)
    yield sides
    sides.close()


def meter(sides: BothSides, device_id: str = METER, *, registered: bool = True) -> None:
    """Store a meter with a register; SAP has been told that it is registered, unless a test says otherwise."""
    sides.meter(device_id)
    if registered:
        status = EndDeviceStatus(
            sender_system=SENDER, device_id=device_id, has_breaker=True, first_heard_at=START, registered_at=START
        )
        sides.save(status)


def register_from(sides: BothSides, day: date) -> None:
    """Let the only register there is begin on a day."""
    [register] = sides.all(Register)
    with sides.database.begin() as uow:
        uow.save([Remove(Register, register.key), replace(register, valid_from=day)])


def alarm(device_id: str = METER, code: str = POWER_FAILED, *, at: str = "2026-03-28T09:58:00Z", **more: Any) -> Any:
    """Return an event as the head end tells it."""
    return {"serial": f"S{device_id}", "event_id": f"e-{device_id}-{code}-{at}", "code": code, "at": at, **more}


def push(sides: BothSides, *alarms: Any, delivery: str = "d-1") -> None:
    """Let the head end push events."""
    sides.push("events", {"delivery_id": delivery, "events": list(alarms)})


def told(sides: BothSides, leaf: str = "ID") -> list[str]:
    """Return what SAP was told in one element of all events, the oldest first."""
    return [text for message in sides.sap.messages(EVENTS) for text in texts(message, f"{_ITEM}/{leaf}")]


def item(message: etree._Element) -> etree._Element:
    """Return the only event of a message."""
    [found] = message.iterfind(_ITEM)
    return found


def confirm(sides: BothSides, code: str, *event_ids: str, item_uuid: str | None = None) -> None:
    """Let SAP confirm events, all with one result code; one alone under the UUID given."""
    note = "" if code == "3" else "<Item><TypeID>001(EV)</TypeID><Note>Event type not customized</Note></Item>"
    log = f"<Log><BusinessDocumentProcessingResultCode>{code}</BusinessDocumentProcessingResultCode>{note}</Log>"
    items = "".join(
        f"<{_CONFIRMED_ITEM}>{_header(sides, item_uuid)}<UtilitiesSmartMeterEvent><ID>{event_id}</ID>"
        f"</UtilitiesSmartMeterEvent>{log}</{_CONFIRMED_ITEM}>"
        for event_id in event_ids
    )
    text = (
        f'<n0:{CONFIRMED} xmlns:n0="http://sap.com/xi/SAPGlobal20/Global">{_header(sides)}{items}{log}</n0:{CONFIRMED}>'
    )
    soap = "http://schemas.xmlsoap.org/soap/envelope/"
    answer = sides.mdus.post(f'<s:Envelope xmlns:s="{soap}"><s:Body>{text}</s:Body></s:Envelope>'.encode())
    assert answer.status_code == 202, answer.text
    sides.rest()


def _header(sides: BothSides, made: str | None = None) -> str:
    return (
        f"<MessageHeader><UUID>{made or uuid.uuid4()}</UUID>"
        f"<CreationDateTime>{sides.clock.now():%Y-%m-%dT%H:%M:%SZ}</CreationDateTime>"
        f"<SenderBusinessSystemID>{SENDER}</SenderBusinessSystemID></MessageHeader>"
    )


def states(sides: BothSides) -> list[str]:
    """Return the state of every event, with the reason where it does not go to SAP."""
    return [f"{one.state}" if one.reason is None else f"{one.state}: {one.reason}" for one in sides.all(EndDeviceEvent)]


def cases(sides: BothSides) -> list[tuple[str, bool]]:
    """Return the kind of every case and whether it is open."""
    return [(case.kind, case.closed_at is None) for case in sides.all(ExceptionCase)]
