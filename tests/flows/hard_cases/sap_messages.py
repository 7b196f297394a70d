"""The bodies of SAP's messages, by hand: ids with their zeros, codes and dates as a sender writes them.

Each function returns what stands below the MessageHeader of one single message, or of one item of a bulk.
"""

from __future__ import annotations

from datetime import datetime

METER = "000000000000000042"
OTHER = "000000000000000043"
LATE = "000000000000000099"
DOCUMENT = "00000000000000000007"
ENERGY = "1-0:1.8.0"
OPEN = "9999-12-31"

CREATE = "UtilitiesDeviceERPSmartMeterCreateRequest"
CREATED = "UtilitiesDeviceERPSmartMeterCreateConfirmation"
CHANGE = "UtilitiesDeviceERPSmartMeterChangeRequest"
CHANGED = "UtilitiesDeviceERPSmartMeterChangeConfirmation"
REGISTERS = "UtilitiesDeviceERPSmartMeterRegisterCreateRequest"
REGISTERS_CREATED = "UtilitiesDeviceERPSmartMeterRegisterCreateConfirmation"
LOCATION = "UtilitiesDeviceERPSmartMeterLocationNotification"
POINT_OF_DELIVERY = "SmartMeterUtilitiesMeasurementTaskERPPointOfDeliveryAssignedNotification"
REGISTERED = "UtilitiesDeviceERPSmartMeterRegisteredBulkNotification"

REGISTER_CHANGE = "UtilitiesDeviceERPSmartMeterRegisterChangeRequest"
REGISTER_CHANGED = "UtilitiesDeviceERPSmartMeterRegisterChangeConfirmation"
MANUAL = "SmartMeterMeterReadingDocumentERPResultCreateRequest"
MANUAL_TAKEN = "SmartMeterMeterReadingDocumentERPResultCreateConfirmation"

READ = "SmartMeterMeterReadingDocumentERPCreateRequest"
READ_BULK = "SmartMeterMeterReadingDocumentERPBulkCreateRequest"
READ_ACCEPTED = "SmartMeterMeterReadingDocumentERPCreateConfirmation"
READ_BULK_ACCEPTED = "SmartMeterMeterReadingDocumentERPBulkCreateConfirmation"
RESULT = "MeterReadingDocumentERPResultCreateRequest"
RESULT_BULK = "MeterReadingDocumentERPResultBulkCreateRequest"
RESULT_CONFIRMED = "MeterReadingDocumentERPResultCreateConfirmation"
RESULT_BULK_CONFIRMED = "MeterReadingDocumentERPResultBulkCreateConfirmation"
CANCEL_READING = "SmartMeterMeterReadingDocumentERPCancellationRequest"
READING_CANCELLED = "SmartMeterMeterReadingDocumentERPCancellationConfirmation"

SWITCH = "SmartMeterUtilitiesConnectionStatusChangeRequestERPCreateRequest"
SWITCH_BULK = "SmartMeterUtilitiesConnectionStatusChangeRequestERPBulkCreateRequest"
SWITCHED = "SmartMeterUtilitiesConnectionStatusChangeRequestERPCreateConfirmation"
SWITCHED_BULK = "SmartMeterUtilitiesConnectionStatusChangeRequestERPBulkCreateConfirmation"
CANCEL_SWITCH = "SmartMeterUtilitiesConnectionStatusChangeRequestERPCancellationRequest"
SWITCH_CANCELLED = "SmartMeterUtilitiesConnectionStatusChangeRequestERPCancellationConfirmation"

EVENT = "UtilitiesSmartMeterEventERPCreateRequest"
EVENTS = "UtilitiesSmartMeterEventERPBulkCreateRequest"

