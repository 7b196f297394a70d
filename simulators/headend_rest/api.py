"""The API of docs/head_ends/rest.md over HTTP."""

import asyncio
import base64
import binascii
import json
import secrets
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from simulators.clock import instant, stamp
from simulators.fleet.headend import HeadEnd, Misanswered, Overloaded, TooLarge
from simulators.fleet.jobs import KINDS
from simulators.fleet.meters import Meter
from simulators.fleet.problem import Problem
from simulators.fleet.process import cut
from simulators.fleet.resources import meter_resource
from simulators.headend_rest.jobs import MOST_DEVICES, NotAJob, TooManyDevices, read_submission

#: Of the API: from this one on it says what it takes.
_VERSION = "2.1"

#: What is in front of it says when it is in trouble.
_ERROR_PAGE = "<html><body><h1>500 Internal Server Error</h1></body></html>"

_MOST_ON_A_PAGE = 1000
_PAGE = 200


class Api:
    """This will answer /v1 for a head end, for one user."""

    def __init__(self, head_end: HeadEnd, *, user: str, password: str) -> None:
        self._head_end = head_end
        self._credentials = f"{user}:{password}".encode()

    def routes(self) -> list[Route]:
        """This will list the routes."""
        return [
            Route("/v1/capabilities", self._guarded(self.capabilities), methods=["GET"]),
            Route("/v1/jobs", self._guarded(self.submit), methods=["POST"]),
            Route("/v1/jobs", self._guarded(self.find_jobs), methods=["GET"]),
            Route("/v1/jobs/{token}", self._guarded(self.job), methods=["GET"]),
            Route("/v1/meters", self._guarded(self.meters), methods=["GET"]),
            Route("/v1/meters/{serial}", self._guarded(self.meter), methods=["GET"]),
            Route("/v1/snapshots", self._guarded(self.snapshots), methods=["GET"]),
            Route("/v1/intervals", self._guarded(self.intervals), methods=["GET"]),
            Route("/v1/events", self._guarded(self.events), methods=["GET"]),
        ]

    async def capabilities(self, _: Request) -> Response:
        """This will say which kinds of jobs it takes."""
        return JSONResponse({"kinds": list(KINDS), "version": _VERSION})

    async def submit(self, request: Request) -> Response:
        """This will take a job, or behave as a fault says."""
        try:
            submission = read_submission(json.loads(await request.body()))
        except ValueError as error:
            raise Problem(400, "Not JSON", str(error)) from error
        except TooManyDevices as error:
            raise Problem(413, "Too many devices", f"a job may have {MOST_DEVICES} devices") from error
        except NotAJob as error:
            status = 400 if error.errors == ["the body is not an object"] else 422
            raise Problem(status, "Not a job", "the body does not describe a job", errors=error.errors) from error
        try:
            job = await self._head_end.submit(submission)
        except TooLarge as error:
            raise Problem(413, "Too many devices", f"a job may have {error.most} devices") from error
        except Overloaded as error:
            raise _overloaded() from error
        except Misanswered as error:
            match error.fault:
                case "overloaded" | "maintenance_window" | "max_pending":
                    raise _overloaded() from error
                case "login_refused_once":
                    raise _unauthorized() from error
                case "html_error_page" | "html_error_page_after_acceptance":
                    return HTMLResponse(_ERROR_PAGE, status_code=500)
                case "empty_200":
                    return Response()
            return await cut(request)
        await asyncio.sleep(self._head_end.behaviour.answer_delay)
        answer = {"token": job.token, "accepted": len(job.orders), "rejected": job.rejected}
        return JSONResponse(answer, status_code=202)

    async def find_jobs(self, request: Request) -> Response:
        """This will list the jobs with a correlation id."""
        correlation_id = request.query_params.get("correlation_id")
        if not correlation_id:
            raise Problem(400, "What job?", "the parameter correlation_id is missing")
        now = self._head_end.clock.now()
        jobs = self._head_end.state.by_correlation.get(correlation_id.lower(), [])
        return JSONResponse({"jobs": [job.resource(now) for job in jobs]})

    async def job(self, request: Request) -> Response:
        """This will show a job with its results so far."""
        job = self._head_end.state.jobs.get(request.path_params["token"])
        if job is None:
            raise Problem(404, "No such job", "no job has this token")
        return JSONResponse(job.resource(self._head_end.clock.now()))

    async def meters(self, request: Request) -> Response:
        """This will show a page of meters, ordered by serial."""
        limit = _limit(request)
        cursor = _cursor(request, parts=1)
        wanted = {None: None, "true": True, "false": False}.get(request.query_params.get("provisioned"), "unreadable")
        if wanted == "unreadable":
            raise Problem(400, "Unreadable parameter", "provisioned is neither true nor false")
        page: list[Meter] = []
        more = False
        for meter in self._head_end.state.meters.values():
            if cursor is not None and meter.serial <= cursor[0]:
                continue
            if wanted is not None and (meter.provisioned_at is not None) != wanted:
                continue
            if len(page) == limit:
                more = True
                break
            page.append(meter)
        next_cursor = _print_cursor(page[-1].serial) if more else None
        return JSONResponse({"meters": [meter_resource(meter) for meter in page], "next_cursor": next_cursor})

    async def meter(self, request: Request) -> Response:
        """This will show one meter."""
        meter = self._head_end.state.meters.get(request.path_params["serial"])
        if meter is None:
            raise Problem(404, "No such meter", "no meter has this serial number")
        return JSONResponse(meter_resource(meter))

    async def snapshots(self, request: Request) -> Response:
        """This will show a page of the daily snapshots collected in a period."""
        begin, end = _period(request)
        cursor = _cursor(request, parts=2)
        page, more = self._head_end.collection.page(
            begin,
            end,
            now=self._head_end.clock.now(),
            after=None if cursor is None else (cursor[0], cursor[1]),
            limit=_limit(request),
            serial=request.query_params.get("serial"),
        )
        readings = [
            {"serial": meter.serial, **reading} for at, meter in page for reading in meter.readings(at, stamp(at))
        ]
        next_cursor = None
        if more:
            at, meter = page[-1]
            next_cursor = _print_cursor(at.astimezone(self._head_end.behaviour.zone).date().isoformat(), meter.serial)
        return JSONResponse({"readings": readings, "next_cursor": next_cursor})

    async def intervals(self, request: Request) -> Response:
        """This will show a page of the interval values collected in a period."""
        begin, end = _period(request)
        cursor = _cursor(request, parts=2)
        meters = self._head_end.state.meters
        serial = request.query_params.get("serial")
        blocks, last = self._head_end.profiles.page(
            list(meters.values()) if serial is None else [meters[serial]] if serial in meters else [],
            begin,
            end,
            now=self._head_end.clock.now(),
            after=None if cursor is None else (cursor[0], cursor[1]),
            limit=_limit(request),
        )
        return JSONResponse({"blocks": blocks, "next_cursor": None if last is None else _print_cursor(*last)})

    async def events(self, request: Request) -> Response:
        """This will show a page of the events of a period."""
        begin, end = _period(request)
        cursor = _cursor(request, parts=2)
        try:
            after = None if cursor is None else (instant(cursor[0]), cursor[1])
        except ValueError as error:
            raise Problem(400, "Unreadable parameter", "cursor is not one of this list") from error
        events, more = self._head_end.state.log.page(begin, end, after=after, limit=_limit(request))
        next_cursor = _print_cursor(events[-1]["at"], events[-1]["event_id"]) if more else None
        return JSONResponse({"events": events, "next_cursor": next_cursor})

    def _guarded(self, endpoint: Any) -> Any:
        async def guarded(request: Request) -> Response:
            self._authenticate(request)
            with self._head_end.answering():
                return await endpoint(request)  # type: ignore[no-any-return]

        return guarded

    def _authenticate(self, request: Request) -> None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        try:
            decoded = base64.b64decode(given, validate=True) if scheme.lower() == "basic" else b""
        except binascii.Error:
            decoded = b""
        if not secrets.compare_digest(decoded, self._credentials):
            raise _unauthorized()


