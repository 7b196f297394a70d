"""Resources under /api/v1 for billing: determinants in versions, the files of a day, the sets of points of delivery."""

# Not `from __future__ import annotations`: FastAPI reads the annotations, and the dependencies are local names.

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, HTTPException, Path, Query
from pydantic import BeforeValidator, Field
from starlette.requests import Request
from starlette.responses import Response

from mdus.billing.determinant import DeterminantStatus, VersionCause
from mdus.billing.determinant_file import file_name, header, lines
from mdus.billing.determinant_set import DeterminantSetAssignment, DeterminantSetRow
from mdus.domain.access import Caller, Role
from mdus.domain.local_time import day_start
from mdus.domain.usage_point import UsagePoint
from mdus.endpoints.rest import columnar
from mdus.endpoints.rest.access import Access
from mdus.endpoints.rest.intervals import streamed
from mdus.endpoints.rest.mending import Reason, WhatFor
from mdus.endpoints.rest.negotiation import ARROW, CSV, JSON, PARQUET, form_of_answer
from mdus.endpoints.rest.paging import Day
from mdus.endpoints.rest.problems import Problem, described
from mdus.endpoints.rest.sent import Sent
from mdus.endpoints.rest.shapes import LARGEST_ID, Shown
from mdus.endpoints.runtime import Runtime
from mdus.storage import determinant as determinants
from mdus.storage.audit import Deed, note_deed
from mdus.storage.determinant import DETERMINANT_SET_ASSIGNMENT
from mdus.telemetry.metrics import DETERMINANTS

_MOST: Final = 1000
#: Versions of a file read at once.
_PAGE: Final = 5000
#: Beyond, nothing is billed.
_YEARS: Final = range(1971, 2200)
_A_DAY: Final = timedelta(days=1)
_FORMS: Final = (JSON, CSV, ARROW, PARQUET)

DeterminantId = Annotated[int, Path(ge=1, le=LARGEST_ID, description="The id of the version.")]


class DeterminantShown(Shown):
    """One version of a quantity of a billing period; local days, half-open. `replaces` is the id of the one before.

    `reason` is the reading reason that ended the period, `month` or `end`; `gate_reason` says why it is held, by whom
    it was released, or why it was withdrawn.
    """

    id: int
    sender_system: str
    point_of_delivery_id: str
    period_from: date
    period_to: date
    reason: str
    reading_type: str
    name: str
    version: int
    quantity: Decimal
    unit: str
    peak_at: datetime | None
    intervals: int
    missing: int
    estimated: int
    status: DeterminantStatus
    gate_reason: str | None
    cause: VersionCause
    made_at: datetime
    made_by: str
    replaces: int | None
    is_newest: bool


class DeterminantPage(Shown):
    """Versions in the order of their ids; `last` is the id to go on from, also where there are none."""

    items: list[DeterminantShown]
    last: int


class SetShown(Shown):
    """Which determinant set a point of delivery has from a local day on."""

    valid_from: date
    set_name: str
    assigned_at: datetime
    assigned_by: str


class SetsShown(Shown):
    """The determinant sets of a point of delivery in the order of their days; before the first it has the usual one."""

    usual: str
    assigned: list[SetShown]


