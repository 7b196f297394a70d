"""One data concentrator at a broker: birth and last will, commands in, messages out, MQTT 5 or 3.1.1.

paho has a thread per concentrator; whatever it calls is handed to the event loop, where everything else happens.
"""

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from simulators.headend_mqtt.brokers import Broker
from simulators.headend_mqtt.messages import VERSION, Message, Told

_PATIENCE = 10.0  # real seconds for an answer of the broker
_SESSION_SECONDS = 24 * 3600
_NOBODY_THERE = 16  # MQTT 5: taken, but nobody is subscribed


@dataclass(frozen=True, kw_only=True, slots=True)
class Topics:
    """The topics of a head end, by its name in them."""

    head_end: str

    def of(self, concentrator: str, device: str, kind: str) -> str:
        """This will name the topic of a meter: cmd, rsp, evt or rdg."""
        return f"ami/v1/{self.head_end}/{concentrator}/{device}/{kind}"

    def state(self, concentrator: str) -> str:
        """This will name the topic of a concentrator's state."""
        return f"ami/v1/{self.head_end}/{concentrator}/state"


#: Whom a command is handed to: the concentrator's name, the command, and what acknowledges it to the broker.
Commanded = Callable[[str, Told, Callable[[], Any]], None]


class Concentrator:
    """This will be a client of the broker while it is there: `come`, `publish`, `leave`; used in the event loop only.

    `arrived` is called whenever it has come, or come back by itself.
    """

    def __init__(
        self,
        name: str,
        *,
        broker: Broker,
        version: str,
        topics: Topics,
        commanded: Commanded,
        arrived: Callable[[str], None],
    ) -> None:
        self.name = name
        self._broker = broker
        self._is_5 = version == "5"
        self._topics = topics
        self._commanded = commanded
        self._arrived = arrived
        self._client: Client | None = None
        self._is_there = asyncio.Event()
        self._waiting: dict[int, asyncio.Future[int]] = {}  # by packet number: messages not acknowledged yet
        self._early: list[tuple[Told, Callable[[], Any]]] = []  # commands that came when nothing could be answered yet
        self._loop = asyncio.get_running_loop()

    async def come(self) -> None:
        """This will connect, and go on trying; it returns once it is there, or after a while."""
        if self._client is None:
            self._client = self._new_client()
            self._client.connect_async(self._broker.host, self._broker.port, keepalive=30, **self._wishes())
            self._client.loop_start()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._is_there.wait(), _PATIENCE)

    async def leave(self, *, politely: bool = False) -> None:
        """This will disconnect: cut off, so that the broker publishes the last will, or politely, without it."""
        client, self._client = self._client, None
        self._gone()
        if client is None:
            return
        if politely:
            client.disconnect()
        await asyncio.to_thread(client.loop_stop)
        connection = client.socket()
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]
            connection.close()

    async def publish(self, message: Message) -> bool:
        """This will publish with QoS 1 and return whether the broker has it, and has somebody to give it to."""
        client = self._client
        if client is None or not self._is_there.is_set() or not client.is_connected():
            return False
        if not message.retain and not self._broker.has_reader(message.topic):
            return False
        properties = None
        if self._is_5 and message.cid is not None:
            properties = Properties(PacketTypes.PUBLISH)
            properties.CorrelationData = message.cid.encode()
        body = message.body
        if not self._is_5 and message.cid is not None:
            body = body | {"cid": message.cid}
        number = client.publish(
            message.topic, json.dumps(body, separators=(",", ":")), qos=1, retain=message.retain, properties=properties
        ).mid
        answer = self._waiting[number] = self._loop.create_future()
        try:
            reason = await asyncio.wait_for(answer, _PATIENCE)
        except TimeoutError:
            return False
        finally:
            self._waiting.pop(number, None)
        return reason < 128 and (message.retain or reason != _NOBODY_THERE)

    # --- what paho calls, in its thread -------------------------------------------------------------------------------

    def _new_client(self) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"{self._topics.head_end}-{self.name}",
            clean_session=None if self._is_5 else False,
            protocol=MQTTProtocolVersion.MQTTv5 if self._is_5 else MQTTProtocolVersion.MQTTv311,
            manual_ack=True,
        )
        client.reconnect_delay_set(1, 2)
        client.username_pw_set(self.name)  # a broker may keep sessions of clients with a name only
        will = {"v": VERSION, "src": self.name, "state": "offline"}
        client.will_set(self._topics.state(self.name), json.dumps(will), qos=1, retain=True)

        def in_loop(call: Callable[..., Any], *of: Any) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: so is all else
                self._loop.call_soon_threadsafe(call, *of)

        def connected(_: Client, __: Any, ___: Any, reason: ReasonCode, ____: Any) -> None:
            if not reason.is_failure:
                client.subscribe(self._topics.of(self.name, "+", "cmd"), qos=1)

        def told(_: Client, __: Any, message: MQTTMessage) -> None:
            correlation = getattr(message.properties, "CorrelationData", None)
            command = Told(
                device=message.topic.split("/")[-2],
                body=message.payload,
                response_topic=getattr(message.properties, "ResponseTopic", None),
                correlation=None if correlation is None else correlation.decode(),
            )
            in_loop(self._told, client, command, partial(client.ack, message.mid, message.qos))

        client.on_connect = connected
        client.on_message = told
        client.on_subscribe = lambda *_: in_loop(self._came, client)
        client.on_disconnect = lambda *_: in_loop(self._lost, client)
        client.on_publish = lambda _, __, number, reason, ___: in_loop(self._acknowledged, client, number, reason.value)
        return client

    def _wishes(self) -> dict[str, Any]:
        if not self._is_5:
            return {}
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = _SESSION_SECONDS
        return {"clean_start": False, "properties": properties}

    # --- the same in the event loop -----------------------------------------------------------------------------------

    def _came(self, client: Client) -> None:
        if client is self._client:
            self._is_there.set()
            self._arrived(self.name)
            early, self._early = self._early, []
            for command, acknowledge in early:
                self._commanded(self.name, command, acknowledge)

    def _told(self, client: Client, command: Told, acknowledge: Callable[[], Any]) -> None:
        if client is not self._client:
            return  # not acknowledged: it comes again
        if self._is_there.is_set():
            self._commanded(self.name, command, acknowledge)
        else:
            self._early.append((command, acknowledge))

    def _lost(self, client: Client) -> None:
        if client is self._client:
            self._gone()

    def _gone(self) -> None:
        self._is_there.clear()
        self._early.clear()  # not acknowledged: they come again
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_result(255)

    def _acknowledged(self, client: Client, number: int, reason: int) -> None:
        answer = self._waiting.get(number)
        if client is self._client and answer is not None and not answer.done():
            answer.set_result(reason)
