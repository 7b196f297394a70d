"""What the field has told: register readings, commands and their outcome, job runs."""

# Not `from __future__ import annotations`: FastAPI reads the annotations, and the dependencies are local names.

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, HTTPException, Query
from starlette.requests import Request
from starlette.responses import Response

from mdus.domain.access import Caller
from mdus.endpoints.rest import columnar
from mdus.endpoints.rest.access import Access
from mdus.endpoints.rest.intervals import add_intervals, streamed
from mdus.endpoints.rest.negotiation import ARROW, JSON, PARQUET, form_of_answer
from mdus.endpoints.rest.paging import DEFAULT, ById, Cursor, Limit, Sorts
from mdus.endpoints.rest.problems import described
from mdus.endpoints.rest.shapes import CommandShown, JobRunShown, Listed, Reading, Verdict
from mdus.endpoints.runtime import Runtime
from mdus.storage import listing
from mdus.storage.reading_verdict import verdicts_on
from mdus.storage.sorting import Sort

SenderSystem = Annotated[str, Query(description="The sender system whose device it is.")]
DeviceId = Annotated[str, Query(description="The device, by SAP's id with its zeros.")]

_FORMS: Final = (JSON, ARROW, PARQUET)
_BY_ID: Final = Sorts()
# The device is named: its readings are in the order of their instants within it.
_READINGS: Final = Sorts(measured_at=Sort.by(measured_at=datetime, id=int))


def add_metering(router: APIRouter, runtime: Runtime, access: Access) -> None:
    """Add the routes to a router."""
    who = Depends(access)
    database = runtime.database

    @router.get(
        "/readings",
        tags=["metering"],
        response_model=Listed[Reading],
        responses={
            200: {
                "content": {
                    ARROW: {"schema": {"type": "string", "format": "binary"}},
                    PARQUET: {"schema": {"type": "string", "format": "binary"}},
                }
            },
            **described(406),
        },
    )
    def readings(
        request: Request,
        caller: Annotated[Caller, who],
        sender_system: SenderSystem,
        device_id: DeviceId,
        reading_type: Annotated[str | None, Query(description="Only of this register: an OBIS code.")] = None,
        sort: Annotated[
            Literal["id", "-id", "measured_at", "-measured_at"], Query(description="The order; `-` descends.")
        ] = DEFAULT,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Any:
        """List the register readings of a device, the newest come first; values as shown on the register.

        In the form of `Accept`: JSON, application/vnd.apache.arrow.stream or application/vnd.apache.parquet; of the
        latter the header `Link` names the following page.
        """
        _check(caller, sender_system)
        form = form_of_answer(request, _FORMS, missing=columnar.missing_forms())
        filters = {"sender_system": sender_system, "device_id": device_id, "reading_type": reading_type}
        page = _READINGS.page(sort, cursor=cursor, limit=limit)
        with database.read() as uow:
            rows = listing.readings(uow.connection, page, **filters)
            verdicts = verdicts_on(uow.connection, rows) if form == JSON else []
        if form == JSON:
            shown = _READINGS.listed(Reading, rows, page)
            told = [None if verdict is None else Verdict.of(verdict) for verdict in verdicts]
            items = [
                item.model_copy(update={"verdict": verdict}) for item, verdict in zip(shown.items, told, strict=True)
            ]
            return shown.model_copy(update={"items": items})
        schema = columnar.reading_schema(sender_system)
        answer = streamed(columnar.written(form, schema, iter([columnar.reading_batch(schema, rows)])), form)
        return _linked(answer, request, _READINGS.following(rows, page))

    @router.get("/commands", tags=["metering"])
    def commands(
        caller: Annotated[Caller, who],
        sender_system: SenderSystem,
        device_id: DeviceId,
        kind: Annotated[str | None, Query(description="Only of this kind, such as switch.")] = None,
        status: Annotated[str | None, Query(description="Only in this status.")] = None,
        sort: ById = DEFAULT,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Listed[CommandShown]:
        """List what head ends were told to do with a device, the newest first, and what became of it."""
        _check(caller, sender_system)
        filters = {"sender_system": sender_system, "device_id": device_id, "kind": kind, "status": status}
        page = _BY_ID.page(sort, cursor=cursor, limit=limit)
        with database.read() as uow:
            rows = listing.commands(uow.connection, page, **filters)
        return _BY_ID.listed(CommandShown, rows, page)

    @router.get("/jobs", tags=["jobs"])
    def jobs(
        _: Annotated[Caller, who],
        job: Annotated[str | None, Query(description="Only runs of this job.")] = None,
        sort: ById = DEFAULT,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Listed[JobRunShown]:
        """List runs of scheduled jobs, the newest first, with what each did."""
        page = _BY_ID.page(sort, cursor=cursor, limit=limit)
        with database.read() as uow:
            rows = listing.job_runs(uow.connection, page, job=job)
        return _BY_ID.listed(JobRunShown, rows, page)

    add_intervals(router, runtime, access)


def _linked(answer: Response, request: Request, cursor: str | None) -> Response:
    """Return a page with the address of the following one in a header, for it has no place for that itself."""
    if cursor is not None:
        following = request.url.include_query_params(cursor=cursor)
        answer.headers["Link"] = f'<{following.path}?{following.query}>; rel="next"'
    return answer


def _check(caller: Caller, sender_system: str) -> None:
    if not caller.may_see(sender_system):
        raise HTTPException(404, f"There is no sender system {sender_system}: /kpis lists those there are")
