"""The registry: devices, their status in the field, registers, locations, usage points."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Index, Integer, bindparam, case, func, or_, select, text, update

from mdus.domain.end_device import EndDevice, EndDeviceStatus, SwitchState
from mdus.domain.register import Register
from mdus.domain.usage_point import DeviceLocation, LogicalLocation, UsagePoint
from mdus.messaging.status import MessageStatus
from mdus.storage.column_types import UtcInstant
from mdus.storage.keys import among
from mdus.storage.mapping import ValueTable
from mdus.storage.message import ITEM, MESSAGE
from mdus.storage.rows import insert_alike, update_rows

END_DEVICE = ValueTable(
    EndDevice,
    "end_device",
    indexes=[("sender_system", "serial_id")],
    constraints=[
        Index("end_device_head_end_serial_id", "head_end", "serial_id", unique=True),
        Index("end_device_listed", "sender_system", "id"),
        Index("end_device_listed_head_end", "head_end", "sender_system", "id"),
    ],
)
END_DEVICE_STATUS = ValueTable(
    EndDeviceStatus,
    "end_device_status",
    constraints=[
        # The devices whose registered notification is still to come: empty in a settled landscape.
        Index(
            "end_device_status_unregistered",
            "sender_system",
            "device_id",
            sqlite_where=text("registered_at IS NULL"),
            postgresql_where=text("registered_at IS NULL"),
        )
    ],
)
REGISTER = ValueTable(
    Register,
    "register",
    indexes=[
        ("sender_system", "measurement_task_id", "id"),
        # For lists: each filter, and the order in which the rows are listed.
        ("sender_system", "id"),
        ("device_id",),
        ("measurement_task_id",),
        ("reading_type", "id"),
        ("valid_from", "id"),
    ],
)
DEVICE_LOCATION = ValueTable(
    DeviceLocation,
    "device_location",
    indexes=[
        ("sender_system", "id"),
        ("device_id",),
        ("installation_point_id",),
        ("valid_from", "id"),
        # What the area of a device may be: meters around another are found by it. With the sender system, without which
        # SQLite would go by an index that begins with that.
        ("postal_code", "sender_system"),
        ("parent_installation_point_id", "sender_system"),
    ],
)
LOGICAL_LOCATION = ValueTable(LogicalLocation, "logical_location")
USAGE_POINT = ValueTable(
    UsagePoint,
    "usage_point",
    indexes=[("point_of_delivery_id",), ("sender_system", "point_of_delivery_id"), ("device_id",)],
)


#: What becomes of the stored instants when a meter communicated: an empty one always gives way.
_HEARD: Final = {
    "first_heard_at": "CASE WHEN end_device_status.first_heard_at <= excluded.first_heard_at"
    " THEN end_device_status.first_heard_at ELSE excluded.first_heard_at END",
    "last_heard_at": "CASE WHEN end_device_status.last_heard_at >= excluded.last_heard_at"
    " THEN end_device_status.last_heard_at ELSE excluded.last_heard_at END",
}


class KnownDevice(NamedTuple):
    """Who a device is to us that a head end knows by its serial number."""

    sender_system: str
    device_id: str
    head_end: str


def devices_by_serial(connection: Connection, *, head_end: str, serials: Collection[str]) -> dict[str, KnownDevice]:
    """Return the devices a head end knows under these serial numbers."""
    device = END_DEVICE.table
    is_one = among(connection, [device.c.head_end, device.c.serial_id], [(head_end, serial) for serial in serials])
    query = select(device.c.serial_id, device.c.sender_system, device.c.device_id).where(is_one)
    return {row[0]: KnownDevice(row[1], row[2], head_end) for row in connection.execute(query).all()}


def note_heard(connection: Connection, heard: Mapping[tuple[str, str], tuple[datetime, datetime]]) -> None:
    """Record that meters communicated: by (sender system, device id), the first and the last instant told.

    The stored first instant only moves back, the last only forward, so deliveries may come in any order.
    """
    insert_alike(
        connection,
        END_DEVICE_STATUS.table,
        ("sender_system", "device_id", "first_heard_at", "last_heard_at", "switch_state"),
        [(*device, first, last, SwitchState.UNKNOWN) for device, (first, last) in heard.items()],
        key=EndDeviceStatus.KEY,
        merged=_HEARD,
    )


def note_provisioned(connection: Connection, provisioned: Mapping[tuple[str, str], datetime]) -> None:
    """Record that head ends took these devices over: by (sender system, device id), the newest instant counts."""
    if not provisioned:
        return
    table = END_DEVICE_STATUS.table
    connection.execute(
        update(table)
        .where(table.c.sender_system == bindparam("b_sender"), table.c.device_id == bindparam("b_device"))
        .values(provisioned_at=bindparam("b_at", type_=UtcInstant())),
        [{"b_sender": sender, "b_device": device, "b_at": at} for (sender, device), at in provisioned.items()],
    )


def note_breakers(connection: Connection, breakers: Mapping[tuple[str, str], bool]) -> None:
    """Record whether devices have a breaker: by (sender system, device id)."""
    if not breakers:
        return
    table = END_DEVICE_STATUS.table
    connection.execute(
        update(table)
        .where(
            table.c.sender_system == bindparam("b_sender"),
            table.c.device_id == bindparam("b_device"),
            table.c.has_breaker.is_distinct_from(bindparam("b_has", type_=table.c.has_breaker.type)),
        )
        .values(has_breaker=bindparam("b_has", type_=table.c.has_breaker.type)),
        [{"b_sender": sender, "b_device": device, "b_has": has} for (sender, device), has in breakers.items()],
    )


#: A head end's own record of a meter: whose it is, multipliers that are not ours, how far its clock is ahead.
MeterRecord = tuple[str | None, tuple[tuple[str, str], ...] | None, Decimal | None]


def note_told(connection: Connection, told: Mapping[tuple[str, str], MeterRecord], *, at: datetime) -> None:
    """Record what head ends told of devices in their own registries: by (sender system, device id)."""
    rows = [(at, *record, *device) for device, record in told.items()]
    columns = ("told_at", "told_device_id", "told_factors", "clock_offset_seconds")
    update_rows(connection, END_DEVICE_STATUS.table, columns, rows, by=EndDeviceStatus.KEY)


def note_switch_states(
    connection: Connection, states: Sequence[tuple[str, str, SwitchState, datetime, bool | None]]
) -> None:
    """Record breaker positions: (sender system, device id, state, when, has a breaker); older news is ignored."""
    _note(
        connection,
        [
            {"b_sender": sender, "b_device": device, "b_state": state, "b_at": at, "b_breaker": breaker}
            for sender, device, state, at, breaker in states
        ],
    )


def _note(connection: Connection, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    table = END_DEVICE_STATUS.table
    at = bindparam("b_at", type_=UtcInstant())
    newer = or_(table.c.switch_state_at.is_(None), table.c.switch_state_at <= at)
    connection.execute(
        update(table)
        .where(table.c.sender_system == bindparam("b_sender"), table.c.device_id == bindparam("b_device"))
        .values(
            switch_state=case(
                (newer, bindparam("b_state", type_=table.c.switch_state.type)), else_=table.c.switch_state
            ),
            switch_state_at=case((newer, at), else_=table.c.switch_state_at),
            has_breaker=func.coalesce(bindparam("b_breaker", type_=table.c.has_breaker.type), table.c.has_breaker),
        ),
        rows,
    )


def unregistered(connection: Connection, *, day: date, needs_register: bool, limit: int) -> list[EndDeviceStatus]:
    """Claim devices heard in the field whose registered notification is due, until the transaction ends.

    SAP has the confirmation of the device's creation by then; an imported one it has anyway. With `needs_register` the
    device also has a register that has not ended before `day`.
    """
    parameters = {"day": day, "most": limit} if needs_register else {"most": limit}
    return END_DEVICE_STATUS.fetch(connection, _unregistered(needs_register), parameters)


@cache
def _unregistered(needs_register: bool) -> Any:
    """Return the query of `unregistered`; it is asked so often that making it anew costs more than its answer."""
    table, device, register, confirmation = END_DEVICE_STATUS.table, END_DEVICE.table, REGISTER.table, MESSAGE.alias()
    confirmed = (
        select(ITEM.c.id)
        .outerjoin(confirmation, confirmation.c.id == ITEM.c.confirmation_id)
        .where(
            ITEM.c.id == device.c.create_item_id,
            or_(ITEM.c.silent, confirmation.c.status.in_([MessageStatus.DELIVERED, MessageStatus.CONFIRMED])),
        )
        .exists()
    )
    known_to_sap = (
        select(device.c.id)
        .where(
            device.c.sender_system == table.c.sender_system,
            device.c.device_id == table.c.device_id,
            or_(device.c.create_item_id.is_(None), confirmed),
        )
        .exists()
    )
    query = END_DEVICE_STATUS.select().where(
        table.c.registered_at.is_(None), table.c.first_heard_at.is_not(None), known_to_sap
    )
    if needs_register:
        has_register = (
            select(register.c.id)
            .where(
                register.c.sender_system == table.c.sender_system,
                register.c.device_id == table.c.device_id,
                or_(register.c.valid_to.is_(None), register.c.valid_to > bindparam("day")),
            )
            .exists()
        )
        query = query.where(has_register)
    most = bindparam("most", type_=Integer)
    return query.order_by(table.c.id).limit(most).with_for_update(skip_locked=True, of=table)
