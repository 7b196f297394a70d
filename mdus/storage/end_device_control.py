"""Connection orders per device, and the kill switch for disconnections."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Boolean, Column, Connection, Table, Text, insert, select

from mdus.domain.end_device_control import EndDeviceControl
from mdus.storage.column_types import UtcInstant
from mdus.storage.mapping import METADATA, Identity64, ValueTable

END_DEVICE_CONTROL = ValueTable(
    EndDeviceControl, "end_device_control", indexes=[("sender_system", "device_id"), ("item_id",)]
)

#: Every order to stop or start disconnections, as an audit; the newest row counts.
SWITCHING_ORDER = Table(
    "switching_order",
    METADATA,
    Column("id", Identity64, primary_key=True, autoincrement=True),
    Column("stopped", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("ordered_by", Text, nullable=False),
    Column("at", UtcInstant, nullable=False),
)


def stop_reason(connection: Connection) -> str | None:
    """Return why disconnections are stopped, or None while they may leave."""
    newest = connection.execute(
        select(SWITCHING_ORDER.c.stopped, SWITCHING_ORDER.c.reason).order_by(SWITCHING_ORDER.c.id.desc()).limit(1)
    ).first()
    return newest.reason if newest is not None and newest.stopped else None


def order_switching(connection: Connection, *, stopped: bool, reason: str, ordered_by: str, at: datetime) -> None:
    """Stop or start disconnections from now on; the row stays as the audit."""
    connection.execute(insert(SWITCHING_ORDER).values(stopped=stopped, reason=reason, ordered_by=ordered_by, at=at))
