"""What an operator does by REST: mends what was given up, stops disconnections, and reads who did what."""

# Not `from __future__ import annotations`: FastAPI reads the annotations, and the dependencies are local names.

from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Depends, HTTPException, Query
from pydantic import AwareDatetime, BeforeValidator, ConfigDict, Field

from mdus.domain.access import Caller, Role
from mdus.endpoints import replaying
from mdus.endpoints.rest.access import Access
from mdus.endpoints.rest.paging import DEFAULT, ById, Cursor, Limit, Sorts
from mdus.endpoints.rest.problems import described
from mdus.endpoints.rest.sent import Sent, instant, whole_number
from mdus.endpoints.rest.shapes import LARGEST_ID, Listed, MessageId, Shown
from mdus.endpoints.runtime import Runtime
from mdus.storage import audit, listing, mending
from mdus.storage.audit import Deed
from mdus.storage.end_device_control import order_switching, stop_reason
from mdus.storage.mending import Kind, Which
from mdus.storage.paging import Page

Reason = Annotated[str, Field(min_length=3, max_length=500, description="Why; kept in the audit.")]

_MOST: Final = 1000
_DEAD: Final = Sorts(unasked="id")
_AUDIT: Final = Sorts()


class WhatFor(Sent):
    """A deed that needs no more than its reason."""

    reason: Reason


