"""What is stored of meters beside others: channels that measure the same in an area, and what days of channels hold."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, Column, Connection, and_, func, or_, select

from mdus.domain.channel import Channel
from mdus.domain.interval_block import IntervalBlock, Layer
from mdus.storage.interval_block import CHANNEL, INTERVAL_BLOCK, IS_CURRENT, block_of
from mdus.storage.keys import among, given
from mdus.storage.registry import DEVICE_LOCATION

_CHANNEL, _BLOCK, _PLACE = CHANNEL.table, INTERVAL_BLOCK, DEVICE_LOCATION.table

#: What channels of one kind have in common.
_KIND: Final = ("sender_system", "reading_type", "interval_minutes", "time_zone", "unit", "decimals")


class Surroundings(NamedTuple):
    """Channels of one kind at meters that hang in an area on a day."""

    sender_system: str
    reading_type: str
    interval_minutes: int
    time_zone: str
    unit: str
    decimals: int
    area: str
    day: date

    @classmethod
    def of(cls, channel: Channel, *, area: str, day: date) -> Surroundings:
        """Return those of a channel."""
        return cls(
            channel.sender_system,
            channel.reading_type,
            channel.interval_minutes,
            channel.time_zone,
            channel.unit,
            channel.decimals,
            area,
            day,
        )


def channels_around(
    connection: Connection, wanted: Collection[Surroundings], *, area: str, most: int, but: Collection[str] = ()
) -> dict[Surroundings, dict[int, Channel]]:
    """Return channels by the id of their row, `most` of each surroundings at most: those known longest.

    `area` names the column of a location that is the area; devices in `but` are left out. One statement.
    """
    if not wanted:
        return {}
    surroundings = list(wanted)
    kind = [_CHANNEL.c[name] for name in _KIND]
    columns: list[Column[Any]] = [Column("place", BigInteger), *kind, _PLACE.c[area], _PLACE.c.valid_from]
    place, *rest = given(connection, columns, [(number, *each) for number, each in enumerate(surroundings)])
    *of_kind, of_area, day = rest
    lives_there = and_(
        _PLACE.c[area] == of_area,
        _PLACE.c.sender_system == of_kind[0],
        _PLACE.c.valid_from <= day,
        or_(_PLACE.c.valid_to.is_(None), _PLACE.c.valid_to > day),
    )
    is_of_kind = and_(
        _CHANNEL.c.sender_system == _PLACE.c.sender_system,
        _CHANNEL.c.device_id == _PLACE.c.device_id,
        *(column == value for column, value in zip(kind, of_kind, strict=True)),
    )
    # A device that is told to hang in two places of an area has its channels once: they share a rank.
    rank = func.dense_rank().over(partition_by=place, order_by=_CHANNEL.c.id)
    found = select(place.label("place"), _CHANNEL.c.id, rank.label("rank")).where(lives_there, is_of_kind)
    if but:
        found = found.where(~among(connection, [_CHANNEL.c.device_id], [(each,) for each in sorted(but)]))
    ranked = found.subquery("ranked")
    names = CHANNEL.names
    query = (
        select(ranked.c.place, _CHANNEL.c.id, *(_CHANNEL.c[name] for name in names))
        .join(_CHANNEL, _CHANNEL.c.id == ranked.c.id)
        .where(ranked.c.rank <= most)
        .order_by(ranked.c.place, _CHANNEL.c.id)
    )
    around: dict[Surroundings, dict[int, Channel]] = {}
    for row in connection.execute(query):
        channel = Channel(**dict(zip(names, row[2:], strict=True)))
        around.setdefault(surroundings[row[0]], {})[row[1]] = channel
    return around


def days_of(
    connection: Connection, days: Collection[tuple[int, date]], channels: Mapping[int, Channel]
) -> dict[tuple[int, date], dict[Layer, IntervalBlock]]:
    """Return the current versions of days, by the id of their channel's row and by layer; one statement, none held."""
    if not days:
        return {}
    is_one = among(connection, [_BLOCK.c.channel_id, _BLOCK.c.day], sorted(days))
    found: dict[tuple[int, date], dict[Layer, IntervalBlock]] = {}
    for row in connection.execute(select(_BLOCK).where(is_one, IS_CURRENT)):
        blocks = found.setdefault((row.channel_id, row.day), {})
        blocks[row.layer] = block_of(row, channels[row.channel_id])
    return found
