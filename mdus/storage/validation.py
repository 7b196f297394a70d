"""What validation of interval values works from: which days are to be looked at, what their channels did before.

A day is looked at when raw values of it were written, and again when an instant comes at which more can be said of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    and_,
    delete,
    exists,
    func,
    literal_column,
    or_,
    select,
)

from mdus.domain.channel import Channel
from mdus.domain.interval_block import IntervalBlock, Layer
from mdus.storage.end_device_event import END_DEVICE_EVENT
from mdus.storage.interval_block import CHANNEL, INTERVAL_BLOCK, VALIDATION_LOOK, block_of, look_by
from mdus.storage.keys import among, among_alike, given

_LOOK: Final = VALIDATION_LOOK
_BLOCK: Final = INTERVAL_BLOCK

# In the very words of the partial index: SQLite uses one for nothing else.
_IS_FINAL: Final[ColumnElement[bool]] = literal_column("interval_block.is_current AND interval_block.layer = 'final'")
_IS_ESTIMATED: Final[ColumnElement[bool]] = literal_column(
    "interval_block.is_current AND interval_block.layer = 'final' AND interval_block.estimated > 0"
)
_IS_CURRENT: Final[ColumnElement[bool]] = literal_column("interval_block.is_current")


#: Of IEC 61968-9 event types (device.domain.subdomain.event): the supply failed, and came back.
_POWER_FAILED: Final = "%.26.0.85"
_POWER_RESTORED: Final = "%.26.0.216"


class Look(NamedTuple):
    """A day of a channel that is to be looked at."""

    channel_id: int
    channel: Channel
    day: date


class Span(NamedTuple):
    """Days of a channel, half-open."""

    channel_id: int
    first: date
    before: date


class Usage(NamedTuple):
    """What the final versions of some days of a channel show: their total, how many they are, most of a day, peak."""

    total: int
    days: int
    most: int
    peak: int


def due(connection: Connection, *, now: datetime, limit: int) -> list[Look]:
    """Claim the days that are to be looked at, the longest due first, until the transaction ends."""
    channel = CHANNEL.table
    query = (
        select(_LOOK.c.channel_id, _LOOK.c.day, *(channel.c[name] for name in CHANNEL.names))
        .join(channel, channel.c.id == _LOOK.c.channel_id)
        .where(_LOOK.c.due_at <= now)
        .order_by(_LOOK.c.due_at, _LOOK.c.channel_id, _LOOK.c.day)
        .limit(limit)
        .with_for_update(of=_LOOK, skip_locked=True)
    )
    names = CHANNEL.names
    return [
        Look(row[0], Channel(**dict(zip(names, row[2:], strict=True))), row[1]) for row in connection.execute(query)
    ]


def channels(
    connection: Connection, *, systems: Collection[str] | None = None, devices: Collection[str] = ()
) -> dict[int, Channel]:
    """Return channels by the id of their row, in its order; of some sender systems and devices only."""
    channel = CHANNEL.table
    query = select(channel.c.id, *(channel.c[name] for name in CHANNEL.names)).order_by(channel.c.id)
    if systems is not None:
        query = query.where(channel.c.sender_system.in_(sorted(systems)))
    if devices:
        query = query.where(among_alike(connection, [channel.c.device_id], [(each,) for each in devices]))
    names = CHANNEL.names
    return {row[0]: Channel(**dict(zip(names, row[1:], strict=True))) for row in connection.execute(query)}


def days_told(connection: Connection, days: Collection[tuple[int, date]], *, layer: Layer) -> set[tuple[int, date]]:
    """Return those of the days, by the id of their channel's row, that have a version in a layer."""
    keys = [(channel_id, day, layer) for channel_id, day in sorted(days)]
    is_one = among_alike(connection, [_BLOCK.c.channel_id, _BLOCK.c.day, _BLOCK.c.layer], keys)
    rows = connection.execute(select(_BLOCK.c.channel_id, _BLOCK.c.day).where(is_one, _IS_CURRENT))
    return {(row[0], row[1]) for row in rows}


def next_due(connection: Connection) -> datetime | None:
    """Return when the next day is to be looked at."""
    at: datetime | None = connection.execute(select(func.min(_LOOK.c.due_at))).scalar()
    return at


def settle(connection: Connection, looks: Collection[Look], again: Collection[tuple[int, date, datetime]]) -> None:
    """End claimed looks; those that are to be taken again become due at their instants."""
    keys = [(look.channel_id, look.day) for look in looks]
    if keys:
        connection.execute(delete(_LOOK).where(among_alike(connection, [_LOOK.c.channel_id, _LOOK.c.day], keys)))
    look_by(connection, again)


