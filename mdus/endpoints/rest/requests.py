"""The REST door: what a client orders is stored as SAP's messages are, decided by the same code, and read here.

```
POST /api/v1/<resource>  --Requests-->  one message in the inbox, one item each  --> 202, or 200 when `wait` was enough
GET  /api/v1/requests/{id}              what became of each item
```
A client acts on the registry of a sender system it names. The same Idempotency-Key again is the same request: nothing
is done twice. Whether a switch may leave is asked of the same governor as SAP's.
"""

# Not `from __future__ import annotations`: FastAPI reads the annotations, and the models are local names.

import asyncio
import base64
import hashlib
import json
import time
import uuid
import zlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, HTTPException, Query, Response
from pydantic import Field, create_model
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from mdus.contracts.binding import shape_version, to_json
from mdus.contracts.log import SeverityCode
from mdus.domain.access import Caller
from mdus.endpoints.rest.access import Access, redacted
from mdus.endpoints.rest.examples import ORDERED
from mdus.endpoints.rest.mending import Reason
from mdus.endpoints.rest.once import Asked, IdempotencyKey, as_kept, came_before
from mdus.endpoints.rest.paging import DEFAULT, ById, Cursor, Limit, Sorts
from mdus.endpoints.rest.problems import described
from mdus.endpoints.rest.request_models import model_of, request_of
from mdus.endpoints.rest.sent import Sent
from mdus.endpoints.rest.shapes import Listed, MessageId, Shown
from mdus.endpoints.runtime import Runtime
from mdus.messaging.patterns import ClientRequest, Door, NotificationReceived, Offered, RequestConfirmation
from mdus.messaging.status import ItemStatus
from mdus.storage.audit import Deed, note_deed
from mdus.storage.client_request import Kept, items_of_request, keep_request, request, requests
from mdus.storage.intake import ReceivedItem, ReceivedMessage, StoredBody
from mdus.storage.mapping import AnyRow
from mdus.telemetry.logs import logger

log = logger(__name__)

Wait = Annotated[float, Query(ge=0, le=30, description="Seconds to wait until every item is settled.")]
System = Annotated[
    str, Field(strict=True, pattern=r"^[!-~]{1,60}$", description="The sender system whose registry is acted on.")
]

State = Literal["waiting", "done", "cancelled", "failed", "dead"]

_MOST: Final = 1000
_REQUESTS: Final = Sorts()
#: The name space of the UUIDs of requests: `mdus trace` finds one by it, as it finds a message of SAP's.
_NAME_SPACE: Final = uuid.UUID("0f4d1f5e-8c1b-5e7e-9a55-2f6c6a3f8d10")
#: Pauses between looks for whoever waits: short at first, for most is decided at once.
_FIRST_LOOK: Final = 0.05
_LONGEST_PAUSE: Final = 0.5
#: Characters of an id that is made: SAP's ids have digits only, and 12 at least.
_MADE_LENGTHS: Final[Mapping[str, int]] = {"document_id": 20, "request_id": 12}


class Found(Shown):
    """Why an item failed, or a remark on one that did not: a type id as in SAP's log, and a sentence."""

    type_id: str
    note: str


class ItemShown(Shown):
    """One item: `waiting`, `done`, `cancelled`, `failed` (`problems` say why), or `dead` by a defect of MDUS.


    `request` is what was ordered with all that was made for it, `result` what became of it beyond its problems.
    """

    position: int
    state: State
    problems: list[Found]
    request: dict[str, Any]
    result: dict[str, Any]
    waits_until: datetime | None


class RequestShown(Shown):
    """A request of a REST client; `state` is `waiting` while any of its items is, then `settled`."""

    id: int
    uuid: str
    resource: str
    sender_system: str
    client: str
    state: Literal["waiting", "settled"]
    stored_at: datetime
    test_data: bool
    items: list[ItemShown]


class RequestListed(Shown):
    """A request in a list, without its items."""

    id: int
    resource: str
    sender_system: str
    client: str
    status: str
    stored_at: datetime
    ended_at: datetime | None
    item_count: int


def add_requests(router: APIRouter, runtime: Runtime, access: Access) -> None:
    """Add a route per service that has a door, and those that tell what became of requests."""
    resources: dict[str, str] = {}
    for service in runtime.services.values():
        if isinstance(service, RequestConfirmation | NotificationReceived | ClientRequest) and service.door:
            resources[service.name] = service.door.path
            _add_door(router, runtime, access, service, service.door)
    _add_reading(router, runtime, access, resources)


