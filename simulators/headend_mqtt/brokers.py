"""The brokers a run can start for itself, on the loopback; or one that is there already."""

import asyncio
import contextlib
import ctypes
import logging
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from paho.mqtt.client import topic_matches_sub

_PATIENCE = 10.0  # real seconds until a broker that does not start is given up
_ON_THE_WAY = 0.05  # real seconds, many turns of the loop: from accepting a connection until the broker is told
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


class NoBroker(ValueError):
    """The broker asked for is not there, or does not start."""


class Broker(Protocol):
    """A broker: its address, and what can be done with it."""

    host: str
    port: int

    async def start(self) -> None:
        """This will let it listen."""

    async def stop(self) -> None:
        """This will end it in good order."""

    def has_reader(self, topic: str) -> bool:
        """This will tell whether a message under this topic goes to anybody, True where that cannot be known."""


def broker(named: str, *, port: int, state: Path | None) -> Broker:
    """This will find the broker that --broker names; what it keeps beside `state` a later start finds again."""
    folder = None if state is None else state.with_name(f"{state.name}.broker")
    match named:
        case "mosquitto":
            return Mosquitto(port, folder)
        case "amqtt":
            return Amqtt(port, folder)
        case _:
            return Elsewhere(named)


class Elsewhere:
    """A broker that runs already; it is neither started nor ended."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        if address.scheme != "mqtt" or not address.hostname:
            raise NoBroker(f"--broker is mosquitto, amqtt or mqtt://host:port, not {url!r}")
        self.host = address.hostname
        self.port = address.port or 1883

    async def start(self) -> None:
        """This will do nothing."""

    async def stop(self) -> None:
        """This will do nothing."""

    def has_reader(self, topic: str) -> bool:
        """This will not know."""
        del topic
        return True


class _Own:
    """A broker on a port of its own, the same one at every start with the same folder."""

    def __init__(self, port: int, folder: Path | None) -> None:
        self.host = "127.0.0.1"
        self._temporary = None if folder is not None else tempfile.TemporaryDirectory(prefix="mqtt-broker-")
        self.folder = folder if folder is not None else Path(self._temporary.name if self._temporary else "")
        self.folder.mkdir(parents=True, exist_ok=True)
        kept = self.folder / "port"
        if port == 0:
            port = int(kept.read_text()) if kept.exists() else _free_port()
        kept.write_text(str(port))
        self.port = port

    async def until_free(self) -> None:
        """This will wait until nobody listens on the port any more: who did may be ending."""
        await _until(self._is_free, f"port {self.port} stays in use")

    def is_listening(self) -> bool:
        """This will tell whether somebody listens there."""
        try:
            socket.create_connection((self.host, self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def _is_free(self) -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probing:
            probing.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probing.bind((self.host, self.port))
            except OSError:
                return False
        return True


class Mosquitto(_Own):
    """Mosquitto from the PATH as a child process, with sessions and messages kept in a folder."""

    def __init__(self, port: int, folder: Path | None, *, listening: Sequence[str] = ()) -> None:
        program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")
        if program is None:
            raise NoBroker("mosquitto is not installed (Debian: apt-get install mosquitto)")
        super().__init__(port, folder)
        self._program = program
        self._listening = listening  # further settings of its listener
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """This will start it, and let it end when this process does, however that ends."""
        await self.until_free()
        lines = [
            f"listener {self.port} {self.host}",
            *self._listening,
            "allow_anonymous true",
            "persistence true",
            f"persistence_location {self.folder}/",
            "max_queued_messages 0",  # a backlog is not cut off
            "set_tcp_nodelay true",
            "log_dest stderr",
            "log_type error",
        ]
        if os.getuid() == 0:
            lines.append("user root")  # lest it may not write into the folder
        settings = self.folder / "mosquitto.conf"
        settings.write_text("\n".join(lines) + "\n")
        process = await asyncio.create_subprocess_exec(self._program, "-c", str(settings), preexec_fn=_end_with_parent)
        self._process = process
        await _until(lambda: process.returncode is not None or self.is_listening(), "mosquitto does not listen")
        if process.returncode is not None:
            raise NoBroker(f"mosquitto ended at once ({process.returncode}): is port {self.port} somebody else's?")

    async def stop(self) -> None:
        """This will end it; it keeps what it has."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            await self._process.wait()
            self._process = None

    def has_reader(self, topic: str) -> bool:
        """This will not know; by MQTT 5 the broker says so itself."""
        del topic
        return True


class Amqtt(_Own):
    """The broker of the package amqtt, MQTT 3.1.1, in this process: what it has it forgets when it ends.

    It keeps sessions of clients with a user name only, and takes any.
    """

    def __init__(self, port: int, folder: Path | None) -> None:
        super().__init__(port, folder)
        self._broker: Any = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """This will start it."""
        from amqtt.broker import Broker as AmqttBroker

        for name in ("amqtt", "transitions"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        await self.until_free()
        writers = self._writers

        class Noted(AmqttBroker):
            """Notes who is connected: it lets in clients while it ends, and would serve them ever after."""

            is_ending = False

            async def let_nobody_in(self) -> None:
                """Accept no more, and let whom the loop has accepted come to be cut: a closed server forgets them."""
                self.is_ending = True
                for server in self._servers.values():
                    for listening in server.instance.sockets:
                        asyncio.get_running_loop().remove_reader(listening)
                await asyncio.sleep(_ON_THE_WAY)

            async def stream_connected(
                self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str
            ) -> None:
                if self.is_ending:
                    writer.transport.abort()
                    return
                writers.add(writer)
                try:
                    await super().stream_connected(reader, writer, listener_name)
                finally:
                    writers.discard(writer)

        self._broker = Noted(
            {
                "listeners": {"default": {"type": "tcp", "bind": f"{self.host}:{self.port}"}},
                "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": False}},
            }
        )
        await self._broker.start()

    async def stop(self) -> None:
        """This will end it."""
        if self._broker is not None:
            await self._broker.let_nobody_in()
            await self._broker.shutdown()
            self._broker = None
        for writer in list(self._writers):
            writer.transport.abort()

    def has_reader(self, topic: str) -> bool:
        """This will look whether somebody is subscribed: a client that has not come back yet would never get it."""
        return self._broker is not None and any(
            topic_matches_sub(each, topic) for each, readers in self._broker.subscriptions.items() if readers
        )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


async def _until(condition: Any, otherwise: str) -> None:
    deadline = asyncio.get_running_loop().time() + _PATIENCE
    while not condition():
        if asyncio.get_running_loop().time() > deadline:
            raise NoBroker(otherwise)
        await asyncio.sleep(0.02)


def _end_with_parent() -> None:
    """This will run in the child before it becomes the broker."""
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGTERM)
