"""What validation of interval values works from: which days are to be looked at, what their channels did before.

A day is looked at when raw values of it were written, and again when an instant comes at which more can be said of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    case,
    delete,
    exists,
    func,
    literal_column,
    or_,
    select,
)

from mdus.domain.channel import Channel
from mdus.domain.end_device import SwitchState
from mdus.domain.interval_block import IntervalBlock, Layer
from mdus.storage.end_device_event import END_DEVICE_EVENT
from mdus.storage.interval_block import CHANNEL, INTERVAL_BLOCK, VALIDATION_LOOK, block_of, look_by
from mdus.storage.keys import among, among_alike, given_in_order
from mdus.storage.mapping import AnyRow
from mdus.storage.reading import METER_READING
from mdus.storage.registry import END_DEVICE, END_DEVICE_STATUS, REGISTER

_LOOK: Final = VALIDATION_LOOK

#: Asked so often that making it anew costs more than its answer.
_NEXT_DUE: Final = select(func.min(_LOOK.c.due_at))
_BLOCK: Final = INTERVAL_BLOCK

# In the very words of the partial index: SQLite uses one for nothing else.
_IS_FINAL: Final[ColumnElement[bool]] = literal_column("interval_block.is_current AND interval_block.layer = 'final'")
_IS_ESTIMATED: Final[ColumnElement[bool]] = literal_column(
    "interval_block.is_current AND interval_block.layer = 'final' AND interval_block.estimated > 0"
)
_IS_CURRENT: Final[ColumnElement[bool]] = literal_column("interval_block.is_current")


#: What of a register says how its readings become values of a channel.
KIND: Final = ("reading_type", "unit", "total_digits", "fraction_digits", "factor", "recurrence_code")

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
    """What the final versions of some days of a channel show: their total, how many they are, most of a day, peak.

    `measured_on` is the last of them without an estimate, None where each has one.
    """

    total: int
    days: int
    most: int
    peak: int
    measured_on: date | None


class ToldDay(NamedTuple):
    """The arrays of a day's raw version as they are stored, and what they cannot hold (JSON, None without)."""

    values: bytes
    qualities: bytes
    unfit: str | None


class PastDay(NamedTuple):
    """The arrays of a final version as they are stored; `place` is that of the span its day is in."""

    place: int
    day: date
    values: bytes
    qualities: bytes


class FieldStatus(NamedTuple):
    """What the field told of a device: since when it is disconnected, and its head end's own record of it."""

    disconnected_since: datetime | None
    provisioned_at: datetime | None
    told_at: datetime | None
    is_another: bool  # the head end has the meter as another device
    factors: tuple[tuple[str, str], ...] | None
    clock_offset_seconds: Decimal | None


class Counted(NamedTuple):
    """A register on a day of its device, half-open in local time, by what readings of it are told as."""

    sender_system: str
    device_id: str
    reading_type: str
    start: datetime
    end: datetime


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
    return [Look(channel_id, found, day) for (channel_id, day), found in CHANNEL.fetch_beside(connection, query, 2)]


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
    return {channel_id: found for (channel_id,), found in CHANNEL.fetch_beside(connection, query)}


def days_told(connection: Connection, days: Collection[tuple[int, date]], *, layer: Layer) -> set[tuple[int, date]]:
    """Return those of the days, by the id of their channel's row, that have a version in a layer."""
    keys = [(channel_id, day, layer) for channel_id, day in sorted(days)]
    is_one = among_alike(connection, [_BLOCK.c.channel_id, _BLOCK.c.day, _BLOCK.c.layer], keys)
    rows = connection.execute(select(_BLOCK.c.channel_id, _BLOCK.c.day).where(is_one, _IS_CURRENT))
    return {(row[0], row[1]) for row in rows}


def next_due(connection: Connection) -> datetime | None:
    """Return when the next day is to be looked at."""
    at: datetime | None = connection.scalar(_NEXT_DUE)
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
    found = connection.execute(query.with_for_update() if lock else query).all()
    return {(row.channel_id, row.day): block_of(row, channels[row.channel_id]) for row in found}


def told_days(
    connection: Connection, days: Collection[tuple[int, date]], *, lock: bool = True
) -> dict[tuple[int, date], ToldDay]:
    """Return the current raw versions of days, by the id of their channel's row; held until the transaction ends."""
    if not days:
        return {}
    keys = [(channel_id, day, Layer.RAW) for channel_id, day in sorted(days)]
    query = (
        select(_BLOCK.c.channel_id, _BLOCK.c.day, *(_BLOCK.c[name] for name in ToldDay._fields))
        .where(among_alike(connection, [_BLOCK.c.channel_id, _BLOCK.c.day, _BLOCK.c.layer], keys), _IS_CURRENT)
        .order_by(_BLOCK.c.channel_id, _BLOCK.c.day)
    )
    found = connection.execute(query.with_for_update() if lock else query).all()
    return {(channel_id, day): ToldDay(*told) for channel_id, day, *told in found}


