"""What head ends push: `POST /head-ends/<name>/<topic>` stores the body as it came, and answers when it is durable.

Nothing is read here: a worker decodes and matches it. A head end that pushes the same again gets the same answer, so it
need not remember what it has told. A large file is stored in parts, so that each is taken in by a short transaction.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from io import BytesIO

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from mdus.domain.head_end import RawDelivery
from mdus.endpoints.authentication import CHALLENGE, Credentials, NotAuthenticated, require_basic
from mdus.endpoints.runtime import Runtime
from mdus.settings import HeadEnd
from mdus.storage import delivery
from mdus.telemetry.metrics import DELIVERIES, topic_label

log = structlog.get_logger(__name__)

PATH = "/head-ends/{name}/{topic}"

_TOPIC = re.compile(r"[a-z][a-z0-9_-]{0,39}")

#: Where a body names its call, near its beginning; the header counts first. It only tells deliveries apart: the codec
#: reads the body properly later.
_CORRELATION = re.compile(rb'"correlation_id"\s*:\s*"([0-9A-Za-z-]{1,64})"')
_BEGINNING = 1024

#: Bytes above which a file is stored in parts.
_PARTED_ABOVE = 1024 * 1024


class _TooLarge(Exception):
    """The body is larger than `http.max_body_bytes`."""


def push_route(runtime: Runtime) -> Route:
    """Return the route on which all configured head ends push, each with its own callback credentials.

    Answers 202 with an empty body once the delivery is stored, also for one stored before; 401, 404 for an unknown head
    end or a topic no head end could mean, 413, 415 for a compressed body.
    """
    checks = {row.name: require_basic(_credentials(row)) for row in runtime.settings.head_ends}
    limit = runtime.settings.http.max_body_bytes

    async def push(request: Request) -> Response:
        name, topic = request.path_params["name"], request.path_params["topic"]
        check = checks.get(name)
        if check is None or not _TOPIC.fullmatch(topic):
            return PlainTextResponse(f"no head end {name} pushes {topic} here\n", status_code=404)
        try:
            check(request)
        except NotAuthenticated as error:
            log.warning("push_refused", head_end=name, reason=str(error))
            return PlainTextResponse(f"{error}\n", status_code=401, headers=CHALLENGE)
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            return PlainTextResponse("send the body uncompressed\n", status_code=415)
        try:
            body = await _body(request, limit)
        except _TooLarge:
            return PlainTextResponse(f"the body has more than {limit} bytes\n", status_code=413)
        correlation = request.headers.get("x-correlation-id") or correlation_in(body)
        raw = RawDelivery(topic=topic, correlation=correlation, body=body)
        await run_in_threadpool(_store, runtime, name, raw)
        return Response(status_code=202)

    endpoint: Callable[[Request], Awaitable[Response]] = push
    return Route(PATH, endpoint, methods=["POST"])


def correlation_in(body: bytes) -> str:
    """Return the call a body names near its beginning, empty when it names none there."""
    found = _CORRELATION.search(body, 0, _BEGINNING)
    return found.group(1).decode() if found else ""


def _store(runtime: Runtime, head_end: str, raw: RawDelivery) -> None:
    packed = [delivery.pack(part) for part in _parts(runtime, head_end, raw)]
    now = runtime.clock.now()
    with runtime.database.begin() as uow:
        stored = delivery.store(uow.connection, packed, head_end=head_end, now=now)
    DELIVERIES.labels(head_end, topic_label(raw.topic), "stored" if stored else "repeated").inc()


def _parts(runtime: Runtime, head_end: str, raw: RawDelivery) -> Iterator[RawDelivery]:
    """Yield a large file in parts of whole lines; a small one, and a body of any other kind, as it is."""
    part_file = runtime.part_files.get(head_end)
    if part_file is not None and len(raw.body) > _PARTED_ABOVE:
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
