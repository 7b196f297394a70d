"""The JSON of docs/head_ends/mqtt.md: commands into messages, messages into events. No sockets.

Strict about what MDUS needs, blind to what it does not know. Every mistake is a ValueError that says where it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any, Final

from mdus.domain.command import Command, CommandKind
from mdus.domain.end_device import EndDevice, SwitchState
from mdus.domain.head_end import (
    CommandResult,
    ConcentratorTold,
    Decode,
    FieldEvent,
    FieldIntervals,
    FieldReading,
    Heard,
    RawDelivery,
    Unmapped,
    UnreadableLine,
)
from mdus.domain.register import Register
from mdus.headends import _members as members
from mdus.headends.mqtt import values
from mdus.headends.mqtt.topics import Kind, Place
from mdus.headends.mqtt.values import Names
from mdus.settings import HeadEnd as Row
from mdus.settings import Settings

#: The version of the messages, their member `v`.
VERSION: Final = 1

#: Failure codes after which it is certain that the meter did not act. Of any other (NO_RESPONSE, or one this table does
#: not know) it is not: a breaker must then be asked for its state.
NOTHING_DONE = frozenset(
    {
        "UNKNOWN_METER",  # no such meter behind the concentrator
        "NOT_PROVISIONED",  # known, but never provisioned
        "NOT_SUPPORTED",  # a command the concentrator or the meter does not have
        "NOT_UNDERSTOOD",  # the message could not be read
        "REGISTER_MISMATCH",  # OBIS code or unit the meter does not have
        "NO_BREAKER",
        "BUSY",  # occupied by another command
        "RELAY_STUCK",  # told to move, did not
        "LOW_CREDIT",  # a prepayment meter refuses to connect
        "ARMED",  # ready to be connected: the customer has to press the button
        "LOAD_SIDE_VOLTAGE",  # refuses to connect: somebody feeds in behind it
        "DISCONNECT_REFUSED",  # locked: medical equipment
        "NO_DATA",  # nothing stored for the period
        "EXPIRED",  # expires passed before it was begun
    }
)

#: The topic of a delivery whose message tells of another meter, or comes from another concentrator, than it says.
MISPLACED: Final = "misplaced"


# ---- what goes out ---------------------------------------------------------------------------------------------------


def command(
    order: Command,
    *,
    at: datetime,
    device: EndDevice | None = None,
    registers: Sequence[Register] = (),
    reply_to: str | None = None,
    name_of: Callable[[str], str] = str,
    unit_of: Callable[[str], str] = str,
) -> bytes:
    """Return the message of a command; `name_of` names channels, `unit_of` SAP's units.

    With `reply_to` it says itself where the answer goes and how it is named.
    """
    body: dict[str, Any] = {
        "v": VERSION,
        "id": order.command_key,
        "ts": stamp(at),
        "src": "mdus",
        "meter": order.serial_id,
        "cmd": order.kind.value,
        "args": _arguments(order, device, [_register(each, name_of, unit_of) for each in registers]),
        "expires": stamp(order.expires_at),
    }
    if reply_to is not None:
        body |= {"replyTo": reply_to, "cid": order.command_key}
    return json.dumps(body).encode()


def _arguments(order: Command, device: EndDevice | None, registers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    match order.kind:
        case CommandKind.PROVISION if device is not None:
            return {"device_id": device.device_id, "registers": registers}
        case CommandKind.READ_REGISTERS | CommandKind.READ_INTERVALS:
            if order.period_from is None or order.period_to is None:
                raise ValueError(f"the command {order.command_key} reads values of no period")
            return {"from": stamp(order.period_from), "to": stamp(order.period_to)}
        case CommandKind.SWITCH:
            if order.wanted_state not in (SwitchState.CONNECTED, SwitchState.DISCONNECTED):
                raise ValueError(f"the command {order.command_key} switches to no state")
            return {"state": order.wanted_state.value}
        case CommandKind.LIMIT_DEMAND:
            return {"limit_kw": order.parameter("limit_kw")}
        case CommandKind.SHOW_TEXT:
            return {"text": order.parameter("text") or ""}
        case CommandKind.READ_ON_DEMAND | CommandKind.SWITCH_STATE | CommandKind.PING | CommandKind.SET_TIME:
            return {}
        case _:
            raise ValueError(f"the command {order.command_key} cannot be said: {order.kind.value}")


def _register(register: Register, name_of: Callable[[str], str], unit_of: Callable[[str], str]) -> dict[str, Any]:
    return {
        "obis": name_of(register.reading_type),
        "unit": unit_of(register.unit),
        "digits": register.total_digits,
        "decimals": register.fraction_digits,
        "factor": format(register.factor if register.factor is not None else Decimal(1), "f"),
    }


def stamp(instant: datetime) -> str:
    """Return an instant as the messages have it: RFC 3339, UTC, with Z."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


# ---- what comes in ---------------------------------------------------------------------------------------------------


