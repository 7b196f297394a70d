"""The figures of each day as rows, and how they are counted: each reads one day of something, by an index."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Final

import numpy as np
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Date,
    Float,
    Index,
    Table,
    Text,
    UniqueConstraint,
    and_,
    delete,
    func,
    literal_column,
    or_,
    select,
)

from mdus.domain.channel import MISSING, day_grid
from mdus.domain.interval_block import Layer
from mdus.domain.kpi import Kpi, KpiName, Part, quantiles
from mdus.domain.meter_reading_document import DocumentStatus
from mdus.domain.working_time import WorkingCalendar
from mdus.storage.facts import EXCEPTION_CASE
from mdus.storage.figures import first_since
from mdus.storage.interval_block import CHANNEL, INTERVAL_BLOCK, QUALITY_SET
from mdus.storage.mapping import METADATA, Identity64
from mdus.storage.meter_reading_document import METER_READING_DOCUMENT
from mdus.storage.paging import sender_systems
from mdus.storage.reading import METER_READING
from mdus.storage.registry import END_DEVICE
from mdus.storage.rows import insert_rows

KPI_DAY = Table(
    "kpi_day",
    METADATA,
    Column("id", Identity64, primary_key=True, autoincrement=True),
    Column("day", Date, nullable=False),  # of the installation
    Column("name", Text, nullable=False),
    Column("labels", Text, nullable=False),  # JSON, the names in order
    Column("value", Float, nullable=False),
    UniqueConstraint("day", "name", "labels", name="kpi_day_key"),
    Index("kpi_day_name", "name", "day"),
)

_CASE, _CHANNEL, _DEVICE = EXCEPTION_CASE.table, CHANNEL.table, END_DEVICE.table
_BLOCK, _READING = INTERVAL_BLOCK, METER_READING.table

# In the words of the partial indexes.
_IS_CURRENT: Final[ColumnElement[bool]] = literal_column("interval_block.is_current")
_IS_REVISED: Final[ColumnElement[bool]] = literal_column(
    "interval_block.is_current AND (interval_block.version > 1 OR interval_block.cause = 'late'"
    " OR interval_block.layer = 'final')"
)

#: The instants at which a day begins and ends.
Span = tuple[datetime, datetime]
#: The sender system and the head end of devices.
HeadEndKey = tuple[str, str]

#: What has become of orders that MDUS has answered: not those that a person has, nor those without a value.
_ANSWERED: Final = (
    DocumentStatus.READ,
    DocumentStatus.RESULT_SENT,
    DocumentStatus.CONFIRMED,
    DocumentStatus.REJECTED,
)

#: Rows a quantile is taken of, the newest.
_SAMPLE: Final = 20_000
_AT_ONCE: Final = 2_000


def write_kpis(connection: Connection, kpis: Collection[Kpi], *, day: date, names: Collection[KpiName]) -> None:
    """Store a day's figures in the place of those of the same names."""
    table = KPI_DAY
    connection.execute(delete(table).where(table.c.day == day, table.c.name.in_(sorted(names))))
    rows = [(kpi.day, kpi.name.value, json.dumps(dict(sorted(kpi.labels.items()))), float(kpi.value)) for kpi in kpis]
    insert_rows(connection, table, ("day", "name", "labels", "value"), rows)


def kpis(connection: Connection, *, name: str | None, since: date, until: date, limit: int) -> Iterator[Kpi]:
    """Yield the figures of days, both included, by name, labels and day."""
    table = KPI_DAY
    query = select(table).where(table.c.day >= since, table.c.day <= until)
    if name is not None:
        query = query.where(table.c.name == name)
    for row in connection.execute(query.order_by(table.c.name, table.c.labels, table.c.day).limit(limit)):
        yield Kpi(day=row.day, name=KpiName(row.name), labels=json.loads(row.labels), value=row.value)


def newest_kpis(connection: Connection, name: KpiName) -> list[Kpi]:
    """Return the figures of a name of the newest day that has them."""
    table = KPI_DAY
    newest = select(func.max(table.c.day)).where(table.c.name == name.value).scalar_subquery()
    rows = connection.execute(select(table).where(table.c.name == name.value, table.c.day == newest))
    return [Kpi(day=row.day, name=name, labels=json.loads(row.labels), value=row.value) for row in rows]


# -- cases ------------------------------------------------------------------------------------------------------------


