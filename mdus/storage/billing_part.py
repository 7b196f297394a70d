"""The parts of days that determinants are added up from: a narrow row per channel and local day.

Numbers are little-endian int64 in the order of the day's recipe. A row is good as long as the final version that it was
made of is the current one, and as it was then; what is not good is not read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

import numpy as np
from sqlalchemy import BigInteger, Column, Connection, Date, Integer, LargeBinary, Table, and_, or_, select

from mdus.billing.tally import StoredParts
from mdus.domain.channel import Channel
from mdus.domain.interval_block import Layer
from mdus.storage.column_types import UtcInstant
from mdus.storage.interval_block import CHANNEL, INTERVAL_BLOCK, IS_CURRENT, IS_REVISED, channel_ids
from mdus.storage.keys import among
from mdus.storage.mapping import METADATA, AnyRow
from mdus.storage.rows import Values, insert_rows

BILLING_PART = Table(
    "billing_part",
    METADATA,
    Column("channel_id", BigInteger, primary_key=True, autoincrement=False),
    Column("day", Date, primary_key=True),  # local to the channel's zone
    Column("version", Integer, nullable=False),  # of the final block
    Column("recipe", BigInteger, nullable=False),  # how the values were parted
    Column("missing", Integer, nullable=False),
    Column("estimated", Integer, nullable=False),
    Column("suspect", Integer, nullable=False),
    Column("numbers", LargeBinary, nullable=False),
    Column("written_at", UtcInstant, nullable=False),
    sqlite_with_rowid=False,
)

_KEY: Final = ("channel_id", "day")
_COLUMNS: Final = ("version", "recipe", "missing", "estimated", "suspect", "numbers", "written_at")


#: When a final version was written, and its row.
Place = tuple[datetime, int]


def write_parts(
    connection: Connection, rows: Sequence[tuple[Channel, Values]], *, ids: Mapping[Channel, int] | None = None
) -> None:
    """Store parts of days in place of those there are; each row has the values of `day` and of the further columns.

    A caller that knows the rows of the channels saves a statement by saying so.
    """
    if ids is None:
        ids = channel_ids(connection, {channel for channel, _ in rows})
    content = [(ids[channel], *values) for channel, values in rows]
    insert_rows(connection, BILLING_PART, (*_KEY, *_COLUMNS), content, key=_KEY, replaced=_COLUMNS)


def stored_parts(connection: Connection, channels: Collection[Channel], start: date, end: date) -> StoredParts:
    """Return the good parts of channels' days from `start` to before `end`; two statements."""
    table, block, ids = BILLING_PART, INTERVAL_BLOCK, channel_ids(connection, channels)
    names = ("channel_id", "day", "recipe", "missing", "estimated", "suspect", "numbers")
    query = (
        select(*(table.c[name] for name in names))
        .join(
            block,
            and_(
                block.c.channel_id == table.c.channel_id,
                block.c.day == table.c.day,
                block.c.layer == Layer.FINAL,
                IS_CURRENT,
                block.c.version == table.c.version,
                block.c.written_at == table.c.written_at,
            ),
        )
        .where(
            among(connection, [table.c.channel_id], [(number,) for number in ids.values()]),
            table.c.day >= start,
            table.c.day < end,
        )
        .order_by(table.c.channel_id, table.c.day)
    )
    columns = list(zip(*connection.execute(query), strict=True)) if ids else []
    if not columns:
        columns = [()] * len(names)
    owners = np.array(columns[0], dtype=np.int64)
    spans = {}
    for channel, number in ids.items():
        first, last = np.searchsorted(owners, (number, number + 1))
        spans[channel] = slice(int(first), int(last))
    return StoredParts(
        spans=spans,
        days=np.array([day.toordinal() for day in columns[1]], dtype=np.int64),
        recipes=np.array(columns[2], dtype=np.int64),
        missing=np.array(columns[3], dtype=np.int64),
        estimated=np.array(columns[4], dtype=np.int64),
        suspect=np.array(columns[5], dtype=np.int64),
        numbers=_numbers(columns[6]),
    )


def final_days(connection: Connection, *, since: datetime, after: Place | None = None, limit: int) -> Sequence[AnyRow]:
    """Return days whose final version was written at an instant or later, with the device of their channel.

    In the order of `Place`; `after` is that of the last one of the page before.
    """
    block, channel = INTERVAL_BLOCK, CHANNEL.table
    query = (
        select(block.c.written_at, block.c.id, block.c.day, channel.c.sender_system, channel.c.device_id)
        .join(channel, channel.c.id == block.c.channel_id)
        .where(IS_REVISED, block.c.layer == Layer.FINAL, block.c.written_at >= since)
        .order_by(block.c.written_at, block.c.id)
        .limit(limit)
    )
    if after is not None:
        at, number = after
        query = query.where(block.c.written_at >= at, or_(block.c.written_at > at, block.c.id > number))
    return connection.execute(query).all()


def _numbers(texts: Sequence[bytes]) -> Any:
    """Return the numbers of rows as one array, filled up with zeros to the longest."""
    by_width: dict[int, list[int]] = {}
    for place, text in enumerate(texts):
        by_width.setdefault(len(text) // 8, []).append(place)
    numbers = np.zeros((len(texts), max(by_width, default=0)), dtype=np.int64)
    for width, places in by_width.items():
        told = np.frombuffer(b"".join([texts[place] for place in places]), dtype="<i8")
        numbers[places, :width] = told.reshape(len(places), width)
    return numbers
