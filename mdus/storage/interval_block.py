"""Interval values: a row per channel, local day, layer and version, with its values in two arrays.

The current version of each layer is marked; older ones stay. A raw version that is written makes its day due for
validation. Arrays are little-endian int64 and uint16.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

import numpy as np
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Date,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    literal_column,
    select,
    text,
    update,
)

from mdus.domain.channel import MISSING, Channel
from mdus.domain.interval_block import Cause, Elements, IntervalBlock, Layer, Marks
from mdus.domain.reading_quality import QualitySet
from mdus.storage.column_types import EnumText, UtcInstant
from mdus.storage.keys import among, among_alike, given
from mdus.storage.mapping import METADATA, Identity64, ValueTable
from mdus.storage.rows import insert_alike, insert_rows, update_rows

CHANNEL = ValueTable(Channel, "channel", keep=True)

INTERVAL_BLOCK = Table(
    "interval_block",
    METADATA,
    Column("id", Identity64, primary_key=True, autoincrement=True),
    Column("channel_id", BigInteger, nullable=False),
    Column("day", Date, nullable=False),  # local to the channel's zone
    Column("layer", EnumText(Layer), nullable=False),
    Column("version", Integer, nullable=False),
    Column("is_current", Boolean, nullable=False),
    Column("values", LargeBinary, nullable=False),
    Column("qualities", LargeBinary, nullable=False),
    Column("present", Integer, nullable=False),  # how many intervals have a value
    Column("unfit", Text),  # JSON: position -> text of a value that the array cannot hold
    Column("used", Boolean, nullable=False),
    Column("written_at", UtcInstant, nullable=False),
    Column("written_by", Text, nullable=False),
    Column("cause", EnumText(Cause), nullable=False),
    Column("note", Text),
    # Of final versions only: what of the day is asked for without its values.
    Column("total", BigInteger),  # of the values there are
    Column("peak", BigInteger),  # the highest of them
    Column("estimated", Integer, nullable=False, default=0),
    Column("edited", Integer, nullable=False, default=0),
    Column("suspect", Integer, nullable=False, default=0),
    Column("basis", Text),  # JSON: what rules found, what estimates were made from
    UniqueConstraint("channel_id", "day", "layer", "version", name="interval_block_key"),
    Index(
        "interval_block_current",
        "channel_id",
        "day",
        "layer",
        unique=True,
        sqlite_where=text("is_current"),
        postgresql_where=text("is_current"),
    ),
    # The days of a channel, read without their values.
    Index(
        "interval_block_days",
        "channel_id",
        "day",
        "total",
        "peak",
        "present",
        "estimated",
        sqlite_where=text("is_current AND layer = 'final'"),
        postgresql_where=text("is_current AND layer = 'final'"),
    ),
    # Days that real values may still mend.
    Index(
        "interval_block_estimated",
        "id",
        "day",
        sqlite_where=text("is_current AND layer = 'final' AND estimated > 0"),
        postgresql_where=text("is_current AND layer = 'final' AND estimated > 0"),
    ),
    # What may have come after somebody had acted on the day: few rows, and not those that deliveries keep extending.
    Index(
        "interval_block_revised",
        "written_at",
        sqlite_where=text("is_current AND (version > 1 OR cause = 'late' OR layer = 'final')"),
        postgresql_where=text("is_current AND (version > 1 OR cause = 'late' OR layer = 'final')"),
    ),
)

#: The days of channels that are to be validated, and from when.
VALIDATION_LOOK = Table(
    "validation_look",
    METADATA,
    Column("channel_id", BigInteger, primary_key=True, autoincrement=False),
    Column("day", Date, primary_key=True),
    Column("due_at", UtcInstant, nullable=False),
    Index("validation_look_due_at", "due_at", "channel_id", "day"),
)

#: The sets of quality codes that array elements name; 0 is the empty set and no row.
QUALITY_SET = Table(
    "quality_set",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("codes", Text, nullable=False, unique=True),
)

IS_CURRENT: Final[ColumnElement[bool]] = literal_column("interval_block.is_current")
IS_REVISED: Final[ColumnElement[bool]] = literal_column(
    "interval_block.is_current AND (interval_block.version > 1 OR interval_block.cause = 'late'"
    " OR interval_block.layer = 'final')"
)
_BLOCK: Final = ("channel_id", "day", "layer", "version")
_CONTENT: Final = (
    "values",
    "qualities",
    "present",
    "unfit",
    "used",
    "written_at",
    "written_by",
    "cause",
    "note",
    "total",
    "peak",
    "estimated",
    "edited",
    "suspect",
    "basis",
)

#: A look that is due already stays due.
_SOONER: Final = {
    "due_at": "CASE WHEN validation_look.due_at < excluded.due_at THEN validation_look.due_at ELSE excluded.due_at END"
}

ChannelDay = tuple[Channel, date]


def channels_of(connection: Connection, devices: Collection[tuple[str, str]]) -> dict[Channel, int]:
    """Return all channels of devices, by (sender system, device id), each with its row."""
    table = CHANNEL.table
    return _rows_of(connection, [table.c.sender_system, table.c.device_id], devices) if devices else {}


def ensure_channels(connection: Connection, channels: Collection[Channel]) -> dict[Channel, int]:
    """Store channels that are not there yet; returns the row of each."""
    CHANNEL.write(connection, channels)
    return channel_ids(connection, channels)


def current_blocks(
    connection: Connection,
    days: Collection[ChannelDay],
    *,
    layer: Layer = Layer.RAW,
    lock: bool = False,
    ids: Mapping[Channel, int] | None = None,
) -> dict[ChannelDay, IntervalBlock]:
    """Return the current version of each of these channels' days that has one.

    One statement, and one more for the rows of the channels, where the caller does not know them (`ids`).
    """
    if not days:
        return {}
    if ids is None:
        ids = channel_ids(connection, {channel for channel, _ in days})
    table = INTERVAL_BLOCK
    keys: list[tuple[int, date, Layer]] = []
    by_id: dict[int, Channel] = {}
    for channel, day in days:
        number = ids.get(channel)
        if number is not None:
            by_id[number] = channel
            keys.append((number, day, layer))
    query = (
        select(*(table.c[name] for name in (*_BLOCK, *_CONTENT)))
        .where(among_alike(connection, [table.c.channel_id, table.c.day, table.c.layer], keys), IS_CURRENT)
        .order_by(table.c.channel_id, table.c.day)
    )
    found = connection.execute(query.with_for_update() if lock else query).all()
    return {(by_id[row.channel_id], row.day): block_of(row, by_id[row.channel_id]) for row in found}


def newest_blocks(connection: Connection, days: Collection[ChannelDay]) -> dict[ChannelDay, IntervalBlock]:
    """Return what counts of each of these channels' days: the final layer where there is one, else the raw."""
    return {**current_blocks(connection, days), **current_blocks(connection, days, layer=Layer.FINAL)}


