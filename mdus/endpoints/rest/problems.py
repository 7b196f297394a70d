"""Errors of the REST side as problem details (RFC 9457): one shape, whatever went wrong."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Match

from mdus.telemetry.logs import logger

log = logger(__name__)


#: How a problem is described to clients.
_SCHEMA: Final = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong, what was expected, and how to mend it."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"at": {"type": "string"}, "what": {"type": "string"}},
            },
        },
    },
}


def described(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the description of answers that are problems, for a router or a route."""
    content = {"application/problem+json": {"schema": _SCHEMA}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


def problem(status: int, detail: str, *, headers: Mapping[str, str] | None = None, **members: Any) -> JSONResponse:
    """Return an answer of `application/problem+json`; `members` extend it."""
    content = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **members}
    return JSONResponse(content, status_code=status, media_type="application/problem+json", headers=headers)


def install(app: FastAPI) -> None:
    """Make every error of the application a problem."""

    async def of_http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class alone
        headers = error.headers
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            headers = {**(headers or {}), "Allow": ", ".join(_methods(app, request))}
        return problem(error.status_code, str(error.detail), headers=headers)

    async def of_validation(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class alone
        errors = [{"at": ".".join(map(str, found["loc"])), "what": found["msg"]} for found in error.errors()]
        return problem(422, "; ".join(f"{found['at']}: {found['what']}" for found in errors), errors=errors)

    async def of_database(request: Request, _: Exception) -> JSONResponse:
        log.exception("database_unavailable", path=request.url.path)
        return problem(503, "The database is not available", headers={"Retry-After": "10"})

    app.add_exception_handler(HTTPException, of_http)
    app.add_exception_handler(RequestValidationError, of_validation)
    app.add_exception_handler(OperationalError, of_database)


def _methods(app: FastAPI, request: Request) -> list[str]:
    """Return what may be done with a path: a route has one method, and a path may have several routes."""
    return sorted(
        {
            method
            for route in app.routes
            if route.matches(request.scope)[0] is not Match.NONE
            for method in getattr(route, "methods", None) or ()
        }
    )
