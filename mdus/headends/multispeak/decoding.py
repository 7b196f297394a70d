"""What a head end tells, by callback or in an answer, as field events. Pure: bodies in, events out.

```
transactionID    ours        a result for each meter: (our id of the call, serial number) says of which command
                 any other   told by itself: readings, intervals, and for outages and breakers events
```
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from lxml import etree

from mdus.domain.channel_map import ChannelMap
from mdus.domain.end_device import SwitchState
from mdus.domain.event_map import EventMap, event_code
from mdus.domain.head_end import (
    CommandResult,
    FieldAlarm,
    FieldEvent,
    FieldIntervals,
    FieldReading,
    Heard,
    RawDelivery,
    Unmapped,
    UnreadableLine,
    options_of,
)
from mdus.headends.multispeak import answers, soap
from mdus.headends.multispeak.intervals import IntervalsReader, MeterBlock
from mdus.headends.multispeak.mapping import HISTORY_LOG, METER_EVENT, OUTAGE, STATE_CHANGE, Tables
from mdus.headends.multispeak.options import NOTHING_DONE, Errors, Options
from mdus.headends.multispeak.readings import MeterRead, ReadingsReader, by_meter, serial_of
from mdus.headends.multispeak.requests import Asked, Purpose, asked
from mdus.headends.multispeak.soap import Received
from mdus.settings import HeadEnd as Row
from mdus.settings import Settings

#: What a breaker's position is called; Armed is open, and closes when the button at the meter is pressed.
_CLOSED: Final = frozenset({"Closed", "Close", "InitiatePowerLimitation", "PowerLimitation", "CancelPowerLimitation"})
_OPEN: Final = frozenset({"Open", "Opened", "Armed"})
_ARMED: Final = "Armed"

#: Where a breaker stands that did what it was asked for.
_ORDERED: Final[Mapping[Purpose | None, SwitchState]] = {
    Purpose.CONNECT: SwitchState.CONNECTED,
    Purpose.DISCONNECT: SwitchState.DISCONNECTED,
}

#: Errors by which a meter itself says that its breaker stayed where it was: only beside these is a position believed.
_STAYED: Final = frozenset({"RELAY_STUCK", "LOAD_SIDE_VOLTAGE", "LOW_CREDIT", "REFUSED", "ARMED"})

#: What an outage detection says of a meter that was asked: it answered, it did not, or there is no power.
_ANSWERED: Final = frozenset({"PowerOn", "Restoration", "Instantaneous"})
_NO_POWER: Final = frozenset({"Outage", "PowerOff", "Inferred"})

#: What no meter told: an inferred outage is the head end's guess, no answer is none.
_NOT_TOLD: Final = frozenset({"NoResponse", "Inferred"})

#: Entries of a history log that say no more than that the meter was spoken to.
_SPOKEN_TO: Final = frozenset({"meter accessed for read", "meter accessed for write"})

_RELAY_OPENED: Final = "3.31.0.68"
_RELAY_CLOSED: Final = "3.31.0.42"

#: Names of the two references of a device that an outage event may have: 3.0's and 4.1's.
_DETECTOR: Final = ("outageDetectDeviceID", "outageDetectionDeviceID")
_DETECTOR_TYPE: Final = ("outageDetectDeviceType", "outageDetectionDeviceType")

#: Messages that tell of breakers.
_POSITIONS: Final = frozenset({"CDStateChangedNotification", "CDStatesChangedNotification"})

#: The message that tells interval values.
_INTERVALS: Final = "IntervalDataNotification"

#: Messages that tell nothing of meters, and are answered all the same.
_NOTHING_TOLD: Final = frozenset({"PingURL", "GetMethods"})

Events = Iterator[FieldEvent]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Position:
    """What is told of one breaker, and of which call."""

    serial: str
    state: str
    error: str | None
    at: datetime | None


class Decoder:
    """Decodes what one head end delivers."""

    def __init__(self, options: Options, tables: Tables, *, zone: str) -> None:
        self._errors = Errors(options)
        self._tables = tables
        self._zone = zone
        self._readings = ReadingsReader(self._tables, zone=zone)
        self._intervals = IntervalsReader(self._tables, zone=zone, unit=options.interval_unit)
        self._messages: Mapping[str, Callable[[etree._Element], Events]] = {
            "ReadingChangedNotification": self._readings_changed,
            "FormattedBlockNotification": self._readings_changed,
            "ODEventNotification": self._outages,
            "MeterEventNotification": self._meter_events,
            "HistoryLogChangedNotification": self._history,
        }

    def __call__(self, raw: RawDelivery) -> Events:
        """Yield what a delivery tells; raises ValueError when nothing of it can be read."""
        root = soap.parsed(raw.body)
        if soap.local(root) == answers.EXCHANGE:
            yield from self._exchange(root, raw)
            return
        received = soap.received(raw.body)
        name = soap.local(received.message)
        if name in _POSITIONS:
            yield from self._positions_changed(received)
        elif name == _INTERVALS:
            yield from self._intervals_told(received.message, raw.received_at)
        elif name in self._messages:
            yield from self._messages[name](received.message)
        elif name not in _NOTHING_TOLD:
            raise ValueError(f"nothing here reads the message {name}")

    # ---- readings and intervals --------------------------------------------------------------------------------------

    def _readings_changed(self, message: etree._Element) -> Events:
        call = asked(_transaction(message))
        if call is None:
            yield from self._told_by_itself(message)
        else:
            yield from self._results(message, call.correlation)

    def _results(self, message: etree._Element, correlation: str, *, only: str | None = None) -> Events:
        """Yield a result for each meter that readings are told of, or (`only`) for the one asked about."""
        reads = []
        for told in self._readings.meter_reads(message):
            if isinstance(told, UnreadableLine):
                yield told
            else:
                reads.append(told)
        together = by_meter(reads)
        if only is not None:
            together = {only: replace(together.get(only, MeterRead(serial=only)), serial=only)}
        for each in together.values():
            yield from each.unmapped
            yield self._read_result(each, correlation)

    def _read_result(self, told: MeterRead, correlation: str) -> CommandResult:
        if told.error is None and (told.readings or told.unmapped):
            return _result(told.serial, correlation, succeeded=True, acted_at=told.at, readings=told.readings)
        error = told.error or "no readings"
        return self._failure(told.serial, correlation, error, acted_at=told.at)

    def _told_by_itself(self, message: etree._Element) -> Events:
        """Yield readings that nobody asked for; whoever shows something was heard."""
        for told in self._readings.meter_reads(message):
            if isinstance(told, UnreadableLine):
                yield told
                continue
            yield from told.unmapped
            yield from told.readings
            if told.error is None and not told.readings and told.at is not None:
                yield Heard(serial_id=told.serial, at=told.at)

    def _intervals_told(self, message: etree._Element, came_at: datetime | None) -> Events:
        call = asked(_transaction(message))
        if call is not None:
            yield from self._interval_results(message, call.correlation, came_at=came_at)
            return
        for told in self._intervals.blocks(message, came_at=came_at):
            if isinstance(told, UnreadableLine):
                yield told
            else:
                yield from told.unmapped
                yield from told.intervals

    def _interval_results(
        self, message: etree._Element, correlation: str, *, came_at: datetime | None, only: str | None = None
    ) -> Events:
        blocks: dict[str, list[MeterBlock]] = {}
        for told in self._intervals.blocks(message, came_at=came_at):
            if isinstance(told, UnreadableLine):
                yield told
            else:
                blocks.setdefault(told.serial, []).append(told)
        error = soap.text(message, "errorString")
        for serial in blocks if only is None else [only]:
            some = blocks.get(serial, [])
            for block in some:
                yield from block.unmapped
            intervals = tuple(each for block in some for each in block.intervals if each.values.told)
            if intervals:
                yield _result(serial, correlation, succeeded=True, intervals=intervals)
            else:
                yield self._failure(serial, correlation, error or "no intervals")

    # ---- breakers ----------------------------------------------------------------------------------------------------

    def _positions_changed(self, received: Received) -> Events:
        """Yield what is told of breakers; 3.0 says not when one moved, so that it is when the message was sent."""
        call = asked(_transaction(received.message))
        stamped = received.header.get("TimeStamp")
        sent_at = None if not stamped else soap.earliest(stamped, "TimeStamp", zone=self._zone)
        for line, told in self._positions(received.message, sent_at):
            if isinstance(told, str):
                yield UnreadableLine(line=line, reason=told)
            elif call is not None:
                yield self._switch_result(told, call)
            else:
                yield from self._moved_by_itself(told)

    def _positions(self, message: etree._Element, sent_at: datetime | None) -> Iterator[tuple[int, _Position | str]]:
        """Yield the positions in a message: 3.0 has one beside its transactionID, 4.1 one or many that are objects."""
        objects = [
            each
            for each in soap.everywhere(message, "stateChange", "CDStateChange", "cdStateChange")
            if soap.child(each, "stateChange") is not None or soap.child(each, "meterID") is not None
        ]
        for each in objects or [message]:
            line = soap.line(each)
            try:
                yield line, self._position(each, sent_at)
            except ValueError as error:
                yield line, f"{soap.local(each)}: {error}"

    def _position(self, element: etree._Element, sent_at: datetime | None) -> _Position:
        serial = serial_of(element) or soap.attribute(element, "objectID")
        if serial is None:
            raise ValueError("it names no meter")
        stamped = soap.text(element, "timestamp", "timeStamp") or soap.attribute(element, "timestamp")
        return _Position(
            serial=serial,
            state=soap.text(element, "stateChange", "RCDState") or "",
            error=soap.text(element, "errorString") or soap.attribute(element, "errorString"),
            at=sent_at if stamped is None else soap.earliest(stamped, "timestamp", zone=self._zone),
        )

    def _switch_result(self, told: _Position, call: Asked) -> CommandResult:
        """Return what a position is for the command it answers; an answer without one leaves all open."""
        position = _position_of(told.state)
        if told.error is not None:
            failure = self._failure(told.serial, call.correlation, told.error, acted_at=told.at)
            if position is not None and position is _ORDERED.get(call.purpose):
                return replace(failure, uncertain=True)  # failed, and where it was ordered to: one of both is wrong
            return replace(failure, switch_state=position if failure.code in _STAYED else None)
        code = _mistake(told.state, call.purpose)
        if code is None:
            return _result(told.serial, call.correlation, succeeded=True, acted_at=told.at, switch_state=position)
        failure = self._failed(told.serial, call.correlation, code, _TEXTS[code].format(state=told.state or "nothing"))
        return replace(failure, acted_at=told.at, switch_state=position)

    def _moved_by_itself(self, told: _Position) -> Events:
        # With an error nothing has moved, whatever position stands beside it.
        said = told.error or told.state
        position = None if told.error else _position_of(told.state)
        code = {SwitchState.CONNECTED: _RELAY_CLOSED, SwitchState.DISCONNECTED: _RELAY_OPENED}.get(
            position or SwitchState.UNKNOWN, self._tables.event(STATE_CHANGE, said, at=told.at)
        )
        if code is not None and told.at is not None:
            yield _alarm(told.serial, code, told.at)
        else:
            yield Unmapped(serial_id=told.serial, source="event", code=event_code(STATE_CHANGE, said), at=told.at)

    # ---- events ------------------------------------------------------------------------------------------------------

    def _outages(self, message: etree._Element) -> Events:
        call = asked(_transaction(message))
        for each in soap.everywhere(message, "outageDetectionEvent"):
            try:
                yield from self._outage(each, call)
            except ValueError as error:
                yield UnreadableLine(line=soap.line(each), reason=f"outageDetectionEvent: {error}")

    def _outage(self, event: etree._Element, call: Asked | None) -> Events:
        serial = _outage_meter(event)
        kind = soap.text(event, "outageEventType") or "Unknown"
        stamped = soap.text(event, "eventTime")
        at = None if stamped is None else soap.earliest(stamped, "eventTime", zone=self._zone)
        if call is not None:
            yield self._ping_result(serial, kind, at, soap.attribute(event, "errorString"), call.correlation)
            return
        if kind in _NOT_TOLD:
            return
        code = self._tables.event(OUTAGE, kind, at=at)
        if code is not None and at is not None:
            yield _alarm(serial, code, at)
        else:
            yield Unmapped(serial_id=serial, source="event", code=event_code(OUTAGE, kind), at=at)

    def _ping_result(
        self, serial: str, kind: str, at: datetime | None, error: str | None, correlation: str
    ) -> CommandResult:
        if error is not None:
            return self._failure(serial, correlation, error, acted_at=at)
        if kind in _ANSWERED:
            return _result(serial, correlation, succeeded=True, acted_at=at)
        code = "NO_RESPONSE" if kind == "NoResponse" else "NO_POWER" if kind in _NO_POWER else "STATE_UNKNOWN"
        return self._failed(serial, correlation, code, f"the head end says {kind}", acted_at=at)

    def _meter_events(self, message: etree._Element) -> Events:
        for each in soap.everywhere(message, "eventInstance"):
            try:
                yield self._meter_event(each)
            except ValueError as error:
                yield UnreadableLine(line=soap.line(each), reason=f"eventInstance: {error}")

    def _meter_event(self, instance: etree._Element) -> FieldEvent:
        event = soap.child(instance, "meterEvent")
        serial = serial_of(instance)
        stamped = soap.text(instance, "timeStamp", "timestamp") or soap.attribute(event, "timeStamp")
        if serial is None or stamped is None:
            raise ValueError("it names no meter, or not when it happened")
        at = soap.instant(stamped, "timeStamp", zone=self._zone)
        parts = [soap.attribute(event, name) for name in ("type", "domain", "domainPart", "index")]
        composed = ".".join(part for part in parts if part) if all(parts) else None
        said = soap.own_text(event)
        for code in (soap.attribute(event, "codeString"), composed, said):
            found = None if code is None else self._tables.meter_event(code, at=at)
            if found is not None:
                return _alarm(serial, found, at, text=said)
        told = soap.attribute(event, "codeString") or composed or said or "nothing"
        return Unmapped(serial_id=serial, source="event", code=event_code(METER_EVENT, told), at=at, text=said)

    def _history(self, message: etree._Element) -> Events:
        for log in soap.everywhere(message, "historyLog"):
            serial = serial_of(log) or soap.attribute(log, "objectID")
            for event in soap.everywhere(log, "event", "historyEvent", "meterHistoryEvent"):
                try:
                    yield self._history_event(serial, event)
                except ValueError as error:
                    yield UnreadableLine(line=soap.line(event), reason=f"event: {error}")

    def _history_event(self, serial: str | None, event: etree._Element) -> FieldEvent:
        said, stamped = soap.text(event, "eventCode"), soap.text(event, "dateTime", "timeStamp", "eventTime")
        if serial is None or said is None or stamped is None:
            raise ValueError("it names no meter, no eventCode or no dateTime")
        at = soap.instant(stamped, "dateTime", zone=self._zone)
        if " ".join(said.split()).casefold() in _SPOKEN_TO:
            return Heard(serial_id=serial, at=at)
        found = self._tables.event(HISTORY_LOG, said, at=at)
        argument = soap.text(event, "argument")
        if found is None:
            return Unmapped(serial_id=serial, source="event", code=event_code(HISTORY_LOG, said), at=at, text=argument)
        return _alarm(serial, found, at, text=argument)

    # ---- answers -----------------------------------------------------------------------------------------------------

    def _exchange(self, root: etree._Element, raw: RawDelivery) -> Events:
        """Yield what an answer says of what was asked: the request is kept beside it."""
        request, answer = root
        correlation, came_at = raw.correlation, raw.received_at
        name = soap.local(request)
        stamped = root.get("at")
        at = None if stamped is None else soap.earliest(stamped, "TimeStamp", zone=self._zone)
        match name:
            case "GetReadingsByMeterNo" | "GetReadingsByMeterID":
                yield from self._results(answer, correlation, only=_one_meter(request))
            case "GetReadingByMeterIDAndFieldNameIntervalData" | "GetReadingsByMeterIDAndFieldNameIntervalData":
                yield from self._interval_results(answer, correlation, came_at=came_at, only=_one_meter(request))
            case "GetCDMeterState":
                result = soap.child(answer)
                told = soap.text(result, "RCDState", "stateChange") or soap.own_text(result) or ""
                position = _Position(serial=_one_meter(request), state=told, error=None, at=at)
                yield self._switch_result(position, Asked(correlation=correlation, purpose=Purpose.STATE))
            case "MeterAddNotification" | "MeterChangedNotification":
                refused = {error.meter for error in answers.errors(answer, self._errors)}
                for meter in answers.meters(request, breakers=None):
                    if meter.serial_id not in refused:
                        yield _result(meter.serial_id, correlation, succeeded=True, acted_at=at)
            case "InitiateLoadManagementEvent":
                serial = soap.text(soap.child(request, "theLMEvent"), "pointID") or ""
                if not answers.errors(answer, self._errors):
                    yield _result(serial, correlation, succeeded=True, acted_at=at)
            case "GetReadingsByDate":
                yield from self._told_by_itself(answer)
            case "GetReadingsByDateAndFieldNameIntervalData":
                yield from self._intervals_told(answer, came_at)
            case "GetHistoryLogsByDate":
                yield from self._history(answer)
            case _:
                raise ValueError(f"nothing here reads the answer to {name}")

    # ---- results -----------------------------------------------------------------------------------------------------

    def _failure(self, serial: str, correlation: str, error: str, *, acted_at: datetime | None = None) -> CommandResult:
        return self._failed(serial, correlation, self._errors.code(error), error, acted_at=acted_at)

    def _failed(
        self, serial: str, correlation: str, code: str, text: str, *, acted_at: datetime | None = None
    ) -> CommandResult:
        failed = _result(serial, correlation, succeeded=False, acted_at=acted_at)
        return replace(failed, code=code, text=text, uncertain=code not in NOTHING_DONE)


#: What went wrong where a head end says that nothing did.
_TEXTS: Final[Mapping[str, str]] = {
    "ARMED": "the breaker is armed: it closes when the button at the meter is pressed",
    "RELAY_STUCK": "the head end says that the breaker is {state}",
    "STATE_UNKNOWN": "the head end says {state}, which is no position of a breaker",
}


def decoder(settings: Settings, row: Row) -> Decoder:
    """Return what decodes the deliveries of a head end."""
    options = options_of(row, Options)
    channels, events = ChannelMap.of(settings, head_end=row), EventMap.of(settings, head_end=row)
    zone = options.zone_of_local_times or row.time_zone
    return Decoder(options, Tables(options, channels=channels, events=events), zone=zone)


def _mistake(state: str, purpose: Purpose | None) -> str | None:
    """Return what a position told without an error says against the order it answers, None for nothing."""
    match purpose:
        case Purpose.CONNECT if state == _ARMED:
            return "ARMED"
        case Purpose.CONNECT if state in _OPEN:
            return "RELAY_STUCK"
        case Purpose.DISCONNECT if state in _CLOSED:
            return "RELAY_STUCK"
        case _:
            return None if state in _CLOSED or state in _OPEN else "STATE_UNKNOWN"


def _position_of(state: str) -> SwitchState | None:
    if state in _CLOSED:
        return SwitchState.CONNECTED
    return SwitchState.DISCONNECTED if state in _OPEN else None


def _transaction(message: etree._Element) -> str | None:
    return soap.text(message, "transactionID")


def _outage_meter(event: etree._Element) -> str:
    detector = soap.text(event, *_DETECTOR) if soap.text(event, *_DETECTOR_TYPE) == "Meter" else None
    found = serial_of(event)
    location = soap.child(event, "outageLocation")
    if found is None and location is not None:
        found = serial_of(location)
    found = found or detector or soap.attribute(event, "objectID")
    if found is None:
        raise ValueError("it names no meter")
    return found


def _one_meter(request: etree._Element) -> str:
    serial = serial_of(request)
    if serial is None:
        raise ValueError(f"{soap.local(request)} names no meter")
    return serial


def _alarm(serial: str, code: str, at: datetime, *, text: str | None = None) -> FieldAlarm:
    """Return an event. It has no id: one outage is told as such, in the log and by its meter, under an id each."""
    return FieldAlarm(serial_id=serial, event_type=code, at=at, source_id=None, text=text)


def _result(
    serial: str,
    correlation: str,
    *,
    succeeded: bool,
    acted_at: datetime | None = None,
    readings: tuple[FieldReading, ...] = (),
    intervals: tuple[FieldIntervals, ...] = (),
    switch_state: SwitchState | None = None,
) -> CommandResult:
    return CommandResult(
        command_key=None,
        correlation=correlation,
        token=None,
        serial_id=serial,
        succeeded=succeeded,
        code=None,
        text=None,
        acted_at=acted_at,
        readings=readings,
        intervals=intervals,
        switch_state=switch_state,
    )
