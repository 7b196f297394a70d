"""Requests over HTTP that are answered by a problem body."""

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response


class Problem(Exception):
    """A request that is answered by a problem body."""

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        *,
        errors: list[str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = headers
        self.body: dict[str, Any] = {"title": title, "status": status, "detail": detail}
        if errors is not None:
            self.body["errors"] = errors


async def problem_response(_: Request, problem: Exception) -> Response:
    """This will answer a Problem, or what the framework refuses (404, 405), as application/problem+json."""
    if isinstance(problem, HTTPException):
        problem = Problem(problem.status_code, problem.detail, problem.detail)
    assert isinstance(problem, Problem)
    return JSONResponse(
        problem.body, status_code=problem.status, headers=problem.headers, media_type="application/problem+json"
    )
