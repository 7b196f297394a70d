"""No list of the registry and no figure reads a whole table: shown by the plans of all their statements."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event

from mdus.domain.end_device import EndDevice, EndDeviceStatus
from mdus.domain.register import Register
from mdus.domain.usage_point import DeviceLocation, UsagePoint
from mdus.domain.value import Value
from mdus.storage import registry_listing, reports
from mdus.storage.listing import devices
from mdus.storage.paging import Page, sender_systems
from mdus.storage.registry import END_DEVICE
from mdus.storage.registry_listing import POINTS
from mdus.storage.session import Database
from mdus.storage.sorting import NEWEST, OLDEST, Sort

NOW = datetime(2026, 3, 28, 10, 0, tzinfo=UTC)
DAY = date(2026, 3, 27)
COUNT = 3000

Query = Callable[[Connection], Any]

BY_DAY = Sort.by(descending=True, valid_from=date, id=int)
BY_NUMBER = Sort.by(sender_system=str, measurement_task_id=str, id=int)
BY_DEVICE = Sort.by(sender_system=str, device_id=str, measurement_task_id=str, valid_from=date)


def registers(*, sort: Sort = NEWEST, valid_on: date | None = None, after: Any = None, **filters: Any) -> Query:
    page = Page(limit=10, sort=sort, after=after)
    return lambda connection: registry_listing.registers(connection, page, valid_on=valid_on, **filters)


def locations(*, sort: Sort = NEWEST, valid_on: date | None = None, **filters: Any) -> Query:
    page = Page(limit=10, sort=sort)
    return lambda connection: registry_listing.locations(connection, page, valid_on=valid_on, **filters)


def points(*, after: Any = None, **filters: Any) -> Query:
    page = Page(limit=10, sort=POINTS, after=after)
    return lambda connection: registry_listing.points_of_delivery(connection, page, at=NOW, **filters)


def point(connection: Connection) -> Any:
    assert registry_listing.point_of_delivery(connection, "P11", "DE0000042", at=NOW) is not None
    spans = registry_listing.measured_by(connection, "P11", "DE0000042")
    return registry_listing.registers_named(connection, spans)


def figures(connection: Connection) -> Any:
    assert sender_systems(connection, END_DEVICE.table) == ["P11", "Q11"]
    span = (NOW - timedelta(days=1), NOW)
    return reports.figures(connection, "P11", at=NOW, day=DAY, span=span)


def differences(*, is_open: bool = True, kind: str | None = None, sort: Sort = NEWEST) -> Query:
    return lambda connection: reports.differences(
        connection, Page(limit=10, sort=sort), is_open=is_open, kind=kind, sender_system="P11"
    )


QUERIES: dict[str, Query] = {
    "registers of a system": registers(sender_system="Q11"),
    "registers of a device": registers(device_id=f"{42:018}"),
    "registers of a number": registers(measurement_task_id=f"{42:018}"),
    "registers of a reading type": registers(reading_type="1-0:1.8.0*255"),
    "registers on a day": registers(valid_on=DAY, sort=BY_DAY),
    "registers on a day, a later page": registers(valid_on=DAY, sort=BY_DAY, after=(DAY, 7)),
    "registers by number": registers(sort=BY_NUMBER, after=("P11", f"{42:018}", 42)),
    "registers by device": registers(sort=BY_DEVICE, after=("P11", f"{42:018}", f"{42:018}", DAY)),
    "locations of a system": locations(sender_system="Q11"),
    "locations of a device": locations(device_id=f"{42:018}"),
    "locations of a place": locations(installation_point_id="A42"),
    "locations on a day": locations(valid_on=DAY, sort=BY_DAY),
    "points": points(),
    "points, a later page": points(after=("P11", "DE0000042")),
    "points of a system": points(sender_system="P11"),
    "points of a name": points(point_of_delivery_id="DE0000042"),
    "points of a device": points(device_id=f"{42:018}"),
    "a point": point,
    "devices by their id": lambda connection: devices(
        connection, Page(limit=10, sort=Sort.by(sender_system=str, device_id=str), after=("P11", f"{42:018}"))
    ),
    "open differences": differences(),
    "open differences, the oldest first": differences(sort=OLDEST),
    "open differences of a kind": differences(kind="device_silent"),
    "closed differences of a kind": differences(kind="device_silent", is_open=False),
    "figures": figures,
}

#: The index that serves each filter.
INDEXES = {
    "registers of a system": "register_sender_system_id",
    "registers of a device": "register_device_id",
    "registers of a number": "register_measurement_task_id",
    "registers of a reading type": "register_reading_type_id",
    "registers on a day": "register_valid_from_id",
    "registers on a day, a later page": "register_valid_from_id",
    "registers by number": "register_sender_system_measurement_task_id_id",
    "locations of a system": "device_location_sender_system_id",
    "locations of a device": "device_location_device_id",
    "locations of a place": "device_location_installation_point_id",
    "locations on a day": "device_location_valid_from_id",
    "points of a name": "usage_point_point_of_delivery_id",
    "points of a device": "usage_point_device_id",
    "open differences": "exception_case_open",
    "open differences, the oldest first": "exception_case_open",
    "closed differences of a kind": "exception_case_closed",
}


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(database_url)
    numbers = [f"{number:018}" for number in range(COUNT)]
    with made.begin() as uow:
        uow.save([value for number in numbers for value in _meter(number)])
        uow.save(_meter("1", system="Q11"))
        if not made.is_sqlite:
            uow.connection.exec_driver_sql("ANALYZE")
    yield made
    made.close()


def _meter(number: str, *, system: str = "P11") -> list[Value]:
    kept: dict[str, Any] = {"sender_system": system, "device_id": number, "valid_from": date(2026, 1, 1)}
    return [
        EndDevice(**kept, serial_id=number, material_id="M"),
        EndDeviceStatus(sender_system=system, device_id=number),
        Register(**kept, measurement_task_id=number, reading_type=f"1-0:{number[-2:]}.8.0*255", unit="KWH"),
        DeviceLocation(**kept, installation_point_id=f"A{int(number)}", parent_installation_point_id="A"),
        UsagePoint(
            sender_system=system,
            device_id=number,
            measurement_task_id=number,
            point_of_delivery_id=f"DE{int(number):07}",
            valid_from=NOW,
        ),
    ]


def plans(connection: Connection, query: Query) -> Iterator[tuple[str, str]]:
    """Yield each statement of a query with each line of its plan."""
    asked: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        asked.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", note)
    query(connection)
    event.remove(connection, "before_cursor_execute", note)
    explain = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
    assert asked
    for statement, parameters in asked:
        for row in connection.exec_driver_sql(f"{explain} {statement}", parameters):
            yield statement, str(row[-1])


#: Reads a table from end to end, in the words of both databases; what goes in with a statement may be.
_WHOLE = re.compile(r"^SCAN (?!json_each|.*USING (COVERING )?INDEX|CONSTANT ROW)|Seq Scan", re.IGNORECASE)
_SORT = re.compile(r"TEMP B-TREE FOR ORDER BY|^\s*(->\s*)?Sort\b")
_TABLES = re.compile(r"register|location|usage_point|end_device|document|message|case|delivery|reading|block|channel")


def test_no_statement_reads_a_whole_table(database: Database) -> None:
    found: dict[str, list[str]] = {}
    with database.read() as uow:
        if not database.is_sqlite:
            # The tables are small: what could be read by an index is, so what is not has none.
            uow.connection.exec_driver_sql("SET enable_seqscan = off")
        for name, query in QUERIES.items():
            whole = [line for _, line in plans(uow.connection, query) if _WHOLE.search(line) and _TABLES.search(line)]
            if whole:
                found[name] = whole
    assert found == {}


def test_every_filter_is_served_by_its_index(database: Database) -> None:
    with database.read() as uow:
        if not database.is_sqlite:
            uow.connection.exec_driver_sql("SET enable_seqscan = off")
        used = {
            name: [line for _, line in plans(uow.connection, QUERIES[name]) if re.search(rf"\b{index}\b", line)]
            for name, index in INDEXES.items()
        }
    assert [name for name, lines in used.items() if not lines] == []


def test_no_page_sorts_more_than_it_shows(database: Database) -> None:
    """A page is read in the order of an index, or sorts the few rows of one device, number or name, or of a page."""
    pages = {
        name: query
        for name, query in QUERIES.items()
        if re.search(r"registers|locations|devices", name) and not re.search(r"of a (device|number|place)", name)
    }
    found: dict[str, list[str]] = {}
    with database.read() as uow:
        for name, query in pages.items():
            sorts = [line for _, line in plans(uow.connection, query) if _SORT.search(line)]
            if sorts:
                found[name] = sorts
    assert found == {}