def blocks_of(
    connection: Connection,
    days: Collection[tuple[int, date]],
    channels: Mapping[int, Channel],
    *,
    layer: Layer,
    lock: bool = True,
) -> dict[tuple[int, date], IntervalBlock]:
    """Return the current versions of days, by the id of their channel's row; held until the transaction ends."""
    if not days:
        return {}
    keys = [(channel_id, day, layer) for channel_id, day in sorted(days)]
    query = (
        select(_BLOCK)
        .where(among_alike(connection, [_BLOCK.c.channel_id, _BLOCK.c.day, _BLOCK.c.layer], keys), _IS_CURRENT)
        .order_by(_BLOCK.c.channel_id, _BLOCK.c.day)
    )
    found = connection.execute(query.with_for_update() if lock else query)
    return {(row.channel_id, row.day): block_of(row, channels[row.channel_id]) for row in found}


def final_blocks(
    connection: Connection, spans: Sequence[Span], channels: Mapping[int, Channel]
) -> dict[int, list[IntervalBlock]]:
    """Return the final versions of spans of days, by the place of the span, oldest first."""
    if not spans:
        return {}
    place, is_within = _spans(connection, spans)
    query = select(place, _BLOCK).where(is_within, _IS_FINAL).order_by(_BLOCK.c.day)
    found: dict[int, list[IntervalBlock]] = {}
    for row in connection.execute(query):
        found.setdefault(row[0], []).append(block_of(row, channels[row.channel_id]))
    return found


def usages(connection: Connection, spans: Sequence[Span]) -> dict[int, Usage]:
    """Return what spans of days show by their final versions, by the place of the span; without the values' arrays."""
    if not spans:
        return {}
    place, is_within = _spans(connection, spans)
    query = (
        select(place, func.sum(_BLOCK.c.total), func.count(), func.max(_BLOCK.c.total), func.max(_BLOCK.c.peak))
        .where(is_within, _IS_FINAL, _BLOCK.c.total.is_not(None))
        .group_by(place)
    )
    return {row[0]: Usage(int(row[1]), row[2], row[3], row[4]) for row in connection.execute(query)}


