"""SAP's messages as bytes, written by hand: what a sender puts on the wire."""

from __future__ import annotations

import itertools
import uuid

CREATE_DEVICE = "UtilitiesDeviceERPSmartMeterCreateRequest"
CREATE_DEVICES = "UtilitiesDeviceERPSmartMeterBulkCreateRequest"
ORDER_READINGS = "SmartMeterMeterReadingDocumentERPBulkCreateRequest"
ROOT_NAMESPACE = "http://sap.com/xi/SAPGlobal20/Global"
SOAP = "http://schemas.xmlsoap.org/soap/envelope/"

_numbers = itertools.count(1)


def new_uuid() -> str:
    """Return a UUID as SAP writes it: upper case, with dashes."""
    return str(uuid.uuid4()).upper()


def header(
    *,
    uuid: str | None = None,
    number: str | None = None,
    sender: str | None = "P11",
    created_at: str = "2026-03-28T10:00:00Z",
    reference: str | None = None,
    test_data: bool = False,
) -> str:
    """Return a MessageHeader, its children in the order of the contract."""
    parts = [
        f"<ID>{number}</ID>" if number else "",
        f"<UUID>{uuid}</UUID>" if uuid else "",
        f"<ReferenceUUID>{reference}</ReferenceUUID>" if reference else "",
        f"<CreationDateTime>{created_at}</CreationDateTime>",
        "<TestDataIndicator>true</TestDataIndicator>" if test_data else "",
        f"<SenderBusinessSystemID>{sender}</SenderBusinessSystemID>" if sender else "",
    ]
    return f"<MessageHeader>{''.join(parts)}</MessageHeader>"


def device(device_id: str, *, material: str = "METER-E", extra: str = "") -> str:
    """Return the body of a device create request."""
    return (
        f"<UtilitiesDevice><ID>{device_id}</ID><StartDate>2026-01-01</StartDate><EndDate>9999-12-31</EndDate>"
        f"<SerialID>S{device_id}</SerialID><MaterialID>{material}</MaterialID>{extra}</UtilitiesDevice>"
    )


def envelope(root: str, content: str, *, namespace: str = ROOT_NAMESPACE) -> bytes:
    """Return a SOAP 1.1 envelope around a message whose root is qualified and whose children are not."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><soap:Envelope xmlns:soap="{SOAP}"><soap:Body>'
        f'<n0:{root} xmlns:n0="{namespace}">{content}</n0:{root}></soap:Body></soap:Envelope>'
    ).encode()


def create_device(
    *, uuid: str | None = None, device_id: str | None = None, material: str = "METER-E", **header_parts: object
) -> bytes:
    """Return a single device create request; without a UUID and a number it gets a new UUID."""
    if uuid is None and "number" not in header_parts:
        uuid = new_uuid()
    device_id = device_id or f"{next(_numbers):018}"
    return envelope(CREATE_DEVICE, header(uuid=uuid, **header_parts) + device(device_id, material=material))  # type: ignore[arg-type]


def item(device_id: str, *, header_xml: str) -> str:
    """Return one item of a device create bulk."""
    name = "UtilitiesDeviceERPSmartMeterCreateRequestMessage"
    return f"<{name}>{header_xml}{device(device_id)}</{name}>"


def create_devices(*items: str, header_xml: str | None = None) -> bytes:
    """Return a device create bulk of items."""
    return envelope(CREATE_DEVICES, (header_xml or header(uuid=new_uuid())) + "".join(items))


def reading_orders(count: int, *, padding: str = "") -> bytes:
    """Return a bulk of reading orders, each with its own header and ids with leading zeros."""
    name = "SmartMeterMeterReadingDocumentERPCreateRequestMessage"
    return envelope(
        ORDER_READINGS,
        header(uuid=new_uuid())
        + "".join(
            f"<{name}>{header(uuid=new_uuid())}<MeterReadingDocument><ID>{number:020}</ID>"
            f"<MeterReadingReasonCode>01</MeterReadingReasonCode>"
            f"<ScheduledMeterReadingDate>2026-03-31</ScheduledMeterReadingDate>"
            f"<UtilitiesAdvancedMeteringDataSourceTypeCode>0</UtilitiesAdvancedMeteringDataSourceTypeCode>"
            f"<UtiltiesMeasurementTask><UtilitiesMeasurementTaskID>{number:018}</UtilitiesMeasurementTaskID>"
            f"<UtilitiesObjectIdentificationSystemCodeText>1-0:1.8.0*255</UtilitiesObjectIdentificationSystemCodeText>"
            f"<UtiltiesDevice><UtilitiesDeviceID>{number:018}</UtilitiesDeviceID><SmartMeter>"
            f"<UtilitiesAdvancedMeteringSystemID>AEML</UtilitiesAdvancedMeteringSystemID></SmartMeter></UtiltiesDevice>"
            f"</UtiltiesMeasurementTask></MeterReadingDocument>{padding}</{name}>"
            for number in range(1, count + 1)
        ),
    )
