"""Load control events, one row per event and device."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, Index, text

from mdus.domain.load_control_event import LONGEST_MINUTES, LoadControlEvent
from mdus.storage.mapping import ValueTable
from mdus.storage.paging import list_index

_IS_LISTED: Final = "status <> ''"

LOAD_CONTROL_EVENT = ValueTable(
    LoadControlEvent,
    "load_control_event",
    indexes=[("sender_system", "device_id", "start_at")],
    constraints=[
        Index(
            "load_control_event_past",
            "start_at",
            sqlite_where=text("settled_at IS NOT NULL"),
            postgresql_where=text("settled_at IS NOT NULL"),
        ),
        list_index("load_control_event_listed", "sender_system", "status", always=_IS_LISTED),
        list_index("load_control_event_listed_event", "event_id", "sender_system", "status", always=_IS_LISTED),
    ],
)

#: What every row meets, and the indexes for lists are for: see `list_index`.
LOAD_CONTROL_IS_LISTED: Final = f"load_control_event.{_IS_LISTED}"

_TABLE = LOAD_CONTROL_EVENT.table


def events_of_device(
    connection: Connection, sender_system: str, device_id: str, *, now: datetime
) -> Sequence[LoadControlEvent]:
    """Return the events of a device that are not over, those that begin first leading."""
    since = now - timedelta(minutes=LONGEST_MINUTES)
    query = (
        LOAD_CONTROL_EVENT.select()
        .where(_TABLE.c.sender_system == sender_system, _TABLE.c.device_id == device_id, _TABLE.c.start_at > since)
        .order_by(_TABLE.c.start_at, _TABLE.c.id)
    )
    return [event for event in LOAD_CONTROL_EVENT.fetch(connection, query) if event.ends_at > now]