def past_days(connection: Connection, spans: Sequence[Span]) -> list[PastDay]:
    """Return the final versions of spans of days."""
    if not spans:
        return []
    place, is_within = _spans(connection, spans)
    query = select(place, _BLOCK.c.day, _BLOCK.c["values"], _BLOCK.c.qualities).where(is_within, _IS_FINAL)
    return [PastDay(*row) for row in connection.execute(query).all()]


def usages(connection: Connection, spans: Sequence[Span]) -> dict[int, Usage]:
    """Return what spans of days show by their final versions, by the place of the span; without the values' arrays."""
    if not spans:
        return {}
    place, is_within = _spans(connection, spans)
    query = (
        select(
            place,
            func.sum(_BLOCK.c.total),
            func.count(),
            func.max(_BLOCK.c.total),
            func.max(_BLOCK.c.peak),
            func.max(_BLOCK.c.day).filter(_BLOCK.c.estimated == 0),
        )
        .where(is_within, _IS_FINAL, _BLOCK.c.total.is_not(None))
        .group_by(place)
    )
    return {row[0]: Usage(int(row[1]), *row[2:]) for row in connection.execute(query).all()}


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
    return {row[0]: row[1] for row in connection.execute(query).all()}


def registers_of(connection: Connection, devices: Collection[tuple[str, str]]) -> Sequence[AnyRow]:
    """Return the registers of devices, by (sender system, device id), the first known first: their span and kind."""
    columns = [REGISTER.table.c[name] for name in ("sender_system", "device_id", "valid_from", "valid_to", *KIND)]
    is_of = among(connection, columns[:2], devices)
    return connection.execute(select(*columns).where(is_of).order_by(REGISTER.table.c.id)).all()


def readings_at_ends(connection: Connection, counted: Sequence[Counted]) -> Sequence[AnyRow]:
    """Return what registers showed at both ends of days: (place, instant, value, unit) of each reading.

    Of several for one instant the newest row comes last.
    """
    if not counted:
        return ()
    reading = METER_READING.table
    key = (reading.c.sender_system, reading.c.device_id, reading.c.reading_type)
    at = reading.c.measured_at
    place, *named, start, end = given_in_order(connection, [*key, at, at], counted)
    is_one = (column == value for column, value in zip(key, named, strict=True))
    query = select(place, at, reading.c.value, reading.c.unit).where(*is_one, at.in_([start, end]))
    return connection.execute(query.order_by(reading.c.id)).all()


def not_in_books(connection: Connection, days: Sequence[tuple[str, str, date]]) -> list[int]:
    """Return the places of those (sender system, device id, day) on which SAP has the device not in its books.

    Devices that SAP has told nothing of are not among them.
    """
    device = END_DEVICE.table
    columns = [device.c.sender_system, device.c.device_id]
    place, *key, day = given_in_order(connection, [*columns, device.c.valid_from], days)
    is_one = (column == value for column, value in zip(columns, key, strict=True))
    return list(
        connection.scalars(select(place).where(*is_one, or_(device.c.valid_from > day, device.c.valid_to <= day)))
    )


def field_statuses(connection: Connection, devices: Sequence[tuple[str, str]]) -> dict[int, FieldStatus]:
    """Return what the field told of devices, by (sender system, device id), by place; of those it told something of.

    That is: they are disconnected, or their head end told what a day can be held against.
    """
    status = END_DEVICE_STATUS.table
    columns = [status.c.sender_system, status.c.device_id]
    place, *key = given_in_order(connection, columns, devices)
    is_one = (column == value for column, value in zip(columns, key, strict=True))
    is_off = and_(status.c.switch_state == SwitchState.DISCONNECTED, status.c.switch_state_at.is_not(None))
    is_other = status.c.told_device_id != status.c.device_id
    is_told = or_(is_other, status.c.told_factors.is_not(None), status.c.clock_offset_seconds.is_not(None))
    query = select(
        place,
        case((is_off, status.c.switch_state_at)),
        status.c.provisioned_at,
        status.c.told_at,
        case((is_other, True), else_=False),
        status.c.told_factors,
        status.c.clock_offset_seconds,
    ).where(*is_one, or_(is_off, is_told))
    return {number: FieldStatus(*told) for number, *told in connection.execute(query).all()}


