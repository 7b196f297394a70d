"""The face of this kind: four services over HTTP that are called, and callbacks to the client."""

import argparse
from collections.abc import Callable, Sequence
from datetime import UTC, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from simulators.clock import instant, stamp
from simulators.fleet.deliveries import Push
from simulators.fleet.face import CallingFace, Kind
from simulators.fleet.headend import Misanswered, Overloaded, TooLarge
from simulators.fleet.jobs import Job, Submission
from simulators.fleet.meters import Meter
from simulators.fleet.process import cut
from simulators.fleet.times import Times, add_times, zone_of
from simulators.headend_multispeak import content, requests
from simulators.headend_multispeak.faults import CALLBACK, FAILED_SWITCH, FAULTS
from simulators.headend_multispeak.tellings import Telling, Tellings, as_ordered, failed_switches
from simulators.headend_multispeak.wire import Element, NotUnderstood, Read, Version, element, fault, read

#: Real seconds a call waits for the meters that it asks.
_WAITS = 20.0

_LENGTHS = {"hours": timedelta(hours=1), "minutes": timedelta(minutes=1), "seconds": timedelta(seconds=1)}
_XML = "text/xml; charset=utf-8"
_ERROR_PAGE = (
    b"<!DOCTYPE html><html><head><title>Runtime Error</title></head><body><h1>Server Error</h1><hr></body></html>"
)


