"""Who looks after an exception case, how urgent it is and until when: by the first rule that it meets.

```
case -> what it is about (device, head end, area, commodity, reason) -> first rule that matches -> team, severity, due
```

The rules stand in config/exception_routing.toml until somebody has changed them; from then on in the database, a set
per version, each in force from an instant on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from mdus.domain.working_time import WorkingCalendar
from mdus.settings import Section
from mdus.settings.shapes import TableRow

#: Where no rule matches: nobody's case must not be nobody's.
DEFAULT_TEAM: Final = "operations"
_DEFAULT_DUE_DAYS: Final = 5


class Severity(StrEnum):
    """How urgent a case is."""

    LOW = "low"  # when there is time
    NORMAL = "normal"  # in the course of the work
    HIGH = "high"  # before all else of the day
    CRITICAL = "critical"  # at once

    @property
    def raised(self) -> Severity:
        """Return the next higher one; beyond the highest there is none."""
        members = list(Severity)
        return members[min(members.index(self) + 1, len(members) - 1)]


class CaseState(StrEnum):
    """How far people are with an open case; a closed one has none of these."""

    OPEN = "open"  # nobody works on it
    IN_WORK = "in_work"
    WAITING = "waiting"  # for somebody else: a part, a technician, a customer


_Glob = Annotated[str, Field(min_length=1, max_length=200)]
_Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]{0,59}$")]


class RoutingRule(TableRow):
    """A rule: what a case has to be like, and what becomes of it. `*` and `?` stand for other characters.

    What a rule does not state matches everything. Rules are asked by their `place`, those of one place as they stand.
    `of_severity` matches a case that has been raised because it was
    overdue; every case begins as normal.
    """

    name: _Name
    place: Annotated[int, Field(ge=0, le=10_000)] = 100
    kind: _Glob = "*"
    head_end: _Glob | None = None
    area: _Glob | None = None
    commodity: _Glob | None = None
    reading_reason: _Glob | None = None
    device: _Glob | None = None
    of_severity: Severity | None = None
    team: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,59}$")]
    severity: Severity = Severity.NORMAL
    due_hours: Annotated[int, Field(ge=1, le=1000)] | None = None
    due_days: Annotated[int, Field(ge=0, le=250)] | None = None
    escalate_to: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,59}$")] | None = None

    @model_validator(mode="after")
    def _one_due(self) -> Self:
        if (self.due_hours is None) == (self.due_days is None):
            raise ValueError("state due_hours or due_days")
        return self

    def matches(self, subject: Subject) -> bool:
        """Tell whether a case is one of those meant."""
        wanted = (
            (self.kind, subject.kind),
            (self.head_end, subject.head_end),
            (self.area, subject.area),
            (self.commodity, subject.commodity),
            (self.reading_reason, subject.reading_reason),
            (self.device, subject.device_id),
        )
        if self.of_severity is not None and self.of_severity is not subject.severity:
            return False
        return all(pattern is None or (value is not None and fnmatchcase(value, pattern)) for pattern, value in wanted)

    def due(self, opened_at: datetime, calendar: WorkingCalendar) -> datetime:
        """Return until when a case is to be done."""
        if self.due_hours is not None:
            return calendar.after_hours(opened_at, self.due_hours)
        return calendar.after_days(opened_at, self.due_days or 0)


class RuleSet(Section):
    """Rules of which the first that matches counts."""

    rules: tuple[RoutingRule, ...]

    @property
    def in_order(self) -> list[RoutingRule]:
        """Return the rules as they are asked."""
        return sorted(self.rules, key=lambda rule: rule.place)

    @model_validator(mode="after")
    def _different_names(self) -> Self:
        names = [rule.name for rule in self.rules]
        if len(set(names)) < len(names):
            raise ValueError("each rule has a name of its own")
        return self

    def route(self, subject: Subject, *, opened_at: datetime, calendar: WorkingCalendar) -> Route:
        """Return who is to do what until when about a case."""
        rule = next((each for each in self.in_order if each.matches(subject)), None)
        if rule is None:
            due = calendar.after_days(opened_at, _DEFAULT_DUE_DAYS)
            return Route(rule=None, team=DEFAULT_TEAM, severity=subject.severity, due_at=due)
        return Route(rule=rule.name, team=rule.team, severity=rule.severity, due_at=rule.due(opened_at, calendar))

    def escalated(self, subject: Subject, *, rule: str | None, now: datetime, calendar: WorkingCalendar) -> Route:
        """Return what becomes of a case that is overdue: raised by one, to the team its rule or a further one names.

        It gets a new due date, counted from now.
        """
        raised = replace(subject, severity=subject.severity.raised)
        was = next((each for each in self.rules if each.name == rule), None)
        special = next((each for each in self.in_order if each.of_severity is not None and each.matches(raised)), None)
        if special is not None:
            severity = max(special.severity, raised.severity, key=list(Severity).index)
            return Route(rule=special.name, team=special.team, severity=severity, due_at=special.due(now, calendar))
        due_at = calendar.after_days(now, 1) if was is None else was.due(now, calendar)
        team = subject.team if was is None or was.escalate_to is None else was.escalate_to
        return Route(rule=rule, team=team or DEFAULT_TEAM, severity=raised.severity, due_at=due_at)


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What a case is about, as far as it is known."""

    kind: str
    sender_system: str | None = None
    device_id: str | None = None
    point_of_delivery_id: str | None = None
    head_end: str | None = None
    area: str | None = None
    commodity: str | None = None
    reading_reason: str | None = None
    severity: Severity = Severity.NORMAL
    team: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """Who looks after a case, how urgent it is, until when, and by which rule (None: none matches)."""

    rule: str | None
    team: str
    severity: Severity
    due_at: datetime


def age_class(days: int, bounds: Sequence[int]) -> str:
    """Return the class of an age in working days: `0-1`, `2-5`, `over_5` of the bounds 1 and 5."""
    low = 0
    for bound in sorted(bounds):
        if days <= bound:
            return f"{low}-{bound}"
        low = bound + 1
    return f"over_{max(bounds)}"


def kinds_like(kinds: Iterable[str], patterns: Iterable[str]) -> list[str]:
    """Return those kinds that one of the patterns matches."""
    wanted = tuple(patterns)
    return sorted({kind for kind in kinds if any(fnmatchcase(kind, pattern) for pattern in wanted)})
