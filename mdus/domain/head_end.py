"""The port every head end is spoken to through, whatever its protocol.

Five completion styles meet in one: `submit` gives a token and per-device rejects; results arrive as deliveries: raw
bodies, stored first and decoded by a pure codec. They come at least once, out of order, in parts, late, before the
acknowledgement, or never.

```
synchronous         submit returns the deliveries
callback            POST /head-ends/<name>/<topic>, see Callbacks
poll by token       results(token), every `poll_seconds` of the row
ready, then fetch   a delivery says ResultsReady: results(token) at once
file drop, broker   arrivals(): what lies in a folder, what a broker has
```
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import BinaryIO, Final, Protocol, TypeVar

from mdus.domain.capability import Capability, enabled_by
from mdus.domain.command import Command, CommandKind
from mdus.domain.end_device import EndDevice, SwitchState
from mdus.domain.quantities import NOTHING_SAID, Qualities, Quantities
from mdus.domain.register import Register
from mdus.settings import LONGEST_TEXT, Section, Settings
from mdus.settings import HeadEnd as Row

Options = TypeVar("Options", bound=Section)


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """One call to a head end: commands of one kind, never two for one meter.

    `correlation` is our id of the call. `devices` and `registers` are by (sender system, device id), filled for
    PROVISION. `concentrators` has, by serial number, the concentrator a meter is behind, where its head end told one.
    `at` is the business instant at which it leaves, for who has to say how long a command may be on its way.
    """

    kind: CommandKind
    correlation: str
    commands: Sequence[Command]
    devices: Mapping[tuple[str, str], EndDevice] = field(default_factory=dict)
    registers: Mapping[tuple[str, str], Sequence[Register]] = field(default_factory=dict)
    concentrators: Mapping[str, str] = field(default_factory=dict)
    at: datetime | None = None  # None: it does not leave, it is only looked for


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejection:
    """One command the head end refused at once; it did nothing for this meter."""

    command_key: str
    code: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RawDelivery:
    """A body from a head end, to be stored before anything is done with it.

    Once it is stored it has the instant at which it came first: what comes again byte for byte is not stored again.
    """

    topic: str
    correlation: str  # empty when the transport names none
    body: bytes
    received_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Submission:
    """The head end's answer to a batch: a token for what it accepted, what it refused, and results it had at once."""

    token: str
    rejections: tuple[Rejection, ...] = ()
    deliveries: tuple[RawDelivery, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldReading:
    """A register value as the head end tells it: as shown on the register, at an instant."""

    serial_id: str
    reading_type: str
    measured_at: datetime
    value: Decimal
    unit: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldIntervals:
    """Consecutive interval values of one channel.

    Value i is the quantity in [start_at + i * interval_minutes, + interval_minutes).
    """

    serial_id: str
    reading_type: str
    unit: str | None
    interval_minutes: int
    start_at: datetime
    values: Quantities
    qualities: Qualities = NOTHING_SAID


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldAlarm:
    """Something a meter tells of itself (EndDeviceEvent), under the head end's own id where it has one."""

    serial_id: str
    event_type: str  # IEC 61968-9 EndDeviceEventType, d.d.d.d
    at: datetime
    source_id: str | None
    text: str | None
    properties: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """A meter communicated with its head end."""

    serial_id: str
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class CommandResult:
    """What became of one command at its meter.

    `command_key` is the reference we gave; `correlation` our id of the call, `token` the head end's. A head end that
    does not return the reference names the call, and the serial number says which of its commands: an empty one all of
    them that nothing was told of by itself. A failure is `uncertain` when the head end cannot say whether the meter
    acted. What is not `is_final` is taken in, and the command stays open.
    """

    command_key: str | None
    correlation: str | None
    token: str | None
    serial_id: str
    succeeded: bool
    code: str | None
    text: str | None
    acted_at: datetime | None
    readings: tuple[FieldReading, ...] = ()
    intervals: tuple[FieldIntervals, ...] = ()
    switch_state: SwitchState | None = None
    uncertain: bool = False
    is_final: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class ResultsReady:
    """The head end has results of a call: they are fetched by its token."""

    token: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ConcentratorTold:
    """What a data concentrator tells of itself: whether it is there (None: nothing), and the meters found behind it.

    Without `at` it is so when it came: a broker sends a last will long after it was written.
    """

    concentrator: str
    at: datetime | None = None
    is_online: bool | None = None
    serials: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Unmapped:
    """Something told under a code that no table explains: kept as it came, and counted.

    `source` says what the code is of: a channel, a unit, a quality or an event.
    """

    serial_id: str
    source: str
    code: str
    at: datetime | None = None
    value: str | None = None
    unit: str | None = None
    text: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class UnreadableLine:
    """A line of a delivery that cannot be read, or a part of it: what was expected there and what was found."""

    line: int  # of the delivery, from 1 on
    reason: str


FieldEvent = (
    FieldReading
    | FieldIntervals
    | FieldAlarm
    | Heard
    | CommandResult
    | ResultsReady
    | ConcentratorTold
    | Unmapped
    | UnreadableLine
)

#: Turns a delivery into events.
Decode = Callable[[RawDelivery], Iterator[FieldEvent]]


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldMeter:
    """One meter as the head end's own registry has it.

    `device_id` and `reading_types` are None where the head end does not tell them. `factors` are the multipliers of its
    registers, by reading type, as far as the head end names them; `clock_offset_seconds` how far the meter's clock is
    ahead of the head end's, by their latest comparison.
    """

    serial_id: str
    device_id: str | None
    provisioned: bool
    reading_types: tuple[str, ...] | None
    first_heard_at: datetime | None
    last_heard_at: datetime | None
    switch_state: SwitchState | None
    has_breaker: bool | None
    factors: tuple[tuple[str, Decimal], ...] = ()
    clock_offset_seconds: Decimal | None = None
    concentrator: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """What a head end says of itself: the commands it takes (None: it does not say), and its name and version.

    It is asked again after `again_after` (real time), where that is sooner than usual: when it has forgotten what it is
    to tell us, it tells nothing until then. `subscription` is its name of what it tells us readings by, where it has
    one: when that is another than before, what was told in between went nowhere.
    """

    takes: frozenset[CommandKind] | None = None
    text: str = ""
    again_after: timedelta | None = None
    subscription: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrival:
    """What has arrived by itself, to be stored; `taken` is called once all of it is durable.

    Reading `deliveries` may raise ValueError, where nothing more of it can be read: then `failed` is called with why.
    """

    deliveries: Iterable[RawDelivery]
    taken: Callable[[], None]
    failed: Callable[[str], None]


class HeadEnd(Protocol):
    """One configured head end. Calls block, name their time-outs, and raise TransientError or UncertainError."""

    name: str

    @property
    def batch_size(self) -> int:
        """Return the most commands it takes in a call."""
        ...

    def submit(self, batch: Batch) -> Submission:
        """Give a batch to the head end.

        Raises TransientError when it certainly did nothing, UncertainError when it may have.
        """
        ...

    def find(self, correlation: str) -> Submission | None:
        """Return what became of a call whose answer was lost, None when the head end does not know it."""
        ...

    def results(self, token: str) -> Iterable[RawDelivery]:
        """Return the results known so far of an accepted call: for head ends that are polled, or silent ones."""
        ...

    def snapshots(self, *, period_from: datetime, period_to: datetime) -> Iterator[RawDelivery]:
        """Yield the stored register values of a period, page by page."""
        ...

    def intervals(self, *, period_from: datetime, period_to: datetime) -> Iterator[RawDelivery]:
        """Yield the interval values collected so far of intervals that start in a period, page by page."""
        ...

    def events(self, *, period_from: datetime, period_to: datetime) -> Iterator[RawDelivery]:
        """Yield what meters told of themselves in a period, page by page."""
        ...

    def meters(self) -> Iterator[FieldMeter]:
        """Yield the head end's own registry."""
        ...

    def probe(self) -> Probe:
        """Ask what the head end can do, and make what it needs to tell us anything (subscriptions)."""
        ...

    def reach(self) -> None:
        """Ask for something, to see whether the head end answers and lets us in; changes nothing there."""
        ...

    def arrivals(self) -> Iterator[Arrival]:
        """Yield what has arrived by itself; end after a moment when there is nothing."""
        ...

    def close(self) -> None:
        """Let go of all connections."""
        ...


class SilentHeadEnd:
    """What a head end answers that has nothing to answer; adapters replace what theirs has."""

    def find(self, correlation: str) -> Submission | None:
        """Return None: it does not know calls by our id."""
        del correlation
        return None

    def results(self, token: str) -> Iterable[RawDelivery]:
        """Return nothing: results come by themselves."""
        del token
        return ()

    def snapshots(self, *, period_from: datetime, period_to: datetime) -> Iterator[RawDelivery]:
        """Return nothing: register values come by themselves."""
        del period_from, period_to
        return iter(())

    def intervals(self, *, period_from: datetime, period_to: datetime) -> Iterator[RawDelivery]:
        """Return nothing: interval values come by themselves."""
        del period_from, period_to
        return iter(())

    def events(self, *, period_from: datetime, period_to: datetime) -> Iterator[RawDelivery]:
        """Return nothing: events come by themselves."""
        del period_from, period_to
        return iter(())

    def meters(self) -> Iterator[FieldMeter]:
        """Return nothing: it has no registry to ask for."""
        return iter(())

    def probe(self) -> Probe:
        """Return that it does not say what it can do."""
        return Probe()

    def reach(self) -> None:
        """Ask for the first meter of its registry."""
        next(iter(self.meters()), None)

    def arrivals(self) -> Iterator[Arrival]:
        """Return nothing: it is called, and calls us."""
        return iter(())

    def close(self) -> None:
        """Do nothing: no connection is kept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What the sender of a push is answered."""

    status: int = 202
    media_type: str | None = None
    content: bytes = b""


#: Where a body of JSON names its call, near its beginning.
_CORRELATION: Final = re.compile(rb'"correlation_id"\s*:\s*"([0-9A-Za-z-]{1,64})"')
_BEGINNING: Final = 1024


def correlation_in_json(body: bytes) -> str:
    """Return the call a body of JSON names near its beginning, empty when it names none there."""
    found = _CORRELATION.search(body, 0, _BEGINNING)
    return found.group(1).decode() if found else ""


def _as_it_came(body: bytes) -> bytes:
    return body


def _taken(topic: str, body: bytes) -> Answer:
    del topic, body
    return Answer()


def _refused(topic: str, reason: str) -> Answer:
    del topic
    return Answer(status=401, media_type="text/plain", content=f"{reason}\n".encode())


@dataclass(frozen=True, kw_only=True, slots=True)
class Callbacks:
    """How the pushes of a kind say which call they belong to and who sends them, and how they are answered.

    `correlation` only tells deliveries apart: the codec reads the body properly later. `credentials` returns user and
    password where a body carries them; without, HTTP Basic counts alone. `stored` returns what of a body is kept, which
    holds no password. These three are given the body as it came. `answer` is given the topic and the body once
    it is durable, `refuse` the topic and why the sender is not let in. `wsdl` describes a topic at an address.
    """

    correlation: Callable[[bytes], str] = correlation_in_json
    credentials: Callable[[bytes], tuple[str, str] | None] | None = None
    stored: Callable[[bytes], bytes] = _as_it_came
    answer: Callable[[str, bytes], Answer] = _taken
    refuse: Callable[[str, str], Answer] = _refused
    wsdl: Callable[[str, str], bytes | None] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class FilePart:
    """Whole lines of a file, fit to be a delivery of its own: its topic and body, and so many bytes of the file.

    Line n of the body is line n + `lines_before` of the file.
    """

    topic: str
    body: bytes
    lines_before: int
    size: int


#: Parts a file in a format (None: as it looks): raises ValueError where it is in none, or not in that one.
PartFile = Callable[[BinaryIO, str | None], Iterator[FilePart]]


def _nothing(row: Row) -> frozenset[CommandKind]:
    del row
    return frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class HeadEndKind:
    """What a head-end folder exposes as HEAD_END: its name in config/head_ends.toml, what it can do, how to connect.

    `capabilities` are the kinds of commands it takes, `tells` what its meters tell without being asked. `connect` and
    `decoder` are the two ways, and have their tables from the same settings: what a head end is asked for a channel by
    is read back as that channel. `connect` calls nothing yet. `decoder` returns what turns a raw delivery into events:
    pure, raises ValueError on a body it cannot read. `options` is the shape of its rows' own settings. `answers` is
    False of one that only delivers: it has no address, and no job asks it for anything. Of one that `listens` the
    arrivals are looked for; to one that `needs_concentrator` no command leaves for a meter that no concentrator has
    told of. `schemes` are how its addresses begin, in the clear and with TLS. `keeps_records` is False of one that
    cannot say which meters it has and what they told: no job asks. `part_file` parts files in the formats it reads,
    where it reads files. `longest_text` is how many characters of a text its meters can show. `lacks` says which of its
    commands the head end of a row does not take.
    """

    name: str
    capabilities: frozenset[CommandKind]
    connect: Callable[[Settings, Row], HeadEnd]
    decoder: Callable[[Settings, Row], Decode]
    options: type[Section] | None = None
    tells: frozenset[Capability] = frozenset()
    answers: bool = True
    listens: bool = False
    needs_concentrator: bool = False
    schemes: tuple[str, str] = ("http", "https")
    keeps_records: bool = True
    callbacks: Callbacks = Callbacks()
    part_file: PartFile | None = None
    longest_text: int = LONGEST_TEXT
    lacks: Callable[[Row], frozenset[CommandKind]] = _nothing

    def takes(self, row: Row) -> frozenset[CommandKind]:
        """Return the kinds of commands that the head end of a row takes.

        Raises pydantic's ValidationError where its options do not fit.
        """
        return self.capabilities - self.lacks(row)

    def offers(self, row: Row) -> frozenset[Capability]:
        """Return what a device of such a head end can do at most; config/capabilities.toml says what of it is left."""
        return enabled_by(self.takes(row)) | self.tells


def options_of(row: Row, shape: type[Options]) -> Options:
    """Return a row's own settings in the shape of its kind; raises pydantic's ValidationError where they do not fit.

    The row is the context they are validated in.
    """
    return shape.model_validate(row.options, context=row)
