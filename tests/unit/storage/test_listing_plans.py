"""No list reads more than its page asks for, whatever the filters: shown by the plans of all its statements."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import chain, combinations, product
from typing import Any

import pytest
from sqlalchemy import Connection, Row, Table, and_, event, select, update

from mdus.domain.access import Role
from mdus.domain.device_limit import DeviceLimit
from mdus.domain.load_control_event import LoadControlEvent, LoadControlStatus
from mdus.messaging.status import OF_RECEIVED, MessageStatus
from mdus.storage import client_request, listing, mending, unmapped
from mdus.storage.access_token import make_token
from mdus.storage.audit import AUDIT, deeds
from mdus.storage.command import COMMAND
from mdus.storage.device_limit import DEVICE_LIMIT
from mdus.storage.end_device_control import END_DEVICE_CONTROL
from mdus.storage.end_device_event import END_DEVICE_EVENT
from mdus.storage.facts import EXCEPTION_CASE
from mdus.storage.job import JOB_RUN
from mdus.storage.load_control_event import LOAD_CONTROL_EVENT
from mdus.storage.mending import Kind, Which
from mdus.storage.message import MESSAGE
from mdus.storage.meter_reading_document import METER_READING_DOCUMENT
from mdus.storage.paging import NoWay, Page, Way, rows_of_page, sender_systems
from mdus.storage.reading import METER_READING
from mdus.storage.registry import END_DEVICE
from mdus.storage.session import Database
from mdus.storage.sorting import NEWEST, OLDEST, Sort
from mdus.storage.tracing import gather, resolve
from mdus.storage.unmapped import UNMAPPED_VALUE
from tests.benchmarks.filled_messages import READING_ORDER
from tests.benchmarks.filled_rows import BULK, SECOND_SYSTEM, SMALL_HEAD_END, THIRD_SYSTEM, Size, uuid_of
from tests.benchmarks.filling import fill
from tests.benchmarks.landscape import Store
from tests.benchmarks.orders import HEAD_END, OBIS, SYSTEM, device_id, document_id, serial_id

SIZE = Size(devices=1000, messages=12_000)
LIMIT = 5

#: A page of each of thirty combinations, and what they are merged from; the tables have hundreds and thousands of rows.
MOST_ROWS = 30 * LIMIT + 3 * LIMIT

#: What SQLite may read from end to end: the values that go in with a statement, and what it has gathered itself.
GIVEN = re.compile(
    r"SCAN (json_each|anon_\d+|branch|value|few|message_item USING INDEX message_item_ready)\b", re.IGNORECASE
)

#: What is read whole, because that is the list: what was given up, and the clients there are.
LISTED = re.compile(r"SCAN ((message|message_item|head_end_delivery) USING INDEX \2_dead|access_token )")

#: What each list is filtered by: values that many rows have, that few have, or that none has.
OWN = {"sender_system": SECOND_SYSTEM, "device_id": device_id(1)}
LISTS: Mapping[str, tuple[Callable[..., Sequence[Row[Any]]], Table, Mapping[str, Sequence[Any]]]] = {
    "devices": (
        listing.devices,
        END_DEVICE.table,
        {
            "sender_system": [SYSTEM, THIRD_SYSTEM, "NONE"],
            "device_id": [device_id(1), "NONE"],
            "serial_id": [serial_id(1)],
            "head_end": [HEAD_END, SMALL_HEAD_END],
        },
    ),
    "reading documents": (
        listing.reading_documents,
        METER_READING_DOCUMENT.table,
        {
            "sender_system": [SYSTEM, THIRD_SYSTEM, "NONE"],
            "device_id": [device_id(1), "NONE"],
            "status": ["confirmed", "failed", "read", "executed"],
        },
    ),
    "connection controls": (
        listing.connection_controls,
        END_DEVICE_CONTROL.table,
        {
            "sender_system": [SYSTEM, THIRD_SYSTEM],
            "device_id": [device_id(1), "NONE"],
            "status": ["executed", "ordered", "withdrawn"],
        },
    ),
    "device events": (
        listing.device_events,
        END_DEVICE_EVENT.table,
        {
            "sender_system": [SYSTEM, THIRD_SYSTEM],
            "device_id": [device_id(1)],
            "event_type": ["3.7.1.1", "NONE"],
            "state": ["answered", "withheld", "told"],
            "reason": ["unwanted", "expired", "storm"],
        },
    ),
    "messages": (
        listing.messages,
        MESSAGE,
        {
            "sender_system": [SYSTEM, THIRD_SYSTEM],
            "service": [READING_ORDER, "NONE"],
            "status": [MessageStatus.COMPLETED, MessageStatus.DEAD, MessageStatus.SENDING],
            "direction": ["in", "out"],
            "uuid": [uuid_of(7)],
        },
    ),
    "unmapped values": (
        unmapped.values,
        UNMAPPED_VALUE,
        {
            "head_end": [HEAD_END, SMALL_HEAD_END, "NONE"],
            "source": ["channel", "event", "unit"],
            "code": ["c1219: 1", "c1219: 5", "NONE"],
            "serial_id": [serial_id(1), "NONE"],
        },
    ),
    "demand limits": (
        listing.demand_limits,
        DEVICE_LIMIT.table,
        {"sender_system": [SYSTEM, THIRD_SYSTEM, "NONE"], "device_id": [device_id(1), "NONE"]},
    ),
    "load control events": (
        listing.load_control_events,
        LOAD_CONTROL_EVENT.table,
        {
            "sender_system": [SYSTEM, THIRD_SYSTEM],
            "event_id": ["peak-1", "peak-2", "NONE"],
            "device_id": [device_id(1), "NONE"],
            "status": ["scheduled", "failed", "ordered"],
        },
    ),
    "jobs": (listing.job_runs, JOB_RUN, {"job": ["reconcile", "retention", "NONE"]}),
    "deeds": (deeds, AUDIT, {"action": ["retry", "leave", "none"]}),
}

#: By identity, both ways: every list has these.
BOTH_WAYS = pytest.mark.parametrize("sort", [NEWEST, OLDEST], ids=["newest", "oldest"])

Combination = dict[str, Any]


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    fill(Store(name="", url=database_url), SIZE)
    database = Database(database_url)
    with database.begin() as uow:
        uow.save(restraints())
        if not database.is_sqlite:
            uow.connection.exec_driver_sql("ANALYZE device_limit, load_control_event")
    with database.read() as uow:
        if not database.is_sqlite:
            # The tables are small enough to be read whole: what counts is what the indexes allow.
            for setting in ("enable_seqscan", "enable_hashjoin", "enable_mergejoin"):
                uow.connection.exec_driver_sql(f"SET {setting} = off")
        yield uow.connection
    database.close()


def restraints() -> Iterator[DeviceLimit | LoadControlEvent]:
    """Yield a limit of every second device, and at each device an event for all and one for some."""
    at = datetime(2026, 3, 28, tzinfo=UTC)
    for number in range(SIZE.devices):
        of_device: dict[str, Any] = {
            "sender_system": SECOND_SYSTEM if number % 50 == 1 else SYSTEM,
            "device_id": device_id(number),
            "item_id": number,
        }
        if number % 2:
            yield DeviceLimit(**of_device, serial_id=serial_id(number), limit_kw=Decimal(3), set_at=at)
        for event_id in ("peak-1", "peak-2") if number % 100 == 1 else ("peak-1",):
            status = LoadControlStatus.FAILED if number % 10 == 3 else LoadControlStatus.SCHEDULED
            yield LoadControlEvent(**of_device, event_id=event_id, start_at=at, minutes=60, percent=40, status=status)


def every_combination(filters: Mapping[str, Sequence[Any]]) -> Iterator[Combination]:
    """Yield every set of filters, each with every value in turn."""
    names = list(filters)
    for some in chain.from_iterable(combinations(names, size) for size in range(len(names) + 1)):
        for turn in range(max((len(filters[name]) for name in some), default=1)):
            yield {name: filters[name][turn % len(filters[name])] for name in some}


@contextmanager
def noting(connection: Connection) -> Iterator[list[tuple[str, Any]]]:
    """Note the statements that are executed, with their parameters."""
    asked: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        asked.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(connection, "before_cursor_execute", note)


def too_much(connection: Connection, ask: Callable[[], object], *, most: int = MOST_ROWS) -> list[str]:
    """Return what is read too much of when something is asked: lines of plans, with their statement."""
    with noting(connection) as asked:
        ask()
    look = _scans if connection.dialect.name == "sqlite" else _rows_beyond
    return [f"{line}\n{statement}" for statement, given in asked for line in look(connection, statement, given, most)]


def _scans(connection: Connection, statement: str, parameters: Any, _: int) -> Iterator[str]:
    plan = [str(row.detail) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
    is_sorted = any("ORDER BY" in line for line in plan)
    for line in plan:
        # The list of everything goes by the identity itself, and stops after a page.
        is_by_identity = re.fullmatch(r"SCAN \w+", line) and "WHERE" not in statement and not is_sorted
        if line.startswith("SCAN") and not (GIVEN.match(line) or LISTED.match(line) or is_by_identity):
            yield line


def _rows_beyond(connection: Connection, statement: str, parameters: Any, most: int) -> Iterator[str]:
    """Yield the scans of tables that read more rows than `most`, those thrown away included, and every Seq Scan."""
    [[plan]] = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters).scalars()
    for node in _nodes(plan["Plan"]):
        if "Relation Name" not in node and "Index Name" not in node:
            continue
        thrown_away = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
        read = (node["Actual Rows"] + thrown_away) * node["Actual Loops"]
        if node["Node Type"] == "Seq Scan" or read > most:
            yield f"{node['Node Type']} {node.get('Relation Name')} {node.get('Index Name')} read {read} rows"


def _nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for inner in node.get("Plans", ()):
        yield from _nodes(inner)


def plainly(connection: Connection, table: Table, page: Page, combination: Combination) -> list[int]:
    """Return the identities of a page as a query finds them that cares for no index."""
    query = select(table.c.id)
    for name, value in combination.items():
        if name == "direction":
            query = query.where(table.c.status.in_(OF_RECEIVED if value == "in" else set(MessageStatus) - OF_RECEIVED))
        else:
            query = query.where(table.c[name] == value)
    if page.systems is not None and "sender_system" in table.c:
        query = query.where(table.c.sender_system.in_(page.systems))
    is_newest = page.sort == NEWEST
    if page.after is not None:
        query = query.where(table.c.id < page.after[0] if is_newest else table.c.id > page.after[0])
    order = table.c.id.desc() if is_newest else table.c.id.asc()
    return list(connection.scalars(query.order_by(order).limit(page.limit)))


@BOTH_WAYS
@pytest.mark.parametrize("name", LISTS)
def test_every_combination_of_filters_finds_its_rows_by_index(connection: Connection, name: str, sort: Sort) -> None:
    ask, table, filters = LISTS[name]
    for combination in every_combination(filters):
        for systems in (None, (SECOND_SYSTEM, THIRD_SYSTEM)):
            page = Page(limit=LIMIT, systems=systems, sort=sort)
            assert too_much(connection, lambda: ask(connection, page, **combination)) == [], combination  # noqa: B023
            assert [row.id for row in ask(connection, page, **combination)] == plainly(
                connection, table, page, combination
            ), combination
            further = Page(limit=LIMIT, systems=systems, sort=sort, after=(SIZE.events // 2,))
            assert too_much(connection, lambda: ask(connection, further, **combination)) == [], combination  # noqa: B023
            assert [row.id for row in ask(connection, further, **combination)] == plainly(
                connection, table, further, combination
            ), combination


@BOTH_WAYS
@pytest.mark.parametrize(
    ("ask", "table", "others"),
    [
        (listing.readings, METER_READING.table, {"reading_type": [OBIS, "NONE"]}),
        (listing.commands, COMMAND.table, {"kind": ["read_registers", "switch"], "status": ["done", "failed"]}),
    ],
    ids=["readings", "commands"],
)
def test_what_a_device_did_is_found_by_the_device(
    connection: Connection, ask: Callable[..., Any], table: Table, others: Mapping[str, Sequence[Any]], sort: Sort
) -> None:
    for combination in every_combination(others):
        page = Page(limit=LIMIT, sort=sort)
        named = {**OWN, **combination}
        assert too_much(connection, lambda: ask(connection, page, **named)) == [], named  # noqa: B023
        assert [row.id for row in ask(connection, page, **named)] == plainly(connection, table, page, named)


@BOTH_WAYS
def test_cases_are_found_by_whether_they_are_open(connection: Connection, sort: Sort) -> None:
    table = EXCEPTION_CASE.table
    for is_open in (True, False):
        for kind in (None, "reading_missing", "dead_item", "none"):
            page = Page(limit=LIMIT, sort=sort)

            def ask() -> Sequence[Row[Any]]:
                return listing.exception_cases(connection, page, is_open=is_open, kind=kind)  # noqa: B023

            is_meant = table.c.closed_at.is_(None) if is_open else table.c.closed_at.is_not(None)
            query = select(table.c.id).where(is_meant).order_by(*sort.order(table)).limit(LIMIT)
            if kind is not None:
                query = query.where(table.c.kind == kind)
            assert too_much(connection, ask) == [], (is_open, kind)
            assert [row.id for row in ask()] == connection.scalars(query).all(), (is_open, kind)


@pytest.mark.parametrize("descending", [False, True], ids=["first", "last"])
def test_items_of_a_message_are_found_by_the_message(connection: Connection, descending: bool) -> None:
    bulk, beyond = 2 * BULK - 1, 100
    sort = replace(listing.BY_POSITION, descending=descending)
    for status, after in product((None, "closed", "parked"), (None, (beyond,))):
        wanted, page = {"status": status}, Page(limit=LIMIT, sort=sort, after=after)

        def ask() -> Sequence[Row[Any]]:
            return listing.items(connection, bulk, page, **wanted)  # noqa: B023

        # Without a status no more than the page; of one status the rows of the message.
        assert too_much(connection, ask, most=LIMIT if status is None else BULK) == [], status
        positions = [row.position for row in ask()]
        assert positions == sorted(positions, reverse=descending)
        if after is not None:
            assert all(position < beyond if descending else position > beyond for position in positions)


@BOTH_WAYS
def test_what_is_given_up_is_found_among_the_dead(connection: Connection, sort: Sort) -> None:
    for kind, system, after in product(Kind, (None, SYSTEM, "NONE"), (None, (100,))):
        which, page = Which(kind=kind, sender_system=system), Page(limit=LIMIT, sort=sort, after=after)
        assert too_much(connection, lambda: mending.given_up(connection, which, page)) == [], which  # noqa: B023


@BOTH_WAYS
def test_requests_are_found_by_client_and_system(connection: Connection, database_url: str, sort: Sort) -> None:
    database = Database(database_url)
    with database.begin() as uow:
        facts: dict[str, Any] = {"role": Role.OPERATOR, "systems": None, "lasts": None, "created_by": "test"}
        for name in ("portal", "crew"):
            make_token(uow.connection, name, **facts)
        requests = and_(MESSAGE.c.direction == "in", MESSAGE.c.id % 50 == 1)
        uow.connection.execute(update(MESSAGE).where(requests).values(client="rest:portal"))
    database.close()
    for client, systems, after in product((None, "rest:portal", "rest:crew"), (None, (SYSTEM,)), (None, (100,))):
        page = Page(limit=LIMIT, sort=sort, systems=systems, after=after)

        def ask() -> Sequence[Row[Any]]:
            return client_request.requests(connection, page, client=client)  # noqa: B023

        assert too_much(connection, ask) == [], (client, systems)
        wanted = {"client": client or "rest:portal"}
        assert [row.id for row in ask()] == plainly(connection, MESSAGE, page, wanted), (client, systems)


def test_sender_systems_are_found_from_one_to_the_next(connection: Connection) -> None:
    tables = (END_DEVICE.table, METER_READING_DOCUMENT.table, END_DEVICE_CONTROL.table)
    assert too_much(connection, lambda: sender_systems(connection, *tables)) == []
    found = {system for table in tables for system in connection.scalars(select(table.c.sender_system).distinct())}
    assert sender_systems(connection, *tables) == sorted(found)
    assert {SYSTEM, SECOND_SYSTEM, THIRD_SYSTEM} <= found


def test_a_trace_reads_no_table_whole(connection: Connection) -> None:
    orders = (document_id(1), "000000000001")
    meters = (device_id(32), serial_id(32), f"{32:022}")
    for name in (uuid_of(1), uuid_of(2 * BULK - 1), SIZE.key_of_command(1), *orders, *meters):
        subject = resolve(connection, name, systems=None)
        assert subject.is_known, name

        def ask() -> object:
            seen = resolve(connection, name, systems=None)  # noqa: B023
            return gather(connection, seen, limit=50, content=True)

        assert too_much(connection, ask) == [], name


def test_a_query_that_no_index_serves_is_seen(connection: Connection) -> None:
    unserved = select(MESSAGE.c.id).where(MESSAGE.c.root == "none").order_by(MESSAGE.c.id.desc()).limit(LIMIT)
    assert too_much(connection, lambda: connection.execute(unserved).all())


def test_filters_that_no_way_serves_are_a_defect(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    unserved = {"root": ["x"], "uuid": ["y"]}
    page = Page(limit=LIMIT)
    way = Way(columns=("sender_system", "status"))
    with database.read() as uow, pytest.raises(NoWay, match="No index of message serves a list by root, uuid"):
        rows_of_page(uow.connection, select(MESSAGE), MESSAGE, page, unserved, [way])
    database.close()
