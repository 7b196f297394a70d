"""Messages as MDUS should send them, written by hand: the correct twin of every defective one."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from lxml import etree

from simulators.sap_cis.contract import GLOBAL, RECEIVED, SENT
from simulators.sap_cis.view import Document, Order, Sent, View

CREATED = "2026-03-28T09:59:58Z"
ENVELOPE = '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>{}</s:Body></s:Envelope>'

PROFILE_STATUS = "<ItemStatus><UtilitiesTimeSeriesItemTypeCode>ACTL</UtilitiesTimeSeriesItemTypeCode></ItemStatus>"

_REASON = (
    "<Item><TypeID>101(MDUS)</TypeID><CategoryCode>PRE</CategoryCode><SeverityCode>3</SeverityCode>"
    "<Note>It cannot be done</Note></Item>"
)


def header(*, uuid: str | None = None, reference: str | None = None) -> str:
    """This will return a message header from MDUS to SAP."""
    answered = f"<ReferenceUUID>{reference}</ReferenceUUID>" if reference else ""
    return (
        f"<MessageHeader><UUID>{uuid or uuid4()}</UUID>{answered}<CreationDateTime>{CREATED}</CreationDateTime>"
        "<ReconciliationIndicator>true</ReconciliationIndicator><SenderBusinessSystemID>MDUS</SenderBusinessSystemID>"
        "<RecipientBusinessSystemID>S4HANA</RecipientBusinessSystemID></MessageHeader>"
    )


def log(code: str) -> str:
    """This will return a log with this result code, and the reason where something failed."""
    failed = f"<MaximumLogItemSeverityCode>3</MaximumLogItemSeverityCode>{_REASON}" if code != "3" else ""
    return f"<Log><BusinessDocumentProcessingResultCode>{code}</BusinessDocumentProcessingResultCode>{failed}</Log>"


def confirmation(
    sent: Sent, view: View, *, codes: Mapping[str, str] | None = None, keys: tuple[str, ...] | None = None
) -> etree._Element:
    """This will answer a message of SAP: every item (or those of `keys`) with its code, 3 by default."""
    process = SENT[sent.process]
    chosen = {key: (codes or {}).get(key, "3") for key in (keys or tuple(sent.items))}
    bodies = {key: _confirmed(sent.process, key, code, view) for key, code in chosen.items()}
    if sent.form == "single":
        key = next(iter(chosen))
        return _message(process.confirmation, header(reference=sent.uuid) + bodies[key] + log(chosen[key]))
    assert process.confirmation is not None
    items = "".join(
        f"<{process.confirmation}Message>{header(reference=sent.items[key]['uuid'])}{body}{log(chosen[key])}"
        f"</{process.confirmation}Message>"
        for key, body in bodies.items()
    )
    given = set(chosen.values())
    overall = given.pop() if len(given) == 1 else "4"
    # The overall log of a bulk carries no items of its own.
    end = f"<Log><BusinessDocumentProcessingResultCode>{overall}</BusinessDocumentProcessingResultCode></Log>"
    return _message(process.bulk_confirmation, header(reference=sent.uuid) + items + end)


def _confirmed(process: str, key: str, code: str, view: View) -> str:
    if process in ("device_create", "register_create"):
        return f"<UtilitiesDevice><ID>{key}</ID></UtilitiesDevice>"
    if process.startswith("reading"):
        return f"<MeterReadingDocument><ID>{key}</ID></MeterReadingDocument>"
    document = view.documents[key]
    devices = ""
    if process == "connection_order":
        devices = "".join(_switched(document, device, "1" if code == "3" else "2") for device in document.devices)
    return (
        f"<UtilitiesConnectionStatusChangeRequest><ID>{key}</ID><CategoryCode>{document.category}</CategoryCode>"
        f"{devices}</UtilitiesConnectionStatusChangeRequest>"
    )


def _switched(document: Document, device: str, code: str) -> str:
    return (
        f"<DeviceConnectionStatus><ProcessingDateTime>{document.planned_at}</ProcessingDateTime>"
        "<UtilitiesDeviceConnectionStatusProcessingResultCode>"
        f"{code}</UtilitiesDeviceConnectionStatusProcessingResultCode>"
        f"<UtilitiesDeviceID>{device}</UtilitiesDeviceID></DeviceConnectionStatus>"
    )


def registered(devices: tuple[str, ...], *, system: str = "AM01", bulk: bool = True) -> etree._Element:
    """This will tell SAP that devices are known to the head end."""
    process = RECEIVED["device_registered"]
    bodies = [
        f"{header()}<UtilitiesDevice><ID>{device}</ID><SmartMeter><UtilitiesAdvancedMeteringSystemID>{system}"
        "</UtilitiesAdvancedMeteringSystemID></SmartMeter></UtilitiesDevice>"
        for device in devices
    ]
    if not bulk:
        return _message(process.single, bodies[0])
    return _message(process.bulk, header() + "".join(f"<{process.item}>{body}</{process.item}>" for body in bodies))


def results(
    orders: tuple[Order, ...],
    *,
    value: str = "1234.56",
    on: str = "2026-03-28",
    at: str = "00:00:00",
    bulk: bool = True,
) -> etree._Element:
    """This will answer reading orders with one value, read at this local date and time."""
    process = RECEIVED["reading_result"]
    bodies = [
        f"{header()}<MeterReadingDocument><ID>{order.id}</ID>"
        f"<MeterReadingReasonCode>{order.reason}</MeterReadingReasonCode>"
        f"<ScheduledMeterReadingDate>{order.scheduled_on}</ScheduledMeterReadingDate>"
        f"<UtiltiesMeasurementTask><UtilitiesMeasurementTaskID>{order.lrn}</UtilitiesMeasurementTaskID>"
        f"<UtilitiesObjectIdentificationSystemCodeText>{order.obis}</UtilitiesObjectIdentificationSystemCodeText>"
        f"<UtiltiesDevice><UtilitiesDeviceID>{order.device}</UtilitiesDeviceID></UtiltiesDevice>"
        f"</UtiltiesMeasurementTask><Result><ActualMeterReadingDate>{on}</ActualMeterReadingDate>"
        f"<ActualMeterReadingTime>{at}</ActualMeterReadingTime>"
        f"<MeterReadingResultValue>{value}</MeterReadingResultValue></Result></MeterReadingDocument>"
        for order in orders
    ]
    if not bulk:
        return _message(process.single, bodies[0])
    return _message(process.bulk, header() + "".join(f"<{process.item}>{body}</{process.item}>" for body in bodies))


def events(*devices: str, type_code: str = "0100", category: str = "0002", on: str = "2026-03-28") -> etree._Element:
    """This will tell SAP of an event of each of these meters, or with an empty id of one without a meter."""
    process = RECEIVED["smart_meter_event"]
    bodies = [
        f"{header()}<UtilitiesSmartMeterEvent><ID>{uuid4().hex[:22]}</ID>"
        f"{f'<UtilitiesDeviceID>{device}</UtilitiesDeviceID>' if device else ''}<DateTime>{on}T09:30:00Z</DateTime>"
        f"<CategoryCode>{category}</CategoryCode><TypeCode>{type_code}</TypeCode><SeverityCode>3</SeverityCode>"
        "<OriginTypeCode>01</OriginTypeCode><Property><Code>TEXT</Code><ObjectPropertyValue><Text>power failed</Text>"
        "</ObjectPropertyValue></Property></UtilitiesSmartMeterEvent>"
        for device in devices
    ]
    return _message(process.bulk, header() + "".join(f"<{process.item}>{body}</{process.item}>" for body in bodies))


def value(
    start: datetime = datetime(2026, 3, 28, 8, 0, tzinfo=UTC),
    quantity: str = "1.5",
    *,
    minutes: int = 15,
    unit: str = "KWH",
    status: str = PROFILE_STATUS,
) -> str:
    """This will return one value of a load profile."""
    end = start + timedelta(minutes=minutes)
    return (
        f'<Item><Quantity unitCode="{unit}">{quantity}</Quantity>'
        f"<UTCValidityStartDateTime>{start:%Y-%m-%dT%H:%M:%SZ}</UTCValidityStartDateTime>"
        f"<UTCValidityEndDateTime>{end:%Y-%m-%dT%H:%M:%SZ}</UTCValidityEndDateTime>{status}</Item>"
    )


def values(profile: str, *items: str, how: str = "Create") -> etree._Element:
    """This will tell SAP values of a load profile, by a `Create` or a `Change`."""
    item = f"UtilitiesTimeSeriesERPItem{how}RequestMessage"
    return _message(
        f"UtilitiesTimeSeriesERPItemBulk{how}Request",
        f"{header()}<{item}>{header()}<UtilitiesTimeSeries><ID>{profile}</ID>{''.join(items)}</UtilitiesTimeSeries>"
        f"</{item}>",
    )


def _message(root: str | None, content: str) -> etree._Element:
    assert root is not None
    return etree.fromstring(f'<n0:{root} xmlns:n0="{GLOBAL}">{content}</n0:{root}>')


def enveloped(message: etree._Element) -> bytes:
    """This will return the message as the body of an HTTP request."""
    return ENVELOPE.format(etree.tostring(message).decode()).encode()


def renamed(message: etree._Element, old: str, new: str) -> etree._Element:
    """This will return the message with an element called otherwise."""
    return etree.fromstring(re.sub(rf"(</?){old}>", rf"\g<1>{new}>", etree.tostring(message).decode()))
