"""Resources under /api/v1 that tell what customers are restrained by: demand limits and load control events."""

# Not `from __future__ import annotations`: FastAPI reads the annotations, and the dependencies are local names.

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query

from mdus.domain.access import Caller
from mdus.domain.load_control_event import LoadControlStatus
from mdus.endpoints.rest.access import Access
from mdus.endpoints.rest.paging import DEFAULT, ById, Cursor, Limit, Sorts
from mdus.endpoints.rest.shapes import DemandLimit, Listed, LoadControlEventShown
from mdus.endpoints.runtime import Runtime
from mdus.storage import listing

_BY_ID: Final = Sorts()

SystemFilter = Annotated[str | None, Query(description="Only of this sender system.")]
DeviceFilter = Annotated[str | None, Query(description="Only of this device id, with its zeros.")]


class DeviceLimitShown(DemandLimit):
    """A demand limit of a device; one `in_doubt` may be in force: nobody knows whether the meter took it."""

    id: int
    sender_system: str
    device_id: str
    in_doubt: bool


class DeviceEventShown(LoadControlEventShown):
    """A load control event at a device."""

    id: int
    sender_system: str
    device_id: str


def add_restraints(router: APIRouter, runtime: Runtime, access: Access) -> None:
    """Add the routes to a router."""
    who: Any = Depends(access)

    @router.get("/demand-limits", tags=["devices"])
    def demand_limits(
        caller: Annotated[Caller, who],
        sender_system: SystemFilter = None,
        device_id: DeviceFilter = None,
        sort: ById = DEFAULT,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Listed[DeviceLimitShown]:
        """List the demand limits that meters have now: as they have confirmed them, or `in_doubt`."""
        page = _BY_ID.page(sort, cursor=cursor, limit=limit, systems=caller.systems)
        filters = {"sender_system": sender_system, "device_id": device_id}
        with runtime.database.read() as uow:
            rows = listing.demand_limits(uow.connection, page, **filters)
        return _BY_ID.listed(DeviceLimitShown, rows, page)

    @router.get("/load-control-events", tags=["devices"])
    def load_control_events(
        caller: Annotated[Caller, who],
        sender_system: SystemFilter = None,
        event_id: Annotated[str | None, Query(description="Only the event of this id.")] = None,
        device_id: DeviceFilter = None,
        status: Annotated[LoadControlStatus | None, Query(description="Only in this status.")] = None,
        sort: ById = DEFAULT,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Listed[DeviceEventShown]:
        """List load control events device by device, those that are over too."""
        page = _BY_ID.page(sort, cursor=cursor, limit=limit, systems=caller.systems)
        filters = {"sender_system": sender_system, "event_id": event_id, "device_id": device_id, "status": status}
        with runtime.database.read() as uow:
            rows = listing.load_control_events(uow.connection, page, **filters)
        return _BY_ID.listed(DeviceEventShown, rows, page)