def case_kpis(connection: Connection, *, day: date, span: Span, calendar: WorkingCalendar) -> list[Kpi]:
    """Return the figures of cases of a day: open at its end, opened and closed in it, and how old."""
    begins, ends = span
    was_open = and_(_CASE.c.opened_at < ends, or_(_CASE.c.closed_at.is_(None), _CASE.c.closed_at >= ends))
    is_line = _CASE.c.group_id.is_(None)
    labels = (_CASE.c.kind, func.coalesce(_CASE.c.team, ""), func.coalesce(_CASE.c.age_class, ""))
    found = [
        Kpi(day=day, name=KpiName.OPEN_CASES, labels={"kind": kind, "team": team, "age_class": age}, value=count)
        for kind, team, age, count in connection.execute(
            select(*labels, func.count()).where(was_open, is_line).group_by(*labels)
        )
    ]
    lately = or_(_CASE.c.closed_at.is_(None), _CASE.c.closed_at >= begins)
    counted = {
        KpiName.CASES_OPENED: (lately, _CASE.c.opened_at >= begins, _CASE.c.opened_at < ends),
        KpiName.CASES_CLOSED: (_CASE.c.closed_at >= begins, _CASE.c.closed_at < ends),
    }
    for name, conditions in counted.items():
        query = select(_CASE.c.kind, func.count()).where(*conditions).group_by(_CASE.c.kind)
        found += [
            Kpi(day=day, name=name, labels={"kind": kind}, value=count) for kind, count in connection.execute(query)
        ]
    opened = connection.scalars(select(_CASE.c.opened_at).where(was_open, is_line)).all()
    ages = quantiles([float(calendar.age_in_days(at, ends - timedelta(microseconds=1))) for at in opened])
    found += [
        Kpi(day=day, name=KpiName.CASE_AGE_DAYS, labels={"quantile": name}, value=age) for name, age in ages.items()
    ]
    return found


# -- values -----------------------------------------------------------------------------------------------------------


def completeness(connection: Connection, day: date) -> dict[str, Part]:
    """Return by head end how many intervals of a day have a value, of all that its channels have."""
    in_books = and_(
        _DEVICE.c.sender_system == _CHANNEL.c.sender_system, _DEVICE.c.device_id == _CHANNEL.c.device_id, _in_books(day)
    )
    block = and_(_BLOCK.c.channel_id == _CHANNEL.c.id, _BLOCK.c.day == day, _BLOCK.c.layer == Layer.RAW, _IS_CURRENT)
    head_end = func.coalesce(_DEVICE.c.head_end, "")
    grid = (head_end, _CHANNEL.c.interval_minutes, _CHANNEL.c.time_zone)
    query = (
        select(*grid, func.count(), func.coalesce(func.sum(_BLOCK.c.present), 0))
        .select_from(_CHANNEL.join(_DEVICE, in_books).outerjoin(_BLOCK, block))
        .group_by(*grid)
    )
    present: dict[str, int] = defaultdict(int)
    expected: dict[str, int] = defaultdict(int)
    for name, minutes, zone, channels, count in connection.execute(query):
        present[name] += int(count)
        expected[name] += channels * day_grid(day, minutes, zone).count
    return {name: Part(count=present[name], of=expected[name]) for name in expected}


def estimated_values(connection: Connection, day: date) -> dict[str, Part]:
    """Return by sender system how many final interval values of a day are estimated, of all that are fit to bill."""
    marks = np.array(_estimated_marks(connection), dtype=np.uint16)
    made: dict[str, int] = defaultdict(int)
    values: dict[str, int] = defaultdict(int)
    query = (
        select(_CHANNEL.c.sender_system, _BLOCK.c["values"], _BLOCK.c.qualities)
        .join(_CHANNEL, _CHANNEL.c.id == _BLOCK.c.channel_id)
        .where(_BLOCK.c.day == day, _BLOCK.c.layer == Layer.FINAL, _IS_CURRENT)
    )
    for row in connection.execution_options(yield_per=_AT_ONCE).execute(query):
        present = np.frombuffer(row[1], dtype="<i8") != MISSING
        values[row.sender_system] += int(present.sum())
        made[row.sender_system] += int((np.isin(np.frombuffer(row.qualities, dtype="<u2"), marks) & present).sum())
    return {system: Part(count=made[system], of=values[system]) for system in values}


def head_ends_of(connection: Connection, day: date) -> set[HeadEndKey]:
    """Return where meters are that sender systems have in their books on a day; "" where a meter has no head end."""
    key = (_DEVICE.c.sender_system, func.coalesce(_DEVICE.c.head_end, ""))
    return {(row[0], row[1]) for row in connection.execute(select(*key).where(_in_books(day)).distinct())}


def _in_books(day: date) -> ColumnElement[bool]:
    return and_(_DEVICE.c.valid_from <= day, or_(_DEVICE.c.valid_to.is_(None), _DEVICE.c.valid_to > day))


