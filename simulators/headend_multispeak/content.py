"""What meters are and tell, as elements of both versions: readings, interval values, logs, positions, errors."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from simulators.fleet.meters import CONNECTED, DISCONNECTED, Meter
from simulators.headend_multispeak.wire import Element, Version, element

Row = dict[str, Any]

#: What channels are called, by OBIS code: fieldName and units; a tariff is its number behind it.
_FIELDS = {
    "1-0:1.8.0*255": ("posKWh", "kWh", None),
    "1-0:1.8.1*255": ("posKWh", "kWh", "1"),
    "1-0:1.8.2*255": ("posKWh", "kWh", "2"),
    "1-0:2.8.0*255": ("negKWh", "kWh", None),
    "1-0:1.29.0*255": ("kWh", "kWh", None),
    "1-0:2.29.0*255": ("negKWh", "kWh", None),
    "7-0:3.0.0*255": ("volume", "cubic meter", None),
    "8-0:1.0.0*255": ("volume", "cubic meter", None),
    "7-0:3.29.0*255": ("volume", "cubic meter", None),
    "8-0:1.29.0*255": ("volume", "cubic meter", None),
}
_SERVICES = {"1": "Electric", "7": "Gas", "8": "Water"}
_SERVICE_OF = {"electricity": "Electric", "gas": "Gas", "water": "Water"}
_KEPT = {
    "electricity": ("electricMeters", "electricMeter"),
    "gas": ("gasMeters", "gasMeter"),
    "water": ("waterMeters", "waterMeter"),
}
_VALUE_TYPES = {"posKWh": "Energy", "negKWh": "Negative Energy"}

#: Why a meter was refused or failed, in the words of this head end.
TEXTS = {
    "UNKNOWN_METER": "Unknown meter",
    "NOT_PROVISIONED": "Meter is not provisioned",
    "REGISTER_MISMATCH": "Register mismatch: the meter has no such register",
    "NO_BREAKER": "Meter has no remote disconnect switch",
    "NOT_SUPPORTED": "Method is not supported by this meter",
    "BUSY": "Meter is busy with another request",
    "NO_RESPONSE": "No response from meter",
    "RELAY_STUCK": "Relay stuck",
    "LOW_CREDIT": "Insufficient credit",
    "LOAD_SIDE_VOLTAGE": "Load side voltage detected",
    "DISCONNECT_REFUSED": "Disconnect refused: medical equipment",
    "NO_DATA": "No data for the requested period",
    "EXPIRED": "Request expired",
}

#: What interval values with a quality are marked with.
_STATUSES = {"2.5.259": "missing", "1.2.32": "powerFailure", "2.8.0": "estimated"}

#: eventCode of the history log; what meters tell that has no code of its own there is told by the nearest.
_LOGGED = {
    "26.0.85": "Primary power down",
    "26.0.216": "Primary power up",
    "26.79.223": "Low loss potential detected",
    "12.29.39": "Tamper attempt detected",
    "12.66.257": "Tamper attempt detected",
    "12.0.257": "Tamper attempt detected",
    "7.0.24": "Meter reprogrammed",
    "36.0.24": "Time changed, new time",
    "2.22.150": "Low battery detected",
}
READ_ACCESS = "Meter accessed for read"


def errors(version: Version, result: str, rejected: Iterable[Mapping[str, str]], *, at: str) -> Element:
    """This will make an ArrayOfErrorObject: empty where nothing was refused."""
    found, stamped = [], version.times.said(at)
    for each in rejected:
        text = TEXTS.get(each["code"], each["code"])
        said = None if version.is_3 else text
        found.append(
            element("errorObject", said, objectID=each["serial"], errorString=text, nounType="meter", eventTime=stamped)
        )
    return element(result, *found)


def meter_reads(version: Version, rows: Sequence[Row], refusals: Mapping[str, str] | None = None) -> list[Element]:
    """This will make one meterRead or meterReading for each meter and instant, and for each meter that failed."""
    made = []
    for (serial, at), some in groupby(rows, key=lambda row: (row["serial"], row["at"])):
        made.append(_meter_read(version, serial, at, list(some)))
    for serial, text in (refusals or {}).items():
        name = "meterRead" if version.is_3 else "meterReading"
        made.append(element(name, *version.meter(serial), objectID=serial, verb="New", errorString=text))
    return made


def _meter_read(version: Version, serial: str, at: str, rows: Sequence[Row]) -> Element:
    service = _SERVICES[rows[0]["obis"][0]]
    values, tariffs, whole = [], [], []
    for row in rows:
        field, unit, tariff = _FIELDS[row["obis"]]
        if version.is_3 and tariff is not None:
            tariffs.append(element("TOUReading", element("ratePeriod", tariff), element("kWh", row["value"])))
            continue
        if version.is_3 and field in _VALUE_TYPES:
            whole.append(element(field, row["value"].partition(".")[0]))
        values.append(_value(version, row, field, unit, tariff))
    named = {"objectID": serial, "verb": "New"}
    if not version.is_3:
        inside = [*version.meter(serial, service), element("readingValues", *values)]
        return element("meterReading", *inside, **named)
    return element(
        "meterRead",
        *version.meter(serial),
        element("readingDate", version.times.said(at)),
        *whole,
        element("TOUReadings", *tariffs) if tariffs else None,
        element("readingValues", *values),
        serviceType=service,
        **named,
    )


def _value(version: Version, row: Row, field: str, unit: str, tariff: str | None) -> Element:
    if version.is_3:
        kind = _VALUE_TYPES.get(field, "Other")
        return element(
            "readingValue",
            element("units", unit),
            element("value", row["value"]),
            element("readingValueType", kind),
            element("dateTime", version.times.said(row["at"])),
            element("fieldName", field),
        )
    return element(
        "readingValue",
        element("units", unit),
        element("value", row["value"]),
        element("ratePeriod", tariff) if tariff else None,
        element("fieldName", field),
        element("timeStamp", version.times.said(row["at"])),
    )


def formatted_block(version: Version, rows: Sequence[Row]) -> Element:
    """This will make a formatted block, a line for each meter and instant; its columns are in no obvious order."""
    names = list(dict.fromkeys(row["obis"] for row in rows))
    columns = [("readingDate", ""), *((_column(obis), _FIELDS[obis][1]) for obis in names), ("meterNo", "")]
    columns.insert(1, ("serviceType", ""))
    items = [
        element("syntaxItem", element("fieldName", name), element("position", str(at)), element("uom", unit))
        for at, (name, unit) in reversed(list(enumerate(columns, 1)))
    ]
    lines = []
    for (serial, at), some in groupby(rows, key=lambda row: (row["serial"], row["at"])):
        told = {row["obis"]: row["value"] for row in some}
        service = _SERVICES[next(iter(told))[0]]
        values = [told.get(obis, "") for obis in names]
        lines.append(element("val", "|".join([version.times.said(at), service, *values, serial])))
    return element(
        "changedMeterReads",
        element("separator", "|"),
        element("contentNounType", "meterRead"),
        element("valSyntax", *items),
        element("valueList", *lines),
    )


def _column(obis: str) -> str:
    """This will name a column: one of a tariff by its OBIS code, for a block has no other word for it."""
    field, _, tariff = _FIELDS[obis]
    return field if tariff is None else obis.replace("-", ".").replace(":", ".").replace("*", ".")


def interval_data(version: Version, name: str, blocks: Sequence[Row]) -> Element:
    """This will make intervalData of blocks: a profile for each channel, as meters of one kind have one each."""
    channels = list(dict.fromkeys((block["obis"], block["interval_minutes"]) for block in blocks))
    profiles = []
    for number, (obis, minutes) in enumerate(channels, 1):
        field, unit, _ = _FIELDS[obis]
        channel = element("channel", element("index", "1"), element("fieldName", field), element("units", unit))
        inside = [element("intervalLength", str(float(minutes))), element("channels", channel)]
        profiles.append(element("profile", element("name", field), *inside, profileID=f"p{number}"))
    made = [
        _block(version, block, f"p{channels.index((block['obis'], block['interval_minutes'])) + 1}") for block in blocks
    ]
    return element(
        name,
        element("statusDelimiter", "|"),
        element("intervalDelimiter", ","),
        element("profiles", *profiles),
        element("blocks", *made),
    )


def _block(version: Version, block: Row, profile: str) -> Element:
    service = _SERVICES[block["obis"][0]]
    qualities = block.get("quality") or [None] * len(block["values"])
    marked = [
        (value or "") + (f"|{_STATUSES[quality]}" if quality else "")
        for value, quality in zip(block["values"], qualities, strict=True)
    ]
    who = version.meter(block["serial"], service)
    if version.is_3:
        who.append(element("serviceType", service))
    data = element("ch", element("idx", "1"), element("d", ",".join(marked)))
    return element(
        "block",
        element("profileID", profile),
        *who,
        element("intervalStart", version.times.said(block["start"])),
        element("dB", element("chs", data)),
    )


def history_logs(version: Version, events: Sequence[Row]) -> list[Element]:
    """This will make a history log for each meter of these events."""
    logs = []
    for serial, some in groupby(sorted(events, key=lambda row: str(row["serial"])), key=lambda row: row["serial"]):
        entries = []
        for row in some:
            said = row.get("said") or _LOGGED.get(row["code"].partition(".")[2], row["text"] or row["code"])
            stamped = element("dateTime", version.times.said(row["at"]))
            entries.append(element("event", stamped, element("eventCode", said)))
        who = element("meterID", serial) if version.is_3 else version.meter(serial)[0]
        logs.append(element("historyLog", who, element("eventList", *entries), objectID=serial))
    return logs


def meter_event(version: Version, row: Row) -> Element:
    """This will make an eventInstance of 4.1."""
    event = element("meterEvent", row["text"], codeString=row["code"])
    stamped = element("timeStamp", version.times.said(row["at"]))
    return element("eventInstance", *version.meter(row["serial"]), event, stamped, objectID=row["event_id"])


def outage_event(version: Version, serial: str, kind: str, at: str, *, object_id: str | None = None) -> Element:
    """This will make an outageDetectionEvent that a meter told."""
    prefix = "outageDetect" if version.is_3 else "outageDetection"
    return element(
        "outageDetectionEvent",
        element("eventTime", version.times.said(at)),
        element("outageEventType", kind),
        element(f"{prefix}DeviceID", serial),
        element(f"{prefix}DeviceType", "Meter"),
        element("outageLocation", *version.meter(serial)),
        objectID=object_id,
    )


def position(version: Version, state: str | None) -> str:
    """This will name the position of a breaker."""
    return {CONNECTED: "Closed", DISCONNECTED: "Open" if version.is_3 else "Opened"}.get(state or "", "Unknown")


def meter(version: Version, each: Meter) -> Element:
    """This will make a meter of the registry, with what the client added when it told of it."""
    registers = " ".join(str(row["obis"]) for row in each.provisioned_registers or ())
    added = {"deviceID": each.device_id or "", "registers": registers}
    items = [
        element("extensionsItem", element("extName", name), element("extValue", value), element("extType", "string"))
        for name, value in added.items()
    ]
    inside = [
        element("extensionsList", *items),
        element("meterNo", each.serial),
        element("serialNumber", each.serial),
        element("meterType", each.material),
    ]
    status = None if each.breaker is None else "Connected" if each.breaker.state == CONNECTED else "Disconnected"
    if status is not None:
        inside.append(element("meterConnectionStatus", status))
    name = "meter" if version.is_3 else _KEPT[each.commodity][1]
    return element(name, *inside, objectID=each.serial)


def meters(version: Version, result: str, some: Sequence[Meter]) -> Element:
    """This will make a page of the registry; 4.1 keeps meters apart by what they measure."""
    if version.is_3:
        return element(result, *(meter(version, each) for each in some))
    parts = []
    for commodity, (kept, _) in _KEPT.items():
        of_it = [meter(version, each) for each in some if each.commodity == commodity]
        if of_it:
            parts.append(element(kept, *of_it))
    return element(result, *parts)
