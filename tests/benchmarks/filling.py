"""A database as it is after months: devices, messages, items, orders, commands, readings, made by sets of SQL.

Row `n` of every table is the same on both databases and in every run. Of each five messages four are of the first
sender system, and all but a few are through: the rare ones, such as those given up, are what people look for.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Connection, Index, and_, text, update

from mdus.domain.access import Role
from mdus.storage.access_token import make_token
from mdus.storage.audit import AUDIT
from mdus.storage.command import COMMAND, COMMAND_INTENT, HEAD_END_DELIVERY
from mdus.storage.end_device_control import END_DEVICE_CONTROL
from mdus.storage.end_device_event import END_DEVICE_EVENT
from mdus.storage.facts import EXCEPTION_CASE
from mdus.storage.job import JOB_RUN
from mdus.storage.mapping import METADATA
from mdus.storage.message import MESSAGE, MESSAGE_EVENT
from mdus.storage.meter_reading_document import METER_READING_DOCUMENT
from mdus.storage.news import NEWS, Topic
from mdus.storage.reading import METER_READING
from mdus.storage.registry import (
    DEVICE_LOCATION,
    END_DEVICE,
    END_DEVICE_STATUS,
    LOGICAL_LOCATION,
    REGISTER,
    USAGE_POINT,
)
from mdus.storage.rows import insert_rows
from mdus.storage.session import Database
from mdus.storage.unmapped import UNMAPPED_VALUE
from tests.benchmarks.filled_messages import fill_items, fill_messages
from tests.benchmarks.filled_rows import (
    SMALL_HEAD_END,
    Filling,
    Size,
    case,
    device_of_document,
    system_of,
    system_of_row,
)
from tests.benchmarks.landscape import Store
from tests.benchmarks.orders import AMS, HEAD_END, OBIS

#: A REST client, and how many news there are for it and others.
CLIENT: Final = "rest:portal"
_NEWS: Final = 200_000


def fill(store: Store, size: Size) -> None:
    """This will fill an empty, migrated database and let it gather its statistics."""
    database = Database(store.url)
    try:
        with database.begin() as uow:
            indexes = [index for table in METADATA.tables.values() for index in table.indexes]
            for index in indexes:
                index.drop(uow.connection)
            _fill(Filling(uow.connection), size)
            _make(uow.connection, indexes)
        if not database.is_sqlite:
            with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text("VACUUM ANALYZE"))
    finally:
        database.close()


def _make(connection: Connection, indexes: list[Index]) -> None:
    for index in indexes:
        index.create(connection)


def _fill(rows: Filling, size: Size) -> None:
    _fill_registry(rows, size)
    fill_messages(rows, size)
    fill_items(rows, size)
    _fill_orders(rows, size)
    _fill_field(rows, size)
    _fill_operation(rows, size)


def _fill_registry(rows: Filling, size: Size) -> None:
    device = {"sender_system": system_of_row("n"), "device_id": rows.padded("n", 18)}
    spanned = {**device, "valid_from": "'2020-01-01'"}
    if not rows.is_sqlite:
        spanned["valid_from"] = "DATE '2020-01-01'"
    head_end = case("n % 1000", ("= 7", f"'{SMALL_HEAD_END}'"), ("= 8", "NULL"), otherwise=f"'{HEAD_END}'")
    task = rows.padded("n", 18)
    rows.insert(
        END_DEVICE.table,
        size.devices,
        {
            **spanned,
            "serial_id": rows.padded("n", 10),
            "material_id": "'METER-E'",
            "ams_id": f"'{AMS}'",
            "head_end": head_end,
        },
    )
    rows.insert(
        END_DEVICE_STATUS.table,
        size.devices,
        {
            **device,
            "provisioned_at": rows.at("n"),
            "first_heard_at": rows.at("n"),
            "last_heard_at": rows.at("n + 86400"),
            "registered_at": case("n % 1000", ("= 9", "NULL"), otherwise=rows.at("n")),
            "has_breaker": "true",
            "switch_state": "'connected'",
        },
    )
    rows.insert(
        REGISTER.table,
        size.devices,
        {
            **spanned,
            "measurement_task_id": task,
            "reading_type": f"'{OBIS}'",
            "obis_text": f"'{OBIS}'",
            "unit": "'KWH'",
            "total_digits": "8",
            "fraction_digits": "2",
        },
    )
    rows.insert(
        DEVICE_LOCATION.table,
        size.devices,
        {
            **spanned,
            "installation_point_id": task,
            "parent_installation_point_id": task,
            "city_name": "'Town'",
            "street_name": "'Street'",
        },
    )
    rows.insert(LOGICAL_LOCATION.table, size.devices, {**spanned, "logical_installation_point_id": task})
    rows.insert(
        USAGE_POINT.table,
        size.devices,
        {
            **device,
            "measurement_task_id": task,
            "point_of_delivery_id": rows.padded("n", 22),
            "valid_from": rows.at("0"),
        },
    )


def _fill_orders(rows: Filling, size: Size) -> None:
    """Fill reading orders, each with its command, the call to the head end and its event; and connection orders."""
    device = device_of_document(size)
    owned = {"sender_system": system_of_row(device), "device_id": rows.padded(device, 18)}
    due = rows.at("n * 100")
    day = "'2026-03-01'" if rows.is_sqlite else "DATE '2026-03-01'"
    rows.insert(
        METER_READING_DOCUMENT.table,
        size.documents,
        {
            **owned,
            "document_id": rows.padded("n", 20),
            "measurement_task_id": rows.padded(device, 18),
            "obis_text": f"'{OBIS}'",
            "reading_type": f"'{OBIS}'",
            "reason_code": "'01'",
            "scheduled_on": day,
            "on_demand": "false",
            "time_zone": "'Europe/Berlin'",
            "status": case(
                "n % 1000",
                ("< 10", "'ordered'"),
                ("= 10", "'failed'"),
                ("= 11", "'cancelled'"),
                ("< 20", "'result_sent'"),
                otherwise="'confirmed'",
            ),
            "due_at": due,
            "window_from": due,
            "window_until": due,
            "next_try_at": case("n % 1000", ("< 10", due), otherwise="NULL"),
            "attempts": "1",
            "order_item_id": f"n + {size.messages // 2}",
            "bulk": "true",
            "value": "'12345.67'" if rows.is_sqlite else "12345.67",
            "unit": "'KWH'",
            "measured_at": due,
            "result_attempts": "1",
        },
    )
    rows.insert(
        COMMAND.table,
        size.documents,
        {
            **owned,
            "command_key": rows.uuid(f"n + {2 * size.messages}"),
            "owner_kind": "'document'",
            "owner_key": f"{system_of_row(device)} || '/' || {rows.padded('n', 20)}",
            "serial_id": rows.padded(device, 10),
            "head_end": f"'{HEAD_END}'",
            "kind": "'read_registers'",
            "purpose": "'read'",
            "not_before": due,
            "expires_at": due,
            "status": case("n % 1000", ("= 1", "'ready'"), ("= 2", "'accepted'"), otherwise="'done'"),
            "test_data": "false",
            "ended_at": due,
        },
    )
    intent = {"command_id": "n", "attempt": "1", "head_end": f"'{HEAD_END}'", "at": due, "outcome": "'accepted'"}
    rows.insert(COMMAND_INTENT, size.documents, {**intent, "correlation": rows.uuid("n / 100")})
    rows.insert(MESSAGE_EVENT, size.documents, {"command_id": "n", "status": "'done'", "at": due})
    rows.insert(
        END_DEVICE_CONTROL.table,
        size.controls,
        {
            **owned,
            "request_id": rows.padded("n", 12),
            "category": "'1'",
            "planned_at": due,
            "effective_at": due,
            "expires_at": due,
            "test_data": "false",
            "status": case("n % 1000", ("= 1", "'ordered'"), ("< 10", "'failed'"), otherwise="'executed'"),
            "item_id": "n * 20 + 18",
        },
    )


def _fill_field(rows: Filling, size: Size) -> None:
    device = device_of_document(size)
    owned = {"sender_system": system_of_row(device), "device_id": rows.padded(device, 18)}
    rows.insert(
        METER_READING.table,
        size.readings,
        {
            **owned,
            "reading_type": f"'{OBIS}'",
            "measured_at": rows.at("n * 60"),
            "value": "CAST(n AS text)" if rows.is_sqlite else "n",
            "unit": "'KWH'",
            "origin": "'snapshot'",
            "received_at": rows.at("n * 60 + 30"),
        },
    )
    state = case(
        "n % 1000",
        ("= 1", "'held'"),
        ("= 2", "'refused'"),
        ("< 300", "'withheld'"),
        ("< 400", "'suppressed'"),
        otherwise="'answered'",
    )
    reason = case(
        "n % 1000",
        ("< 3", "NULL"),
        ("= 3", "'expired'"),
        ("< 300", "'unwanted'"),
        ("< 400", "'repeated'"),
        otherwise="NULL",
    )
    rows.insert(
        END_DEVICE_EVENT.table,
        size.events,
        {
            **owned,
            "event_id": rows.padded("n", 20),
            "event_type": "'3.' || (n * 7 % 40) || '.' || (n % 3) || '.1'",
            "at": rows.at("n * 300"),
            "source": f"'{HEAD_END}'",
            "area": "''",
            "properties": "'[]'",
            "told_at": rows.at("n * 300 + 60"),
            "state": state,
            "reason": reason,
        },
    )
    rows.insert(
        UNMAPPED_VALUE,
        size.events // 4,
        {
            "head_end": case("n % 50", ("= 0", f"'{SMALL_HEAD_END}'"), otherwise=f"'{HEAD_END}'"),
            "source": case("n % 10", ("= 0", "'event'"), otherwise="'channel'"),
            "code": "'c1219: ' || (n % 7)",
            "serial_id": rows.padded(f"n % {size.devices}", 18),
            "at": rows.at("n * 300"),
            "value": "'1'",
            "delivery_id": "n",
            "received_at": rows.at("n * 300 + 60"),
            "content_hash": rows.padded("n", 40),
        },
    )


def _fill_operation(rows: Filling, size: Size) -> None:
    kinds = case("n % 20", ("= 0", "'dead_item'"), ("< 5", "'event_refused'"), otherwise="'reading_missing'")
    rows.insert(
        EXCEPTION_CASE.table,
        size.messages // 5,
        {
            "kind": kinds,
            "case_key": rows.padded("n", 12),
            "opened_at": rows.at("n * 600"),
            "closed_at": case("n % 100", ("= 0", "NULL"), otherwise=rows.at("n * 600 + 300")),
            "note": "'a note'",
            **_work(rows, size),
        },
    )
    job = case("n % 1000", ("= 1", "'retention'"), ("< 500", "'registry_sync'"), otherwise="'reconcile'")
    run = {"job": job, "slot": rows.padded("n", 12), "status": "'done'", "attempts": "1"}
    rows.insert(JOB_RUN, size.events, {**run, "created_at": rows.at("n * 300"), "outcome": "'nothing to do'"})
    deed = {"who": "'rest:desk'", "target": "'message'", "count": "1", "reason": "'because'", "at": rows.at("n * 900")}
    rows.insert(AUDIT, size.events // 3, {**deed, "action": case("n % 1000", ("= 1", "'leave'"), otherwise="'retry'")})
    hashed = f"CAST({rows.padded('n', 32)} AS {'blob' if rows.is_sqlite else 'bytea'})"
    rows.insert(
        HEAD_END_DELIVERY,
        size.events,
        {
            "head_end": f"'{HEAD_END}'",
            "topic": "'readings'",
            "content_hash": hashed,
            "correlation": "''",
            "data": hashed,
            "received_at": rows.at("n * 300"),
            "status": case("n % 2000", ("= 1", "'dead'"), otherwise="'done'"),
            "attempts": "0",
        },
    )


def _work(rows: Filling, size: Size) -> Mapping[str, str]:
    """Return what makes cases a work list: each of a device, routed, and due a day later."""
    device = f"(n % {size.devices} + 1)"
    return {
        "state": case("n % 300", ("= 100", "'in_work'"), ("= 200", "'waiting'"), otherwise="'open'"),
        "team": case("n % 10", ("= 0", "'field'"), otherwise="'metering'"),
        "severity": case("n % 1000", ("= 0", "'critical'"), ("< 100", "'high'"), otherwise="'normal'"),
        "routed_at": rows.at("n * 600 + 1"),
        "due_at": rows.at("n * 600 + 86400"),
        "sender_system": system_of_row(device),
        "device_id": rows.padded(device, 18),
        "point_of_delivery_id": rows.padded(device, 22),
        "head_end": case("n % 1000", ("= 7", f"'{SMALL_HEAD_END}'"), otherwise=f"'{HEAD_END}'"),
    }


def fill_of_clients(store: Store) -> None:
    """This will make every fiftieth message a request of a client's, and 200,000 news of events and requests."""
    database = Database(store.url)
    with closing(database), database.begin() as uow:
        of_clients = and_(MESSAGE.c.direction == "in", MESSAGE.c.id % 50 == 1)
        uow.connection.execute(update(MESSAGE).where(of_clients).values(client=CLIENT))
        make_token(
            uow.connection,
            CLIENT.removeprefix("rest:"),
            role=Role.OPERATOR,
            systems=None,
            lasts=None,
            created_by="benchmark",
        )
        at = datetime(2026, 3, 28, 10, 0, tzinfo=UTC)
        rows = [
            (
                number,
                at + timedelta(seconds=number),
                Topic.REQUESTS if number % 10 == 0 else Topic.EVENTS,
                system_of(number),
                CLIENT if number % 10 == 0 else None,
                f"number {number}",
                "{}",
            )
            for number in range(1, _NEWS + 1)
        ]
        columns = ("number", "at", "topic", "sender_system", "client", "about", "content")
        for start in range(0, len(rows), 10_000):
            insert_rows(uow.connection, NEWS, columns, rows[start : start + 10_000])
