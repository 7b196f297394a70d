"""Speaks to data concentrators through a broker. What a broken connection means is decided here, once.

```
no connection                                     nothing was sent              -> TransientError
sent, but not acknowledged by the broker          it may have been sent         -> UncertainError
acknowledged as refused (MQTT 5), all of a batch  the broker takes nothing now  -> TransientError
acknowledged as refused (MQTT 5), some of it      these were not sent           -> rejections
acknowledged                                      the broker has it             -> Submission
```

Each batch is sent on a connection of its own (see `connection`); what concentrators tell comes on one that stays, to a
session the broker keeps for us. Messages are acknowledged when they are stored, not before.
"""

from __future__ import annotations

import ssl
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from functools import partial
from typing import Final
from urllib.parse import urlsplit

import structlog
from paho.mqtt.reasoncodes import ReasonCode

from mdus.contracts.printable import printable
from mdus.domain.capability import Capability
from mdus.domain.command import Command, CommandKind
from mdus.domain.head_end import (
    Arrival,
    Batch,
    HeadEndKind,
    Probe,
    RawDelivery,
    Rejection,
    SilentHeadEnd,
    Submission,
    options_of,
)
from mdus.headends.mqtt import codec
from mdus.headends.mqtt.connection import Broker, Connection, Incoming, Outgoing
from mdus.headends.mqtt.options import Options, show
from mdus.headends.mqtt.topics import Kind, Place, Topics, can_stand_in
from mdus.headends.mqtt.values import Names
from mdus.messaging.retry import TransientError
from mdus.settings import HeadEnd as Row
from mdus.settings import Settings

log = structlog.get_logger(__name__)

_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}

#: Arrivals that are yielded before whoever listens may do something else, however much there is.
_ARRIVALS: Final = 20

#: Seconds that are waited for a message before whoever listens may do something else.
_MOMENT: Final = 0.05

#: MQTT counts the seconds of a message's life in 32 bits.
_LONGEST_LIFE: Final = 2**32 - 1

#: More characters of correlation data are not kept.
_LONGEST_CORRELATION: Final = 100

#: More characters of a topic are not shown.
_LONGEST_TOPIC: Final = 200

#: Reason code of MQTT 5: the broker has taken the message, and has nobody to give it to.
_NOBODY_THERE: Final = 16