def power_events(
    connection: Connection, spans: Sequence[tuple[str, str, datetime, datetime]]
) -> dict[int, list[tuple[datetime, bool]]]:
    """Return when devices told in half-open spans of instants that their supply failed (True) or came back.

    Spans are (sender system, device id, start, end); by the place of the span, oldest first.
    """
    if not spans:
        return {}
    event = END_DEVICE_EVENT.table
    columns = [event.c.sender_system, event.c.device_id, event.c.at, event.c.at]
    place, sender_system, device_id, start, end = given_in_order(connection, columns, spans)
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
    for number, at, event_type in connection.execute(query).all():
        found.setdefault(number, []).append((at, event_type.endswith(_POWER_FAILED.lstrip("%"))))
    return found


def channels_of(connection: Connection, devices: Collection[tuple[str, str]]) -> dict[int, Channel]:
    """Return the channels of devices, by the id of their row."""
    table = CHANNEL.table
    is_of = among(connection, [table.c.sender_system, table.c.device_id], devices)
    query = select(table.c.id, *(table.c[name] for name in CHANNEL.names)).where(is_of)
    return {channel_id: channel for (channel_id,), channel in CHANNEL.fetch_beside(connection, query)}


def look_at_final(connection: Connection, days: Collection[tuple[int, date]], *, due_at: datetime) -> None:
    """Make those days of channels (by the id of their row) due that have final values."""
    if not days:
        return
    keys = [(channel_id, day, Layer.FINAL) for channel_id, day in sorted(days)]
    is_one = among(connection, [_BLOCK.c.channel_id, _BLOCK.c.day, _BLOCK.c.layer], keys)
    found = connection.execute(select(_BLOCK.c.channel_id, _BLOCK.c.day).where(is_one, _IS_CURRENT))
    look_by(connection, [(row.channel_id, row.day, due_at) for row in found])


def look_at_others(
    connection: Connection,
    devices: Collection[tuple[str, str]],
    *,
    holds: timedelta,
    empty: timedelta,
    due_at: datetime,
) -> None:
    """Make days of those devices (sender system, device id) due that their head end has had as other ones till now.

    Of each that are its final days from `holds` before it was told so last, and those without any value from `empty`
    before, the longer of both: of nights before that. Devices that were provisioned since are not among them.
    """
    status, channel = END_DEVICE_STATUS.table, CHANNEL.table
    columns = [status.c.sender_system, status.c.device_id]
    query = (
        select(channel.c.id, status.c.told_at)
        .join(channel, and_(channel.c.sender_system == columns[0], channel.c.device_id == columns[1]))
        .where(
            among(connection, columns, devices),
            status.c.told_device_id != status.c.device_id,
            or_(status.c.provisioned_at.is_(None), status.c.provisioned_at <= status.c.told_at),
        )
    )
    # A day more: somewhere on earth it is still the day before.
    spans = [
        (channel_id, *((told_at - before - timedelta(days=1)).date() for before in (holds, empty)))
        for channel_id, told_at in connection.execute(query).all()
    ]
    if not spans:
        return
    _, channel_id, since, since_empty = given_in_order(connection, [_BLOCK.c.channel_id, *[_BLOCK.c.day] * 2], spans)
    is_one = and_(
        _BLOCK.c.channel_id == channel_id,
        _BLOCK.c.day >= since_empty,
        or_(_BLOCK.c.day >= since, _BLOCK.c.total.is_(None)),
    )
    found = connection.execute(select(_BLOCK.c.channel_id, _BLOCK.c.day).where(is_one, _IS_FINAL))
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
    looks = [(row[0], row[1], due_at) for row in connection.execute(query).all()]
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
    return [
        (row_id, channel_id, found, day)
        for (row_id, channel_id, day), found in CHANNEL.fetch_beside(connection, query, 3)
    ]


def _spans(connection: Connection, spans: Sequence[Span]) -> tuple[ColumnElement[int], ColumnElement[bool]]:
    """Return the place of each span as a column, and the condition that joins its days to it.

    Days that all spans share, as those of one day's validation do, go to the database once.
    """
    columns = [_BLOCK.c.channel_id, _BLOCK.c.day, _BLOCK.c.day]
    place, channel_id, first, before = given_in_order(connection, columns, spans)
    return place, and_(_BLOCK.c.channel_id == channel_id, _BLOCK.c.day >= first, _BLOCK.c.day < before)
