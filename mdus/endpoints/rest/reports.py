"""Resources under /api/v1 that tell of the whole: what `reconcile` found, and the figures of each sender system."""

# Not `from __future__ import annotations`: FastAPI reads the annotations, and the dependencies are local names.

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Query

from mdus.domain.access import Caller
from mdus.domain.kpi import KpiName
from mdus.domain.local_time import day_start, local_day
from mdus.endpoints.rest.access import Access
from mdus.endpoints.rest.paging import DEFAULT, ById, Cursor, Day, Instant, Limit, Sorts
from mdus.endpoints.rest.problems import Problem, described
from mdus.endpoints.rest.shapes import JobRunShown, Listed, Shown
from mdus.endpoints.runtime import Runtime
from mdus.storage import kpi, listing, reports
from mdus.storage.mapping import AnyRow
from mdus.storage.paging import sender_systems
from mdus.storage.registry import END_DEVICE

_JOB: Final = "reconcile"
_BY_ID: Final = Sorts()

#: Beyond, no installation has been.
_YEARS: Final = range(1971, 2200)

Kind = Literal[
    "register_missing",
    "connection_order_without_work",
    "meter_reading_document_overdue",
    "device_never_heard",
    "device_silent",
    "device_never_registered",
    "switch_report_contradicted",
    "switched_outside_sap",
    "switch_state_differs",
    "status_missing",
]


class Report(JobRunShown):
    """A run of the job that compares SAP, MDUS, field and head ends; `outcome` says what it looked at and found."""


class Difference(Shown):
    """One thing on which two sides differ: `subject` is the device or order it is about.

    `sender_system` is null where one line counts what is beyond those shown of its kind.
    """

    id: int
    kind: str
    between: str
    sender_system: str | None
    subject: str
    note: str
    opened_at: datetime
    closed_at: datetime | None


class ShareShown(Shown):
    """How many of how many; `share` is null where there are none."""

    count: int
    of: int
    share: float | None


class FiguresShown(Shown):
    """The figures of one sender system.

    Of the day before: devices that told a value of it. Of the last 24 hours: reading orders whose window closed, with a
    value; devices that were to be switched, and were; failures after SAP had its confirmation. At the instant: devices
    registered, not heard for 72 hours, never heard; messages and items given up.
    """

    sender_system: str
    meters_read: ShareShown
    reading_orders_in_time: ShareShown
    switch_orders_executed: ShareShown
    devices_registered: ShareShown
    devices_silent: ShareShown
    devices_never_heard: ShareShown
    late_failures: int
    dead_messages: int
    dead_items: int


class Kpis(Shown):
    """The figures as of an instant, per sender system; `day` is the local day before it.

    `dead_deliveries` are those of head ends, whichever system the meters belong to.
    """

    as_of: datetime
    day: date
    systems: list[FiguresShown]
    dead_deliveries: int


class KpiShown(Shown):
    """One figure of a day; which labels it has goes by its name."""

    day: date
    name: KpiName
    labels: dict[str, str]
    value: float


def add_reports(router: APIRouter, runtime: Runtime, access: Access) -> None:
    """Add the routes to a router."""
    _add_reconciliation(router, runtime, Depends(access))
    _add_kpis(router, runtime, Depends(access))


