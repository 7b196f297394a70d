"""A domain event: a row written with the changes that caused it, consumed once per service."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from mdus.domain.value import Value


@dataclass(frozen=True, kw_only=True, slots=True)
class DomainEvent(Value):
    """Something that happened to an aggregate at an instant; `note` says it for people."""

    KEY: ClassVar[tuple[str, ...]] = ("event_id",)

    event_id: str
    type: str
    sender_system: str
    aggregate: str
    at: datetime
    note: str = ""


def event_id(*, device: str, event_type: str, at: datetime, source: str) -> str:
    """Return the stable id of an event: 22 characters of base32 SHA-256 over device, type, instant and source."""
    digest = hashlib.sha256("\x1f".join((device, event_type, at.isoformat(), source)).encode()).digest()
    return base64.b32encode(digest).decode()[:22]


#: A smart meter event is due to SAP: stored with an open case until the event service sends it.
SMART_METER_EVENT_DUE = "smart_meter_event_due"


def smart_meter_event(*, sender_system: str, device_id: str, at: datetime, source: str, note: str) -> DomainEvent:
    """Return the event by which a late failure reaches SAP (SAP accepts only one confirmation per request)."""
    return DomainEvent(
        event_id=event_id(device=device_id, event_type=SMART_METER_EVENT_DUE, at=at, source=source),
        type=SMART_METER_EVENT_DUE,
        sender_system=sender_system,
        aggregate=f"device/{device_id}",
        at=at,
        note=note,
    )
