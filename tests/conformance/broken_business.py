"""What the small MDUS of these tests knows: devices, registers, orders, profiles, and what becomes of a message."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from lxml import etree

_REASONS = ("01", "06", "10")
_QUARTER = timedelta(minutes=15)

_DEVICE = "UtilitiesDevice"
_DOCUMENT = "MeterReadingDocument"
_TASK = f"{_DOCUMENT}/UtiltiesMeasurementTask"
_SWITCH = "UtilitiesConnectionStatusChangeRequest"
_SERIES = "UtilitiesTimeSeries"

#: A message to be sent: its root, its content, and the key it is about.
Notice = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of an item: what the confirmation says of it, its key there, the result code and why.

    `opens` is what SAP knows when it has the confirmation: a device, an order.
    """

    said: str
    said_key: str
    code: str
    note: str = ""
    opens: str = ""


class Business:
    """The registry of the small MDUS; not thread safe."""

    def __init__(self, *, end_is_exclusive: bool, parks: bool) -> None:
        self._end_is_exclusive = end_is_exclusive
        self._parks = parks
        self._devices: dict[str, tuple[str, str, date]] = {}
        self._registers: dict[str, tuple[str, date, date]] = {}
        self._orders: dict[str, etree._Element] = {}
        self._profiles: dict[str, list[tuple[datetime, datetime]]] = {}
        self._confirmed: set[str] = set()
        self._seen: set[str] = set()
        self._reported: set[str] = set()

    # -- messages of SAP ---------------------------------------------------------------------------------------------

    def decide(self, root: str, item: etree._Element) -> Decision | None:
        """Return what becomes of an item, None while it waits for another."""
        single = root.replace("Bulk", "")
        if "DeviceERPSmartMeterCreateRequest" in single:
            return self._device(item)
        if "RegisterCreateRequest" in single:
            return self._register(item)
        if "AssignmentChangeRequest" in single:
            return self._profile(item)
        if single == "SmartMeterMeterReadingDocumentERPCreateRequest":
            return self._order(item)
        if "ConnectionStatusChangeRequestERPCreateRequest" in single:
            return self._switch(item)
        return Decision("", "", "3")

    def _device(self, item: etree._Element) -> Decision:
        key = item.findtext(f"{_DEVICE}/ID") or ""
        told = (item.findtext(f"{_DEVICE}/SerialID") or "", item.findtext(f"{_DEVICE}/MaterialID") or "")
        start = _date(item, f"{_DEVICE}/StartDate")
        known = self._devices.setdefault(key, (*told, start))
        same = known[:2] == told
        return _of_device(key, "" if same else "another meter has this id", opens=key)

    def _register(self, item: etree._Element) -> Decision | None:
        key = item.findtext(f"{_DEVICE}/ID") or ""
        device = self._devices.get(key)
        if device is None:
            return self._waits(_of_device(key, "the device is not known"))
        register = item.find(f"{_DEVICE}/Register")
        start, end = _date(register, "StartDate"), _date(register, "EndDate")
        if start < device[2]:
            return _of_device(key, "it begins before its device")
        task = item.findtext(f"{_DEVICE}/Register/UtilitiesMeasurementTaskID") or ""
        self._registers[task] = (key, start, end)
        return _of_device(key)

    def _profile(self, item: etree._Element) -> Decision | None:
        key = item.findtext(f"{_SERIES}/ID") or ""
        said = f"<{_SERIES}><ID>{key}</ID></{_SERIES}>"
        role = item.find(f"{_SERIES}/MeasurementTaskAssignmentRole")
        if role.findtext("UtilitiesMeasurementTaskID") not in self._registers:  # type: ignore[union-attr]
            return self._waits(Decision(said, key, "5", "the register is not known"))
        if _date(role, "EndDate") < _date(role, "StartDate"):
            return Decision(said, key, "5", "it ends before it begins")
        self._profiles.setdefault(key, [])
        return Decision(said, key, "3")

    def _order(self, item: etree._Element) -> Decision | None:
        key = item.findtext(f"{_DOCUMENT}/ID") or ""
        said = f"<{_DOCUMENT}><ID>{key}</ID></{_DOCUMENT}>"
        register = self._registers.get(item.findtext(f"{_TASK}/UtilitiesMeasurementTaskID") or "")
        if register is None:
            return self._waits(Decision(said, key, "5", "the register is not known"))
        if item.findtext(f"{_DOCUMENT}/MeterReadingReasonCode") not in _REASONS:
            return Decision(said, key, "5", "the reason is not known")
        _, start, end = register
        on = _date(item, f"{_DOCUMENT}/ScheduledMeterReadingDate")
        if not start <= on <= end or (self._end_is_exclusive and on == end):
            return Decision(said, key, "5", "the register is not valid then")
        self._orders[key] = item
        return Decision(said, key, "3", opens=key)

    def _switch(self, item: etree._Element) -> Decision | None:
        key = item.findtext(f"{_SWITCH}/ID") or ""
        category = item.findtext(f"{_SWITCH}/CategoryCode") or ""
        devices = [one.text or "" for one in item.iterfind(f"{_SWITCH}/DeviceConnectionStatus/UtilitiesDeviceID")]
        good = category in ("1", "2")
        if good and any(device not in self._devices for device in devices):
            return self._waits(Decision(_switched(key, category, []), key, "5", "the device is not known"))
        said = _switched(key, category, devices if good else [])
        return Decision(said, key, "3" if good else "5", "" if good else "the category is not known")

    def _waits(self, otherwise: Decision) -> Decision | None:
        return None if self._parks else otherwise

    # -- the field, and what we start --------------------------------------------------------------------------------

    def heard(self, decision: Decision) -> Iterator[Notice]:
        """SAP has a confirmation: a device that was seen and an order that was read meanwhile are reported."""
        if decision.opens:
            self._confirmed.add(decision.opens)
            yield from self._report(decision.opens)

    def stimulated(self, stimulus: str, values: Mapping[str, str], *, too_early: bool) -> Iterator[Notice]:
        """Something happens in the field; `too_early`: SAP need not know of the device or order."""
        device = values["device"]
        match stimulus:
            case "seen" | "reading":
                about = device if stimulus == "seen" else values["document"]
                self._seen.add(about)
                if too_early:
                    self._confirmed.add(about)
                yield from self._report(about)
            case "event":
                yield _event(device)
            case "interval_values" | "interval_correction":
                create = stimulus == "interval_values"
                spans = _spans(values["from"], values["to"])
                self._profiles[values["profile"]] = spans
                yield _upload(values["profile"], spans, root="Create" if create else "Change")

    def _report(self, about: str) -> Iterator[Notice]:
        if about not in (self._confirmed & self._seen) - self._reported:
            return
        self._reported.add(about)
        if about in self._orders:
            yield _result(self._orders[about])
            return
        meter = "<UtilitiesAdvancedMeteringSystemID>AM01</UtilitiesAdvancedMeteringSystemID>"
        content = f"<{_DEVICE}><ID>{about}</ID><SmartMeter>{meter}</SmartMeter></{_DEVICE}>"
        yield "UtilitiesDeviceERPSmartMeterRegisteredBulkNotification", content, about

    def values_of(self, profile: str) -> str | None:
        """Return the content of a response, None for a profile nobody has assigned."""
        spans = self._profiles.get(profile)
        if spans is None:
            return None
        items = "".join(_interval(*span, status="Status", code="Code", zone="") for span in spans)
        series = f"<{_SERIES}><ID>{profile}</ID>{items}</{_SERIES}>" if items else ""
        return f"{series}<Log><BusinessDocumentProcessingResultCode>3</BusinessDocumentProcessingResultCode></Log>"


