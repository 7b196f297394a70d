"""What a message of a head end tells: results of commands where it answers a call, else what meters told by themselves.

```
topic cim            a push: an answer where it is a reply, or says which call it belongs to; events are never one
topic told           an answer to a question of ours about all meters: nobody's command
topic answer         a reply given at once, of a call; what it does not name comes later
topic last-answer    the same where nothing comes later
```

An event that a breaker has moved is evidence, not the reply: it is told as an event, and the command stays open.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from lxml import etree

from mdus.domain.channel_map import ChannelMap
from mdus.domain.end_device import SwitchState
from mdus.domain.event_map import EventMap
from mdus.domain.head_end import CommandResult, FieldEvent, RawDelivery, UnreadableLine
from mdus.headends.cim import elements, message
from mdus.headends.cim.end_device_events import EndDeviceEventsReader
from mdus.headends.cim.message import Message, Payload
from mdus.headends.cim.meter_readings import MeterReadingsReader, MeterTold
from mdus.headends.cim.names import Noun
from mdus.headends.cim.naming import serial_of
from mdus.headends.cim.options import CimOptions
from mdus.headends.cim.reasons import Reasons
from mdus.headends.cim.reply_codes import ReplyClass, ReplyError

PUSHED: Final = "cim"
TOLD: Final = "told"
ANSWERED: Final = "answer"
LAST_ANSWER: Final = "last-answer"

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

#: Our codes of failures after which a control was certainly not begun, whatever code came with the words.
_NOT_BEGUN: Final = frozenset({"NO_BREAKER", "NOT_PROVISIONED", "UNKNOWN_METER", "EXPIRED"})

#: What a reply says that something else comes after.
_WAITS: Final = frozenset({ReplyClass.ACKNOWLEDGED, ReplyClass.NEWS, ReplyClass.MORE_FOLLOWS})

#: A meter told to connect that waits for its button.
_ARMED: Final = "ARMED"

#: The last three parts of controls of a breaker, and where it stands after them.
_POSITIONS: Final = {"31.0.18": SwitchState.CONNECTED, "31.0.23": SwitchState.DISCONNECTED}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Named:
    """A meter of an answer, and the command's key where the answer returns it."""

    serial_id: str
    command_key: str | None = None
    succeeded_state: SwitchState | None = None  # where the breaker stands, if all went well
    told_state: SwitchState | None = None  # where it stands, as the answer says
    acted_at: datetime | None = None
    told: MeterTold | None = None


