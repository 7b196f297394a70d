"""The worker that makes a work list of exception cases: whose each is and until when, and which have one cause.

```
route   claim (up to 500 unrouted) -> what each is about -> first rule that matches -> team, severity, due date
look    now and then: groups of one cause, storms, members that have left
```
One process does so at a time. Whoever opens a case writes kind, key and note, and knows nothing of this.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final

import structlog

from mdus.domain.clock import Clock
from mdus.domain.exception_grouping import GroupingRules
from mdus.domain.exception_routing import age_class, kinds_like
from mdus.domain.working_time import WorkingCalendar
from mdus.settings import Settings
from mdus.storage import exception_group as groups
from mdus.storage import exception_storm as storms
from mdus.storage import exception_work as work
from mdus.storage.exception_rules import rules_at
from mdus.storage.exception_subject import subjects_of
from mdus.storage.reconciliation import NEVER_HEARD, SILENT
from mdus.storage.session import Database, UnitOfWork
from mdus.workers.exception_grouping import close_answered, keep_groups, keep_storms

log = structlog.get_logger(__name__)

#: Cases routed in one turn: a transaction is short.
_AT_ONCE: Final = 500

#: Cases that end by themselves when their device is heard.
SILENT_KINDS: Final = (SILENT, NEVER_HEARD)


class ExceptionRouter:
    """Routes cases; `turn` returns how many, 0 when there was nothing to do.

    It looks for groups and storms every `look_seconds` of real time.
    """

    def __init__(
        self,
        *,
        database: Database,
        settings: Settings,
        clock: Clock,
        look_seconds: float = 5.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._calendar = settings.made(WorkingCalendar)
        self._rules = GroupingRules.of(settings)
        self._look_seconds = look_seconds
        self._monotonic = monotonic
        self._looked_at = float("-inf")

    def turn(self) -> int:
        """Route a batch of cases, and look now and then; returns how many were moved."""
        with self._database.read() as uow:
            is_any = work.is_any_unrouted(uow.connection)
        moved = self._route() if is_any else 0
        if self._monotonic() - self._looked_at >= self._look_seconds:
            moved += self._look()
            self._looked_at = self._monotonic()
        return moved

    def _route(self) -> int:
        now = self._clock.now()
        with self._database.begin() as uow:
            if not work.is_alone_in_routing(uow.connection):
                return 0
            return self._routed(uow, now=now)

    def _routed(self, uow: UnitOfWork, *, now: datetime) -> int:
        connection, settings = uow.connection, self._settings
        cases = work.unrouted(connection, limit=_AT_ONCE)
        subjects = subjects_of(connection, cases, area=settings.exceptions.area)
        for case_id, (head_end, area) in work.places_of(connection, subjects).items():
            subjects[case_id] = replace(subjects[case_id], head_end=head_end, area=area)
        version = rules_at(connection, settings, now)
        routed = {
            case.id: (
                subjects[case.id],
                version.rules.route(subjects[case.id], opened_at=case.opened_at, calendar=self._calendar),
            )
            for case in cases
        }
        youngest = age_class(0, settings.exceptions.age_class_days)
        work.note_routes(connection, routed, version=version.version, age_class=youngest, now=now)
        return len(cases)

    def _look(self) -> int:
        """Group what has one cause; returns how many cases were moved. Costs one query where nothing is open."""
        now = self._clock.now()
        with self._database.read() as uow:
            kinds = groups.open_kinds(uow.connection)
            is_stormy = bool(storms.open_storms(uow.connection))
        if not (kinds or is_stormy):
            return 0
        missing = kinds_like(kinds, self._settings.exceptions.missing_kinds)
        with self._database.begin() as uow:
            if not work.is_alone_in_routing(uow.connection):
                return 0
            moved = groups.close_reported(uow.connection, silent=SILENT_KINDS, now=now)
            moved += close_answered(uow, now=now)
            moved += keep_storms(uow, missing, self._rules, area=self._settings.exceptions.area, now=now)
            moved += keep_groups(uow, missing, self._rules, area=self._settings.exceptions.area, now=now)
        return moved
