"""Profiles: their assignments, what SAP has of each day, what is on its way to SAP, and when to look again."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime
from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Index,
    Integer,
    Text,
    and_,
    bindparam,
    cast,
    exists,
    func,
    literal_column,
    select,
    text,
    update,
)

from mdus.domain.time_series import TimeSeriesAssignment
from mdus.domain.time_series_upload import (
    Operation,
    TimeSeriesDay,
    TimeSeriesLook,
    TimeSeriesUpload,
)
from mdus.messaging.status import ItemStatus, MessageStatus
from mdus.storage.keys import among
from mdus.storage.mapping import ValueTable
from mdus.storage.message import ITEM, MESSAGE
from mdus.storage.rows import insert_rows

ProfileKey = tuple[str, str]  # sender system, profile
ProfileDayKey = tuple[str, str, date]

TIME_SERIES_ASSIGNMENT = ValueTable(
    TimeSeriesAssignment, "time_series_assignment", indexes=[("sender_system", "measurement_task_id")]
)
TIME_SERIES_DAY = ValueTable(
    TimeSeriesDay,
    "time_series_day",
    constraints=[
        Index(
            "time_series_day_refused",
            "day",
            sqlite_where=text("refusals > 0"),
            postgresql_where=text("refusals > 0"),
        )
    ],
)
TIME_SERIES_LOOK = ValueTable(TimeSeriesLook, "time_series_look", indexes=[("due_at",)])
TIME_SERIES_UPLOAD = ValueTable(
    TimeSeriesUpload,
    "time_series_upload",
    constraints=[
        Index(
            "time_series_upload_due",
            "operation",
            "id",
            sqlite_where=text("status = 'due'"),
            postgresql_where=text("status = 'due'"),
        ),
        Index(
            "time_series_upload_sent",
            "id",
            sqlite_where=text("status = 'sent'"),
            postgresql_where=text("status = 'sent'"),
        ),
        Index(
            "time_series_upload_open",
            "sender_system",
            "time_series_id",
            "day",
            sqlite_where=text("status IN ('due', 'sent')"),
            postgresql_where=text("status IN ('due', 'sent')"),
        ),
    ],
)

_LOOK: Final = TIME_SERIES_LOOK.table
_UPLOAD: Final = TIME_SERIES_UPLOAD.table
_PROFILE: Final = ("sender_system", "time_series_id")

# In the very words of the partial indexes: SQLite uses one for nothing else.
UPLOAD_IS_DUE: Final[ColumnElement[bool]] = literal_column("time_series_upload.status = 'due'")
_IS_REFUSED: Final[ColumnElement[bool]] = literal_column("time_series_day.refusals > 0")
_IS_SENT: Final[ColumnElement[bool]] = literal_column("time_series_upload.status = 'sent'")
_IS_OPEN: Final[ColumnElement[bool]] = literal_column("time_series_upload.status IN ('due', 'sent')")

#: A look that is due already stays due, and still leads to the next day.
_SOONER: Final = {
    "due_at": "CASE WHEN time_series_look.due_at < excluded.due_at"
    " THEN time_series_look.due_at ELSE excluded.due_at END"
}


def due_looks(connection: Connection, *, now: datetime, limit: int) -> list[TimeSeriesLook]:
    """Claim the profile days that are to be looked at, the longest due first, until the transaction ends."""
    query = (
        TIME_SERIES_LOOK.select()
        .where(_LOOK.c.due_at <= now)
        .order_by(_LOOK.c.due_at, _LOOK.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return TIME_SERIES_LOOK.fetch(connection, query)


def next_look(connection: Connection) -> datetime | None:
    """Return when the next profile day is to be looked at."""
    at: datetime | None = connection.execute(select(func.min(_LOOK.c.due_at))).scalar()
    return at


def look_by(connection: Connection, looks: Collection[TimeSeriesLook]) -> None:
    """Make profile days due at these instants, unless they are so before."""
    names = TIME_SERIES_LOOK.names
    rows = [tuple(getattr(look, name) for name in names) for look in looks]
    insert_rows(connection, _LOOK, names, rows, key=TimeSeriesLook.KEY, merged=_SOONER)


def try_refused(connection: Connection, day: date, *, now: datetime) -> None:
    """Make due the days of this date of which SAP has refused values, as if it had not."""
    table = TIME_SERIES_DAY.table
    refused = connection.execute(
        update(table)
        .where(_IS_REFUSED, table.c.day == day)
        .values(refusals=0)
        .returning(table.c.sender_system, table.c.time_series_id)
    ).all()
    looks = [TimeSeriesLook(sender_system=row[0], time_series_id=row[1], day=day, due_at=now) for row in refused]
    look_by(connection, looks)


def uploads_due(connection: Connection, operation: Operation, *, limit: int) -> list[TimeSeriesUpload]:
    """Claim uploads to be sent in one way, of each profile the oldest, until the transaction ends.

    One only: SAP's confirmation tells the items of a message apart by the profile.
    """
    return TIME_SERIES_UPLOAD.fetch(connection, _uploads_due(operation), {"most": limit})


@cache
def _uploads_due(operation: Operation) -> Any:
    """Return the query of `uploads_due`; it is asked so often that making it anew costs more than its answer."""
    oldest = select(func.min(_UPLOAD.c.id)).where(UPLOAD_IS_DUE, _UPLOAD.c.operation == operation).group_by(*_profile())
    return (
        TIME_SERIES_UPLOAD.select()
        .where(UPLOAD_IS_DUE, _UPLOAD.c.operation == operation, _UPLOAD.c.id.in_(oldest))
        .order_by(_UPLOAD.c.id)
        .limit(bindparam("most", type_=Integer))
        .with_for_update(skip_locked=True)
    )


def days_under_way(connection: Connection, days: Collection[ProfileDayKey]) -> set[ProfileDayKey]:
    """Return those of the profile days, by key, of which an upload has no outcome yet."""
    columns = [_UPLOAD.c[name] for name in TimeSeriesDay.KEY]
    query = select(*columns).where(_IS_OPEN, among(connection, columns, days)).distinct()
    return {(row[0], row[1], row[2]) for row in connection.execute(query)}


def newest_numbers(connection: Connection, profiles: Collection[ProfileKey]) -> dict[ProfileKey, int]:
    """Return the number of the newest upload of each profile that has one."""
    columns = _profile()
    query = select(*columns, func.max(_UPLOAD.c.number)).where(among(connection, columns, profiles)).group_by(*columns)
    return {(str(row[0]), str(row[1])): int(row[2]) for row in connection.execute(query)}


class Silent(NamedTuple):
    """An upload that SAP has taken and not answered.

    `message_id` may be sent again, None when SAP has answered it or another part of it: it takes it no second time.
    """

    upload: TimeSeriesUpload
    message_id: int | None


def silent_uploads(
    connection: Connection, *, services: Collection[str], sent_before: datetime, limit: int
) -> list[Silent]:
    """Claim uploads whose message SAP took before an instant (business time) and has not answered for them.

    `services` are the names of those that send uploads.
    """
    number = cast(_UPLOAD.c.number, Text)
    beside = ITEM.alias()
    is_answered = exists().where(beside.c.message_id == MESSAGE.c.id, beside.c.status == ItemStatus.ANSWERED)
    query = (
        select(
            *(_UPLOAD.c[name] for name in TIME_SERIES_UPLOAD.names),
            MESSAGE.c.id,
            and_(MESSAGE.c.status == MessageStatus.DELIVERED, ~is_answered),
        )
        .join(
            ITEM,
            and_(
                ITEM.c.key == _UPLOAD.c.time_series_id + "/" + number,
                ITEM.c.service.in_(sorted(services)),
                ITEM.c.sender_system == _UPLOAD.c.sender_system,
                ITEM.c.direction == "out",
            ),
        )
        .join(MESSAGE, MESSAGE.c.id == ITEM.c.message_id)
        .where(
            _IS_SENT,
            MESSAGE.c.status.in_([MessageStatus.DELIVERED, MessageStatus.CONFIRMED]),
            MESSAGE.c.ended_at <= sent_before,
        )
        .order_by(_UPLOAD.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True, of=_UPLOAD)
    )
    names = TIME_SERIES_UPLOAD.names
    return [
        Silent(
            upload=TimeSeriesUpload(**dict(zip(names, row, strict=False))),
            message_id=row[-2] if row[-1] else None,
        )
        for row in connection.execute(query)
    ]


def _profile() -> list[Column[str]]:
    return [_UPLOAD.c[name] for name in _PROFILE]
