"""The port every head end is spoken to through, whatever its protocol.

Five completion styles (synchronous, callback, poll by token, ready-then-fetch, file drop) meet in one: `submit` gives a
token and per-device rejects; results arrive later as deliveries: raw bodies, stored first and decoded by a pure codec.
They come at least once, out of order, late, before the acknowledgement, or never.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, BinaryIO, Protocol

from mdus.domain.capability import Capability, enabled_by
from mdus.domain.command import Command, CommandKind
from mdus.domain.end_device import EndDevice, SwitchState
from mdus.domain.quantities import NOTHING_SAID, Qualities, Quantities
from mdus.domain.register import Register
from mdus.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejection:
    """One command the head end refused at once; it did nothing for this meter."""

    command_key: str
    code: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Submission:
    """The head end's answer to a batch: a token for what it accepted, and what it refused."""

    token: str
    rejections: tuple[Rejection, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class RawDelivery:
    """A body from a head end, to be stored before anything is done with it."""

    topic: str
    correlation: str  # empty when the transport names none
    body: bytes


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

    `command_key` is the reference we gave; `correlation` our id of the call, `token` the head end's. A failure is
    `uncertain` when the head end cannot say whether the meter acted.
    """

    command_key: str
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


@dataclass(frozen=True, kw_only=True, slots=True)
class UnreadableLine:
    """A line of a delivery that cannot be read, or a part of it: what was expected there and what was found."""

    line: int  # of the delivery, from 1 on
    reason: str


FieldEvent = FieldReading | FieldIntervals | FieldAlarm | Heard | CommandResult | UnreadableLine

#: Turns a delivery (topic, body) into events.
Decode = Callable[[str, bytes], Iterator[FieldEvent]]


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldMeter:
    """One meter as the head end's own registry has it.

    `factors` are the multipliers of its registers, by reading type, as far as the head end names them;
    `clock_offset_seconds` how far the meter's clock is ahead of the head end's, by their latest comparison.
    """

    serial_id: str
    device_id: str | None
    provisioned: bool
    reading_types: tuple[str, ...]
    first_heard_at: datetime | None
    last_heard_at: datetime | None
    switch_state: SwitchState | None
    has_breaker: bool | None
    factors: tuple[tuple[str, Decimal], ...] = ()
    clock_offset_seconds: Decimal | None = None


class HeadEnd(Protocol):
    """One configured head end. Calls block, name their time-outs, and raise TransientError or UncertainError."""

    name: str
    batch_size: int

    def submit(
        self,
        commands: Sequence[Command],
        *,
        kind: CommandKind,
        correlation: str,
        devices: Mapping[tuple[str, str], EndDevice],
        registers: Mapping[tuple[str, str], Sequence[Register]],
    ) -> Submission:
        """Give a batch of one kind to the head end.

        `devices` and `registers` are by (sender system, device id), filled for PROVISION. Raises TransientError when it
        certainly did nothing, UncertainError when it may have.
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


@dataclass(frozen=True, kw_only=True, slots=True)
class HeadEndKind:
    """What a head-end folder exposes as HEAD_END: its name in config/head_ends.toml, what it can do, how to connect.

    `capabilities` are the kinds of commands it takes, `tells` what its meters tell without being asked. `decoder`
    returns what turns a raw delivery into events: pure, raises ValueError on a body it cannot read. `answers` is False
    of one that only delivers: it has no address, and no job asks it for anything. `part_file` parts files in
    the formats it reads, where it reads files.
    """

    name: str
    capabilities: frozenset[CommandKind]
    connect: Callable[..., HeadEnd]
    decoder: Callable[[Settings], Decode]
    settings: type[Any] | None = None
    tells: frozenset[Capability] = frozenset()
    answers: bool = True
    part_file: PartFile | None = None

    @property
    def offers(self) -> frozenset[Capability]:
        """Return what a device of such a head end can do at most; config/capabilities.toml says what of it is left."""
        return enabled_by(self.capabilities) | self.tells