def revised_days(
    connection: Connection, *, since: datetime, after: int = 0, limit: int
) -> list[tuple[int, Channel, date]]:
    """Return days that were written at an instant or later when somebody may have acted on them, or given them up.

    Each with the id of its row, in their order; `after` is the last one of the page before.
    """
    table, channel = INTERVAL_BLOCK, CHANNEL.table
    query = (
        select(table.c.id, table.c.day, *(channel.c[name] for name in CHANNEL.names))
        .join(channel, channel.c.id == table.c.channel_id)
        .where(IS_REVISED, table.c.written_at >= since, table.c.id > after)
        .order_by(table.c.id)
        .limit(limit)
    )
    return [(row_id, channel, day) for (row_id, day), channel in CHANNEL.fetch_beside(connection, query, 2)]


def write_blocks(
    connection: Connection,
    blocks: Sequence[IntervalBlock],
    *,
    ids: Mapping[Channel, int] | None = None,
    before: Mapping[ChannelDay, IntervalBlock] | None = None,
) -> None:
    """Store blocks as the current versions of their days: new versions beside the old, known ones in their place.

    A caller that holds the current versions of all these days (`before`, of the same layer), or knows the rows of the
    channels, saves a statement by saying so.
    """
    if not blocks:
        return
    if ids is None:
        ids = channel_ids(connection, {block.channel for block in blocks})
    days = [(ids[block.channel], block.day, block.layer) for block in blocks]
    if before is None:
        known = _versions(connection, days)
    else:
        held = ((day, before.get((block.channel, block.day))) for block, day in zip(blocks, days, strict=True))
        known = {day: one.version for day, one in held if one is not None}
    table = INTERVAL_BLOCK
    told = list(zip(blocks, days, _contents(blocks), strict=True))
    fresh = [each for each in told if known.get(each[1]) != each[0].version]
    replaced = [(False, *day, known[day]) for _, day, _ in fresh if day in known]
    update_rows(connection, table, ("is_current",), replaced, by=_BLOCK)
    rows = [(*day, block.version, True, *content) for block, day, content in fresh]
    insert_alike(connection, table, (*_BLOCK, "is_current", *_CONTENT), rows)
    same = [(*content, *day, block.version) for block, day, content in told if known.get(day) == block.version]
    update_rows(connection, table, _CONTENT, same, by=_BLOCK)
    raw = [(*day[:2], block.written_at) for block, day in zip(blocks, days, strict=True) if block.layer is Layer.RAW]
    look_by(connection, raw)


