"""Verdicts on register readings, and the readings that others are judged by."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Column, ColumnElement, Connection, and_, exists, select

from mdus.domain.reading import MeterReading
from mdus.domain.reading_verdict import Judgement, ReadingVerdict
from mdus.storage.keys import given_later, told
from mdus.storage.mapping import AnyRow, ValueTable
from mdus.storage.reading import METER_READING

READING_VERDICT = ValueTable(ReadingVerdict, "reading_verdict")

_READING, _VERDICT = METER_READING.table, READING_VERDICT.table


class Stretch(NamedTuple):
    """Instants of the channel of a register: from `since` on, before `before`."""

    sender_system: str
    device_id: str
    reading_type: str
    since: datetime
    before: datetime


def newest_in(connection: Connection, stretches: Sequence[Stretch]) -> dict[int, MeterReading]:
    """Return the newest reading of each stretch, by its place, that is not held as suspect; one statement."""
    return _ends_of(connection, stretches, newest=True)


def oldest_in(connection: Connection, stretches: Sequence[Stretch]) -> dict[int, MeterReading]:
    """Return the oldest reading of each stretch, by its place, that is not held as suspect; one statement."""
    return _ends_of(connection, stretches, newest=False)


def _ends_of(connection: Connection, stretches: Sequence[Stretch], *, newest: bool) -> dict[int, MeterReading]:
    if not stretches:
        return {}
    query, like = _ending(connection.dialect.name, newest)
    rows = [(place, *stretch) for place, stretch in enumerate(stretches)]
    found = METER_READING.fetch_beside(connection, query, parameters=told(connection, like, rows))
    return {place: reading for (place,), reading in found}


@cache
def _ending(dialect: str, newest: bool) -> tuple[Any, tuple[Column[Any], ...]]:
    """Return the query of `_ends_of`, and the columns that what it is given is like."""
    some = _READING.alias("some")
    at = _READING.c.measured_at
    like = (_READING.c.id, *(_READING.c[name] for name in ("sender_system", "device_id", "reading_type")), at, at)
    place, sender_system, device_id, reading_type, since, before = given_later(dialect, like)
    order = some.c.measured_at.desc() if newest else some.c.measured_at.asc()
    end = (
        select(some.c.id)
        .where(
            some.c.sender_system == sender_system,
            some.c.device_id == device_id,
            some.c.reading_type == reading_type,
            some.c.measured_at >= since,
            some.c.measured_at < before,
            ~_is_held(some),
        )
        .order_by(order, some.c.id.desc())  # of two rows for one instant the newer counts
        .limit(1)
        .scalar_subquery()
    )
    ends = select(place.label("place"), end.label("reading_id")).subquery("ends")
    query = select(ends.c.place, *(_READING.c[name] for name in METER_READING.names)).join(
        _READING, _READING.c.id == ends.c.reading_id
    )
    return query, like


def _is_held(reading: Any) -> ColumnElement[bool]:
    return exists().where(_is_on(reading), _VERDICT.c.judgement == Judgement.SUSPECT)


def _is_on(reading: Any) -> ColumnElement[bool]:
    """Tie verdicts to the readings they are on."""
    return and_(*(_VERDICT.c[name] == reading.c[name] for name in MeterReading.KEY))


def reading_of(connection: Connection, reading_id: int) -> MeterReading | None:
    """Return the reading of a row."""
    query = METER_READING.select().where(_READING.c.id == reading_id)
    return next(iter(METER_READING.fetch(connection, query)), None)


def verdicts_on(connection: Connection, rows: Sequence[AnyRow]) -> list[ReadingVerdict | None]:
    """Return the verdict on each of some rows of readings, in their order; one statement."""
    keys = [tuple(getattr(row, name) for name in MeterReading.KEY) for row in rows]
    found = {verdict.key: verdict for verdict in READING_VERDICT.read(connection, MeterReading.KEY, keys)}
    return [found.get(key) for key in keys]
