"""The job `kpi_rollup`: the figures of the day before, kept in `kpi_day`; those of values also for the days before it.

Values come late and are estimated when they have not come: the figures of a day settle over the days after it. A case
is open for each sender system more of whose values are estimated than may be.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Final

from mdus.domain.kpi import ESTIMATED_SHARE_HIGH, KpiName, Part, is_too_much
from mdus.domain.local_time import day_start
from mdus.domain.working_time import WorkingCalendar
from mdus.settings import Settings
from mdus.storage import kpi
from mdus.storage.exception_case import keep_cases
from mdus.storage.kpi import EstimatedReads, Span, no_reads_estimated
from mdus.storage.session import Database

#: Days whose values are counted again.
_DAYS: Final = 3

_OF_CASES: Final = (
    KpiName.OPEN_CASES,
    KpiName.CASES_OPENED,
    KpiName.CASES_CLOSED,
    KpiName.CASE_AGE_DAYS,
)
_OF_VALUES: Final = tuple(name for name in KpiName if name not in _OF_CASES)
_DAY: Final = timedelta(days=1)


def run(
    database: Database,
    *,
    settings: Settings,
    now: datetime,
    day: date,
    estimated_reads: EstimatedReads = no_reads_estimated,
) -> str:
    """Count what the days before a business date were like and keep it; returns how much there was."""
    calendar, zone = WorkingCalendar.of(settings), settings.time_zone
    yesterday = day - _DAY
    with database.read() as uow:
        cases = kpi.case_kpis(uow.connection, day=yesterday, span=_span(yesterday, zone), calendar=calendar)
    with database.begin() as uow:
        kpi.write_kpis(uow.connection, cases, day=yesterday, names=_OF_CASES)
    count, shares = len(cases), dict[str, tuple[date, Part]]()
    for before in reversed(range(_DAYS)):
        one = yesterday - before * _DAY
        with database.read() as uow:
            values, estimated = kpi.value_kpis(
                uow.connection, day=one, span=_span(one, zone), estimated_reads=estimated_reads
            )
        with database.begin() as uow:
            kpi.write_kpis(uow.connection, values, day=one, names=_OF_VALUES)
        # The newest day of which there is something fit to bill.
        shares |= {system: (one, part) for system, part in estimated.items() if part.of}
        count += len(values)
    percent = settings.exceptions.estimated_percent
    found = {
        (ESTIMATED_SHARE_HIGH, system): f"{100 * part.share:.1f} % of the values of {system} of {on} are estimated "
        f"({part.count} of {part.of}); {percent:g} % may be"
        for system, (on, part) in shares.items()
        if is_too_much(part, percent=percent)
    }
    with database.begin() as uow:
        kept = keep_cases(uow.connection, [ESTIMATED_SHARE_HIGH], found, now=now)
    return f"{count} figures of {yesterday} and {_DAYS - 1} days before; {kept}"


def _span(day: date, zone: str) -> Span:
    return day_start(day, zone=zone), day_start(day + _DAY, zone=zone)