def is_in_place(body: bytes, place: Place) -> bool:
    """Tell whether a message speaks of whom its topic says; one that cannot be read is left to `decode`.

    A broker lets each concentrator publish under its own topics only: what stands in a message is proven by nothing.
    """
    try:
        content = members.of_body(body)
    except ValueError:
        return True
    if content.get("src") != place.concentrator:
        return False
    return place.device is None or content.get("meter") == place.device


def decoder(settings: Settings, row: Row) -> Decode:
    """Return what decodes the messages of one head end, with the names that the tables have for it."""
    return partial(decode, names=Names.of(settings, row))


def decode(delivery: RawDelivery, *, names: Names) -> Iterator[FieldEvent]:
    """Return the events of a message; the delivery's topic is its kind, its correlation the correlation data."""
    content = members.of_body(delivery.body)
    if delivery.topic == MISPLACED:
        told = {name: content.get(name) for name in ("src", "meter")}
        raise ValueError(f"the message came under the topic of another meter or concentrator than it names: {told}")
    version = content.get("v", VERSION)
    if version != VERSION:
        raise ValueError(f"v is {version!r}, only {VERSION} is understood")
    match delivery.topic:
        case Kind.RESPONSE:
            return _response(content, delivery.correlation, names)
        case Kind.READING:
            return _readings(content, names)
        case Kind.EVENT:
            return values.alarms(content, members.text(content, "meter", ""), names)
        case Kind.STATE:
            return iter([_state(content)])
        case _:
            raise ValueError(f"a concentrator tells nothing under {delivery.topic!r}")


def _response(content: Mapping[str, Any], correlation: str, names: Names) -> Iterator[FieldEvent]:
    serial = members.text(content, "meter", "")
    told = (*values.readings(content, serial, names), *values.intervals(content, serial, names))
    readings = tuple(each for each in told if isinstance(each, FieldReading))
    blocks = tuple(each for each in told if isinstance(each, FieldIntervals))
    key = _command_key(content, correlation)
    if key is None:
        # No command is answered by it, but what was counted was counted.
        yield from told
        yield UnreadableLine(line=1, reason="the response names no command: neither correlation data nor cid")
        return
    status = members.text(content, "status", "")
    if status not in ("ok", "failed"):
        raise ValueError(f"status is {status!r}, neither ok nor failed")
    succeeded = status == "ok"
    code = None if succeeded else members.text(content, "code", "")
    yield from (each for each in told if isinstance(each, Unmapped))
    yield CommandResult(
        command_key=key,
        correlation=None,
        token=None,
        serial_id=serial,
        succeeded=succeeded,
        code=code,
        text=members.optional_text(content, "text", ""),
        acted_at=members.optional_instant(content, "at", "") or members.instant(content, "ts", ""),
        readings=readings,
        intervals=blocks,
        switch_state=_switch_state(content),
        uncertain=not succeeded and code not in NOTHING_DONE,
        is_final=_is_final(content),
    )


def _command_key(content: Mapping[str, Any], correlation: str) -> str | None:
    """Return the command that is answered: by MQTT 5 in the correlation data, else in the message."""
    told = members.optional_text(content, "cid", "") or None
    if correlation and told is not None and told != correlation:
        raise ValueError(f"cid is {told!r}, the correlation data {correlation!r}")
    return correlation or told


def _is_final(content: Mapping[str, Any]) -> bool:
    final = content.get("final", True)
    if not isinstance(final, bool):
        raise ValueError(f"final is {final!r}, neither true nor false")  # noqa: TRY004
    return final


def _switch_state(content: Mapping[str, Any]) -> SwitchState | None:
    text = members.optional_text(content, "state", "")
    if text is None:
        return None
    try:
        return SwitchState(text)
    except ValueError:
        raise ValueError(f"state is {text!r}, neither connected nor disconnected") from None


def _readings(content: Mapping[str, Any], names: Names) -> Iterator[FieldEvent]:
    serial = members.text(content, "meter", "")
    heard_at = members.optional_instant(content, "heard", "")
    if heard_at is not None:
        yield Heard(serial_id=serial, at=heard_at)
    yield from values.readings(content, serial, names)
    yield from values.intervals(content, serial, names)


def _state(content: Mapping[str, Any]) -> ConcentratorTold:
    """Read a birth message or a last will.

    It has no instant: the broker sends a last will long after the concentrator wrote it, but all of them in order.
    """
    state = members.text(content, "state", "")
    if state not in ("online", "offline"):
        raise ValueError(f"state is {state!r}, neither online nor offline")
    meters = None
    if content.get("meters") is not None:
        meters = tuple(members.whole_list(content, "meters", ""))
        if not all(isinstance(serial, str) and serial for serial in meters):
            raise ValueError("meters are not all serial numbers")
    return ConcentratorTold(
        concentrator=members.text(content, "src", ""), at=None, is_online=state == "online", serials=meters
    )