CODE = "Log/BusinessDocumentProcessingResultCode"
TYPE_ID = "Log/Item/TypeID"
NOTE = "Log/Item/Note"
HEADER_UUID = "MessageHeader/UUID"
REFERENCE = "MessageHeader/ReferenceUUID"
ORDER_ID = "UtilitiesConnectionStatusChangeRequest/ID"
SWITCHED_DEVICE = "UtilitiesConnectionStatusChangeRequest/DeviceConnectionStatus/UtilitiesDeviceID"
DEVICE_RESULT = (
    "UtilitiesConnectionStatusChangeRequest/DeviceConnectionStatus/UtilitiesDeviceConnectionStatusProcessingResultCode"
)
VALUE = "MeterReadingDocument/Result/MeterReadingResultValue"
READ_ON = "MeterReadingDocument/Result/ActualMeterReadingDate"
READ_TIME = "MeterReadingDocument/Result/ActualMeterReadingTime"


def smart_meter(ams_id: str = "AM01") -> str:
    """Return the element that names the advanced metering system."""
    return f"<SmartMeter><UtilitiesAdvancedMeteringSystemID>{ams_id}</UtilitiesAdvancedMeteringSystemID></SmartMeter>"


def span(starts: str = "2026-01-01", ends: str = OPEN) -> str:
    """Return start and end, the end inclusive as SAP has it."""
    return f"<StartDate>{starts}</StartDate><EndDate>{ends}</EndDate>"


# ---- master data -----------------------------------------------------------------------------------------------------


def device(
    device_id: str = METER,
    *,
    serial: str | None = None,
    starts: str = "2026-01-01",
    ends: str = OPEN,
    system: str = smart_meter(),
) -> str:
    """Return a meter that SAP has received."""
    return (
        f"<UtilitiesDevice><ID>{device_id}</ID>{span(starts, ends)}<SerialID>{serial or f'S{device_id}'}</SerialID>"
        f"<MaterialID>LX100</MaterialID>{system}</UtilitiesDevice>"
    )


def device_ends(device_id: str = METER, *, ends: str) -> str:
    """Return the change that ends a meter with a day, inclusive."""
    return (
        f"<UtilitiesDevice><ID>{device_id}</ID><SerialID>S{device_id}</SerialID><EndDate>{ends}</EndDate>"
        "<MaterialID>LX100</MaterialID></UtilitiesDevice>"
    )


def register(
    task: str = METER,
    *,
    starts: str = "2026-01-01",
    ends: str = OPEN,
    obis: str = ENERGY,
    unit: str = "KWH",
    digits: int = 8,
    decimals: int = 2,
    factor: str | None = None,
    zone: str | None = None,
    division: str | None = None,
    recurrence: str | None = None,
) -> str:
    """Return one register of `registers`; a code text of "" is left out."""
    return (
        f"<Register>{span(starts, ends)}<UtilitiesMeasurementTaskID>{task}</UtilitiesMeasurementTaskID>"
        + _optional("UtilitiesObjectIdentificationSystemCodeText", obis)
        + _optional("UtilitiesDivisionCategoryCode", division)
        + _optional("UtilitiesMeasurementRecurrenceCode", recurrence)
        + _optional("TimeZoneCode", zone)
        + f"<Specifications><MeasureUnitCode>{unit}</MeasureUnitCode><DecimalValuePrecision>"
        f"<TotalDigitNumberValue>{digits}</TotalDigitNumberValue>"
        f"<FractionDigitNumberValue>{decimals}</FractionDigitNumberValue></DecimalValuePrecision>"
        + _optional("MeterReadingResultAdjustmentFactorValue", factor)
        + "</Specifications></Register>"
    )


def specified(task: str, starts: str, ends: str = OPEN, *, obis: str = ENERGY, factor: str = "1.0") -> str:
    """Return one register as a change has it, specified for all its days."""
    return (
        f"<Register>{span(starts, ends)}<UtilitiesMeasurementTaskID>{task}</UtilitiesMeasurementTaskID>"
        f"<UtilitiesObjectIdentificationSystemCodeText>{obis}</UtilitiesObjectIdentificationSystemCodeText>"
        f"<Specifications>{span(starts, ends)}<MeasureUnitCode>KWH</MeasureUnitCode><DecimalValuePrecision>"
        "<TotalDigitNumberValue>8</TotalDigitNumberValue><FractionDigitNumberValue>2</FractionDigitNumberValue>"
        f"</DecimalValuePrecision><MeterReadingResultAdjustmentFactorValue>{factor}"
        "</MeterReadingResultAdjustmentFactorValue></Specifications></Register>"
    )


