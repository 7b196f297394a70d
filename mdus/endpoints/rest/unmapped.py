"""What head ends tell under codes that no table explains: read by operators, read again once a row explains it."""

# Not `from __future__ import annotations`: FastAPI reads the annotations, and the dependencies are local names.

from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Depends, HTTPException, Query
from pydantic import ConfigDict, Field

from mdus.domain.access import Caller, Role
from mdus.domain.unmapped import UnmappedCode, UnmappedSource
from mdus.endpoints.rest.access import Access
from mdus.endpoints.rest.mending import Counted, Reason
from mdus.endpoints.rest.paging import DEFAULT, ById, Cursor, Limit, Sorts
from mdus.endpoints.rest.sent import Sent
from mdus.endpoints.rest.shapes import Listed, Shown
from mdus.endpoints.runtime import Runtime
from mdus.storage import unmapped
from mdus.storage.audit import Deed
from mdus.storage.unmapped import WhichCodes

_BY_ID: Final = Sorts()

Text = Annotated[str, Field(min_length=1, max_length=400)]


class UnmappedShown(Shown):
    """Something told under a code that no table explains, as it came; `row` is the row that would explain it."""

    id: int
    head_end: str
    source: UnmappedSource
    code: str
    serial_id: str
    at: datetime | None
    value: str | None
    unit: str | None
    text: str | None
    delivery_id: int
    received_at: datetime
    row: str


class CodesMeant(Sent):
    """Which codes are meant: all that meet every condition stated."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"head_end": "north", "code": "mrid: 0.0.0.1.1.1.12.0.0.0.0.3.0.0.0.3.72.0", "reason": "row added"}
            ]
        }
    )

    head_end: Text | None = None
    source: UnmappedSource | None = None
    code: Text | None = None
    reason: Reason
    dry_run: Annotated[bool, Field(strict=True, description="Only count.")] = False

    def which(self) -> WhichCodes:
        """Return the condition."""
        return WhichCodes(head_end=self.head_end, source=self.source, code=self.code)


def add_unmapped(router: APIRouter, runtime: Runtime, access: Access) -> None:
    """Add the routes to a router."""
    operator = Depends(access.at_least(Role.OPERATOR))
    database, clock = runtime.database, runtime.clock

    @router.get("/unmapped", tags=["mending"])
    def told(
        caller: Annotated[Caller, operator],
        head_end: Annotated[str | None, Query(description="Only of this head end.")] = None,
        source: Annotated[UnmappedSource | None, Query(description="Only codes of this.")] = None,
        code: Annotated[str | None, Query(description="Only this code.")] = None,
        serial_id: Annotated[str | None, Query(description="Only of the meter with this serial number.")] = None,
        sort: ById = DEFAULT,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Listed[UnmappedShown]:
        """List what head ends told under codes that no table explains, the newest first."""
        _must_see_all(caller)
        page = _BY_ID.page(sort, cursor=cursor, limit=limit)
        filters = {"head_end": head_end, "source": source, "code": code, "serial_id": serial_id}
        with database.read() as uow:
            rows = unmapped.values(uow.connection, page, **filters)
        shown = [{**row._mapping, "row": UnmappedCode(row.head_end, row.source, row.code).row} for row in rows]
        return Listed(items=[UnmappedShown.model_validate(each) for each in shown], next=_BY_ID.following(rows, page))

    @router.post("/unmapped/retry", tags=["mending"])
    def retry(meant: CodesMeant, caller: Annotated[Caller, operator]) -> Counted:
        """Read again, by the tables as they are now, the deliveries that tell something under such codes."""
        _must_see_all(caller)
        if meant.dry_run:
            with database.read() as uow:
                return Counted(count=unmapped.count(uow.connection, meant.which()), dry_run=True)
        with database.begin() as uow:
            deed = Deed(who=caller.name, reason=meant.reason)
            return Counted(count=unmapped.read_again(uow.connection, meant.which(), deed, now=clock.now()))


def _must_see_all(caller: Caller) -> None:
    """Answer 403 to who acts for some sender systems only: what is not explained belongs to none."""
    if caller.systems is not None:
        raise HTTPException(403, f"What no table explains belongs to no sender system, and {caller.name} acts for some")