def _overloaded() -> Problem:
    return Problem(503, "Overloaded", "try later", headers={"Retry-After": "2"})


def _unauthorized() -> Problem:
    headers = {"WWW-Authenticate": 'Basic realm="head end"'}
    return Problem(401, "Unauthorized", "wrong user or password", headers=headers)


def _limit(request: Request) -> int:
    text = request.query_params.get("limit", str(_PAGE))
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= _MOST_ON_A_PAGE:
        raise Problem(400, "Unreadable parameter", f"limit is not a number from 1 to {_MOST_ON_A_PAGE}")
    return int(text)


def _period(request: Request) -> tuple[datetime, datetime]:
    try:
        return instant(request.query_params["from"]), instant(request.query_params["to"])
    except (KeyError, ValueError) as error:
        raise Problem(400, "What period?", "from and to are instants with a zone") from error


def _cursor(request: Request, *, parts: int) -> list[str] | None:
    text = request.query_params.get("cursor")
    if not text:
        return None
    try:
        cursor = base64.b64decode(text.encode(), altchars=b"-_", validate=True).decode().split("|")
    except ValueError:
        cursor = []
    if len(cursor) != parts:
        raise Problem(400, "Unreadable parameter", "cursor is not one of this list")
    return cursor


def _print_cursor(*parts: str) -> str:
    return base64.urlsafe_b64encode("|".join(parts).encode()).decode()
