"""SAP's side of what MDUS sends: takes every message in, and answers as a scene has asked for its object.

A message may carry objects of several scenes. The strangest answer asked for wins, once; for the others that is a
redelivery, which they must bear.
"""

import asyncio
import base64
import contextlib
import hmac
import socket
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from urllib.parse import parse_qs

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from simulators.conformance.contract import ENVELOPE, ROOTS
from simulators.conformance.ledger import Ledger, Received
from simulators.sap_cis.envelope import envelope_message

Hook = Callable[[Received], Awaitable[None]]

UNAVAILABLE = "unavailable"
PAGE = "page"

_PAGE = "<html><body><h1>Sign in</h1><p>Your session has expired.</p></body></html>"
_FAULT = (
    f'<soap:Envelope xmlns:soap="{ENVELOPE}"><soap:Body><soap:Fault><faultcode>soap:Client</faultcode>'
    "<faultstring>This is no message of the contract</faultstring></soap:Fault></soap:Body></soap:Envelope>"
)


class Listener:
    """This will listen for MDUS. `taken` is told of every message that was answered as taken."""

    def __init__(self, ledger: Ledger, *, user: str | None, password: str | None, taken: Hook) -> None:
        self._ledger = ledger
        self._taken = taken
        self._credentials = None
        if user is not None:
            self._credentials = b"Basic " + base64.b64encode(f"{user}:{password or ''}".encode())
        self._scripts: defaultdict[tuple[str, str], deque[str]] = defaultdict(deque)
        self._at_delivery: dict[tuple[str, str], Hook] = {}
        self._before_receipt: dict[tuple[str, str], Hook] = {}
        self.unauthorized = 0

    def script(self, root: str, key: str, *answers: str) -> None:
        """This will answer the next deliveries of a message about an object as told."""
        self._scripts[root, key].extend(answers)

    def at_delivery(self, root: str, key: str, hook: Hook) -> None:
        """This will do something once, while the next delivery about an object waits for its answer."""
        self._at_delivery[root, key] = hook

    def before_receipt(self, root: str, key: str, hook: Hook) -> None:
        """This will do something once, before a delivery about an object is answered as taken."""
        self._before_receipt[root, key] = hook

    @contextlib.asynccontextmanager
    async def serving(self, host: str, port: int) -> AsyncIterator[str]:
        """This will listen while the block lasts; yields the address. OSError when it cannot."""
        config = uvicorn.Config(
            Starlette(routes=[Route("/{path:path}", self._take, methods=["POST"])]),
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=2,
        )
        server = _Server(config)
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as listening:
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            listening.listen(128)
            bound = listening.getsockname()[1]
            serving = asyncio.create_task(server.serve(sockets=[listening]))
            try:
                yield f"http://{f'[{host}]' if ':' in host else host}:{bound}"
            finally:
                server.should_exit = True
                await serving

    async def _take(self, request: Request) -> Response:
        presented = request.headers.get("authorization", "").encode()
        if self._credentials is not None and not hmac.compare_digest(presented, self._credentials):
            self.unauthorized += 1
            return Response("credentials, please", 401, headers={"WWW-Authenticate": 'Basic realm="SAP"'})
        try:
            body = await request.body()
        except ClientDisconnect:
            return Response(status_code=400)
        message, reason = None, ""
        try:
            message = envelope_message(body)
        except ValueError as error:
            reason = str(error)
        received = self._ledger.read(body, interface=_interface_of(request), message=message, reason=reason)
        return await self._answer(received)

    async def _answer(self, received: Received) -> Response:
        if received.element is None or received.root not in ROOTS:
            received.status = 500
            await self._ledger.tell()
            return Response(_FAULT, 500, media_type="text/xml")
        objects = [(received.root, item.key) for item in received.items]
        scripts = [self._scripts[one].popleft() for one in objects if self._scripts.get(one)]
        await self._do(self._at_delivery, objects, received)
        if UNAVAILABLE in scripts:
            received.status = 503
            await self._ledger.tell()
            return Response("The ICM is overloaded", 503, headers={"Retry-After": "1"}, media_type="text/plain")
        if PAGE in scripts:
            received.status, received.page = 200, True
            await self._ledger.tell()
            return Response(_PAGE, 200, media_type="text/html")
        await self._do(self._before_receipt, objects, received)
        await self._ledger.tell()
        await self._taken(received)
        return Response(status_code=202)

    async def _do(self, hooks: dict[tuple[str, str], Hook], objects: list[tuple[str, str]], received: Received) -> None:
        for hook in [hooks.pop(one) for one in objects if one in hooks]:
            await hook(received)


class _Server(uvicorn.Server):
    """A server inside another program: signals are that one's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _interface_of(request: Request) -> str:
    """What the message was posted to: `interface=` of the query, as SAP's own adapter has it, else the path's end."""
    asked = parse_qs(request.url.query).get("interface")
    return asked[0] if asked else request.url.path.rstrip("/").rpartition("/")[2]