def _date(element: etree._Element | None, path: str) -> date:
    text = None if element is None else element.findtext(path)
    try:
        return date.fromisoformat(text or "")
    except ValueError:  # only where malformed messages are taken
        return date.max


def _of_device(key: str, wrong: str = "", *, opens: str = "") -> Decision:
    return Decision(f"<{_DEVICE}><ID>{key}</ID></{_DEVICE}>", key, "5" if wrong else "3", wrong, "" if wrong else opens)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _switched(key: str, category: str, devices: list[str]) -> str:
    statuses = "".join(
        f"<DeviceConnectionStatus><ProcessingDateTime>{_now()}</ProcessingDateTime>"
        "<UtilitiesDeviceConnectionStatusProcessingResultCode>1</UtilitiesDeviceConnectionStatusProcessingResultCode>"
        f"<UtilitiesDeviceID>{device}</UtilitiesDeviceID></DeviceConnectionStatus>"
        for device in devices
    )
    return f"<{_SWITCH}><ID>{key}</ID><CategoryCode>{category}</CategoryCode>{statuses}</{_SWITCH}>"


def _result(order: etree._Element) -> Notice:
    key = order.findtext(f"{_DOCUMENT}/ID") or ""
    reason = order.findtext(f"{_DOCUMENT}/MeterReadingReasonCode")
    scheduled = order.findtext(f"{_DOCUMENT}/ScheduledMeterReadingDate")
    task = order.findtext(f"{_TASK}/UtilitiesMeasurementTaskID")
    device = order.findtext(f"{_TASK}/UtiltiesDevice/UtilitiesDeviceID")
    read_at = datetime.now(UTC) - timedelta(hours=3)  # in no zone of Europe in the future
    content = (
        f"<{_DOCUMENT}><ID>{key}</ID><MeterReadingReasonCode>{reason}</MeterReadingReasonCode>"
        f"<ScheduledMeterReadingDate>{scheduled}</ScheduledMeterReadingDate>"
        f"<UtiltiesMeasurementTask><UtilitiesMeasurementTaskID>{task}</UtilitiesMeasurementTaskID>"
        f"<UtiltiesDevice><UtilitiesDeviceID>{device}</UtilitiesDeviceID></UtiltiesDevice></UtiltiesMeasurementTask>"
        f"<Result><ActualMeterReadingDate>{read_at:%Y-%m-%d}</ActualMeterReadingDate>"
        f"<ActualMeterReadingTime>{read_at:%H:%M:%S}</ActualMeterReadingTime>"
        f"<MeterReadingResultValue>12.34</MeterReadingResultValue></Result></{_DOCUMENT}>"
    )
    return "MeterReadingDocumentERPResultBulkCreateRequest", content, key


