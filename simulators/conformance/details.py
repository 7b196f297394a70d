"""What an item must say beyond its log: echoes of what was asked, times, values, intervals. Pure; one function each."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from itertools import pairwise

from lxml import etree

from simulators.conformance.subjects import Subject, World
from simulators.conformance.verdicts import Finding
from simulators.conformance.writing import Content
from simulators.sap_cis.checks import TOLERANCE, overall_code, reading_instants, text, utc

_SWITCH = "UtilitiesConnectionStatusChangeRequest"
_TASK = "UtiltiesMeasurementTask"  # SAP's spelling


def same(expected: str, came: str | None, *, what: str) -> Iterator[Finding]:
    """This will compare two texts exactly."""
    if came != expected:
        yield Finding(expected=f"{what} {expected}", came=came or "none")


def switched(item: etree._Element, asked: Content) -> Iterator[Finding]:
    """This will judge the confirmation of a connection order: category, devices, instants, codes."""
    wanted = asked[_SWITCH]
    yield from same(wanted["CategoryCode"], text(item, f"{_SWITCH}/CategoryCode"), what="CategoryCode")
    code = text(item, "Log/BusinessDocumentProcessingResultCode")
    statuses = item.findall(f"{_SWITCH}/DeviceConnectionStatus")
    devices = [text(status, "UtilitiesDeviceID") for status in statuses]
    listed = [device["UtilitiesDeviceID"] for device in wanted["DeviceConnectionStatus"]]
    if devices != listed and (devices or code != "5"):
        yield Finding(expected=f"the devices {', '.join(listed)}", came=", ".join(map(str, devices)) or "none")
    results = [text(status, "UtilitiesDeviceConnectionStatusProcessingResultCode") for status in statuses]
    if any(result not in ("1", "2") for result in results):
        yield Finding(expected="1 or 2 per device", came=", ".join(map(str, results)))
    elif results and code != (overall := overall_code("3" if result == "1" else "5" for result in results)):
        yield Finding(
            expected=f"result code {overall} over devices with {', '.join(map(str, results))}", came=str(code)
        )
    planned = utc(wanted["PlannedProcessingDateTime"])
    for status, result in zip(statuses, results, strict=True):
        processed = text(status, "ProcessingDateTime")
        instant = utc(processed)
        if instant is None:
            continue  # the schema has said so
        if instant > datetime.now(UTC) + TOLERANCE:
            yield Finding(expected="ProcessingDateTime not in the future", came=str(processed))
        if result == "1" and planned is not None and instant < planned:
            yield Finding(expected=f"switched at {wanted['PlannedProcessingDateTime']} or later", came=str(processed))


def registered(item: etree._Element, world: World) -> Iterator[Finding]:
    """This will judge a registered notification."""
    path = "UtilitiesDevice/SmartMeter/UtilitiesAdvancedMeteringSystemID"
    yield from same(world.ams, text(item, path), what="UtilitiesAdvancedMeteringSystemID")


def read(item: etree._Element, subject: Subject, world: World, asked: Content) -> Iterator[Finding]:
    """This will judge a result against its order: what it echoes, when it was read, what the register can show."""
    document, order = item.find("MeterReadingDocument"), asked["MeterReadingDocument"]
    yield from same(str(order["ScheduledMeterReadingDate"]), text(document, "ScheduledMeterReadingDate"), what="date")
    reason = text(document, "MeterReadingReasonCode")
    if (reason or "").lstrip("0") != order["MeterReadingReasonCode"].lstrip("0"):
        yield Finding(expected=f"reason {order['MeterReadingReasonCode']}", came=reason or "none")
    yield from same(subject.task, text(document, f"{_TASK}/UtilitiesMeasurementTaskID"), what="the register's number")
    yield from same(subject.device, text(document, f"{_TASK}/UtiltiesDevice/UtilitiesDeviceID"), what="the device")
    yield from _read_at(document, world)
    value = text(document, "Result/MeterReadingResultValue") or ""
    try:
        number = Decimal(value)
    except InvalidOperation:
        return  # the schema has said so
    if not 0 <= number < Decimal(10) ** subject.meter.digits:
        yield Finding(expected=f"a value of up to {subject.meter.digits} digits", came=value)
    exponent = number.normalize().as_tuple().exponent
    if isinstance(exponent, int) and -exponent > subject.meter.decimals:
        yield Finding(expected=f"a value with up to {subject.meter.decimals} decimals", came=value)


def _read_at(document: etree._Element | None, world: World) -> Iterator[Finding]:
    on = text(document, "Result/ActualMeterReadingDate") or ""
    at = text(document, "Result/ActualMeterReadingTime") or ""
    try:
        instants = reading_instants(on, at, world.zone)
    except ValueError:
        return  # the schema has said so
    if not instants:
        yield Finding(expected=f"a local time that exists in {world.zone.key}", came=f"{on} {at}")
    elif min(instants) > datetime.now(UTC) + TOLERANCE:
        yield Finding(expected="a reading taken before it is sent", came=f"{on} {at} in {world.zone.key}")


def reported(item: etree._Element) -> Iterator[Finding]:
    """This will judge a smart meter event."""
    at = text(item, "UtilitiesSmartMeterEvent/DateTime")
    instant = utc(at)
    if instant is None:
        yield Finding(expected="DateTime in UTC with Z", came=str(at))
    elif instant > datetime.now(UTC) + TOLERANCE:
        yield Finding(expected="an event that has happened", came=str(at))


def uploaded(items: Iterable[etree._Element], *, start: datetime, end: datetime) -> Iterator[Finding]:
    """This will judge the intervals of one profile in one message."""
    series = [interval for item in items for interval in item.iterfind("UtilitiesTimeSeries/Item")]
    if not series:
        yield Finding(expected="at least one interval", came="none")
    spans = []
    for interval in series:
        begins, ends = (_utc_of(text(interval, f"UTCValidity{edge}DateTime")) for edge in ("Start", "End"))
        if begins is None or ends is None:
            yield Finding(
                expected="validity times in UTC",
                came=f"{text(interval, 'UTCValidityStartDateTime')} to {text(interval, 'UTCValidityEndDateTime')}",
            )
            return
        spans.append((begins, ends))
        if (statuses := len(interval.findall("ItemStatus"))) != 1:
            yield Finding(expected="one status per interval: SAP takes no more", came=f"{statuses}")
    yield from _spans(spans, start=start, end=end)


def answered(series: etree._Element, *, start: datetime, end: datetime) -> Iterator[Finding]:
    """This will judge the intervals of a query's response, whose times are UTC without saying so."""
    spans = []
    for interval in series.iterfind("Item"):
        begins, ends = (_utc_of(text(interval, f"UTCValidity{edge}DateTime")) for edge in ("Start", "End"))
        if begins is not None and ends is not None:  # else the schema has said so
            spans.append((begins, ends))
    yield from _spans(spans, start=start, end=end)


def _spans(spans: list[tuple[datetime, datetime]], *, start: datetime, end: datetime) -> Iterator[Finding]:
    if any(begins >= ends for begins, ends in spans):
        yield Finding(expected="intervals that end after they begin", came=str(spans[0]))
    if any(earlier[1] > later[0] for earlier, later in pairwise(spans)):
        yield Finding(expected="intervals in order, none overlapping another", came="overlapping or disordered ones")
    outside = [begins for begins, ends in spans if begins < start or ends > end]
    if outside:
        yield Finding(expected=f"intervals between {start} and {end}", came=f"one from {outside[0]}")


def _utc_of(value: str | None) -> datetime | None:
    """The instant of a time without zone or in UTC; None for another zone's."""
    try:
        instant = datetime.fromisoformat(value or "")
    except ValueError:
        return None
    if instant.tzinfo is None:
        return instant.replace(tzinfo=UTC)
    return instant.astimezone(UTC) if not instant.utcoffset() else None
