"""Storms of missing data: which there are, and how staff begin or end one by hand."""

# Not `from __future__ import annotations`: FastAPI reads the annotations, and the dependencies are local names.

from datetime import datetime, timedelta
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, HTTPException, Path, Query
from pydantic import ConfigDict, Field
from sqlalchemy import Connection

from mdus.domain.access import Caller, Role
from mdus.domain.exception_grouping import Place
from mdus.domain.exception_routing import kinds_like
from mdus.endpoints.rest.access import Access
from mdus.endpoints.rest.mending import Reason, WhatFor
from mdus.endpoints.rest.problems import described
from mdus.endpoints.rest.sent import Sent
from mdus.endpoints.rest.shapes import LARGEST_ID, Listed, Shown
from mdus.endpoints.runtime import Runtime
from mdus.storage import exception_group as groups
from mdus.storage import exception_storm as storms
from mdus.storage.audit import Deed, note_deed
from mdus.storage.exception_work import wait_for_routing

StormId = Annotated[int, Path(ge=1, le=LARGEST_ID, description="The number of the storm.")]
_MOST: Final = 1000


class StormShown(Shown):
    """A storm: `area` null is the whole head end; `affected` of `meters` have an open case, or had at its end."""

    id: int
    head_end: str
    area: str | None
    started_at: datetime
    started_by: str
    reason: str
    meters: int
    affected: int
    most_affected: int
    case_id: int
    ended_at: datetime | None
    ended_by: str | None
    end_reason: str | None


class StormOrder(Sent):
    """Where a storm is to begin by hand; it then ends by hand too."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"head_end": "city", "area": "10115", "reason": "substation burnt down"}]}
    )

    head_end: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,99}$")]
    area: Annotated[str, Field(pattern=r"^[!-~][ -~]{0,99}$")] | None = None
    reason: Reason


def add_exception_storms(router: APIRouter, runtime: Runtime, access: Access) -> None:
    """Add the routes to a router."""
    who, operator = Depends(access), Depends(access.at_least(Role.OPERATOR))
    database, clock = runtime.database, runtime.clock

    @router.get("/exception-storms", tags=["exceptions"])
    def all_storms(
        _: Annotated[Caller, who],
        state: Annotated[Literal["open", "all"], Query(description="Those there are now, or all.")] = "open",
        limit: Annotated[int, Query(ge=1, le=_MOST, description="Most rows of a page.")] = 100,
        cursor: Annotated[int | None, Query(ge=1, le=LARGEST_ID, description="`next` of the page before.")] = None,
    ) -> Listed[StormShown]:
        """List storms, the newest first."""
        with database.read() as uow:
            if state == "all":
                rows = storms.storms(uow.connection, before=cursor, limit=limit)
                following = str(rows[-1].id) if len(rows) == limit else None
                return Listed(items=[StormShown.model_validate(row) for row in rows], next=following)
            return Listed(items=[StormShown.model_validate(row) for row in storms.open_storms(uow.connection)])

    @router.post("/exception-storms", tags=["exceptions"], status_code=201, responses=described(409))
    def start(order: StormOrder, caller: Annotated[Caller, operator]) -> StormShown:
        """Begin a storm: the cases of its place wait in it, their due dates stand still."""
        place, now, told = Place(head_end=order.head_end, area=order.area), clock.now(), runtime.settings.exceptions
        with database.begin() as uow:
            connection = uow.connection
            wait_for_routing(connection)
            _allow(connection, caller, order.head_end)
            for storm in storms.open_storms(connection):
                if Place(head_end=storm.head_end, area=storm.area).covers(place):
                    raise HTTPException(409, f"There is a storm of {place} already: {storm.id}")
            meters = groups.meters_at(connection, place, area=told.area, day=now.date())
            if not meters:
                raise HTTPException(409, f"{place} has no meters: name a head end and an area of /locations")
            kinds = kinds_like(groups.open_kinds(connection), told.missing_kinds)
            since = now - timedelta(minutes=told.storm_window_minutes)
            row = storms.start_storm(
                connection, place, kinds, meters=meters, since=since, who=caller.name, reason=order.reason, now=now
            )
            deed = Deed(who=caller.name, reason=order.reason)
            note_deed(connection, deed, action="storm started", target=str(place), count=row.affected, at=now)
        return StormShown.model_validate(row)

    @router.post("/exception-storms/{storm_id}/end", tags=["exceptions"], responses=described(409))
    def end(storm_id: StormId, why: WhatFor, caller: Annotated[Caller, operator]) -> StormShown:
        """End a storm: cases that are still open stand alone again, with as much time as they had."""
        now = clock.now()
        with database.begin() as uow:
            wait_for_routing(uow.connection)
            row = storms.storm(uow.connection, storm_id)
            if row is None:
                raise HTTPException(404, f"There is no storm {storm_id}: /exception-storms?state=all lists them")
            _allow(uow.connection, caller, row.head_end)
            if row.ended_at is not None:
                raise HTTPException(409, f"The storm {storm_id} is over since {row.ended_at:%Y-%m-%d %H:%M} UTC")
            count = storms.end_storm(uow.connection, row, who=caller.name, reason=why.reason, now=now)
            deed = Deed(who=caller.name, reason=why.reason)
            note_deed(uow.connection, deed, action="storm ended", target=f"storm {storm_id}", count=count, at=now)
            row = storms.storm(uow.connection, storm_id)
        return StormShown.model_validate(row)


def _allow(connection: Connection, caller: Caller, head_end: str) -> None:
    """Answer 403 where a head end has meters of systems that the caller does not act for."""
    if caller.systems is not None and not set(storms.systems_of(connection, head_end)) <= set(caller.systems):
        raise HTTPException(
            403, f"{head_end} has meters of others too: {caller.name} acts for {', '.join(caller.systems)} only"
        )
