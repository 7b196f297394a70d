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
from starlette.routing import Match, compile_path

from mdus.telemetry.logs import logger

log = logger(__name__)


#: How much is said of what was found: it may be a whole body.
_LONGEST: Final = 100
_MEND: Final = "mend that and ask again; /api/docs describes every parameter"

#: What is expected where a validation says no more than that it failed, by the beginning of the kind of its error.
_EXPECTED: Final[Mapping[str, str]] = {
    "missing": "a value: it may not be left out",
    "extra_forbidden": "nothing: there is no such member",
    "int_": "a whole number",
    "date_": "a date such as 2026-03-28",
    "datetime_": "an instant such as 2026-03-28T10:00:00Z",
    "timezone_": "an instant with its zone, such as 2026-03-28T10:00:00Z",
    "bool_": "true or false",
    "json_invalid": "JSON",
    "string_type": "a text",
}

#: The same with a bound that the error names.
_BOUNDS: Final[Mapping[str, str]] = {
    "greater_than_equal": "a number from {ge}",
    "less_than_equal": "a number up to {le}",
    "string_pattern_mismatch": "a text that matches {pattern}",
    "string_too_short": "a text of at least {min_length} characters",
    "string_too_long": "a text of at most {max_length} characters",
    "too_short": "at least {min_length} values",
    "too_long": "at most {max_length} values",
    "literal_error": "{expected}",
    "enum": "{expected}",
}

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
            "description": "Each member or parameter that is wrong.",
            "items": {
                "type": "object",
                "required": ["at", "what", "expected"],
                "properties": {
                    "at": {"type": "string", "description": "Where: query, path, header or body, and its name."},
                    "what": {"type": "string"},
                    "expected": {"type": "string"},
                    "found": {"type": "string", "description": "Absent where there was nothing."},
                },
            },
        },
    },
}


class Problem(HTTPException):
    """An answer that says where something is wrong (such as `query.cursor`), what was expected, and how to mend it."""

    def __init__(self, status: int, what: str, *, at: str, expected: str, found: str | None = None, mend: str) -> None:
        super().__init__(status, f"{at}: {what}: expected {expected}{_and_found(found)}; {mend}")
        told = {} if found is None else {"found": found[:_LONGEST]}
        self.errors = [{"at": at, "what": what, "expected": expected, **told}]


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
        headers, detail = error.headers, str(error.detail)
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            allowed = ", ".join(_methods(app, request))
            headers = {**(headers or {}), "Allow": allowed}
            detail = f"{request.url.path} takes {allowed}, not {request.method}: /api/docs describes what there is"
        elif detail == HTTPStatus.NOT_FOUND.phrase:
            detail = f"There is nothing at {request.url.path}: /api/docs describes what there is"
        members = {"errors": error.errors} if isinstance(error, Problem) else {}
        return problem(error.status_code, detail, headers=headers, **members)

    async def of_validation(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class alone
        errors = [_told(found) for found in error.errors()]
        lines = [f"{one['at']}: expected {one['expected']}{_and_found(one.get('found'))}" for one in errors]
        return problem(422, f"{'; '.join(lines)}: {_MEND}", errors=errors)

    async def of_database(request: Request, _: Exception) -> JSONResponse:
        log.exception("database_unavailable", path=request.url.path)
        return problem(503, "The database is not available", headers={"Retry-After": "10"})

    app.add_exception_handler(HTTPException, of_http)
    app.add_exception_handler(RequestValidationError, of_validation)
    app.add_exception_handler(OperationalError, of_database)


def _told(error: Mapping[str, Any]) -> dict[str, str]:
    """Return an error of a validation as one of a problem: where, what, what was expected and what was found."""
    kind, context = str(error["type"]), error.get("ctx") or {}
    expected = next((text for beginning, text in _EXPECTED.items() if kind.startswith(beginning)), str(error["msg"]))
    if kind in _BOUNDS:
        expected = _BOUNDS[kind].format(**context)
    if kind == "value_error":
        expected = expected.removeprefix("Value error, ").removeprefix("expected ")
    told = {"at": ".".join(map(str, error["loc"])), "what": str(error["msg"]), "expected": expected}
    if kind not in ("missing", "json_invalid"):
        found = error.get("input")
        told["found"] = (found if isinstance(found, str) else repr(found))[:_LONGEST]
    return told


def _and_found(found: str | None) -> str:
    return "" if found is None else f", found {found[:_LONGEST]!r}"


def _methods(app: FastAPI, request: Request) -> list[str]:
    """Return what may be done with a path: a route has one method, and a path may have several routes.

    Those of a router that is included in the application are told by the description alone.
    """
    own = (
        getattr(route, "methods", None) or ()
        for route in app.routes
        if route.matches(request.scope)[0] is not Match.NONE
    )
    described = (
        operations
        for path, operations in app.openapi()["paths"].items()
        if compile_path(path)[0].match(request.url.path)
    )
    return sorted({method.upper() for methods in (*own, *described) for method in methods})