def _sound(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("expected a date such as 2026-03-28")  # noqa: TRY004 - what the validation turns into an answer
    return value


class SetOrder(Sent):
    """The determinant set that a point of delivery is to have from a local day on."""

    set: Annotated[str, Field(strict=True, min_length=1, max_length=30)]
    valid_from: Annotated[Day, BeforeValidator(_sound)]
    reason: Reason


def add_billing(router: APIRouter, runtime: Runtime, access: Access) -> None:
    """Add the routes to a router."""
    _add_determinants(router, runtime, access)
    _add_sets(router, runtime, access)


def _add_determinants(router: APIRouter, runtime: Runtime, access: Access) -> None:
    who, approver = Depends(access), Depends(access.at_least(Role.APPROVER))
    database = runtime.database

    @router.get(
        "/determinants",
        tags=["billing"],
        response_model=DeterminantPage,
        responses={
            200: {
                "content": {
                    CSV: {"schema": {"type": "string"}},
                    ARROW: {"schema": {"type": "string", "format": "binary"}},
                    PARQUET: {"schema": {"type": "string", "format": "binary"}},
                }
            },
            **described(406),
        },
    )
    def all_determinants(
        request: Request,
        caller: Annotated[Caller, who],
        after: Annotated[int, Query(ge=0, le=LARGEST_ID, description="Only versions with a higher id.")] = 0,
        sender_system: Annotated[str | None, Query(description="Only of this sender system.")] = None,
        point_of_delivery_id: Annotated[str | None, Query(description="Only of this point of delivery.")] = None,
        reading_type: Annotated[str | None, Query(description="Only of this channel: an OBIS code.")] = None,
        name: Annotated[str | None, Query(description="Only of this name, such as total or demand.")] = None,
        status: Annotated[DeterminantStatus | None, Query(description="Only in this status.")] = None,
        period_to: Annotated[Day | None, Query(description="Only of periods that ended with the day before.")] = None,
        newest: Annotated[bool, Query(description="Leave out versions that have been replaced.")] = False,
        limit: Annotated[int, Query(ge=1, le=_MOST, description="Most rows of a page.")] = 100,
    ) -> Any:
        """List versions of determinants in the order they were made: who goes on from `last` misses none.

        In the form of `Accept`: JSON, text/csv (the lines of a file), application/vnd.apache.arrow.stream or
        application/vnd.apache.parquet; but for JSON the header `MDUS-Last` has the id to go on from.
        """
        form = form_of_answer(request, _FORMS, missing=columnar.missing_forms())
        filters = {
            "sender_system": sender_system,
            "point_of_delivery_id": point_of_delivery_id,
            "reading_type": reading_type,
            "name": name,
            "status": status,
            "period_to": period_to,
        }
        with database.read() as uow:
            page = determinants.versions_after(
                uow.connection, after, limit=limit, systems=caller.systems, newest=newest, **filters
            )
        if form == JSON:
            return DeterminantPage(items=[DeterminantShown.model_validate(row) for row in page.rows], last=page.up_to)
        if form == CSV:
            content = (header() + lines(map(determinants.determinant, page.rows))).encode()
        else:
            schema = columnar.determinant_schema()
            content = b"".join(columnar.written(form, schema, [columnar.determinant_batch(schema, page.rows)]))
        return Response(content, media_type=form, headers={"MDUS-Last": str(page.up_to)})

    @router.get(
        "/determinants/files/{on}",
        tags=["billing"],
        response_class=Response,
        responses={200: {"content": {CSV: {"schema": {"type": "string"}}}}},
    )
    def file(on: Annotated[Day, Path(description="A local day.")], caller: Annotated[Caller, who]) -> Response:
        """Return the versions that were made on a local day as CSV; the file of a day that is over never changes."""
        if on.year not in _YEARS:
            raise HTTPException(404, f"Nothing was determined on {on}")
        zone = runtime.settings.time_zone
        start, end = (day_start(day, zone=zone) for day in (on, on + _A_DAY))

        def parts() -> Iterator[bytes]:
            yield header().encode()
            since, after = start, 0
            while True:
                # Each page in a transaction of its own: none is held while a slow client reads.
                with database.read() as uow:
                    rows = determinants.versions_made(uow.connection, since, end, after=after, limit=_PAGE)
                if not rows:
                    return
                since, after = rows[-1].made_at, rows[-1].id
                seen = [determinants.determinant(row) for row in rows if caller.may_see(row.sender_system)]
                yield lines(seen).encode()

        answer = streamed(parts(), CSV)
        answer.headers["Content-Disposition"] = f'attachment; filename="{file_name(on)}"'
        return answer

    @router.get("/determinants/{determinant_id}", tags=["billing"])
    def one(determinant_id: DeterminantId, caller: Annotated[Caller, who]) -> DeterminantShown:
        """Show one version."""
        with database.read() as uow:
            row = determinants.find(uow.connection, determinant_id)
        if row is None or not caller.may_see(row.sender_system):
            raise HTTPException(404, f"There is no determinant {determinant_id}: /determinants lists those there are")
        return DeterminantShown.model_validate(row)

    @router.post("/determinants/{determinant_id}/release", tags=["billing"], responses=described(409))
    def release(determinant_id: DeterminantId, why: WhatFor, caller: Annotated[Caller, approver]) -> DeterminantShown:
        """Release a version that is held, whatever its gate says: a new version with the same quantity."""
        with database.begin() as uow:
            known = determinants.find(uow.connection, determinant_id)
            if known is None or not caller.may_see(known.sender_system):
                raise HTTPException(404, f"There is no determinant {determinant_id}")
            deed = Deed(who=caller.name, reason=why.reason)
            row = determinants.release(uow.connection, determinant_id, deed, now=runtime.clock.now())
            if row is None:
                what = f"is {known.status}" if known.is_newest else "has been replaced"
                raise HTTPException(409, f"Determinant {determinant_id} {what}: only the newest, held, is released")
        DETERMINANTS.labels(row.status.value, row.cause.value).inc()
        return DeterminantShown.model_validate(row)


def _add_sets(router: APIRouter, runtime: Runtime, access: Access) -> None:
    who, operator = Depends(access), Depends(access.at_least(Role.OPERATOR))
    database = runtime.database
    path = "/points-of-delivery/{sender_system}/{point_of_delivery_id}/determinant-set"

    def shown(uow: Any, key: tuple[str, str]) -> SetsShown:
        by = ("sender_system", "point_of_delivery_id")
        found = sorted(DETERMINANT_SET_ASSIGNMENT.read(uow.connection, by, [key]), key=lambda each: each.valid_from)
        usual = runtime.settings.billing.determinant_set
        return SetsShown(usual=usual, assigned=[SetShown.model_validate(each) for each in found])

    def check(uow: Any, key: tuple[str, str], caller: Caller) -> None:
        by = ("sender_system", "point_of_delivery_id")
        if not caller.may_see(key[0]) or not uow.load(UsagePoint, by, [key], lock=False):
            raise HTTPException(
                404, f"There is no point of delivery {key[1]} of {key[0]}: /points-of-delivery lists them"
            )

    @router.get(path, tags=["billing"])
    def sets(sender_system: str, point_of_delivery_id: str, caller: Annotated[Caller, who]) -> SetsShown:
        """Tell which determinant sets a point of delivery has, from which days on."""
        key = (sender_system, point_of_delivery_id)
        with database.read() as uow:
            check(uow, key, caller)
            return shown(uow, key)

    @router.put(path, tags=["billing"], responses=described(409))
    def assign(
        sender_system: str, point_of_delivery_id: str, order: SetOrder, caller: Annotated[Caller, operator]
    ) -> SetsShown:
        """Give a point of delivery a determinant set from a local day on; what its periods come to is made anew."""
        names = sorted({row.set for row in runtime.settings.rows("determinant_sets", DeterminantSetRow)})
        if order.set not in names:
            raise Problem(
                409,
                "there is no such determinant set",
                at="body.set",
                expected=" or ".join(names),
                found=order.set,
                mend="name a set of config/billing.toml",
            )
        key, now = (sender_system, point_of_delivery_id), runtime.clock.now().astimezone(UTC)
        with database.begin() as uow:
            check(uow, key, caller)
            assignment = DeterminantSetAssignment(
                sender_system=sender_system,
                point_of_delivery_id=point_of_delivery_id,
                valid_from=order.valid_from,
                set_name=order.set,
                assigned_at=now,
                assigned_by=caller.name,
            )
            uow.save([assignment])
            note_deed(
                uow.connection,
                Deed(who=caller.name, reason=order.reason),
                action="determinant set assigned",
                target=f"{sender_system}/{point_of_delivery_id}: {order.set} from {order.valid_from}",
                count=1,
                at=now,
            )
            return shown(uow, key)
