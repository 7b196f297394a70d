"""Speaks to a head end of kind `cim`: commands become requests, and replies given at once say what became of them.

```
READ_ON_DEMAND, PING              get MeterReadings
READ_REGISTERS, READ_INTERVALS    get MeterReadings from StartTime to EndTime
SWITCH_STATE                      get EndDeviceConfig, or MeterReadings of the relay
SWITCH, LIMIT_DEMAND ...          create EndDeviceControls
PROVISION                         create MeterConfig
```

Results are replies at callback_url/cim, or stand in the reply given at once.

A reply of one word for all (FAILED, without naming a meter) is read by its codes (`reply_codes`). What names meters is
taken in like anything pushed, but for those whose commands were certainly not begun: they are rejected.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from lxml import etree

from mdus.domain.capability import Capability
from mdus.domain.channel_map import ChannelKind, ChannelMap
from mdus.domain.channel_name import Mrid
from mdus.domain.command import Command, CommandKind
from mdus.domain.event_map import EventMap
from mdus.domain.head_end import (
    Batch,
    Decode,
    FieldMeter,
    HeadEndKind,
    RawDelivery,
    Rejection,
    SilentHeadEnd,
    Submission,
    options_of,
)
from mdus.headends.cim import callbacks, elements, request_writing
from mdus.headends.cim.decoding import ANSWERED, LAST_ANSWER, TOLD, Decoder, is_key, switch_state_of
from mdus.headends.cim.message import Message
from mdus.headends.cim.names import Names, Noun
from mdus.headends.cim.naming import device_of, serial_of
from mdus.headends.cim.options import CimOptions
from mdus.headends.cim.payload_writing import OF_INTERVALS, OF_REGISTERS, SERVED, PayloadWriter
from mdus.headends.cim.reasons import Reasons
from mdus.headends.cim.reply_codes import HARMLESS, ReplyClass, ReplyError
from mdus.headends.cim.request_writing import CREATE, GET, Request
from mdus.headends.cim.transport import Answered, Transport
from mdus.messaging.retry import TransientError, UncertainError
from mdus.settings import HeadEnd as Row
from mdus.settings import Settings

_CONTROLS: Final = frozenset(
    {
        CommandKind.SWITCH,
        CommandKind.LIMIT_DEMAND,
        CommandKind.CONTROL_LOAD,
        CommandKind.SET_TIME,
        CommandKind.SHOW_TEXT,
    }
)

#: Classes of a failure after which a command was certainly not begun.
_NOT_BEGUN: Final = frozenset({ReplyClass.REFUSED, ReplyClass.TOO_MANY, ReplyClass.LATER, ReplyClass.CALLED_OFF})

#: What is never sent again, or refused, while an error says that a part of it may have been done.
_LASTING: Final = frozenset({CommandKind.SWITCH, CommandKind.LIMIT_DEMAND})

_GONE: Final = "the device is not known any more"

#: Words of a meter's status that say it is known and not served.
_NOT_SERVED: Final = frozenset({"unprovisioned", "inactive", "removed", "retired", "in stock"})


class CimHeadEnd(SilentHeadEnd):
    """One head end of kind `cim`; may be used by several threads at once."""

    def __init__(
        self, row: Row, *, channels: ChannelMap, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.name = row.name
        self.batch_size = row.devices_per_call
        self._options = options_of(row, CimOptions)
        self._names = Names(self._options.namespaces)
        self._channels = channels
        self._payloads = PayloadWriter(self._names, self._options, channels)
        self._reasons = Reasons(self._options)
        self._reply_address = f"{row.callback_url.rstrip('/')}/cim" if row.callback_url is not None else None
        self._zone = self._options.zone_of_local_times
        self._transport = Transport(row, path=self._options.path, zone=self._zone)
        self._now = now
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    # ---- commands ----------------------------------------------------------------------------------------------------

    def submit(self, batch: Batch) -> Submission:
        """Give the batch to the head end: one message, of stored values one per period.

        A meter to be provisioned without a register, or with one no ReadingType is known for, is rejected here.
        """
        rejections = self._refused_here(batch)
        named = {rejection.command_key for rejection in rejections}
        sent = [command for command in batch.commands if command.command_key not in named]
        token, deliveries = batch.correlation, []
        for request, commands in self._requests(batch, sent):
            answered = self._post(request)
            if answered.message is None:
                continue
            refused, delivery = self._settled(batch, commands, answered, answered.message)
            token = answered.message.message_id or token
            rejections += refused
            deliveries += delivery
        return Submission(
            token="" if len(rejections) == len(batch.commands) else token,
            rejections=tuple(rejections),
            deliveries=tuple(deliveries),
        )

    def _refused_here(self, batch: Batch) -> list[Rejection]:
        if batch.kind is not CommandKind.PROVISION:
            return []
        refused = []
        for command in batch.commands:
            key = (command.sender_system, command.device_id)
            registers = batch.registers.get(key, ())
            at = self._leaves(batch)
            reason = self._payloads.cannot_provision(registers, at=at) if key in batch.devices else _GONE
            if reason is not None:
                refused.append(Rejection(command_key=command.command_key, code="NOT_PROVISIONABLE", text=reason))
        return refused

    def _requests(self, batch: Batch, sent: Sequence[Command]) -> Iterator[tuple[Request, Sequence[Command]]]:
        if not sent:
            return
        kind, serials = batch.kind, [command.serial_id for command in sent]
        if kind in _CONTROLS:
            yield self._request(batch, CREATE, Noun.END_DEVICE_CONTROLS, self._payloads.controls(sent)), sent
        elif kind is CommandKind.PROVISION:
            of = [(command.sender_system, command.device_id) for command in sent]
            devices = [(batch.devices[key], batch.registers.get(key, ())) for key in of]
            element = self._payloads.meter_config(sent, devices, at=self._leaves(batch))
            yield self._request(batch, self._options.provision_verb, Noun.METER_CONFIG, element), sent
        elif kind is CommandKind.SWITCH_STATE and self._options.switch_state_by == Noun.END_DEVICE_CONFIG:
            element = self._payloads.of_meters_wanted(Noun.END_DEVICE_CONFIG, serials)
            yield self._request(batch, GET, Noun.END_DEVICE_CONFIG, element), sent
        elif kind is CommandKind.SWITCH_STATE:
            element = self._payloads.readings_wanted(serials, mrids=[self._options.relay_reading_type])
            yield self._request(batch, GET, Noun.METER_READINGS, element), sent
        elif kind in (CommandKind.READ_ON_DEMAND, CommandKind.PING):
            at = self._leaves(batch)
            mrids = self._channels.mrids(OF_REGISTERS, period_from=at, period_to=at)
            element = self._payloads.readings_wanted(serials, mrids=mrids)
            yield self._request(batch, GET, Noun.METER_READINGS, element), sent
        else:
            yield from self._stored(batch, sent)

    def _stored(self, batch: Batch, sent: Sequence[Command]) -> Iterator[tuple[Request, Sequence[Command]]]:
        """Yield a question per period: a message has one, and stored values may be read twice without harm."""
        kinds = OF_REGISTERS if batch.kind is CommandKind.READ_REGISTERS else OF_INTERVALS
        periods: dict[tuple[datetime, datetime], list[Command]] = {}
        for command in sent:
            if command.period_from is None or command.period_to is None:
                raise ValueError(f"the command {command.command_key} reads values of no period")
            periods.setdefault((command.period_from, command.period_to), []).append(command)
        for (period_from, period_to), commands in periods.items():
            mrids = self._channels.mrids(kinds, period_from=period_from, period_to=period_to)
            element = self._payloads.readings_wanted([command.serial_id for command in commands], mrids=mrids)
            request = self._request(
                batch, GET, Noun.METER_READINGS, element, period_from=period_from, period_to=period_to
            )
            yield request, commands

    def _request(
        self,
        batch: Batch,
        verb: str,
        noun: Noun,
        element: etree._Element,
        *,
        period_from: datetime | None = None,
        period_to: datetime | None = None,
    ) -> Request:
        return Request(
            verb=verb,
            noun=noun,
            element=element,
            correlation=batch.correlation,
            period_from=period_from,
            period_to=period_to,
            reply_address=self._reply_address,
        )

    def _leaves(self, batch: Batch) -> datetime:
        """Return when a batch leaves: names of channels are those of that instant."""
        return batch.at or self._now()

    def _post(self, request: Request) -> Answered:
        body = request_writing.write(
            request, names=self._names, style=self._options.style, source=self._options.source, now=self._now()
        )
        action = self._names.action(self._options.style, verb=request.verb, noun=request.noun)
        return self._transport.post(body, action=action)

    # ---- replies given at once ---------------------------------------------------------------------------------------

    def _settled(
        self, batch: Batch, commands: Sequence[Command], answered: Answered, found: Message
    ) -> tuple[list[Rejection], list[RawDelivery]]:
        """Return what a reply given at once rejects, and what of it is to be taken in as results."""
        by_name = {name: each for each in commands for name in (each.serial_id, each.command_key)}
        rejections: dict[str, Rejection] = {}
        of_all: list[ReplyError] = []
        has_results = any(len(payload.element) for payload in found.payloads)
        for error in found.errors:
            about = [by_name[name] for name in (error.serial_id, *error.names) if name in by_name]
            if not error.is_failure:
                continue
            if not about:
                of_all.append(error)
            elif error.means in _NOT_BEGUN and not (error.leaves_doubt and batch.kind in _CONTROLS):
                rejections.setdefault(about[0].command_key, self._rejection(about[0], error))
            else:
                has_results = True
        unsettled = [command for command in commands if command.command_key not in rejections]
        if found.result == "FAILED" and (of_all or not (rejections or has_results)):
            doubtful = [error for error in found.errors if error.is_failure and error.leaves_doubt]
            if doubtful and batch.kind in _LASTING:
                raise UncertainError(f"{self.name} may have begun it: {_words(doubtful)}")
            return [*rejections.values(), *self._failed(batch, unsettled, of_all)], []
        is_over = found.result == "FAILED" or self._is_over(found)
        if not unsettled or not (has_results or is_over):
            return list(rejections.values()), []
        topic = LAST_ANSWER if is_over else ANSWERED
        return list(rejections.values()), [RawDelivery(topic=topic, correlation=batch.correlation, body=answered.body)]

    def _is_over(self, found: Message) -> bool:
        """Tell whether nothing comes after a reply: it may only where we have no address for more."""
        waits = (ReplyClass.ACKNOWLEDGED, ReplyClass.MORE_FOLLOWS)
        return self._reply_address is None and not any(error.means in waits for error in found.errors)

    def _failed(self, batch: Batch, commands: Sequence[Command], errors: Sequence[ReplyError]) -> list[Rejection]:
        """Say what a message that failed as a whole means: another time, the state is read, or never."""
        words = _words(errors) or "it failed, and the head end does not say why"
        if not errors and batch.kind in _LASTING:
            raise UncertainError(f"{self.name} may have begun it: {words}")
        if any(error.means is ReplyClass.TOO_MANY for error in errors) and len(commands) > 1:
            self._send_fewer(len(commands))
            raise TransientError(f"{self.name} takes fewer in a message, {self.batch_size} from now on: {words}")
        if any(error.means is ReplyClass.LATER for error in errors):
            raise TransientError(f"{self.name} takes nothing now: {words}")
        first = errors[0] if errors else ReplyError(code="", reason=words)
        return [self._rejection(command, first, words) for command in commands]

    def _send_fewer(self, refused: int) -> None:
        with self._lock:
            self.batch_size = min(self.batch_size, max(refused // 2, 1))

    def _rejection(self, command: Command, error: ReplyError, words: str | None = None) -> Rejection:
        return Rejection(command_key=command.command_key, code=self._reasons.code_of(error), text=words or error.words)

    def find(self, correlation: str) -> Submission | None:
        """Ask what became of a call whose answer was lost, where the head end knows calls by our id."""
        if not self._options.finds_calls:
            return None
        element = self._payloads.of_meters_wanted(Noun.END_DEVICE_CONTROLS, ())
        found = self._question(Noun.END_DEVICE_CONTROLS, element, ids=(correlation,)).message
        if found is None:
            return None
        return Submission(
            token=found.message_id or correlation,
            rejections=tuple(
                Rejection(command_key=name, code=self._reasons.code_of(error), text=error.words)
                for error in found.errors
                if error.is_failure and error.means in _NOT_BEGUN
                for name in error.names
                if is_key(name)
            ),
        )

    # ---- questions about all meters ----------------------------------------------------------------------------------

    def snapshots(self, *, period_from: datetime, period_to: datetime) -> Iterator[RawDelivery]:
        """Ask for the register values of all meters, a few hours of the period at a time."""
        return self._asked("snapshots", OF_REGISTERS, period_from, period_to)

    def intervals(self, *, period_from: datetime, period_to: datetime) -> Iterator[RawDelivery]:
        """Ask for the interval values of all meters, a few hours of the period at a time."""
        return self._asked("intervals", OF_INTERVALS, period_from, period_to)

    def events(self, *, period_from: datetime, period_to: datetime) -> Iterator[RawDelivery]:
        """Ask for the events of all meters."""
        if "events" in self._options.asks_for:
            element = self._payloads.of_meters_wanted(Noun.END_DEVICE_EVENTS, ())
            yield from self._told(Noun.END_DEVICE_EVENTS, element, period_from, period_to)

    def meters(self) -> Iterator[FieldMeter]:
        """Ask for the head end's registry."""
        if "meters" not in self._options.asks_for:
            return
        element = self._payloads.of_meters_wanted(Noun.METER_CONFIG, ())
        answered = self._question(Noun.METER_CONFIG, element)
        for payload in answered.message.payloads if answered.message is not None else ():
            for each in payload.element:
                serial = serial_of(each, self._options)
                if serial is not None:
                    yield self._meter(each, serial)

    def _asked(
        self, what: str, kinds: frozenset[ChannelKind], period_from: datetime, period_to: datetime
    ) -> Iterator[RawDelivery]:
        if what not in self._options.asks_for:
            return
        step = timedelta(hours=self._options.hours_per_question)
        begin = period_from
        while begin < period_to:
            end = min(begin + step, period_to)
            mrids = self._channels.mrids(kinds, period_from=begin, period_to=end)
            element = self._payloads.readings_wanted((), mrids=mrids)
            yield from self._told(Noun.METER_READINGS, element, begin, end)
            begin = end

    def _told(
        self, noun: Noun, element: etree._Element, period_from: datetime, period_to: datetime
    ) -> Iterator[RawDelivery]:
        answered = self._question(noun, element, period_from=period_from, period_to=period_to)
        if answered.message is not None and any(len(payload.element) for payload in answered.message.payloads):
            yield RawDelivery(topic=TOLD, correlation="", body=answered.body)

    def _question(
        self,
        noun: Noun,
        element: etree._Element,
        *,
        period_from: datetime | None = None,
        period_to: datetime | None = None,
        ids: tuple[str, ...] = (),
    ) -> Answered:
        """Ask something that is nobody's command; whatever goes wrong, it may be asked again.

        What there is nothing of, or no request with these ids, is answered by no message.
        """
        request = Request(
            verb=GET,
            noun=noun,
            element=element,
            correlation=request_writing.new_id(),
            period_from=period_from,
            period_to=period_to,
            ids=ids,
        )
        try:
            answered = self._post(request)
        except UncertainError as error:
            raise TransientError(str(error)) from error
        found = answered.message
        failures = [each for each in found.errors if each.means not in HARMLESS] if found is not None else []
        if found is not None and found.result == "FAILED":
            nothing = ReplyClass.REFUSED if ids else ReplyClass.NO_DATA
            if failures and all(error.means is nothing for error in failures):
                return Answered(answered.body, None)
            raise TransientError(f"{self.name} does not tell: {'; '.join(each.words for each in failures)}")
        return answered

    def _meter(self, element: etree._Element, serial: str) -> FieldMeter:
        function = elements.child(element, "SimpleEndDeviceFunction")
        registers = elements.children(function, "Registers") if function is not None else ()
        mrids = [elements.ref(each, "Channels", "ReadingType") or "" for each in registers]
        known = [self._channels.find(Mrid(mrid), at=self._now()) for mrid in mrids]
        names = tuple(channel.reading_type for channel in known if channel is not None and channel.kind in SERVED)
        status = (elements.text(element, "status", "value") or "").lower()
        factor = _factor(element)
        heard_at = elements.earliest(element, "status", "dateTime", zone=self._zone)
        return FieldMeter(
            serial_id=serial,
            device_id=device_of(element, self._options),
            provisioned=status not in _NOT_SERVED,
            reading_types=names,
            first_heard_at=heard_at,
            last_heard_at=heard_at,
            switch_state=switch_state_of(element),
            has_breaker=elements.child(element, "ConnectDisconnectFunction") is not None,
            factors=tuple((name, factor) for name in names if factor is not None),
        )


def _words(errors: Sequence[ReplyError]) -> str:
    return "; ".join(error.words for error in errors)


def _factor(meter: etree._Element) -> Decimal | None:
    """Return the multiplier of a meter, None where it tells none that is a number."""
    try:
        told = elements.text(meter, "MeterMultipliers", "value")
        return None if told is None else elements.number(told)
    except ValueError:
        return None


def _decoder(settings: Settings, row: Row) -> Decode:
    return Decoder(
        options_of(row, CimOptions),
        channels=ChannelMap.of(settings, head_end=row),
        events=EventMap.of(settings, head_end=row),
    )


def connect(settings: Settings, row: Row) -> CimHeadEnd:
    """Return the head end that a row of config/head_ends.toml describes; nothing is called yet."""
    return CimHeadEnd(row, channels=ChannelMap.of(settings, head_end=row))


HEAD_END = HeadEndKind(
    name="cim",
    capabilities=frozenset(CommandKind),
    connect=connect,
    decoder=_decoder,
    options=CimOptions,
    tells=frozenset({Capability.REMOTE_READING, Capability.LOAD_PROFILE, Capability.EVENTS, Capability.TEXT}),
    callbacks=callbacks.CALLBACKS,
)
