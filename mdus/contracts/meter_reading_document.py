"""The MeterReadingDocument: an XML document of interval values and register readings by channel.

Files come in it, and pushes with the data inside. One channel is read at a time, so that a document may be as large as
it likes. What does not fit together in a channel sets that channel aside, never the document.

```
MeterReadingDocument
  ReadingStatusRefTable/ReadingStatusRef@Ref/UnencodedStatus/StatusCodes/Code
  Channels/Channel@IsRegister,IntervalLength,ReadingsInPulse,PulseMultiplier,TimeZone,...
    ChannelID@IntervalChannelID="meter:channel"
    ContiguousIntervalSets/ContiguousIntervalSet@NumberOfReadings
      TimePeriod@StartTime,EndTime
      Readings/Reading@Value,StatusRef             interval values, the first begins at StartTime
    Readings/Reading@Value,ReadingTime,StatusRef   what registers showed
```

Attributes may stand in any order and elements in any namespace. `-1` is how a number says that it is not set.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta, tzinfo
from decimal import Decimal
from functools import lru_cache
from typing import BinaryIO, Final, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from lxml import etree

from mdus.contracts.printable import printable

ROOT: Final = "MeterReadingDocument"

#: The attributes under which a channel is named, as `meter:channel`; which one says what the meter's id is an id of.
ID_ATTRIBUTES: Final = ("IntervalChannelID", "ServicePointChannelID", "EndPointChannelID", "EndPointUOMID")

#: Before the number of a status of a reading that the document's own table does not explain.
UNEXPLAINED: Final = "#"

_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)", re.ASCII)
_WHOLE: Final = re.compile(r"\d{1,9}", re.ASCII)
_LONGEST: Final = 64  # characters of a number
_WATCHED: Final = [f"{{*}}{name}" for name in (ROOT, "ReadingStatusRef", "Channel")]

Codes = tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class IntervalSet:
    """Consecutive interval values: value i is of [start_at + i * interval, + interval), before the channel's factor.

    `values` are texts that are numbers, empty where there is none; `statuses` the status codes of each, in its order.
    """

    start_at: datetime
    values: tuple[str, ...]
    statuses: tuple[Codes, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class RegisterValue:
    """What a register showed, before the channel's factor."""

    read_at: datetime
    value: str
    statuses: Codes


