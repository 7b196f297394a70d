"""Brokers and concentrators that nobody of MDUS wrote: mosquitto and amqtt, paho and aiomqtt."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from queue import Queue
from typing import Any, Protocol

import aiomqtt
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from simulators.headend_mqtt.brokers import Amqtt, Broker, Mosquitto
from tests.conftest import require_program

PATIENCE = 30.0

CONCENTRATOR = "DC-7"
STATE = f"ami/v1/city/{CONCENTRATOR}/state"


def until(condition: Callable[[], Any], what: str) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.01)


class Background:
    """An event loop in a thread of its own, for brokers and clients that need one."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, what: Coroutine[Any, Any, Any]) -> Any:
        """Wait for a coroutine."""
        return self.begin(what).result(PATIENCE)

    def begin(self, what: Coroutine[Any, Any, Any]) -> Future[Any]:
        """Begin a coroutine."""
        return asyncio.run_coroutine_threadsafe(what, self.loop)

    def close(self) -> None:
        """End the loop."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(PATIENCE)


def broker(name: str, folder: Path, *, listening: Sequence[str] = ()) -> Broker:
    """Return a broker, mosquitto with further settings of its listener.

    Without mosquitto the test is skipped, where `CI` is set it fails.
    """
    if name == "amqtt":
        return Amqtt(0, folder)
    require_program("mosquitto", purpose="a broker")
    return Mosquitto(0, folder, listening=listening)


class Command:
    """A command as a concentrator gets it."""

    def __init__(self, topic: str, payload: bytes, properties: Any) -> None:
        self.topic = topic
        self.body: dict[str, Any] = json.loads(payload)
        self.reply_to: str = getattr(properties, "ResponseTopic", None) or self.body["replyTo"]
        correlation = getattr(properties, "CorrelationData", None)
        self.cid: str = self.body["cid"] if correlation is None else correlation.decode()
        self.expires_in: int | None = getattr(properties, "MessageExpiryInterval", None)


class Concentrator(Protocol):
    """What the tests ask of a concentrator, whoever made its client."""

    commands: Queue[Command]

    def come(self) -> None:
        """Connect with a last will, in a session that is kept, and subscribe to the commands."""

    def publish(self, topic: str, body: dict[str, Any], *, retain: bool = False, cid: str | None = None) -> None:
        """Publish with QoS 1; `cid` goes where the version of MQTT has it."""

    def leave(self) -> None:
        """Disconnect in good order: no last will."""

    def die(self) -> None:
        """Lose the connection."""


def _properties(kind: int, **values: Any) -> Properties:
    properties = Properties(kind)
    for name, value in values.items():
        setattr(properties, name, value)
    return properties


_WILL = json.dumps({"v": 1, "src": CONCENTRATOR, "state": "offline"})
_COMMANDS = f"ami/v1/city/{CONCENTRATOR}/+/cmd"


class Paho:
    """A concentrator made with paho."""

    def __init__(self, port: int, version: str, background: Background) -> None:
        del background
        self._port, self._is_5 = port, version == "5"
        self.commands: Queue[Command] = Queue()

    def come(self) -> None:
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=CONCENTRATOR,
            clean_session=None if self._is_5 else False,
            protocol=MQTTProtocolVersion.MQTTv5 if self._is_5 else MQTTProtocolVersion.MQTTv311,
        )
        subscribed = threading.Event()
        self._client.username_pw_set(CONCENTRATOR)
        self._client.will_set(STATE, _WILL, qos=1, retain=True)
        self._client.on_connect = lambda client, *_: client.subscribe(_COMMANDS, qos=1)
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.on_message = self._told
        wishes: dict[str, Any] = {}
        if self._is_5:
            session = _properties(PacketTypes.CONNECT, SessionExpiryInterval=3600)
            wishes = {"clean_start": False, "properties": session}
        self._client.connect("127.0.0.1", self._port, **wishes)
        self._client.loop_start()
        assert subscribed.wait(PATIENCE)

    def _told(self, _: Client, __: Any, message: MQTTMessage) -> None:
        self.commands.put(Command(message.topic, message.payload, message.properties))

    def publish(self, topic: str, body: dict[str, Any], *, retain: bool = False, cid: str | None = None) -> None:
        properties = None
        if cid is not None and self._is_5:
            properties = _properties(PacketTypes.PUBLISH, CorrelationData=cid.encode())
        elif cid is not None:
            body = body | {"cid": cid}
        self._client.publish(topic, json.dumps(body), qos=1, retain=retain, properties=properties)

    def leave(self) -> None:
        until(lambda: not self._client._out_messages, "the acknowledgement of all that was published")
        self._client.disconnect()
        self._client.loop_stop()

    def die(self) -> None:
        self._client.loop_stop()
        connection = self._client.socket()
        assert isinstance(connection, socket.socket)
        connection.shutdown(socket.SHUT_RDWR)
        connection.close()


class Aiomqtt:
    """A concentrator made with aiomqtt."""

    def __init__(self, port: int, version: str, background: Background) -> None:
        self._port, self._is_5 = port, version == "5"
        self._background = background
        self.commands: Queue[Command] = Queue()

    def come(self) -> None:
        self._background.run(self._come())

    async def _come(self) -> None:
        wishes: dict[str, Any] = {"clean_session": False}
        if self._is_5:
            session = _properties(PacketTypes.CONNECT, SessionExpiryInterval=3600)
            wishes = {"clean_start": False, "properties": session}
        self._client = aiomqtt.Client(
            "127.0.0.1",
            self._port,
            identifier=CONCENTRATOR,
            username=CONCENTRATOR,
            protocol=aiomqtt.ProtocolVersion.V5 if self._is_5 else aiomqtt.ProtocolVersion.V311,
            will=aiomqtt.Will(STATE, _WILL, qos=1, retain=True),
            **wishes,
        )
        await self._client.__aenter__()
        await self._client.subscribe(_COMMANDS, qos=1)
        self._listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        with suppress(aiomqtt.MqttError):
            async for message in self._client.messages:
                assert isinstance(message.payload, bytes)
                self.commands.put(Command(message.topic.value, message.payload, message.properties))

    def publish(self, topic: str, body: dict[str, Any], *, retain: bool = False, cid: str | None = None) -> None:
        properties = None
        if cid is not None and self._is_5:
            properties = _properties(PacketTypes.PUBLISH, CorrelationData=cid.encode())
        elif cid is not None:
            body = body | {"cid": cid}
        sent = self._client.publish(topic, json.dumps(body), qos=1, retain=retain, properties=properties)
        self._background.run(sent)

    def leave(self) -> None:
        self._background.run(self._client.__aexit__(None, None, None))

    def die(self) -> None:
        connection = self._client._client.socket()
        assert isinstance(connection, socket.socket)
        connection.shutdown(socket.SHUT_RDWR)
        with suppress(aiomqtt.MqttError):
            self._background.run(self._client.__aexit__(None, None, None))


PEERS: dict[str, Callable[[int, str, Background], Concentrator]] = {"paho": Paho, "aiomqtt": Aiomqtt}
