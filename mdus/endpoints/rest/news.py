"""How clients learn what happens without asking again and again: read from a number on, streamed, or by webhook.

A client hears of the meters of the sender systems it may see, and of its own orders; an admin of everybody's.
"""

# Not `from __future__ import annotations`: FastAPI reads the annotations, and the dependencies are local names.

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, HTTPException, Path, Query
from pydantic import BeforeValidator, Field, WithJsonSchema
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import StreamingResponse

from mdus.domain.access import Caller, Role
from mdus.endpoints.rest.access import Access
from mdus.endpoints.rest.mending import Reason, WhatFor
from mdus.endpoints.rest.problems import described
from mdus.endpoints.rest.sent import Sent
from mdus.endpoints.rest.shapes import LARGEST_ID, Shown
from mdus.endpoints.runtime import Runtime
from mdus.storage import news, webhook
from mdus.storage.audit import Deed, note_deed
from mdus.storage.mapping import AnyRow
from mdus.storage.news import Audience, Heard, Topic

_STREAM: Final = "text/event-stream"
_MOST: Final = 1000
#: Seconds between looks for news, between signs of life of a stream, and how long a stream lasts at most.
_LOOK: Final = 0.5
_SIGN_OF_LIFE: Final = 15.0
_LONGEST: Final = 3600

WebhookId = Annotated[int, Path(ge=1, le=LARGEST_ID, description="The number of the webhook.")]
Topics = Annotated[list[Topic] | None, Query(description="Only about these; repeated for several.")]
After = Annotated[int, Query(ge=0, le=LARGEST_ID, description="Only what has a higher number.")]
LastSeen = Annotated[
    str, Header(pattern=r"^[0-9]{0,15}$", description="Sent by who takes up a stream again: counts as `after`.")
]


class NewsShown(Shown):
    """One thing that has happened; `content` is what the resource it is about would show."""

    number: int
    at: datetime
    topic: Topic
    sender_system: str
    client: str | None
    about: str
    content: dict[str, Any]


class NewsPage(Shown):
    """News in the order of their numbers; `last` is the number to go on from, also where there are none."""

    items: list[NewsShown]
    last: int


_PATH: Final = r"(:[0-9]{1,5})?(/[!-~]{0,500})?"
#: Encrypted, unless it is on this machine.
_ADDRESS: Final = rf"^(https://[A-Za-z0-9.-]{{1,200}}|http://(localhost|127\.0\.0\.1)){_PATH}$"


def _address(url: Any) -> Any:
    """Return an address that news may go to."""
    if not isinstance(url, str) or not re.match(_ADDRESS.replace("$", r"\Z"), url):
        raise ValueError("expected https://host/path, or http:// to this machine")
    return url


class WebhookOrder(Sent):
    """Where to be told, and of what: `client` None is of everybody's orders, `systems` None of all sender systems."""

    url: Annotated[str, BeforeValidator(_address), WithJsonSchema({"type": "string", "pattern": _ADDRESS})]
    topics: Annotated[list[Topic], Field(min_length=1)]
    client: Annotated[str, Field(strict=True, pattern=r"^rest:[!-~]{1,60}$")] | None = None
    systems: list[Annotated[str, Field(strict=True, pattern=r"^[!-~]{1,60}$")]] | None = None
    reason: Reason


class WebhookShown(Shown):
    """A webhook; its secret is told once, when it is made."""

    id: int
    url: str
    topics: list[Topic]
    client: str | None
    systems: list[str] | None
    told_up_to: int
    created_at: datetime
    created_by: str


class WebhookMade(WebhookShown):
    """A new webhook with the secret its signatures are made with."""

    secret: str


