"""The other sides, as cheap as they can be: a sink that counts what SAP would receive, and an instant head end.

One process, so that its CPU is not counted as MDUS's. The head end speaks docs/head_ends/rest.md as far as readings on
demand need it: a job is acknowledged and all its results are pushed back at once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import UTC, datetime
from typing import Any

import httpx
import uvicorn

from tests.benchmarks.orders import OBIS

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_DOCUMENT = re.compile(rb"<MeterReadingDocument><ID>([^<]+)</ID>")


class Peers:
    """The ASGI application of both; keeps what it received until it is asked."""

    def __init__(self, *, user: str, password: str) -> None:
        self._bodies: dict[str, list[bytes]] = {}
        self._counts: Counter[str] = Counter()
        self._jobs = 0
        self._pushes: set[asyncio.Task[None]] = set()
        self._client = httpx.AsyncClient(auth=(user, password), timeout=60.0, trust_env=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """This will answer one request."""
        if scope["type"] != "http":
            return
        body = await _body(receive)
        path: str = scope["path"]
        if path.startswith("/sap/"):
            interface = path.rpartition("/")[2]
            self._bodies.setdefault(interface, []).append(body)
            self._counts[interface] += body.count(b"</MeterReadingDocument>")
            await _answer(send, 202, b"")
        elif path == "/v1/jobs":
            await self._take(json.loads(body), send)
        elif path == "/counts":
            await _answer(send, 200, json.dumps(self._counts).encode())
        elif path == "/documents":
            await _answer(send, 200, json.dumps(self._documents()).encode())
        else:
            await _answer(send, 404, b"")

    def _documents(self) -> dict[str, dict[str, int]]:
        """Return, by interface, how often each document was received."""
        return {
            interface: Counter(found.decode() for body in bodies for found in _DOCUMENT.findall(body))
            for interface, bodies in self._bodies.items()
        }

    async def _take(self, job: dict[str, Any], send: Send) -> None:
        self._jobs += 1
        token = f"j-{self._jobs}"
        await _answer(send, 202, json.dumps({"token": token, "accepted": len(job["devices"]), "rejected": []}).encode())
        push = asyncio.create_task(self._push(job, token))
        self._pushes.add(push)
        push.add_done_callback(self._pushes.discard)

    async def _push(self, job: dict[str, Any], token: str) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        reading = {"obis": OBIS, "at": at, "value": "12345.67", "unit": "kWh"}
        results = [
            {
                "serial": device["serial"],
                "reference": device["reference"],
                "status": "ok",
                "completed_at": at,
                "readings": [reading],
            }
            for device in job["devices"]
        ]
        content = {
            "delivery_id": f"{token}-1",
            "token": token,
            "correlation_id": job["correlation_id"],
            "kind": job["kind"],
            "results": results,
        }
        answer = await self._client.post(f"{job['callback_url']}/results", json=content)
        answer.raise_for_status()


async def _body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def _answer(send: Send, status: int, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


def main() -> None:
    """This will serve both until it is stopped."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.peers", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--user", required=True, help="of the pushes to MDUS")
    parser.add_argument("--password", required=True)
    options = parser.parse_args()
    app = Peers(user=options.user, password=options.password)
    uvicorn.run(app, host="127.0.0.1", port=options.port, access_log=False, log_level="warning", lifespan="off")


if __name__ == "__main__":
    main()
