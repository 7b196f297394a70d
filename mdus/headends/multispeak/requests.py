"""Commands as calls of MultiSpeak: which method of which service, with what in it. No sockets.

```
asked of the meter, answered later by a callback               answered at once
READ_ON_DEMAND  InitiateMeterReadByMeterNumber / ...ByMeterID  READ_REGISTERS  GetReadingsByMeterNo / ...ByMeterID
SWITCH          InitiateConnectDisconnect                      READ_INTERVALS  Get...AndFieldNameIntervalData
LIMIT_DEMAND    the same, with a power limitation              SWITCH_STATE    GetCDMeterState
SWITCH_STATE    InitiateCDStateRequest                         PROVISION       MeterAddNotification
PING            InitiateOutageDetectionEventRequest            CONTROL_LOAD    InitiateLoadManagementEvent
```

Results name their call by its transactionID alone: it is our correlation id, and behind a slash what was asked where a
breaker's position has to be understood by it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from mdus.domain.command import Command, CommandKind
from mdus.domain.end_device import EndDevice, SwitchState
from mdus.domain.head_end import Batch, Rejection
from mdus.domain.obis import Obis
from mdus.domain.register import Register
from mdus.headends.multispeak.options import Options
from mdus.headends.multispeak.soap import Node, stamp

#: The service of a head end that has a method, by the names of `Options.paths`.
_MR, _CD, _OD, _LM = "mr", "cd", "od", "lm"

#: Ours have this form: a UUID, and perhaps what was asked.
_TRANSACTION: Final = re.compile(r"([0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})(?:/([a-z]+))?", re.ASCII)

#: The medium of an OBIS code (its value group A): serviceType, and where 4.1 keeps meters of it.
_SERVICES: Final = {1: "Electric", 7: "Gas", 8: "Water", 9: "Water"}
_KEPT: Final = {
    "Electric": ("electricMeters", "electricMeter"),
    "Gas": ("gasMeters", "gasMeter"),
    "Water": ("waterMeters", "waterMeter"),
}

#: What we add to a meter: a head end that keeps it tells it again with its meters.
EXT_DEVICE, EXT_REGISTERS = "deviceID", "registers"

#: Kinds of which one call is made for each meter.
_ONE_BY_ONE: Final = frozenset({CommandKind.READ_REGISTERS, CommandKind.READ_INTERVALS, CommandKind.CONTROL_LOAD})


class Purpose(StrEnum):
    """What was asked of a breaker: without it nobody can tell whether a position is a success."""

    CONNECT = "connect"
    DISCONNECT = "disconnect"
    LIMIT = "limit"
    STATE = "state"


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One call for these commands. The answer of one that `is_answered` is their result; others come by callback."""

    service: str
    message: Node
    commands: tuple[Command, ...] = ()
    is_answered: bool = False

    @property
    def method(self) -> str:
        """Return the name of the method."""
        return self.message.name


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What a transactionID of ours says."""

    correlation: str
    purpose: Purpose | None


def transaction(correlation: str, purpose: Purpose | None = None) -> str:
    """Return the transactionID of a call."""
    return correlation if purpose is None else f"{correlation}/{purpose}"


def asked(transaction_id: str | None) -> Asked | None:
    """Return what a transactionID says, None where it is none of ours: the head end told it by itself."""
    found = _TRANSACTION.fullmatch(transaction_id or "")
    if found is None:
        return None
    known = found[2] in tuple(Purpose)
    return Asked(correlation=found[1], purpose=Purpose(found[2]) if known else None)


class Writer:
    """Writes the calls for one head end."""

    def __init__(self, options: Options, *, callback_url: str | None) -> None:
        self._options = options
        self._is_3 = options.version == "3.0"
        self._response_url = f"{callback_url.rstrip('/')}/soap" if callback_url else ""

    def refused(self, batch: Batch) -> Iterator[Rejection]:
        """Yield the commands of a batch that cannot be said in MultiSpeak, or to this head end."""
        for command in batch.commands:
            code, reason = self._refusal(batch, command)
            if reason is not None:
                yield Rejection(command_key=command.command_key, code=code, text=reason)

    def requests(self, batch: Batch, commands: Sequence[Command], *, states_from_record: bool) -> Iterator[Request]:
        """Yield the calls for commands of a batch; with `states_from_record` positions are those of the head end."""
        match batch.kind:
            case CommandKind.READ_ON_DEMAND:
                method = "InitiateMeterReadByMeterNumber" if self._is_3 else "InitiateMeterReadingsByMeterID"
                yield self._initiate(_MR, method, [self._meters(commands)], batch, commands)
            case CommandKind.PING:
                at = Node("requestDate", stamp(_leaves(batch)))
                method = "InitiateOutageDetectionEventRequest"
                yield self._initiate(_OD, method, [self._meters(commands), at], batch, commands)
            case CommandKind.SWITCH:
                yield from self._switches(batch, commands)
            case CommandKind.LIMIT_DEMAND:
                yield self._events(batch, commands, Purpose.LIMIT)
            case CommandKind.SWITCH_STATE if states_from_record:
                for each in commands:
                    yield self._answered(_CD, Node("GetCDMeterState", children=[self._meter(each.serial_id)]), each)
            case CommandKind.SWITCH_STATE:
                states = [Node("CDState", children=[self._meter(each.serial_id)]) for each in commands]
                inside = [Node("states", children=states)]
                yield self._initiate(_CD, "InitiateCDStateRequest", inside, batch, commands, Purpose.STATE)
            case CommandKind.PROVISION:
                yield self.provisioning(batch, commands, method=self._options.provision)
            case kind if kind in _ONE_BY_ONE:
                for each in commands:
                    yield self._one(kind, each)
            case _:
                raise ValueError(f"MultiSpeak has no call for {batch.kind}")

    def provisioning(self, batch: Batch, commands: Sequence[Command], *, method: str) -> Request:
        """Return the call that tells of meters, as of new or of changed ones."""
        name, container = {
            "add": ("MeterAddNotification", "addedMeters"),
            "changed": ("MeterChangedNotification", "changedMeters"),
        }[method]
        meters: dict[str, list[Node]] = {}
        for command in commands:
            key = (command.sender_system, command.device_id)
            registers = batch.registers[key]
            service = _service(registers)
            meters.setdefault(service, []).append(
                self._new_meter(batch.devices[key], registers, "Change" if method == "changed" else "New", service)
            )
        if self._is_3:
            inside = [meter for some in meters.values() for meter in some]
        else:
            inside = [Node(kept, children=meters[one]) for one, (kept, _) in _KEPT.items() if one in meters]
        message = Node(name, children=[Node(container, children=inside)])
        return Request(service=_MR, message=message, commands=tuple(commands), is_answered=True)

    def page(self, what: str, period_from: datetime, period_to: datetime, last_received: str) -> Request:
        """Return the call for a page of what the head end has of a period: readings, intervals or events."""
        inside = [*_period(period_from, period_to), Node("lastReceived", last_received)]
        match what:
            case "readings":
                message = Node("GetReadingsByDate", children=inside)
            case "intervals":
                message = Node("GetReadingsByDateAndFieldNameIntervalData", children=[*inside, Node("fieldName")])
            case _:
                message = Node("GetHistoryLogsByDate", children=inside)
        return Request(service=_MR, message=message, is_answered=True)

    def meters(self, what: str, last_received: str) -> Request:
        """Return the call for a page of the head end's meters: `AMR` all, `CD` those with a breaker."""
        message = Node(f"Get{what}SupportedMeters", children=[Node("lastReceived", last_received)])
        return Request(service=_CD if what == "CD" else _MR, message=message, is_answered=True)

    # ---- the parts -------------------------------------------------------------------------------------------------

    def _refusal(self, batch: Batch, command: Command) -> tuple[str, str | None]:
        key = (command.sender_system, command.device_id)
        match batch.kind:
            case CommandKind.PROVISION if key not in batch.devices:
                return "NOT_PROVISIONABLE", "the device is not known any more"
            case CommandKind.PROVISION:
                return "NOT_PROVISIONABLE", _not_provisionable(batch.registers.get(key, ()))
            case CommandKind.LIMIT_DEMAND if command.parameter("limit_kw") is None and self._limit_end() is None:
                return "NOT_OFFERED", "MultiSpeak 3.0 cannot take a demand limit away (options.take_limit_away)"
            case _:
                return "", None

    def _limit_end(self) -> str | None:
        return self._options.take_limit_away or (None if self._is_3 else "CancelPowerLimitation")

    def _switches(self, batch: Batch, commands: Sequence[Command]) -> Iterator[Request]:
        """Yield a call each for connections and disconnections: an answer is understood by which of them it is of."""
        for wanted, purpose in (
            (SwitchState.CONNECTED, Purpose.CONNECT),
            (SwitchState.DISCONNECTED, Purpose.DISCONNECT),
        ):
            some = [each for each in commands if each.wanted_state is wanted]
            if some:
                yield self._events(batch, some, purpose)

    def _events(self, batch: Batch, commands: Sequence[Command], purpose: Purpose) -> Request:
        events = Node("cdEvents", children=[self._event(each, purpose) for each in commands])
        return self._initiate(_CD, "InitiateConnectDisconnect", [events], batch, commands, purpose)

    def _event(self, command: Command, purpose: Purpose) -> Node:
        """Return one connectDisconnectEvent; the order of its children is the version's."""
        limit = command.parameter("limit_kw") if purpose is Purpose.LIMIT else None
        action = {Purpose.CONNECT: "Connect", Purpose.DISCONNECT: "Disconnect"}.get(purpose)
        if action is None:
            action = "InitiatePowerLimitation" if limit is not None else self._limit_end() or ""
        inside = [Node("loadActionCode", action)]
        if limit is not None and self._is_3:
            inside += [Node("powerLimitationValue", limit), Node("powerLimitationUnits", "kW")]
        elif limit is not None:
            inside.append(Node("powerLimitationValue", limit, attributes={"units": "kW"}))
        meter = self._meter(command.serial_id)
        inside = [*inside, meter] if self._is_3 else [meter, *inside]
        named = {"objectID": command.serial_id, "verb": "New"}
        return Node("connectDisconnectEvent", children=inside, attributes=named)

    def _one(self, kind: CommandKind, command: Command) -> Request:
        if kind is CommandKind.CONTROL_LOAD:
            return self._answered(_LM, self._load_event(command), command)
        if command.period_from is None or command.period_to is None:
            raise ValueError(f"the command {command.command_key} reads values of no period")
        period = _period(command.period_from, command.period_to)
        if kind is CommandKind.READ_REGISTERS:
            method = "GetReadingsByMeterNo" if self._is_3 else "GetReadingsByMeterID"
            return self._answered(_MR, Node(method, children=[self._meter(command.serial_id), *period]), command)
        method = f"GetReading{'' if self._is_3 else 's'}ByMeterIDAndFieldNameIntervalData"
        inside = [self._meter_id(command.serial_id), *period, Node("lastReceived", ""), Node("fieldName")]
        return self._answered(_MR, Node(method, children=inside), command)

    def _load_event(self, command: Command) -> Node:
        """Return the load management event of one meter: it is the point whose load is told, in percent left."""
        told = dict(command.parameters or ())
        is_over = told.get("action") == "cancel"
        inside = [Node("controlEventType", "Restore" if is_over else "Initiate")]
        if not is_over and "minutes" in told:
            inside.append(Node("duration", told["minutes"]))
        inside.append(Node("pointID", command.serial_id))
        if not is_over and "percent" in told:
            inside += [Node("target", told["percent"]), Node("uom", "percent")]
        if not is_over and "start" in told:
            inside.append(Node("scheduleDateTime", told["start"]))
        named = {"objectID": told.get("event", command.command_key), "verb": "Delete" if is_over else "New"}
        return Node("InitiateLoadManagementEvent", children=[Node("theLMEvent", children=inside, attributes=named)])

    def _new_meter(self, device: EndDevice, registers: Sequence[Register], verb: str, service: str) -> Node:
        told = {EXT_DEVICE: device.device_id, EXT_REGISTERS: " ".join(each.reading_type for each in registers)}
        items = [
            Node("extensionsItem", children=[Node("extName", name), Node("extValue", value), Node("extType", "string")])
            for name, value in told.items()
        ]
        inside = [
            Node("extensionsList", children=items),
            Node("meterNo", device.serial_id),
            Node("serialNumber", device.serial_id),
            Node("meterType", device.material_id),
        ]
        factors = {format(each.factor, "f") for each in registers if each.factor is not None}
        if len(factors) == 1 and service == "Electric":
            name = "nameplate" if self._is_3 else "electricNameplate"
            inside.append(Node(name, children=[Node("multiplier", factors.pop())]))
        kept = "meter" if self._is_3 else _KEPT[service][1]
        return Node(kept, children=inside, attributes={"objectID": device.serial_id, "verb": verb})

    def _answered(self, service: str, message: Node, command: Command) -> Request:
        return Request(service=service, message=message, commands=(command,), is_answered=True)

    def _initiate(
        self,
        service: str,
        method: str,
        inside: Iterable[Node],
        batch: Batch,
        commands: Sequence[Command],
        purpose: Purpose | None = None,
    ) -> Request:
        tail = [
            Node("responseURL", self._response_url),
            Node("transactionID", transaction(batch.correlation, purpose)),
            self._expiration(batch, commands),
        ]
        return Request(service=service, message=Node(method, children=[*inside, *tail]), commands=tuple(commands))

    def _expiration(self, batch: Batch, commands: Sequence[Command]) -> Node:
        """Return for how long the head end may go on; what acts, no longer than the first of the commands is good for.

        A read that comes too late harms nobody.
        """
        acts = batch.kind in (CommandKind.SWITCH, CommandKind.LIMIT_DEMAND)
        expires_at = (min if acts else max)(each.expires_at for each in commands)
        lasting = min(timedelta(minutes=self._options.expiration_minutes), expires_at - _leaves(batch))
        unit = self._options.expiration_unit
        length = max(lasting, timedelta()) / timedelta(**{unit: 1})
        if self._is_3:
            return Node("expirationTime", f"{length:.6g}")
        return Node("expTime", f"{length:.6g}", attributes={"units": unit.capitalize()})

    def _meters(self, commands: Sequence[Command]) -> Node:
        if self._is_3:
            return Node("meterNos", children=[Node("string", each.serial_id) for each in commands])
        return Node("meterIDs", children=[self._meter(each.serial_id) for each in commands])

    def _meter(self, serial: str) -> Node:
        if self._is_3:
            return Node("meterNo", serial)
        return Node("meterID", serial, attributes={"meterNo": serial})

    def _meter_id(self, serial: str) -> Node:
        """Return a meter where 3.0 too names it by a meterIdentifier."""
        return Node("meterID", children=[Node("meterNo", serial)]) if self._is_3 else self._meter(serial)