class Decoder:
    """Turns the deliveries of one head end into events."""

    def __init__(self, options: CimOptions, *, channels: ChannelMap, events: EventMap) -> None:
        self._options = options
        self._zone = options.zone_of_local_times
        self._readings = MeterReadingsReader(options, channels)
        self._events = EndDeviceEventsReader(options, events)
        self._reasons = Reasons(options)

    def __call__(self, raw: RawDelivery) -> Iterator[FieldEvent]:
        """Yield what a delivery tells. Raises ValueError for what is no message."""
        if raw.topic not in (PUSHED, TOLD, ANSWERED, LAST_ANSWER):
            raise ValueError(f"a head end of kind cim pushes nothing under the topic {raw.topic!r}")
        found = message.read(raw.body, zone=self._zone)
        # Of a reply given at once it is certain which call it answers, whatever it says itself. Of a push only its
        # own words count: a gateway in between puts an id of its own into the HTTP header of everything.
        is_known = raw.topic in (ANSWERED, LAST_ANSWER)
        correlation = raw.correlation if is_known else found.correlation
        if raw.topic == TOLD or not self._is_answer(found, correlation):
            return self._told(found, raw.received_at)
        return self._answer(found, correlation, raw.received_at, is_last=raw.topic != ANSWERED)

    def _is_answer(self, found: Message, correlation: str) -> bool:
        if not correlation or found.noun == Noun.END_DEVICE_EVENTS:
            return False
        # We name our calls by UUIDs: what is created under another name answers none of them.
        return found.is_reply or (self._options.created_answers and is_key(correlation))

    # ---- told unasked ------------------------------------------------------------------------------------------------

    def _told(self, found: Message, came_at: datetime | None) -> Iterator[FieldEvent]:
        if found.is_fault:
            raise ValueError(f"a fault: {_words(found.errors)}")
        for payload in found.payloads:
            match payload.noun:
                case Noun.METER_READINGS:
                    meters, mistakes = self._readings.read(payload.element, came_at=came_at)
                    for each in meters:
                        yield from each.readings
                        yield from each.intervals
                        yield from each.unmapped
                    yield from mistakes
                    yield from self._events_within(payload.element)
                case Noun.END_DEVICE_EVENTS:
                    yield from self._events.read(payload.element)
                case Noun.END_DEVICE_CONTROLS | Noun.METER_CONFIG | Noun.END_DEVICE_CONFIG:
                    pass  # news of what others ordered or entered: no value, no event
                case _:
                    yield _unknown(payload)

    def _events_within(self, readings: etree._Element) -> Iterator[FieldEvent]:
        """Yield the events that stand among the readings of meters."""
        for each in elements.children(readings, "MeterReading"):
            meter = elements.child(each, "Meter")
            serial = serial_of(meter, self._options) if meter is not None else None
            for event in elements.children(each, "EndDeviceEvents"):
                yield from self._events.event(event, serial_id=serial)

    # ---- answers -----------------------------------------------------------------------------------------------------

    def _answer(
        self, found: Message, correlation: str, came_at: datetime | None, *, is_last: bool
    ) -> Iterator[FieldEvent]:
        failures = [error for error in found.errors if error.is_failure]
        named: list[_Named] = []
        for payload in found.payloads:
            if payload.noun == Noun.END_DEVICE_EVENTS:
                yield from self._events.read(payload.element)
                continue
            if payload.noun == Noun.METER_READINGS:
                yield from self._events_within(payload.element)
            meters, beside = self._named(payload, came_at)
            named += meters
            yield from beside
        told_of: set[int] = set()  # the failures that are of a meter named in a payload
        is_taken = any(error.means is ReplyClass.ACKNOWLEDGED for error in found.errors)
        for each in named:
            error = self._failure_of(found, each, failures, told_of)
            if is_taken and error is None and each.told is None and each.told_state is None:
                continue  # it gives back what it was asked, and has done nothing of it yet
            yield self._result(found, each, correlation, error)
            yield from each.told.unmapped if each.told is not None else ()
        others = [error for number, error in enumerate(failures) if error.is_of_one and number not in told_of]
        for error in others:
            yield self._result(found, _of_error(error), correlation, error)
        if is_last and not named:
            yield from self._rest(found, correlation, has_failures=bool(others))

    def _rest(self, found: Message, correlation: str, *, has_failures: bool) -> Iterator[FieldEvent]:
        """Yield what a reply without a payload says of all that it does not name: nothing, where it is news or a part.

        Controls not named in the last PARTIAL (0.2) were done. Of meters that were read, parts may have told, so that
        only a reply about nobody is of them.
        """
        said = {error.means for error in found.errors}
        is_last = found.result != "PARTIAL" or ReplyClass.LAST_PART in said
        if found.result is None or not is_last or said & _WAITS:
            return
        of_all = next((each for each in found.errors if each.is_failure and not each.is_of_one), None)
        if found.noun in (Noun.METER_READINGS, Noun.END_DEVICE_CONFIG):
            if has_failures or found.result == "PARTIAL":
                return
            of_all = of_all or ReplyError(code="5.7", reason="no value was told")
        elif found.result == "FAILED" or (found.result == "PARTIAL" and not has_failures):
            of_all = of_all or ReplyError(code="", reason="it failed, and the head end does not say why")
        yield self._result(found, _Named(serial_id=""), correlation, of_all)

    @staticmethod
    def _failure_of(
        found: Message, named: _Named, failures: Sequence[ReplyError], told_of: set[int]
    ) -> ReplyError | None:
        """Return why something was not done with a meter, None where it was; notes which failures are the meter's."""
        own = [
            number
            for number, error in enumerate(failures)
            if named.serial_id in (error.serial_id, *error.names) or named.command_key in error.names
        ]
        told_of.update(own)
        of_all = next((error for error in failures if not error.is_of_one), None)
        if named.told is not None:
            if not named.told.is_empty:
                return None  # of a meter that was read, something beside what was told is missing
            unsaid = of_all or ReplyError(code="5.7", reason="no value was told")
        elif found.result == "FAILED":
            unsaid = of_all or ReplyError(code="", reason="it failed, and the head end does not say why")
        elif found.result == "PARTIAL" and of_all is not None and not any(error.is_of_one for error in failures):
            unsaid = of_all
        else:
            unsaid = None
        return failures[own[0]] if own else unsaid

    def _named(self, payload: Payload, came_at: datetime | None) -> tuple[list[_Named], Sequence[FieldEvent]]:
        """Return the meters a payload of an answer names, and what else it tells."""
        match payload.noun:
            case Noun.METER_READINGS:
                meters, mistakes = self._readings.read(payload.element, came_at=came_at)
                return [_Named(serial_id=each.serial_id, told=each) for each in meters], mistakes
            case Noun.END_DEVICE_CONTROLS:
                return list(self._controls(payload.element)), ()
            case Noun.METER_CONFIG | Noun.END_DEVICE_CONFIG:
                return list(self._meters(payload.element)), ()
            case _:
                return [], [_unknown(payload)]

    def _controls(self, payload: etree._Element) -> Iterator[_Named]:
        for each in elements.children(payload, "EndDeviceControl"):
            code = (elements.ref(each, "EndDeviceControlType") or "").split(".")
            interval = elements.child(each, "primaryDeviceTiming", "interval")
            key = elements.text(each, "mRID")
            for device in elements.children(each, "EndDevices"):
                serial = serial_of(device, self._options)
                if serial is not None:
                    yield _Named(
                        serial_id=serial,
                        command_key=key if key is not None and is_key(key) else None,
                        succeeded_state=_POSITIONS.get(".".join(code[-3:])),
                        told_state=self._told_state(each),
                        acted_at=elements.earliest(interval, "start", zone=self._zone),
                    )

    def _told_state(self, control: etree._Element) -> SwitchState | None:
        told = {
            elements.text(each, "name"): (elements.text(each, "value") or "").lower()
            for each in elements.children(control, "EndDeviceControlAttribute")
        }
        return self._options.position(told.get(self._options.state_attribute, ""))

    def _meters(self, payload: etree._Element) -> Iterator[_Named]:
        for each in payload:
            serial = serial_of(each, self._options)
            if serial is not None:
                yield _Named(serial_id=serial, told_state=switch_state_of(each))

    def _result(self, found: Message, named: _Named, correlation: str, error: ReplyError | None) -> CommandResult:
        told = named.told
        more_follows = any(each.means is ReplyClass.MORE_FOLLOWS for each in found.errors)
        position = named.told_state if told is None else told.switch_state
        code = None if error is None else self._reasons.code_of(error)
        if code == _ARMED:
            position = position or SwitchState.DISCONNECTED
        elif error is None:
            position = position or named.succeeded_state
        # Whoever says where the breaker stands leaves no doubt of it.
        is_clear = error is None or position is not None or code in _NOT_BEGUN
        return CommandResult(
            command_key=named.command_key,
            correlation=correlation,
            token=None,
            serial_id=named.serial_id,
            succeeded=error is None,
            code=code,
            text=None if error is None else error.words,
            acted_at=(told.newest_at if told is not None else named.acted_at) or found.at,
            readings=tuple(told.readings) if told is not None else (),
            intervals=tuple(told.intervals) if told is not None else (),
            switch_state=position,
            uncertain=error is not None and error.leaves_doubt and not is_clear,
            # Of a meter that is read in parts more may follow; a control is done or it is not.
            is_final=not (more_follows and told is not None and error is None and self._options.parts == "of_meter"),
        )


def is_key(name: str) -> bool:
    """Tell whether a name may be the key of a command, or the id of a call, of ours."""
    return _UUID.fullmatch(name) is not None


def switch_state_of(meter: etree._Element) -> SwitchState | None:
    """Return where a Meter or EndDevice says that its breaker stands, None where it says nothing."""
    is_connected = elements.text(meter, "ConnectDisconnectFunction", "isConnected")
    if is_connected is None:
        return None
    return SwitchState.CONNECTED if is_connected.lower() in ("true", "1") else SwitchState.DISCONNECTED


def _of_error(error: ReplyError) -> _Named:
    """Return the meter an error is about; a control is named by the key we gave it."""
    key = next(filter(is_key, error.names), None)
    serial = error.serial_id or next((name for name in error.names if name != key), None)
    return _Named(serial_id=serial or key or "", command_key=key if serial is not None else None)


def _unknown(payload: Payload) -> UnreadableLine:
    reason = f"nothing is known of {payload.verb} {payload.noun}"
    return UnreadableLine(line=elements.line(payload.element), reason=reason)


def _words(errors: Sequence[ReplyError]) -> str:
    return "; ".join(error.words for error in errors)
