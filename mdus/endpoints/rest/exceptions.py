"""What needs a human, as a work list: read by whoever may see it, changed by staff with a reason.

A group stands in the list as one line with the number of its members, which are had by `group`.
"""

# Not `from __future__ import annotations`: FastAPI reads the annotations, and the dependencies are local names.

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, HTTPException, Path, Query
from pydantic import AwareDatetime, BeforeValidator, ConfigDict, Field

from mdus.domain.access import Caller, Role
from mdus.domain.exception_grouping import STORM
from mdus.domain.exception_routing import CaseState, Severity
from mdus.endpoints.rest.access import HIDDEN, Access
from mdus.endpoints.rest.mending import Counted, Reason
from mdus.endpoints.rest.paging import DEFAULT, Cursor, Limit, Sorts
from mdus.endpoints.rest.problems import described
from mdus.endpoints.rest.reports import sound
from mdus.endpoints.rest.sent import Sent, instant, whole_number
from mdus.endpoints.rest.shapes import LARGEST_ID, Case, Listed, Shown
from mdus.endpoints.runtime import Runtime
from mdus.storage import exception_work as work
from mdus.storage import listing
from mdus.storage.audit import Deed
from mdus.storage.exception_work import Cases, Change
from mdus.storage.mapping import AnyRow

_BY_ID: Final = Sorts()
_CLOSED: Final = "closed"
_MOST_HISTORY: Final = 200

Kind = Annotated[str, Path(min_length=1, max_length=100, description="The kind of the case.")]
Key = Annotated[str, Path(min_length=1, max_length=500, description="The key of the case; it may have slashes.")]
Text = Annotated[str, Field(min_length=1, max_length=200)]
State = Literal["open", "in_work", "waiting", "closed"]
TeamName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,59}$")]


class CaseEntry(Shown):
    """What was done or said about a case: by whom, a client, a user of the machine, or `mdus` by rule."""

    at: datetime
    who: str
    action: str
    text: str


class CaseDetail(Case):
    """A case with its history, the newest last."""

    history: list[CaseEntry]


