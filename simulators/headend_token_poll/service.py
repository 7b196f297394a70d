"""The services of docs/head_ends/token_poll.md over HTTP: each action, its answer, and the session it needs."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulators.fleet.callbacks import Completion
from simulators.fleet.headend import Misanswered, Overloaded, TooLarge
from simulators.fleet.meters import CONNECTED
from simulators.fleet.process import cut
from simulators.headend_token_poll import requests, soap
from simulators.headend_token_poll.contract import (
    DETECT,
    INTERROGATE,
    NAMESPACES,
    OPERATIONS,
    WORDS,
    meter_id,
)
from simulators.headend_token_poll.detections import DETECTED, Detection, Finding
from simulators.headend_token_poll.faults import DETECTION, LOGIN, SESSION, VOLTAGE
from simulators.headend_token_poll.results import AGAIN, Results, add_head, add_results, operation

if TYPE_CHECKING:
    from simulators.headend_token_poll.face import TokenPoll

#: Adds to the answer of a request; what it returns is done once that is sent.
Handler = Callable[[soap.Element, soap.Message], Awaitable[BackgroundTask | None]]

_HTML = b"<html><head><title>Runtime Error</title></head><body><h1>Server Error in '/' Application.</h1></body></html>"

#: Kinds of subscriptions by what makes and ends them.
_SUBSCRIBING = {
    "SubscribeToEndpointData": "Data",
    "SubscribeToEndpointExceptionsByGroups": "Exceptions",
}
_CANCELLING = ("CancelDataSubscription", "CancelExceptionSubscription")


class Service:
    """This will answer the services for a head end, for one user."""

    def __init__(self, face: "TokenPoll", *, user: str, password: str) -> None:
        self._face = face
        self._head_end = face.head_end
        self._credentials = (user, password)
        self._sessions: set[str] = set()
        self._results = Results(face)
        self._detections: dict[str, Detection] = {}  # by token
        self._actions: dict[tuple[str, str], Handler] = {("SessionService", "Login"): self._log_in}
        for name, asked in OPERATIONS.items():
            self._add(asked.service, name)
        self._add("DataService", INTERROGATE)
        control, subscriptions = "ControlService", "SubscriptionService"
        self._actions[control, DETECT] = self._detect
        self._actions[control, f"Get{DETECT}Result"] = self._detected
        self._actions[control, "RetrieveRequestByCallerReference"] = self._find
        self._actions[subscriptions, "RetrieveSubscriptionsBySystemName"] = self._list
        for name, kind in _SUBSCRIBING.items():
            self._actions[subscriptions, name] = self._subscribing(kind)
        for name in _CANCELLING:
            self._actions[subscriptions, name] = self._cancel

    def routes(self) -> list[Route]:
        """This will list the routes: one per service."""
        return [Route(f"/{service}", self._endpoint(service), methods=["POST"]) for service in NAMESPACES]

    # --- a call -------------------------------------------------------------------------------------------------------

    def _endpoint(self, service: str) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            with self._head_end.answering():
                try:
                    answer, afterwards = await self._answer(service, request)
                except soap.Fault as error:
                    return _response(error.body(), 500)
                except TooLarge as error:
                    fault = soap.Fault("TooManyEndpoints", f"at most {error.most} endpoints", of_sender=True)
                    return _response(fault.body(), 500)
                except Overloaded:
                    return Response("try later\n", status_code=503, headers={"Retry-After": "2"})
                except Misanswered as error:
                    return await self._misanswer(error.fault, request)
                return _response(soap.envelope(answer), 200, afterwards)

        return endpoint

    async def _answer(self, service: str, request: Request) -> tuple[soap.Element, BackgroundTask | None]:
        session, root = soap.read(await request.body())
        name = soap.local(root)
        handler = self._actions.get((service, name))
        if handler is None or soap.namespace(root) != NAMESPACES[service]:
            raise soap.Fault("ActionUnknown", f"{service} has no {root.tag}", of_sender=True)
        action = request.headers.get("soapaction", "").strip('"')
        if action != f"{NAMESPACES[service]}/{service}/{name}":
            raise soap.Fault("ActionMismatch", f"the SOAPAction {action} is not that of {name}", of_sender=True)
        if service != "SessionService":
            await self._check_session(session)
        message = soap.Message(NAMESPACES[service], f"{name}Response")
        afterwards = await handler(root, message)
        return message.root, afterwards

    async def _misanswer(self, fault: str, request: Request) -> Response:
        match fault:
            case "overloaded" | "maintenance_window":
                return Response("try later\n", status_code=503, headers={"Retry-After": "2"})
            case "login_refused_once":
                return Response("who are you?\n", status_code=401)
            case "max_pending":
                return _response(soap.Fault("TooManyPendingRequests", "too many requests are pending").body(), 500)
            case "soap_fault":
                return _response(soap.Fault("InternalError", "object reference not set to an instance").body(), 500)
            case "html_error_page" | "html_error_page_after_acceptance":
                return Response(_HTML, status_code=500, media_type="text/html")
            case "empty_200":
                return Response(status_code=200)
        return await cut(request)

    # --- sessions -----------------------------------------------------------------------------------------------------

    async def _log_in(self, root: soap.Element, answer: soap.Message) -> None:
        if await self._head_end.misfortune(LOGIN) == "login_rate_limited":
            raise soap.Fault("LoginRateExceeded", "too many logins, try later")
        given = (soap.text(root, "UserName"), soap.text(root, "Password"))
        if not all(secrets.compare_digest(*pair) for pair in zip(given, self._credentials, strict=True)):
            raise soap.Fault("LoginRefused", "wrong user or password", of_sender=True)
        session = secrets.token_hex(16)
        self._sessions.add(session)
        answer.add("SessionToken", session)

    async def _check_session(self, session: str | None) -> None:
        if session not in self._sessions:
            raise soap.Fault("SessionUnknown", "log in first")
        if await self._head_end.misfortune(SESSION) == "session_expires":
            self._sessions.discard(session)
            raise soap.Fault("SessionExpired", "the session is over")

    # --- requests -----------------------------------------------------------------------------------------------------

    def _add(self, service: str, name: str) -> None:
        self._actions[service, name] = self._requesting(name)
        self._actions[service, f"Get{name}Result"] = self._fetching(name)

    def _requesting(self, name: str) -> Handler:
        async def take(root: soap.Element, answer: soap.Message) -> None:
            job = await self._head_end.submit(requests.read(name, root))
            await asyncio.sleep(self._head_end.behaviour.answer_delay)
            answer.add("RequestToken", job.token)
            answer.add("CallerReference", job.correlation_id)
            rejected = answer.add("Rejected")
            for each in job.rejected:
                endpoint = answer.add("Endpoint", to=rejected)
                answer.add("ElectronicSerialNumber", meter_id(each["serial"]), to=endpoint)
                answer.add("Code", WORDS[each["code"]], to=endpoint)
                answer.add("Text", each["text"], to=endpoint)

        return take

    def _fetching(self, name: str) -> Handler:
        async def fetch(root: soap.Element, answer: soap.Message) -> BackgroundTask | None:
            job = self._head_end.state.jobs.get(soap.text(root, "RequestToken"))
            if job is None or operation(job) != name:
                raise soap.Fault("TokenUnknown", f"no {name} has this token", of_sender=True)
            now = self._head_end.clock.now()
            fetched = self._results.fetch(job, now)
            add_head(answer, fetched.token, fetched.reference)
            answer.add("Status", "Complete" if fetched.is_done else "InProgress")
            add_results(answer, list(job.orders.values()), fetched.results, now=now)
            if not fetched.again:
                return None
            return BackgroundTask(self._head_end.tell, AGAIN, {"token": job.token, "results": fetched.again})

        return fetch

    async def _find(self, root: soap.Element, answer: soap.Message) -> None:
        reference = requests.reference(root)
        jobs = self._head_end.state.by_correlation.get(reference.lower(), [])
        looks = [each for each in self._detections.values() if each.reference.lower() == reference.lower()]
        if jobs:
            answer.add("RequestToken", jobs[-1].token)
            answer.add("Operation", operation(jobs[-1]))
        elif looks:
            answer.add("RequestToken", looks[-1].token)
            answer.add("Operation", DETECT)

    # --- the voltage behind breakers ----------------------------------------------------------------------------------

    async def _detect(self, root: soap.Element, answer: soap.Message) -> BackgroundTask | None:
        reference, serials = requests.reference(root), requests.serials(root)
        calls_back = self._face.completion is Completion.READY
        status, data = (
            "".join(soap.texts(root, name)) if calls_back else "" for name in ("StatusAddress", "DataAddress")
        )
        detection = Detection(
            token=f"v-{len(self._detections) + 1:08d}-{secrets.token_hex(2)}",
            reference=reference,
            status_address=status,
            data_address=data,
            to_subscribers=await self._head_end.misfortune(DETECTION, serials=serials) is not None,
            findings=tuple([await self._found(serial) for serial in serials]),
        )
        self._detections[detection.token] = detection
        answer.add("RequestToken", detection.token)
        if not detection.is_told:
            return None
        return BackgroundTask(self._head_end.tell, DETECTED, detection.record())

    async def _found(self, serial: str) -> Finding:
        meter = self._head_end.state.meters.get(serial)
        if meter is None or meter.first_heard_at is None:
            return Finding(serial=serial, code="UNKNOWN_METER" if meter is None else "NO_RESPONSE")
        # Behind a closed breaker there is the voltage of the grid; behind an open one somebody may feed in.
        is_closed = meter.breaker is not None and meter.breaker.state == CONNECTED
        is_live = is_closed or await self._head_end.misfortune(VOLTAGE, serial=serial) is not None
        return Finding(serial=serial, voltage="Present" if is_live else "Absent")

    async def _detected(self, root: soap.Element, answer: soap.Message) -> None:
        detection = self._detections.get(soap.text(root, "RequestToken"))
        if detection is None:
            raise soap.Fault("TokenUnknown", f"no {DETECT} has this token", of_sender=True)
        add_head(answer, detection.token, detection.reference)
        answer.add("Status", "Complete")
        detection.add_to(answer)

    # --- subscriptions ------------------------------------------------------------------------------------------------

    async def _list(self, root: soap.Element, answer: soap.Message) -> None:
        listed = answer.add("Subscriptions")
        for each in self._face.subscriptions.of_system(soap.text(root, "SystemName")):
            element = answer.add("Subscription", to=listed)
            for name, text in (("SubscriptionID", each.number), ("Kind", each.kind), ("Address", each.address)):
                answer.add(name, text, to=element)
            groups = answer.add("Groups", to=element)
            for group in each.groups:
                answer.add("Group", group, to=groups)
            categories = answer.add("ExceptionCategories", to=element)
            for category in each.categories:
                answer.add("ExceptionCategory", category, to=categories)

    def _subscribing(self, kind: str) -> Handler:
        async def subscribe(root: soap.Element, answer: soap.Message) -> None:
            answer.add("SubscriptionID", self._face.subscriptions.subscribe(kind, root).number)

        return subscribe

    async def _cancel(self, root: soap.Element, answer: soap.Message) -> None:
        del answer
        self._face.subscriptions.cancel(soap.text(root, "SubscriptionID"))


def _response(body: bytes, status: int, afterwards: BackgroundTask | None = None) -> Response:
    return Response(body, status_code=status, media_type="text/xml; charset=utf-8", background=afterwards)