class MqttHeadEnd(SilentHeadEnd):
    """One head end of kind `mqtt`.

    `submit` and `probe` may be used by several threads at once, `arrivals` by one, and by one process at a time: the
    broker ends the connection of who listened before under the same client id.
    """

    def __init__(self, row: Row, *, names: Names) -> None:
        options = options_of(row, Options)
        self.name = row.name
        self.batch_size = row.devices_per_call
        self._topics = Topics(options.headend or row.name, messages=options.topic, states=options.state_topic)
        self._names = names
        self._broker = _broker(row, options)
        self._client_id = options.client_id or f"mdus-{row.name}"
        self._seconds = row.timeout_seconds
        self._session_seconds = options.session_seconds
        self._messages_at_once = options.messages_at_once
        self._most_bytes = row.max_answer_bytes
        self._listening: Connection | None = None
        self._held: list[Incoming] = []  # handed over, and not taken yet

    # ---- commands ----------------------------------------------------------------------------------------------------

    def submit(self, batch: Batch) -> Submission:
        """Send a message per command to the concentrator of its meter; they are all acknowledged when this returns."""
        refused: list[Rejection] = []
        messages: list[Outgoing] = []
        for order in batch.commands:
            refusal = self._refusal(order, batch)
            if refusal is None:
                messages.append(self._message(order, batch))
            else:
                refused.append(refusal)
        if messages:
            with closing(self._connect()) as connection:
                answers = connection.send(messages, seconds=self._seconds)
            refused += self._refused_by_broker(answers)
        return Submission(token=batch.correlation if messages else "", rejections=tuple(refused))

    def probe(self) -> Probe:
        """See whether the broker lets us in; what concentrators can do they do not say."""
        self.reach()
        return Probe(text=f"MQTT {self._broker.version} at {self._broker.host}:{self._broker.port}")

    def reach(self) -> None:
        """Connect to the broker, and leave again."""
        self._connect().close()

    def _connect(self) -> Connection:
        # Several may be sending at a time, and a client id can be connected once.
        return Connection(
            self._broker, client_id=f"{self._client_id}-send-{uuid.uuid4().hex[:8]}", seconds=self._seconds
        )

    def _refusal(self, order: Command, batch: Batch) -> Rejection | None:
        concentrator = batch.concentrators.get(order.serial_id)
        refusal = partial(Rejection, command_key=order.command_key)
        if concentrator is None:
            return refusal(code="NO_CONCENTRATOR", text="no concentrator has told of the meter")
        if not (can_stand_in(concentrator) and can_stand_in(order.serial_id)):
            return refusal(code="NOT_ADDRESSABLE", text=f"{concentrator}/{order.serial_id} cannot stand in a topic")
        if _life(order, batch) < 1:
            return refusal(code="EXPIRED", text="it would expire on its way")
        if order.kind is CommandKind.PROVISION:
            key = (order.sender_system, order.device_id)
            if key not in batch.devices:
                return refusal(code="NOT_PROVISIONABLE", text="the device is not known any more")
            if not batch.registers.get(key):
                return refusal(code="NOT_PROVISIONABLE", text="no register of the meter is known yet")
        return None

    def _message(self, order: Command, batch: Batch) -> Outgoing:
        key = (order.sender_system, order.device_id)
        concentrator = batch.concentrators[order.serial_id]
        reply_to = self._topics.response(concentrator=concentrator, device=order.serial_id)
        return Outgoing(
            key=order.command_key,
            topic=self._topics.command(concentrator=concentrator, device=order.serial_id),
            body=codec.command(
                order,
                at=_leaving(batch),
                device=batch.devices.get(key),
                registers=batch.registers.get(key, ()),
                reply_to=None if self._broker.is_5 else reply_to,
                name_of=partial(self._names.name_of, at=_leaving(batch)),
                unit_of=self._names.units.text_of,
            ),
            response_topic=reply_to,
            expiry_seconds=_life(order, batch),
        )

    def _refused_by_broker(self, answers: Mapping[str, ReasonCode]) -> list[Rejection]:
        failed = {key: str(reason) for key, reason in answers.items() if reason.is_failure}
        if failed and len(failed) == len(answers):
            raise TransientError(f"the broker of {self.name} takes nothing: {', '.join(sorted(set(failed.values())))}")
        refused = [Rejection(command_key=key, code="REFUSED_BY_BROKER", text=text) for key, text in failed.items()]
        unheard = [key for key, reason in answers.items() if reason.value == _NOBODY_THERE]
        text = "no concentrator is subscribed to the commands of the meter"
        return refused + [Rejection(command_key=key, code="NO_SUBSCRIBER", text=text) for key in unheard]

    # ---- what comes --------------------------------------------------------------------------------------------------

    def arrivals(self) -> Iterator[Arrival]:
        """Yield what concentrators told, several messages together, until a moment passes without any, or enough came.

        What is not taken is handed over again, and no more is read meanwhile. A message that is too large fails by
        itself: it is acknowledged then, lest it come again and again before all others. Raises TransientError without
        connection.
        """
        for _ in range(_ARRIVALS):
            if not self._held:
                self._held = self._receive()
            if not self._held:
                return
            for message in [each for each in self._held if each.size > self._most_bytes]:
                leave_out = partial(self._leave_out, message)
                yield Arrival(deliveries=self._deliveries([message]), taken=partial(leave_out, ""), failed=leave_out)
                if message in self._held:
                    return  # another time
            if not self._held:
                continue
            together = self._held
            yield Arrival(
                deliveries=list(self._deliveries(together)), taken=partial(self._take, together), failed=self._failed
            )
            if self._held is together:
                return  # not taken: another time

    def close(self) -> None:
        """End the connection that listens; the broker keeps what comes from now on."""
        if self._listening is not None:
            self._listening.close()
            self._listening = None

    def _receive(self) -> list[Incoming]:
        try:
            if self._listening is None:
                self._listening = self._listen()
            return self._listening.receive(self._messages_at_once, seconds=_MOMENT)
        except TransientError:
            self.close()
            raise

    def _listen(self) -> Connection:
        connection = Connection(
            self._broker,
            client_id=self._client_id,
            seconds=self._seconds,
            session_seconds=self._session_seconds,
            most_unacknowledged=self._messages_at_once,
            most_bytes=self._most_bytes,
        )
        try:
            connection.subscribe(self._topics.filters, seconds=self._seconds)
        except TransientError:
            connection.close()
            raise
        log.info("broker_connected", head_end=self.name, session=connection.session_present)
        return connection

    def _deliveries(self, messages: Sequence[Incoming]) -> Iterator[RawDelivery]:
        for message in messages:
            if message.size > self._most_bytes:
                setting = f"head_ends.{self.name}.max_answer_bytes is {self._most_bytes}"
                what = f"a message under {printable(message.topic)[:_LONGEST_TOPIC]} has {message.size} bytes"
                raise ValueError(f"{what}, and {setting}: it is not kept")
            place = self._topics.place(message.topic)
            if place is None or not message.body:
                # Retained messages are taken back by empty ones.
                log.info("message_of_nobody", head_end=self.name, topic=message.topic, bytes=len(message.body))
                continue
            is_in_place = self._is_in_place(message, place)
            correlation = printable(message.correlation.decode("utf-8", "replace"))[:_LONGEST_CORRELATION]
            if place.kind is Kind.STATE:
                # The same words tell something new each time.
                correlation = uuid.uuid4().hex
            topic = place.kind.value if is_in_place else codec.MISPLACED
            yield RawDelivery(topic=topic, correlation=correlation, body=message.body)

    def _is_in_place(self, message: Incoming, place: Place) -> bool:
        # A message that is never acknowledged keeps all later ones from coming, so what is wrong with one is found
        # where it is decoded, once it is stored.
        try:
            return codec.is_in_place(message.body, place)
        except Exception:
            log.exception("message_not_looked_at", head_end=self.name, topic=message.topic)
            return True

    def _leave_out(self, message: Incoming, reason: str) -> None:
        log.error("message_left_out", head_end=self.name, topic=message.topic, reason=reason)
        self._held.remove(message)
        message.acknowledge()

    def _take(self, messages: Sequence[Incoming]) -> None:
        self._held = []
        for message in messages:
            message.acknowledge()

    def _failed(self, reason: str) -> None:
        log.error("messages_not_stored", head_end=self.name, messages=len(self._held), reason=reason)


