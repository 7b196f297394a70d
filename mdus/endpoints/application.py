"""The one HTTP application: SOAP, REST, health, and the routes others add, such as the head ends' callbacks."""

from __future__ import annotations

import gc
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

import anyio.to_thread
from fastapi import FastAPI
from sqlalchemy import Connection
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mdus.endpoints.health import health_routes
from mdus.endpoints.rest import problems
from mdus.endpoints.rest.router import rest_router
from mdus.endpoints.runtime import Runtime
from mdus.endpoints.soap import soap_routes
from mdus.telemetry.metrics import HTTP_SECONDS

#: Says when the next thing becomes due on business time, None when nothing will.
Due = Callable[[Connection], datetime | None]


def create_app(
    runtime: Runtime,
    *,
    routes: Sequence[BaseRoute] = (),
    leases: Sequence[str] = (),
    dues: Sequence[Due] = (),
    jobs: Sequence[str] = (),
) -> FastAPI:
    """Return the application of a runtime.

    `routes` are further ones; `leases` names the leases of the workers that `/readyz` holds to be needed; `dues` are
    asked beside the tables for the next due instant that `/clock` tells; `jobs` are those `/metrics` tells the age of.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        # What lives as long as the process (the contract, the schemas) is not looked at in every garbage collection:
        # a bulk of thousands triggers many.
        gc.collect()
        gc.freeze()
        # All blocking work of the endpoints, SQL above all, runs in these threads and in no others.
        anyio.to_thread.current_default_thread_limiter().total_tokens = runtime.settings.http.database_threads
        yield

    app = FastAPI(
        title="MDUS",
        summary="Meter data between SAP for Utilities and advanced metering systems.",
        version="1",
        docs_url="/api/docs",
        redoc_url=None,
        openapi_url="/api/openapi.json",
        redirect_slashes=False,
        lifespan=lifespan,
    )
    problems.install(app)
    health = health_routes(runtime, leases=leases, dues=dues, jobs=jobs)
    # Not `include_router`: it describes every route once more, at the first request.
    app.router.routes.extend([*soap_routes(runtime), *health, *routes, *rest_router(runtime).routes])
    app.add_middleware(TimedRequests)
    return app


class TimedRequests:
    """Measures every request, by route: an address has ids in it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and note how long its answer took."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            HTTP_SECONDS.labels(scope["method"], _route_of(scope), str(status)).observe(time.perf_counter() - began)


def _route_of(scope: Scope) -> str:
    """Return the pattern of the path that matched."""
    if path := getattr(scope.get("route"), "path", None):
        return str(path)
    path = str(scope["path"])
    for name, value in scope.get("path_params", {}).items():
        path = path.replace(f"/{value}", f"/{{{name}}}", 1)
    return path if "endpoint" in scope else "none"
