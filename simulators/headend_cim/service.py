"""/cim: the service of this head end. Typed and generic messages are taken at one address."""

import asyncio
import base64
import binascii
import secrets
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulators.clock import instant, stamp
from simulators.fleet.headend import HeadEnd, Misanswered, Overloaded, TooLarge
from simulators.fleet.jobs import Job, Submission
from simulators.fleet.process import cut
from simulators.fleet.resources import meter_resource
from simulators.headend_cim import payloads
from simulators.headend_cim.envelopes import Asked, Failure, Node, NotAMessage, Writer, take_apart
from simulators.headend_cim.orders import Question, Refused, read
from simulators.headend_cim.replies import failure_of, told
from simulators.headend_cim.words import (
    ACKNOWLEDGED,
    BUSY,
    ELEMENT_MISSING,
    NO_DATA,
    NO_SUCH_REQUEST,
    NOT_LOGGED_IN,
    TOO_MANY_ITEMS,
    TOO_MANY_PENDING,
)

PATH = "/cim"

_ALL = 1_000_000
_PATIENCE = 20.0  # real seconds that a client is kept waiting for the meters


class Service:
    """This will answer /cim for a head end, for one user."""

    def __init__(
        self, head_end: HeadEnd, writer: Writer, *, relay: str, periods: bool, user: str, password: str
    ) -> None:
        self._head_end = head_end
        self._writer = writer
        self._relay = relay
        self._periods = periods
        self._credentials = f"{user}:{password}".encode()

    def routes(self) -> list[Route]:
        """This will list the routes."""
        return [Route(PATH, self.take, methods=["POST"]), Route(PATH, self.wsdl, methods=["GET"])]

    async def wsdl(self, request: Request) -> Response:
        """This will show what the service takes."""
        described = Path(__file__).with_name("service.wsdl").read_text()
        return Response(described.replace("@ADDRESS@", str(request.url).partition("?")[0]), media_type="text/xml")

    async def take(self, request: Request) -> Response:
        """This will take a message, or behave as a fault says."""
        if not self._is_known(request):
            fault = self._writer.fault("wrong user or password", code=NOT_LOGGED_IN, whose="Client")
            return _xml(fault, 401, {"WWW-Authenticate": 'Basic realm="head end"'})
        with self._head_end.answering():
            try:
                asked = take_apart(await request.body())
            except NotAMessage as error:
                return _xml(self._writer.fault(str(error), code=ELEMENT_MISSING, whose="Client"), 400)
            if (asked.verb, asked.noun) == ("get", "EndDeviceControls"):
                return self._known(asked)
            try:
                wanted = read(asked, self._head_end.state.meters)
            except Refused as error:
                return self._failed(asked, error.code, str(error))
            if isinstance(wanted, Question):
                return self._answered(asked, wanted)
            return await self._submitted(asked, wanted, request)

    # --- orders -------------------------------------------------------------------------------------------------------

    async def _submitted(self, asked: Asked, submission: Submission, request: Request) -> Response:
        try:
            job = await self._head_end.submit(submission)
        except TooLarge as error:
            return self._failed(asked, TOO_MANY_ITEMS, str(error))
        except Overloaded:
            return self._failed(asked, BUSY, "too much is under way")
        except Misanswered as error:
            return await self._misanswered(asked, error.fault, request, items=len(submission.orders))
        if asked.reply_address is None:
            await self._head_end.ended(job, within=_PATIENCE)
            return self._replied(asked, job)
        await asyncio.sleep(self._head_end.behaviour.answer_delay)
        failures = [failure_of(each, job.kind) for each in job.rejected]
        result = "OK" if not failures else "PARTIAL" if job.orders else "FAILED"
        codes = [ACKNOWLEDGED] if job.orders else []
        return self._reply(asked, result, codes=codes, failures=failures)

    def _replied(self, asked: Asked, job: Job) -> Response:
        """This will reply with the results themselves: the client has nowhere else for them."""
        results = job.told(self._head_end.clock.now())
        unheard = [
            {"serial": each.serial, "reference": each.reference, "code": "NO_RESPONSE", "text": "no answer in time"}
            for each in job.orders.values()
            if each.result is None
        ]
        found = told(
            self._writer,
            {"kind": job.kind, "results": results, "more": False},
            orders=job.orders,
            relay=self._relay,
            periods=self._periods,
        )
        failures = [*found.failures, *(failure_of(each, job.kind) for each in (*job.rejected, *unheard))]
        result = "OK" if not failures else "PARTIAL" if found.has_done else "FAILED"
        return self._reply(asked, result, failures=failures, payload=found.payload, noun=found.noun)

    async def _misanswered(self, asked: Asked, fault: str, request: Request, *, items: int) -> Response:
        match fault:
            case "overloaded" | "maintenance_window":
                return Response("<html>Service unavailable</html>", 503, {"Retry-After": "2"}, "text/html")
            case "login_refused_once":
                return _xml(self._writer.fault("log in again", code=NOT_LOGGED_IN, whose="Client"), 401)
            case "max_pending":
                return self._failed(asked, TOO_MANY_PENDING, "too many requests are pending")
            case "too_many_items" if items > 1:
                return self._failed(asked, TOO_MANY_ITEMS, f"{items} are too many")
            case "too_many_items":
                return self._failed(asked, BUSY, "high activity")
            case "soap_fault":
                return _xml(self._writer.fault("java.lang.NullPointerException"), 500)
            case "html_error_page" | "html_error_page_after_acceptance":
                return Response("<html><h1>500 Internal Server Error</h1></html>", 500, media_type="text/html")
            case "empty_200":
                return Response(b"", 200)
        return await cut(request)

    def _known(self, asked: Asked) -> Response:
        """This will say what became of a call whose answer was lost: the client names its CorrelationID."""
        jobs = [job for each in asked.ids for job in self._head_end.state.by_correlation.get(each.lower(), [])]
        if not jobs:
            return self._failed(asked, NO_SUCH_REQUEST, "no such request was taken")
        failures = [failure_of(each, jobs[0].kind) for each in jobs[0].rejected]
        return self._reply(asked, "PARTIAL" if failures else "OK", codes=[ACKNOWLEDGED], failures=failures)

    # --- questions ----------------------------------------------------------------------------------------------------

    def _answered(self, asked: Asked, question: Question) -> Response:
        now = self._head_end.clock.now()
        payload: Node | None = None
        if question.about == "meters":
            meters = self._head_end.state.meters.values()
            return self._reply(asked, "OK", payload=payloads.registry(self._writer, map(meter_resource, meters)))
        if question.start is None or question.end is None:
            return self._failed(asked, ELEMENT_MISSING, "a question about all meters has StartTime and EndTime")
        begin, end = instant(question.start), instant(question.end)
        if question.about == "events":
            rows, _ = self._head_end.state.log.page(begin, end, after=None, limit=_ALL)
            payload = payloads.events(self._writer, rows) if rows else None
        else:
            readings = payloads.MeterReadings(self._writer, has_periods=self._periods)
            if question.about == "intervals":
                meters_now = list(self._head_end.state.meters.values())
                blocks, _ = self._head_end.profiles.page(meters_now, begin, end, now=now, after=None, limit=_ALL)
                for block in blocks:
                    readings.block(block["serial"], block)
            else:
                page, _ = self._head_end.collection.page(begin, end, now=now, after=None, limit=_ALL, serial=None)
                for at, meter in page:
                    for reading in meter.readings(at, stamp(at)):
                        readings.reading(meter.serial, reading)
            payload = readings.written() if readings.is_there else None
        if payload is None:
            return self._failed(asked, NO_DATA, "nothing is there of this time")
        return self._reply(asked, "OK", payload=payload)

    # --- replies ------------------------------------------------------------------------------------------------------

    def _failed(self, asked: Asked, code: str, reason: str) -> Response:
        return self._reply(asked, "FAILED", failures=[Failure(code=code, reason=reason)])

    def _reply(
        self,
        asked: Asked,
        result: str,
        *,
        codes: Sequence[str] = (),
        failures: Sequence[Failure] = (),
        payload: Node | None = None,
        noun: str | None = None,
    ) -> Response:
        # An answer is in the style of what was asked, whatever is told by itself.
        writer = replace(self._writer, is_generic=asked.is_generic)
        content = writer.reply(
            noun or asked.noun or "Unknown",
            at=stamp(self._head_end.clock.now()),
            correlation=asked.correlation,
            result=result,
            codes=codes,
            failures=failures,
            payload=payload,
        )
        return _xml(content, 200)

    def _is_known(self, request: Request) -> bool:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        try:
            decoded = base64.b64decode(given, validate=True) if scheme.lower() == "basic" else b""
        except binascii.Error:
            decoded = b""
        return secrets.compare_digest(decoded, self._credentials)


def _xml(content: bytes, status: int, headers: dict[str, Any] | None = None) -> Response:
    return Response(content, status, headers, "text/xml; charset=utf-8")
