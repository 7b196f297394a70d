"""Orders to tell SAP again that devices are registered."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Index,
    Integer,
    bindparam,
    func,
    insert,
    literal,
    literal_column,
    select,
    text,
)

from mdus.domain.end_device import RegistrationResend
from mdus.storage.column_types import UtcInstant
from mdus.storage.mapping import ValueTable
from mdus.storage.registry import END_DEVICE, END_DEVICE_STATUS

REGISTRATION_RESEND = ValueTable(
    RegistrationResend,
    "registration_resend",
    constraints=[
        Index(
            "registration_resend_due",
            "id",
            sqlite_where=text("sent_at IS NULL"),
            postgresql_where=text("sent_at IS NULL"),
        )
    ],
)

_TABLE = REGISTRATION_RESEND.table

# Written out, because SQLite uses a partial index only where the query says the very words of the index.
_IS_DUE: ColumnElement[bool] = literal_column("registration_resend.sent_at IS NULL")

#: Asked so often that making it anew costs more than its answer.
_DUE: Final = (
    REGISTRATION_RESEND.select()
    .where(_IS_DUE)
    .order_by(_TABLE.c.id)
    .limit(bindparam("most", type_=Integer))
    .with_for_update(skip_locked=True)
)


def order_resends(
    connection: Connection, which: Mapping[str, str], *, reason: str, ordered_by: str, at: datetime
) -> int:
    """Order the notification again of all registered devices with these attributes; returns of how many.

    Devices of which it is ordered already are left as they are.
    """
    device, status, earlier = END_DEVICE.table, END_DEVICE_STATUS.table, _TABLE.alias()
    is_earlier = (earlier.c.sender_system == device.c.sender_system) & (earlier.c.device_id == device.c.device_id)
    newest = select(func.max(earlier.c.attempt)).where(is_earlier).scalar_subquery()
    is_ordered = select(earlier.c.id).where(is_earlier, earlier.c.sent_at.is_(None)).exists()
    devices = (
        select(
            device.c.sender_system,
            device.c.device_id,
            func.coalesce(newest, 1) + 1,
            literal(reason),
            literal(ordered_by),
            literal(at, UtcInstant()),
        )
        .join(status, (status.c.sender_system == device.c.sender_system) & (status.c.device_id == device.c.device_id))
        .where(
            status.c.registered_at.is_not(None),
            ~is_ordered,
            *(device.c[name] == value for name, value in which.items()),
        )
        .order_by(device.c.id)
    )
    names = ["sender_system", "device_id", "attempt", "reason", "ordered_by", "ordered_at"]
    # Asked for: of an INSERT the drivers otherwise count nothing.
    ordered = insert(_TABLE).from_select(names, devices).execution_options(preserve_rowcount=True)
    return connection.execute(ordered).rowcount


def due_resends(connection: Connection, *, limit: int) -> list[RegistrationResend]:
    """Claim orders whose notification is still to be sent, oldest first, until the transaction ends."""
    return REGISTRATION_RESEND.fetch(connection, _DUE, {"most": limit})
