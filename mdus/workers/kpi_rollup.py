"""The job `kpi_rollup`: the figures of the day before, kept in `kpi_day`; those of values also for the days before it.

Values come late and are estimated when they have not come: the figures of a day settle over the days after it. A case
is open for each sender system more of whose interval values are estimated than may be, and for each head end more of
whose reading orders were answered by an estimate: on the days of which no order is awaited any more, for an estimate
answers an order days after its window closed, those that were read before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import date, datetime, timedelta
from typing import Final

from mdus.domain.kpi import ESTIMATED_READS_HIGH, ESTIMATED_SHARE_HIGH, KpiName, Part, is_too_much
from mdus.domain.local_time import day_start
from mdus.domain.working_time import WorkingCalendar
from mdus.settings import Settings
from mdus.storage import kpi
from mdus.storage.exception_case import Kept, keep_cases
from mdus.storage.kpi import HeadEndKey, Span
from mdus.storage.session import Database

#: Days whose values are counted again, and those whose reading orders are: an estimate is made after all attempts.
_DAYS: Final = 3
_DAYS_OF_READS: Final = 7

_OF_CASES: Final = (
    KpiName.OPEN_CASES,
    KpiName.CASES_OPENED,
    KpiName.CASES_CLOSED,
    KpiName.CASE_AGE_DAYS,
)
_OF_READS: Final = (KpiName.ESTIMATED_READS,)
_OF_SETTLED: Final = (KpiName.ESTIMATED_READS_SETTLED,)
_OF_VALUES: Final = tuple(name for name in KpiName if name not in (*_OF_CASES, *_OF_READS, *_OF_SETTLED))
_DAY: Final = timedelta(days=1)


def run(database: Database, *, settings: Settings, now: datetime, day: date) -> str:
    """Count what the days before a business date were like and keep it; returns how much there was."""
    calendar, zone = settings.made(WorkingCalendar), settings.time_zone
    yesterday = day - _DAY
    with database.read() as uow:
        cases = kpi.case_kpis(uow.connection, day=yesterday, span=_span(yesterday, zone), calendar=calendar)
    with database.begin() as uow:
        kpi.write_kpis(uow.connection, cases, day=yesterday, names=_OF_CASES)
    count, shares = len(cases), dict[str, tuple[date, Part]]()
    for one in _before(day, _DAYS):
        with database.read() as uow:
            values, estimated = kpi.value_kpis(uow.connection, day=one, span=_span(one, zone))
        with database.begin() as uow:
            kpi.write_kpis(uow.connection, values, day=one, names=_OF_VALUES)
        # The newest day of which there is something fit to bill.
        shares |= {system: (one, part) for system, part in estimated.items() if part.of}
        count += len(values)
    answers: dict[HeadEndKey, Part] = defaultdict(lambda: Part(count=0, of=0))
    for one in _before(day, _DAYS_OF_READS):
        with database.read() as uow:
            reads, settled = kpi.read_kpis(uow.connection, day=one, span=_span(one, zone))
        with database.begin() as uow:
            kpi.write_kpis(uow.connection, reads, day=one, names=_OF_READS)
        for key, part in settled.items():
            answers[key] += part
        count += len(reads)
    told = kpi.shares_of_reads(KpiName.ESTIMATED_READS_SETTLED, answers, day=yesterday)
    with database.begin() as uow:
        kpi.write_kpis(uow.connection, told, day=yesterday, names=_OF_SETTLED)
    count += len(told)
    with database.read() as uow:
        named = {"", *(row.name for row in settings.head_ends)}
        serving = {key for key in kpi.head_ends_of(uow.connection, yesterday) if key[1] in named}
    percent = settings.exceptions.estimated_percent
    kept = _keep_cases(database, shares, answers, serving, percent=percent, yesterday=yesterday, now=now)
    return f"{count} figures of {yesterday} and {_DAYS - 1} days before, of reading orders {_DAYS_OF_READS - 1}; {kept}"


def _before(day: date, count: int) -> list[date]:
    """Return the days before one, oldest first."""
    return [day - before * _DAY for before in range(count, 0, -1)]


def _keep_cases(
    database: Database,
    shares: Mapping[str, tuple[date, Part]],
    answers: Mapping[HeadEndKey, Part],
    serving: Collection[HeadEndKey],
    *,
    percent: float,
    yesterday: date,
    now: datetime,
) -> Kept:
    """Keep a case for each too large share.

    One of reading orders stays until later ones are better, or until its head end serves the sender system no more.
    """
    first = yesterday - (_DAYS_OF_READS - 1) * _DAY
    of_values = {
        (ESTIMATED_SHARE_HIGH, system): f"{100 * part.share:.1f} % of the values of {system} of {on} are estimated "
        f"({part.count} of {part.of}); {percent:g} % may be"
        for system, (on, part) in shares.items()
        if is_too_much(part, percent=percent)
    }
    of_reads = {
        (ESTIMATED_READS_HIGH, _key(key)): f"{100 * part.share:.1f} % of the readings that answered orders of {key[0]} "
        f"from {first} to {yesterday} are estimated ({part.count} of {part.of}{f', of {key[1]}' if key[1] else ''}); "
        f"{percent:g} % may be"
        for key, part in answers.items()
        if is_too_much(part, percent=percent)
    }
    with database.begin() as uow:
        unknown = {_key(key) for key in serving if key not in answers}
        return keep_cases(uow.connection, [ESTIMATED_SHARE_HIGH], of_values, now=now) + keep_cases(
            uow.connection, [ESTIMATED_READS_HIGH], of_reads, now=now, left=unknown
        )


def _key(of: HeadEndKey) -> str:
    """Return the key of a case of a sender system and a head end, of one where devices have none."""
    return "/".join(filter(None, of))


def _span(day: date, zone: str) -> Span:
    return day_start(day, zone=zone), day_start(day + _DAY, zone=zone)
