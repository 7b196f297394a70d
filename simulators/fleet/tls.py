"""TLS in front of a head end that speaks HTTP, with an authority of its own; as a fault, a certificate of another one.

What comes by TLS is passed on to the port where the head end speaks plainly. It listens to this machine only: behind it
the control API takes whoever comes for somebody of the loopback.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import trustme

from simulators.clock import instant
from simulators.fleet.faults import HANDSHAKE, ROLLOVER
from simulators.fleet.headend import HeadEnd
from simulators.fleet.tasks import ends_all

_HOST = "127.0.0.1"
_NOT_TRUSTED = timedelta(minutes=1)
_CHUNK = 64 * 1024


class Front:
    """This will speak TLS for a head end: `start`, then `stop`; `ca_file` is what its clients have to trust.

    The authority is kept in `folder`, for a later start.
    """

    def __init__(self, head_end: HeadEnd, *, folder: Path, port: int) -> None:
        self._head_end = head_end
        self._port = port
        self.ca_file = folder / "ca.pem"
        self._usual = _speaking(_authority(folder, self.ca_file))
        self._other = _speaking(trustme.CA())
        self._behind = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, url: str) -> str:
        """This will listen for what is to be passed on to the head end's own URL; returns where."""
        self._behind = int(url.rpartition(":")[2])
        listening = socket.create_server((_HOST, self._port))
        listening.setblocking(False)
        self._keep(self._accept(listening)).add_done_callback(ends_all)
        return f"https://{_HOST}:{listening.getsockname()[1]}"

    async def stop(self) -> None:
        """This will end, with all connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, listening: socket.socket) -> None:
        with listening:
            while True:
                connection, _ = await asyncio.get_running_loop().sock_accept(listening)
                self._keep(self._serve(connection, await self._context()))

    async def _serve(self, connection: socket.socket, context: ssl.SSLContext) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        with contextlib.suppress(OSError):  # a client that does not like the certificate, for one
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, connection, ssl=context)
            writer = asyncio.StreamWriter(transport, protocol, reader, loop)
            behind_reader, behind_writer = await asyncio.open_connection(_HOST, self._behind)
            await asyncio.gather(_pass(reader, behind_writer), _pass(behind_reader, writer))

    async def _context(self) -> ssl.SSLContext:
        """This will return what a new connection meets: for a minute after the fault fired, another certificate."""
        now = await self._head_end.clock.refresh()
        hits = self._head_end.state.faults.hits.get(ROLLOVER.name, [])
        if hits and now < instant(hits[-1]["at"]) + _NOT_TRUSTED:
            return self._other
        return self._other if await self._head_end.misfortune(HANDSHAKE) == ROLLOVER.name else self._usual

    def _keep(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """This will pass on all that comes; what ends is ended on the other side, what is cut is cut there."""
    try:
        while some := await reader.read(_CHUNK):
            writer.write(some)
            await writer.drain()
    except OSError:
        writer.transport.abort()
    else:
        writer.close()


def _authority(folder: Path, ca_file: Path) -> trustme.CA:
    key_file = folder / "ca.key"
    if ca_file.exists():
        return trustme.CA.from_pem(ca_file.read_bytes(), key_file.read_bytes())
    authority = trustme.CA()
    folder.mkdir(parents=True, exist_ok=True)
    key_file.touch(mode=0o600)
    authority.private_key_pem.write_to_path(str(key_file))
    authority.cert_pem.write_to_path(str(ca_file))
    return authority


def _speaking(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(_HOST).configure_cert(context)
    return context
