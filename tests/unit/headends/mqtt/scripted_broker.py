"""A broker of the test: it speaks as much MQTT as a script needs, breaks off where the script says, and remembers."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Queue

_CONNECT, _PUBLISH, _PUBACK, _SUBSCRIBE, _PINGREQ, _DISCONNECT = 1, 3, 4, 8, 12, 14


@dataclass(kw_only=True)
class Sent:
    """A message a client has published."""

    topic: str
    body: bytes
    qos: int
    retain: bool
    properties: dict[int, bytes] = field(default_factory=dict)


class ScriptedBroker:
    """Listens on a free port; `steps` say what becomes of the next connections and messages, `ack` of all others.

    A step for a connection: `let in`, `refuse` (not authorized), `silence`, `cut`. For a message: `ack`, `ack CODE`,
    `silence`, `cut`. What is put into `outgoing` (topic, body, correlation) is sent to whoever has subscribed.
    """

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.connections: list[str] = []
        self.messages: list[str] = []
        self.clients: list[str] = []  # client ids, in the order they came
        self.clean: list[bool] = []
        self.wishes: list[dict[int, int]] = []  # numbers among the properties of CONNECT (MQTT 5)
        self.sent: list[Sent] = []
        self.filters: list[str] = []
        self.acknowledged: list[int] = []
        self.outgoing: Queue[tuple[str, bytes, bytes]] = Queue()
        self.refuse_filters = False
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop listening and cut all connections."""
        self._server.close()
        self.cut()

    def cut(self) -> None:
        """Cut all connections."""
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    @property
    def open_sockets(self) -> int:
        """How many sockets of its own are open."""
        return sum(each.fileno() >= 0 for each in [self._server, *self._sockets])

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                self._sockets.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError, EOFError), connection, connection.makefile("rb") as stream:
            is_5 = False
            while True:
                kind, flags, packet = _packet(stream)
                if kind == _CONNECT:
                    is_5 = packet[6] == 5
                    if not self._connected(connection, packet, is_5=is_5):
                        return
                elif kind == _PUBLISH:
                    if not self._published(connection, flags, packet, is_5=is_5):
                        return
                elif kind == _PUBACK:
                    self.acknowledged.append(struct.unpack(">H", packet[:2])[0])
                elif kind == _SUBSCRIBE:
                    self._subscribed(connection, packet, is_5=is_5)
                elif kind == _PINGREQ:
                    connection.sendall(b"\xd0\x00")
                elif kind == _DISCONNECT:
                    return

    def _connected(self, connection: socket.socket, packet: bytes, *, is_5: bool) -> bool:
        self.clean.append(bool(packet[7] & 2))
        rest = packet[10:]
        if is_5:
            length, used = _number(rest)
            self.wishes.append(_wishes(rest[used : used + length]))
            rest = rest[used + length :]
        self.clients.append(_text(rest)[0])
        step = self.connections.pop(0) if self.connections else "let in"
        if step == "cut":
            return False
        if step != "silence":
            code = (135 if is_5 else 5) if step == "refuse" else 0
            connection.sendall(bytes([0x20, 3, 0, code, 0] if is_5 else [0x20, 2, 0, code]))
        return True

    def _published(self, connection: socket.socket, flags: int, packet: bytes, *, is_5: bool) -> bool:
        topic, rest = _text(packet)
        qos = flags >> 1 & 3
        number, rest = (rest[:2], rest[2:]) if qos else (b"", rest)
        properties: dict[int, bytes] = {}
        if is_5:
            length, used = _number(rest)
            properties, rest = _properties(rest[used : used + length]), rest[used + length :]
        self.sent.append(Sent(topic=topic, body=rest, qos=qos, retain=bool(flags & 1), properties=properties))
        step = self.messages.pop(0) if self.messages else "ack"
        if step == "cut":
            return False
        if step.startswith("ack"):
            code = step.partition(" ")[2]
            connection.sendall(b"\x40\x03" + number + bytes([int(code)]) if code else b"\x40\x02" + number)
        return True

    def _subscribed(self, connection: socket.socket, packet: bytes, *, is_5: bool) -> None:
        number, rest = packet[:2], packet[2:]
        if is_5:
            length, used = _number(rest)
            rest = rest[used + length :]
        count = 0
        while rest:
            topic, rest = _text(rest)
            rest = rest[1:]
            self.filters.append(topic)
            count += 1
        codes = bytes([0x80 if self.refuse_filters else 1]) * count
        answer = number + (b"\x00" if is_5 else b"") + codes
        connection.sendall(bytes([0x90, len(answer)]) + answer)
        threading.Thread(target=self._send, args=(connection, is_5), daemon=True).start()

    def _send(self, connection: socket.socket, is_5: bool) -> None:
        number = 0
        with suppress(OSError):
            while True:
                topic, body, correlation = self.outgoing.get()
                number += 1
                packet = struct.pack(">H", len(topic)) + topic.encode() + struct.pack(">H", number)
                if is_5:
                    properties = b"\x09" + struct.pack(">H", len(correlation)) + correlation if correlation else b""
                    packet += _length(len(properties)) + properties
                packet += body
                connection.sendall(b"\x32" + _length(len(packet)) + packet)


def _packet(stream: object) -> tuple[int, int, bytes]:
    first = _exactly(stream, 1)[0]
    length, shift = 0, 0
    while True:
        byte = _exactly(stream, 1)[0]
        length |= (byte & 127) << shift
        shift += 7
        if not byte & 128:
            break
    return first >> 4, first & 15, _exactly(stream, length)


def _exactly(stream: object, count: int) -> bytes:
    data: bytes = stream.read(count)  # type: ignore[attr-defined]
    if len(data) < count:
        raise EOFError
    return data


def _length(length: int) -> bytes:
    made = bytearray()
    while True:
        length, byte = length >> 7, length & 127
        made.append(byte | (128 if length else 0))
        if not length:
            return bytes(made)


def _number(data: bytes) -> tuple[int, int]:
    """Return a number of variable length and the bytes it took."""
    value = 0
    for at, byte in enumerate(data):
        value |= (byte & 127) << (7 * at)
        if not byte & 128:
            return value, at + 1
    raise EOFError


def _text(data: bytes) -> tuple[str, bytes]:
    (length,) = struct.unpack(">H", data[:2])
    return data[2 : 2 + length].decode(), data[2 + length :]


def _wishes(data: bytes) -> dict[int, int]:
    """Return the properties of a connection by their number: of those a client of MDUS sends."""
    found: dict[int, int] = {}
    while data:
        name, size = data[0], 2 if data[0] == 0x21 else 4  # receive maximum; session expiry, maximum packet size
        found[name], data = int.from_bytes(data[1 : 1 + size], "big"), data[1 + size :]
    return found


def _properties(data: bytes) -> dict[int, bytes]:
    """Return the properties of a message by their number: of those a client of MDUS sends."""
    found: dict[int, bytes] = {}
    while data:
        name, data = data[0], data[1:]
        if name == 0x02:  # message expiry interval
            found[name], data = data[:4], data[4:]
        else:  # response topic, correlation data, content type
            (length,) = struct.unpack(">H", data[:2])
            found[name], data = data[2 : 2 + length], data[2 + length :]
    return found
