"""What a REST client orders of one meter: to let through no more than so much power, or as much as it likes again.

SAP has no message for it. The limit is what the meter has confirmed, shown with the device; at the end of a limit MDUS
takes it away itself (`workers/device_limits.py`), also of one of which nobody knows whether the meter took it.

```
client --POST /demand-limits-->    device unknown, not capable, limit too low for this client ...: refused at once
MDUS   --limit--> head end         once no other command about the limit is under way; repeated while nobody answers
client <--GET /requests/{id}--     since when the limit holds, or that there is none
MDUS   --no limit--> head end      at `valid_until`, again and again until it is done
```
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from mdus.domain.access import Client
from mdus.domain.capability import Capabilities, Capability
from mdus.domain.command import Command, CommandKind, OwnerKind, command_key
from mdus.domain.device_limit import (
    AFTER_ANOTHER,
    LIMIT_DOUBTFUL,
    DeviceLimit,
    LimitRules,
    case_key,
    doubt,
    doubted,
    limit_text,
)
from mdus.domain.end_device import EndDevice
from mdus.domain.end_device_control import disguised
from mdus.domain.exception_case import ExceptionCase, closed
from mdus.domain.repeatable_command import again, may_have_acted, what_came
from mdus.domain.value import Remove
from mdus.messaging.commanded_device import able, check_real
from mdus.messaging.known import Known
from mdus.messaging.outcome import Await, BusinessError, Change, Done, Outcome, Received, Result
from mdus.messaging.patterns import ClientRequest, Door, faceted
from mdus.storage.session import UnitOfWork


@dataclass(frozen=True, kw_only=True, slots=True)
class Request(Received):
    """A demand limit for one device, in kW; without `limit_kw` its limit is taken away.

    `valid_until` is the instant at which MDUS takes the limit away itself; without, it stays.
    """

    device_id: str
    limit_kw: Decimal | None = faceted(totalDigits=9, fractionDigits=3)
    valid_until: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer(Result):
    """The limit as the meter has confirmed it, None for no limit, and when it did."""

    limit_kw: Decimal | None = None
    valid_until: datetime | None = None
    confirmed_at: datetime | None = None


class LimitIsOver(BusinessError):
    """The end of the limit has passed."""

    type_id = "343(MDUS)"


class EndWithoutLimit(BusinessError):
    """A limit that is taken away has no end."""

    type_id = "344(MDUS)"


class LimitTooLow(BusinessError):
    """A limit this low disconnects: that takes a client that may order disconnections."""

    type_id = "345(MDUS)"


class LimitNotConfirmed(BusinessError):
    """The meter has not confirmed the limit."""

    type_id = "346(MDUS)"


def load(requests: Sequence[Request], uow: UnitOfWork) -> Known:
    """Fetch the devices with their limits and what is under way about these, the items' commands, the clients.

    Limits are held, so that none is taken away while another is ordered.
    """
    devices = {(request.origin.sender_system, request.device_id) for request in requests}
    return Known(
        [LimitRules.of(uow.settings), Capabilities.of(uow.settings)],
        uow.load(EndDevice, EndDevice.KEY, devices, lock=False),
        uow.load(DeviceLimit, EndDevice.KEY, devices),
        uow.load_open_commands(CommandKind.LIMIT_DEMAND, devices),
        uow.load_commands([request.origin.item_id for request in requests]),
        uow.load_clients({request.origin.client for request in requests if request.origin.client}),
        uow.load(ExceptionCase, ExceptionCase.KEY, {(LIMIT_DOUBTFUL, case_key(*device)) for device in devices}),
    )


def decide(request: Request, known: Known, *, now: datetime) -> Outcome:
    """Have the meter limited, and keep the limit once it has confirmed it.

    - Refused at once: a device that cannot be limited, an end that has passed, a limit that is a disconnection in
      disguise when the client may order none. The governor asks again when the command would leave.
    - While another command about the device's limit is under way, this one waits.
    - A command without a result is given again, three times in all; then a case says that the limit is in doubt. It is
      also where one of the three may have been carried out, whatever became of the last; and it ends like any other.
    """
    origin, rules = request.origin, known.one(LimitRules) or LimitRules()
    device = known.one(EndDevice, origin.sender_system, request.device_id)
    given = known.find(Command, owner_kind=OwnerKind.ITEM, owner_key=str(origin.item_id))
    if not given:
        device = _limitable(request, device, known, rules=rules, now=now)
        if _is_busy(request, known):
            return Await(commands=(), until=now + AFTER_ANOTHER)
        return _awaited(_command(request, device, rules=rules, now=now), rules)
    command = given[-1]
    if not command.has_ended and now < _patience(command, rules):
        return _awaited(command, rules)
    if command.succeeded:
        return _confirmed(request, command, known, now=now)
    repeated = again(given, lasts=rules.timeout, until=request.valid_until, now=now) if command.has_ended else None
    if repeated is not None:
        # Whether it is given at all was decided by what came: it waits as the first one did.
        return Await(commands=(), until=now + AFTER_ANOTHER) if _is_busy(request, known) else _awaited(repeated, rules)
    if command.has_ended and not may_have_acted(given):
        raise LimitNotConfirmed(f"The meter has not confirmed it ({what_came(command)})"[:200])
    return _doubted(request, command, known, now=now)


def _limitable(
    request: Request, device: EndDevice | None, known: Known, *, rules: LimitRules, now: datetime
) -> EndDevice:
    origin = request.origin
    check_real(origin)
    if request.valid_until is not None and request.limit_kw is None:
        raise EndWithoutLimit
    if request.valid_until is not None and request.valid_until <= now:
        raise LimitIsOver(f"The limit was to end at {request.valid_until:%Y-%m-%d %H:%M:%S} UTC")
    matrix = known.one(Capabilities) or Capabilities()
    found = able(device, Capability.DEMAND_LIMIT, matrix=matrix, origin=origin, now=now)
    if request.limit_kw is not None:
        client = known.one(Client, origin.client or "")
        may_switch = client is not None and client.may_switch
        refusal = disguised(request.limit_kw, may_switch=may_switch, least=rules.least_kw)
        if refusal is not None:
            raise LimitTooLow(refusal.note)
    return found


def _is_busy(request: Request, known: Known) -> bool:
    """Tell whether a command about the device's limit is under way."""
    of_device = known.find(Command, sender_system=request.origin.sender_system, device_id=request.device_id)
    return any(not command.has_ended for command in of_device)


