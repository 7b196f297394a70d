"""EndDeviceEvents: what meters tell of themselves, by codes `device type.domain.sub-domain.event`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lxml import etree

from mdus.domain.event_map import IEC, EventMap, event_code
from mdus.domain.head_end import FieldAlarm, FieldEvent, Heard, Unmapped, UnreadableLine
from mdus.headends.cim import elements
from mdus.headends.cim.naming import serial_of
from mdus.headends.cim.options import CimOptions

#: Where the meter of an event may be named.
_METERS: Final = ("Assets", "EndDevice", "Meter")


class EndDeviceEventsReader:
    """Reads payloads of EndDeviceEvents as one head end writes them."""

    def __init__(self, options: CimOptions, events: EventMap) -> None:
        self._options = options
        self._codes = events
        self._zone = options.zone_of_local_times

    def read(self, payload: etree._Element) -> Iterator[FieldEvent]:
        """Yield the events of a payload; one that cannot be read costs the others nothing."""
        for each in elements.children(payload, "EndDeviceEvent"):
            yield from self.event(each)

    def event(self, element: etree._Element, *, serial_id: str | None = None) -> Iterator[FieldEvent]:
        """Yield what one event tells: an alarm, a sign of life, or a code that is none."""
        try:
            yield self._event(element, serial_id)
        except ValueError as error:
            yield UnreadableLine(line=elements.line(element), reason=str(error))

    def _event(self, element: etree._Element, serial_id: str | None) -> FieldEvent:
        serial = serial_id or self._meter(element)
        if serial is None:
            raise ValueError("an event names no meter")
        at = elements.optional_instant(element, "createdDateTime", zone=self._zone)
        if at is None:
            raise ValueError(f"an event of {serial} has no createdDateTime")
        told = elements.ref(element, "EndDeviceEventType") or ""
        words = elements.text(element, "reason") or elements.text(element, "status", "reason")
        code = self._codes.by_iec(told, at=at)
        if code is None:
            return Unmapped(serial_id=serial, source="event", code=event_code(IEC, told), at=at, text=words)
        if code.partition(".")[2] in self._options.heard_events:
            return Heard(serial_id=serial, at=at)
        return FieldAlarm(
            serial_id=serial,
            event_type=code,
            at=at,
            source_id=elements.text(element, "mRID"),
            text=words,
            properties=tuple(self._details(element)),
        )

    def _meter(self, element: etree._Element) -> str | None:
        found = (elements.child(element, name) for name in _METERS)
        return next((name for each in found if each is not None and (name := serial_of(each, self._options))), None)

    @staticmethod
    def _details(element: etree._Element) -> Iterator[tuple[str, str]]:
        for each in elements.children(element, "EndDeviceEventDetails"):
            name = elements.text(each, "name")
            if name is not None:
                yield name, elements.text(each, "value") or ""