def look_by(connection: Connection, looks: Collection[tuple[int, date, datetime]]) -> None:
    """Make days of channels (by the id of their row) due for validation at these instants, unless they are before."""
    insert_alike(
        connection,
        VALIDATION_LOOK,
        ("channel_id", "day", "due_at"),
        sorted(looks),
        key=("channel_id", "day"),
        merged=_SOONER,
    )


def _versions(connection: Connection, days: Sequence[tuple[int, date, Layer]]) -> dict[tuple[int, date, Layer], int]:
    """Return the number of the current version of each day that has one."""
    table = INTERVAL_BLOCK
    stored = among_alike(connection, [table.c.channel_id, table.c.day, table.c.layer], days)
    query = select(table.c.channel_id, table.c.day, table.c.layer, table.c.version).where(stored, IS_CURRENT)
    return {(row.channel_id, row.day, row.layer): row.version for row in connection.execute(query).all()}


def note_used(connection: Connection, blocks: Collection[IntervalBlock]) -> None:
    """Note that somebody acted on these versions: what comes from now on makes new ones."""
    if not blocks:
        return
    ids = channel_ids(connection, {block.channel for block in blocks})
    keys = [(ids[block.channel], block.day, block.layer, block.version) for block in blocks]
    table = INTERVAL_BLOCK
    connection.execute(
        update(table).where(among(connection, [table.c[name] for name in _BLOCK], keys)).values(used=True)
    )


def note_used_days(connection: Connection, spans: Collection[tuple[Channel, date, date]]) -> None:
    """Note that somebody acted on the final versions of channels' days, half-open."""
    ids = channel_ids(connection, {channel for channel, _, _ in spans})
    rows = [(ids[channel], start, end) for channel, start, end in spans if channel in ids]
    if not rows:
        return
    table = INTERVAL_BLOCK
    channel_id, start, end = given(connection, [table.c.channel_id, table.c.day, table.c.day], rows)
    fresh = (
        select(table.c.id)
        .where(
            table.c.channel_id == channel_id,
            table.c.day >= start,
            table.c.day < end,
            table.c.layer == Layer.FINAL,
            IS_CURRENT,
            table.c.used.is_(False),
        )
        .order_by(table.c.channel_id, table.c.day)
        .with_for_update(of=table)
        .correlate(None)
    )
    connection.execute(update(table).where(table.c.id.in_(fresh)).values(used=True))


def quality_marks(connection: Connection, sets: Iterable[QualitySet]) -> dict[QualitySet, int]:
    """Return the array element of each set of qualities; a new set gets the next."""
    wanted = set(sets)
    named = {QualitySet(): 0} if QualitySet() in wanted else {}
    named |= _known_sets(connection, wanted - named.keys())
    unknown = sorted(wanted - named.keys(), key=str)
    if unknown:
        insert_rows(connection, QUALITY_SET, ("codes",), [(str(each),) for each in unknown], key=("codes",))
        named |= _known_sets(connection, set(unknown))
    return named


