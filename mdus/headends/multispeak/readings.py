"""What meters showed, out of meterRead (3.0), meterReading (4.1) and formattedBlock.

A value with its decimals (readingValue) goes before the whole number beside it (posKWh). What cannot be read costs its
meter alone: it is told as an unreadable line, the others go on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from lxml import etree

from mdus.domain.channel_name import MultiSpeakName
from mdus.domain.head_end import FieldReading, Unmapped, UnreadableLine
from mdus.headends.multispeak import soap
from mdus.headends.multispeak.mapping import Tables

#: Elements of a meterRead that are values of their own, with their unit.
_ELEMENTS: Final[Mapping[str, str]] = {"posKWh": "kWh", "negKWh": "kWh", "kW": "kW", "kVAr": "kVAR"}

#: Fields of a formatted block that say of what meter and which instant a row is.
_METER_FIELDS: Final = ("meterno", "meterid", "meternumber")
_TIME_FIELDS: Final = ("readingdate", "datetime", "timestamp", "readdatetime", "readingdatetime")
_ERROR_FIELDS: Final = ("errorstring",)
_SERVICE_FIELDS: Final = ("servicetype",)


@dataclass(frozen=True, kw_only=True, slots=True)
class MeterRead:
    """What one meter showed, or why it did not; `at` is the latest instant of it."""

    serial: str
    at: datetime | None = None
    error: str | None = None
    readings: tuple[FieldReading, ...] = ()
    unmapped: tuple[Unmapped, ...] = ()

    def with_more(self, other: MeterRead) -> MeterRead:
        """Return what the meter showed by both; an error counts where neither shows anything."""
        readings = self.readings + other.readings
        latest = [each for each in (self.at, other.at) if each is not None]
        return replace(
            self,
            at=max(latest, default=None),
            error=None if readings else self.error or other.error,
            readings=readings,
            unmapped=self.unmapped + other.unmapped,
        )


def serial_of(element: etree._Element) -> str | None:
    """Return the number of the meter an element is about, in whichever way it says so."""
    told = soap.child(element, "meterID")
    inside = soap.attribute(told, "meterNo") or soap.text(told, "meterNo")
    return soap.text(element, "meterNo") or inside or soap.own_text(told)


def service_of(element: etree._Element) -> str:
    """Return the serviceType of what a meter tells, wherever it stands; empty where it does not."""
    told = soap.attribute(soap.child(element, "meterID"), "serviceType") or soap.text(element, "serviceType")
    return told or soap.attribute(element, "serviceType") or ""


def by_meter(reads: Sequence[MeterRead]) -> dict[str, MeterRead]:
    """Return what each meter showed by all that was told of it."""
    together: dict[str, MeterRead] = {}
    for each in reads:
        known = together.get(each.serial)
        together[each.serial] = each if known is None else known.with_more(each)
    return together


@dataclass(kw_only=True, slots=True)
class _Gathered:
    """The readings of one meterRead, of each channel the first."""

    serial: str
    tables: Tables
    readings: dict[tuple[str, datetime], FieldReading] = field(default_factory=dict)
    unmapped: list[Unmapped] = field(default_factory=list)

    def add(self, name: MultiSpeakName, value: str, at: datetime, where: str) -> None:
        """Take a value of a channel, unless one with more decimals is there."""
        number = soap.decimal(value, where)
        found = self.tables.channel(name, at=at)
        if found is None:
            self.unmapped.append(
                Unmapped(serial_id=self.serial, source="channel", code=str(name), at=at, value=value, unit=name.unit)
            )
            return
        reading = FieldReading(
            serial_id=self.serial,
            reading_type=found.reading_type,
            measured_at=at,
            value=found.value(number),
            unit=found.unit or None,
        )
        self.readings.setdefault((found.reading_type, at), reading)


class ReadingsReader:
    """Reads what one head end tells of registers."""

    def __init__(self, tables: Tables, *, zone: str) -> None:
        self._tables = tables
        self._zone = zone

    def meter_reads(self, message: etree._Element) -> Iterator[MeterRead | UnreadableLine]:
        """Yield what is told of meters anywhere in a message."""
        for each in soap.everywhere(message, "meterRead", "meterReading"):
            yield self._careful(each)
        for each in soap.everywhere(message, "valSyntax"):
            block = each.getparent()
            if block is not None:
                yield from self._formatted(block)

    def _careful(self, element: etree._Element) -> MeterRead | UnreadableLine:
        try:
            return self._meter_read(element)
        except ValueError as error:
            return UnreadableLine(line=soap.line(element), reason=f"{soap.local(element)}: {error}")

    def _meter_read(self, element: etree._Element) -> MeterRead:
        serial = serial_of(element) or soap.attribute(element, "objectID") or soap.text(element, "deviceID")
        if serial is None:
            raise ValueError("it names no meter")
        gathered = _Gathered(serial=serial, tables=self._tables)
        told_at = soap.text(element, "readingDate", "timeStamp", "dateTime")
        read_at = None if told_at is None else self._instant(told_at, "readingDate")
        phase, service = soap.text(element, "phase") or "", service_of(element)
        for value in soap.everywhere(element, "readingValue"):
            self._reading_value(gathered, value, read_at, phase=phase, service=service)
        for name, unit in _ELEMENTS.items():
            text = soap.text(element, name)
            if text is not None:
                gathered.add(MultiSpeakName(field=name, unit=unit), text, _known(read_at), name)
        for rate in soap.everywhere(element, "TOUReading"):
            period = soap.text(rate, "ratePeriod") or ""
            for name, channel, unit in (("kWh", "posKWh", "kWh"), ("kW", "kW", "kW")):
                text = soap.text(rate, name)
                if text is not None:
                    gathered.add(MultiSpeakName(field=channel, unit=unit, tou=period), text, _known(read_at), name)
        return _read(gathered, read_at, soap.attribute(element, "errorString"))

    def _reading_value(
        self, gathered: _Gathered, element: etree._Element, read_at: datetime | None, *, phase: str, service: str
    ) -> None:
        value = soap.text(element, "value")
        if value is None:
            return
        stamped = soap.text(element, "dateTime", "timeStamp")
        at = _known(read_at) if stamped is None else self._instant(stamped, "readingValue.dateTime")
        kind = soap.child(element, "readingTypeCode")
        name = MultiSpeakName(
            field=soap.text(element, "fieldName") or soap.text(element, "name") or "",
            value_type=soap.text(element, "readingValueType") or soap.text(element, "readingType") or "",
            unit=soap.text(element, "units") or "",
            phase=soap.attribute(kind, "phaseIndex") or phase,
            tou=soap.text(element, "ratePeriod") or "",
            service=service,
            code=soap.own_text(kind) or "",
        )
        gathered.add(name, value, at, "readingValue.value")

    def _formatted(self, block: etree._Element) -> Iterator[MeterRead | UnreadableLine]:
        """Yield the rows of a formatted block: which text is what, its syntax says by positions."""
        separator = soap.text(block, "separator") or _raw(soap.child(block, "separator")) or ","
        try:
            fields = _fields(soap.child(block, "valSyntax"))
        except ValueError as error:
            yield UnreadableLine(line=soap.line(block), reason=f"formattedBlock: {error}")
            return
        for each in soap.everywhere(soap.child(block, "valueList"), "val"):
            try:
                yield self._row(fields, [text.strip() for text in (soap.own_text(each) or "").split(separator)])
            except ValueError as error:
                yield UnreadableLine(line=soap.line(each), reason=f"val: {error}")

    def _row(self, fields: Mapping[int, tuple[str, str]], texts: Sequence[str]) -> MeterRead:
        told = {fields[at][0].casefold(): text for at, text in enumerate(texts) if at in fields and text}
        serial = _first(told, _METER_FIELDS)
        if serial is None:
            raise ValueError("it names no meter")
        gathered = _Gathered(serial=serial, tables=self._tables)
        stamped = _first(told, _TIME_FIELDS)
        at = None if stamped is None else self._instant(stamped, "readingDate")
        service = _first(told, _SERVICE_FIELDS) or ""
        rest = (*_METER_FIELDS, *_TIME_FIELDS, *_ERROR_FIELDS, *_SERVICE_FIELDS)
        for place, text in enumerate(texts):
            name, unit = fields.get(place, ("", ""))
            if text and name and name.casefold() not in rest:
                gathered.add(MultiSpeakName(field=name, unit=unit, service=service), text, _known(at), name)
        return _read(gathered, at, _first(told, _ERROR_FIELDS))

    def _instant(self, text: str, where: str) -> datetime:
        return soap.instant(text, where, zone=self._zone)


def _read(gathered: _Gathered, at: datetime | None, error: str | None) -> MeterRead:
    readings = tuple(gathered.readings.values())
    return MeterRead(
        serial=gathered.serial,
        at=max((each.measured_at for each in readings), default=at),
        error=error,
        readings=readings,
        unmapped=tuple(gathered.unmapped),
    )


def _fields(syntax: etree._Element | None) -> dict[int, tuple[str, str]]:
    """Return names and units by place from 0 on; positions may be counted from 0 or from 1."""
    told = []
    for each in soap.everywhere(syntax, "syntaxItem"):
        position, name = soap.text(each, "position"), soap.text(each, "fieldName")
        if position is None or not position.isdigit() or name is None:
            raise ValueError(f"a syntaxItem has the position {position!r} and the fieldName {name!r}")
        told.append((int(position), name, soap.text(each, "uom") or ""))
    if len({position for position, _, _ in told}) != len(told) or not told:
        raise ValueError("valSyntax names no positions, or one twice")
    first = 0 if any(position == 0 for position, _, _ in told) else 1
    return {position - first: (name, unit) for position, name, unit in told}


def _first(told: Mapping[str, str], names: Sequence[str]) -> str | None:
    return next((told[name] for name in names if name in told), None)


def _known(at: datetime | None) -> datetime:
    if at is None:
        raise ValueError("it says not when it was read")
    return at


def _raw(element: etree._Element | None) -> str | None:
    """Return a separator that is white space, such as a tab."""
    return None if element is None else element.text or None