@dataclass(frozen=True, kw_only=True, slots=True)
class Channel:
    """One channel of a meter with what the document has of it.

    `factor` makes the channel's unit of its values: the pulse multiplier where they are pulses, else 1.
    """

    line: int
    meter: str
    channel: str
    named_by: str  # one of ID_ATTRIBUTES
    is_register: bool
    market: str | None  # Electric, Gas, Water
    interval_minutes: int | None
    factor: Decimal
    dials: int | None
    sets: tuple[IntervalSet, ...] = ()
    readings: tuple[RegisterValue, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class SetAside:
    """A channel of which nothing is taken, or the rest of a document that breaks off: where, and why."""

    line: int
    reason: str


class _Unfit(ValueError):
    """Something in a channel that does not fit together."""


def channels(
    source: bytes | BinaryIO, *, zone: tzinfo, zones: Mapping[str, tzinfo] | None = None
) -> Iterator[Channel | SetAside]:
    """Yield the channels of a document, which may stand inside another one, such as an envelope.

    Times that say no offset are of the channel's TimeZone, a name of `zones` or of the IANA, else of `zone`. Raises
    ValueError when there is no such document; one that breaks off is told by a last `SetAside`.
    """
    reader = _Reader(zone, zones or {})
    inside = False
    held: list[Channel] = []  # those with a status that the table did not explain so far
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    events = etree.iterparse(
        file,
        events=("start", "end"),
        tag=_WATCHED,
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=True,
        remove_comments=True,
        remove_pis=True,
    )
    line = 1
    try:
        for event, element in events:
            name = etree.QName(element).localname
            if event == "start":
                if name == ROOT:
                    inside = True
                    if element.getroottree().docinfo.internalDTD is not None:
                        raise ValueError("a document type declaration is not taken")
                continue
            if not inside:
                continue
            if name == "ReadingStatusRef":
                reader.learn(element)
            elif name == "Channel":
                line = line_of(element)
                found = reader.read(element)
                _forget(element)
                if isinstance(found, Channel) and _is_unexplained(found):
                    held.append(found)
                else:
                    yield found
    except etree.XMLSyntaxError as error:
        if not inside:
            raise ValueError(f"the body is no XML: {error.msg}") from error
        yield from (reader.explained(channel) for channel in held)
        yield SetAside(line=error.lineno or line, reason=printable(f"the document breaks off: {error.msg}"))
        return
    if not inside:
        raise ValueError(f"there is no {ROOT} in it")
    yield from (reader.explained(channel) for channel in held)


def line_of(element: etree._Element) -> int:
    """Return the line an element begins in."""
    return cast("int | None", element.sourceline) or 1


def _forget(element: etree._Element) -> None:
    """Let go of an element that was read, and of what stands before it."""
    element.clear()
    parent = element.getparent()
    while parent is not None and element.getprevious() is not None:
        del parent[0]


class _Reader:
    """Reads channels by the table of statuses, as far as it was read."""

    def __init__(self, zone: tzinfo, zones: Mapping[str, tzinfo]) -> None:
        self._zone = zone
        self._zones = zones
        self._codes: dict[str, Codes] = {}

    def learn(self, element: etree._Element) -> None:
        """Take a row of the table of statuses."""
        number = element.get("Ref")
        if number is not None:
            self._codes[number] = _codes(element)

    def explained(self, channel: Channel) -> Channel:
        """Return a channel with the statuses that only a later part of the table explained."""
        sets = tuple(
            replace(each, statuses=tuple(self._explained(codes) for codes in each.statuses)) for each in channel.sets
        )
        readings = tuple(replace(each, statuses=self._explained(each.statuses)) for each in channel.readings)
        return replace(channel, sets=sets, readings=readings)

    def _explained(self, codes: Codes) -> Codes:
        if not codes or not codes[0].startswith(UNEXPLAINED):
            return codes
        return (*self._codes.get(codes[0].removeprefix(UNEXPLAINED), codes[:1]), *codes[1:])

    def read(self, element: etree._Element) -> Channel | SetAside:
        """Return a channel, or why nothing of it is taken."""
        line = line_of(element)
        named_by, name = _name(element)
        try:
            meter, channel = _parted(name)
            zone = self._zone_of(element)
            minutes = _count(element, "IntervalLength")
            sets = tuple(self._set(each, minutes, zone) for each in element.iterfind(".//{*}ContiguousIntervalSet"))
            readings = tuple(self._readings(element, zone))
            is_register = _flag(element, "IsRegister")
            return Channel(
                line=line,
                meter=meter,
                channel=channel,
                named_by=named_by,
                is_register=not sets if is_register is None else is_register,
                market=_text(element, "MarketType"),
                interval_minutes=minutes,
                factor=_factor(element),
                dials=_count(element, "NumberOfDials"),
                sets=sets,
                readings=readings,
            )
        except (_Unfit, OverflowError) as error:  # the latter of times beyond the calendar
            shown = printable(f"the channel {name or 'without a name'}: {error}")
            return SetAside(line=line, reason=shown)

    def _zone_of(self, element: etree._Element) -> tzinfo | str:
        """Return the zone of times without an offset, or the name of one that nobody knows."""
        name = _text(element, "TimeZone")
        if name is None:
            return self._zone
        return self._zones.get(name) or _zone(name) or name

    def _set(self, element: etree._Element, minutes: int | None, zone: tzinfo | str) -> IntervalSet:
        values = [each for readings in element.iterfind("{*}Readings") for each in readings]
        period = element.find("{*}TimePeriod")
        if period is None or minutes is None:
            missing = "TimePeriod" if period is None else "the channel's IntervalLength"
            raise _Unfit(f"{missing} is missing")
        told = _text(element, "NumberOfReadings")
        if told is not None and told != str(len(values)):
            raise _Unfit(f"NumberOfReadings is {told}, but there are {len(values)}")
        return IntervalSet(
            start_at=_start(period, len(values) * timedelta(minutes=minutes), zone),
            values=tuple([_number(each) for each in values]),
            statuses=tuple([self._statuses(each) for each in values]),
        )

    def _readings(self, element: etree._Element, zone: tzinfo | str) -> Iterator[RegisterValue]:
        for reading in element.iterfind("{*}Readings/{*}Reading"):
            text = reading.get("ReadingTime") or element.get("EndDate")
            if not text:
                raise _Unfit("a reading without ReadingTime, and the channel without EndDate")
            value = _number(reading)
            if value:
                yield RegisterValue(read_at=_instant(text, zone), value=value, statuses=self._statuses(reading))

    def _statuses(self, reading: etree._Element) -> Codes:
        number = reading.get("StatusRef")
        inside = _codes(reading) if len(reading) else ()
        if number is None:
            return inside
        return (*self._codes.get(number, (f"{UNEXPLAINED}{number}",)), *inside)


def _is_unexplained(channel: Channel) -> bool:
    told = {codes for each in channel.sets for codes in each.statuses} | {each.statuses for each in channel.readings}
    return any(codes and codes[0].startswith(UNEXPLAINED) for codes in told)


def _codes(element: etree._Element) -> Codes:
    return tuple(printable(text) for code in element.iterfind(".//{*}Code") if (text := (code.text or "").strip()))


def _name(element: etree._Element) -> tuple[str, str]:
    for ids in element.iterfind("{*}ChannelID"):
        for attribute in ID_ATTRIBUTES:
            text = _text(ids, attribute)
            if text is not None:
                return attribute, text
    return ID_ATTRIBUTES[0], ""


def _parted(name: str) -> tuple[str, str]:
    if not name:
        raise _Unfit(f"ChannelID: one of {', '.join(ID_ATTRIBUTES)} is expected")
    meter, _, channel = name.partition(":")
    if not meter:
        raise _Unfit(f"ChannelID: meter:channel is expected, found {name!r}")
    return meter, channel


def _text(element: etree._Element, name: str) -> str | None:
    text = (element.get(name) or "").strip()
    return printable(text) if text else None


def _flag(element: etree._Element, name: str) -> bool | None:
    text = _text(element, name)
    if text is None:
        return None
    if text.lower() not in ("true", "false", "1", "0"):
        raise _Unfit(f"{name} is {text!r}, neither true nor false")
    return text.lower() in ("true", "1")


def _count(element: etree._Element, name: str) -> int | None:
    text = _text(element, name)
    if text is None or text == "-1":
        return None
    if not _WHOLE.fullmatch(text) or int(text) == 0:
        raise _Unfit(f"{name} is {text!r}, not a whole number above zero")
    return int(text)


def _factor(element: etree._Element) -> Decimal:
    if not _flag(element, "ReadingsInPulse"):
        return Decimal(1)
    text = _text(element, "PulseMultiplier")
    if text is None or not _NUMBER.fullmatch(text) or len(text) > _LONGEST or Decimal(text) <= 0:
        raise _Unfit(f"the readings are pulses, but PulseMultiplier is {text!r}")
    return Decimal(text)


def _number(reading: etree._Element) -> str:
    text = reading.get("Value", "").strip()
    if text and (len(text) > _LONGEST or not _NUMBER.fullmatch(text)):
        raise _Unfit(f"Value is {text[:_LONGEST]!r}, not a number")
    return text


def _start(period: etree._Element, length: timedelta, zone: tzinfo | str) -> datetime:
    """Return when a period of that length begins; of an hour there is twice, the one that makes its ends fit."""
    begin, end = period.get("StartTime", ""), period.get("EndTime")
    if end is None:
        starts = _instants(begin, zone, is_end=False)
    else:
        # A begin that fits its end is known by it, though clocks are put forward at that moment, as at some midnights.
        ends = _instants(end, zone)
        starts = tuple(start for start in _instants(begin, zone) if start + length in ends)
    if not starts:
        raise _Unfit(f"the readings are of {length}, but TimePeriod is from {begin} to {end}")
    if len(starts) > 1:
        raise _Unfit(f"TimePeriod begins at {begin}, which is there twice, and fits both times")
    return starts[0]


def _instant(text: str, zone: tzinfo | str) -> datetime:
    """Return the instant of a time that is told alone; of two midnights the first, at which the day begins."""
    first, *others = _instants(text, zone)
    if others and datetime.fromisoformat(text.strip()).time() != time(0):
        raise _Unfit(f"the time {text} is there twice in its zone")
    return first


@lru_cache(maxsize=4096)
def _instants(text: str, zone: tzinfo | str, *, is_end: bool = True) -> tuple[datetime, ...]:
    """Return the instants a time may be: two in the hour that a zone has twice.

    Of the times that a zone leaves out the first is the moment at which clocks are put forward: an end, no begin.
    """
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise _Unfit(f"{text!r} is no time") from None
    if at.tzinfo is not None:
        return (at.astimezone(UTC),)
    if isinstance(zone, str):
        raise _Unfit(f"the time {text} is of the zone {zone!r}, which is not known")
    first, second = (at.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    # A time that a zone leaves out has two readings as well, but neither comes back as the same time.
    if _shown(first, zone) == at:
        return (first,) if first == second else (first, second)
    if is_end and _shown(first - timedelta.resolution, zone) == at - timedelta.resolution:
        return (first,)
    raise _Unfit(f"the time {text} does not exist in its zone")


def _shown(at: datetime, zone: tzinfo) -> datetime:
    return at.astimezone(zone).replace(tzinfo=None)


@lru_cache(maxsize=256)
def _zone(name: str) -> tzinfo | None:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, ZoneInfoNotFoundError):
        return None