def last_days_without_estimates(connection: Connection, spans: Sequence[Span]) -> dict[int, date]:
    """Return of spans of days the last one whose final version has values and none estimated, by place."""
    if not spans:
        return {}
    place, is_within = _spans(connection, spans)
    query = (
        select(place, func.max(_BLOCK.c.day))
        .where(is_within, _IS_FINAL, _BLOCK.c.total.is_not(None), _BLOCK.c.estimated == 0)
        .group_by(place)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def power_events(
    connection: Connection, spans: Sequence[tuple[str, str, datetime, datetime]]
) -> dict[int, list[tuple[datetime, bool]]]:
    """Return when devices told in half-open spans of instants that their supply failed (True) or came back.

    Spans are (sender system, device id, start, end); by the place of the span, oldest first.
    """
    if not spans:
        return {}
    event = END_DEVICE_EVENT.table
    columns = [Column("place", BigInteger), event.c.sender_system, event.c.device_id, event.c.at, event.c.at]
    place, sender_system, device_id, start, end = given(
        connection, columns, [(number, *span) for number, span in enumerate(spans)]
    )
    query = (
        select(place, event.c.at, event.c.event_type)
        .where(
            event.c.sender_system == sender_system,
            event.c.device_id == device_id,
            event.c.at >= start,
            event.c.at < end,
            or_(event.c.event_type.like(_POWER_FAILED), event.c.event_type.like(_POWER_RESTORED)),
        )
        .order_by(event.c.at, event.c.id)
    )
    found: dict[int, list[tuple[datetime, bool]]] = {}
    for number, at, event_type in connection.execute(query):
        found.setdefault(number, []).append((at, event_type.endswith(_POWER_FAILED.lstrip("%"))))
    return found


def channels_of(connection: Connection, devices: Collection[tuple[str, str]]) -> dict[int, Channel]:
    """Return the channels of devices, by the id of their row."""
    table, names = CHANNEL.table, CHANNEL.names
    is_of = among(connection, [table.c.sender_system, table.c.device_id], devices)
    query = select(table.c.id, *(table.c[name] for name in names)).where(is_of)
    return {row[0]: Channel(**dict(zip(names, row[1:], strict=True))) for row in connection.execute(query)}


def look_at_final(connection: Connection, days: Collection[tuple[int, date]], *, due_at: datetime) -> None:
    """Make those days of channels (by the id of their row) due that have final values."""
    if not days:
        return
    keys = [(channel_id, day, Layer.FINAL) for channel_id, day in sorted(days)]
    is_one = among(connection, [_BLOCK.c.channel_id, _BLOCK.c.day, _BLOCK.c.layer], keys)
    found = connection.execute(select(_BLOCK.c.channel_id, _BLOCK.c.day).where(is_one, _IS_CURRENT))
    look_by(connection, [(row.channel_id, row.day, due_at) for row in found])


def look_again(
    connection: Connection, *, since: date, fits: Callable[[str], bool], but: str, due_at: datetime, limit: int
) -> int:
    """Make days due again whose channel's reading type fits and that another set's version wrote; returns how many.

    At most `limit`; `but` is who wrote the versions that are left alone.
    """
    channel = CHANNEL.table
    types = connection.scalars(select(channel.c.reading_type).distinct()).all()
    wanted = [reading_type for reading_type in types if fits(reading_type)]
    query = (
        select(_BLOCK.c.channel_id, _BLOCK.c.day)
        .join(channel, channel.c.id == _BLOCK.c.channel_id)
        .where(channel.c.reading_type.in_(wanted), _BLOCK.c.day >= since, _IS_FINAL, _BLOCK.c.written_by != but)
        .limit(limit)
    )
    looks = [(row[0], row[1], due_at) for row in connection.execute(query)]
    look_by(connection, looks)
    return len(looks)


def look_at_silent(connection: Connection, day: date, *, since: date, due_at: datetime) -> int:
    """Make a day due of every channel that told values since a date, and none of that day; returns how many."""
    other = _BLOCK.alias("other")
    told = exists().where(
        other.c.channel_id == CHANNEL.table.c.id, other.c.day == day, literal_column("other.is_current")
    )
    before = exists().where(
        _BLOCK.c.channel_id == CHANNEL.table.c.id,
        _BLOCK.c.day >= since,
        _BLOCK.c.day < day,
        _IS_FINAL,
        _BLOCK.c.total.is_not(None),
    )
    silent = [row.id for row in connection.execute(select(CHANNEL.table.c.id).where(~told, before))]
    look_by(connection, [(channel_id, day, due_at) for channel_id in silent])
    return len(silent)


def estimated_days(
    connection: Connection, *, since: date, before: date, after: int, limit: int
) -> list[tuple[int, int, Channel, date]]:
    """Return days, half-open, whose final version has estimates: (id of its row, of its channel, channel, day).

    In the order of their rows; `after` is the last one of the page before.
    """
    channel = CHANNEL.table
    query = (
        select(_BLOCK.c.id, _BLOCK.c.channel_id, _BLOCK.c.day, *(channel.c[name] for name in CHANNEL.names))
        .join(channel, channel.c.id == _BLOCK.c.channel_id)
        .where(_IS_ESTIMATED, _BLOCK.c.day >= since, _BLOCK.c.day < before, _BLOCK.c.id > after)
        .order_by(_BLOCK.c.id)
        .limit(limit)
    )
    names = CHANNEL.names
    return [
        (row[0], row[1], Channel(**dict(zip(names, row[3:], strict=True))), row[2]) for row in connection.execute(query)
    ]


def _spans(connection: Connection, spans: Sequence[Span]) -> tuple[ColumnElement[int], ColumnElement[bool]]:
    """Return the place of each span as a column, and the condition that joins its days to it.

    Days that all spans share, as those of one day's validation do, go to the database once.
    """
    number = Column("place", BigInteger)
    if len({(span.first, span.before) for span in spans}) == 1:
        columns: list[Column[int] | Column[date]] = [number, _BLOCK.c.channel_id]
        place, channel_id = given(connection, columns, [(row, span.channel_id) for row, span in enumerate(spans)])
        _, first, before = spans[0]
    else:
        columns = [number, _BLOCK.c.channel_id, _BLOCK.c.day, _BLOCK.c.day]
        place, channel_id, first, before = given(  # type: ignore[assignment]
            connection, columns, [(row, *span) for row, span in enumerate(spans)]
        )
    return place, and_(_BLOCK.c.channel_id == channel_id, _BLOCK.c.day >= first, _BLOCK.c.day < before)