def _leaves(batch: Batch) -> datetime:
    """Return when a batch leaves; of one that is only looked for, when the last of its commands was due."""
    return batch.at or max(each.not_before for each in batch.commands)


def _period(period_from: datetime, period_to: datetime) -> list[Node]:
    return [Node("startDate", stamp(period_from)), Node("endDate", stamp(period_to))]


def _not_provisionable(registers: Sequence[Register]) -> str | None:
    if not registers:
        return "it has no register"
    try:
        _service(registers)
    except ValueError as error:
        return str(error)
    return None


def _service(registers: Sequence[Register]) -> str:
    """Return the serviceType of a meter with these registers; raises ValueError where they are of no one."""
    found = {_service_of(each.reading_type) for each in registers}
    if len(found) != 1 or None in found:
        told = ", ".join(sorted(each.reading_type for each in registers))
        raise ValueError(f"its registers are not all of one of electricity, gas and water: {told}")
    return found.pop() or ""


def _service_of(reading_type: str) -> str | None:
    try:
        return _SERVICES.get(Obis.parse(reading_type).medium)
    except ValueError:
        return None


def needed(kind: CommandKind, *, version: str) -> frozenset[str]:
    """Return the methods of which a head end has to have one for a kind of command."""
    is_3 = version == "3.0"
    match kind:
        case CommandKind.READ_ON_DEMAND:
            return frozenset({"InitiateMeterReadByMeterNumber" if is_3 else "InitiateMeterReadingsByMeterID"})
        case CommandKind.PING:
            return frozenset({"InitiateOutageDetectionEventRequest"})
        case CommandKind.SWITCH | CommandKind.LIMIT_DEMAND:
            return frozenset({"InitiateConnectDisconnect"})
        case CommandKind.SWITCH_STATE:
            return frozenset({"InitiateCDStateRequest", "GetCDMeterState"})
        case CommandKind.PROVISION:
            return frozenset({"MeterAddNotification", "MeterChangedNotification"})
        case CommandKind.READ_REGISTERS:
            return frozenset({"GetReadingsByMeterNo" if is_3 else "GetReadingsByMeterID"})
        case CommandKind.READ_INTERVALS:
            return frozenset({f"GetReading{'' if is_3 else 's'}ByMeterIDAndFieldNameIntervalData"})
        case CommandKind.CONTROL_LOAD:
            return frozenset({"InitiateLoadManagementEvent"})
        case _:
            return frozenset()
