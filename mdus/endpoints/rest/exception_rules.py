"""The rules by which exception cases get their team, severity and due date: read, tried, and put in force."""

# Not `from __future__ import annotations`: FastAPI reads the annotations, and the dependencies are local names.

from collections import Counter
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, HTTPException, Query
from pydantic import AwareDatetime, BeforeValidator, ConfigDict, Field, ValidationError

from mdus.domain.access import Caller, Role
from mdus.domain.exception_routing import RoutingRule, RuleSet, Severity
from mdus.domain.working_time import WorkingCalendar
from mdus.endpoints.rest.access import Access
from mdus.endpoints.rest.mending import Reason
from mdus.endpoints.rest.paging import Instant
from mdus.endpoints.rest.problems import described
from mdus.endpoints.rest.reports import sound
from mdus.endpoints.rest.sent import Sent, instant, whole_number
from mdus.endpoints.rest.shapes import Shown
from mdus.endpoints.runtime import Runtime
from mdus.storage import exception_rules as rules
from mdus.storage import exception_work as work
from mdus.storage.audit import Deed
from mdus.storage.exception_rules import Version
from mdus.storage.mapping import AnyRow

_MOST_RULES: Final = 200
#: Cases a set is tried on; the newest.
_TRIED: Final = 20_000
_SHOWN: Final = 100

Days = Annotated[
    int,
    Field(ge=0, le=365, description="Also the cases closed in so many days before now."),
    BeforeValidator(whole_number),
]
Pattern = Annotated[str, Field(min_length=1, max_length=200)]
Team = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,59}$")]


def _whole(most: int, *, least: int = 0) -> Any:
    return Annotated[int, Field(ge=least, le=most), BeforeValidator(whole_number)]


class RuleSent(Sent):
    """A rule; what it does not state matches everything. It states `due_hours` or `due_days`."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]{0,59}$")]
    place: _whole(10_000) = 100  # type: ignore[valid-type]
    kind: Pattern = "*"
    head_end: Pattern | None = None
    area: Pattern | None = None
    commodity: Pattern | None = None
    reading_reason: Pattern | None = None
    device: Pattern | None = None
    of_severity: Severity | None = None
    team: Team
    severity: Severity = Severity.NORMAL
    due_hours: _whole(1000, least=1) | None = None  # type: ignore[valid-type]
    due_days: _whole(250) | None = None  # type: ignore[valid-type]
    escalate_to: Team | None = None


RulesSent = Annotated[list[RuleSent], Field(min_length=1, max_length=_MOST_RULES)]


class RuleShown(Shown):
    """A rule; what it does not state matches everything."""

    name: str
    place: int
    kind: str
    head_end: str | None
    area: str | None
    commodity: str | None
    reading_reason: str | None
    device: str | None
    of_severity: str | None
    team: str
    severity: str
    due_hours: int | None
    due_days: int | None
    escalate_to: str | None


class RulesVersion(Shown):
    """A set of rules in force from an instant on; version 0 is that of the configuration."""

    version: int
    valid_from: datetime
    made_at: datetime
    made_by: str
    reason: str
    rules: list[RuleShown]


class RulesTried(Sent):
    """A set of rules that is only tried."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"rules": [{"name": "all", "team": "operations", "due_days": 3}], "days": 30}]}
    )

    rules: RulesSent
    days: Days = 0


