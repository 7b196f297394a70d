"""SAP's messages of technical work at a meter, without their headers; dates as SAP has them: an end is the last day."""

from __future__ import annotations

from collections.abc import Sequence

DEVICE_CREATE = "UtilitiesDeviceERPSmartMeterCreateRequest"
DEVICE_CHANGE = "UtilitiesDeviceERPSmartMeterChangeRequest"
DEVICE_CHANGED = "UtilitiesDeviceERPSmartMeterChangeConfirmation"
REGISTER_CREATE = "UtilitiesDeviceERPSmartMeterRegisterCreateRequest"
REGISTER_CREATED = "UtilitiesDeviceERPSmartMeterRegisterCreateConfirmation"
REGISTER_CHANGE = "UtilitiesDeviceERPSmartMeterRegisterChangeRequest"
REGISTER_CHANGED = "UtilitiesDeviceERPSmartMeterRegisterChangeConfirmation"
REGISTER_CHANGES = "UtilitiesDeviceERPSmartMeterRegisterBulkChangeRequest"
REGISTERS_CHANGED = "UtilitiesDeviceERPSmartMeterRegisterBulkChangeConfirmation"
LOCATION = "UtilitiesDeviceERPSmartMeterLocationNotification"
POINT_OF_DELIVERY = "SmartMeterUtilitiesMeasurementTaskERPPointOfDeliveryAssignedNotification"
REGISTERED = "UtilitiesDeviceERPSmartMeterRegisteredNotification"
ALL_REGISTERED = "UtilitiesDeviceERPSmartMeterRegisteredBulkNotification"
READING = "SmartMeterMeterReadingDocumentERPResultCreateRequest"
READING_TAKEN = "SmartMeterMeterReadingDocumentERPResultCreateConfirmation"
ORDER = "SmartMeterMeterReadingDocumentERPCreateRequest"
ORDERED = "SmartMeterMeterReadingDocumentERPCreateConfirmation"
RESULT = "MeterReadingDocumentERPResultCreateRequest"
CANCEL = "SmartMeterMeterReadingDocumentERPCancellationRequest"
CANCELLED = "SmartMeterMeterReadingDocumentERPCancellationConfirmation"

CODE = "Log/BusinessDocumentProcessingResultCode"
TYPE_ID = "Log/Item/TypeID"
NOTE = "Log/Item/Note"
OPEN_END = "9999-12-31"

_SMART_METER = "<SmartMeter><UtilitiesAdvancedMeteringSystemID>AM01</UtilitiesAdvancedMeteringSystemID></SmartMeter>"


def span(start: str, end: str = OPEN_END) -> str:
    return f"<StartDate>{start}</StartDate><EndDate>{end}</EndDate>"


def device(device_id: str, *, start: str = "2026-01-01", end: str = OPEN_END, part: str = "P1") -> str:
    return (
        f"<UtilitiesDevice><ID>{device_id}</ID>{span(start, end)}<SerialID>S{device_id}</SerialID>"
        f"<MaterialID>LX100</MaterialID><IndividualMaterialManufacturerInformation><PartNumberID>{part}</PartNumberID>"
        f"</IndividualMaterialManufacturerInformation>{_SMART_METER}</UtilitiesDevice>"
    )


def changed_device(device_id: str, *, end: str = OPEN_END, part: str = "P1") -> str:
    """The same as SAP's change has it, where the dates follow the serial number."""
    return (
        f"<UtilitiesDevice><ID>{device_id}</ID><SerialID>S{device_id}</SerialID>{span('2026-01-01', end)}"
        f"<MaterialID>LX100</MaterialID><IndividualMaterialManufacturerInformation><PartNumberID>{part}</PartNumberID>"
        f"</IndividualMaterialManufacturerInformation>{_SMART_METER}</UtilitiesDevice>"
    )


def specification(start: str = "", end: str = OPEN_END, *, factor: str = "1.0", tariff: str = "") -> str:
    """What a register is; with dates as a change has it."""
    return (
        f"<Specifications>{span(start, end) if start else ''}"
        + (f"<UtilitiesTimeOfUseCode>{tariff}</UtilitiesTimeOfUseCode>" if tariff else "")
        + "<MeasureUnitCode>KWH</MeasureUnitCode>"
        "<DecimalValuePrecision><TotalDigitNumberValue>8</TotalDigitNumberValue>"
        "<FractionDigitNumberValue>2</FractionDigitNumberValue></DecimalValuePrecision>"
        f"<MeterReadingResultAdjustmentFactorValue>{factor}</MeterReadingResultAdjustmentFactorValue></Specifications>"
    )


def register(number: str, start: str, end: str = OPEN_END, *specifications: str, code: str = "1-0:1.8.0") -> str:
    """One register; without specifications of its own as a create has it."""
    return (
        f"<Register>{span(start, end)}<UtilitiesMeasurementTaskID>{number}</UtilitiesMeasurementTaskID>"
        f"<UtilitiesObjectIdentificationSystemCodeText>{code}</UtilitiesObjectIdentificationSystemCodeText>"
        f"<UtilitiesDivisionCategoryCode>1</UtilitiesDivisionCategoryCode>"
        f"{''.join(specifications) or specification()}</Register>"
    )


