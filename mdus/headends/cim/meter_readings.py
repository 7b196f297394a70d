"""MeterReadings: readings of registers and blocks of interval values, by meter.

The instant of an interval value is its END; a `timePeriod` goes before it, but is no other length than its channel's.
Values of one channel that follow each other become one block. What no table explains is told as it came, and one value
that cannot be read costs the others nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Final, NamedTuple

from lxml import etree

from mdus.domain.channel_map import ChannelKind, ChannelMap, Mapped
from mdus.domain.channel_name import Mrid
from mdus.domain.end_device import SwitchState
from mdus.domain.head_end import FieldIntervals, FieldReading, Unmapped, UnreadableLine
from mdus.domain.local_time import Meanings, Part, Receipt, told_apart_in_parts
from mdus.domain.quantities import NOTHING_SAID, Qualities, Quantities, plain_numbers, records
from mdus.headends.cim import elements
from mdus.headends.cim.names import local
from mdus.headends.cim.naming import serial_of
from mdus.headends.cim.options import CimOptions

_QUALITY: Final = re.compile(r"\d{1,3}\.\d{1,3}\.\d{1,4}", re.ASCII)

#: How some write that there is no value.
_NO_VALUE: Final = frozenset({"", "NaN"})

#: Where the instant of a value stands, what goes before the other first.
_TIMES: Final = (("timePeriod", "end"), ("timeStamp",), ("timePeriod", "start"))

_QUALITIES: Final = ("ReadingQualities", "ReadingQuality")

#: Minutes of intervals of which nothing says how long they are.
_USUAL_MINUTES: Final = 60

_A_DAY: Final = 1440


@dataclass(kw_only=True, slots=True)
class MeterTold:
    """What one message tells of one meter."""

    serial_id: str
    readings: list[FieldReading] = field(default_factory=list)
    intervals: list[FieldIntervals] = field(default_factory=list)
    unmapped: list[Unmapped] = field(default_factory=list)
    switch_state: SwitchState | None = None
    newest_at: datetime | None = None

    @property
    def is_empty(self) -> bool:
        """Tell whether no value of it was told."""
        return not (self.readings or self.intervals or self.unmapped or self.switch_state is not None)

    def note(self, at: datetime) -> None:
        """Note the instant of something told."""
        self.newest_at = at if self.newest_at is None else max(at, self.newest_at)


@dataclass(frozen=True, slots=True)
class _Value:
    """A value as it stands there: its instant (of an interval the end), when it began where that is told."""

    mrid: str
    at: datetime
    start_at: datetime | None
    text: str
    codes: tuple[str, ...]
    line: int
    means: Meanings  # the instants that `at` may be: several in an hour that is there twice
    starts: Meanings  # and of `start_at`

    @property
    def quality(self) -> str | None:
        """Return the one code that is kept: of several the first that does not say that the value is valid."""
        return next((code for code in self.codes if not code.endswith(".0.0") and _QUALITY.fullmatch(code)), None)

    def fits(self, length: timedelta) -> bool:
        """Tell whether it is of an interval so long, as far as it says both ends."""
        return self.start_at is None or self.start_at == self.at or self.at - self.start_at == length


class _Group(NamedTuple):
    """The values of one block of a meter, or all beside its blocks."""

    serial: str
    values: list[_Value]


class MeterReadingsReader:
    """Reads payloads of MeterReadings as one head end writes them."""

    def __init__(self, options: CimOptions, channels: ChannelMap) -> None:
        self._options = options
        self._channels = channels
        self._zone = options.zone_of_local_times

    def read(
        self, payload: etree._Element, *, came_at: datetime | None
    ) -> tuple[list[MeterTold], list[UnreadableLine]]:
        """Return what a MeterReadings that came at an instant tells, and what in it cannot be read.

        By meter, in the order they come.
        """
        told: dict[str, MeterTold] = {}
        groups: list[_Group] = []
        mistakes: list[UnreadableLine] = []
        for each in elements.children(payload, "MeterReading"):
            meter = elements.child(each, "Meter")
            serial = serial_of(meter, self._options) if meter is not None else None
            if serial is None:
                mistakes.append(_mistake(each, "a MeterReading names no meter"))
                continue
            of_meter = told.setdefault(serial, MeterTold(serial_id=serial))
            positions = list(self._positions(each))
            for position in positions:
                self._take_position(of_meter, position)
            groups += [_Group(serial, values) for values in self._values(each, mistakes, but=positions)]
        if any(len(value.means) > 1 or len(value.starts) > 1 for _, values in groups for value in values):
            groups = self._told_apart(groups, came_at, mistakes)
        series: dict[str, dict[Mapped, list[_Value]]] = {}  # interval values by meter and channel
        for serial, values in groups:
            for value, channel in self._channelled(values, mistakes):
                if channel is not None and channel.kind is ChannelKind.INTERVAL:
                    series.setdefault(serial, {}).setdefault(channel, []).append(value)
                else:
                    _take_reading(told[serial], value, channel)
        for serial, by_channel in series.items():
            for channel, values in by_channel.items():
                _take_intervals(told[serial], values, channel, mistakes)
        return list(told.values()), mistakes

    def _values(
        self, element: etree._Element, mistakes: list[UnreadableLine], *, but: Sequence[etree._Element]
    ) -> Iterator[list[_Value]]:
        """Yield the values of a MeterReading but for some, by block; what cannot be read is a mistake."""
        others = set(but)
        blocks: list[list[tuple[etree._Element, str | None]]] = [
            [(each, None) for each in elements.children(element, "Readings")]
        ]
        for block in elements.children(element, "IntervalBlocks"):
            of_block = elements.ref(block, "ReadingType") or ""
            blocks.append([(each, of_block) for each in elements.children(block, "IntervalReadings")])
        for some in blocks:
            values: list[_Value] = []
            for each, mrid in some:
                if each in others:
                    continue
                try:
                    values.append(self._value(each, mrid))
                except ValueError as error:
                    mistakes.append(_mistake(each, str(error)))
            yield values

    def _channelled(
        self, values: Sequence[_Value], mistakes: list[UnreadableLine]
    ) -> Iterator[tuple[_Value, Mapped | None]]:
        for value in values:
            try:
                channel = self._channels.find(Mrid(value.mrid), at=value.at)
                if channel is not None and value.text:
                    elements.number(value.text)  # one that cannot be read is a mistake of its own
            except ValueError as error:
                mistakes.append(UnreadableLine(line=value.line, reason=str(error)))
            else:
                yield value, channel

    def _value(self, element: etree._Element, mrid: str | None) -> _Value:
        # Values are many: each child is looked at once.
        period = told = None
        text = ""
        codes = []
        for each in element:
            match local(each):
                case "timeStamp":
                    told = each.text
                case "value":
                    text = (each.text or "").strip()
                case "timePeriod":
                    period = each
                case "ReadingQualities" | "ReadingQuality":
                    codes.append(_code(each))
                case "ReadingType" if mrid is None:
                    mrid = elements.ref(each)
        starts = self._instants(elements.text(period, "start"))
        ends = self._instants(elements.text(period, "end")) or self._instants(told)
        text = "" if text in _NO_VALUE else text
        means = ends or starts
        if not means:
            raise ValueError("a value has neither timeStamp nor timePeriod")
        return _Value(
            mrid=mrid or "",
            at=means[0],
            start_at=starts[0] if starts else None,
            text=text,
            codes=tuple(code for code in codes if code),
            line=elements.line(element),
            means=means,
            starts=starts,
        )

    def _instants(self, told: str | None) -> Meanings:
        return () if told is None else elements.instants(told.strip(), zone=self._zone)

    def _told_apart(
        self, groups: Sequence[_Group], came_at: datetime | None, mistakes: list[UnreadableLine]
    ) -> list[_Group]:
        """Return values with the instants that their order says; one that may be of either hour is a mistake.

        Blocks of one channel follow each other: what one does not tell apart those around it may.
        """
        channels: dict[tuple[str, str], dict[int, list[_Value]]] = {}
        for number, (serial, values) in enumerate(groups):
            for value in values:
                channels.setdefault((serial, value.mrid), {}).setdefault(number, []).append(value)
        receipt = None if came_at is None else Receipt(came_at=came_at)
        found: list[list[_Value]] = [[] for _ in groups]
        for (_, mrid), by_block in channels.items():
            parts = [self._part(mrid, some) for some in by_block.values()]
            told = told_apart_in_parts(parts, are_in_order=True, receipt=receipt)
            for (number, some), ats in zip(by_block.items(), told, strict=True):
                found[number] += _placed(some, ats, mistakes)
        return [_Group(serial, values) for (serial, _), values in zip(groups, found, strict=True)]

    def _part(self, mrid: str, values: Sequence[_Value]) -> Part:
        says = [((" ".join(value.codes), value.text),) for value in values]
        return Part(times=[value.means for value in values], lengths=self._lengths(mrid, values), says=says)

    def _lengths(self, mrid: str, values: Sequence[_Value]) -> list[timedelta] | None:
        """Return how long the intervals of a ReadingType are, None where it does not say."""
        try:
            channel = self._channels.find(Mrid(mrid), at=values[0].at)
        except ValueError:
            return None  # told with each value
        if channel is None or not channel.minutes or channel.minutes % _A_DAY == 0:
            return None
        return [timedelta(minutes=channel.minutes)] * len(values)

    def _positions(self, element: etree._Element) -> Iterator[etree._Element]:
        """Yield the values of a MeterReading that say where its breaker stands."""
        mrid = self._options.relay_reading_type
        if not mrid:
            return
        yield from (each for each in elements.children(element, "Readings") if _type(each) == mrid)
        for block in elements.children(element, "IntervalBlocks"):
            if _type(block) == mrid:
                yield from elements.children(block, "IntervalReadings")

    def _take_position(self, told: MeterTold, element: etree._Element) -> None:
        """Take where a breaker stands, which is not lost for the sake of its time: of two that is the first."""
        found = (self._earliest(element, *path) for path in _TIMES)
        at = next((each for each in found if each is not None), None)
        if at is not None:
            told.note(at)
        text = elements.text(element, "value")
        told.switch_state = self._options.position(text or "")
        if told.switch_state is None:
            codes = filter(None, (_code(each) for each in element if local(each) in _QUALITIES))
            told.unmapped.append(
                Unmapped(
                    serial_id=told.serial_id,
                    source="channel",
                    code=str(Mrid(self._options.relay_reading_type)),
                    at=at,
                    value=text,
                    text=" ".join(codes) or None,
                )
            )

    def _earliest(self, element: etree._Element, *path: str) -> datetime | None:
        return elements.earliest(element, *path, zone=self._zone)


def _placed(
    values: Sequence[_Value], ats: Sequence[datetime | None], mistakes: list[UnreadableLine]
) -> Iterator[_Value]:
    """Yield values at their instants; one that may be of either hour is a mistake."""
    for value, at in zip(values, ats, strict=True):
        if at is None:
            reason = f"a local time that is there twice: {' or '.join(map(str, value.means))}"
            mistakes.append(UnreadableLine(line=value.line, reason=reason))
            continue
        # A period that begins in such an hour is the shortest one with this end.
        start = max((each for each in value.starts if each < at), default=value.start_at)
        yield replace(value, at=at, start_at=at if value.starts == value.means else start)


def _type(element: etree._Element) -> str | None:
    return elements.ref(element, "ReadingType")


def _code(quality: etree._Element) -> str:
    return elements.ref(quality, "ReadingQualityType") or elements.ref(quality) or ""


def _take_reading(told: MeterTold, value: _Value, channel: Mapped | None) -> None:
    told.note(value.at)
    if channel is None:
        told.unmapped.append(_unmapped(told, value))
    elif value.text:  # without a value nothing was read, and a register has no place for that
        told.readings.append(
            FieldReading(
                serial_id=told.serial_id,
                reading_type=channel.reading_type,
                measured_at=value.at,
                value=channel.value(elements.number(value.text)),
                unit=channel.unit,
            )
        )


def _unmapped(told: MeterTold, value: _Value) -> Unmapped:
    return Unmapped(
        serial_id=told.serial_id,
        source="channel",
        code=str(Mrid(value.mrid)),
        at=value.at,
        value=value.text or None,
        text=" ".join(value.codes) or None,
    )


def _take_intervals(told: MeterTold, values: Sequence[_Value], channel: Mapped, mistakes: list[UnreadableLine]) -> None:
    minutes = _minutes(values, channel)
    length = timedelta(minutes=minutes)
    for each in values:
        if not each.fits(length):
            reason = f"an interval of {minutes} minutes is expected, found {each.start_at} to {each.at}"
            mistakes.append(UnreadableLine(line=each.line, reason=reason))
    values = [each for each in values if each.fits(length)]
    for start_at, some in _runs(values, length):
        codes = [each.quality for each in some]
        told.intervals.append(
            FieldIntervals(
                serial_id=told.serial_id,
                reading_type=channel.reading_type,
                unit=channel.unit,
                interval_minutes=minutes,
                start_at=start_at,
                values=_quantities([each.text for each in some], channel.factor),
                qualities=Qualities.of(codes) if any(codes) else NOTHING_SAID,
            )
        )
        told.note(start_at + length * len(some))
    strange = {code: each for each in values for code in each.codes if not _QUALITY.fullmatch(code)}
    told.unmapped += [
        Unmapped(serial_id=told.serial_id, source="quality", code=code, at=each.at, value=each.text or None)
        for code, each in strange.items()
    ]


def _runs(values: Sequence[_Value], length: timedelta) -> Iterator[tuple[datetime, list[_Value]]]:
    """Yield begin and values of intervals that follow each other without a gap; of one told twice the last counts."""
    placed = {each.start_at if each.start_at is not None else each.at - length: each for each in values}
    begins = sorted(placed)
    first = 0
    for at in range(1, len(begins) + 1):
        if at == len(begins) or begins[at] - begins[at - 1] != length:
            yield begins[first], [placed[begin] for begin in begins[first:at]]
            first = at


def _minutes(values: Sequence[_Value], channel: Mapped) -> int:
    """Return how long the intervals are: as their ReadingType says, else the first period, else their distance."""
    if channel.minutes is not None:
        return channel.minutes
    for each in values:
        if each.start_at is not None and each.start_at < each.at:
            return max(_whole_minutes(each.start_at, each.at), 1)
    ends = sorted({each.at for each in values})
    gaps = [_whole_minutes(earlier, later) for earlier, later in pairwise(ends)]
    return min((gap for gap in gaps if gap), default=_USUAL_MINUTES)


def _whole_minutes(begin: datetime, end: datetime) -> int:
    return int((end - begin).total_seconds() // 60)


def _quantities(texts: Sequence[str], factor: Decimal) -> Quantities:
    numbers = plain_numbers("".join([f"{text}," for text in texts]).encode("ascii", "replace"), len(texts))
    if numbers.odd.any():
        found = Quantities.of(elements.number(text) if text else None for text in texts)
    else:
        found = records(numbers, [len(texts)])[0]
    return found if factor == 1 else found.times(factor)


def _mistake(element: etree._Element, reason: str) -> UnreadableLine:
    return UnreadableLine(line=elements.line(element), reason=reason)
