"""Speaks to a head end of kind `multispeak`: SOAP 1.1 over HTTP. What a broken call means is decided here, once.

```
not connected, 401, 403, 404, 408, 429, 503      nothing was done          -> TransientError
a fault or error that says login or overload     nothing was done          -> TransientError
sent, but no answer; an empty one, one too       it may have been done     -> UncertainError
large, HTML, another message; a fault of the
server; other 5xx
a fault of the request; 400, 413, 422 ...        this batch never passes   -> every command rejected, with the reason
an error of overload that names none of several  some may have been done   -> UncertainError
meters that are to be switched
a list of errors                                 those meters are rejected -> Submission
```

What is only read is asked for again, whatever was wrong with the answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Final

import httpx
import structlog

from mdus.contracts.printable import printable
from mdus.domain.capability import Capability
from mdus.domain.command import Command, CommandKind
from mdus.domain.head_end import (
    Batch,
    FieldMeter,
    HeadEndKind,
    Probe,
    RawDelivery,
    Rejection,
    SilentHeadEnd,
    Submission,
    options_of,
)
from mdus.headends._http import call
from mdus.headends._trust import trust, unreachable
from mdus.headends.multispeak import answers, soap
from mdus.headends.multispeak.callbacks import CALLBACKS, header_of
from mdus.headends.multispeak.decoding import decoder
from mdus.headends.multispeak.options import LOGIN_REFUSED, NOT_NOW, REJECTED_UNKNOWN, Errors, Options
from mdus.headends.multispeak.requests import Request, Writer, needed
from mdus.headends.multispeak.soap import NAMESPACES, Node, Received
from mdus.messaging.retry import TransientError, UncertainError
from mdus.settings import HeadEnd as Row
from mdus.settings import Settings

log = structlog.get_logger(__name__)

#: Seconds to reach the head end at all; for the answer the row's `timeout_seconds` counts.
_CONNECT_SECONDS: Final = 5.0

#: Answers by which the head end says that it did nothing, and that another time it might.
_NOT_NOW: Final = frozenset({401, 403, 404, 405, 408, 429, 503})

#: Failures of the transport before anything was sent.
_NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)

#: The most meters a call may name; more than head ends of this kind are known to take.
_BATCH: Final = 500

#: Pages after which an answer that never ends is given up.
_PAGES: Final = 10_000

_NOT_OFFERED: Final = frozenset({CommandKind.SET_TIME, CommandKind.SHOW_TEXT})

_TOO_LATE: Final = "it was not sent: the head end took too long for what was sent before"

#: Makes the call for the page behind a cursor, empty for the first.
PageFrom = Callable[[str], Request]


class _BatchRefused(Exception):
    """The head end will never take this call, whenever it is made."""

    def __init__(self, text: str, *, code: str = "BATCH_REFUSED") -> None:
        super().__init__(text)
        self.code = code


class MultiSpeakHeadEnd(SilentHeadEnd):
    """One head end of kind `multispeak`; may be used by several threads at once.

    `monotonic` is the clock by which a part of a batch may have become too late to be sent.
    """

    def __init__(self, row: Row, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.name = row.name
        self._row = row
        self._monotonic = monotonic
        self.batch_size = min(row.devices_per_call, _BATCH)
        self._options = options_of(row, Options)
        self._errors = Errors(self._options)
        self._writer = Writer(self._options, callback_url=str(row.callback_url) if row.callback_url else None)
        self._user = row.user or ""
        self._password = row.password.get_secret_value() if row.password is not None else ""
        self._url = str(row.url or "").rstrip("/")
        self._methods: frozenset[str] | None = None  # as the head end lists them, once it was asked
        timeout = httpx.Timeout(row.timeout_seconds, connect=min(_CONNECT_SECONDS, row.timeout_seconds))
        auth = httpx.BasicAuth(self._user, self._password) if self._options.http_basic else None
        self._reading = httpx.Client(auth=auth, timeout=timeout, verify=trust(row))
        # A kept connection may be closed by the other side in the moment it is used again; the call would then be
        # uncertain for nothing.
        fresh = httpx.Limits(max_keepalive_connections=0)
        self._acting = httpx.Client(auth=auth, timeout=timeout, verify=trust(row), limits=fresh)

    def submit(self, batch: Batch) -> Submission:
        """Give the batch to the head end: in one call, in one for each meter, or in one each for on and off.

        Where a later call of several fails nothing is known of the batch, for the earlier ones may have acted. One that
        moves breakers leaves within half the time of an answer or not at all (BUSY: they are ordered again): all has to
        end before the lease does, lest a breaker move of which its order is told already that nobody knows.
        """
        leaves_by = self._monotonic() + self._row.timeout_seconds / 2
        rejections = list(self._writer.refused(batch))
        named = {rejection.command_key for rejection in rejections}
        sent = [command for command in batch.commands if command.command_key not in named]
        deliveries: list[RawDelivery] = []
        from_record = batch.kind is CommandKind.SWITCH_STATE and self._reads_states_from_record()
        requests = list(self._writer.requests(batch, sent, states_from_record=from_record)) if sent else []
        for number, request in enumerate(requests):
            if number and _is_switch(request) and self._monotonic() > leaves_by:
                rejections += [_rejection(each, "BUSY", _TOO_LATE) for each in request.commands]
                continue
            try:
                rejected, delivered = self._make(batch, request)
            except TransientError as error:
                if number and batch.kind is CommandKind.SWITCH:
                    raise UncertainError(f"a part of the batch was taken, then: {error}") from error
                raise
            rejections += rejected
            deliveries += delivered
        token = batch.correlation if len(rejections) < len(batch.commands) else ""
        return Submission(token=token, rejections=tuple(rejections), deliveries=tuple(deliveries))

    def snapshots(self, *, period_from: datetime, period_to: datetime) -> Iterator[RawDelivery]:
        """Fetch the readings of a period, page by page."""
        return self._told("readings", period_from, period_to)

    def intervals(self, *, period_from: datetime, period_to: datetime) -> Iterator[RawDelivery]:
        """Fetch the interval values of a period, page by page."""
        return self._told("intervals", period_from, period_to)

    def events(self, *, period_from: datetime, period_to: datetime) -> Iterator[RawDelivery]:
        """Fetch the history logs of a period, page by page."""
        return self._told("events", period_from, period_to)

    def meters(self) -> Iterator[FieldMeter]:
        """Fetch the meters the head end serves, and which of them have a breaker."""
        breakers: frozenset[str] | None = None
        if self._lists("GetCDSupportedMeters"):
            pages = self._pages(lambda cursor: self._writer.meters("CD", cursor))
            breakers = frozenset(
                meter.serial_id for _, page in pages for meter in answers.meters(page.message, breakers=None)
            )
        for _, page in self._pages(lambda cursor: self._writer.meters("AMR", cursor)):
            yield from answers.meters(page.message, breakers=breakers)

    def probe(self) -> Probe:
        """Ask what methods the head end has, and whether it answers at all (PingURL)."""
        found: set[str] = set()
        app = ""
        for service in self._services():
            answer = self._read(Request(service=service, message=Node("GetMethods")))
            found |= answers.methods(answer.message)
            if "PingURL" in found:
                answer = self._read(Request(service=service, message=Node("PingURL")))
            app = " ".join(filter(None, (answer.header.get("AppName"), answer.header.get("AppVersion")))) or app
        text = f"MultiSpeak {self._options.version}, {len(found)} methods" + (f", {app}" if app else "")
        self._methods = frozenset(found)
        if not found:
            return Probe(text=text)
        return Probe(takes=frozenset(kind for kind in HEAD_END.capabilities if self._takes(kind)), text=text)

    def close(self) -> None:
        """Close all connections."""
        self._reading.close()
        self._acting.close()

    # ---- what is sent ------------------------------------------------------------------------------------------------

    def _make(self, batch: Batch, request: Request) -> tuple[list[Rejection], list[RawDelivery]]:
        """Make one call of a batch; returns what was rejected, and the result where the answer is one."""
        try:
            pages = self._answered(request) if request.is_answered else [self._act(request)]
        except _BatchRefused as refusal:
            code = refusal.code if len(request.commands) == 1 else "BATCH_REFUSED"
            rejected = [_rejection(each, code, str(refusal)) for each in request.commands]
            return rejected, []
        found = answers.sorted_out(answers.errors(pages[0].message, self._errors), request.commands)
        for stranger in found.strangers:
            log.warning("error_of_no_meter_named", head_end=self.name, meter=stranger.meter, reason=stranger.text)
        self._judge(found.of_the_call, request)
        known = [each for each in found.rejections if each.code == "ALREADY_KNOWN"]
        if known and request.method == "MeterAddNotification":
            return self._change_instead(batch, request, pages[0], found.rejections)
        rejections = list(found.rejections)
        if not request.is_answered or len(rejections) == len(request.commands):
            return rejections, []
        version = self._options.version
        delivery = answers.joined(request, pages, correlation=batch.correlation, version=version)
        return rejections, [delivery]

    def _change_instead(
        self, batch: Batch, request: Request, answer: Received, rejections: Sequence[Rejection]
    ) -> tuple[list[Rejection], list[RawDelivery]]:
        """Tell of meters as changed that the head end says it knows already."""
        keys = {each.command_key for each in rejections if each.code == "ALREADY_KNOWN"}
        known = [each for each in request.commands if each.command_key in keys]
        others = [each for each in rejections if each.command_key not in keys]
        delivered = []
        if len(rejections) < len(request.commands):
            version = self._options.version
            delivered.append(answers.exchange(request, answer, correlation=batch.correlation, version=version))
        again = self._writer.provisioning(batch, known, method="changed")
        more, results = self._make(batch, again)
        return [*others, *more], [*delivered, *results]

    def _judge(self, errors: Sequence[answers.Error], request: Request) -> None:
        """Raise what errors mean that name no meter."""
        for error in errors:
            text = f"{self.name} answers {request.method}: {error.text}"
            # Of several breakers some may have been told to move, and the error be of the others.
            is_of_some = error.code == NOT_NOW and len(request.commands) > 1 and _is_switch(request)
            if error.code in (LOGIN_REFUSED, NOT_NOW) and not is_of_some:
                raise TransientError(text)
            raise UncertainError(f"{text} (of which meters, it does not say)")

    def _answered(self, request: Request) -> list[Received]:
        """Make a call whose answer is the result; returns its pages."""
        if any(node.name == "lastReceived" for node in request.message.children):
            return self._all_pages(request)
        return [self._read(request) if request.method.startswith("Get") else self._act(request)]

    def _all_pages(self, request: Request) -> list[Received]:
        """Return the pages of an answer that is one result; together they are no larger than one answer may be."""
        found, size, most = [], 0, self._row.max_answer_bytes
        for _, page in self._pages(lambda cursor: _from(request, cursor)):
            size += page.size
            if size > most:
                setting = f"head_ends.{self.name}.max_answer_bytes is {most}"
                raise TransientError(f"the pages of an answer of {self.name} have {size} bytes so far, and {setting}")
            found.append(page)
        return found

    def _told(self, what: str, period_from: datetime, period_to: datetime) -> Iterator[RawDelivery]:
        pages = self._pages(lambda cursor: self._writer.page(what, period_from, period_to, cursor))
        for request, page in pages:
            result = soap.child(page.message)
            if result is not None and len(result):
                yield answers.exchange(request, page, correlation="", version=self._options.version)

    def _pages(self, page_from: PageFrom) -> Iterator[tuple[Request, Received]]:
        cursor = ""
        for _ in range(_PAGES):
            request = page_from(cursor)
            answer = self._read(request)
            yield request, answer
            try:
                following = answers.remaining(answer)
            except ValueError as error:
                raise TransientError(f"an answer of {self.name} is unreadable: {error}") from error
            if following is None:
                return
            if following == cursor:
                raise TransientError(f"{self.name} answers {request.method} with the same page again and again")
            cursor = following
        raise TransientError(f"{self.name} answers with more pages than {_PAGES}")

    def _read(self, request: Request) -> Received:
        """Ask for something that may be asked for again; what is wrong is a TransientError, but for what is asked."""
        try:
            return self._post(self._reading, request)
        except UncertainError as error:
            raise TransientError(f"{self.name} did not answer {request.method}: {error}") from error
        except _BatchRefused as error:
            if request.commands:
                raise
            raise TransientError(f"{self.name} refuses {request.method}: {error}") from error

    def _act(self, request: Request) -> Received:
        return self._post(self._acting, request)

    def _post(self, client: httpx.Client, request: Request) -> Received:
        version = self._options.version
        body = soap.envelope(request.message, version=version, header=self._header())
        headers = {
            "Content-Type": "text/xml; charset=utf-8",
            "SOAPAction": f'"{NAMESPACES[version]}/{request.method}"',
        }
        try:
            url = self._url + getattr(self._options.paths, request.service)
            answer = call(client, "POST", url, row=self._row, content=body, headers=headers)
        except _NEVER_SENT as error:
            raise TransientError(unreachable(self.name, error)) from error
        except httpx.RequestError as error:
            raise UncertainError(f"the call to {self.name} broke off: {error!r}") from error
        return self._received(answer, request)

    def _received(self, answer: httpx.Response, request: Request) -> Received:
        """Return the message that a call was answered with; raises what any other answer means."""
        status = f"{self.name} answered {request.method} with HTTP {answer.status_code}"
        if answer.status_code in _NOT_NOW:
            raise TransientError(f"{status}: {_excerpt(answer.content)}")
        try:
            received = soap.received(answer.content)
        except ValueError as error:
            if answer.is_client_error:
                raise _BatchRefused(f"HTTP {answer.status_code}: {_excerpt(answer.content)}") from error
            what = f": {_excerpt(answer.content)}" if answer.content.strip() else " and nothing"
            raise UncertainError(status + what) from error
        fault = soap.fault_of(received.message)
        if fault is not None:
            code = self._errors.code(fault.text)
            if code in (LOGIN_REFUSED, NOT_NOW):
                raise TransientError(f"{self.name} takes nothing now: {fault.text}")
            if fault.is_ours or answer.is_client_error:
                raise _BatchRefused(fault.text, code="BATCH_REFUSED" if code == REJECTED_UNKNOWN else code)
            raise UncertainError(f"{status}, a fault: {fault.text}")
        if not answer.is_success or soap.local(received.message) != f"{request.method}Response":
            raise UncertainError(f"{status} and the message {soap.local(received.message)}")
        return received

    def _header(self) -> dict[str, str]:
        options = self._options
        told = header_of(options.version) | {"AppName": options.app_name, "Company": options.company}
        return told | {"UserID": self._user, "Pwd": self._password}

    # ---- what the head end has ---------------------------------------------------------------------------------------

    def _services(self) -> list[str]:
        """Return one service for each address there is."""
        addresses: dict[str, str] = {}
        for service in type(self._options.paths).model_fields:
            addresses.setdefault(getattr(self._options.paths, service), service)
        return list(addresses.values())

    def _takes(self, kind: CommandKind) -> bool:
        return bool(needed(kind, version=self._options.version) & (self._methods or frozenset()))

    def _lists(self, method: str) -> bool:
        """Tell whether the head end lists a method; it is asked what it has where nobody has asked yet."""
        if self._methods is None:
            self.probe()
        return self._methods is not None and method in self._methods

    def _reads_states_from_record(self) -> bool:
        match self._options.switch_state:
            case "get":
                return True
            case "initiate":
                return False
            case _:
                return not self._lists("InitiateCDStateRequest") and self._lists("GetCDMeterState")


def connect(settings: Settings, row: Row) -> MultiSpeakHeadEnd:
    """Return the head end that a row of config/head_ends.toml describes; nothing is called yet."""
    del settings  # it is asked for no channel by name
    return MultiSpeakHeadEnd(row)


def _from(request: Request, cursor: str) -> Request:
    """Return a call for the page behind a cursor."""
    children = [
        Node("lastReceived", cursor) if each.name == "lastReceived" else each for each in request.message.children
    ]
    message = Node(request.method, children=children)
    return Request(service=request.service, message=message, commands=request.commands, is_answered=True)


def _is_switch(request: Request) -> bool:
    return any(command.kind is CommandKind.SWITCH for command in request.commands)


def _rejection(command: Command, code: str, text: str) -> Rejection:
    return Rejection(command_key=command.command_key, code=code, text=text)


def _excerpt(body: bytes) -> str:
    """Return the beginning of a body for a text that people read: peers send back the header we sent."""
    return printable(" ".join(soap.without_passwords(body[:300]).decode("utf-8", "replace").split()))


HEAD_END = HeadEndKind(
    name="multispeak",
    capabilities=frozenset(CommandKind) - _NOT_OFFERED,
    connect=connect,
    decoder=decoder,
    options=Options,
    tells=frozenset({Capability.REMOTE_READING, Capability.LOAD_PROFILE, Capability.EVENTS}),
    callbacks=CALLBACKS,
)
