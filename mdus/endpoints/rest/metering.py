"""What the field has told: register readings, interval values, commands and their outcome, job runs."""

# Not `from __future__ import annotations`: FastAPI reads the annotations, and the dependencies are local names.

import csv
import io
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, HTTPException, Query
from starlette.requests import Request
from starlette.responses import Response

from mdus.domain.access import Caller
from mdus.domain.channel import MISSING, Channel
from mdus.domain.end_device import EndDevice
from mdus.domain.interval_block import IntervalBlock
from mdus.domain.reading_quality import QualitySet
from mdus.endpoints.rest.access import Access
from mdus.endpoints.rest.shapes import (
    LARGEST_ID,
    CommandShown,
    Interval,
    JobRunShown,
    Listed,
    Reading,
    listed,
)
from mdus.endpoints.runtime import Runtime
from mdus.storage import listing
from mdus.storage.interval_block import newest_blocks
from mdus.storage.listing import Page
from mdus.storage.session import UnitOfWork

_MOST: Final = 1000
#: Beyond, no meter has measured anything.
_YEARS: Final = range(1970, 2200)
_CSV: Final = "text/csv"
_COLUMNS: Final = ("reading_type", "start", "end", "value", "unit", "qualities")

SenderSystem = Annotated[str, Query(description="The sender system whose device it is.")]
DeviceId = Annotated[str, Query(description="The device, by SAP's id with its zeros.")]
Limit = Annotated[int, Query(ge=1, le=_MOST, description="Most rows of a page.")]
Cursor = Annotated[int | None, Query(ge=1, le=LARGEST_ID, description="`next` of the page before.")]


def add_metering(router: APIRouter, runtime: Runtime, access: Access) -> None:
    """Add the routes to a router."""
    who = Depends(access)
    database = runtime.database

    @router.get("/readings", tags=["metering"])
    def readings(
        caller: Annotated[Caller, who],
        sender_system: SenderSystem,
        device_id: DeviceId,
        reading_type: Annotated[str | None, Query(description="Only of this register: an OBIS code.")] = None,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Listed[Reading]:
        """List the register readings of a device, the newest come first; values as shown on the register."""
        _check(caller, sender_system)
        filters = {"sender_system": sender_system, "device_id": device_id, "reading_type": reading_type}
        with database.read() as uow:
            rows = listing.readings(uow.connection, Page(before=cursor, limit=limit), **filters)
        return listed(Reading, rows, limit)

    @router.get("/commands", tags=["metering"])
    def commands(
        caller: Annotated[Caller, who],
        sender_system: SenderSystem,
        device_id: DeviceId,
        kind: Annotated[str | None, Query(description="Only of this kind, such as switch.")] = None,
        status: Annotated[str | None, Query(description="Only in this status.")] = None,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Listed[CommandShown]:
        """List what head ends were told to do with a device, the newest first, and what became of it."""
        _check(caller, sender_system)
        filters = {"sender_system": sender_system, "device_id": device_id, "kind": kind, "status": status}
        with database.read() as uow:
            rows = listing.commands(uow.connection, Page(before=cursor, limit=limit), **filters)
        return listed(CommandShown, rows, limit)

    @router.get(
        "/intervals",
        tags=["metering"],
        response_model=list[Interval],
        responses={200: {"content": {_CSV: {"schema": {"type": "string"}}}}},
    )
    def intervals(
        request: Request,
        caller: Annotated[Caller, who],
        sender_system: SenderSystem,
        device_id: DeviceId,
        on: Annotated[date, Query(description="The first day, local where the meter is.")],
        days: Annotated[int, Query(ge=1, le=31, description="How many days.")] = 1,
        reading_type: Annotated[str | None, Query(description="Only of this channel: an OBIS code.")] = None,
    ) -> Any:
        """Return the interval values of a device's channels, oldest first: JSON, or CSV where `Accept` says text/csv.

        What counts of each day: validated values where there are some, else those of the meter. A gap has no row.
        """
        _check(caller, sender_system)
        with database.read() as uow:
            rows = [
                row
                for row in _intervals(uow, (sender_system, device_id), on, days)
                if reading_type in (None, row.reading_type)
            ]
        if _CSV not in request.headers.get("accept", ""):
            return rows
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(_COLUMNS)
        writer.writerows(
            (row.reading_type, row.start.isoformat(), row.end.isoformat(), row.value, row.unit, " ".join(row.qualities))
            for row in rows
        )
        return Response(text.getvalue(), media_type=_CSV)

    @router.get("/jobs", tags=["jobs"])
    def jobs(
        _: Annotated[Caller, who],
        job: Annotated[str | None, Query(description="Only runs of this job.")] = None,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Listed[JobRunShown]:
        """List runs of scheduled jobs, the newest first, with what each did."""
        with database.read() as uow:
            rows = listing.job_runs(uow.connection, Page(before=cursor, limit=limit), job=job)
        return listed(JobRunShown, rows, limit)


def _intervals(uow: UnitOfWork, device: tuple[str, str], on: date, count: int) -> Iterator[Interval]:
    """Yield the values of a device on some days, channel by channel."""
    if on.year not in _YEARS:
        return
    days = {
        (channel, on + timedelta(days=number))
        for channel in uow.load(Channel, EndDevice.KEY, {device}, lock=False)
        for number in range(count)
    }
    blocks = newest_blocks(uow.connection, days)
    qualities = uow.quality_sets(blocks.values())
    for (channel, _), block in sorted(blocks.items(), key=lambda pair: (pair[0][0].reading_type, pair[0][1])):
        yield from _values(channel, block, qualities)


def _values(channel: Channel, block: IntervalBlock, qualities: Mapping[int, QualitySet]) -> Iterator[Interval]:
    grid = channel.day(block.day)
    for place, element in enumerate(block.values.tolist()):
        told = block.unfit.get(place) if element == MISSING else channel.quantity(element)
        if told is None:
            continue
        yield Interval(
            reading_type=channel.reading_type,
            start=grid.starts_at(place),
            end=grid.ends_at(place),
            value=str(told),
            unit=channel.unit,
            qualities=list(qualities[int(block.qualities[place])].codes),
        )


def _check(caller: Caller, sender_system: str) -> None:
    if not caller.may_see(sender_system):
        raise HTTPException(404, f"There is no sender system {sender_system}")
