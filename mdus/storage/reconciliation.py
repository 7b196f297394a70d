"""Where our own rows contradict each other or wait for nothing: each question one statement over all devices."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Connection, and_, func, or_, select, text

from mdus.domain.command import ENDED, CommandKind
from mdus.domain.end_device import SwitchState
from mdus.domain.end_device_control import ControlCategory, ControlStatus
from mdus.domain.meter_reading_document import DocumentStatus
from mdus.domain.reconciliation import Contradiction
from mdus.messaging.status import ItemStatus
from mdus.storage.command import COMMAND
from mdus.storage.end_device_control import END_DEVICE_CONTROL
from mdus.storage.message import ITEM
from mdus.storage.meter_reading_document import METER_READING_DOCUMENT
from mdus.storage.registry import DEVICE_LOCATION, END_DEVICE, END_DEVICE_STATUS, REGISTER

REGISTER_MISSING: Final = "register_missing"
NEVER_HEARD: Final = "device_never_heard"
SILENT: Final = "device_silent"
NEVER_REGISTERED: Final = "device_never_registered"
ORDER_WITHOUT_WORK: Final = "connection_order_without_work"
REPORT_CONTRADICTED: Final = "switch_report_contradicted"
SWITCHED_OUTSIDE_SAP: Final = "switched_outside_sap"
DOCUMENT_OVERDUE: Final = "meter_reading_document_overdue"

KINDS: Final = (
    REGISTER_MISSING,
    NEVER_HEARD,
    SILENT,
    NEVER_REGISTERED,
    ORDER_WITHOUT_WORK,
    REPORT_CONTRADICTED,
    SWITCHED_OUTSIDE_SAP,
    DOCUMENT_OVERDUE,
)

_DEVICE, _STATUS = END_DEVICE.table, END_DEVICE_STATUS.table
_CONTROL, _DOCUMENT = END_DEVICE_CONTROL.table, METER_READING_DOCUMENT.table


def devices_out_of_step(
    connection: Connection, *, day: date, created_before: datetime, heard_before: datetime
) -> Iterator[Contradiction]:
    """Yield valid devices without a register, never heard, silent since `heard_before`, or heard and not registered.

    Devices SAP created after `created_before` are given time; one that was removed and hangs nowhere is in stock, where
    it measures nothing.
    """
    location = DEVICE_LOCATION.table
    has_hung = (
        select(func.max(func.coalesce(location.c.valid_to, date.max)))
        .where(location.c.sender_system == _DEVICE.c.sender_system, location.c.device_id == _DEVICE.c.device_id)
        .scalar_subquery()
    )
    has_register = (
        select(REGISTER.table.c.id)
        .where(
            REGISTER.table.c.sender_system == _DEVICE.c.sender_system,
            REGISTER.table.c.device_id == _DEVICE.c.device_id,
            or_(REGISTER.table.c.valid_to.is_(None), REGISTER.table.c.valid_to > day),
        )
        .exists()
    )
    # With the newest creation left out, a device whose first message is no longer kept counts as old.
    young = select(ITEM.c.id).where(ITEM.c.id == _DEVICE.c.create_item_id, ITEM.c.stored_at > created_before).exists()
    query = (
        select(
            _DEVICE.c.sender_system,
            _DEVICE.c.device_id,
            has_register.label("has_register"),
            _STATUS.c.first_heard_at,
            _STATUS.c.last_heard_at,
            _STATUS.c.registered_at,
        )
        .join(
            _STATUS,
            and_(_STATUS.c.sender_system == _DEVICE.c.sender_system, _STATUS.c.device_id == _DEVICE.c.device_id),
        )
        .where(
            _DEVICE.c.valid_from <= day,
            or_(_DEVICE.c.valid_to.is_(None), _DEVICE.c.valid_to > day),
            ~young,
            or_(has_hung.is_(None), has_hung > day),
            or_(
                ~has_register,
                _STATUS.c.first_heard_at.is_(None),
                _STATUS.c.last_heard_at <= heard_before,
                and_(_STATUS.c.registered_at.is_(None), _STATUS.c.first_heard_at <= created_before),
            ),
        )
    )
    for row in connection.execute(query):
        if not row.has_register:
            kind, note = REGISTER_MISSING, "has no register: SAP has sent none"
        elif row.first_heard_at is None:
            kind, note = NEVER_HEARD, "was never heard by its head end"
        elif row.registered_at is None:
            kind, note = NEVER_REGISTERED, "was heard, but SAP was not told that it is registered"
        else:
            kind, note = SILENT, f"was last heard on {row.last_heard_at:%Y-%m-%d %H:%M} UTC"
        yield Contradiction(
            kind=kind, key=f"{row.sender_system}/{row.device_id}", note=f"device {row.device_id} {note}"
        )


def orders_without_work(connection: Connection) -> Iterator[Contradiction]:
    """Yield connection orders still to be carried out though the item that would do it is closed or dead."""
    query = (
        select(_CONTROL.c.sender_system, _CONTROL.c.request_id, _CONTROL.c.device_id, ITEM.c.status)
        .join(ITEM, ITEM.c.id == _CONTROL.c.item_id)
        .where(
            _CONTROL.c.status == ControlStatus.ORDERED,
            ITEM.c.status.in_([ItemStatus.CLOSED, ItemStatus.DEAD]),
        )
    )
    for row in connection.execute(query):
        yield Contradiction(
            kind=ORDER_WITHOUT_WORK,
            key=f"{row.sender_system}/{row.request_id}/{row.device_id}",
            note=f"connection order {row.request_id}, device {row.device_id}: ordered, but its item is {row.status}",
        )


def reports_contradicted(connection: Connection) -> Iterator[Contradiction]:
    """Yield devices whose breaker stands otherwise than SAP was last told, or as a REST client ordered it."""
    newest = (
        select(
            _CONTROL.c.sender_system,
            _CONTROL.c.device_id,
            _CONTROL.c.category,
            _CONTROL.c.request_id,
            _CONTROL.c.client,
            _CONTROL.c.processed_at,
            func.row_number()
            .over(
                partition_by=(_CONTROL.c.sender_system, _CONTROL.c.device_id),
                order_by=(_CONTROL.c.processed_at.desc(), _CONTROL.c.id.desc()),
            )
            .label("place"),
        )
        .where(_CONTROL.c.reported_success.is_(True), _CONTROL.c.processed_at.is_not(None))
        .subquery()
    )
    told_otherwise = or_(
        and_(newest.c.category == ControlCategory.DISCONNECT, _STATUS.c.switch_state == SwitchState.CONNECTED),
        and_(newest.c.category == ControlCategory.RECONNECT, _STATUS.c.switch_state == SwitchState.DISCONNECTED),
    )
    contradicted = and_(told_otherwise, _STATUS.c.switch_state_at > newest.c.processed_at)
    outside = and_(newest.c.client.is_not(None), ~told_otherwise)
    query = (
        select(newest.c.sender_system, newest.c.device_id, newest.c.request_id, newest.c.client, _STATUS.c.switch_state)
        .join(
            _STATUS,
            and_(_STATUS.c.sender_system == newest.c.sender_system, _STATUS.c.device_id == newest.c.device_id),
        )
        .where(newest.c.place == 1, or_(contradicted, outside))
        .add_columns(contradicted.label("is_contradicted"))
    )
    for row in connection.execute(query):
        if row.is_contradicted:
            kind, why = REPORT_CONTRADICTED, f"{row.client or 'SAP'} was told otherwise for {row.request_id}"
        else:
            kind, why = SWITCHED_OUTSIDE_SAP, f"by order {row.request_id} of {row.client}, not of SAP"
        note = f"device {row.device_id} is {row.switch_state}; {why}"
        yield Contradiction(kind=kind, key=f"{row.sender_system}/{row.device_id}", note=note)


def documents_overdue(connection: Connection, *, before: datetime) -> Iterator[Contradiction]:
    """Yield reading orders whose window closed before an instant and that have neither value nor end.

    Also those whose value has waited as long for its result to be sent.
    """
    ordered = and_(text("meter_reading_document.status = 'ordered'"), _DOCUMENT.c.next_try_at <= before)
    read = and_(text("meter_reading_document.status = 'read'"), _DOCUMENT.c.measured_at <= before)
    query = select(_DOCUMENT.c.sender_system, _DOCUMENT.c.document_id, _DOCUMENT.c.status, _DOCUMENT.c.due_at).where(
        _DOCUMENT.c.window_until <= before, _DOCUMENT.c.due_at <= before, or_(ordered, read)
    )
    for row in connection.execute(query):
        waits = "its value" if row.status is DocumentStatus.ORDERED else "its result to be sent"
        yield Contradiction(
            kind=DOCUMENT_OVERDUE,
            key=f"{row.sender_system}/{row.document_id}",
            note=f"reading order {row.document_id}, due {row.due_at:%Y-%m-%d %H:%M} UTC, still waits for {waits}",
        )


def devices_being_switched(connection: Connection, head_end: str) -> frozenset[tuple[str, str]]:
    """Return the devices of a head end with a switch, or the reading of its outcome, still to end."""
    table = COMMAND.table
    query = select(table.c.sender_system, table.c.device_id).where(
        table.c.head_end == head_end,
        table.c.kind.in_([CommandKind.SWITCH, CommandKind.SWITCH_STATE]),
        table.c.status.not_in([status.value for status in ENDED]),
    )
    return frozenset((row.sender_system, row.device_id) for row in connection.execute(query))


def sizes(connection: Connection) -> dict[str, int]:
    """Return how many devices, registers, connection orders and reading orders were looked at."""
    tables: dict[str, Any] = {
        "devices": _DEVICE,
        "registers": REGISTER.table,
        "connection orders": _CONTROL,
        "reading orders": _DOCUMENT,
    }
    return {
        name: connection.execute(select(func.count()).select_from(table)).scalar_one() for name, table in tables.items()
    }
