"""The SOAP side: SAP posts its messages here and reads their WSDLs.

```
POST /sap                     any message, told by its root
POST /sap/<Interface>         the message of that interface only
GET  /sap/<Interface>?wsdl    its WSDL with this server's address, complete in one document
GET  /sap                     all interfaces
```
A message is durable before it is answered with 202 (or 200, by setting) and no body; a query is answered with 200 and
its response. All else is a SOAP fault.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mdus.contracts.catalog import Direction, UnknownInterface
from mdus.contracts.envelope import fault
from mdus.endpoints.authentication import CHALLENGE, NotAuthenticated, SenderAuthentication
from mdus.endpoints.intake import Asked, Intake
from mdus.endpoints.query import answered
from mdus.endpoints.received_body import ReceivedBody, check_content_type, drained, receive
from mdus.endpoints.refusal import Reason, Refused
from mdus.endpoints.runtime import Runtime
from mdus.messaging.patterns import inbound_roots, outbound_roots
from mdus.settings import Sender
from mdus.telemetry.logs import logger

log = logger(__name__)

_XML: Final = "text/xml; charset=utf-8"


def soap_routes(runtime: Runtime) -> list[Route]:
    """Return the routes of the SOAP side; paths with and without a closing slash, so that none redirects."""
    endpoint = SoapEndpoint(runtime)
    return [
        Route(path, serve, methods=[method])
        for paths, serve, method in (
            (("/sap", "/sap/"), endpoint.take, "POST"),
            (("/sap/{interface}", "/sap/{interface}/"), endpoint.take, "POST"),
            (("/sap", "/sap/"), endpoint.list_interfaces, "GET"),
            (("/sap/{interface}", "/sap/{interface}/"), endpoint.wsdl, "GET"),
        )
        for path in paths
    ]


class SoapEndpoint:
    """Answers the requests of the SOAP side."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._http = runtime.settings.http
        self._authenticate = SenderAuthentication(runtime.settings)
        self._intake = Intake(runtime)
        self._supported = {
            root
            for service in runtime.services.values()
            for roots in (inbound_roots(service), outbound_roots(service))
            for root, _ in roots
        }

    async def take(self, request: Request) -> Response:
        """Take in one message."""
        interface: str | None = request.path_params.get("interface")
        stream = request.stream()
        try:
            sender = self._sender(request)
            self._check_interface(interface)
            check_content_type(request)
            body = await receive(request, stream, self._http)
        except Refused as refused:
            self._intake.count(refused, interface=interface)
            return _answer(refused, close=not await _drained(stream))
        except ClientDisconnect:
            # Nobody is left to answer, and nothing was stored: the sender will come again.
            log.info("sender_disconnected", interface=interface)
            return Response(status_code=400)
        answer = await self._answer_to(body, interface=interface, sender=sender)
        answer.background = BackgroundTask(body.close)
        return answer

    async def _answer_to(self, body: ReceivedBody, *, interface: str | None, sender: Sender | None) -> Response:
        """Store the message in a body, or answer the query in it, and return the answer."""
        try:
            taken = await run_in_threadpool(self._intake.receive, body, interface=interface, sender=sender)
            if isinstance(taken, Asked):
                return Response(await run_in_threadpool(answered, taken, self._runtime), media_type=_XML)
        except Refused as refused:
            return _answer(refused)
        except (OperationalError, PoolTimeout):
            log.exception("message_not_stored", interface=interface)
            unstored = Refused(Reason.STORAGE, "The message could not be stored; send it again later")
            self._intake.count(unstored, interface=interface)
            return _answer(unstored)
        return Response(status_code=self._http.answer_status if sender is None else sender.answer_status)

    async def wsdl(self, request: Request) -> Response:
        """Return the WSDL of an interface; anyone may read it, it says nothing of this installation but its address."""
        interface = request.path_params["interface"]
        if "wsdl" not in {name.lower() for name in request.query_params}:
            return JSONResponse({"post": interface, "wsdl": f"{request.url.path}?wsdl"})
        location = f"{str(request.base_url).rstrip('/')}/sap/{interface}"
        try:
            document = await run_in_threadpool(self._runtime.catalog.wsdl, interface, location=location)
        except UnknownInterface as unknown:
            return _answer(Refused(Reason.UNKNOWN_INTERFACE, str(unknown)))
        return Response(document, media_type=_XML)

    async def list_interfaces(self, request: Request) -> Response:
        """List all interfaces: which message each carries, who sends it, and whether MDUS supports it."""
        base = str(request.base_url).rstrip("/")
        roots = sorted(self._runtime.catalog.roots.values(), key=lambda root: root.name)
        return JSONResponse(
            {
                "interfaces": [
                    {
                        "interface": root.interface,
                        "message": root.name,
                        "bulk": root.is_bulk,
                        "sent_by": "SAP" if root.direction is Direction.RECEIVED else "MDUS",
                        "supported": root.name in self._supported,
                        "wsdl": f"{base}/sap/{root.interface}?wsdl",
                    }
                    for root in roots
                ]
            }
        )

    def _check_interface(self, interface: str | None) -> None:
        if interface is not None and interface not in self._runtime.catalog.interfaces:
            raise Refused(Reason.UNKNOWN_INTERFACE, f"There is no interface {interface}; GET /sap lists all")

    def _sender(self, request: Request) -> Sender | None:
        try:
            return self._authenticate(request)
        except NotAuthenticated as error:
            raise Refused(Reason.NOT_AUTHENTICATED, str(error)) from error


async def _drained(stream: AsyncIterator[bytes]) -> bool:
    try:
        return await drained(stream)
    except ClientDisconnect:
        return False


def _answer(refused: Refused, *, close: bool = False) -> Response:
    headers = dict(CHALLENGE) if refused.reason is Reason.NOT_AUTHENTICATED else {}
    if close:
        headers["Connection"] = "close"
    if refused.reason is Reason.STORAGE:
        headers["Retry-After"] = "10"
    body = fault(refused.code, refused.text, details=refused.details)
    return Response(body, status_code=refused.status, media_type=_XML, headers=headers)