def _leaving(batch: Batch) -> datetime:
    if batch.at is None:
        raise ValueError(f"the call {batch.correlation} leaves at no instant")
    return batch.at


def _life(order: Command, batch: Batch) -> int:
    """Return the whole seconds a command has left; after them the broker gives it to nobody."""
    return min(int((order.expires_at - _leaving(batch)).total_seconds()), _LONGEST_LIFE)


def _broker(row: Row, options: Options) -> Broker:
    address = urlsplit(row.url or "")
    tls = None
    if address.scheme == "mqtts":
        authorities = options.ca or row.ca_file
        tls = ssl.create_default_context(cafile=None if authorities is None else str(authorities))
        if options.cert is not None:
            show(tls, options.cert, options.key)
    return Broker(
        name=row.name,
        host=address.hostname or "",
        port=address.port or _PORTS.get(address.scheme, 0),
        version=options.version,
        keepalive_seconds=options.keepalive_seconds,
        user=row.user,
        password=None if row.password is None else row.password.get_secret_value(),
        tls=tls,
    )


def connect(settings: Settings, row: Row) -> MqttHeadEnd:
    """Return the head end that a row of config/head_ends.toml describes; nothing is connected yet."""
    return MqttHeadEnd(row, names=Names.of(settings, row))


HEAD_END = HeadEndKind(
    name="mqtt",
    capabilities=frozenset(CommandKind) - {CommandKind.CONTROL_LOAD},
    connect=connect,
    decoder=codec.decoder,
    options=Options,
    tells=frozenset({Capability.REMOTE_READING, Capability.LOAD_PROFILE, Capability.EVENTS}),
    listens=True,
    needs_concentrator=True,
    schemes=("mqtt", "mqtts"),
    keeps_records=False,
)
