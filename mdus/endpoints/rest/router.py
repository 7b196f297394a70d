"""Resources under /api/v1, to be read: devices, orders, messages, exceptions. Each caller sees its own systems only."""

# Not `from __future__ import annotations`: FastAPI reads the annotations, and the caller's systems are a local name.

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, HTTPException, Query
from fastapi.security import HTTPBasic, HTTPBearer
from sqlalchemy import Connection, Row
from starlette.requests import Request
from starlette.responses import Response

from mdus.domain.access import Caller, Role
from mdus.domain.capability import Capabilities
from mdus.domain.device_limit import DeviceLimit
from mdus.domain.end_device import EndDevice
from mdus.domain.end_device_event import EventReason, EventState
from mdus.endpoints.rest.access import Access
from mdus.endpoints.rest.billing import add_billing
from mdus.endpoints.rest.exception_rules import add_exception_rules
from mdus.endpoints.rest.exception_storms import add_exception_storms
from mdus.endpoints.rest.exceptions import add_exceptions
from mdus.endpoints.rest.interval_edits import add_interval_edits
from mdus.endpoints.rest.mending import add_mending
from mdus.endpoints.rest.metering import add_metering
from mdus.endpoints.rest.news import add_news
from mdus.endpoints.rest.once import once_per_key
from mdus.endpoints.rest.paging import DEFAULT, ById, Cursor, Limit, Sorts
from mdus.endpoints.rest.problems import Problem, described
from mdus.endpoints.rest.reading_verdicts import add_reading_verdicts
from mdus.endpoints.rest.registry import add_registry, without_address
from mdus.endpoints.rest.reports import add_reports
from mdus.endpoints.rest.requests import add_requests
from mdus.endpoints.rest.restraints import add_restraints
from mdus.endpoints.rest.rule_sets import add_rule_sets
from mdus.endpoints.rest.shapes import (
    ConnectionOrder,
    Device,
    DeviceDetail,
    DeviceEvent,
    Event,
    Item,
    Listed,
    Message,
    MessageDetail,
    MessageId,
    ReadingOrder,
    Shown,
)
from mdus.endpoints.rest.tracing import add_trace
from mdus.endpoints.rest.unmapped import add_unmapped
from mdus.endpoints.runtime import Runtime
from mdus.messaging.status import ItemStatus, MessageStatus
from mdus.storage import listing
from mdus.storage.listing import BY_POSITION
from mdus.storage.load_control_event import events_of_device
from mdus.storage.paging import Page
from mdus.storage.sorting import NEWEST, OLDEST, Sort

#: The sender systems the caller may see, None for all.
Systems = tuple[str, ...] | None
SystemFilter = Annotated[str | None, Query(description="Only of this sender system.")]
DeviceFilter = Annotated[str | None, Query(description="Only of this device id.")]

#: Items and events shown with a message; more items are had page by page.
_SHOWN_WITH_MESSAGE: Final = 100

_BY_ID: Final = Sorts()
_DEVICES: Final = Sorts(device_id=Sort.by(sender_system=str, device_id=str))
# Messages and what is told come in the order of their numbers.
_MESSAGES: Final = Sorts(stored_at=OLDEST)
_ITEMS: Final = Sorts(unasked="position", position=BY_POSITION)


def rest_router(runtime: Runtime) -> APIRouter:
    """Return the routes of /api/v1."""
    access = Access(runtime)

    def systems_of_caller(request: Request) -> Systems:
        """Return the sender systems the caller may see, None for all."""
        return access(request).systems

    caller = Depends(systems_of_caller)
    ways_in = [Depends(HTTPBasic(auto_error=False)), Depends(HTTPBearer(auto_error=False))]
    responses = described(400, 401, 403, 404, 422, 503)
    router = APIRouter(
        prefix="/api/v1", dependencies=ways_in, responses=responses, route_class=once_per_key(runtime.database)
    )
    _add_devices(router, runtime, caller, Depends(access))
    _add_orders(router, runtime, caller)
    _add_device_events(router, runtime, caller)
    _add_messages(router, runtime, caller, Depends(access))
    add_exceptions(router, runtime, access)
    add_exception_rules(router, runtime, access)
    add_exception_storms(router, runtime, access)
    add_metering(router, runtime, access)
    add_reading_verdicts(router, runtime, access)
    add_registry(router, runtime, access)
    add_reports(router, runtime, access)
    add_restraints(router, runtime, access)
    add_billing(router, runtime, access)
    add_trace(router, runtime, access)
    add_mending(router, runtime, access)
    add_unmapped(router, runtime, access)
    add_requests(router, runtime, access)
    add_news(router, runtime, access)
    add_rule_sets(router, runtime, access)
    add_interval_edits(router, runtime, access)
    return router


