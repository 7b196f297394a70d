"""Storms: an area, or a whole head end, whose meters fell silent together; its cases wait until it is over.

Every step is one statement, whatever the number of cases. Clients hear of its beginning and its end.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

import structlog
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Index,
    Integer,
    Table,
    Text,
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

from mdus.domain.exception_grouping import STORM, Place, whole_head_ends
from mdus.storage import exception_group as groups
from mdus.storage.column_types import UtcInstant
from mdus.storage.exception_group import held, is_at, is_single
from mdus.storage.facts import CASE_IS_OPEN, EXCEPTION_CASE
from mdus.storage.mapping import METADATA, AnyRow, Identity64
from mdus.storage.news import News, Topic, note_news
from mdus.storage.registry import END_DEVICE

log = structlog.get_logger(__name__)

_CASE: Final = EXCEPTION_CASE.table
_DEVICE: Final = END_DEVICE.table
_IS_OPEN: Final[ColumnElement[bool]] = literal_column(CASE_IS_OPEN)

#: Who is said to have done what was done by rule.
BY_RULE: Final = "mdus"

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


def start_storm(
    connection: Connection,
    place: Place,
    kinds: Collection[str],
    *,
    meters: int,
    since: datetime,
    who: str,
    reason: str,
    now: datetime,
) -> AnyRow:
    """Begin a storm: its case is opened, the cases of its place since an instant join it, and clients are told."""
    counted = whole_head_ends(groups.affected(connection, kinds, since=since, ungrouped=False)) if kinds else {}
    affected = counted.get(place, 0)
    note = f"{affected} of {meters} meters of {place} have no data: {reason}"
    case_id = groups.open_group(connection, STORM, place, note=note, now=now)
    values: dict[str, Any] = {"head_end": place.head_end, "area": place.area, "started_at": now, "started_by": who}
    values |= {"reason": reason, "meters": meters, "affected": affected, "most_affected": affected, "case_id": case_id}
    storm = connection.execute(insert(_STORM).values(**values).returning(_STORM)).one()
    join_storm(connection, storm, kinds, since=since, now=now)
    groups.count_members(connection)
    _tell(connection, storm, affected=affected, state="started", who=who, reason=reason, now=now)
    return storm


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
    left = update(_CASE).where(held(_IS_OPEN, _CASE.c.group_id == storm.case_id))
    count = connection.execute(
        left.values(group_id=null(), paused_at=null(), due_at=_CASE.c.due_at + paused_for)
    ).rowcount
    connection.execute(update(_CASE).where(_CASE.c.id == storm.case_id, _IS_OPEN).values(closed_at=now, member_count=0))
    _tell(connection, storm, affected=count, state="ended", who=who, reason=reason, now=now)
    return count


def systems_of(connection: Connection, head_end: str) -> list[str]:
    """Return the sender systems that have meters at a head end."""
    query = select(_DEVICE.c.sender_system).where(_DEVICE.c.head_end == head_end).distinct()
    return list(connection.scalars(query.order_by(_DEVICE.c.sender_system)))


def join_storm(connection: Connection, storm: AnyRow, kinds: Collection[str], *, since: datetime, now: datetime) -> int:
    """Make all cases of a storm's place its members, also those of smaller groups; their due dates stand still."""
    place = Place(head_end=storm.head_end, area=storm.area)
    is_elsewhere = or_(_CASE.c.group_id.is_(None), _CASE.c.group_id != storm.case_id)
    joined = update(_CASE).where(held(*is_single(kinds, since=since), *is_at(place), is_elsewhere))
    paused = func.coalesce(_CASE.c.paused_at, literal(now, UtcInstant()))
    return connection.execute(joined.values(group_id=storm.case_id, paused_at=paused)).rowcount


def _tell(
    connection: Connection, storm: AnyRow, *, affected: int, state: str, who: str, reason: str, now: datetime
) -> None:
    content = {
        "storm": storm.id,
        "state": state,
        "head_end": storm.head_end,
        "area": storm.area,
        "started_at": storm.started_at.isoformat(),
        "meters": storm.meters,
        "affected": affected,
        "by": who,
        "reason": reason,
    }
    news = [
        News(at=now, topic=Topic.EXCEPTIONS, sender_system=system, about=f"storm/{storm.id}", content=content)
        for system in systems_of(connection, storm.head_end)
    ]
    note_news(connection, news)
    log.warning("storm", state=state, storm=storm.id, head_end=storm.head_end, area=storm.area, affected=affected)
