"""What months of billing leave in a database: determinants of each device's periods, and the figures of each day."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Final

from sqlalchemy import Table, text

from mdus.billing.determinant import DeterminantStatus, VersionCause
from mdus.domain.kpi import KpiName
from mdus.storage.determinant import DETERMINANT
from mdus.storage.kpi import KPI_DAY
from mdus.storage.rows import insert_rows
from mdus.storage.session import Database
from tests.benchmarks.filled_rows import Size, system_of
from tests.benchmarks.landscape import Store
from tests.benchmarks.orders import OBIS

#: Monthly periods of each device, and days with figures.
_PERIODS: Final = 5
_DAYS: Final = 400
#: Labels that a figure of a day has.
_LABELS: Final = 8

_START: Final = date(2025, 9, 1)
_AT_ONCE: Final = 10_000

_DETERMINANT: Final = (
    "sender_system",
    "point_of_delivery_id",
    "period_from",
    "period_to",
    "reason",
    "reading_type",
    "name",
    "version",
    "is_newest",
    "quantity",
    "unit",
    "intervals",
    "missing",
    "estimated",
    "status",
    "cause",
    "made_at",
    "made_by",
)


def fill_figures(store: Store, size: Size) -> None:
    """This will make the determinants of each device's months, and the figures of 400 days."""
    database = Database(store.url)
    with closing(database):
        _fill(database, DETERMINANT, _DETERMINANT, _determinants(size))
        _fill(database, KPI_DAY, ("day", "name", "labels", "value"), _figures())
        if not database.is_sqlite:
            with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text("VACUUM ANALYZE determinant, kpi_day"))


def _fill(database: Database, table: Table, columns: tuple[str, ...], rows: Iterator[tuple[object, ...]]) -> None:
    with database.begin() as uow:
        while some := list(islice(rows, _AT_ONCE)):
            insert_rows(uow.connection, table, columns, some)


def _determinants(size: Size) -> Iterator[tuple[object, ...]]:
    """Yield the versions in the order in which they are made: month by month; one of a thousand is held."""
    for period in range(_PERIODS):
        begin, end = (_month(number) for number in (period, period + 1))
        made_at = datetime(end.year, end.month, 1, 3, tzinfo=UTC)
        for device in range(1, size.devices + 1):
            held = device % 1000 == period
            yield (
                system_of(device),
                f"{device:022}",
                begin,
                end,
                "month",
                OBIS,
                "total",
                1,
                True,
                Decimal(device % 1000),
                "KWH",
                2880,
                0,
                0,
                DeterminantStatus.HELD if held else DeterminantStatus.RELEASED,
                VersionCause.FIRST,
                made_at + timedelta(milliseconds=100 * device),
                "clock",
            )


def _figures() -> Iterator[tuple[object, ...]]:
    for day in range(_DAYS):
        for name in KpiName:
            for label in range(_LABELS):
                yield _START + timedelta(days=day), name, json.dumps({"label": f"{label}"}), float(day + label)


def _month(number: int) -> date:
    months = _START.month - 1 + number
    return date(_START.year + months // 12, months % 12 + 1, 1)
