"""What the head end says, as events: status callbacks, results fetched, data and exceptions pushed. No sockets.

| topic      | the message                                     | told                                          |
|------------|-------------------------------------------------|-----------------------------------------------|
| status     | RequestStatusChanged                            | ResultsReady, where there is something        |
| results    | Get...ResultResponse                            | CommandResult of each meter that has ended    |
| data       | DataArrived: announced, or with the data inside | ResultsReady, or values; CommandResult        |
| exceptions | MeterExceptionsArrived                          | FieldAlarm and Heard, or Unmapped             |

A token here is the operation with the head end's token, `DisconnectMeter/7f1c`: it is needed to fetch the result.

What a look for the voltage behind a breaker found is no command's result, whatever call it names: nothing is told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from mdus.domain.command import CommandKind
from mdus.domain.end_device import SwitchState
from mdus.domain.event_map import EventMap, event_code
from mdus.domain.head_end import (
    CommandResult,
    Decode,
    FieldAlarm,
    FieldEvent,
    FieldIntervals,
    FieldReading,
    Heard,
    RawDelivery,
    ResultsReady,
    Unmapped,
    UnreadableLine,
    options_of,
)
from mdus.headends.token_poll import messages
from mdus.headends.token_poll.actions import OF_COMMANDS, OPERATIONS, SWITCHES, WITH_TOKEN, Operation, Options
from mdus.headends.token_poll.meter_id import MeterIds
from mdus.headends.token_poll.values import Values
from mdus.settings import HeadEnd as Row
from mdus.settings import Settings

#: Failure codes after which it is certain that the meter did not act. Of any other (NO_RESPONSE, or one this table does
#: not know) it is not: a breaker must then be asked for its state.
NOTHING_DONE: Final = frozenset(
    {
        "UNKNOWN_METER",
        "NOT_PROVISIONED",
        "REGISTER_MISMATCH",
        "NO_BREAKER",
        "BUSY",
        "RELAY_STUCK",
        "LOW_CREDIT",
        "LOAD_SIDE_VOLTAGE",  # the line behind an open breaker is live: closing it would join two sources
        "DISCONNECT_REFUSED",  # locked in the meter
        "NOT_SUPPORTED",
        "NO_DATA",
        "EXPIRED",
    }
)

#: Statuses of a request in which there is nothing to fetch yet.
_NOTHING_YET: Final = frozenset({"Accepted", "InProgress"})

_STATES: Final[Mapping[str, SwitchState]] = {
    "Connected": SwitchState.CONNECTED,
    "Disconnected": SwitchState.DISCONNECTED,
    "Armed": SwitchState.DISCONNECTED,
}
_ARMED_TEXT: Final = "the meter is ready: the customer must press its button"

#: Operations that move a breaker.
_MOVES: Final = frozenset(each.action for each in SWITCHES.values())


def token_of(operation: str, told: str) -> str:
    """Return the token under which a request is kept: with its operation."""
    return f"{operation}/{told}"


def decoder(settings: Settings, row: Row) -> Decode:
    """Return what reads the deliveries of a head end, by its options and the tables of these settings."""
    options = options_of(row, Options)
    reader = _Reader(
        options=options,
        ids=options.meter_ids,
        values=Values.of(settings, row, options),
        events=EventMap.of(settings, head_end=row),
    )
    return reader.decode


@dataclass(frozen=True, kw_only=True, slots=True)
class _Reader:
    options: Options
    ids: MeterIds
    values: Values
    events: EventMap

    def decode(self, raw: RawDelivery) -> Iterator[FieldEvent]:
        """Return the events of a delivery; raises ValueError where it cannot be read."""
        topics: Mapping[str, Callable[[messages.Message, bytes], Iterator[FieldEvent]]] = {
            "status": self._status,
            "results": self._results,
            "data": self._data,
            "exceptions": self._exceptions,
        }
        if raw.topic not in topics:
            raise ValueError(f"a head end of kind token_poll tells nothing under the topic {raw.topic!r}")
        return topics[raw.topic](messages.read(raw.body), raw.body)

    # ---- requests ----------------------------------------------------------------------------------------------------

    def _status(self, message: messages.Message, body: bytes) -> Iterator[FieldEvent]:
        del body
        _expect(message, "RequestStatusChanged")
        operation, token = _operation(message), _said(message.token, "RequestToken")
        if _said(message.status, "Status") not in _NOTHING_YET and operation in OF_COMMANDS:
            yield ResultsReady(token=token_of(operation, token))

    def _results(self, message: messages.Message, body: bytes) -> Iterator[FieldEvent]:
        operation = message.name.removeprefix("Get").removesuffix("ResultResponse")
        if operation not in WITH_TOKEN or message.name != f"Get{operation}ResultResponse":
            raise ValueError(f"the answer to Get...Result is expected, found {message.name}")
        yield from self._told(replace(message, operation=operation), body)

    def _data(self, message: messages.Message, body: bytes) -> Iterator[FieldEvent]:
        _expect(message, "DataArrived")
        if message.token is not None and not message.endpoints:
            # What became of each meter is to be had with the result only, and the data once more with it.
            operation = _operation(message)
            if operation in OF_COMMANDS:
                yield ResultsReady(token=token_of(operation, message.token))
        if message.has_data or message.endpoints:
            yield from self._told(message, body)

    def _told(self, message: messages.Message, body: bytes) -> Iterator[FieldEvent]:
        """Yield the results of the meters that have ended, each with its values, and all that belongs to none.

        Of a meter that stands there twice neither the results nor the values are believed: one of them is another's.
        """
        readings: dict[str, list[FieldReading]] = {}
        intervals: dict[str, list[FieldIntervals]] = {}
        found: list[CommandResult] = []
        doubted = _doubted(message, self.ids)
        for endpoint in message.endpoints:
            if _serial(endpoint, self.ids) in doubted:
                yield UnreadableLine(line=endpoint.line, reason=f"Endpoint: {_twice(endpoint)}")
                continue
            try:
                result = self._result(endpoint, message)
            except ValueError as error:
                yield UnreadableLine(line=endpoint.line, reason=f"Endpoint: {error}")
                continue
            if result is not None:
                found.append(result)
        awaited = {result.serial_id for result in found}
        for event in self.values.read(body) if message.has_data else ():
            match event:
                case FieldReading() if event.serial_id in awaited:
                    readings.setdefault(event.serial_id, []).append(event)
                case FieldIntervals() if event.serial_id in awaited:
                    intervals.setdefault(event.serial_id, []).append(event)
                case FieldReading() | FieldIntervals() if event.serial_id in doubted:
                    pass  # shown above; the delivery is kept
                case _:
                    yield event
        for result in found:
            serial = result.serial_id
            yield replace(result, readings=tuple(readings.get(serial, ())), intervals=tuple(intervals.get(serial, ())))

    def _result(self, endpoint: messages.Entry, message: messages.Message) -> CommandResult | None:
        """Return what became of one meter, None while it is pending, and where no command was asked for."""
        operation = _operation(message)
        if operation not in OF_COMMANDS:
            return None
        outcome = endpoint.text("Outcome")
        if outcome == "Pending":
            return None
        if outcome not in ("Success", "Partial", "Failure"):
            raise ValueError(f"Outcome is {outcome!r}, none of Success, Partial, Failure, Pending")
        code = None if outcome != "Failure" else self.options.code(endpoint.text("Code"))
        told, text = endpoint.optional("SwitchState"), endpoint.optional("Text")
        if told is not None and told not in _STATES:
            raise ValueError(f"SwitchState is {told!r}, none of {', '.join(_STATES)}")
        if operation == Operation.RECONNECT.action and code is None and told == "Armed":
            code, text = "ARMED", text or _ARMED_TEXT
        completed_at = endpoint.optional_instant("CompletedWhen")
        # Of a switch the instant of the operation counts; a state is as good as the instant it was read.
        switched_at = endpoint.optional_instant("SwitchedWhen") if operation in _MOVES else None
        return CommandResult(
            command_key=None,
            correlation=message.reference,
            token=token_of(operation, message.token) if message.token else None,
            serial_id=self.ids.serial(endpoint.text("ElectronicSerialNumber")),
            succeeded=code is None,
            code=code,
            text=text,
            acted_at=switched_at or completed_at,
            switch_state=None if told is None else _STATES[told],
            uncertain=code is not None and code not in NOTHING_DONE and code != "ARMED",
            is_final=outcome != "Partial",
        )

    # ---- what meters tell of themselves ------------------------------------------------------------------------------

    def _exceptions(self, message: messages.Message, body: bytes) -> Iterator[FieldEvent]:
        del body
        _expect(message, "MeterExceptionsArrived")
        for exception in message.exceptions:
            try:
                yield from self._exception(exception)
            except ValueError as error:
                yield UnreadableLine(line=exception.line, reason=f"MeterException: {error}")

    def _exception(self, exception: messages.Entry) -> Iterable[FieldEvent]:
        serial = self.ids.serial(exception.text("ElectronicSerialNumber"))
        at = exception.instant("Timestamp")
        number, name = exception.optional("ID"), exception.optional("Name")
        heard = Heard(serial_id=serial, at=exception.optional_instant("ReceivedWhen") or at)
        if name in self.options.signs_of_life:
            return (heard,)
        category = exception.optional("ExceptionCategory")
        event_type = self._event_type(number, name, at=at)
        if event_type is None:
            code = event_code("exception", number) if number else event_code("name", name or "")
            return (heard, Unmapped(serial_id=serial, source="event", code=code, at=at, value=category, text=name))
        alarm = FieldAlarm(
            serial_id=serial,
            event_type=event_type,
            at=at,
            source_id=exception.optional("SequenceNumber"),
            text=name,
            properties=(*((("category", category),) if category else ()), *exception.arguments),
        )
        return (heard, alarm)

    def _event_type(self, number: str | None, name: str | None, *, at: datetime) -> str | None:
        """Return what an exception is by its number, else by its name; one that is called by an IEC code is that."""
        by_number = self.events.find("exception", number, at=at) if number else None
        if by_number is not None or not name:
            return by_number
        return self.events.find("name", name, at=at) or self.events.by_iec(name, at=at)


def _expect(message: messages.Message, name: str) -> None:
    if message.name != name:
        raise ValueError(f"{name} is expected, found {message.name}")


def _said(told: str | None, name: str) -> str:
    if told is None:
        raise ValueError(f"{name} is missing")
    return told


def _operation(message: messages.Message) -> str:
    operation = _said(message.operation, "Operation")
    if operation not in WITH_TOKEN:
        raise ValueError(f"Operation is {operation!r}, none that gives a token")
    return operation


def operation_of(kind: CommandKind, wanted: SwitchState | None) -> Operation | None:
    """Return the operation of a command, None where there is none."""
    return SWITCHES.get(wanted) if kind is CommandKind.SWITCH else OPERATIONS.get(kind)


def voltages(body: bytes, ids: MeterIds) -> Iterator[tuple[str, bool | None]]:
    """Yield what is told of the voltage behind breakers: the serial number, and whether there is any (None: not known).

    A meter that is pending is not told of, nor one whose id cannot be read: it is none that was asked. Of one that
    stands there twice nothing is known: one of them is another's. Raises ValueError where there is no result.
    """
    message = messages.read(body)
    doubted = _doubted(message, ids)
    for endpoint in message.endpoints:
        outcome, voltage = endpoint.optional("Outcome"), endpoint.optional("LoadSideVoltage")
        serial = _serial(endpoint, ids)
        if outcome == "Pending" or serial is None:
            continue
        known = voltage in ("Present", "Absent") and outcome == "Success" and serial not in doubted
        yield serial, voltage == "Present" if known else None


def _doubted(message: messages.Message, ids: MeterIds) -> frozenset[str]:
    """Return the serial numbers that stand in a result twice: a request has no meter twice."""
    counted = Counter(_serial(endpoint, ids) for endpoint in message.endpoints)
    return frozenset(serial for serial, number in counted.items() if serial is not None and number > 1)


def _serial(endpoint: messages.Entry, ids: MeterIds) -> str | None:
    """Return the serial number of an endpoint, None where it cannot be read."""
    try:
        return ids.serial(endpoint.text("ElectronicSerialNumber"))
    except ValueError:
        return None


def _twice(endpoint: messages.Entry) -> str:
    return f"{endpoint.text('ElectronicSerialNumber')} stands there twice, one of them is another meter's"
