"""A database as it is after months: devices, messages, items, orders, commands, readings, made by sets of SQL.

Row `n` of every table is the same on both databases and in every run. Of each five messages four are of the first
sender system, and all but a few are through: the rare ones, such as those given up, are what people look for.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Connection, Index, Table, and_, text, update

from mdus.domain.access import Role
from mdus.storage.access_token import make_token
from mdus.storage.audit import AUDIT
from mdus.storage.command import COMMAND, COMMAND_INTENT, HEAD_END_DELIVERY
from mdus.storage.end_device_control import END_DEVICE_CONTROL
from mdus.storage.end_device_event import END_DEVICE_EVENT
from mdus.storage.facts import EXCEPTION_CASE
from mdus.storage.job import JOB_RUN
from mdus.storage.mapping import METADATA
from mdus.storage.message import ITEM, MESSAGE, MESSAGE_EVENT
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
from tests.benchmarks.landscape import Store
from tests.benchmarks.orders import AMS, HEAD_END, OBIS, SYSTEM

#: Of fifty devices nine belong to the second system and one to the third.
SECOND_SYSTEM: Final = "P11"
THIRD_SYSTEM: Final = "Q11"
#: Serves one device in a thousand.
SMALL_HEAD_END: Final = "hilltop"

#: A REST client, and how many news there are for it and others.
CLIENT: Final = "rest:portal"
_NEWS: Final = 200_000

READING_ORDER: Final = "SmartMeterMeterReadingDocumentERPCreateRequest"
RARE_SERVICE: Final = "SmartMeterMeterReadingDocumentERPCancellationRequest"
#: Items in each bulk.
BULK: Final = 2000

_START: Final = int(datetime(2025, 9, 1, tzinfo=UTC).timestamp())
_SERVICES: Final = (
    (10, READING_ORDER),
    (14, "MeterReadingDocumentERPResultCreateRequest"),
    (16, "UtilitiesDeviceERPSmartMeterCreateRequest"),
    (17, "UtilitiesDeviceERPSmartMeterRegisterCreateRequest"),
    (18, "UtilitiesDeviceERPSmartMeterLocationNotification"),
    (19, "SmartMeterUtilitiesConnectionStatusChangeRequestERPCreateRequest"),
    (20, "UtilitiesDeviceERPSmartMeterChangeRequest"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """How many rows there are of what; message events come to twice the messages and more."""

    devices: int
    messages: int

    @property
    def bulks(self) -> int:
        """Bulks among the messages: they hold half of all items."""
        return self.messages // (2 * BULK)

    @property
    def documents(self) -> int:
        """Reading orders, each in an item of a bulk and with a command of its own."""
        return self.messages // 5

    def device_of_pair(self, number: int) -> int:
        """Return the number of the device that a pair of messages is about."""
        return number * 7919 % self.devices + 1

    def device_of_document(self, number: int) -> int:
        """Return the number of the device that a reading order, a connection order or a reading is of."""
        return number * 31 % self.devices + 1

    def key_of_command(self, number: int) -> str:
        """Return the key of the command of a reading order."""
        return uuid_of(2 * self.messages + number)

    @property
    def readings(self) -> int:
        """Register readings."""
        return self.messages * 3 // 10

    @property
    def controls(self) -> int:
        """Devices of connection orders."""
        return self.messages // 50

    @property
    def events(self) -> int:
        """Events of devices; of exception cases, runs of jobs and deliveries of head ends there are less."""
        return self.messages // 20


def fill(store: Store, size: Size) -> None:
    """This will fill an empty, migrated database and let it gather its statistics."""
    database = Database(store.url)
    try:
        with database.begin() as uow:
            indexes = [index for table in METADATA.tables.values() for index in table.indexes]
            for index in indexes:
                index.drop(uow.connection)
            _fill(_Filling(uow.connection), size)
            _make(uow.connection, indexes)
        if not database.is_sqlite:
            with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text("VACUUM ANALYZE"))
    finally:
        database.close()


def _make(connection: Connection, indexes: list[Index]) -> None:
    for index in indexes:
        index.create(connection)


class _Filling:
    """Writes rows numbered from 1 as the database's own SQL, in which `n` is the number of the row."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._is_sqlite = connection.dialect.name == "sqlite"

    def insert(self, table: Table, count: int, columns: Mapping[str, str]) -> None:
        """This will insert `count` rows; each column's expression may use `n`."""
        if self._is_sqlite:
            numbers = f"SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {count}"
            series = f"(WITH RECURSIVE s(n) AS ({numbers}) SELECT n FROM s)"
        else:
            series = f"generate_series(1, CAST({count} AS bigint)) AS s(n)"
        names = ", ".join(f'"{name}"' for name in columns)
        statement = f'INSERT INTO "{table.name}" ({names}) SELECT {", ".join(columns.values())} FROM {series}'
        self._connection.exec_driver_sql(statement if self._is_sqlite else statement.replace("%", "%%"))

    def at(self, seconds: str) -> str:
        """Return the instant so many seconds after the start."""
        return f"({_START} + {seconds}) * 1000000" if self._is_sqlite else f"to_timestamp({_START} + {seconds})"

    def padded(self, number: str, length: int) -> str:
        """Return a number with leading zeros."""
        if self._is_sqlite:
            return f"printf('%0{length}d', {number})"
        return f"lpad(CAST({number} AS text), {length}, '0')"

    def uuid(self, number: str) -> str:
        """Return a UUID: neighbours in number are none in order, as UUIDs are."""
        scattered = f"(({number}) * 2654435761) % 4294967296"
        first = f"printf('%08x', {scattered})" if self._is_sqlite else f"lpad(to_hex({scattered}), 8, '0')"
        return f"{first} || '-0000-4000-8000-' || {self.padded(number, 12)}"

    def content(self, name: str, value: str) -> str:
        """Return the JSON of an item's content: one member that counts, and as many bytes as an item has."""
        return f"""'{{"{name}": "' || {value} || '", "text": "{"x" * 300}"}}'"""