def registers(*listed: str, device_id: str = METER, system: str = smart_meter()) -> str:
    """Return the registers of a meter."""
    return f"<UtilitiesDevice><ID>{device_id}</ID>{''.join(listed)}{system}</UtilitiesDevice>"


def place(point: str = "IP1", *, starts: str = "2026-01-01", ends: str = OPEN, modified: str = "") -> str:
    """Return one location of `locations`."""
    return (
        f"<Location>{span(starts, ends)}<InstallationPointID>{point}</InstallationPointID>"
        "<InstallationPointHierarchyRelationship><ParentInstallationPointID>CO1</ParentInstallationPointID>"
        f"</InstallationPointHierarchyRelationship>{modified}</Location>"
    )


def installed(day: str, at: str, *, zone: str | None = None) -> str:
    """Return when a meter was installed, as a location tells it."""
    return (
        f"<ModificationInformation><InstallationDate>{day}</InstallationDate><InstallationTime>{at}</InstallationTime>"
        f"{_optional('TimeZoneCode', zone)}</ModificationInformation>"
    )


def locations(*listed: str, device_id: str = METER, complete: bool = True, system: str = smart_meter()) -> str:
    """Return where a meter hangs; none listed is its removal."""
    indicator = str(complete).lower()
    return (
        f'<UtilitiesDevice locationListCompleteTransmissionIndicator="{indicator}"><ID>{device_id}</ID>'
        f"{''.join(listed)}{system}</UtilitiesDevice>"
    )


def assignment(
    point: str = "DE1",
    *,
    starts: tuple[str, str] = ("2026-01-01", "00:00:00"),
    ends: tuple[str, str] = (OPEN, "23:59:59"),
) -> str:
    """Return one point of delivery of `points_of_delivery`."""
    return (
        f"<UtilitiesPointOfDeliveryAssignment><StartDate>{starts[0]}</StartDate><StartTime>{starts[1]}</StartTime>"
        f"<EndDate>{ends[0]}</EndDate><EndTime>{ends[1]}</EndTime>"
        f"<UtilitiesPointOfDeliveryPartyID>{point}</UtilitiesPointOfDeliveryPartyID>"
        "</UtilitiesPointOfDeliveryAssignment>"
    )


def points_of_delivery(*listed: str, task: str = METER, device_id: str = METER) -> str:
    """Return the points of delivery of a register."""
    complete = "UtilitiesPointOfDeliveryAssignmentListCompleteTransmissionIndicator"
    return (
        f"<UtilitiesMeasurementTask><ID>{task}</ID><{complete}>true</{complete}>{''.join(listed)}"
        f"<UtilitiesDevice><UtilitiesDeviceID>{device_id}</UtilitiesDeviceID><SmartMeter>"
        "<AdvancedMeteringSystemID>AM01</AdvancedMeteringSystemID></SmartMeter></UtilitiesDevice>"
        "</UtilitiesMeasurementTask>"
    )


# ---- readings --------------------------------------------------------------------------------------------------------


def reading(
    document: str = DOCUMENT,
    *,
    device_id: str = METER,
    task: str | None = None,
    on: str = "2026-03-29",
    reason: str = "01",
    source: str | None = "0",
    obis: str = ENERGY,
    system: str = smart_meter(),
) -> str:
    """Return the order of one reading."""
    return (
        f"<MeterReadingDocument><ID>{document}</ID><MeterReadingReasonCode>{reason}</MeterReadingReasonCode>"
        f"<ScheduledMeterReadingDate>{on}</ScheduledMeterReadingDate>"
        + _optional("UtilitiesAdvancedMeteringDataSourceTypeCode", source)
        + f"<UtiltiesMeasurementTask><UtilitiesMeasurementTaskID>{task or device_id}</UtilitiesMeasurementTaskID>"
        f"<UtilitiesObjectIdentificationSystemCodeText>{obis}</UtilitiesObjectIdentificationSystemCodeText>"
        f"<UtiltiesDevice><UtilitiesDeviceID>{device_id}</UtilitiesDeviceID>{system}</UtiltiesDevice>"
        "</UtiltiesMeasurementTask></MeterReadingDocument>"
    )


