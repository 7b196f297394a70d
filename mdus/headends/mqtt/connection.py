"""One connection to a broker, MQTT 5 or 3.1.1: it is pumped by whoever uses it, in one thread, and never mended.

paho mends connections by itself, and then sends once more what was not acknowledged. A disconnection that we gave up
must not leave a minute later: here a connection that broke is thrown away with all that was still in it, and the next
one begins empty. Nothing runs in the background either: while nobody pumps, nothing is read, and the broker waits.
"""

from __future__ import annotations

import ssl
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from mdus.headends.mqtt.options import Version
from mdus.messaging.retry import TransientError, UncertainError

#: Seconds to reach the broker at all.
_CONNECT_SECONDS: Final = 5.0

#: Messages that are sent before the first of them is acknowledged, where the broker allows as many.
_WINDOW: Final = 100

#: The most bytes a packet of MQTT can have: its length is written in 28 bits.
_LARGEST: Final = 2**28 - 1

#: Seconds without a message after which those received so far are handed over.
_LULL: Final = 0.005


@dataclass(frozen=True, kw_only=True, slots=True)
class Broker:
    """Where a broker is and how to log in there; `name` is the head end's, for whoever reads what went wrong."""

    name: str
    host: str
    port: int
    version: Version
    keepalive_seconds: int
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = None

    @property
    def is_5(self) -> bool:
        """Tell whether MQTT 5 is spoken to it."""
        return self.version == "5"


@dataclass(frozen=True, kw_only=True, slots=True)
class Outgoing:
    """A message to be sent; MQTT 5 takes the last three beside it."""

    key: str
    topic: str
    body: bytes
    response_topic: str
    expiry_seconds: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Incoming:
    """A message received, to be acknowledged on the connection it came on; on a broken one that does nothing.

    Of one that is too large the body is not kept.
    """

    topic: str
    body: bytes
    size: int
    correlation: bytes
    number: int
    qos: int
    client: Client = field(repr=False)

    def acknowledge(self) -> None:
        """Tell the broker that the message is kept here, so that it does not send it again."""
        self.client.ack(self.number, self.qos)


class Broken(Exception):
    """The connection is there no more."""