class GivenUpOnes(Sent):
    """Which of what is given up is meant: all that meets every condition stated."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"kind": "message", "sender_system": "P11", "reason": "SAP is back", "dry_run": True}]
        }
    )

    kind: Kind
    reason: Reason
    ids: Annotated[
        list[Annotated[int, Field(ge=1, le=LARGEST_ID), BeforeValidator(whole_number)]], Field(max_length=_MOST)
    ] = Field(default=[])
    sender_system: str | None = None
    service: str | None = None
    head_end: str | None = None
    before: Annotated[
        AwareDatetime | None, BeforeValidator(instant), Field(description="Only what was stored before.")
    ] = None
    dry_run: Annotated[bool, Field(strict=True, description="Only count.")] = False

    def which(self) -> Which:
        """Return the condition."""
        return Which(
            kind=self.kind,
            ids=tuple(self.ids),
            sender_system=self.sender_system,
            service=self.service,
            head_end=self.head_end,
            before=self.before,
        )


class Replay(WhatFor):
    """A message to be taken in once more."""

    dry_run: Annotated[bool, Field(strict=True, description="Only tell what would become of it.")] = False


class Replayed(Shown):
    """What became of a message that was taken in once more."""

    outcome: str
    dry_run: bool


class Counted(Shown):
    """How many rows a deed changed; of a dry run, how many it would (up to 1,000)."""

    count: int
    dry_run: bool = False


class GivenUp(Shown):
    """Something that was given up: `of` the sender system or head end it belongs to."""

    id: int
    of: str
    what: str
    at: datetime
    why: str | None


class Deeds(Shown):
    """What somebody has done, and why."""

    id: int
    at: datetime
    who: str
    action: str
    target: str
    count: int
    reason: str


class Switching(Shown):
    """Whether disconnections may leave, and why not."""

    stopped: bool
    reason: str | None


class SwitchingOrder(Sent):
    """An order to let no disconnection, limit or load control leave, or to let them leave again."""

    stopped: Annotated[bool, Field(strict=True)]
    reason: Reason


def add_mending(router: APIRouter, runtime: Runtime, access: Access) -> None:
    """Add the routes to a router."""
    operator = Depends(access.at_least(Role.OPERATOR))
    database, clock = runtime.database, runtime.clock

    @router.get("/dead", tags=["mending"])
    def given_up(
        kind: Annotated[Kind, Query(description="A message to SAP, an item of SAP's, or a head end's delivery.")],
        caller: Annotated[Caller, operator],
        sender_system: Annotated[str | None, Query(description="Only of this sender system.")] = None,
        sort: ById = "id",
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Listed[GivenUp]:
        """List what MDUS has given up, the oldest first."""
        which = _allowed(Which(kind=kind, sender_system=sender_system), caller)
        page = _DEAD.page(sort, cursor=cursor, limit=limit)
        with database.read() as uow:
            rows = mending.given_up(uow.connection, which, page)
        return _DEAD.listed(GivenUp, rows, page)

    @router.post("/dead/retry", tags=["mending"])
    def retry(ones: GivenUpOnes, caller: Annotated[Caller, operator]) -> Counted:
        """Try what is given up again: a message under its own UUID, an item by deciding it anew."""
        which = _allowed(ones.which(), caller)
        if ones.dry_run:
            return _counted(which)
        with database.begin() as uow:
            deed = Deed(who=caller.name, reason=ones.reason)
            return Counted(count=mending.try_again(uow.connection, which, deed, now=clock.now()))

    @router.post("/dead/leave", tags=["mending"])
    def leave(ones: GivenUpOnes, caller: Annotated[Caller, operator]) -> Counted:
        """Leave what is given up for good and close its cases: SAP gets no message, an item no confirmation."""
        which = _allowed(ones.which(), caller)
        if ones.dry_run:
            return _counted(which)
        with database.begin() as uow:
            deed = Deed(who=caller.name, reason=ones.reason)
            return Counted(count=mending.leave(uow.connection, which, deed, now=clock.now()))

    @router.post("/messages/{message_id}/resend", tags=["mending"], status_code=202, responses=described(409))
    def resend(message_id: MessageId, why: WhatFor, caller: Annotated[Caller, operator]) -> Counted:
        """Send a message to SAP once more: the same bytes under its own UUID."""
        with database.begin() as uow:
            row = listing.message(uow.connection, message_id)
            if row is None or not caller.may_see(row.sender_system):
                raise HTTPException(404, f"There is no message {message_id}")
            deed = Deed(who=caller.name, reason=why.reason)
            if not mending.send_once_more(uow.connection, message_id, deed, now=clock.now()):
                what = "was sent by SAP" if row.direction == "in" else f"is {row.status}"
                raise HTTPException(
                    409, f"Message {message_id} {what}: only one that is delivered, confirmed or dead goes out again"
                )
        return Counted(count=1)

    @router.post("/messages/{message_id}/replay", tags=["mending"], status_code=202, responses=described(409))
    def replay(message_id: MessageId, again: Replay, caller: Annotated[Caller, operator]) -> Replayed:
        """Take a message of SAP's in once more: nothing is done twice, what was refused is judged anew."""
        deed = Deed(who=caller.name, reason=again.reason)
        try:
            outcome = replaying.replay(runtime, message_id, deed, dry_run=again.dry_run, systems=caller.systems)
        except replaying.NotReplayed as error:
            raise HTTPException(409 if error.is_known else 404, f"{error}; {error.mend}") from error
        return Replayed(outcome=outcome, dry_run=again.dry_run)

    @router.get("/audit", tags=["mending"])
    def done(
        _: Annotated[Caller, operator],
        action: Annotated[str | None, Query(description="Only deeds of this kind.")] = None,
        sort: ById = DEFAULT,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Listed[Deeds]:
        """List what people have done, the newest first."""
        page = _AUDIT.page(sort, cursor=cursor, limit=limit)
        with database.read() as uow:
            rows = audit.deeds(uow.connection, page, action=action)
        return _AUDIT.listed(Deeds, rows, page)

    @router.get("/switching", tags=["switching"])
    def switching(_: Annotated[Caller, Depends(access)]) -> Switching:
        """Tell whether disconnections may leave."""
        with database.read() as uow:
            reason = stop_reason(uow.connection)
        return Switching(stopped=reason is not None, reason=reason)

    @router.post("/switching", tags=["switching"])
    def order(order: SwitchingOrder, caller: Annotated[Caller, operator]) -> Switching:
        """Let no disconnection, limit or load control leave from now on (operator), or leave again (approver)."""
        if not order.stopped and not caller.role.includes(Role.APPROVER):
            raise HTTPException(403, f"To let disconnections leave again takes the role {Role.APPROVER} or more")
        with database.begin() as uow:
            now, deed = clock.now(), Deed(who=caller.name, reason=order.reason)
            order_switching(uow.connection, stopped=order.stopped, reason=order.reason, ordered_by=caller.name, at=now)
            action = "switching stopped" if order.stopped else "switching started"
            audit.note_deed(uow.connection, deed, action=action, target="disconnections", count=1, at=now)
        return Switching(stopped=order.stopped, reason=order.reason if order.stopped else None)

    def _counted(which: Which) -> Counted:
        with database.read() as uow:
            return Counted(count=len(mending.given_up(uow.connection, which, Page(limit=_MOST))), dry_run=True)


def _allowed(which: Which, caller: Caller) -> Which:
    """Return the condition, or answer 403 where it reaches beyond the caller's sender systems."""
    if caller.systems is not None and (which.sender_system is None or not caller.may_see(which.sender_system)):
        raise HTTPException(403, f"Name the sender system: {caller.name} acts for {', '.join(caller.systems)} only")
    return which
