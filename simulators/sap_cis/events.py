"""The customizing of smart meter events in this SAP, and what it finds wrong with one that MDUS sends.

The types are what this SAP and the MDUS beside it have agreed on: those below 1000 tell of meters, the others of what
MDUS could not do. SAP confirms an event only if the customizing of its type says so.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from lxml import etree

from simulators.sap_cis import checks
from simulators.sap_cis.checks import Finding, text
from simulators.sap_cis.view import View

_SEVERITIES = ("1", "2", "3", "4")
_ORIGINS = ("01", "02")  # the meter, the MDUS


@dataclass(frozen=True, kw_only=True, slots=True)
class EventType:
    """What SAP expects of one type: its category; whether it tells of a meter in service, or of what MDUS failed to do
    (then the meter may not be registered, or there is none); the codes of its properties."""

    name: str
    category: str
    of_meter: bool = True
    properties: tuple[str, ...] = ("TEXT",)


#: TypeCode -> what it is.
EVENT_TYPES = {
    "0100": EventType(name="power failed", category="0002"),
    "0101": EventType(name="power restored", category="0002"),
    "0110": EventType(name="voltage sag", category="0002"),
    "0111": EventType(name="voltage swell", category="0002"),
    "0200": EventType(name="tampering", category="0001", properties=("TEXT", "IECT")),
    "0201": EventType(name="cover opened", category="0001"),
    "0202": EventType(name="magnetic tampering", category="0001"),
    "0203": EventType(name="reverse rotation", category="0001"),
    "0300": EventType(name="battery low", category="0003"),
    "0400": EventType(name="breaker connected", category="0004"),
    "0401": EventType(name="breaker disconnected", category="0004"),
    "1000": EventType(name="location failed", category="0009", of_meter=False),
    "1001": EventType(name="message failed", category="0009", of_meter=False),
    "1002": EventType(name="no reading", category="0009", of_meter=False),
    "1003": EventType(name="breaker's position unknown", category="0009", of_meter=False),
    "1004": EventType(name="breaker contradicts its order", category="0009", of_meter=False),
    "1005": EventType(name="confirmation not delivered", category="0009", of_meter=False),
    "1006": EventType(name="storm of events", category="0009", of_meter=False),
    "1007": EventType(name="breaker moved by another's order", category="0009", of_meter=False),
    "1008": EventType(name="reading contradicts what was sent", category="0009", of_meter=False),
}

#: Defects for which SAP cannot book an event.
UNBOOKABLE = ("event_type_unknown", "event_unknown_device", "event_twice")


def chosen_types(names: str) -> frozenset[str]:
    """This will read a list `0100,1002`, or `all`, of types SAP confirms; ValueError names what is unknown."""
    wanted = {name.strip() for name in names.split(",") if name.strip()}
    if "all" in wanted:
        return frozenset(EVENT_TYPES)
    if unknown := sorted(wanted - EVENT_TYPES.keys()):
        raise ValueError(f"unknown event types {', '.join(unknown)}; known are {', '.join(EVENT_TYPES)}")
    return frozenset(wanted)


def event_findings(event: etree._Element | None, view: View, *, now: datetime, zone: ZoneInfo) -> Iterator[Finding]:
    """This will judge `UtilitiesSmartMeterEvent` of a message that came at `now`; `zone` is that of SAP's dates."""
    event_id = text(event, "ID")
    if event is None or not event_id:
        return  # the schema has said so
    if (before := view.events.get(event_id)) is not None:
        yield "event_twice", f"{event_id} is known with type {before.type}"
    at = text(event, "DateTime") or ""
    yield from checks.instant_findings(at, where="DateTime", now=now, future="event_in_future")
    type_code = text(event, "TypeCode") or ""
    kind = EVENT_TYPES.get(type_code)
    if kind is None:
        yield "event_type_unknown", f"TypeCode {type_code}"
    elif (category := text(event, "CategoryCode")) != kind.category:
        yield "event_category_differs", f"{category} instead of {kind.category}"
    if (severity := text(event, "SeverityCode")) not in _SEVERITIES:
        yield "event_severity_unknown", f"SeverityCode {severity}"
    if (origin := text(event, "OriginTypeCode")) not in (None, *_ORIGINS):
        yield "event_origin_unknown", f"OriginTypeCode {origin}"
    yield from _property_findings(event, kind)
    yield from _device_findings(event, kind, view, at=checks.utc(at), zone=zone)


def _property_findings(event: etree._Element, kind: EventType | None) -> Iterator[Finding]:
    for found in event.iterfind("Property"):
        code = text(found, "Code") or ""
        if kind is not None and code not in kind.properties:
            yield "event_property_unknown", f"{code} of {kind.name}"
        value = found.find("ObjectPropertyValue")
        if value is None or not len(value):
            yield "event_property_empty", code


def _device_findings(
    event: etree._Element, kind: EventType | None, view: View, *, at: datetime | None, zone: ZoneInfo
) -> Iterator[Finding]:
    of_meter = kind is None or kind.of_meter
    device_id = text(event, "UtilitiesDeviceID")
    if device_id is None:
        if of_meter:
            yield "event_without_device", f"TypeCode {text(event, 'TypeCode')}"
        return
    device = view.devices.get(device_id)
    if device is None:
        yield "event_unknown_device", device_id
        return
    if not of_meter:
        return
    if not device.registered:
        yield "event_before_registration", device_id
    if at is not None and at.astimezone(zone).date() < date.fromisoformat(device.start_on):
        yield "event_before_register", f"{at:%Y-%m-%d}, its registers begin on {device.start_on}"
