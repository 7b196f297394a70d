"""The SAP side of what MDUS sends: spyne carries the document, our own judge reads it.

In front of spyne stands a gate that checks credentials and plays the faults. spyne is a second, independent SOAP
server: an envelope it cannot dispatch is MDUS's defect. Its own validation accepts nearly anything and is not used.
"""

import asyncio
import base64
import hmac
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

from a2wsgi import WSGIMiddleware
from lxml import etree

from simulators.sap_cis import spyne_shim  # noqa: F401  # before spyne
from simulators.sap_cis.cis import Cis
from simulators.sap_cis.contract import ENVELOPE, GLOBAL
from simulators.sap_cis.envelope import envelope_message
from simulators.sap_cis.faults import RECEIVING_FAULTS

from spyne import AnyXml, Application, Service, rpc  # isort: skip
from spyne.protocol.soap import Soap11  # isort: skip
from spyne.server.wsgi import WsgiApplication  # isort: skip

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_LARGEST_BODY = 256 * 1024 * 1024
_HTML = b"<html><body><h1>Sign in</h1><p>Your session has expired.</p></body></html>"
_FAULT = (
    f'<soap:Envelope xmlns:soap="{ENVELOPE}"><soap:Body><soap:Fault><faultcode>soap:Server</faultcode>'
    "<faultstring>Web service processing error; more details in the web service error log</faultstring>"
    "</soap:Fault></soap:Body></soap:Envelope>"
).encode()


def spyne_application(cis: Cis, *, answer: int = 202) -> WsgiApplication:
    """This will return a WSGI application with one one-way operation per root MDUS may send.

    `answer` is the status of a message taken, 202 or 200, always with an empty body.
    """

    def operation(root: str) -> Any:
        def carry(ctx: Any, _: Any) -> None:
            body = ctx.in_document.find(f"{{{ENVELOPE}}}Body")
            message = body.find(f"{{{GLOBAL}}}{root}")
            cis.receive(message, interface=interface_of(ctx.transport.req_env))

        carry.__name__ = root
        return rpc(AnyXml, _body_style="bare", _in_message_name=root, _out_message_name=f"{root}Taken")(carry)

    service = type("SapSide", (Service,), {root: operation(root) for root in cis.contract.received_roots})
    application = Application([service], tns=GLOBAL, in_protocol=Soap11(), out_protocol=Soap11())
    wsgi = WsgiApplication(application, max_content_length=_LARGEST_BODY)

    def empty(ctx: Any) -> None:
        ctx.transport.resp_code = "202 Accepted" if answer == 202 else "200 OK"
        ctx.transport.resp_headers.pop("Content-Type", None)
        ctx.out_string = [b""]

    wsgi.event_manager.add_listener("wsgi_return", empty)
    return wsgi


def interface_of(environ: dict[str, Any]) -> str:
    """This will return the interface a message was posted to: `interface=` of the query, else the end of the path."""
    asked = parse_qs(environ.get("QUERY_STRING", "")).get("interface")
    return asked[0] if asked else str(environ.get("PATH_INFO", "")).rstrip("/").rpartition("/")[2]


class Gate:
    """This will guard `cis` over HTTP: credentials, faults, the clock asked afresh, then spyne."""

    def __init__(self, cis: Cis, *, user: str, password: str, answer: int = 202) -> None:
        self._cis = cis
        self._credentials = b"Basic " + base64.b64encode(f"{user}:{password}".encode())
        self._spyne: Any = WSGIMiddleware(spyne_application(cis, answer=answer), workers=4)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """This will answer one POST."""
        headers = dict(scope["headers"])
        if not hmac.compare_digest(headers.get(b"authorization", b""), self._credentials):
            await _answer(send, 401, b"credentials, please", b"text/plain", (b"www-authenticate", b'Basic realm="SAP"'))
            return
        if scope["method"] != "POST":
            await _answer(send, 405, b"POST a SOAP message", b"text/plain")
            return
        body = await _whole(receive)
        if body is None:
            return  # cut off in the middle: nothing was said, and nobody is there to be answered
        await self._cis.clock.refresh()
        uuid, defect = _peek(body, self._cis.contract.received_roots)
        fault = await asyncio.to_thread(self._cis.fires, RECEIVING_FAULTS, uuid) if defect is None else None
        if fault == "answers_503":
            await _answer(send, 503, b"The ICM is overloaded", b"text/plain", (b"retry-after", b"1"))
        elif fault == "answers_html_200":
            await _answer(send, 200, _HTML, b"text/html")
        elif fault == "answers_soap_fault":
            await _answer(send, 500, _FAULT, b"text/xml; charset=utf-8")
        elif fault == "cuts_connection":
            await self._carry(scope, body, _nowhere)
            scope["extensions"]["simulator.cut"]()
        elif defect is not None:
            await asyncio.to_thread(self._cis.note_defect, *defect, root=scope["path"])
            await _answer(send, 500, _FAULT, b"text/xml; charset=utf-8")
        else:
            await self._carry(scope, body, send)

    async def _carry(self, scope: Scope, body: bytes, send: Send) -> None:
        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        # The length goes by what arrived: a chunked request names none.
        headers = [pair for pair in scope["headers"] if pair[0] not in (b"content-length", b"transfer-encoding")]
        headers.append((b"content-length", str(len(body)).encode()))
        await self._spyne({**scope, "headers": headers}, receive, send)


def _peek(body: bytes, roots: tuple[str, ...]) -> tuple[str, tuple[str, str] | None]:
    """The message's UUID, and the defect that keeps spyne from carrying it (it fails badly on an empty Body)."""
    try:
        message = envelope_message(body)
    except ValueError as error:
        return "", ("malformed_xml", str(error))
    name = etree.QName(message)
    if name.namespace != GLOBAL or name.localname not in roots:
        return "", ("unknown_root", message.tag)
    return message.findtext("MessageHeader/UUID") or "", None


async def _whole(receive: Receive) -> bytes | None:
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


async def _nowhere(_: MutableMapping[str, Any]) -> None:
    """Drops what spyne answers on a connection about to be cut."""


async def _answer(send: Send, status: int, body: bytes, content_type: bytes, *headers: tuple[bytes, bytes]) -> None:
    lines = [(b"content-type", content_type), (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": body})


logging.getLogger("spyne").setLevel(logging.ERROR)