class Connection:
    """A connection to a broker that is there once this is made; TransientError where it cannot be had.

    With `session_seconds` the broker keeps what comes for `client_id` while it is not connected; without, nothing.
    Where it can be told so (MQTT 5), it sends no more than `most_unacknowledged` messages that are not acknowledged,
    and none larger than `most_bytes`.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        client_id: str,
        seconds: float,
        session_seconds: int | None = None,
        most_unacknowledged: int = _WINDOW,
        most_bytes: int = _LARGEST,
    ) -> None:
        self._broker = broker
        self._most_bytes = most_bytes
        self._messages: deque[Incoming] = deque()
        self._answers: dict[int, ReasonCode] = {}  # by packet number: how messages sent were acknowledged
        self._welcome: ReasonCode | None = None
        self._is_subscribed = False
        self._not_let_read: ReasonCode | None = None
        self._farewell: ReasonCode | None = None  # why the broker ended it, where it said so
        self._window = _WINDOW
        self.session_present = False  # whether the broker had kept a session for us
        self._client = self._new_client(client_id, persistent=session_seconds is not None)
        self._client.connect_timeout = min(_CONNECT_SECONDS, seconds)
        wishes: dict[str, Any] = {}
        if broker.is_5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = session_seconds or 0
            properties.ReceiveMaximum = most_unacknowledged
            properties.MaximumPacketSize = min(most_bytes, _LARGEST)
            wishes = {"clean_start": session_seconds is None, "properties": properties}
        deadline = time.monotonic() + seconds
        try:
            self._client.connect(broker.host, broker.port, keepalive=broker.keepalive_seconds, **wishes)
            welcome = self._await_welcome(deadline)
        except (OSError, ValueError, Broken) as error:
            self.close()
            raise TransientError(f"the broker of {broker.name} cannot be reached: {error!r}") from error
        if welcome is None or welcome.is_failure:
            self.close()
            raise TransientError(f"the broker of {broker.name} does not let us in: {welcome or 'no answer'}")

    def _await_welcome(self, deadline: float) -> ReasonCode | None:
        """Return what the broker says to us, None where it says nothing in time; where it refuses, it also breaks."""
        try:
            while self._welcome is None and time.monotonic() < deadline:
                self._pump(deadline - time.monotonic())
        except Broken:
            if self._welcome is None:
                raise
        return self._welcome

    def _new_client(self, client_id: str, *, persistent: bool) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=None if self._broker.is_5 else not persistent,
            protocol=MQTTProtocolVersion.MQTTv5 if self._broker.is_5 else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.max_inflight_messages = 0  # `send` keeps the window
        if self._broker.user is not None:
            client.username_pw_set(self._broker.user, self._broker.password)
        if self._broker.tls is not None:
            client.tls_set_context(self._broker.tls)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        return client

    def close(self) -> None:
        """End the connection; nothing that is still in it is sent any more."""
        self._client.disconnect()
        # What it calls leads back to us: without that it goes, with its sockets, as soon as nobody holds it any more.
        self._client.on_connect = self._client.on_disconnect = None
        self._client.on_subscribe = self._client.on_publish = self._client.on_message = None

    def _pump(self, seconds: float) -> None:
        """Read and write what there is; wait for something to read for so long at most. Raises Broken."""
        if self._client.loop(max(seconds, 0.0)) != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise Broken("the connection was cut" if self._farewell is None else str(self._farewell))

    # ---- sending -----------------------------------------------------------------------------------------------------

    def send(self, messages: Sequence[Outgoing], *, seconds: float) -> Mapping[str, ReasonCode]:
        """Send messages with QoS 1 and return how the broker acknowledged them, by their keys.

        Several are under way at a time. Raises UncertainError when some stay unacknowledged.
        """
        deadline = time.monotonic() + seconds
        waiting = deque(messages)
        under_way: dict[int, str] = {}
        acknowledged: dict[str, ReasonCode] = {}
        broken: Broken | None = None
        while (waiting or under_way) and broken is None and time.monotonic() < deadline:
            while waiting and len(under_way) < self._window:
                message = waiting.popleft()
                under_way[self._publish(message)] = message.key
            try:
                self._pump(deadline - time.monotonic())
            except Broken as error:
                broken = error
            for number in under_way.keys() & self._answers.keys():
                acknowledged[under_way.pop(number)] = self._answers.pop(number)
        left = len(messages) - len(acknowledged)
        if left:
            text = f"the broker of {self._broker.name} has not acknowledged {left} of {len(messages)} messages"
            raise UncertainError(f"{text}: {broken or 'no answer in time'}") from broken
        return acknowledged

    def _publish(self, message: Outgoing) -> int:
        properties = None
        if self._broker.is_5:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.ResponseTopic = message.response_topic
            properties.CorrelationData = message.key.encode()
            properties.MessageExpiryInterval = message.expiry_seconds
            properties.ContentType = "application/json"
        return self._client.publish(message.topic, message.body, qos=1, retain=False, properties=properties).mid

    # ---- receiving ---------------------------------------------------------------------------------------------------

    def subscribe(self, filters: Sequence[str], *, seconds: float) -> None:
        """Subscribe with QoS 1; raises TransientError where the broker does not let us.

        In a session that was kept the answer is not waited for: before it may come all that came while we were away,
        and `receive` raises. What is retained comes for a new subscription only, where the broker can tell (MQTT 5).
        """
        if self._broker.is_5:
            wish = SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_SEND_IF_NEW_SUB)
            self._client.subscribe([(each, wish) for each in filters])
        else:
            self._client.subscribe([(each, 1) for each in filters])
        deadline = time.monotonic() + seconds
        try:
            while not self.session_present and not self._is_subscribed and time.monotonic() < deadline:
                self._pump(deadline - time.monotonic())
        except Broken as error:
            raise self._broke(error) from error
        if not self.session_present and not self._is_subscribed:
            raise TransientError(f"the broker of {self._broker.name} does not answer what we want to read")
        self._check_right()

    def receive(self, most: int, *, seconds: float) -> list[Incoming]:
        """Return messages that came: when there are `most`, or no more follow; none where none came for so long.

        Nor are more taken from the broker once they have as many bytes as a single one may have. Raises TransientError
        where the connection is broken, or we may not read.
        """
        deadline = time.monotonic() + seconds
        try:
            while not self._messages and time.monotonic() < deadline:
                self._pump(deadline - time.monotonic())
            known = 0
            while known < len(self._messages) < most and self._bytes_held < self._most_bytes:
                known = len(self._messages)
                self._pump(_LULL)
        except Broken as error:
            # What came before is not acknowledged, and will come again.
            raise self._broke(error) from error
        self._check_right()
        return [self._messages.popleft() for _ in range(min(most, len(self._messages)))]

    @property
    def _bytes_held(self) -> int:
        return sum(len(message.body) for message in self._messages)

    def _broke(self, error: Broken) -> TransientError:
        return TransientError(f"the connection to the broker of {self._broker.name} broke: {error}")

    def _check_right(self) -> None:
        if self._not_let_read is not None:
            raise TransientError(f"the broker of {self._broker.name} does not let us read: {self._not_let_read}")

    # ---- what paho calls ---------------------------------------------------------------------------------------------

    def _on_connect(
        self, client: Client, userdata: object, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        del client, userdata
        self._welcome = reason
        self.session_present = flags.session_present
        self._window = min(_WINDOW, getattr(properties, "ReceiveMaximum", _WINDOW))

    def _on_disconnect(
        self,
        client: Client,
        userdata: object,
        flags: DisconnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        del client, userdata, properties
        if flags.is_disconnect_packet_from_server:
            self._farewell = reason

    def _on_subscribe(
        self,
        client: Client,
        userdata: object,
        number: int,
        reasons: list[ReasonCode],
        properties: Properties | None,
    ) -> None:
        del client, userdata, number, properties
        self._is_subscribed = True
        self._not_let_read = next((reason for reason in reasons if reason.is_failure), None)

    def _on_publish(
        self, client: Client, userdata: object, number: int, reason: ReasonCode, properties: Properties | None
    ) -> None:
        del client, userdata, properties
        self._answers[number] = reason

    def _on_message(self, client: Client, userdata: object, message: MQTTMessage) -> None:
        del userdata
        size = len(message.payload)
        self._messages.append(
            Incoming(
                topic=message.topic,
                body=bytes(message.payload) if size <= self._most_bytes else b"",
                size=size,
                correlation=getattr(message.properties, "CorrelationData", b""),
                number=message.mid,
                qos=message.qos,
                client=client,
            )
        )
