"""What a person holds of a register reading: one that validation holds is accepted, a valid one rejected."""

# Not `from __future__ import annotations`: FastAPI reads the annotations, and the dependencies are local names.

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Path

from mdus.domain.access import Caller, Role
from mdus.domain.reading_verdict import Judgement, verdict_on
from mdus.endpoints.rest.access import Access
from mdus.endpoints.rest.mending import WhatFor
from mdus.endpoints.rest.problems import described
from mdus.endpoints.rest.shapes import LARGEST_ID, Verdict
from mdus.endpoints.runtime import Runtime
from mdus.storage import audit, delivery
from mdus.storage.audit import Deed
from mdus.storage.reading_verdict import READING_VERDICT, reading_of

ReadingId = Annotated[int, Path(ge=1, le=LARGEST_ID, description="The reading, as /readings lists it.")]


def add_reading_verdicts(router: APIRouter, runtime: Runtime, access: Access) -> None:
    """Add the routes to a router."""
    approver = Depends(access.at_least(Role.APPROVER))

    @router.post("/readings/{reading_id}/accept", tags=["metering"], responses=described(409))
    def accept(reading_id: ReadingId, why: WhatFor, caller: Annotated[Caller, approver]) -> Verdict:
        """Accept a reading that validation holds as suspect: orders that wait for a value may take it (approver)."""
        return _decide(runtime, reading_id, Judgement.VALID, why, caller)

    @router.post("/readings/{reading_id}/reject", tags=["metering"], responses=described(409))
    def reject(reading_id: ReadingId, why: WhatFor, caller: Annotated[Caller, approver]) -> Verdict:
        """Reject a reading: it answers no order and no other is held against it; what was sent stays (approver)."""
        return _decide(runtime, reading_id, Judgement.SUSPECT, why, caller)


def _decide(runtime: Runtime, reading_id: int, judgement: Judgement, why: WhatFor, caller: Caller) -> Verdict:
    now = runtime.clock.now()
    with runtime.database.begin() as uow:
        reading = reading_of(uow.connection, reading_id)
        if reading is None or not caller.may_see(reading.sender_system):
            raise HTTPException(404, f"There is no reading {reading_id}: /readings lists those of a device")
        known = next(
            iter(READING_VERDICT.read(uow.connection, READING_VERDICT.kind.KEY, [reading.key], lock=True)), None
        )
        if known is not None and known.judged_by is not None and known.judgement is judgement:
            raise HTTPException(409, f"Reading {reading_id} is {known.says()}")
        before = known or verdict_on(reading, judgement, judged_at=now)
        deed = Deed(who=caller.name, reason=why.reason)
        verdict = before.by(deed.who, judgement, reason=deed.reason, now=now)
        uow.save([verdict])
        action = "reading accepted" if judgement is Judgement.VALID else "reading rejected"
        target = f"reading {reading_id} of {reading.sender_system}/{reading.device_id} {reading.reading_type}"
        audit.note_deed(uow.connection, deed, action=action, target=target, count=1, at=now)
        delivery.wake_documents(uow.connection, {(reading.sender_system, reading.device_id)}, now=now)
    return Verdict.of(verdict)