def qualities_of(connection: Connection, marks: Collection[int]) -> dict[int, QualitySet]:
    """Return the set of qualities of each array element."""
    table = QUALITY_SET
    rows = connection.execute(select(table.c.id, table.c.codes).where(table.c.id.in_(set(marks)))).all()
    return {0: QualitySet(), **{row.id: QualitySet(tuple(row.codes.split())) for row in rows}}


def _known_sets(connection: Connection, sets: Collection[QualitySet]) -> dict[QualitySet, int]:
    table = QUALITY_SET
    if not sets:
        return {}
    rows = connection.execute(select(table.c.id, table.c.codes).where(table.c.codes.in_([str(each) for each in sets])))
    return {QualitySet(tuple(row.codes.split())): row.id for row in rows}


def channel_ids(connection: Connection, channels: Collection[Channel]) -> dict[Channel, int]:
    """Return the row of each channel that has one."""
    if not channels:
        return {}
    table = CHANNEL.table
    columns = [table.c[name] for name in Channel.KEY]
    by_key = {channel.key: channel for channel in channels}
    query = select(table.c.id, *columns).where(among_alike(connection, columns, list(by_key)))
    return {by_key[tuple(row[1:])]: row.id for row in connection.execute(query).all()}


def _rows_of(
    connection: Connection, by: Sequence[Column[Any]], keys: Collection[tuple[Any, ...]]
) -> dict[Channel, int]:
    table = CHANNEL.table
    query = select(table.c.id, *(table.c[name] for name in CHANNEL.names)).where(among_alike(connection, by, keys))
    found = CHANNEL.fetch_beside(connection, query.order_by(table.c.id))
    return {channel: channel_id for (channel_id,), channel in found}


def _contents(blocks: Sequence[IntervalBlock]) -> list[tuple[Any, ...]]:
    """Return the values of the columns of `_CONTENT`, of each block; blocks of one length are counted as one array."""
    by_length: dict[int, list[int]] = {}
    for place, block in enumerate(blocks):
        by_length.setdefault(len(block.values), []).append(place)
    contents: list[tuple[Any, ...]] = [()] * len(blocks)
    for places in by_length.values():
        some = [blocks[place] for place in places]
        values = np.array([block.values for block in some], dtype="<i8")
        present = values != MISSING
        counts = present.sum(axis=1).tolist()
        totals, peaks = np.where(present, values, 0).sum(axis=1).tolist(), values.max(axis=1).tolist()
        for place, block, row, count, total, peak in zip(places, some, values, counts, totals, peaks, strict=True):
            has_sums = count and block.layer is Layer.FINAL
            contents[place] = (
                row.tobytes(),
                block.qualities.astype("<u2", copy=False).tobytes(),
                count,
                json.dumps(dict(block.unfit)) if block.unfit else None,
                block.used,
                block.written_at,
                block.written_by,
                block.cause,
                block.note,
                total if has_sums else None,
                peak if has_sums else None,
                block.estimated,
                block.edited,
                block.suspect,
                block.basis,
            )
    return contents


def elements_of(texts: Sequence[bytes]) -> Elements:
    """Return the values of stored arrays, one after the other."""
    return np.frombuffer(b"".join(texts), dtype="<i8")


def marks_of(texts: Sequence[bytes]) -> Marks:
    """Return the marks of stored arrays, one after the other."""
    return np.frombuffer(b"".join(texts), dtype="<u2")


def unfit_of(text_of: str) -> dict[int, str]:
    """Return what a day's array cannot hold, by position."""
    return {int(place): told for place, told in json.loads(text_of).items()}


def block_of(row: Any, channel: Channel) -> IntervalBlock:
    """Return the block that a row of the table holds."""
    return IntervalBlock(
        channel=channel,
        day=row.day,
        layer=row.layer,
        version=row.version,
        values=np.frombuffer(row.values, dtype="<i8"),
        qualities=np.frombuffer(row.qualities, dtype="<u2"),
        unfit=unfit_of(row.unfit) if row.unfit else {},
        used=row.used,
        written_at=row.written_at,
        written_by=row.written_by,
        cause=row.cause,
        note=row.note,
        estimated=row.estimated,
        edited=row.edited,
        suspect=row.suspect,
        basis=row.basis,
    )
