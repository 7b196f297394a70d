"""Cases of one cause as members of one case: every step one statement, whatever the number of members."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    func,
    literal_column,
    or_,
    select,
    update,
)

from mdus.domain.exception_case import ExceptionCase
from mdus.domain.exception_grouping import ROOT_CAUSE, Place
from mdus.domain.exception_routing import CaseState
from mdus.storage.facts import CASE_IS_OPEN, EXCEPTION_CASE
from mdus.storage.mapping import AnyRow
from mdus.storage.registry import DEVICE_LOCATION, END_DEVICE, END_DEVICE_STATUS

_CASE: Final = EXCEPTION_CASE.table
_DEVICE, _LOCATION, _STATUS = END_DEVICE.table, DEVICE_LOCATION.table, END_DEVICE_STATUS.table
_IS_OPEN: Final[ColumnElement[bool]] = literal_column(CASE_IS_OPEN)


def affected(connection: Connection, kinds: Collection[str], *, since: datetime, ungrouped: bool) -> dict[Place, int]:
    """Return how many devices of each head end and area have open cases of these kinds, opened since an instant.

    What hangs in no known area has the area ''. `ungrouped` leaves out members of groups and what somebody works on.
    """
    area = func.coalesce(_CASE.c.area, "")
    query = select(_CASE.c.head_end, area, func.count(func.distinct(_CASE.c.device_id))).where(
        *is_single(kinds, since=since), *(_IS_UNTOUCHED if ungrouped else ())
    )
    rows = connection.execute(query.group_by(_CASE.c.head_end, area))
    return {Place(head_end=row[0], area=row[1]): row[2] for row in rows}


_IS_UNTOUCHED: Final = (
    _CASE.c.group_id.is_(None),
    _CASE.c.assignee.is_(None),
    _CASE.c.state == CaseState.OPEN,
)


def is_single(kinds: Collection[str], *, since: datetime) -> list[ColumnElement[bool]]:
    """Return the conditions of an open case of one device, of these kinds and opened since an instant."""
    return [
        _IS_OPEN,
        _CASE.c.kind.in_(sorted(kinds)),
        _CASE.c.opened_at >= since,
        _CASE.c.head_end.is_not(None),
        _CASE.c.device_id.is_not(None),
        _CASE.c.member_count.is_(None),
    ]


def meters_at(connection: Connection, place: Place, *, area: str, day: date) -> int:
    """Return how many meters in SAP's books a place has on a day; `area` names the column that is the area."""
    conditions = [
        _DEVICE.c.head_end == place.head_end,
        _DEVICE.c.valid_from <= day,
        or_(_DEVICE.c.valid_to.is_(None), _DEVICE.c.valid_to > day),
    ]
    if place.area is not None:
        hangs_there = and_(
            _LOCATION.c.sender_system == _DEVICE.c.sender_system,
            _LOCATION.c.device_id == _DEVICE.c.device_id,
            _LOCATION.c[area] == place.area,
            _LOCATION.c.valid_from <= day,
            or_(_LOCATION.c.valid_to.is_(None), _LOCATION.c.valid_to > day),
        )
        conditions.append(select(_LOCATION.c.id).where(hangs_there).exists())
    return connection.scalar(select(func.count()).select_from(_DEVICE).where(*conditions)) or 0


def open_kinds(connection: Connection) -> list[str]:
    """Return the kinds of open cases that there are."""
    return list(connection.scalars(select(_CASE.c.kind).where(_IS_OPEN).distinct()))


def open_group(connection: Connection, kind: str, place: Place, *, note: str, now: datetime) -> int:
    """Open the case that is to stand for many, without members yet; returns its id."""
    key = f"{place.key}/{now:%Y-%m-%dT%H:%M:%SZ}"
    EXCEPTION_CASE.write(connection, [ExceptionCase(kind=kind, case_key=key, opened_at=now, note=note)])
    is_it = and_(_CASE.c.kind == kind, _CASE.c.case_key == key)
    values = {"head_end": place.head_end, "area": place.area, "member_count": 0}
    return int(connection.execute(update(_CASE).where(is_it).values(**values).returning(_CASE.c.id)).scalar_one())


def open_groups(connection: Connection) -> Sequence[AnyRow]:
    """Return the open cases of root causes, those of areas first."""
    query = select(_CASE.c.id, _CASE.c.head_end, _CASE.c.area, _CASE.c.opened_at).where(
        _IS_OPEN, _CASE.c.kind == ROOT_CAUSE
    )
    return connection.execute(query.order_by(_CASE.c.area.is_(None), _CASE.c.id)).all()


def join(connection: Connection, group_id: int, place: Place, kinds: Collection[str], *, since: datetime) -> int:
    """Make the single cases of a place, opened since an instant, members of a group; returns how many."""
    single = held(*is_single(kinds, since=since), *_IS_UNTOUCHED, *is_at(place))
    return connection.execute(update(_CASE).where(single).values(group_id=group_id)).rowcount


def held(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return the condition of the cases that meet others, held in one order: services write the same rows."""
    rows = select(_CASE.c.id).where(*conditions).order_by(_CASE.c.id).with_for_update()
    return _CASE.c.id.in_(rows.correlate(None))


def is_at(place: Place) -> list[ColumnElement[bool]]:
    """Return the conditions of a case at a place."""
    at = [_CASE.c.head_end == place.head_end]
    return at if place.area is None else [*at, _CASE.c.area == place.area]


def count_members(connection: Connection) -> None:
    """Tell of each open group how many open members it has, for members close by themselves."""
    member = _CASE.alias("member")
    count = select(func.count()).where(member.c.group_id == _CASE.c.id, member.c.closed_at.is_(None)).scalar_subquery()
    is_group = (_IS_OPEN, _CASE.c.member_count.is_not(None))
    connection.execute(
        update(_CASE).where(*is_group, _CASE.c.member_count.is_distinct_from(count)).values(member_count=count)
    )


def close_empty(connection: Connection, *, now: datetime) -> int:
    """Close the root causes whose members are all closed; returns how many."""
    is_empty = (_IS_OPEN, _CASE.c.kind == ROOT_CAUSE, _CASE.c.member_count == 0)
    return connection.execute(update(_CASE).where(*is_empty).values(closed_at=now)).rowcount


def close_reported(connection: Connection, *, silent: Collection[str], now: datetime) -> int:
    """Close cases of silence whose device was heard after they were opened; returns how many."""
    heard = (
        select(_STATUS.c.id)
        .where(
            _STATUS.c.sender_system == _CASE.c.sender_system,
            _STATUS.c.device_id == _CASE.c.device_id,
            _STATUS.c.last_heard_at > _CASE.c.opened_at,
        )
        .exists()
    )
    closed = update(_CASE).where(held(_IS_OPEN, _CASE.c.kind.in_(sorted(silent)), heard)).values(closed_at=now)
    return connection.execute(closed).rowcount