def _event(device: str) -> Notice:
    content = (
        f"<UtilitiesSmartMeterEvent><ID>E{device}</ID><UtilitiesDeviceID>{device}</UtilitiesDeviceID>"
        f"<DateTime>{_now()}</DateTime><TypeCode>1000</TypeCode><SeverityCode>3</SeverityCode></UtilitiesSmartMeterEvent>"
    )
    return "UtilitiesSmartMeterEventERPBulkCreateRequest", content, device


def _spans(start: str, end: str) -> list[tuple[datetime, datetime]]:
    first, last = datetime.fromisoformat(start), datetime.fromisoformat(end)
    count = int((last - first) / _QUARTER)
    return [(first + _QUARTER * n, first + _QUARTER * (n + 1)) for n in range(count)]


def _interval(start: datetime, end: datetime, *, status: str, code: str, zone: str) -> str:
    begins, ends = (instant.strftime("%Y-%m-%dT%H:%M:%S") + zone for instant in (start, end))
    return (
        f'<Item><Quantity unitCode="KWH">1.5</Quantity><UTCValidityStartDateTime>{begins}</UTCValidityStartDateTime>'
        f"<UTCValidityEndDateTime>{ends}</UTCValidityEndDateTime><{status}><{code}>0</{code}></{status}></Item>"
    )


def _upload(profile: str, spans: list[tuple[datetime, datetime]], *, root: str) -> Notice:
    code = "UtilitiesTimeSeriesItemTypeCode"
    items = "".join(_interval(*span, status="ItemStatus", code=code, zone="Z") for span in spans)
    content = f"<{_SERIES}><ID>{profile}</ID>{items}</{_SERIES}>"
    return f"UtilitiesTimeSeriesERPItemBulk{root}Request", content, profile