def manual_reading(
    document: str = DOCUMENT,
    *,
    device_id: str = METER,
    on: str,
    at: str,
    value: str = "12345.67",
    reason: str = "21",
) -> str:
    """Return a reading that a person has made."""
    return (
        f"<MeterReadingDocument><ID>{document}</ID><MeterReadingReasonCode>{reason}</MeterReadingReasonCode>"
        f"<UtilitiesMeasurementTask><UtilitiesMeasurementTaskID>{device_id}</UtilitiesMeasurementTaskID>"
        f"<UtilitiesDevice><UtilitiesDeviceID>{device_id}</UtilitiesDeviceID>{smart_meter()}</UtilitiesDevice>"
        f"</UtilitiesMeasurementTask><Result><MeterReadingDate>{on}</MeterReadingDate>"
        f"<MeterReadingTime>{at}</MeterReadingTime><MeterReadingTypeCode>01</MeterReadingTypeCode>"
        f"<MeterReadingResultValue>{value}</MeterReadingResultValue></Result></MeterReadingDocument>"
    )


def cancel_reading(document: str = DOCUMENT) -> str:
    """Return the cancellation of a reading order."""
    return (
        f"<MeterReadingDocument><ID>{document}</ID><UtilitiesDeviceSmartMeter>"
        "<UtilitiesAdvancedMeteringSystemID>AM01</UtilitiesAdvancedMeteringSystemID>"
        "</UtilitiesDeviceSmartMeter></MeterReadingDocument>"
    )


def result_confirmed(code: str = "3", *, document: str | None = DOCUMENT, note: str = "as told") -> str:
    """Return what SAP says to a result; without a code its Log is empty, without a document it names none."""
    log = (
        f"<BusinessDocumentProcessingResultCode>{code}</BusinessDocumentProcessingResultCode>"
        f"<Item><TypeID>001(EL)</TypeID><Note>{note}</Note></Item>"
    )
    return f"<MeterReadingDocument>{_optional('ID', document)}</MeterReadingDocument><Log>{log if code else ''}</Log>"


# ---- switches --------------------------------------------------------------------------------------------------------


def switched_devices(*device_ids: str) -> str:
    """Return the devices of a connection order."""
    return "".join(
        f"<DeviceConnectionStatus><UtilitiesDeviceID>{device_id}</UtilitiesDeviceID>{smart_meter()}"
        "</DeviceConnectionStatus>"
        for device_id in device_ids
    )


def switch(
    *device_ids: str,
    planned_at: datetime,
    category: str = "1",
    number: str = "000000004711",
    reason: str | None = None,
    immediate: bool = False,
) -> str:
    """Return a connection order: category 1 disconnects, 2 connects."""
    return (
        f"<UtilitiesConnectionStatusChangeRequest><ID>{number}</ID><CategoryCode>{category}</CategoryCode>"
        + _optional("UtilitiesServiceDisconnectionReasonCode", reason)
        + f"<PlannedProcessingDateTime>{planned_at:%Y-%m-%dT%H:%M:%SZ}</PlannedProcessingDateTime>"
        + _optional("ImmediateStatusChangeIndicator", "true" if immediate else "")
        + f"{switched_devices(*device_ids or (METER,))}</UtilitiesConnectionStatusChangeRequest>"
    )


def cancel_switch(*device_ids: str, category: str = "1", number: str = "000000004711") -> str:
    """Return the cancellation of a connection order."""
    return (
        f"<UtilitiesConnectionStatusChangeRequest><ID>{number}</ID><CategoryCode>{category}</CategoryCode>"
        f"{switched_devices(*device_ids or (METER,))}</UtilitiesConnectionStatusChangeRequest>"
    )


def _optional(name: str, text: str | None) -> str:
    return f"<{name}>{text}</{name}>" if text else ""