def system_of(device: int) -> str:
    """This will return the sender system of a device."""
    return THIRD_SYSTEM if device % 50 == 0 else SECOND_SYSTEM if device % 50 < 10 else SYSTEM


def uuid_of(number: int) -> str:
    """This will return the UUID of a message by its number."""
    return f"{number * 2654435761 % 4294967296:08x}-0000-4000-8000-{number:012}"


def _case(value: str, *ways: tuple[str, str], otherwise: str) -> str:
    return f"CASE {' '.join(f'WHEN {value} {when} THEN {then}' for when, then in ways)} ELSE {otherwise} END"


def _system(device: str) -> str:
    return _case(
        f"{device} % 50", ("= 0", f"'{THIRD_SYSTEM}'"), ("< 10", f"'{SECOND_SYSTEM}'"), otherwise=f"'{SYSTEM}'"
    )


def _fill(rows: _Filling, size: Size) -> None:
    _fill_registry(rows, size)
    _fill_messages(rows, size)
    _fill_items(rows, size)
    _fill_orders(rows, size)
    _fill_field(rows, size)
    _fill_operation(rows, size)


def _fill_registry(rows: _Filling, size: Size) -> None:
    device = {"sender_system": _system("n"), "device_id": rows.padded("n", 18)}
    spanned = {**device, "valid_from": "'2020-01-01'"}
    if not rows._is_sqlite:
        spanned["valid_from"] = "DATE '2020-01-01'"
    head_end = _case("n % 1000", ("= 7", f"'{SMALL_HEAD_END}'"), ("= 8", "NULL"), otherwise=f"'{HEAD_END}'")
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
            "registered_at": _case("n % 1000", ("= 9", "NULL"), otherwise=rows.at("n")),
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


def _fill_messages(rows: _Filling, size: Size) -> None:
    """Fill messages in pairs: one that asks, then the one that answers; of results of readings we ask, else SAP."""
    pair = "((n + 1) / 2)"
    device = f"({pair} * 7919 % {size.devices} + 1)"
    service = _case(
        f"{pair} % 20",
        *((f"< {below}", f"'{name}'") for below, name in _SERVICES[:-1]),
        otherwise=f"'{_SERVICES[-1][1]}'",
    )
    service = f"CASE WHEN {pair} % 20000 = 2 THEN '{RARE_SERVICE}' WHEN n % 5000 = 1 THEN '' ELSE {service} END"
    is_ours = f"({pair} % 20 BETWEEN 10 AND 13)"
    is_out = f"((n % 2 = 0 AND NOT {is_ours}) OR (n % 2 = 1 AND {is_ours}))"
    status = f"""CASE WHEN {is_out} THEN {
        _case(
            "n % 100000",
            ("= 20020", "'ready'"),
            ("= 20022", "'sending'"),
            ("= 40024", "'abandoned'"),
            ("IN (10, 8410, 50012, 60014)", "'dead'"),
            otherwise=f"CASE WHEN {is_ours} THEN 'confirmed' ELSE 'delivered' END",
        )
    } ELSE {
        _case(
            "n % 5000",
            ("= 1", "'refused'"),
            ("IN (3, 2003)", "'duplicate'"),
            ("= 7", "'received'"),
            otherwise="'completed'",
        )
    } END"""
    uuid = rows.uuid("n")
    rows.insert(
        MESSAGE,
        size.messages,
        {
            "direction": f"CASE WHEN {is_out} THEN 'out' ELSE 'in' END",
            "sender_system": _system(device),
            "service": service,
            "root": "CASE WHEN n % 2 = 1 THEN 'Request' ELSE 'Confirmation' END",
            "bulk": f"{pair} % {BULK} = 0",
            "status": status,
            "key": f"CASE WHEN n % 5000 IN (1, 3, 2003) THEN NULL ELSE {uuid} END",
            "uuid": uuid,
            "test_data": "false",
            "imported": "false",
            "item_count": f"CASE WHEN n % 2 = 0 THEN 0 WHEN {pair} % {BULK} = 0 THEN {BULK} ELSE 1 END",
            "set_aside": "0",
            "created_at": rows.at("n * 20"),
            "stored_at": rows.at("n * 20"),
            "ended_at": rows.at("n * 20 + 5"),
            "original_id": "CASE WHEN n % 2 = 0 THEN n - 1 END",
            "part": "0",
            "attempts": "0",
        },
    )
    rows.insert(MESSAGE_EVENT, size.messages, {"message_id": "n", "status": "'completed'", "at": rows.at("n * 20 + 5")})