class CaseChange(Sent):
    """What is to become of a case: what is left out stays. `assignee` empty gives it back to the team."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"state": "in_work", "assignee": "a.smith", "reason": "looked at it", "comment": "rings back"}]
        }
    )

    state: State | None = None
    team: TeamName | None = None
    assignee: Annotated[str, Field(max_length=100)] | None = None
    severity: Severity | None = None
    due_at: Annotated[AwareDatetime | None, BeforeValidator(instant)] = None
    comment: Annotated[str, Field(min_length=1, max_length=2000)] | None = None
    reason: Reason

    def change(self) -> Change:
        """Return what changes."""
        is_closed = self.state == _CLOSED
        return Change(
            state=None if is_closed or self.state is None else CaseState(self.state),
            closed=is_closed,
            team=self.team,
            assignee=self.assignee,
            severity=self.severity,
            due_at=None if self.due_at is None else sound(self.due_at, at="body.due_at"),
            comment=self.comment,
        )


class CasesMeant(Sent):
    """Which open cases are meant: all that meet every condition stated."""

    kind: Text | None = None
    case_keys: Annotated[list[Text], Field(max_length=1000)] = Field(default=[])
    state: CaseState | None = None
    team: Text | None = None
    assignee: Text | None = None
    severity: Severity | None = None
    sender_system: Text | None = None
    head_end: Text | None = None
    area: Text | None = None
    device_id: Text | None = None
    group: Annotated[int, Field(ge=1, le=LARGEST_ID), BeforeValidator(whole_number)] | None = None


class CasesChange(CaseChange):
    """A change of many cases at once."""

    cases: CasesMeant
    dry_run: Annotated[bool, Field(strict=True, description="Only count.")] = False

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"cases": {"kind": "device_silent", "area": "10115"}, "team": "field", "reason": "flood"}]
        }
    )


def add_exceptions(router: APIRouter, runtime: Runtime, access: Access) -> None:
    """Add the routes to a router."""
    _add_reading(router, runtime, Depends(access))
    _add_changing(router, runtime, Depends(access.at_least(Role.OPERATOR)))


def _add_reading(router: APIRouter, runtime: Runtime, who: Any) -> None:
    @router.get("/exceptions", tags=["exceptions"])
    def exceptions(
        caller: Annotated[Caller, who],
        kind: Annotated[str | None, Query(description="Only of this kind.")] = None,
        open: Annotated[bool, Query(description="Open cases, or closed ones.")] = True,  # noqa: A002 - its name in the URL
        state: Annotated[CaseState | None, Query(description="Only open ones in this state.")] = None,
        team: Annotated[str | None, Query(description="Only of this team.")] = None,
        assignee: Annotated[str | None, Query(description="Only of this person.")] = None,
        severity: Annotated[Severity | None, Query(description="Only of this severity.")] = None,
        age_class: Annotated[str | None, Query(description="Only of this class of age, in working days.")] = None,
        overdue: Annotated[bool, Query(description="Only those that should be done by now.")] = False,
        sender_system: Annotated[str | None, Query(description="Only of this sender system.")] = None,
        head_end: Annotated[str | None, Query(description="Only of devices of this head end.")] = None,
        area: Annotated[str | None, Query(description="Only of devices in this area.")] = None,
        device_id: Annotated[str | None, Query(description="Only of this device.")] = None,
        point_of_delivery_id: Annotated[str | None, Query(description="Only of this point of delivery.")] = None,
        group: Annotated[int | None, Query(ge=1, le=LARGEST_ID, description="The members of this group.")] = None,
        sort: Annotated[Literal["id", "-id"], Query(description="The order; `-` descends.")] = DEFAULT,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Listed[Case]:
        """List what needs a human, the newest first; a group of one cause is one line."""
        if not caller.sees_personal and (area is not None or group is not None):
            raise HTTPException(403, f"To ask by area or group takes the role {Role.OPERATOR} or more")
        page = _BY_ID.page(sort, cursor=cursor, limit=limit)
        meant = Cases(
            is_open=open,
            kind=kind,
            state=state,
            team=team,
            assignee=assignee,
            severity=severity,
            age_class=age_class,
            sender_system=sender_system,
            head_end=head_end,
            area=area,
            device_id=device_id,
            point_of_delivery_id=point_of_delivery_id,
            group_id=group,
            overdue_at=runtime.clock.now() if overdue else None,
            systems=caller.systems,
        )
        with runtime.database.read() as uow:
            if meant == Cases(is_open=open, kind=kind):
                rows = listing.exception_cases(uow.connection, page, is_open=open, kind=kind)
            else:
                rows = work.listed(uow.connection, page, meant)
        return Listed(items=[_case(row, caller) for row in rows], next=_BY_ID.following(rows, page))

    @router.get("/exceptions/{kind}/{key:path}", tags=["exceptions"])
    def exception(kind: Kind, key: Key, caller: Annotated[Caller, who]) -> CaseDetail:
        """Show one case with what was done and said about it."""
        with runtime.database.read() as uow:
            row = _found(work.found_case(uow.connection, kind, key), kind, key, caller)
            history = work.history_of(uow.connection, row.id, limit=_MOST_HISTORY)
        entries = [CaseEntry.model_validate(each) for each in history]
        return CaseDetail(**_case(row, caller).model_dump(), history=entries)


def _add_changing(router: APIRouter, runtime: Runtime, operator: Any) -> None:
    database, clock = runtime.database, runtime.clock

    @router.patch("/exceptions", tags=["exceptions"], responses=described(409))
    def change_many(change: CasesChange, caller: Annotated[Caller, operator]) -> Counted:
        """Change all open cases that meet the conditions, and note why; of a dry run, count them."""
        meant = _meant(change.cases, caller)
        if meant == Cases(systems=caller.systems):
            raise HTTPException(409, "body.cases: expected a condition at least; without any all cases would be meant")
        if change.dry_run:
            with database.read() as uow:
                return Counted(count=work.count_meant(uow.connection, meant), dry_run=True)
        with database.begin() as uow:
            deed = Deed(who=caller.name, reason=change.reason)
            return Counted(count=work.change_cases(uow.connection, meant, change.change(), deed, now=clock.now()))

    @router.patch("/exceptions/{kind}/{key:path}", tags=["exceptions"], responses=described(409))
    def change_one(kind: Kind, key: Key, change: CaseChange, caller: Annotated[Caller, operator]) -> CaseDetail:
        """Change one open case, and note why."""
        with database.begin() as uow:
            row = _found(work.found_case(uow.connection, kind, key), kind, key, caller)
            if row.closed_at is not None:
                raise HTTPException(409, f"The case {kind} {key} is closed: what opens it again is what it was about")
            if kind == STORM and change.state == _CLOSED:
                raise HTTPException(409, "The case of a storm is closed by its end: POST /exception-storms/{id}/end")
            deed = Deed(who=caller.name, reason=change.reason)
            work.change_case(uow.connection, row, change.change(), deed, now=clock.now())
            row = _found(work.found_case(uow.connection, kind, key), kind, key, caller)
            history = work.history_of(uow.connection, row.id, limit=_MOST_HISTORY)
        entries = [CaseEntry.model_validate(each) for each in history]
        return CaseDetail(**_case(row, caller).model_dump(), history=entries)


def _meant(cases: CasesMeant, caller: Caller) -> Cases:
    return Cases(
        kind=cases.kind,
        case_keys=tuple(cases.case_keys),
        state=cases.state,
        team=cases.team,
        assignee=cases.assignee,
        severity=cases.severity,
        sender_system=cases.sender_system,
        head_end=cases.head_end,
        area=cases.area,
        device_id=cases.device_id,
        group_id=cases.group,
        systems=caller.systems,
    )


def _found(row: AnyRow | None, kind: str, key: str, caller: Caller) -> AnyRow:
    if row is None or (row.sender_system is not None and not caller.may_see(row.sender_system)):
        raise HTTPException(404, f"There is no case {kind} {key}: /exceptions lists those there are")
    return row


def _case(row: AnyRow, caller: Caller) -> Case:
    """Return a case as it is shown; whoever sees nothing personal is not told where a device hangs."""
    state = _CLOSED if row.closed_at is not None else row.state.value
    shown = {**row._mapping, "state": state, "group": row.group_id, "members": row.member_count}
    if row.device_id is not None and not caller.sees_personal:
        shown |= {"area": None if row.area is None else HIDDEN, "group": None}
    return Case.model_validate(shown)
