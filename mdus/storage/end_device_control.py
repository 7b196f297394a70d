"""Connection orders per device, and the kill switch: for disconnections and all else that restrains a customer."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Table,
    Text,
    and_,
    cast,
    exists,
    insert,
    or_,
    select,
    text,
)

from mdus.domain.end_device_control import RECONNECT_PATIENCE, ControlCategory, ControlStatus, EndDeviceControl
from mdus.storage.column_types import UtcInstant
from mdus.storage.command import COMMAND
from mdus.storage.mapping import METADATA, Identity64, ValueTable
from mdus.storage.paging import list_index

END_DEVICE_CONTROL = ValueTable(
    EndDeviceControl,
    "end_device_control",
    indexes=[("sender_system", "device_id"), ("item_id",), ("sender_system", "effective_at")],
    constraints=[list_index("end_device_control_listed", "sender_system", "status", always="status <> ''")],
)

#: What every row meets, and the index for lists is for: see `list_index`.
CONTROL_IS_LISTED: Final = "end_device_control.status <> ''"

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


#: The advisory lock between letting disconnections leave (many at once) and stopping them (alone).
_STOPPING: Final = 0x6D64_7573_0001


def is_held_up(now: datetime) -> ColumnElement[bool]:
    """Tell, in a query of commands, whether a switch waits for an earlier order of its meter that is still open.

    One after the other, so that the later one wins: else the head end might begin the two in any order, and a position
    read back could be the other order's work. A disconnection waits until it expires, a reconnection for
    RECONNECT_PATIENCE, then it leaves all the same.
    """
    command, mine, other = COMMAND.table, END_DEVICE_CONTROL.table.alias(), END_DEVICE_CONTROL.table.alias()
    # As `EndDeviceControl.control_key` makes it.
    name = mine.c.sender_system + "/" + mine.c.request_id + "/" + cast(mine.c.category, Text) + "/" + mine.c.device_id
    return exists().where(
        mine.c.sender_system == command.c.sender_system,
        mine.c.device_id == command.c.device_id,
        name == command.c.control_key,
        other.c.sender_system == command.c.sender_system,
        other.c.device_id == command.c.device_id,
        other.c.status == ControlStatus.ORDERED,
        or_(
            other.c.effective_at < mine.c.effective_at,
            and_(other.c.effective_at == mine.c.effective_at, other.c.item_id < mine.c.item_id),
        ),
        or_(mine.c.category == ControlCategory.DISCONNECT, mine.c.effective_at > now - RECONNECT_PATIENCE),
    )


def stop_reason(connection: Connection) -> str | None:
    """Return why disconnections are stopped, or None while they may leave.

    Whoever lets one leave asks in the transaction of the intent: until that ends, nobody can stop them. So once an
    order to stop is stored, every disconnection has either left before or is refused.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock_shared(:key)"), {"key": _STOPPING})
    newest = connection.execute(
        select(SWITCHING_ORDER.c.stopped, SWITCHING_ORDER.c.reason).order_by(SWITCHING_ORDER.c.id.desc()).limit(1)
    ).first()
    return newest.reason if newest is not None and newest.stopped else None


def order_switching(connection: Connection, *, stopped: bool, reason: str, ordered_by: str, at: datetime) -> None:
    """Stop or start disconnections from now on; the row stays as the audit.

    Waits for those who are just letting some leave: SQLite has one writer anyway.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _STOPPING})
    connection.execute(insert(SWITCHING_ORDER).values(stopped=stopped, reason=reason, ordered_by=ordered_by, at=at))