def _add_devices(router: APIRouter, runtime: Runtime, caller: Any, who: Any) -> None:
    @router.get("/devices", tags=["devices"])
    def devices(
        systems: Systems = caller,
        sender_system: SystemFilter = None,
        device_id: DeviceFilter = None,
        serial_id: Annotated[str | None, Query(description="Only with this serial number.")] = None,
        head_end: Annotated[str | None, Query(description="Only those this head end serves.")] = None,
        sort: Annotated[
            Literal["id", "-id", "device_id", "-device_id"],
            Query(description="The order; `device_id` within each sender system; `-` descends."),
        ] = DEFAULT,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Listed[Device]:
        """List the smart meters SAP has created, the newest first."""
        page = _DEVICES.page(sort, cursor=cursor, limit=limit, systems=systems)
        filters = {
            "sender_system": sender_system,
            "device_id": device_id,
            "serial_id": serial_id,
            "head_end": head_end,
        }
        with runtime.database.read() as uow:
            return _DEVICES.listed(Device, listing.devices(uow.connection, page, **filters), page)

    @router.get("/devices/{sender_system}/{device_id}", tags=["devices"])
    def device(sender_system: str, device_id: str, reader: Caller = who) -> DeviceDetail:
        """Show one smart meter: what it can do, its limit and events, registers, locations and points of delivery."""
        with runtime.database.read() as uow:
            row = listing.device(uow.connection, sender_system, device_id)
            if row is None or not reader.may_see(sender_system):
                raise HTTPException(
                    404,
                    f"There is no device {device_id} of {sender_system}: ids have their zeros; /devices lists them",
                )
            [known] = uow.load(EndDevice, EndDevice.KEY, {(sender_system, device_id)}, lock=False)
            parts = listing.parts_of_device(uow.connection, sender_system, device_id)
            limits = uow.load(DeviceLimit, EndDevice.KEY, {(sender_system, device_id)}, lock=False)
            events = events_of_device(uow.connection, sender_system, device_id, now=runtime.clock.now())
        able = sorted(Capabilities.of(runtime.settings).of_device(known))
        limit = next((each for each in limits if not each.in_doubt), None)
        told = {"capabilities": able, "demand_limit": limit, "load_control_events": events}
        shown = DeviceDetail.model_validate({**row._mapping, **parts, **told}, from_attributes=True)
        if reader.sees_personal:
            return shown
        return shown.model_copy(update={"locations": [without_address(each) for each in shown.locations]})


def _add_orders(router: APIRouter, runtime: Runtime, caller: Any) -> None:
    kinds: dict[str, tuple[type[Shown], Callable[..., Sequence[Row[Any]]]]] = {
        "reading": (ReadingOrder, listing.reading_documents),
        "connection": (ConnectionOrder, listing.connection_controls),
    }

    @router.get("/orders", tags=["orders"])
    def orders(
        systems: Systems = caller,
        kind: Annotated[
            str | None, Query(pattern="^(reading|connection)$", description="reading or connection; both without.")
        ] = None,
        sender_system: SystemFilter = None,
        device_id: DeviceFilter = None,
        status: Annotated[str | None, Query(description="Only in this status.")] = None,
        sort: Annotated[
            Literal["id", "-id"], Query(description="The order of each of the two kinds; `-` descends.")
        ] = DEFAULT,
        limit: Limit = 100,
        cursor: Annotated[
            str | None,
            Query(
                pattern=r"^(id\.)?(reading|connection)-[0-9]{0,16}$",
                description="`next` of the page before, asked for with the same `sort`.",
            ),
        ] = None,
    ) -> Listed[ReadingOrder | ConnectionOrder]:
        """List SAP's orders: first those for readings, then those to disconnect or reconnect, each the newest first."""
        wanted = [kind] if kind else list(kinds)
        order, of_sort = (NEWEST, "") if sort == DEFAULT else (OLDEST, f"{sort}.")
        after: tuple[int, ...] | None = None
        if cursor is not None:
            at, _, number = cursor.removeprefix(of_sort).partition("-")
            if not cursor.startswith(of_sort) or at not in wanted:
                raise Problem(
                    409,
                    "the cursor is of another kind of order or another sort",
                    at="query.cursor",
                    expected=f"`next` of a page of this list with kind={kind} and sort={sort}",
                    found=cursor,
                    mend="begin without a cursor, and keep `kind`, `sort` and the filters from page to page",
                )
            wanted, after = wanted[wanted.index(at) :], (int(number),) if number else None
        filters = {"sender_system": sender_system, "device_id": device_id, "status": status}
        found: list[Any] = []
        with runtime.database.read() as uow:
            for name in wanted:
                shape, query = kinds[name]
                page = Page(sort=order, after=after, limit=limit - len(found), systems=systems)
                rows = query(uow.connection, page, **filters)
                found += [shape.model_validate(row) for row in rows]
                if len(found) == limit:
                    return Listed(items=found, next=f"{of_sort}{name}-{rows[-1].id if rows else ''}")
                after = None
        return Listed(items=found)


def _add_device_events(router: APIRouter, runtime: Runtime, caller: Any) -> None:
    @router.get("/events", tags=["devices"])
    def device_events(
        systems: Systems = caller,
        sender_system: SystemFilter = None,
        device_id: DeviceFilter = None,
        event_type: Annotated[
            str | None, Query(description="Only of this type: an IEC 61968-9 code, or an event of MDUS's own.")
        ] = None,
        state: Annotated[EventState | None, Query(description="Only in this state.")] = None,
        reason: Annotated[EventReason | None, Query(description="Only those not sent for this reason.")] = None,
        sort: ById = DEFAULT,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Listed[DeviceEvent]:
        """List what meters told of themselves and MDUS of late failures, the newest first, sent to SAP or not."""
        page = _BY_ID.page(sort, cursor=cursor, limit=limit, systems=systems)
        filters = {
            "sender_system": sender_system,
            "device_id": device_id,
            "event_type": event_type,
            "state": state,
            "reason": reason,
        }
        with runtime.database.read() as uow:
            return _BY_ID.listed(DeviceEvent, listing.device_events(uow.connection, page, **filters), page)


def _add_messages(router: APIRouter, runtime: Runtime, caller: Any, who: Any) -> None:
    def found(connection: Connection, message_id: int, systems: Systems) -> Row[Any]:
        row = listing.message(connection, message_id)
        if row is None or not _may_see(systems, row.sender_system):
            raise HTTPException(404, f"There is no message {message_id}: /messages lists those there are")
        return row

    @router.get("/messages", tags=["messages"])
    def messages(
        systems: Systems = caller,
        direction: Annotated[str | None, Query(pattern="^(in|out)$", description="in: from SAP; out: to SAP.")] = None,
        status: Annotated[MessageStatus | None, Query(description="Only in this status.")] = None,
        service: Annotated[str | None, Query(description="Only of this service (its single request's root).")] = None,
        sender_system: SystemFilter = None,
        uuid: Annotated[str | None, Query(description="Only with this UUID in the header, as sent.")] = None,
        sort: Annotated[
            Literal["id", "-id", "stored_at", "-stored_at"], Query(description="The order; `-` descends.")
        ] = DEFAULT,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Listed[Message]:
        """List messages of both directions, the newest first; refused and repeated ones are among them."""
        page = _MESSAGES.page(sort, cursor=cursor, limit=limit, systems=systems)
        filters = {
            "direction": direction,
            "status": status,
            "service": service,
            "sender_system": sender_system,
            "uuid": uuid,
        }
        with runtime.database.read() as uow:
            return _MESSAGES.listed(Message, listing.messages(uow.connection, page, **filters), page)

    @router.get("/messages/{message_id}", tags=["messages"])
    def message(message_id: MessageId, systems: Systems = caller) -> MessageDetail:
        """Show one message: its refusal if it was refused, what happened to it, and its first 100 items."""
        with runtime.database.read() as uow:
            row = found(uow.connection, message_id, systems)
            events = listing.events(uow.connection, message_id, limit=_SHOWN_WITH_MESSAGE)
            first = Page(limit=_SHOWN_WITH_MESSAGE, sort=BY_POSITION)
            items = listing.items(uow.connection, message_id, first)
        return MessageDetail(
            **Message.model_validate(row).model_dump(),
            events=[Event.model_validate(event) for event in events],
            items=[Item.model_validate(item) for item in items],
        )

    @router.get("/messages/{message_id}/items", tags=["messages"])
    def items(
        message_id: MessageId,
        systems: Systems = caller,
        status: Annotated[ItemStatus | None, Query(description="Only in this status.")] = None,
        sort: Annotated[Literal["position", "-position"], Query(description="The order; `-` descends.")] = "position",
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Listed[Item]:
        """List the items of a message in their order."""
        page = _ITEMS.page(sort, cursor=cursor, limit=limit)
        with runtime.database.read() as uow:
            found(uow.connection, message_id, systems)
            rows = listing.items(uow.connection, message_id, page, status=status)
        return _ITEMS.listed(Item, rows, page)

    @router.get("/messages/{message_id}/body", tags=["messages"], response_class=Response)
    def body(message_id: MessageId, reader: Caller = who) -> Response:
        """Return the message as it came or went, byte for byte; it may tell where somebody lives."""
        if not reader.sees_personal:
            raise HTTPException(
                403, f"Whole messages take the role {Role.OPERATOR} or more: see `mdus token create --role`"
            )
        with runtime.database.read() as uow:
            found(uow.connection, message_id, reader.systems)
            content = listing.raw_body(uow.connection, message_id)
        if content is None:
            raise HTTPException(
                404, f"The body of message {message_id} is not kept (any more); its items are: .../{message_id}/items"
            )
        # What a sender wrote is shown as text, never rendered.
        headers = {
            "X-Content-Type-Options": "nosniff",
            "Content-Disposition": f'attachment; filename="{message_id}.xml"',
        }
        return Response(content, media_type="text/xml", headers=headers)


def _may_see(systems: Systems, system: str) -> bool:
    return systems is None or system in systems
