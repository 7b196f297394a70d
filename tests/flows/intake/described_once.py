"""The routes of REST, described once per test process: that takes longer than most tests.

```
rest_routes(runtime)   the routes, each of which works with a stand-in for the runtime
Asked(app, runtime)    while it answers, the stand-in is that runtime
```
What an endpoint needs of a runtime it reads when it is asked. Before that there are the services and the contract, by
which it is described, and nothing else: `settings` that are read earlier raise LookupError.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import Context, ContextVar
from typing import Any, Final, cast

from fastapi import APIRouter
from starlette.types import ASGIApp, Receive, Scope, Send

from mdus.contracts.catalog import Catalog
from mdus.endpoints.rest.router import rest_router
from mdus.endpoints.runtime import Runtime
from mdus.messaging.patterns import Service

_ASKED: Final[ContextVar[Runtime]] = ContextVar("asked")
#: By what they are described by, which is kept so that no other takes its place.
_DESCRIBED: Final[dict[tuple[int, ...], tuple[Any, APIRouter]]] = {}


class Asked:
    """Answers with one runtime."""

    def __init__(self, app: ASGIApp, runtime: Runtime) -> None:
        self._app, self._runtime = app, runtime

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        before = _ASKED.set(self._runtime)
        try:
            await self._app(scope, receive, send)
        finally:
            _ASKED.reset(before)


def rest_routes(runtime: Runtime) -> APIRouter:
    """Return the routes of /api/v1 for the services of a runtime; `Asked` tells them whose they are."""
    by = (id(runtime.catalog), *map(id, runtime.services.values()))
    if by not in _DESCRIBED:
        stand_in = _StandIn(runtime.services, runtime.catalog)
        # In a context of its own: nobody is asked.
        router = Context().run(rest_router, cast(Runtime, stand_in))
        _DESCRIBED[by] = stand_in, router
    return _DESCRIBED[by][1]


class _StandIn:
    """The runtime that is asked; while there is none, its database and clock are those that will be."""

    def __init__(self, services: Mapping[str, Service], catalog: Catalog) -> None:
        self.services, self.catalog = services, catalog

    def __getattr__(self, name: str) -> Any:
        if name in ("database", "clock", "settings") and _ASKED.get(None) is None:
            return _Part(name)
        return getattr(_ASKED.get(), name)


class _Part:
    """A part of the runtime that is asked."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(getattr(_ASKED.get(), self._name), name)