def add_news(router: APIRouter, runtime: Runtime, access: Access) -> None:
    """Add the routes to a router."""
    who, admin = Depends(access), Depends(access.at_least(Role.ADMIN))
    database = runtime.database

    @router.get("/news", tags=["news"], response_model=NewsPage)
    async def all_news(
        request: Request,
        caller: Annotated[Caller, who],
        topic: Topics = None,
        after: After = 0,
        limit: Annotated[int, Query(ge=1, le=_MOST, description="Most rows of a page.")] = 100,
        seconds: Annotated[int, Query(ge=1, le=_LONGEST, description="How long a stream lasts.")] = _LONGEST,
        last_event_id: LastSeen = "",
    ) -> Any:
        """Tell what has happened: a page of JSON, or server-sent events as it happens (`Accept: text/event-stream`).

        A stream without `after` and `Last-Event-ID` begins with what happens from now on.
        """
        audience = _audience(caller, topic)
        since = int(last_event_id) if last_event_id else after

        def look(number: int, most: int) -> Heard:
            with database.read() as uow:
                return news.news_after(uow.connection, number, audience, limit=most)

        def newest() -> int:
            with database.read() as uow:
                return news.last_number(uow.connection)

        if _STREAM in request.headers.get("accept", ""):
            since = since or await run_in_threadpool(newest)

            async def stream() -> AsyncIterator[str]:
                number, ends, silent_since = since, time.monotonic() + seconds, time.monotonic()
                yield ": what happens from here on\n\n"
                while time.monotonic() < ends and not await request.is_disconnected():
                    rows, up_to = await run_in_threadpool(look, number, _MOST)
                    for row in rows:
                        told = json.dumps(news.shown_news(row), ensure_ascii=False)
                        yield f"id: {row.number}\nevent: {row.topic.value}\ndata: {told}\n\n"
                    if rows:
                        silent_since = time.monotonic()
                    elif time.monotonic() - silent_since > _SIGN_OF_LIFE:
                        silent_since = time.monotonic()
                        yield ": still here\n\n"
                    if up_to == number:
                        await asyncio.sleep(_LOOK)
                    number = up_to

            return StreamingResponse(stream(), media_type=_STREAM, headers={"Cache-Control": "no-store"})
        heard = await run_in_threadpool(look, since, limit)
        items = [NewsShown.model_validate(news.shown_news(row)) for row in heard.rows]
        return NewsPage(items=items, last=heard.up_to)

    @router.post("/webhooks", tags=["news"], status_code=201, responses=described(409))
    def make(order: WebhookOrder, caller: Annotated[Caller, admin]) -> WebhookMade:
        """Let news go to an address from now on, signed with a secret that is told now and never again."""
        if caller.systems is not None and not set(order.systems or ("*",)) <= set(caller.systems):
            raise HTTPException(
                403, f"Name the sender systems: {caller.name} acts for {', '.join(caller.systems)} only"
            )
        audience = Audience(client=order.client, systems=order.systems, topics=order.topics)
        now = runtime.clock.now()
        with database.begin() as uow:
            number, secret = webhook.make_webhook(uow.connection, order.url, audience, created_by=caller.name, now=now)
            deed = Deed(who=caller.name, reason=order.reason)
            note_deed(uow.connection, deed, action="webhook made", target=f"{number}: {order.url}", count=1, at=now)
            row = webhook.webhook(uow.connection, number)
        assert row is not None  # noqa: S101 - it was stored in this transaction
        return WebhookMade(**_shown(row).model_dump(), secret=secret)

    @router.get("/webhooks", tags=["news"])
    def all_webhooks(_: Annotated[Caller, admin]) -> list[WebhookShown]:
        """List the webhooks there are."""
        with database.read() as uow:
            return [_shown(row) for row in webhook.webhooks(uow.connection)]

    @router.post("/webhooks/{webhook_id}/delete", tags=["news"])
    def remove(webhook_id: WebhookId, why: WhatFor, caller: Annotated[Caller, admin]) -> WebhookShown:
        """Let no news go to a webhook any more; what was still on its way is left."""
        now = runtime.clock.now()
        with database.begin() as uow:
            row = webhook.webhook(uow.connection, webhook_id)
            if row is None:
                raise HTTPException(404, f"There is no webhook {webhook_id}: GET /webhooks lists them")
            webhook.remove_webhook(uow.connection, webhook_id, now=now)
            deed = Deed(who=caller.name, reason=why.reason)
            note_deed(
                uow.connection, deed, action="webhook deleted", target=f"{webhook_id}: {row.url}", count=1, at=now
            )
        return _shown(row)


def _audience(caller: Caller, topics: Sequence[Topic] | None) -> Audience:
    client = None if caller.role.includes(Role.ADMIN) else caller.name
    return Audience(client=client, systems=caller.systems, topics=tuple(topics or Topic))


def _shown(row: AnyRow) -> WebhookShown:
    return WebhookShown(
        id=row.id,
        url=row.url,
        topics=[Topic(topic) for topic in row.topics.split()],
        client=row.client,
        systems=None if row.systems is None else row.systems.split(),
        told_up_to=row.told_up_to,
        created_at=row.created_at,
        created_by=row.created_by,
    )
