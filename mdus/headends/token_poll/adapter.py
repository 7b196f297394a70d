"""Speaks to a head end of kind `token_poll`: a request gives a token, a callback says when to fetch its result.

```
submit   --DisconnectMeter--------------> RequestToken                       Submission("DisconnectMeter/<token>")
         <--RequestStatusChanged--------  POST <callback_url>/status         ResultsReady("DisconnectMeter/<token>")
results  --GetDisconnectMeterResult-----> what became of each meter so far   RawDelivery("results")
probe    --Retrieve..., SubscribeTo...--> nothing is pushed that is not subscribed to
```
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Final

import structlog
from lxml import etree

from mdus.contracts.envelope import BODY, ENVELOPE, SOAP
from mdus.contracts.printable import printable
from mdus.domain.capability import Capability
from mdus.domain.channel_map import ChannelMap
from mdus.domain.command import Command, CommandKind
from mdus.domain.head_end import (
    Answer,
    Batch,
    Callbacks,
    HeadEndKind,
    Probe,
    RawDelivery,
    Rejection,
    SilentHeadEnd,
    Submission,
    options_of,
)
from mdus.domain.unit import Units
from mdus.headends.token_poll import codec, requests, values
from mdus.headends.token_poll.actions import OF_COMMANDS, OPERATIONS, WITH_TOKEN, Operation, Options
from mdus.headends.token_poll.calls import Calls, Refused
from mdus.headends.token_poll.meter_id import NotAddressable
from mdus.headends.token_poll.subscriptions import Subscriptions
from mdus.messaging.retry import TransientError, UncertainError
from mdus.settings import HeadEnd as Row
from mdus.settings import Settings

log = structlog.get_logger(__name__)

#: Seconds between two looks for the voltage behind breakers.
_LOOK_AGAIN: Final = 0.5

_NO_UNITS: Final = Units()


class TokenPollHeadEnd(SilentHeadEnd):
    """One head end of kind `token_poll`; may be used by several threads at once.

    `channels` and `units` say what they are called there. `monotonic` and `pause` are the real time that is waited for
    what comes before a request: a session, the voltage behind a breaker.
    """

    def __init__(
        self,
        row: Row,
        *,
        channels: ChannelMap,
        units: Units = _NO_UNITS,
        monotonic: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = row.name
        self.batch_size = row.devices_per_call
        self._options = options_of(row, Options)
        self._channels = channels
        self._units = units
        self._callback_url = row.callback_url
        self._patience = row.timeout_seconds
        self._calls = Calls(row, self._options, monotonic=monotonic)
        self._subscriptions = Subscriptions(self._calls, self._options, callback_url=row.callback_url)
        self._monotonic = monotonic
        self._pause = pause

    def submit(self, batch: Batch) -> Submission:
        """Ask for the batch in one request.

        Rejected here is what the head end could not be asked for: a serial number it could not give back, a meter to be
        provisioned without registers of one market, and switches to another state than the first one's (BUSY: they are
        ordered again).

        The request leaves within half the time of an answer, or not at all: the call as a whole has to end before its
        lease does, lest a breaker move of which its order is told already that nobody knows.
        """
        leaves_by = self._monotonic() + self._patience / 2
        refused = [*self._refused_here(batch)]
        named = {rejection.command_key for rejection in refused}
        sent = [command for command in batch.commands if command.command_key not in named]
        if not sent:
            return Submission(token="", rejections=tuple(refused))
        operation = codec.operation_of(batch.kind, sent[0].wanted_state)
        if operation is None:
            raise ValueError(f"a head end of kind token_poll cannot be asked for {batch.kind.value}")
        if operation is Operation.RECONNECT and self._options.load_side_voltage == "blocks":
            live = self._live(sent, batch, leaves_by)
            refused += live
            named = {rejection.command_key for rejection in live}
            sent = [command for command in sent if command.command_key not in named]
            if not sent:
                return Submission(token="", rejections=tuple(refused))
        taken = self._ask_for(sent, batch, operation, callback_url=self._callback_url, leaves_by=leaves_by)
        return Submission(token=taken.token, rejections=(*refused, *taken.rejections))

    def find(self, correlation: str) -> Submission | None:
        """Look for the request of a call whose answer was lost, where the head end can be asked so.

        One that is no command's says nothing of the call: it may have been left before the command was sent.
        """
        if not self._options.finds_requests:
            return None
        body = requests.look_for(correlation, options=self._options)
        found = self._calls.ask(Operation.FIND_REQUEST, Operation.FIND_REQUEST.action, body).message
        token, operation = (found.findtext(f"{{*}}{name}") or "" for name in ("RequestToken", "Operation"))
        if not token:
            return None
        if operation not in OF_COMMANDS:
            log.warning("request_of_no_command", head_end=self.name, correlation=correlation, operation=operation)
            return None
        return Submission(token=codec.token_of(operation, token))

    def results(self, token: str) -> Iterable[RawDelivery]:
        """Fetch what is known so far of a request."""
        operation, _, told = token.partition("/")
        if operation not in WITH_TOKEN:
            log.warning("token_of_no_operation", head_end=self.name, token=token)
            return []
        body = requests.fetch(told, operation=WITH_TOKEN[operation], options=self._options)
        answer = self._calls.ask(WITH_TOKEN[operation], WITH_TOKEN[operation].result, body)
        return [RawDelivery(topic="results", correlation=token, body=answer.body)]

    def probe(self) -> Probe:
        """Make the subscriptions that are missing: without them nothing is pushed, and nobody says that one is lost."""
        if not self._options.subscribes:
            return Probe(text="its subscriptions are made by others")
        again_after = timedelta(minutes=self._options.subscriptions_checked_minutes)
        renewed = self._subscriptions.renewed()
        return Probe(text=renewed.text, again_after=again_after, subscription=renewed.of_data)

    def reach(self) -> None:
        """List our subscriptions, and leave them as they are."""
        self._subscriptions.there()

    def close(self) -> None:
        """Close all connections."""
        self._calls.close()

    # ---- one request -------------------------------------------------------------------------------------------------

    def _ask_for(
        self,
        commands: Sequence[Command],
        batch: Batch,
        operation: Operation,
        *,
        callback_url: str | None,
        leaves_by: float,
    ) -> Submission:
        body = requests.request(
            commands,
            batch,
            operation=operation,
            options=self._options,
            callback_url=callback_url,
            name_of=partial(values.told_as, channels=self._channels, at=batch.at),
            unit_of=self._units.text_of,
        )
        try:
            answer = self._calls.act(operation, body, leaves_by=leaves_by).message
        except Refused as error:
            return Submission(
                token="",
                rejections=tuple(
                    Rejection(command_key=each.command_key, code="BATCH_REFUSED", text=str(error)) for each in commands
                ),
            )
        token = (answer.findtext("{*}RequestToken") or "").strip()
        rejections = self._rejections(answer, commands)
        if not token and len(rejections) < len(commands):
            raise UncertainError(f"{self.name} accepted {operation.action}, but its answer has no RequestToken")
        return Submission(token=codec.token_of(operation.action, token) if token else "", rejections=rejections)

    def _rejections(self, answer: etree._Element, commands: Sequence[Command]) -> tuple[Rejection, ...]:
        keys = {self._options.meter_ids.of(command.serial_id): command.command_key for command in commands}
        found = []
        for rejected in answer.iterfind("{*}Rejected/{*}Endpoint"):
            meter_id, code, text = (
                printable((rejected.findtext(f"{{*}}{name}") or "").strip())
                for name in ("ElectronicSerialNumber", "Code", "Text")
            )
            if meter_id not in keys:
                log.warning("rejection_of_another_meter", head_end=self.name, meter=meter_id, code=code)
                continue
            found.append(Rejection(command_key=keys[meter_id], code=self._options.code(code or "Rejected"), text=text))
        return tuple(found)

    def _refused_here(self, batch: Batch) -> Iterable[Rejection]:
        first = batch.commands[0].wanted_state
        for command in batch.commands:
            key = (command.sender_system, command.device_id)
            code, reason = "NOT_PROVISIONABLE", None
            if batch.kind is CommandKind.PROVISION:
                known = key in batch.devices
                reason = "the device is not known any more"
                reason = requests.can_provision(batch.registers.get(key, ())) if known else reason
            elif batch.kind is CommandKind.SWITCH and command.wanted_state is not first:
                code, reason = "BUSY", "it was asked for switches to the other state at the same time"
            try:
                self._options.meter_ids.of(command.serial_id)
            except NotAddressable as error:
                code, reason = "NOT_ADDRESSABLE", str(error)
            if reason is not None:
                yield Rejection(command_key=command.command_key, code=code, text=reason)

    # ---- the voltage behind a breaker --------------------------------------------------------------------------------

    def _live(self, commands: Sequence[Command], batch: Batch, leaves_by: float) -> list[Rejection]:
        """Return the commands that may not close their breaker: there is voltage behind it, or nobody knows in time."""
        taken = self._ask_for_voltage(commands, batch, leaves_by)
        refused = {rejection.command_key: rejection for rejection in taken.rejections}
        asked = {each.serial_id: each for each in commands if each.command_key not in refused}
        found: dict[str, Rejection | None] = {}
        while asked.keys() - found.keys():
            found |= self._voltages(taken.token, asked)
            if not asked.keys() - found.keys() or self._monotonic() >= leaves_by:
                break
            self._pause(_LOOK_AGAIN)
        is_late = self._monotonic() > leaves_by
        for serial, command in asked.items():
            unknown = _busy(command, "whether there is voltage behind its breaker was not told in time")
            rejection = found.get(serial, unknown)
            if rejection is None and is_late:
                rejection = unknown
            if rejection is not None:
                refused[command.command_key] = rejection
        return list(refused.values())

    def _ask_for_voltage(self, commands: Sequence[Command], batch: Batch, leaves_by: float) -> Submission:
        """Ask for the voltage; that does nothing to a meter, so whatever goes wrong is to be tried again.

        It has a reference of its own and is told nowhere: under that of the call, what is found would be taken for what
        became of the switch. A new one each time, lest an answer of before be found again.
        """
        look = replace(batch, correlation=str(uuid.uuid4()))
        try:
            return self._ask_for(commands, look, Operation.DETECT_VOLTAGE, callback_url=None, leaves_by=leaves_by)
        except UncertainError as error:
            raise TransientError(f"no voltage is told: {error}") from error

    def _voltages(self, token: str, asked: dict[str, Command]) -> dict[str, Rejection | None]:
        """Return what is known of the meters so far: a rejection, or None where the breaker may close."""
        found: dict[str, Rejection | None] = {}
        for told in self.results(token):
            for serial, is_live in self._voltages_in(told):
                if serial in asked:
                    command = asked[serial]
                    found[serial] = _voltage(command) if is_live else None
                    if is_live is None:
                        found[serial] = _busy(command, "the meter did not tell whether there is voltage")
        return found

    def _voltages_in(self, told: RawDelivery) -> list[tuple[str, bool | None]]:
        try:
            return list(codec.voltages(told.body, self._options.meter_ids))
        except ValueError as error:
            raise TransientError(f"what {self.name} tells of the voltage is unreadable: {error}") from error


def _voltage(command: Command) -> Rejection:
    text = "there is voltage behind the breaker: if that is open, closing it would join two sources"
    return Rejection(command_key=command.command_key, code="LOAD_SIDE_VOLTAGE", text=text)


def _busy(command: Command, text: str) -> Rejection:
    return Rejection(command_key=command.command_key, code="BUSY", text=text)


def connect(settings: Settings, row: Row) -> TokenPollHeadEnd:
    """Return the head end that a row of config/head_ends.toml describes; nothing is called yet."""
    return TokenPollHeadEnd(row, channels=ChannelMap.of(settings, head_end=row), units=Units.of(settings))


# ---- what its pushes are answered ------------------------------------------------------------------------------------

_REFERENCE: Final = re.compile(rb"<(?:\w+:)?(?:CallerReference|RequestToken)>\s*([0-9A-Za-z-]{1,64})\s*<")
_BEGINNING: Final = 4096

#: The names of pushes, by their topic.
PUSHES: Final = {"status": "RequestStatusChanged", "data": "DataArrived", "exceptions": "MeterExceptionsArrived"}


def _correlation(body: bytes) -> str:
    """Return the call that a push names near its beginning: by our reference, or by the token."""
    found = _REFERENCE.search(body, 0, _BEGINNING)
    return found.group(1).decode() if found else ""


def _answer(topic: str, body: bytes) -> Answer:
    del body
    name = f"{PUSHES.get(topic, 'Push')}Response"
    content = f'<soap:Envelope xmlns:soap="{SOAP}"><soap:Body><{name}/></soap:Body></soap:Envelope>'
    return Answer(status=200, media_type="text/xml", content=content.encode())


def _refuse(topic: str, reason: str) -> Answer:
    del topic
    envelope = etree.Element(ENVELOPE, nsmap={"soap": SOAP})
    fault = etree.SubElement(etree.SubElement(envelope, BODY), f"{{{SOAP}}}Fault")
    etree.SubElement(fault, "faultcode").text = "soap:Client"
    etree.SubElement(fault, "faultstring").text = printable(reason)
    return Answer(status=401, media_type="text/xml", content=etree.tostring(envelope, encoding="UTF-8"))


HEAD_END = HeadEndKind(
    name="token_poll",
    capabilities=frozenset({*OPERATIONS, CommandKind.SWITCH}),
    connect=connect,
    decoder=codec.decoder,
    options=Options,
    tells=frozenset({Capability.REMOTE_READING, Capability.LOAD_PROFILE, Capability.EVENTS}),
    keeps_records=False,
    callbacks=Callbacks(correlation=_correlation, answer=_answer, refuse=_refuse),
)
