"""What head ends push: `POST /head-ends/<name>/<topic>` stores the body, and answers when it is durable.

How a body names its call and its sender, what of it is kept, and what it is answered, its kind says (`Callbacks`).

Nothing is read here: a worker decodes and matches it. A head end that pushes the same again gets the same answer, so it
need not remember what it has told. A large file is stored in parts, so that each is taken in by a short transaction.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Self

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from mdus.domain.head_end import Answer, Callbacks, RawDelivery
from mdus.endpoints.authentication import CHALLENGE, Credentials, NotAuthenticated, require_basic
from mdus.endpoints.runtime import Runtime
from mdus.settings import HeadEnd
from mdus.storage import delivery
from mdus.telemetry.metrics import DELIVERIES, topic_label

log = structlog.get_logger(__name__)

PATH = "/head-ends/{name}/{topic}"

_TOPIC = re.compile(r"[a-z][a-z0-9_-]{0,39}")

#: More of what a body names as its call is not kept.
_LONGEST_CORRELATION = 100

#: Bytes above which a file is stored in parts; one compressed with gzip, which begins so, always: it grows.
_PARTED_ABOVE = 1024 * 1024
_COMPRESSED = b"\x1f\x8b"


class _TooLarge(Exception):
    """The body is larger than `http.max_body_bytes`."""


def push_route(runtime: Runtime) -> Route:
    """Return the route on which all configured head ends push, each with its own callback credentials.

    Answers as its kind does (202 with an empty body) once the delivery is stored, also for one stored before; 401, 404
    for an unknown head end or a topic no head end could mean, 413, 415 for a compressed body. GET with `?wsdl` answers
    the description of a topic that has one.
    """
    checks = {
        row.name: _Door.of(row, runtime.callbacks.get(row.name, Callbacks())) for row in runtime.settings.head_ends
    }
    limit = runtime.settings.http.max_body_bytes

    async def push(request: Request) -> Response:
        name, topic = request.path_params["name"], request.path_params["topic"]
        door = checks.get(name)
        if door is None or not _TOPIC.fullmatch(topic):
            return PlainTextResponse(f"no head end {name} pushes {topic} here\n", status_code=404)
        if request.method == "GET":
            return _described(door, topic, request)
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            return PlainTextResponse("send the body uncompressed\n", status_code=415)
        try:
            # Who says in the body who it is has to be heard out; whoever is not let in is not asked for more.
            if door.callbacks.credentials is None:
                door.let_in(request, b"")
            body = await _body(request, limit)
            if door.callbacks.credentials is not None:
                door.let_in(request, body)
        except _TooLarge:
            return PlainTextResponse(f"the body has more than {limit} bytes\n", status_code=413)
        except NotAuthenticated as error:
            log.warning("push_refused", head_end=name, reason=str(error))
            return _response(door.callbacks.refuse(topic, str(error)))
        correlation = request.headers.get("x-correlation-id") or door.callbacks.correlation(body)
        raw = RawDelivery(topic=topic, correlation=correlation[:_LONGEST_CORRELATION], body=door.callbacks.stored(body))
        await run_in_threadpool(_store, runtime, name, raw)
        return _response(door.callbacks.answer(topic, body))

    endpoint: Callable[[Request], Awaitable[Response]] = push
    return Route(PATH, endpoint, methods=["GET", "POST"])


@dataclass(frozen=True, kw_only=True, slots=True)
class _Door:
    """Who may push for one head end, and how its kind does it."""

    callbacks: Callbacks
    accepted: Sequence[Credentials]
    check: Callable[[Request], object]

    @classmethod
    def of(cls, row: HeadEnd, callbacks: Callbacks) -> Self:
        """Return the door of a head end."""
        accepted = _credentials(row)
        return cls(callbacks=callbacks, accepted=accepted, check=require_basic(accepted))

    def let_in(self, request: Request, body: bytes) -> None:
        """Let a sender pass by the credentials in its body or by HTTP Basic; raises NotAuthenticated."""
        of_body = self.callbacks.credentials
        told = None if of_body is None or "authorization" in request.headers else of_body(body)
        if told is None or not self.accepted:
            self.check(request)
        elif not any(each.are(*told) for each in self.accepted):
            raise NotAuthenticated("user or password in the body is wrong")


def _described(door: _Door, topic: str, request: Request) -> Response:
    """Answer the WSDL of a topic, where its kind has one: it holds nothing secret."""
    describe = door.callbacks.wsdl
    wsdl = (
        None
        if describe is None or "wsdl" not in request.query_params
        else describe(topic, str(request.url).partition("?")[0])
    )
    if wsdl is None:
        return PlainTextResponse("POST what you push\n", status_code=405, headers={"Allow": "POST"})
    return Response(wsdl, media_type="text/xml")


def _response(answer: Answer) -> Response:
    headers = CHALLENGE if answer.status == 401 else None
    return Response(answer.content, status_code=answer.status, media_type=answer.media_type, headers=headers)


def _store(runtime: Runtime, head_end: str, raw: RawDelivery) -> None:
    packed = [delivery.pack(part) for part in _parts(runtime, head_end, raw)]
    now = runtime.clock.now()
    with runtime.database.begin() as uow:
        stored = delivery.store(uow.connection, packed, head_end=head_end, now=now)
    DELIVERIES.labels(head_end, topic_label(raw.topic), "stored" if stored else "repeated").inc()


def _parts(runtime: Runtime, head_end: str, raw: RawDelivery) -> Iterator[RawDelivery]:
    """Yield a large file in parts of whole lines; a small one, and a body of any other kind, as it is."""
    part_file = runtime.part_files.get(head_end)
    if part_file is not None and (len(raw.body) > _PARTED_ABOVE or raw.body.startswith(_COMPRESSED)):
        with suppress(ValueError):  # the worker says so, with a case
            for part in part_file(BytesIO(raw.body), raw.topic):
                yield replace(raw, topic=part.topic, body=part.body)
            return
    yield raw


async def _body(request: Request, limit: int) -> bytes:
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        raise _TooLarge
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise _TooLarge
    return bytes(body)


def _credentials(row: HeadEnd) -> list[Credentials]:
    if row.callback_user is None or row.callback_password is None:
        return []  # then only callers on this machine are let in
    return [
        Credentials(name=row.name, user=row.callback_user, password=row.callback_password.get_secret_value()),
    ]
