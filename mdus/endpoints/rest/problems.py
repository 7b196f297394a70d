"""Errors of the REST side as problem details (RFC 9457): one shape, whatever went wrong."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from mdus.telemetry.logs import logger

log = logger(__name__)


def problem(status: int, detail: str, *, headers: Mapping[str, str] | None = None, **members: Any) -> JSONResponse:
    """Return an answer of `application/problem+json`; `members` extend it."""
    content = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **members}
    return JSONResponse(content, status_code=status, media_type="application/problem+json", headers=headers)


def install(app: FastAPI) -> None:
    """Make every error of the application a problem."""

    async def of_http(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class alone
        return problem(error.status_code, str(error.detail), headers=error.headers)

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