class RulesPut(Sent):
    """A set of rules to be put in force: at once, or from an instant to come."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"rules": [{"name": "all", "team": "operations", "due_days": 3}], "reason": "one team for all"}
            ]
        }
    )

    rules: RulesSent
    valid_from: Annotated[AwareDatetime | None, BeforeValidator(instant)] = None
    route_again: Annotated[
        bool, Field(strict=True, description="Route the open cases again that nobody has taken up.")
    ] = False
    reason: Reason


class RouteShown(Shown):
    """What a set would make of one case, and what was made of it."""

    kind: str
    case_key: str
    rule: str | None
    team: str
    severity: str
    due_at: datetime
    team_now: str | None
    severity_now: str | None


class TeamCount(Shown):
    """How many cases a team would have, and has."""

    team: str
    count: int
    count_now: int


class RulesPreview(Shown):
    """What a set would do with the cases it was tried on; `changed` are those of another team or severity than now."""

    cases: int
    changed: int
    unmatched: int
    teams: list[TeamCount]
    rules: dict[str, int]
    examples: list[RouteShown]


def add_exception_rules(router: APIRouter, runtime: Runtime, access: Access) -> None:
    """Add the routes to a router."""
    who, approver = Depends(access), Depends(access.at_least(Role.APPROVER))
    database, clock, settings = runtime.database, runtime.clock, runtime.settings

    @router.get("/exception-rules", tags=["exceptions"])
    def in_force(
        _: Annotated[Caller, who],
        at: Annotated[Instant | None, Query(description="In force at this instant; without, now.")] = None,
    ) -> RulesVersion:
        """Show the rules by which cases get their team, severity and due date."""
        with database.read() as uow:
            return _shown(rules.rules_at(uow.connection, settings, at or clock.now()))

    @router.get("/exception-rules/versions", tags=["exceptions"])
    def versions(
        _: Annotated[Caller, who],
        limit: Annotated[int, Query(ge=1, le=1000, description="Most versions, the newest.")] = 100,
    ) -> list[RulesVersion]:
        """List the sets of rules there are, the newest first, with who made each and why."""
        with database.read() as uow:
            return [_shown(each) for each in rules.versions(uow.connection, settings, limit=limit)]

    @router.post("/exception-rules/preview", tags=["exceptions"], responses=described(409))
    def preview(tried: RulesTried, _: Annotated[Caller, who]) -> RulesPreview:
        """Tell what a set would do with the open cases, and with those closed lately; nothing is changed."""
        made, now = _rules(tried.rules), clock.now()
        with database.read() as uow:
            rows = list(work.lately(uow.connection, since=None, limit=_TRIED))
            if tried.days:
                rows += work.lately(uow.connection, since=now - timedelta(days=tried.days), limit=_TRIED)
        return _preview(made, rows, calendar=settings.made(WorkingCalendar))

    @router.put("/exception-rules", tags=["exceptions"], responses=described(409))
    def put(order: RulesPut, caller: Annotated[Caller, approver]) -> RulesVersion:
        """Put a set of rules in force as a new version; cases that are routed already stay as they are."""
        if caller.systems is not None:
            raise HTTPException(403, f"Rules are for all sender systems, and {caller.name} acts for some only")
        made, now = _rules(order.rules), clock.now()
        valid_from = now if order.valid_from is None else sound(order.valid_from, at="body.valid_from")
        if valid_from < now:
            raise HTTPException(409, "body.valid_from: rules are never put in force for the past: leave it out for now")
        if order.route_again and valid_from > now:
            raise HTTPException(409, "body.route_again: cases are routed again at once: leave valid_from out")
        deed = Deed(who=caller.name, reason=order.reason)
        with database.begin() as uow:
            version = rules.put_in_force(uow.connection, made, deed, valid_from=valid_from, now=now)
            if order.route_again:
                work.route_again(uow.connection)
        return _shown(version)


def _rules(given: list[RuleSent]) -> RuleSet:
    """Return the rules that were sent; answers 409 with what is wrong with each, or with all together."""
    try:
        return RuleSet(rules=tuple(RoutingRule.model_validate(each.model_dump()) for each in given))
    except ValidationError as error:
        told = "; ".join(
            f"{'.'.join(map(str, ('body', 'rules', *one['loc'])))}: {one['msg']}" for one in error.errors()
        )
        raise HTTPException(409, f"{told}; docs/operations/exceptions.md has the members of a rule") from error


def _preview(made: RuleSet, rows: list[AnyRow], *, calendar: WorkingCalendar) -> RulesPreview:
    routed = [(row, made.route(work.subject_of(row), opened_at=row.opened_at, calendar=calendar)) for row in rows]
    would = Counter(route.team for _, route in routed)
    has = Counter(row.team for row, _ in routed if row.team is not None)
    changed = [(row, route) for row, route in routed if (row.team, row.severity) != (route.team, route.severity)]
    return RulesPreview(
        cases=len(routed),
        changed=len(changed),
        unmatched=sum(route.rule is None for _, route in routed),
        teams=[TeamCount(team=team, count=would[team], count_now=has[team]) for team in sorted({*would, *has})],
        rules={rule.name: sum(route.rule == rule.name for _, route in routed) for rule in made.in_order},
        examples=[
            RouteShown(
                kind=row.kind,
                case_key=row.case_key,
                rule=route.rule,
                team=route.team,
                severity=route.severity,
                due_at=route.due_at,
                team_now=row.team,
                severity_now=row.severity,
            )
            for row, route in changed[:_SHOWN]
        ],
    )


def _shown(version: Version) -> RulesVersion:
    return RulesVersion(
        version=version.version,
        valid_from=version.valid_from,
        made_at=version.made_at,
        made_by=version.made_by,
        reason=version.reason,
        rules=[RuleShown.model_validate(rule) for rule in version.rules.in_order],
    )
