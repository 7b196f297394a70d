"""Cases of one cause as members of one case, and storms: every step one statement, whatever the number of members."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Index,
    Integer,
    Table,
    Text,
    and_,
    func,
    insert,
    literal,
    literal_column,
    null,
    or_,
    select,
    text,
    update,
)

from mdus.domain.exception_case import ExceptionCase
from mdus.domain.exception_grouping import ROOT_CAUSE, STORM, Place
from mdus.domain.exception_routing import CaseState
from mdus.storage.column_types import UtcInstant
from mdus.storage.facts import CASE_IS_OPEN, EXCEPTION_CASE
from mdus.storage.mapping import METADATA, AnyRow, Identity64
from mdus.storage.registry import DEVICE_LOCATION, END_DEVICE, END_DEVICE_STATUS

_CASE: Final = EXCEPTION_CASE.table
_DEVICE, _LOCATION, _STATUS = END_DEVICE.table, DEVICE_LOCATION.table, END_DEVICE_STATUS.table
_IS_OPEN: Final[ColumnElement[bool]] = literal_column(CASE_IS_OPEN)

#: One row per storm: an area, or a whole head end, whose meters fell silent together.
EXCEPTION_STORM = Table(
    "exception_storm",
    METADATA,
    Column("id", Identity64, primary_key=True, autoincrement=True),
    Column("head_end", Text, nullable=False),
    Column("area", Text),  # NULL: the whole head end
    Column("started_at", UtcInstant, nullable=False),  # business instant
    Column("started_by", Text, nullable=False),  # mdus, or who started it by hand: then it ends by hand
    Column("reason", Text, nullable=False),
    Column("meters", Integer, nullable=False),  # of the place, when it began
    Column("affected", Integer, nullable=False),  # with open cases, as of the last look
    Column("most_affected", Integer, nullable=False),
    Column("case_id", BigInteger, nullable=False),
    Column("ended_at", UtcInstant),
    Column("ended_by", Text),
    Column("end_reason", Text),
    Index(
        "exception_storm_open", "id", sqlite_where=text("ended_at IS NULL"), postgresql_where=text("ended_at IS NULL")
    ),
)
_STORM: Final = EXCEPTION_STORM


def affected(connection: Connection, kinds: Collection[str], *, since: datetime, ungrouped: bool) -> dict[Place, int]:
    """Return how many devices of each head end and area have open cases of these kinds, opened since an instant.

    What hangs in no known area has the area ''. `ungrouped` leaves out members of groups and what somebody works on.
    """
    area = func.coalesce(_CASE.c.area, "")
    query = select(_CASE.c.head_end, area, func.count(func.distinct(_CASE.c.device_id))).where(
        *_is_single(kinds, since=since), *(_IS_UNTOUCHED if ungrouped else ())
    )
    rows = connection.execute(query.group_by(_CASE.c.head_end, area))
    return {Place(head_end=row[0], area=row[1]): row[2] for row in rows}


_IS_UNTOUCHED: Final = (
    _CASE.c.group_id.is_(None),
    _CASE.c.assignee.is_(None),
    _CASE.c.state == CaseState.OPEN,
)


def _is_single(kinds: Collection[str], *, since: datetime) -> list[ColumnElement[bool]]:
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
    conditions = [*_is_single(kinds, since=since), *_IS_UNTOUCHED, *_is_at(place)]
    return connection.execute(update(_CASE).where(*conditions).values(group_id=group_id)).rowcount


def join_storm(connection: Connection, storm: AnyRow, kinds: Collection[str], *, since: datetime, now: datetime) -> int:
    """Make all cases of a storm's place its members, also those of smaller groups; their due dates stand still."""
    place = Place(head_end=storm.head_end, area=storm.area)
    is_elsewhere = or_(_CASE.c.group_id.is_(None), _CASE.c.group_id != storm.case_id)
    joined = update(_CASE).where(*_is_single(kinds, since=since), *_is_at(place), is_elsewhere)
    paused = func.coalesce(_CASE.c.paused_at, literal(now, UtcInstant()))
    return connection.execute(joined.values(group_id=storm.case_id, paused_at=paused)).rowcount


def _is_at(place: Place) -> list[ColumnElement[bool]]:
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
    closed = update(_CASE).where(_IS_OPEN, _CASE.c.kind.in_(sorted(silent)), heard).values(closed_at=now)
    return connection.execute(closed).rowcount


# -- storms -----------------------------------------------------------------------------------------------------------


def start_storm(
    connection: Connection, place: Place, *, meters: int, affected: int, who: str, reason: str, now: datetime
) -> AnyRow:
    """Store that there is a storm, and open its case; its members join by `join_storm`."""
    note = f"{affected} of {meters} meters of {place} have no data: {reason}"
    case_id = open_group(connection, STORM, place, note=note, now=now)
    values: dict[str, Any] = {"head_end": place.head_end, "area": place.area, "started_at": now, "started_by": who}
    values |= {"reason": reason, "meters": meters, "affected": affected, "most_affected": affected, "case_id": case_id}
    return connection.execute(insert(_STORM).values(**values).returning(_STORM)).one()


def open_storms(connection: Connection) -> Sequence[AnyRow]:
    """Return the storms there are now."""
    return connection.execute(select(_STORM).where(literal_column("exception_storm.ended_at IS NULL"))).all()


def storms(connection: Connection, *, before: int | None, limit: int) -> Sequence[AnyRow]:
    """Return storms, the newest first, below the identity `before`."""
    query = select(_STORM).order_by(_STORM.c.id.desc()).limit(limit)
    return connection.execute(query if before is None else query.where(_STORM.c.id < before)).all()


def storm(connection: Connection, storm_id: int) -> AnyRow | None:
    """Return one storm."""
    return connection.execute(select(_STORM).where(_STORM.c.id == storm_id)).first()


def members_affected(connection: Connection, storm: AnyRow) -> int:
    """Return how many devices of a storm still have an open case."""
    query = select(func.count(func.distinct(_CASE.c.device_id))).where(_IS_OPEN, _CASE.c.group_id == storm.case_id)
    return connection.scalar(query) or 0


def note_affected(connection: Connection, storm: AnyRow, affected: int) -> None:
    """Keep how many are affected now."""
    most = max(storm.most_affected, affected)
    connection.execute(update(_STORM).where(_STORM.c.id == storm.id).values(affected=affected, most_affected=most))


def end_storm(connection: Connection, storm: AnyRow, *, who: str, reason: str, now: datetime) -> int:
    """End a storm: its case is closed, members that are still open stand alone again; returns how many.

    Their due dates go on by as long as they stood still.
    """
    connection.execute(
        update(_STORM).where(_STORM.c.id == storm.id).values(ended_at=now, ended_by=who, end_reason=reason)
    )
    paused_for = literal(now, UtcInstant()) - _CASE.c.paused_at
    left = update(_CASE).where(_IS_OPEN, _CASE.c.group_id == storm.case_id)
    count = connection.execute(
        left.values(group_id=null(), paused_at=null(), due_at=_CASE.c.due_at + paused_for)
    ).rowcount
    connection.execute(update(_CASE).where(_CASE.c.id == storm.case_id, _IS_OPEN).values(closed_at=now, member_count=0))
    return count


def systems_of(connection: Connection, head_end: str) -> list[str]:
    """Return the sender systems that have meters at a head end."""
    query = select(_DEVICE.c.sender_system).where(_DEVICE.c.head_end == head_end).distinct()
    return list(connection.scalars(query.order_by(_DEVICE.c.sender_system)))