def _add_reconciliation(router: APIRouter, runtime: Runtime, who: Any) -> None:
    @router.get("/reconciliation", tags=["reports"])
    def reconciliation(
        _: Annotated[Caller, who],
        sort: ById = DEFAULT,
        limit: Limit = 30,
        cursor: Cursor = None,
    ) -> Listed[Report]:
        """List the reports of the job that holds all sides against each other, the newest first."""
        page = _BY_ID.page(sort, cursor=cursor, limit=limit)
        with runtime.database.read() as uow:
            rows = listing.job_runs(uow.connection, page, job=_JOB)
        return _BY_ID.listed(Report, rows, page)

    @router.get("/reconciliation/differences", tags=["reports"])
    def differences(
        caller: Annotated[Caller, who],
        kind: Annotated[Kind | None, Query(description="Only of this kind.")] = None,
        sender_system: Annotated[str | None, Query(description="Only of this sender system.")] = None,
        open: Annotated[bool, Query(description="Those of the last report, or those it found no more.")] = True,  # noqa: A002 - its name in the URL
        sort: ById = DEFAULT,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Listed[Difference]:
        """List on what two sides differ: what the last report found, or what an earlier one did and is mended."""
        page = _BY_ID.page(sort, cursor=cursor, limit=limit, systems=caller.systems)
        with runtime.database.read() as uow:
            rows = reports.differences(uow.connection, page, is_open=open, kind=kind, sender_system=sender_system)
        return Listed(items=[_difference(row) for row in rows], next=_BY_ID.following(rows, page))


def _difference(row: AnyRow) -> Difference:
    system, slash, subject = row.case_key.partition("/")
    return Difference(
        id=row.id,
        kind=row.kind,
        between=reports.SIDES[row.kind],
        sender_system=system if slash else None,
        subject=subject if slash else system,
        note=row.note,
        opened_at=row.opened_at,
        closed_at=row.closed_at,
    )


def _add_kpis(router: APIRouter, runtime: Runtime, who: Any) -> None:
    @router.get("/kpis", tags=["reports"], responses=described(409))
    def kpis(
        caller: Annotated[Caller, who],
        sender_system: Annotated[str | None, Query(description="Only of this sender system.")] = None,
        at: Annotated[
            Instant | None,
            Query(description="As of this instant, by what is known today; without, as of now."),
        ] = None,
    ) -> Kpis:
        """Tell the figures of the day before an instant, of the 24 hours up to it, and at it."""
        instant, zone = sound(at or runtime.clock.now()), runtime.settings.time_zone
        day = local_day(instant, zone=zone) - timedelta(days=1)
        span = (day_start(day, zone=zone), day_start(day + timedelta(days=1), zone=zone))
        with runtime.database.read() as uow:
            systems = [
                each
                for each in sender_systems(uow.connection, END_DEVICE.table)
                if caller.may_see(each) and sender_system in (None, each)
            ]
            found = [reports.figures(uow.connection, each, at=instant, day=day, span=span) for each in systems]
            dead = reports.dead_deliveries(uow.connection)
        shown = [FiguresShown.model_validate(each) for each in found]
        return Kpis(as_of=instant, day=day, systems=shown, dead_deliveries=dead)

    @router.get("/kpis/days", tags=["reports"], responses=described(409))
    def days(
        _: Annotated[Caller, who],
        name: Annotated[KpiName | None, Query(description="Only this figure.")] = None,
        since: Annotated[
            Day | None, Query(description="From this local day on; without, 30 days before `until`.")
        ] = None,
        until: Annotated[Day | None, Query(description="Up to this local day; without, today.")] = None,
        limit: Annotated[
            int, Query(ge=1, le=100_000, description="Most figures: for the whole course of one, name it.")
        ] = 1000,
    ) -> list[KpiShown]:
        """Tell the course of the figures that are counted each day, by name, labels and day."""
        last = until or local_day(runtime.clock.now(), zone=runtime.settings.time_zone)
        sound(datetime.combine(last, time(), UTC), at="query.until")
        first = since or last - timedelta(days=30)
        with runtime.database.read() as uow:
            found = list(kpi.kpis(uow.connection, name=name, since=first, until=last, limit=limit))
        return [KpiShown.model_validate(each) for each in found]


def sound(instant: datetime, *, at: str = "query.at") -> datetime:
    """Return an instant in UTC. Raises Problem (409) for one that no installation has seen or will see."""
    if instant.year not in _YEARS:
        raise Problem(
            409,
            "nobody has measured anything then",
            at=at,
            expected=f"an instant of the years {_YEARS.start} to {_YEARS.stop - 1}",
            found=instant.isoformat(),
            mend="leave it out for the figures of now",
        )
    return instant.astimezone(UTC)
