"""Figures of the work list and of the newest days, as metrics tell them; each by an index of the open cases."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, func, literal_column, select

from mdus.domain.kpi import KpiName
from mdus.storage.exception_storm import open_storms
from mdus.storage.facts import CASE_IS_LISTED, EXCEPTION_CASE
from mdus.storage.kpi import newest_kpis

_CASE: Final = EXCEPTION_CASE.table
_IS_LISTED: Final[ColumnElement[bool]] = literal_column(CASE_IS_LISTED)

_Counts = dict[tuple[str, ...], float]


def work_list(connection: Connection) -> _Counts:
    """Count the lines of the work list by team and class of age."""
    return _counted(connection, "team", "age_class")


def overdue(connection: Connection, *, now: datetime) -> _Counts:
    """Count the lines that should be done by now, by team and severity."""
    return _counted(connection, "team", "severity", where=(_CASE.c.due_at <= now, _CASE.c.paused_at.is_(None)))


def oldest(connection: Connection, *, now: datetime) -> _Counts:
    """Return the seconds since the oldest line of each team was opened."""
    team = func.coalesce(_CASE.c.team, "")
    opened_at = func.min(_CASE.c.opened_at)
    rows = connection.execute(select(team, opened_at).where(_IS_LISTED).group_by(team))
    return {(row[0],): max(0.0, (now - row[1]).total_seconds()) for row in rows}


def storms(connection: Connection) -> _Counts:
    """Count the storms there are, by head end."""
    counts: _Counts = {}
    for storm in open_storms(connection):
        counts[(storm.head_end,)] = counts.get((storm.head_end,), 0) + 1
    return counts


def newest(connection: Connection, name: KpiName, *labels: str) -> _Counts:
    """Return the figures of a name of the newest day there are any of, by its labels."""
    return {tuple(kpi.labels[label] for label in labels): kpi.value for kpi in newest_kpis(connection, name)}


def _counted(connection: Connection, *names: str, where: tuple[ColumnElement[bool], ...] = ()) -> _Counts:
    labels: list[Any] = [_CASE.c[name] for name in names]
    rows = connection.execute(select(*labels, func.count()).where(_IS_LISTED, *where).group_by(*labels))
    return {tuple(str(value or "") for value in row[:-1]): row[-1] for row in rows}
