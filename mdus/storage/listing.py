"""What REST shows: pages of rows, each beginning beyond the place in the order of the list that the last ended with."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, FromClause, Row, Select, Table, and_, literal_column, select

from mdus.messaging.status import OF_RECEIVED, MessageStatus
from mdus.storage.command import COMMAND
from mdus.storage.device_limit import DEVICE_LIMIT
from mdus.storage.end_device_control import CONTROL_IS_LISTED, END_DEVICE_CONTROL
from mdus.storage.end_device_event import END_DEVICE_EVENT, EVENT_HAS_REASON, EVENT_IS_LISTED
from mdus.storage.facts import CASE_IS_LISTED, CASE_WAS_LISTED, EXCEPTION_CASE
from mdus.storage.job import JOB_RUN
from mdus.storage.load_control_event import LOAD_CONTROL_EVENT, LOAD_CONTROL_IS_LISTED
from mdus.storage.message import BODY, ITEM, MESSAGE, MESSAGE_EVENT, MESSAGE_IS_LISTED
from mdus.storage.meter_reading_document import DOCUMENT_IS_LISTED, METER_READING_DOCUMENT
from mdus.storage.paging import Page, Way, rows_of_page
from mdus.storage.reading import METER_READING
from mdus.storage.registry import (
    DEVICE_LOCATION,
    END_DEVICE,
    END_DEVICE_STATUS,
    LOGICAL_LOCATION,
    REGISTER,
    USAGE_POINT,
)
from mdus.storage.sorting import Sort

#: The items of a message in their order; the index of the message has them so.
BY_POSITION: Final = Sort.by(position=int)

_DEVICE, _STATUS = END_DEVICE.table, END_DEVICE_STATUS.table
_FIELD = [column for column in _STATUS.c if column.name not in ("id", "sender_system", "device_id")]


_BY_DEVICE: Final = Way(columns=("sender_system", "device_id"), narrow=True)
_BY_STATUS: Final = Way(columns=("sender_system", "status"))

_DEVICE_WAYS: Final = (
    Way(columns=("sender_system",)),
    Way(columns=("head_end", "sender_system")),
    _BY_DEVICE,
    Way(columns=("sender_system", "serial_id"), narrow=True),
)
_DOCUMENT_WAYS: Final = (_BY_DEVICE, replace(_BY_STATUS, condition=DOCUMENT_IS_LISTED))
_CONTROL_WAYS: Final = (_BY_DEVICE, replace(_BY_STATUS, condition=CONTROL_IS_LISTED))
_LIMIT_WAYS: Final = (Way(columns=("sender_system",)), _BY_DEVICE)
_LOAD_CONTROL_WAYS: Final = (
    _BY_DEVICE,
    replace(_BY_STATUS, condition=LOAD_CONTROL_IS_LISTED),
    Way(columns=("event_id", "sender_system", "status"), condition=LOAD_CONTROL_IS_LISTED),
)
_EVENT_WAYS: Final = (
    _BY_DEVICE,
    Way(columns=("sender_system", "state"), condition=EVENT_IS_LISTED),
    Way(columns=("event_type", "sender_system", "state"), condition=EVENT_IS_LISTED),
    Way(columns=("reason", "sender_system", "state"), condition=EVENT_HAS_REASON),
    Way(columns=("event_type", "reason", "sender_system", "state"), condition=EVENT_HAS_REASON),
)
_MESSAGE_WAYS: Final = (
    Way(columns=("uuid",), narrow=True),
    Way(columns=("sender_system", "status"), condition=MESSAGE_IS_LISTED),
    Way(columns=("service", "sender_system", "status"), condition=MESSAGE_IS_LISTED),
)
_OPEN_CASE_WAYS: Final = (Way(columns=("kind",), condition=CASE_IS_LISTED),)
_CLOSED_CASE_WAYS: Final = (Way(columns=("kind",), condition=CASE_WAS_LISTED),)
_JOB_WAYS: Final = (Way(columns=("job",)),)


def devices(connection: Connection, page: Page, **filters: Any) -> Sequence[Row[Any]]:
    """Return devices with what is known of them from the field."""
    return _page(connection, _with_status(), _DEVICE, page, filters, _DEVICE_WAYS)


def device(connection: Connection, sender_system: str, device_id: str) -> Row[Any] | None:
    """Return one device with what is known of it from the field."""
    return connection.execute(
        _with_status().where(_DEVICE.c.sender_system == sender_system, _DEVICE.c.device_id == device_id)
    ).first()


def parts_of_device(connection: Connection, sender_system: str, device_id: str) -> dict[str, Sequence[Row[Any]]]:
    """Return the registers, locations and usage points of a device, each in the order of their spans."""
    tables = {
        "registers": REGISTER.table,
        "locations": DEVICE_LOCATION.table,
        "logical_locations": LOGICAL_LOCATION.table,
        "usage_points": USAGE_POINT.table,
    }
    return {
        name: connection.execute(
            select(table)
            .where(table.c.sender_system == sender_system, table.c.device_id == device_id)
            .order_by(table.c.valid_from, table.c.id)
        ).all()
        for name, table in tables.items()
    }


def reading_documents(connection: Connection, page: Page, **filters: Any) -> Sequence[Row[Any]]:
    """Return meter reading documents."""
    table = METER_READING_DOCUMENT.table
    return _page(connection, select(table), table, page, filters, _DOCUMENT_WAYS)


def connection_controls(connection: Connection, page: Page, **filters: Any) -> Sequence[Row[Any]]:
    """Return the devices of connection orders."""
    table = END_DEVICE_CONTROL.table
    return _page(connection, select(table), table, page, filters, _CONTROL_WAYS)


def demand_limits(connection: Connection, page: Page, **filters: Any) -> Sequence[Row[Any]]:
    """Return the demand limits that meters have confirmed, or may have."""
    table = DEVICE_LIMIT.table
    return _page(connection, select(table), table, page, filters, _LIMIT_WAYS)


def load_control_events(connection: Connection, page: Page, **filters: Any) -> Sequence[Row[Any]]:
    """Return load control events at devices."""
    table = LOAD_CONTROL_EVENT.table
    return _page(connection, select(table), table, page, filters, _LOAD_CONTROL_WAYS)


def device_events(connection: Connection, page: Page, **filters: Any) -> Sequence[Row[Any]]:
    """Return events of devices and of MDUS itself."""
    table = END_DEVICE_EVENT.table
    return _page(connection, select(table), table, page, filters, _EVENT_WAYS)


def readings(connection: Connection, page: Page, **filters: Any) -> Sequence[Row[Any]]:
    """Return register readings; the filters name a device."""
    return _page(connection, select(METER_READING.table), METER_READING.table, page, filters, [_BY_DEVICE])


def commands(connection: Connection, page: Page, **filters: Any) -> Sequence[Row[Any]]:
    """Return commands to head ends; the filters name a device."""
    return _page(connection, select(COMMAND.table), COMMAND.table, page, filters, [_BY_DEVICE])


def job_runs(connection: Connection, page: Page, **filters: Any) -> Sequence[Row[Any]]:
    """Return runs of scheduled jobs."""
    return _page(connection, select(JOB_RUN), JOB_RUN, page, filters, _JOB_WAYS)


def messages(connection: Connection, page: Page, *, direction: str | None = None, **filters: Any) -> Sequence[Row[Any]]:
    """Return messages of both directions, or of one (`in` or `out`), without their items."""
    wanted = page.wanted(MESSAGE, filters)
    if direction is not None:
        # A status is of one direction only, so no index need hold the direction.
        its_own = OF_RECEIVED if direction == "in" else set(MessageStatus) - OF_RECEIVED
        wanted["status"] = its_own & set(wanted.get("status", its_own))
    return rows_of_page(connection, select(MESSAGE), MESSAGE, page, wanted, _MESSAGE_WAYS)


def message(connection: Connection, message_id: int) -> Row[Any] | None:
    """Return one message."""
    return connection.execute(select(MESSAGE).where(MESSAGE.c.id == message_id)).first()


def items(connection: Connection, message_id: int, page: Page, **filters: Any) -> Sequence[Row[Any]]:
    """Return items of a message, in the order of their positions or its reverse."""
    wanted = {"message_id": {message_id}, **page.wanted(ITEM, filters)}
    return rows_of_page(connection, select(ITEM), ITEM, page, wanted, ())


def events(connection: Connection, message_id: int, *, limit: int) -> Sequence[Row[Any]]:
    """Return what happened to a message itself, oldest first."""
    return connection.execute(
        select(MESSAGE_EVENT)
        .where(MESSAGE_EVENT.c.message_id == message_id, MESSAGE_EVENT.c.item_id.is_(None))
        .order_by(MESSAGE_EVENT.c.id)
        .limit(limit)
    ).all()


def raw_body(connection: Connection, message_id: int) -> bytes | None:
    """Return the bytes of a message as they came or went, None when they are not kept (any more)."""
    query = select(BODY.c.data).join(MESSAGE, MESSAGE.c.content_hash == BODY.c.content_hash)
    data = connection.execute(query.where(MESSAGE.c.id == message_id)).scalar()
    return zlib.decompress(data) if data else None


def exception_cases(connection: Connection, page: Page, *, is_open: bool, **filters: Any) -> Sequence[Row[Any]]:
    """Return exception cases, those that are open or those that are closed; members stand behind their group."""
    table = EXCEPTION_CASE.table
    ways = _OPEN_CASE_WAYS if is_open else _CLOSED_CASE_WAYS
    wanted: ColumnElement[bool] = literal_column(CASE_IS_LISTED if is_open else CASE_WAS_LISTED)
    return _page(connection, select(table).where(wanted), table, page, filters, ways)


def _with_status() -> Select[Any]:
    joined: FromClause = _DEVICE.outerjoin(
        _STATUS,
        and_(_STATUS.c.sender_system == _DEVICE.c.sender_system, _STATUS.c.device_id == _DEVICE.c.device_id),
    )
    return select(_DEVICE, *_FIELD).select_from(joined)


def _page(
    connection: Connection,
    query: Select[Any],
    table: Table,
    page: Page,
    filters: Mapping[str, Any],
    ways: Sequence[Way],
) -> Sequence[Row[Any]]:
    return rows_of_page(connection, query, table, page, page.wanted(table, filters), ways)