def _fill_items(rows: _Filling, size: Size) -> None:
    """Fill items: one for each pair of messages, then those of the bulks, each of which orders a reading."""
    pairs = size.messages // 2
    device = f"(n * 7919 % {size.devices} + 1)"
    is_ours = "(n % 20 BETWEEN 10 AND 13)"
    service = _case(
        "n % 20", *((f"< {below}", f"'{name}'") for below, name in _SERVICES[:-1]), otherwise=f"'{_SERVICES[-1][1]}'"
    )
    rows.insert(
        ITEM,
        pairs,
        {
            "message_id": "n * 2 - 1",
            "position": "1",
            "direction": f"CASE WHEN {is_ours} THEN 'out' ELSE 'in' END",
            "sender_system": _system(device),
            "service": service,
            "status": f"CASE WHEN {is_ours} THEN 'answered' WHEN n % 5000 = 11 THEN 'dead' ELSE 'closed' END",
            "key": f"{rows.uuid('n * 2 - 1')} || '/1'",
            "ordering_key": f"{_system(device)} || '/' || {rows.padded(device, 18)}",
            "content": rows.content("device_id", rows.padded(device, 18)),
            "shape_version": "'1'",
            "confirmation_id": f"CASE WHEN {is_ours} THEN NULL ELSE n * 2 END",
            "stored_at": rows.at("n * 40"),
        },
    )
    device = _device_of_document(size)
    bulk = f"((n - 1) / {BULK - 1} + 1)"
    rows.insert(
        ITEM,
        size.bulks * (BULK - 1),
        {
            "message_id": f"{bulk} * {2 * BULK} - 1",
            "position": f"(n - 1) % {BULK - 1} + 2",
            "direction": "'in'",
            "sender_system": _system(device),
            "service": f"'{READING_ORDER}'",
            "status": _case("n % 5000", ("= 17", "'parked'"), ("= 18", "'ready'"), otherwise="'closed'"),
            "key": rows.uuid(f"n + {size.messages}"),
            "ordering_key": f"{_system(device)} || '/' || {rows.padded(device, 18)}",
            "content": rows.content("document_id", rows.padded("n", 20)),
            "shape_version": "'1'",
            "confirmation_id": f"{bulk} * {2 * BULK}",
            "waits_for": "CASE WHEN n % 5000 = 17 THEN 'device/' END",
            "stored_at": rows.at(f"{bulk} * {40 * BULK}"),
        },
    )
    rows.insert(
        MESSAGE_EVENT,
        pairs + size.bulks * (BULK - 1),
        {
            "message_id": f"CASE WHEN n <= {pairs} THEN n * 2 - 1 ELSE 0 END",
            "item_id": "n",
            "status": "'closed'",
            "at": rows.at("n * 20"),
        },
    )


def _device_of_document(size: Size) -> str:
    return f"(n * 31 % {size.devices} + 1)"


