"""Writes that are done once per Idempotency-Key, and what of a key is the same request.

```
key is new    -> key, deed and answer in one transaction
key is known  -> what was asked is the same: the answer that is kept; is other: 409
refused (4xx) -> nothing was done, and the key is new again
```
Two at the same time wait for each other at the key. An order is kept by its key for good, and answered by its request:
see `requests`.
"""

# Not `from __future__ import annotations`: FastAPI reads the annotations of the parameters that are added here.

import hashlib
import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Annotated, Any, Final, get_args

from fastapi import Header
from fastapi.encoders import jsonable_encoder
from pydantic import BaseModel
from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mdus.domain.access import Caller
from mdus.endpoints.rest.conditional import ConditionalRoute
from mdus.endpoints.rest.problems import Problem, described
from mdus.storage.idempotency_key import give_back, keep_answer, known_key, take_key
from mdus.storage.mapping import AnyRow
from mdus.storage.session import Database, UnitOfWork

IdempotencyKey = Annotated[
    str | None,
    Header(
        pattern=r"^[!-~]{1,100}$",
        description="A name of the client's for this request. Sent again, with the same content, it is done once and "
        "answered as before; with other content it is refused (409).",
    ),
]

_WRITES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
#: The parameters that are added to an endpoint.
_REQUEST: Final = "http_request"
_KEY: Final = "idempotency_key"


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What a client asks under a key; the hash is of method, path and content, however that was written."""

    client: str
    key: str
    hash: bytes

    @classmethod
    def of(cls, request: Request, *sent: Any, client: str, key: str) -> "Asked":
        """Return what is asked by a request with this content."""
        said = b"\n".join([f"{request.method} {request.url.path}".encode(), *map(as_kept, sent)])
        return cls(client=client, key=key, hash=hashlib.sha256(said).digest())

    def take(self, connection: Connection) -> AnyRow | None:
        """Keep the key; returns what is kept of it where it is known. Raises Problem where other things were asked."""
        return self._same(take_key(connection, self.client, self.key, asked_hash=self.hash))

    def known(self, connection: Connection) -> AnyRow | None:
        """Return what is kept of the key, None where it is new. Raises Problem where other things were asked."""
        return self._same(known_key(connection, self.client, self.key))

    def _same(self, known: AnyRow | None) -> AnyRow | None:
        if known is not None and known.asked_hash != self.hash:
            raise came_before(self.key)
        return known


def as_kept(sent: Any) -> bytes:
    """Return what was sent in one form: it is kept, and compared with what comes again."""
    plain = sent.model_dump(mode="json") if isinstance(sent, BaseModel) else jsonable_encoder(sent)
    return json.dumps(plain, ensure_ascii=False, sort_keys=True).encode()


def came_before(key: str) -> Problem:
    """Return the answer to a key that is used for two requests."""
    return Problem(
        409,
        "the key came before with other content",
        at="header.idempotency-key",
        expected="a new key for another request, or the very request it came with",
        found=key,
        mend="take another key",
    )


def once_per_key(database: Database) -> type[ConditionalRoute]:
    """Return the class of routes of which each that writes does so once per Idempotency-Key."""

    class OnceRoute(ConditionalRoute):
        """A route that is done once per key; one that takes the key itself sees to it itself."""

        def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
            if _WRITES & set(options.get("methods") or ()):
                options["responses"] = {**described(409), **(options.get("responses") or {})}
                if _KEY not in inspect.signature(endpoint).parameters:
                    endpoint = _once(database, endpoint, status=options.get("status_code") or 200)
            super().__init__(path, endpoint, **options)

    return OnceRoute


class _Repeated(Exception):
    """The same was asked before, and is answered by what is kept."""

    def __init__(self, kept: AnyRow) -> None:
        super().__init__(kept.key)
        self.kept = kept


def _once(database: Database, endpoint: Callable[..., Any], *, status: int) -> Callable[..., Any]:
    """Return an endpoint that takes a key, too: all its transactions are one with that of the key and the answer."""
    signature = inspect.signature(endpoint)
    callers = [name for name, one in signature.parameters.items() if Caller in get_args(one.annotation)]
    if len(callers) != 1 or inspect.iscoroutinefunction(endpoint):
        raise TypeError(f"{endpoint.__name__} takes no Caller or is async: it must take `{_KEY}` and see to it itself")

    @wraps(endpoint)
    def once(**given: Any) -> Any:
        request, key = given.pop(_REQUEST), given.pop(_KEY)
        if key is None:
            return endpoint(**given)
        sent = [one for one in given.values() if not isinstance(one, Caller | Request | Response)]
        asked = Asked.of(request, *sent, client=given[callers[0]].name, key=key)
        with database.read() as uow:
            known = asked.known(uow.connection)
        if known is not None:
            return _answer(known.status, known.body)
        try:
            return _done(database, asked, lambda: endpoint(**given), status)
        except _Repeated as repeated:
            return _answer(repeated.kept.status, repeated.kept.body)

    kind = inspect.Parameter.KEYWORD_ONLY
    added = [
        inspect.Parameter(_REQUEST, kind, annotation=Request),
        inspect.Parameter(_KEY, kind, annotation=IdempotencyKey, default=None),
    ]
    once.__signature__ = signature.replace(parameters=[*signature.parameters.values(), *added])  # type: ignore[attr-defined]
    return once


def _done(database: Database, asked: Asked, deed: Callable[[], Any], status: int) -> Response:
    """Take the key, do what was asked and keep the answer; raises _Repeated where another was quicker."""

    def take(uow: UnitOfWork) -> None:
        known = asked.take(uow.connection)
        if known is not None:
            raise _Repeated(known)

    refused: HTTPException | None = None
    body = b""
    with database.as_one(take) as whole:
        try:
            body = _body(deed())
        except HTTPException as error:
            if not whole.has_begun:
                raise
            refused = error
        with database.begin() as uow:
            if refused is None:
                keep_answer(uow.connection, asked.client, asked.key, status=status, body=body)
            else:
                give_back(uow.connection, asked.client, asked.key)
    if refused is not None:
        raise refused
    return _answer(status, body)


def _body(answer: Any) -> bytes:
    plain = answer.model_dump_json() if isinstance(answer, BaseModel) else JSONResponse(jsonable_encoder(answer)).body
    return plain.encode() if isinstance(plain, str) else bytes(plain)


def _answer(status: int, body: bytes) -> Response:
    return Response(body, status_code=status, media_type="application/json")
