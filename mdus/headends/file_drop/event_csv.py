"""The neutral event file (docs/head_ends/file_drop.md): what devices told, a row each, under the names of the sender.

Columns used: `device` (serial number), `event` (its name, or an IEC 61968-9 code d.d.d.d) and `event_at`; the others,
where they are there, go along with the event. A name that config/field_events.toml does not explain is told as an event
that is not mapped, and so is what a device tells that is no meter.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mdus.domain.event_map import EventMap, event_code
from mdus.domain.head_end import FieldAlarm, FieldEvent, Unmapped
from mdus.headends.file_drop.rows import Row, events_of

NEEDED: Final = ("device", "event", "event_at")

#: Columns that go along with an event, in the order of the file.
_ALONG: Final = (
    "transaction",
    "service_location",
    "module_serial",
    "category",
    "severity",
    "status",
    "status_at",
)

#: The scheme of names of events, in config/field_events.toml.
_SCHEME: Final = "name"

_METER: Final = "meter"


def decode(body: bytes, events: EventMap) -> Iterator[FieldEvent]:
    """Yield the events of a body, and each row that cannot be read; raises ValueError without its header."""
    return events_of(body, NEEDED, lambda row: (_event(row, events),))


def _event(row: Row, events: EventMap) -> FieldEvent:
    serial_id, name, at = row.text("device"), row.text("event"), row.needed_instant("event_at")
    device_type = row.optional("device_type") or _METER
    is_meter = device_type.lower() == _METER
    event_type = (events.by_iec(name, at=at) or events.find(_SCHEME, name, at=at)) if is_meter else None
    if event_type is None:
        return Unmapped(
            serial_id=serial_id,
            source="event",
            code=event_code(_SCHEME, name),
            at=at,
            value=row.optional("status"),
            text=None if is_meter else device_type,
        )
    told = ((column, row.optional(column)) for column in _ALONG)
    return FieldAlarm(
        serial_id=serial_id,
        event_type=event_type,
        at=at,
        source_id=None,  # a transaction is of a file, and has many events
        text=name,
        properties=tuple((column, text) for column, text in told if text is not None),
    )
