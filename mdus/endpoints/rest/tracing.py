"""GET /api/v1/trace: the account of a message, order, device, serial number or point of delivery, in one call."""

# Not `from __future__ import annotations`: FastAPI reads the annotations, and the caller's systems are a local name.

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query

from mdus.domain.access import Caller
from mdus.endpoints.rest.access import Access, redacted
from mdus.endpoints.rest.shapes import Traced
from mdus.endpoints.runtime import Runtime
from mdus.messaging.trace import Patience, traced
from mdus.storage.tracing import gather, resolve


def add_trace(router: APIRouter, runtime: Runtime, access: Access) -> None:
    """Add the route to a router."""

    @router.get("/trace", tags=["trace"])
    def trace(
        of: Annotated[
            str,
            Query(
                min_length=1,
                max_length=100,
                description="A UUID or id of a message, an order, a device, its serial number, or a point of delivery. "
                "Leading zeros may be left out.",
            ),
        ],
        caller: Annotated[Caller, Depends(access)],
        limit: Annotated[int, Query(ge=1, le=1000, description="Most rows of each kind, the newest.")] = 200,
        payloads: Annotated[
            bool, Query(description="With what each item says, as JSON; addresses only for operators.")
        ] = False,
    ) -> Traced:
        """Tell what happened to it, oldest first, and of each expected step whether it came, is due, or is missing."""
        with runtime.database.read() as uow:
            subject = resolve(uow.connection, of.strip(), systems=caller.systems)
            if not subject.is_known:
                raise HTTPException(404, f"Nothing is known of {of}")
            found = gather(uow.connection, subject, limit=limit, content=payloads)
        patience = Patience.of(runtime.services, runtime.settings)
        account = traced(found, patience=patience, now=runtime.clock.now())
        shown = Traced.model_validate(account)
        if payloads and not caller.sees_personal:
            hidden = [
                one.model_copy(update={"payload": redacted(one.payload)}) if one.payload else one
                for one in shown.happenings
            ]
            return shown.model_copy(update={"happenings": hidden})
        return shown