class MultiSpeak(CallingFace):
    """A head end of one version of MultiSpeak."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(options)
        self._zone = zone_of(options.times, options.time_zone)
        times = Times(zone=self._zone or UTC)
        self._version = Version(name=options.version, length=_LENGTHS[options.expiration_unit], times=times)
        formatted = options.snapshots == "formatted" or (options.snapshots is None and self._version.is_3)
        self._tellings = Tellings(self._version, formatted=formatted)
        self._unauthenticated = httpx.AsyncClient(timeout=10.0, trust_env=False)

    def row(self, url: str) -> dict[str, Any]:
        """This will give the row MDUS needs."""
        options: dict[str, Any] = {
            "version": self._version.name,
            "expiration_unit": self.options.expiration_unit,
            "expiration_minutes": 60,
            "event_edition": 2,
            "paths": {name.lower(): f"/{name}_Server.asmx" for name in requests.SERVICES[self._version.name]},
        }
        if self._version.is_3:
            options["take_limit_away"] = "Enable"
        if self._zone is not None:
            options["zone_of_local_times"] = self._zone.key
        return {"kind": self.options.kind, "url": url, "options": options}

    def routes(self) -> Sequence[BaseRoute]:
        """This will list the services, each at an address of its own."""
        return [
            Route(f"/{name}_Server.asmx", partial(self._serve, name), methods=["GET", "POST"])
            for name in requests.SERVICES[self._version.name]
        ]

    # ---- what is asked -----------------------------------------------------------------------------------------------

    async def _serve(self, service: str, request: Request) -> Response:
        if request.method == "GET":
            return self._wsdl(request)
        with self.head_end.answering():
            try:
                header, message = read(await request.body())
                self._check(service, header, message)
                return await self._answer(service, message)
            except NotUnderstood as error:
                return Response(fault(str(error), is_theirs=True), status_code=500, media_type=_XML)
            except TooLarge as error:
                text = f"Too many meters: at most {error.most}"
                return Response(fault(text, is_theirs=True), status_code=500, media_type=_XML)
            except Overloaded:
                return _overloaded()
            except Misanswered as error:
                return await self._misanswered(error.fault, message, request)

    def _wsdl(self, request: Request) -> Response:
        files = Path(__file__).parent
        name = f"multispeak_{self._version.name.replace('.', '_')}"
        base = str(request.url).partition("?")[0].rpartition("/")[0]
        types = (files / f"{name}.xsd").read_text()
        description = (files / f"{name}.wsdl").read_text().replace("{types}", types).replace("{address}", base)
        return Response(description, media_type=_XML)

    def _check(self, service: str, header: Any, message: Read) -> None:
        if (header.get("UserID"), header.get("Pwd")) != (self.options.user, self.options.password):
            raise NotUnderstood("Invalid UserID or Pwd")
        if message.namespace != self._version.namespace:
            raise NotUnderstood(f"{message.namespace} is not the version this head end speaks")
        if message.name not in requests.SERVICES[self._version.name][service]:
            raise NotUnderstood(f"{service}_Server has no method {message.name}")

    async def _answer(self, service: str, message: Read) -> Response:
        name = message.name
        if name == "PingURL":
            return self._answered(name, element("PingURLResult"))
        if name == "GetMethods":
            listed = [element("string", each) for each in requests.SERVICES[self._version.name][service]]
            return self._answered(name, element("GetMethodsResult", *listed))
        if name.startswith("Initiate") and name != "InitiateLoadManagementEvent":
            return await self._initiate(message)
        if name in ("MeterAddNotification", "MeterChangedNotification"):
            return await self._settle(message, requests.provisioning(message, self.head_end.state.meters))
        if name == "InitiateLoadManagementEvent":
            return await self._settle(message, requests.load_event(message))
        pages: dict[str, Callable[[Read], Response]] = {
            "GetReadingsByDate": self._readings_by_date,
            "GetReadingsByDateAndFieldNameIntervalData": self._intervals_by_date,
            "GetHistoryLogsByDate": self._logs_by_date,
            "GetAMRSupportedMeters": self._meters,
            "GetCDSupportedMeters": self._meters,
            "GetCDMeterState": self._state,
        }
        await self.head_end.clock.refresh()
        if name in pages:
            return pages[name](message)
        if name in ("GetReadingsByMeterNo", "GetReadingsByMeterID"):
            return await self._readings_of_meter(message)
        return await self._intervals_of_meter(message)

    async def _initiate(self, message: Read) -> Response:
        """This will take orders whose results are called back, and answer whom it refuses."""
        now = await self.head_end.clock.refresh()
        rejected: list[dict[str, str]] = []
        for submission in requests.initiated(message, self._version, now=now):
            job = await self._submit(submission)
            rejected += job.rejected
        return self._errors(message, rejected)

    async def _submit(self, submission: Submission) -> Job:
        """This will take orders, under references that are the same when a submit that was lost comes again."""
        for order in submission.orders:
            order.reference = f"{order.serial}/{self.head_end.state.attempts[order.serial]}"
        return await self.head_end.submit(submission)

    async def _settle(self, message: Read, submission: Submission) -> Response:
        """This will take orders and wait for their results: the answer says what became of them."""
        job = await self._submit(submission)
        if not await self.head_end.ended(job, within=_WAITS):
            return _timed_out()
        told = job.told(self.head_end.clock.now())
        failed = [*job.rejected, *(result for result in told if result["status"] != "ok")]
        if message.name == "InitiateLoadManagementEvent":
            texts = [content.TEXTS.get(each["code"], each["code"]) for each in failed]
            result = element(f"{message.name}Result", errorString=texts[0] if texts else None)
            return self._answered(message.name, result)
        return self._errors(message, failed)

    # ---- what is stored ----------------------------------------------------------------------------------------------

    async def _readings_of_meter(self, message: Read) -> Response:
        serial = self._known(message).serial
        await self.head_end.admit("read_registers", serials=[serial])
        page, _ = self.head_end.collection.page(
            message.when("startDate"),
            message.when("endDate"),
            now=self.head_end.clock.now(),
            after=None,
            limit=1000,
            serial=serial,
        )
        rows = [{"serial": serial, **row} for at, meter in page for row in meter.readings(at, stamp(at))]
        return self._answered(message.name, element(f"{message.name}Result", *content.meter_reads(self._version, rows)))

    async def _intervals_of_meter(self, message: Read) -> Response:
        """This will ask the meter itself for interval values: it may have what was not collected."""
        begin, end = message.when("startDate"), message.when("endDate")
        self._known(message)
        job = await self._submit(requests.interval_read(message, begin=begin, end=end))
        if not await self.head_end.ended(job, within=_WAITS):
            return _timed_out()
        [told] = [*job.rejected, *job.told(self.head_end.clock.now())]
        if told["code"] not in (None, "NO_DATA"):
            raise NotUnderstood(content.TEXTS.get(told["code"], told["code"]))
        result = element(f"{message.name}Result")
        blocks = [{"serial": told["serial"], **block} for block in told["blocks"]]
        if blocks:
            result = element(result.name, content.interval_data(self._version, "intervalData", blocks))
        return self._answered(message.name, result)

    def _readings_by_date(self, message: Read) -> Response:
        cursor = message.said("lastReceived")
        page, more = self.head_end.collection.page(
            message.when("startDate"),
            message.when("endDate"),
            now=self.head_end.clock.now(),
            after=_pair(cursor),
            limit=self.options.page,
            serial=None,
        )
        rows = [{"serial": meter.serial, **row} for at, meter in page for row in meter.readings(at, stamp(at))]
        last = None
        if more:
            at, meter = page[-1]
            last = f"{at.astimezone(self.head_end.behaviour.zone).date().isoformat()}|{meter.serial}"
        reads = content.meter_reads(self._version, rows)
        return self._answered(message.name, element(f"{message.name}Result", *reads), last=last)

    def _intervals_by_date(self, message: Read) -> Response:
        blocks, last = self.head_end.profiles.page(
            list(self.head_end.state.meters.values()),
            message.when("startDate"),
            message.when("endDate"),
            now=self.head_end.clock.now(),
            after=_pair(message.said("lastReceived")),
            limit=self.options.page,
        )
        result = element(f"{message.name}Result")
        if blocks:
            result = element(result.name, content.interval_data(self._version, "intervalData", blocks))
        return self._answered(message.name, result, last=None if last is None else "|".join(last))

    def _logs_by_date(self, message: Read) -> Response:
        cursor = _pair(message.said("lastReceived"))
        events, more = self.head_end.state.log.page(
            message.when("startDate"),
            message.when("endDate"),
            after=None if cursor is None else (instant(cursor[0]), cursor[1]),
            limit=self.options.page,
        )
        last = f"{events[-1]['at']}|{events[-1]['event_id']}" if more else None
        logs = content.history_logs(self._version, events)
        return self._answered(message.name, element(f"{message.name}Result", *logs), last=last)

    def _meters(self, message: Read) -> Response:
        cursor = message.said("lastReceived") or ""
        needs_breaker = message.name == "GetCDSupportedMeters"
        served = [
            meter
            for meter in self.head_end.state.meters.values()
            if meter.provisioned_at is not None
            and meter.serial > cursor
            and not (needs_breaker and meter.breaker is None)
        ]
        page = served[: self.options.page]
        last = page[-1].serial if len(served) > len(page) else None
        return self._answered(message.name, content.meters(self._version, f"{message.name}Result", page), last=last)

    def _state(self, message: Read) -> Response:
        meter = self._known(message)
        if meter.breaker is None:
            raise NotUnderstood(content.TEXTS["NO_BREAKER"])
        state = content.position(self._version, meter.breaker.state)
        if self._version.is_3:
            return self._answered(message.name, element(f"{message.name}Result", state))
        inside = [*self._version.meter(meter.serial), element("RCDState", state)]
        return self._answered(message.name, element(f"{message.name}Result", *inside))

    def _known(self, message: Read) -> Meter:
        meter = self.head_end.state.meters.get(requests.serial_of(message))
        if meter is None:
            raise NotUnderstood(content.TEXTS["UNKNOWN_METER"])
        if meter.provisioned_at is None:
            raise NotUnderstood(content.TEXTS["NOT_PROVISIONED"])
        return meter

    # ---- how it is answered ------------------------------------------------------------------------------------------

    def _errors(self, message: Read, rejected: Sequence[dict[str, str]]) -> Response:
        at = stamp(self.head_end.clock.now())
        return self._answered(message.name, content.errors(self._version, f"{message.name}Result", rejected, at=at))

    def _answered(self, name: str, result: Element, *, last: str | None = None) -> Response:
        header = {"ObjectsRemaining": "0" if last is None else "1", "LastSent": last}
        body = self._version.envelope(element(f"{name}Response", result), at=self.head_end.clock.now(), **header)
        return Response(body, media_type=_XML)

    async def _misanswered(self, name: str, message: Read, request: Request) -> Response:
        match name:
            case "overloaded" | "maintenance_window":
                return _overloaded()
            case "max_pending":
                result = element(
                    f"{message.name}Result",
                    element("errorObject", errorString="Too many requests are pending, try again later"),
                )
                return self._answered(message.name, result)
            case "login_refused_once":
                return Response(fault("Invalid UserID or Pwd", is_theirs=True), status_code=500, media_type=_XML)
            case "soap_fault":
                text = "Object reference not set to an instance of an object."
                return Response(fault(text, is_theirs=False), status_code=500, media_type=_XML)
            case "html_error_page" | "html_error_page_after_acceptance":
                return Response(_ERROR_PAGE, status_code=500, media_type="text/html")
            case "empty_200":
                return Response(b"", status_code=200, media_type=_XML)
            case _:
                return await cut(request)

    # ---- what is called back -----------------------------------------------------------------------------------------

    async def deliver(self, push: Push) -> bool:
        """This will call the client once for each message of a push; after a failure all of it comes again."""
        failed = failed_switches(push)
        if failed and await self.head_end.misfortune(FAILED_SWITCH, serials=failed) is not None:
            push = as_ordered(push)
        for telling in self._tellings.of(push):
            spoilt = await self.head_end.misfortune(CALLBACK)
            if not await self._call_back(push, telling, backwards=spoilt == "children_out_of_order"):
                return False
        return True

    async def _call_back(self, push: Push, telling: Telling, *, backwards: bool) -> bool:
        message = telling.message.backwards() if backwards else telling.message
        at = self.head_end.clock.now() if telling.at is None else instant(telling.at)
        who = {"UserID": self.options.callback_user, "Pwd": self.options.callback_password}
        headers = {"Content-Type": _XML, "SOAPAction": f'"{self._version.namespace}/{message.name}"'}
        base = self.head_end.behaviour.callback_url
        url = f"{base}/soap" if push.to == base else push.to
        try:
            answer = await self._unauthenticated.post(
                url, content=self._version.envelope(message, at=at, **who), headers=headers
            )
            return answer.status_code == 200 and read(answer.content)[1].name == f"{message.name}Response"
        except (httpx.HTTPError, httpx.InvalidURL, NotUnderstood):
            return False

    async def stop(self) -> None:
        """This will close its connections."""
        await self._unauthenticated.aclose()
        await super().stop()


def _overloaded() -> Response:
    return Response(b"The service is unavailable.", status_code=503, headers={"Retry-After": "2"})


def _timed_out() -> Response:
    return Response(fault("Timeout expired", is_theirs=False), status_code=500, media_type=_XML)


def _pair(cursor: str | None) -> tuple[str, str] | None:
    if not cursor:
        return None
    first, _, second = cursor.partition("|")
    return first, second


def _options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--version", choices=("3.0", "4.1"), default="3.0", help="of MultiSpeak (default %(default)s)")
    add("--expiration-unit", choices=tuple(_LENGTHS), default="hours", help="of 3.0's expirationTime (default hours)")
    add(
        "--snapshots",
        choices=("readings", "formatted"),
        help="how daily readings are told (default: 3.0 formatted blocks, 4.1 readings)",
    )
    add_times(parser, "whether times say that they are UTC, or are local or standard time and do not say it")
    add("--page", type=int, default=200, metavar="N", help="objects on a page (default %(default)s)")


KIND = Kind(
    name="multispeak",
    description="A simulated head end of MultiSpeak 3.0 or 4.1 (docs/head_ends/multispeak.md).",
    face=MultiSpeak,
    faults=FAULTS,
    add_options=_options,
)
