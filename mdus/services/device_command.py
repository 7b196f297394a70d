"""What a REST client asks of one meter, now: to tell of its registers, its breaker or itself, or to do a little thing.

SAP has no message for it. The meter is asked once; what it told is the result, and is kept like anything it tells.

```
client --POST /commands-->         device unknown, in stock, without head end, not capable: refused at once
MDUS   --command--> head end       answered, or silent until the command expires
client <--GET /requests/{id}--     what the meter told, or when it did what it was asked
```
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from mdus.domain.capability import Capabilities, Capability
from mdus.domain.command import Command, CommandKind, OwnerKind, command_key
from mdus.domain.end_device import EndDevice
from mdus.domain.meter_reading_selection import ReadingPolicies
from mdus.domain.reading import MeterReading
from mdus.messaging.addressed_device import DeviceUnknown
from mdus.messaging.commanded_device import able, check_real
from mdus.messaging.known import Known
from mdus.messaging.outcome import Await, BusinessError, Done, Outcome, Received, Result
from mdus.messaging.patterns import ClientRequest, Door, faceted
from mdus.storage.session import UnitOfWork


class Ask(StrEnum):
    """What is asked of the meter."""

    READ = "read"  # what its registers show
    SWITCH_STATE = "switch_state"  # how its breaker stands
    PING = "ping"  # whether it answers
    SHOW_TEXT = "show_text"  # that it shows `text` to the customer
    SET_TIME = "set_time"  # that it takes the time of its head end


#: The longest text a client may send; how much of it the meter shows is up to its head end.
MOST_CHARACTERS: Final = 1000

_KINDS: Final[Mapping[Ask, tuple[CommandKind, Capability]]] = {
    Ask.READ: (CommandKind.READ_ON_DEMAND, Capability.ON_DEMAND_READING),
    Ask.SWITCH_STATE: (CommandKind.SWITCH_STATE, Capability.DISCONNECT),
    Ask.PING: (CommandKind.PING, Capability.OPERATIONAL_STATE),
    Ask.SHOW_TEXT: (CommandKind.SHOW_TEXT, Capability.TEXT),
    Ask.SET_TIME: (CommandKind.SET_TIME, Capability.TIME_SET),
}

#: What the meter is to do, rather than to tell: not for test data.
_DEEDS: Final = frozenset({Ask.SHOW_TEXT, Ask.SET_TIME})


@dataclass(frozen=True, kw_only=True, slots=True)
class Request(Received):
    """One question to one device, or a little thing to be done; a text goes with `show_text` alone."""

    device_id: str
    ask: Ask
    text: str | None = faceted(maxLength=MOST_CHARACTERS, builtin="string")


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """What a register showed, before any factor."""

    reading_type: str
    measured_at: datetime
    value: Decimal
    unit: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer(Result):
    """What the meter told, and when."""

    told_at: datetime | None = None
    switch_state: str | None = None
    readings: tuple[Shown, ...] = ()


class TextMissing(BusinessError):
    """To show a text takes a text, and nothing else does."""

    type_id = "341(MDUS)"


class TextTooLong(BusinessError):
    """The text is longer than the meter can show."""

    type_id = "342(MDUS)"


class NoAnswer(BusinessError):
    """The meter did not answer."""

    type_id = "171(MDUS)"


def load(requests: Sequence[Request], uow: UnitOfWork) -> Known:
    """Fetch the devices, the commands of these items with the readings they brought, and what devices can do."""
    devices = {(request.origin.sender_system, request.device_id) for request in requests}
    commands = uow.load_commands([request.origin.item_id for request in requests])
    return Known(
        [ReadingPolicies.of(uow.settings), Capabilities.of(uow.settings)],
        uow.load(EndDevice, EndDevice.KEY, devices, lock=False),
        commands,
        uow.readings_of(commands),
    )


def decide(request: Request, known: Known, *, now: datetime) -> Outcome:
    """Ask the meter once, and tell what it said; a meter that cannot be asked, or does not answer, is a failure."""
    origin = request.origin
    device = known.one(EndDevice, origin.sender_system, request.device_id)
    if device is None:
        raise DeviceUnknown
    policies = known.one(ReadingPolicies) or ReadingPolicies(by_reason={})
    asked = known.find(Command, owner_key=str(origin.item_id))
    if not asked:
        command = _command(request, device, known, lasts=policies.on_demand_timeout, now=now)
        return Await(commands=(command,), until=command.expires_at + policies.on_demand_timeout)
    command = asked[-1]
    if not command.has_ended and now < command.expires_at + policies.on_demand_timeout:
        return Await(commands=(command,), until=command.expires_at + policies.on_demand_timeout)
    if not command.succeeded:
        told = ": ".join(part for part in (command.result_code, command.result_text) if part)
        raise NoAnswer(f"The meter did not answer ({told or command.status.value})")
    readings = known.find(MeterReading, sender_system=origin.sender_system, device_id=request.device_id)
    return Done(
        result=Answer(
            told_at=command.acted_at,
            switch_state=command.result_state.value if command.result_state else None,
            readings=tuple(map(_shown, readings)) if request.ask is Ask.READ else (),
        )
    )


def _command(request: Request, device: EndDevice, known: Known, *, lasts: timedelta, now: datetime) -> Command:
    kind, capability = _KINDS[request.ask]
    matrix = known.one(Capabilities) or Capabilities()
    able(device, capability, matrix=matrix, origin=request.origin, now=now)
    if request.ask in _DEEDS:
        check_real(request.origin)
    if (request.text is None) is (request.ask is Ask.SHOW_TEXT):
        raise TextMissing
    longest = matrix.longest_text(device)
    if request.text is not None and len(request.text) > longest:
        raise TextTooLong(f"The text has {len(request.text)} characters; the meter can show {longest}")
    owner_key = str(request.origin.item_id)
    return Command(
        command_key=command_key(
            owner_kind=OwnerKind.ITEM, owner_key=owner_key, device_id=device.device_id, purpose=request.ask
        ),
        owner_kind=OwnerKind.ITEM,
        owner_key=owner_key,
        sender_system=device.sender_system,
        device_id=device.device_id,
        serial_id=device.serial_id,
        head_end=device.head_end or "",
        kind=kind,
        purpose=request.ask,
        not_before=now,
        expires_at=now + lasts,
        parameters=None if request.text is None else (("text", request.text),),
    )


def _shown(reading: MeterReading) -> Shown:
    return Shown(
        reading_type=reading.reading_type, measured_at=reading.measured_at, value=reading.value, unit=reading.unit
    )


SERVICE = ClientRequest(
    name="DeviceCommand",
    door=Door(path="commands"),
    shape=Request,
    result=Answer,
    order_by="device_id",
    load=load,
    decide=decide,
)
