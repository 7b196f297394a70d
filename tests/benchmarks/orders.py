"""Reading orders as the bytes SAP puts on the wire, built before any clock runs."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import date
from random import Random

ROOT = "SmartMeterMeterReadingDocumentERPBulkCreateRequest"
SYSTEM = "S4HANA"
HEAD_END = "meadow"
AMS = "AM01"
OBIS = "1-0:1.8.0*255"

_ITEM = "SmartMeterMeterReadingDocumentERPCreateRequestMessage"
_STORED, _ON_DEMAND = "0", "1"


def device_id(number: int) -> str:
    """This will return SAP's id of a device."""
    return f"{number:018}"


def serial_id(number: int) -> str:
    """This will return the serial number of a device."""
    return f"{number:010}"


def document_id(number: int) -> str:
    """This will return the id of the reading order of a device."""
    return f"{number:020}"


def bulk(numbers: Sequence[int], *, on: date, on_demand: bool, seed: int, created_at: str) -> bytes:
    """This will return one bulk with a reading order for each of the numbered devices.

    Every item has a header of its own, as SAP writes it; the same seed makes the same bytes.
    """
    random = Random(seed)
    source = _ON_DEMAND if on_demand else _STORED
    items = "".join(
        f"<{_ITEM}>{_header(random, created_at)}<MeterReadingDocument><ID>{document_id(number)}</ID>"
        f"<MeterReadingReasonCode>01</MeterReadingReasonCode>"
        f"<ScheduledMeterReadingDate>{on}</ScheduledMeterReadingDate>"
        f"<UtilitiesAdvancedMeteringDataSourceTypeCode>{source}</UtilitiesAdvancedMeteringDataSourceTypeCode>"
        f"<UtiltiesMeasurementTask><UtilitiesMeasurementTaskID>{device_id(number)}</UtilitiesMeasurementTaskID>"
        f"<UtilitiesObjectIdentificationSystemCodeText>{OBIS}</UtilitiesObjectIdentificationSystemCodeText>"
        f"<UtiltiesDevice><UtilitiesDeviceID>{device_id(number)}</UtilitiesDeviceID><SmartMeter>"
        f"<UtilitiesAdvancedMeteringSystemID>{AMS}</UtilitiesAdvancedMeteringSystemID></SmartMeter></UtiltiesDevice>"
        f"</UtiltiesMeasurementTask></MeterReadingDocument></{_ITEM}>"
        for number in numbers
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body>'
        f'<n0:{ROOT} xmlns:n0="http://sap.com/xi/SAPGlobal20/Global">{_header(random, created_at)}{items}</n0:{ROOT}>'
        "</soap:Body></soap:Envelope>"
    ).encode()


def _header(random: Random, created_at: str) -> str:
    made = str(uuid.UUID(int=random.getrandbits(128), version=4)).upper()
    return (
        f"<MessageHeader><UUID>{made}</UUID><CreationDateTime>{created_at}</CreationDateTime>"
        f"<SenderBusinessSystemID>{SYSTEM}</SenderBusinessSystemID></MessageHeader>"
    )
