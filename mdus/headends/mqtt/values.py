"""What concentrators tell of meters, out of its JSON: register readings, blocks of interval values, events.

A channel told by its OBIS code is that channel, an event told by its EndDeviceEventType that event. Any other name is
looked up in the tables, and told as unmapped where they do not have it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Self

from mdus.domain.channel_map import ChannelMap
from mdus.domain.channel_name import OtherName
from mdus.domain.event_map import EventMap, event_code
from mdus.domain.head_end import FieldAlarm, FieldIntervals, FieldReading, Unmapped
from mdus.domain.obis import Obis, printed
from mdus.domain.quantities import NOTHING_SAID, Qualities
from mdus.domain.reading_type import times
from mdus.domain.unit import Units
from mdus.domain.unmapped import UnmappedSource
from mdus.headends import _members as members
from mdus.settings import HeadEnd as Row
from mdus.settings import Settings

#: What names of concentrators are of, in the tables' columns for names.
SOURCE: Final = "mqtt"

#: The scheme of names of events that belong to no protocol.
_ANYBODYS: Final = "name"

_QUALITY = re.compile(r"\d+\.\d+\.\d+", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class Channel:
    """What a name of a channel means: a told value times `factor` is in `unit`, or in the unit told (None)."""

    reading_type: str
    unit: str | None = None
    factor: Decimal = Decimal(1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Names:
    """What the tables make of the names that one head end tells, and is told."""

    channels: ChannelMap
    events: EventMap
    units: Units = field(default_factory=Units)

    @classmethod
    def of(cls, settings: Settings, row: Row) -> Self:
        """Return the names of a head end."""
        return cls(
            channels=ChannelMap.of(settings, head_end=row),
            events=EventMap.of(settings, head_end=row),
            units=Units.of(settings),
        )

    def channel(self, name: str, *, at: datetime) -> Channel | None:
        """Return the channel that a name meant at an instant, None where nobody says."""
        try:
            Obis.parse(name)
        except ValueError:
            found = self.channels.find(OtherName(SOURCE, name), at=at)
            if found is None:
                return None
            return Channel(reading_type=found.reading_type, unit=found.unit, factor=found.factor)
        return Channel(reading_type=printed(name))

    def name_of(self, reading_type: str, *, at: datetime) -> str:
        """Return what a concentrator calls a channel: the name that a row has, else its OBIS code.

        A name that is an OBIS code itself is never looked up when it is told, so it is not told either.
        """
        name = self.channels.to_name(SOURCE, reading_type, at=at) or reading_type
        told = self.channel(name, at=at)
        return name if told is not None and told.reading_type == printed(reading_type) else reading_type

    def event(self, code: str, *, at: datetime) -> str | None:
        """Return the event that a code meant at an instant, None where nobody says."""
        found = self.events.by_iec(code, at=at) or self.events.find(SOURCE, code, at=at)
        return found or self.events.find(_ANYBODYS, code, at=at)


def readings(content: Mapping[str, Any], serial: str, names: Names) -> Iterator[FieldReading | Unmapped]:
    """Read the register readings of a message; of a register that had no value nothing is told."""
    for number, row in enumerate(members.optional_list(content, "reads", "")):
        where = f"reads[{number}]"
        value = members.optional_quantity(members.of_row(row, where), "value", where)
        if value is None:
            continue
        name, at = members.text(row, "obis", where), members.instant(row, "ts", where)
        unit = members.optional_text(row, "unit", where)
        channel = names.channel(name, at=at)
        if channel is None:
            yield _unmapped_channel(serial, name, at=at, value=format(value, "f"), unit=unit)
            continue
        yield FieldReading(
            serial_id=serial,
            reading_type=channel.reading_type,
            measured_at=at,
            value=times(value, channel.factor),
            unit=channel.unit or unit,
        )


def intervals(content: Mapping[str, Any], serial: str, names: Names) -> Iterator[FieldIntervals | Unmapped]:
    """Read the blocks of interval values of a message."""
    for number, row in enumerate(members.optional_list(content, "blocks", "")):
        where = f"blocks[{number}]"
        values = members.quantities(row, "values", where)
        if not len(values):
            raise ValueError(f"{where}.values is empty")
        name, start_at = members.text(row, "obis", where), members.instant(row, "start", where)
        unit, minutes = members.optional_text(row, "unit", where), members.minutes(row, "minutes", where)
        qualities = _qualities(row, where, count=len(values))
        channel = names.channel(name, at=start_at)
        if channel is None:
            text = f"{len(values)} intervals of {minutes} minutes"
            yield _unmapped_channel(serial, name, at=start_at, value=None, unit=unit, text=text)
            continue
        yield FieldIntervals(
            serial_id=serial,
            reading_type=channel.reading_type,
            unit=channel.unit or unit,
            interval_minutes=minutes,
            start_at=start_at,
            values=values if channel.factor == 1 else values.times(channel.factor),
            qualities=qualities,
        )


def alarms(content: Mapping[str, Any], serial: str, names: Names) -> Iterator[FieldAlarm | Unmapped]:
    """Read the events of a message."""
    for number, row in enumerate(members.whole_list(content, "events", "")):
        where = f"events[{number}]"
        code, at = members.text(row, "code", where), members.instant(row, "ts", where)
        text = members.optional_text(row, "text", where)
        event_type = names.event(code, at=at)
        if event_type is None:
            yield Unmapped(
                serial_id=serial, source=UnmappedSource.EVENT.value, code=event_code(SOURCE, code), at=at, text=text
            )
            continue
        yield FieldAlarm(
            serial_id=serial,
            event_type=event_type,
            at=at,
            source_id=members.optional_text(row, "id", where),
            text=text,
            properties=_properties(row, where),
        )


def _unmapped_channel(
    serial: str, name: str, *, at: datetime, value: str | None, unit: str | None, text: str | None = None
) -> Unmapped:
    code = str(OtherName(SOURCE, name))
    return Unmapped(
        serial_id=serial, source=UnmappedSource.CHANNEL.value, code=code, at=at, value=value, unit=unit, text=text
    )


def _qualities(row: Any, where: str, *, count: int) -> Qualities:
    codes = members.optional_list(row, "q", where)
    if codes and len(codes) != count:
        raise ValueError(f"{where}.q has {len(codes)} codes for {count} values")
    for at, code in enumerate(codes):
        if code is not None and not (isinstance(code, str) and _QUALITY.fullmatch(code)):
            raise ValueError(f"{where}.q[{at}] is {code!r}, not a code system.category.index")
    return Qualities.of(codes) if any(codes) else NOTHING_SAID


def _properties(row: Any, where: str) -> tuple[tuple[str, str], ...]:
    properties = members.member(row, "props", where)
    if properties is None:
        return ()
    inside = members.path("props", where)
    return tuple(
        (name, members.optional_text(properties, name, inside) or "") for name in members.of_row(properties, inside)
    )