def _command(request: Request, device: EndDevice, *, rules: LimitRules, now: datetime) -> Command:
    owner_key, last = str(request.origin.item_id), now + rules.timeout
    return Command(
        command_key=command_key(
            owner_kind=OwnerKind.ITEM, owner_key=owner_key, device_id=device.device_id, purpose="limit"
        ),
        owner_kind=OwnerKind.ITEM,
        owner_key=owner_key,
        sender_system=device.sender_system,
        device_id=device.device_id,
        serial_id=device.serial_id,
        head_end=device.head_end or "",
        kind=CommandKind.LIMIT_DEMAND,
        purpose="limit",
        not_before=now,
        expires_at=min(last, request.valid_until or last),
        parameters=None if request.limit_kw is None else (("limit_kw", limit_text(request.limit_kw)),),
    )


def _patience(command: Command, rules: LimitRules) -> datetime:
    return command.expires_at + rules.timeout + timedelta(minutes=1)


def _awaited(command: Command, rules: LimitRules) -> Await:
    return Await(commands=(command,), until=_patience(command, rules))


def _confirmed(request: Request, command: Command, known: Known, *, now: datetime) -> Done:
    """Keep what the meter has confirmed; whatever else was, or may have been, its limit is so no more."""
    at = command.acted_at or now
    limit = _limit(request, command, at=min(at, now))  # by a clock ahead of ours no lift would be of this limit
    gone = [Remove(DeviceLimit, each.key) for each in _limits(request, known) if limit is None or each.key != limit.key]
    case = known.one(ExceptionCase, LIMIT_DOUBTFUL, case_key(request.origin.sender_system, request.device_id))
    settled = () if case is None else closed([case], now=now)
    result = Answer(limit_kw=request.limit_kw, valid_until=request.valid_until, confirmed_at=at)
    return Done(changes=(*gone, *([] if limit is None else [limit]), *settled), result=result)


def _doubted(request: Request, command: Command, known: Known, *, now: datetime) -> Done:
    """Have somebody see to a limit of which nobody knows whether the meter took it, and end it as if it had."""
    error = LimitNotConfirmed(f"It is not known whether the meter took it ({what_came(command)})"[:200])
    changes: list[Change] = [doubt(command, note=f"{_asked(request)}: {error}", now=now)]
    limit = _limit(request, command, at=now)
    if limit is not None:
        changes += doubted(replace(limit, in_doubt=True), _limits(request, known))
    return Done(changes=tuple(changes), result=Answer(problems=(error.problem,)))


def _limits(request: Request, known: Known) -> tuple[DeviceLimit, ...]:
    return known.find(DeviceLimit, sender_system=request.origin.sender_system, device_id=request.device_id)


def _limit(request: Request, command: Command, *, at: datetime) -> DeviceLimit | None:
    """Return the limit of a meter that has carried the command out; None where it takes one away."""
    if request.limit_kw is None:
        return None
    return DeviceLimit(
        sender_system=request.origin.sender_system,
        device_id=request.device_id,
        serial_id=command.serial_id,
        limit_kw=request.limit_kw,
        set_at=at,
        valid_until=request.valid_until,
        look_at=request.valid_until,
        item_id=request.origin.item_id,
        client=request.origin.client,
    )


def _asked(request: Request) -> str:
    if request.limit_kw is None:
        return "To be limited no more"
    return f"To be limited to {limit_text(request.limit_kw)} kW"


SERVICE = ClientRequest(
    name="DemandLimit",
    door=Door(path="demand-limits"),
    shape=Request,
    result=Answer,
    order_by="device_id",
    load=load,
    decide=decide,
)