def _add_door(router: APIRouter, runtime: Runtime, access: Access, service: Offered, door: Door) -> None:
    item = model_of(service, runtime.catalog)
    members: dict[str, Any] = {
        "sender_system": (System, ...),
        "reason": (Reason, ...),
        "test_data": (Annotated[bool, Field(strict=True, description="Change nothing in the field.")], False),
        "items": (Annotated[list[item], Field(min_length=1, max_length=_MOST)], ...),  # type: ignore[valid-type]
    }
    doc = f"Requests of one kind for the registry of one sender system: up to {_MOST:,}."
    body_model: Any = create_model(item.__name__.removesuffix("Item"), __base__=Sent, __doc__=doc, **members)
    if door.path in ORDERED:
        example = {"sender_system": "P11", "reason": "the customer asked", "items": [ORDERED[door.path]]}
        body_model.model_config["json_schema_extra"] = {"examples": [example]}
        body_model.model_rebuild(force=True)
    allowed = Depends(access.at_least(door.role))

    async def order(
        sent: body_model,
        request: Request,
        response: Response,
        caller: Annotated[Caller, allowed],
        wait: Wait = 0,
        idempotency_key: IdempotencyKey = None,
    ) -> RequestShown:
        key = idempotency_key
        asked = None if key is None else Asked.of(request, sent, client=caller.name, key=key)
        kept = await run_in_threadpool(_keep, runtime, service, door, sent, caller, asked)
        shown = await _settled(runtime, kept.message_id, door.path, caller, wait=wait)
        response.status_code = 200 if shown.state == "settled" else 202
        response.headers["Location"] = f"/api/v1/requests/{kept.message_id}"
        return shown

    what = " ".join((service.shape.__doc__ or "").split())
    answers: dict[int | str, dict[str, Any]] = {
        200: {"model": RequestShown, "description": "Settled while the client waited"},
        **described(409),
    }
    route = router.post(
        f"/{door.path}",
        tags=["orders by clients"],
        operation_id=f"order_{door.path.replace('-', '_')}",
        summary=f"Order: {door.path.replace('-', ' ')}",
        description=f"{what} Takes the role {door.role} or more.",
        status_code=202,
        response_model=RequestShown,
        responses=answers,
    )
    route(order)