def changed(number: str, start: str, end: str = OPEN_END, *, code: str = "1-0:1.8.0", factor: str = "1.0") -> str:
    """One register as a change has it, specified for as long as it is valid."""
    return register(number, start, end, specification(start, end, factor=factor), code=code)


def registers(device_id: str, *listed: str) -> str:
    return f"<UtilitiesDevice><ID>{device_id}</ID>{''.join(listed)}{_SMART_METER}</UtilitiesDevice>"


def location(device_id: str, point: str = "", start: str = "2026-01-01", end: str = OPEN_END) -> str:
    """Where a device hangs; without a point it was removed."""
    listed = (
        f"<Location>{span(start, end)}<InstallationPointID>{point}</InstallationPointID>"
        f"<InstallationPointHierarchyRelationship><ParentInstallationPointID>CO1</ParentInstallationPointID>"
        f"</InstallationPointHierarchyRelationship></Location>"
    )
    return (
        f'<UtilitiesDevice locationListCompleteTransmissionIndicator="true"><ID>{device_id}</ID>'
        f"{listed if point else ''}{_SMART_METER}</UtilitiesDevice>"
    )


def point_of_delivery(device_id: str, number: str, *assigned: tuple[str, str]) -> str:
    """The spans in which a register measures the point of delivery DE1."""
    complete = "UtilitiesPointOfDeliveryAssignmentListCompleteTransmissionIndicator"
    listed = "".join(
        f"<UtilitiesPointOfDeliveryAssignment><StartDate>{start}</StartDate><StartTime>00:00:00</StartTime>"
        f"<EndDate>{end}</EndDate><EndTime>23:59:59</EndTime>"
        f"<UtilitiesPointOfDeliveryPartyID>DE1</UtilitiesPointOfDeliveryPartyID></UtilitiesPointOfDeliveryAssignment>"
        for start, end in assigned
    )
    return (
        f"<UtilitiesMeasurementTask><ID>{number}</ID><{complete}>true</{complete}>{listed}"
        f"<UtilitiesDevice><UtilitiesDeviceID>{device_id}</UtilitiesDeviceID>"
        f"<SmartMeter><AdvancedMeteringSystemID>AM01</AdvancedMeteringSystemID></SmartMeter></UtilitiesDevice>"
        f"</UtilitiesMeasurementTask>"
    )


def reading(
    document: str, device_id: str, number: str, *, reason: str, on: str, at: str = "10:00:00", value: str = "12345.67"
) -> str:
    """A reading that a person has made."""
    return (
        f"<MeterReadingDocument><ID>{document}</ID><MeterReadingReasonCode>{reason}</MeterReadingReasonCode>"
        f"<UtilitiesMeasurementTask><UtilitiesMeasurementTaskID>{number}</UtilitiesMeasurementTaskID>"
        f"<UtilitiesDevice><UtilitiesDeviceID>{device_id}</UtilitiesDeviceID>{_SMART_METER}</UtilitiesDevice>"
        f"</UtilitiesMeasurementTask><Result><MeterReadingDate>{on}</MeterReadingDate>"
        f"<MeterReadingTime>{at}</MeterReadingTime><MeterReadingTypeCode>01</MeterReadingTypeCode>"
        f"<MeterReadingResultValue>{value}</MeterReadingResultValue></Result></MeterReadingDocument>"
    )


def order(
    document: str, device_id: str, number: str, *, reason: str, on: str, source: str = "0", code: str = "1-0:1.8.0"
) -> str:
    """An order to read a register."""
    return (
        f"<MeterReadingDocument><ID>{document}</ID><MeterReadingReasonCode>{reason}</MeterReadingReasonCode>"
        f"<ScheduledMeterReadingDate>{on}</ScheduledMeterReadingDate>"
        f"<UtilitiesAdvancedMeteringDataSourceTypeCode>{source}</UtilitiesAdvancedMeteringDataSourceTypeCode>"
        f"<UtiltiesMeasurementTask><UtilitiesMeasurementTaskID>{number}</UtilitiesMeasurementTaskID>"
        f"<UtilitiesObjectIdentificationSystemCodeText>{code}</UtilitiesObjectIdentificationSystemCodeText>"
        f"<UtiltiesDevice><UtilitiesDeviceID>{device_id}</UtilitiesDeviceID>{_SMART_METER}</UtiltiesDevice>"
        f"</UtiltiesMeasurementTask></MeterReadingDocument>"
    )


def cancellation(document: str) -> str:
    return (
        f"<MeterReadingDocument><ID>{document}</ID><UtilitiesDeviceSmartMeter>"
        f"<UtilitiesAdvancedMeteringSystemID>AM01</UtilitiesAdvancedMeteringSystemID>"
        f"</UtilitiesDeviceSmartMeter></MeterReadingDocument>"
    )


#: A message of SAP: its root and its body.
Told = tuple[str, str]


def installed(device_id: str, number: str, *, start: str = "2026-01-01", point: str = "IP1") -> Sequence[Told]:
    """Everything SAP says of a meter that is created and installed."""
    return (
        (DEVICE_CREATE, device(device_id)),
        (REGISTER_CREATE, registers(device_id, register(number, start))),
        (LOCATION, location(device_id, point, start)),
        (POINT_OF_DELIVERY, point_of_delivery(device_id, number, (start, OPEN_END))),
    )