def _fill_orders(rows: _Filling, size: Size) -> None:
    """Fill reading orders, each with its command, the call to the head end and its event; and connection orders."""
    device = _device_of_document(size)
    owned = {"sender_system": _system(device), "device_id": rows.padded(device, 18)}
    due = rows.at("n * 100")
    day = "'2026-03-01'" if rows._is_sqlite else "DATE '2026-03-01'"
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
            "status": _case(
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
            "next_try_at": _case("n % 1000", ("< 10", due), otherwise="NULL"),
            "attempts": "1",
            "order_item_id": f"n + {size.messages // 2}",
            "bulk": "true",
            "value": "'12345.67'" if rows._is_sqlite else "12345.67",
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
            "owner_key": f"{_system(device)} || '/' || {rows.padded('n', 20)}",
            "serial_id": rows.padded(device, 10),
            "head_end": f"'{HEAD_END}'",
            "kind": "'read_registers'",
            "purpose": "'read'",
            "not_before": due,
            "expires_at": due,
            "status": _case("n % 1000", ("= 1", "'ready'"), ("= 2", "'accepted'"), otherwise="'done'"),
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
            "status": _case("n % 1000", ("= 1", "'ordered'"), ("< 10", "'failed'"), otherwise="'executed'"),
            "item_id": "n * 20 + 18",
        },
    )


def _fill_field(rows: _Filling, size: Size) -> None:
    device = _device_of_document(size)
    owned = {"sender_system": _system(device), "device_id": rows.padded(device, 18)}
    rows.insert(
        METER_READING.table,
        size.readings,
        {
            **owned,
            "reading_type": f"'{OBIS}'",
            "measured_at": rows.at("n * 60"),
            "value": "CAST(n AS text)" if rows._is_sqlite else "n",
            "unit": "'KWH'",
            "origin": "'snapshot'",
            "received_at": rows.at("n * 60 + 30"),
        },
    )
    state = _case(
        "n % 1000",
        ("= 1", "'held'"),
        ("= 2", "'refused'"),
        ("< 300", "'withheld'"),
        ("< 400", "'suppressed'"),
        otherwise="'answered'",
    )
    reason = _case(
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
            "head_end": _case("n % 50", ("= 0", f"'{SMALL_HEAD_END}'"), otherwise=f"'{HEAD_END}'"),
            "source": _case("n % 10", ("= 0", "'event'"), otherwise="'channel'"),
            "code": "'c1219: ' || (n % 7)",
            "serial_id": rows.padded(f"n % {size.devices}", 18),
            "at": rows.at("n * 300"),
            "value": "'1'",
            "delivery_id": "n",
            "received_at": rows.at("n * 300 + 60"),
            "content_hash": rows.padded("n", 40),
        },
    )


def _fill_operation(rows: _Filling, size: Size) -> None:
    kinds = _case("n % 20", ("= 0", "'dead_item'"), ("< 5", "'event_refused'"), otherwise="'reading_missing'")
    rows.insert(
        EXCEPTION_CASE.table,
        size.messages // 5,
        {
            "kind": kinds,
            "case_key": rows.padded("n", 12),
            "opened_at": rows.at("n * 600"),
            "closed_at": _case("n % 100", ("= 0", "NULL"), otherwise=rows.at("n * 600 + 300")),
            "note": "'a note'",
            **_work(rows, size),
        },
    )
    job = _case("n % 1000", ("= 1", "'retention'"), ("< 500", "'registry_sync'"), otherwise="'reconcile'")
    run = {"job": job, "slot": rows.padded("n", 12), "status": "'done'", "attempts": "1"}
    rows.insert(JOB_RUN, size.events, {**run, "created_at": rows.at("n * 300"), "outcome": "'nothing to do'"})
    deed = {"who": "'rest:desk'", "target": "'message'", "count": "1", "reason": "'because'", "at": rows.at("n * 900")}
    rows.insert(AUDIT, size.events // 3, {**deed, "action": _case("n % 1000", ("= 1", "'leave'"), otherwise="'retry'")})
    hashed = f"CAST({rows.padded('n', 32)} AS {'blob' if rows._is_sqlite else 'bytea'})"
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
            "status": _case("n % 2000", ("= 1", "'dead'"), otherwise="'done'"),
            "attempts": "0",
        },
    )


def _work(rows: _Filling, size: Size) -> Mapping[str, str]:
    """Return what makes cases a work list: each of a device, routed, and due a day later."""
    device = f"(n % {size.devices} + 1)"
    return {
        "state": _case("n % 300", ("= 100", "'in_work'"), ("= 200", "'waiting'"), otherwise="'open'"),
        "team": _case("n % 10", ("= 0", "'field'"), otherwise="'metering'"),
        "severity": _case("n % 1000", ("= 0", "'critical'"), ("< 100", "'high'"), otherwise="'normal'"),
        "routed_at": rows.at("n * 600 + 1"),
        "due_at": rows.at("n * 600 + 86400"),
        "sender_system": _system(device),
        "device_id": rows.padded(device, 18),
        "point_of_delivery_id": rows.padded(device, 22),
        "head_end": _case("n % 1000", ("= 7", f"'{SMALL_HEAD_END}'"), otherwise=f"'{HEAD_END}'"),
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