def estimated_reads(connection: Connection, span: Span) -> tuple[dict[HeadEndKey, Part], set[HeadEndKey]]:
    """Return how many reading orders of SAP's have an estimate, of all answered ones whose window closed in a span.

    Also return where others are still awaited, so that more of them may be estimated.
    """
    document = METER_READING_DOCUMENT.table
    head_end = func.coalesce(_DEVICE.c.head_end, "")
    awaited = func.count().filter(document.c.status == DocumentStatus.ORDERED)
    of_device = and_(_DEVICE.c.sender_system == document.c.sender_system, _DEVICE.c.device_id == document.c.device_id)
    query = (
        select(document.c.sender_system, head_end, func.count(document.c.estimate), func.count(), awaited)
        .select_from(document.outerjoin(_DEVICE, of_device))
        .where(
            document.c.sender_system.in_(sender_systems(connection, document)),  # for the index that begins with it
            document.c.window_until >= span[0],
            document.c.window_until < span[1],
            document.c.status.in_((*_ANSWERED, DocumentStatus.ORDERED)),
            document.c.client.is_(None),
        )
        .group_by(document.c.sender_system, head_end)
    )
    rows = connection.execute(query).all()
    parts = {(row[0], row[1]): Part(count=row[2], of=row[3] - row[4]) for row in rows if row[3] > row[4]}
    return parts, {(row[0], row[1]) for row in rows if row[4]}


def _estimated_marks(connection: Connection) -> list[int]:
    """Return the array elements whose sets of qualities say that a value is estimated (category 8)."""
    rows = connection.execute(select(QUALITY_SET.c.id, QUALITY_SET.c.codes))
    return [row.id for row in rows if any(code.split(".")[1] == "8" for code in row.codes.split())]


def reading_seconds(connection: Connection, span: Span) -> list[float]:
    """Return from what register readings were measured until they were stored, of the newest stored in a span."""
    first = first_since(connection, _READING.c.received_at, span[0])
    query = (
        select(_READING.c.measured_at, _READING.c.received_at)
        .where(_READING.c.id >= first, _READING.c.received_at < span[1])
        .order_by(_READING.c.id.desc())
        .limit(_SAMPLE)
    )
    return [(row.received_at - row.measured_at).total_seconds() for row in connection.execute(query)]


def billing_ready_seconds(connection: Connection, span: Span) -> list[float]:
    """Return from the ends of days until their values were fit to bill, of first final versions written in a span."""
    query = (
        select(_BLOCK.c.day, _BLOCK.c.written_at, _CHANNEL.c.interval_minutes, _CHANNEL.c.time_zone)
        .join(_CHANNEL, _CHANNEL.c.id == _BLOCK.c.channel_id)
        .where(
            _IS_REVISED,
            _BLOCK.c.layer == Layer.FINAL,
            _BLOCK.c.version == 1,
            _BLOCK.c.written_at >= span[0],
            _BLOCK.c.written_at < span[1],
        )
        .order_by(_BLOCK.c.written_at.desc())
        .limit(_SAMPLE)
    )
    return [
        (row.written_at - day_grid(row.day, row.interval_minutes, row.time_zone).end).total_seconds()
        for row in connection.execute(query)
    ]


def value_kpis(connection: Connection, *, day: date, span: Span) -> tuple[list[Kpi], Mapping[str, Part]]:
    """Return the figures of the values of a day, and by sender system what is estimated of its final ones."""
    estimated = estimated_values(connection, day)
    shares = {
        (KpiName.COMPLETENESS, "head_end"): completeness(connection, day),
        (KpiName.ESTIMATED_SHARE, "sender_system"): estimated,
    }
    found = [
        Kpi(day=day, name=name, labels={label: of}, value=part.share)
        for (name, label), parts in shares.items()
        for of, part in parts.items()
    ]
    durations: dict[KpiName, Sequence[float]] = {
        KpiName.READING_SECONDS: reading_seconds(connection, span),
        KpiName.BILLING_READY_SECONDS: billing_ready_seconds(connection, span),
    }
    found += [
        Kpi(day=day, name=name, labels={"quantile": quantile}, value=value)
        for name, seconds in durations.items()
        for quantile, value in quantiles(list(seconds)).items()
    ]
    return found, estimated


def read_kpis(connection: Connection, *, day: date, span: Span) -> tuple[list[Kpi], Mapping[HeadEndKey, Part]]:
    """Return the figures of the answers to reading orders of a day, and the parts of those of which none is awaited."""
    parts, awaited = estimated_reads(connection, span)
    settled = {key: part for key, part in parts.items() if key not in awaited}
    return shares_of_reads(KpiName.ESTIMATED_READS, parts, day=day), settled


def shares_of_reads(name: KpiName, parts: Mapping[HeadEndKey, Part], *, day: date) -> list[Kpi]:
    """Return parts of the answers to reading orders as figures of a day."""
    return [
        Kpi(day=day, name=name, labels={"sender_system": system, "head_end": head_end}, value=part.share)
        for (system, head_end), part in parts.items()
    ]