def _add_reading(router: APIRouter, runtime: Runtime, access: Access, resources: Mapping[str, str]) -> None:
    who = Depends(access)

    @router.get("/requests", tags=["orders by clients"])
    def all_requests(
        caller: Annotated[Caller, who],
        client: Annotated[str | None, Query(description="Only of this client, as the audit names it.")] = None,
        sort: ById = DEFAULT,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Listed[RequestListed]:
        """List what REST clients have ordered, the newest first."""
        page = _REQUESTS.page(sort, cursor=cursor, limit=limit, systems=caller.systems)
        with runtime.database.read() as uow:
            rows = requests(uow.connection, page, client=client)
        items = [
            RequestListed.model_validate({**row._mapping, "resource": resources.get(row.service, "")}) for row in rows
        ]
        return Listed(items=items, next=_REQUESTS.following(rows, page))

    @router.get("/requests/{message_id}", tags=["orders by clients"])
    async def one_request(message_id: MessageId, caller: Annotated[Caller, who], wait: Wait = 0) -> RequestShown:
        """Show what became of a request, item by item."""

        def row() -> AnyRow | None:
            with runtime.database.read() as uow:
                return request(uow.connection, message_id)

        found = await run_in_threadpool(row)
        if found is None or not caller.may_see(found.sender_system):
            raise HTTPException(404, f"There is no request {message_id} of a client")
        return await _settled(runtime, message_id, resources.get(found.service, ""), caller, wait=wait)


# -- taking in --------------------------------------------------------------------------------------------------------


def _keep(runtime: Runtime, service: Offered, door: Door, sent: Any, caller: Caller, asked: Asked | None) -> Kept:
    """Store a request durably, with who ordered it and why."""
    if not caller.may_see(sent.sender_system):
        systems = ", ".join(caller.systems or ())
        raise HTTPException(403, f"{caller.name} acts for {systems}, not for {sent.sender_system}")
    key = f"{caller.name}/{uuid.uuid4() if asked is None else asked.key}"
    now = runtime.clock.now()
    items = list(_items(service, door, sent, key))
    message = ReceivedMessage(
        sender_system=sent.sender_system,
        service=service.name,
        root=service.name,
        bulk=True,
        key=key,
        uuid=str(uuid.uuid5(_NAME_SPACE, key)),
        header_id=None,
        test_data=sent.test_data,
        client=caller.name,
        created_at=now,
        item_count=len(items),
    )
    with runtime.database.begin() as uow:
        if asked is not None:
            asked.take(uow.connection)  # whatever is known of it: an order is answered by its request
        kept = keep_request(
            uow.connection,
            message,
            body=_body(sent),
            items=items,
            shape_version=shape_version(service.shape),
            now=now,
        )
        if kept.differs and asked is not None:
            raise came_before(asked.key)
        if kept.is_new:
            deed = Deed(who=caller.name, reason=sent.reason)
            note_deed(
                uow.connection,
                deed,
                action=f"order {door.path}",
                target=f"request {kept.message_id} to {sent.sender_system}",
                count=len(items),
                at=now,
            )
    log.info("request_received", client=caller.name, resource=door.path, message_id=kept.message_id, items=len(items))
    return kept


def _items(service: Offered, door: Door, sent: Any, key: str) -> Iterator[ReceivedItem]:
    for position, item in enumerate(sent.items, start=1):
        made = {} if door.made is None else {door.made: _made(door.made, f"{key}/{position}")}
        asked = request_of(service.shape, item, made=made)
        yield ReceivedItem(
            position=position,
            key=f"{key}/{position}",
            uuid=None,
            header_id=None,
            ordering_key=f"{sent.sender_system}/{getattr(asked, service.order_by) or ''}",
            content=to_json(asked),
            test_data=sent.test_data,
        )


def _made(field: str, key: str) -> str:
    """Return an id no SAP system has, the same for the same item of the same request."""
    digest = base64.b32encode(hashlib.sha256(key.encode()).digest()).decode()
    return f"R{digest}"[: _MADE_LENGTHS[field]]


def _body(sent: Any) -> StoredBody:
    """Return what was sent in one form, however it was written: it is kept, and compared with what comes again."""
    raw = as_kept(sent)
    return StoredBody(content_hash=hashlib.sha256(raw).digest(), data=zlib.compress(raw), size=len(raw))


# -- telling ----------------------------------------------------------------------------------------------------------


async def _settled(runtime: Runtime, message_id: int, resource: str, caller: Caller, *, wait: float) -> RequestShown:
    """Return a request once all its items are settled, or when the caller has waited long enough."""
    until, pause = time.monotonic() + wait, _FIRST_LOOK
    while True:
        shown = await run_in_threadpool(_shown, runtime, message_id, resource, caller)
        left = until - time.monotonic()
        if shown.state == "settled" or left <= 0:
            return shown
        await asyncio.sleep(min(pause, left))
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def _shown(runtime: Runtime, message_id: int, resource: str, caller: Caller) -> RequestShown:
    with runtime.database.read() as uow:
        row = request(uow.connection, message_id)
        items = [_item(each, caller) for each in items_of_request(uow.connection, message_id)]
    if row is None:
        raise HTTPException(404, f"There is no request {message_id} of a client")
    return RequestShown(
        id=message_id,
        uuid=row.uuid,
        resource=resource,
        sender_system=row.sender_system,
        client=row.client,
        state="waiting" if any(item.state == "waiting" for item in items) else "settled",
        stored_at=row.stored_at,
        test_data=row.test_data,
        items=items,
    )


def _item(row: AnyRow, caller: Caller) -> ItemShown:
    result: dict[str, Any] = json.loads(row.result) if row.result else {}
    problems = [Found.model_validate(each) for each in result.pop("problems", ())]
    state = _state(row)
    if state == "dead":
        problems.append(Found(type_id="001(MDUS)", note=row.note or "MDUS could not decide it"))
    return ItemShown(
        position=row.position,
        state=state,
        problems=problems,
        request=json.loads(row.content if caller.sees_personal else redacted(row.content)),
        result=result,
        waits_until=row.until if state == "waiting" else None,
    )


def _state(row: AnyRow) -> State:
    if row.status is ItemStatus.DEAD:
        return "dead"
    if row.status is not ItemStatus.CLOSED:
        return "waiting"
    if row.result is None:
        return "cancelled"
    severities = [each.get("severity", SeverityCode.ERROR) for each in json.loads(row.result).get("problems", ())]
    return "failed" if any(severity >= SeverityCode.ERROR for severity in severities) else "done"
