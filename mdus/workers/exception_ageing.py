"""The job `exception_ageing`: how old the open cases are, in working days, and who gets those that are overdue.

A case that was not done when it was due is raised once: one severity higher, to the team its rule names for that, with
a new due date. Members of a group age with its one line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from mdus.domain.exception_routing import age_class
from mdus.domain.local_time import day_start, local_day
from mdus.domain.working_time import WorkingCalendar
from mdus.settings import Settings
from mdus.storage import exception_work as work
from mdus.storage.exception_rules import rules_at
from mdus.storage.session import Database

#: Cases raised in one transaction.
_AT_ONCE: Final = 500

_DAY: Final = timedelta(days=1)


def run(database: Database, *, settings: Settings, now: datetime) -> str:
    """Give every open case its class of age and raise those that are overdue; returns how many of each."""
    calendar = settings.made(WorkingCalendar)
    classes = list(_classes(settings.exceptions.age_class_days, calendar, now=now))
    with database.begin() as uow:
        aged = work.note_ages(uow.connection, classes)
    raised = 0
    while some := _raise(database, settings, calendar, now=now):
        raised += some
    return f"{aged} cases in another class of age, {raised} overdue and raised"


def _classes(
    bounds: Sequence[int], calendar: WorkingCalendar, *, now: datetime
) -> Iterator[tuple[datetime | None, str]]:
    """Yield the classes of age with the instant from which on cases opened are of it, the youngest first."""
    today = day = local_day(now, zone=calendar.zone)
    for bound in sorted(bounds):
        # Back to the first day whose cases are not older than so many working days.
        while calendar.working_days(day - _DAY, today) <= bound:
            day -= _DAY
        yield day_start(day, zone=calendar.zone), age_class(bound, bounds)
    yield None, age_class(max(bounds) + 1, bounds)


def _raise(database: Database, settings: Settings, calendar: WorkingCalendar, *, now: datetime) -> int:
    with database.begin() as uow:
        late = list(work.overdue(uow.connection, now=now, limit=_AT_ONCE))
        if late:
            rules = rules_at(uow.connection, settings, now).rules
            raised = {one.id: rules.escalated(one.subject, rule=one.rule, now=now, calendar=calendar) for one in late}
            work.note_escalated(uow.connection, raised, now=now)
    return len(late)
