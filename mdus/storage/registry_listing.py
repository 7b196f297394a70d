"""What REST shows of the registry beside devices: registers, locations and points of delivery, page by page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Table, and_, case, func, or_, select

from mdus.storage.keys import among
from mdus.storage.mapping import AnyRow
from mdus.storage.paging import Page
from mdus.storage.registry import DEVICE_LOCATION, END_DEVICE, REGISTER, USAGE_POINT
from mdus.storage.sorting import Sort

#: Points of delivery have no identity of their own: they are told apart, and sorted, by their names.
POINTS: Final = Sort.by(sender_system=str, point_of_delivery_id=str)

#: Spans of one point of delivery that are shown, the newest.
_SPANS: Final = 1000

_POINT, _DEVICE = USAGE_POINT.table, END_DEVICE.table


def registers(connection: Connection, page: Page, *, valid_on: date | None, **filters: Any) -> Sequence[AnyRow]:
    """Return registers, on a SAP local date those that carry their number then."""
    return _dated(connection, REGISTER.table, page, valid_on, filters)


def locations(connection: Connection, page: Page, *, valid_on: date | None, **filters: Any) -> Sequence[AnyRow]:
    """Return where devices hang and hung, on a SAP local date those that hang there then."""
    return _dated(connection, DEVICE_LOCATION.table, page, valid_on, filters)


def points_of_delivery(connection: Connection, page: Page, *, at: datetime, **filters: Any) -> Sequence[AnyRow]:
    """Return points of delivery: since when and by how many devices each was measured, and by how many at an instant.

    Two statements: the names of the page, and what is known of them.
    """
    meant = page.conditions(_POINT, page.wanted(_POINT, filters))
    named = select(_POINT.c.sender_system, _POINT.c.point_of_delivery_id).where(*meant).distinct()
    keys = {(row[0], row[1]) for row in connection.execute(named.order_by(*page.sort.order(_POINT)).limit(page.limit))}
    return _summed(connection, keys, page.sort, at=at) if keys else []


def point_of_delivery(connection: Connection, sender_system: str, name: str, *, at: datetime) -> AnyRow | None:
    """Return one point of delivery as `points_of_delivery` does."""
    return next(iter(_summed(connection, {(sender_system, name)}, POINTS, at=at)), None)


def measured_by(connection: Connection, sender_system: str, name: str) -> Sequence[AnyRow]:
    """Return the spans in which a point of delivery is and was measured, the newest first, with the serial numbers."""
    return connection.execute(
        select(_POINT, _DEVICE.c.serial_id)
        .outerjoin(
            _DEVICE, and_(_DEVICE.c.sender_system == _POINT.c.sender_system, _DEVICE.c.device_id == _POINT.c.device_id)
        )
        .where(_POINT.c.sender_system == sender_system, _POINT.c.point_of_delivery_id == name)
        .order_by(_POINT.c.valid_from.desc(), _POINT.c.id.desc())
        .limit(_SPANS)
    ).all()


def registers_named(connection: Connection, spans: Sequence[AnyRow]) -> Sequence[AnyRow]:
    """Return the registers that carry, on the devices of such spans, the numbers of these, in the order of days."""
    table = REGISTER.table
    columns = [table.c.sender_system, table.c.device_id, table.c.measurement_task_id]
    keys = {(span.sender_system, span.device_id, span.measurement_task_id) for span in spans}
    query = select(table).where(among(connection, columns, keys)).order_by(table.c.valid_from, table.c.id)
    return connection.execute(query).all() if keys else []


def _dated(
    connection: Connection, table: Table, page: Page, valid_on: date | None, filters: dict[str, Any]
) -> Sequence[AnyRow]:
    conditions = page.conditions(table, page.wanted(table, filters))
    if valid_on is not None:
        ended = or_(table.c.valid_to.is_(None), table.c.valid_to > valid_on)
        conditions += [table.c.valid_from <= valid_on, ended]
    return connection.execute(
        select(table).where(*conditions).order_by(*page.sort.order(table)).limit(page.limit)
    ).all()


def _summed(connection: Connection, keys: set[tuple[str, str]], sort: Sort, *, at: datetime) -> Sequence[AnyRow]:
    name: list[Any] = [_POINT.c.sender_system, _POINT.c.point_of_delivery_id]
    is_measuring: ColumnElement[bool] = and_(
        _POINT.c.valid_from <= at, or_(_POINT.c.valid_to.is_(None), _POINT.c.valid_to > at)
    )
    query = (
        select(
            *name,
            func.min(_POINT.c.valid_from).label("first_measured_from"),
            func.count(_POINT.c.device_id.distinct()).label("devices"),
            func.count(case((is_measuring, _POINT.c.device_id)).distinct()).label("devices_measuring"),
        )
        .where(among(connection, name, keys))
        .group_by(*name)
        .order_by(*sort.order(_POINT))
    )
    return connection.execute(query).all()
