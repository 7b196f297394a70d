"""The bodies of SAP's messages as two systems send them that know nothing of each other: with the same ids."""

from __future__ import annotations

from datetime import datetime

DEVICE = "000000000000000042"
SERIAL = "0000001234"
TASK = "000000000000000007"
DOCUMENT = "00000000000000000007"
REQUEST = "000000004711"
ENERGY = "1-0:1.8.0*255"

CREATE_DEVICE = "UtilitiesDeviceERPSmartMeterCreateRequest"
DEVICE_CREATED = "UtilitiesDeviceERPSmartMeterCreateConfirmation"
CHANGE_DEVICE = "UtilitiesDeviceERPSmartMeterChangeRequest"
DEVICE_CHANGED = "UtilitiesDeviceERPSmartMeterChangeConfirmation"
CREATE_REGISTERS = "UtilitiesDeviceERPSmartMeterRegisterCreateRequest"
REGISTERS_CREATED = "UtilitiesDeviceERPSmartMeterRegisterCreateConfirmation"
LOCATE = "UtilitiesDeviceERPSmartMeterLocationNotification"
ASSIGN = "SmartMeterUtilitiesMeasurementTaskERPPointOfDeliveryAssignedNotification"
REGISTERED = "UtilitiesDeviceERPSmartMeterRegisteredNotification"
REGISTERED_IN_BULK = "UtilitiesDeviceERPSmartMeterRegisteredBulkNotification"
READ = "SmartMeterMeterReadingDocumentERPCreateRequest"
TO_BE_READ = "SmartMeterMeterReadingDocumentERPCreateConfirmation"
RESULT = "MeterReadingDocumentERPResultCreateRequest"
RESULT_CONFIRMED = "MeterReadingDocumentERPResultCreateConfirmation"
CANCEL_READING = "SmartMeterMeterReadingDocumentERPCancellationRequest"
READING_CANCELLED = "SmartMeterMeterReadingDocumentERPCancellationConfirmation"
SWITCH = "SmartMeterUtilitiesConnectionStatusChangeRequestERPCreateRequest"
SWITCHED = "SmartMeterUtilitiesConnectionStatusChangeRequestERPCreateConfirmation"

CODE = "Log/BusinessDocumentProcessingResultCode"
TYPE_ID = "Log/Item/TypeID"
VALUE = "MeterReadingDocument/Result/MeterReadingResultValue"

_SPAN = "<StartDate>2026-01-01</StartDate><EndDate>9999-12-31</EndDate>"


def ams(ams_id: str | None) -> str:
    """The metering system of a device, or none."""
    if ams_id is None:
        return ""
    told = f"<UtilitiesAdvancedMeteringSystemID>{ams_id}</UtilitiesAdvancedMeteringSystemID>"
    return f"<SmartMeter>{told}</SmartMeter>"


def device(ams_id: str | None, *, device_id: str = DEVICE, serial: str = SERIAL) -> str:
    """Of a device create request."""
    return (
        f"<UtilitiesDevice><ID>{device_id}</ID>{_SPAN}<SerialID>{serial}</SerialID>"
        f"<MaterialID>LX100</MaterialID>{ams(ams_id)}</UtilitiesDevice>"
    )


def changed_device(ams_id: str) -> str:
    """Of a device change request that names this metering system."""
    return (
        f"<UtilitiesDevice><ID>{DEVICE}</ID><SerialID>{SERIAL}</SerialID><MaterialID>LX100</MaterialID>"
        f"{ams(ams_id)}</UtilitiesDevice>"
    )


def registers(ams_id: str | None, *, device_id: str = DEVICE, task: str = TASK, factor: str = "1") -> str:
    """Of a register create request with one register."""
    return (
        f"<UtilitiesDevice><ID>{device_id}</ID><Register>{_SPAN}"
        f"<UtilitiesMeasurementTaskID>{task}</UtilitiesMeasurementTaskID>"
        f"<UtilitiesObjectIdentificationSystemCodeText>1-0:1.8.0</UtilitiesObjectIdentificationSystemCodeText>"
        f"<Specifications><MeasureUnitCode>KWH</MeasureUnitCode><DecimalValuePrecision>"
        f"<TotalDigitNumberValue>8</TotalDigitNumberValue><FractionDigitNumberValue>2</FractionDigitNumberValue>"
        f"</DecimalValuePrecision>"
        f"<MeterReadingResultAdjustmentFactorValue>{factor}</MeterReadingResultAdjustmentFactorValue>"
        f"</Specifications></Register>"
        f"{ams(ams_id)}</UtilitiesDevice>"
    )


def location(ams_id: str | None) -> str:
    """Of a location notification."""
    return (
        f'<UtilitiesDevice locationListCompleteTransmissionIndicator="true"><ID>{DEVICE}</ID><Location>{_SPAN}'
        f"<InstallationPointID>IP1</InstallationPointID><InstallationPointHierarchyRelationship>"
        f"<ParentInstallationPointID>CO1</ParentInstallationPointID></InstallationPointHierarchyRelationship></Location>"
        f"{ams(ams_id)}</UtilitiesDevice>"
    )


def point_of_delivery(ams_id: str | None, *, point: str = "DE1") -> str:
    """Of a point of delivery notification."""
    complete = "UtilitiesPointOfDeliveryAssignmentListCompleteTransmissionIndicator"
    system = "" if ams_id is None else f"<AdvancedMeteringSystemID>{ams_id}</AdvancedMeteringSystemID>"
    return (
        f"<UtilitiesMeasurementTask><ID>{TASK}</ID><{complete}>true</{complete}><UtilitiesPointOfDeliveryAssignment>"
        f"<StartDate>2026-01-01</StartDate><StartTime>00:00:00</StartTime>"
        f"<EndDate>9999-12-31</EndDate><EndTime>23:59:59</EndTime>"
        f"<UtilitiesPointOfDeliveryPartyID>{point}</UtilitiesPointOfDeliveryPartyID>"
        f"</UtilitiesPointOfDeliveryAssignment><UtilitiesDevice><UtilitiesDeviceID>{DEVICE}</UtilitiesDeviceID>"
        f"<SmartMeter>{system}</SmartMeter></UtilitiesDevice></UtilitiesMeasurementTask>"
    )


def reading(ams_id: str | None, *, device_id: str = DEVICE, document: str = DOCUMENT, source: str = "1") -> str:
    """Of a reading order, on demand where nothing else is said."""
    return (
        f"<MeterReadingDocument><ID>{document}</ID><MeterReadingReasonCode>01</MeterReadingReasonCode>"
        f"<ScheduledMeterReadingDate>2026-03-28</ScheduledMeterReadingDate>"
        f"<UtilitiesAdvancedMeteringDataSourceTypeCode>{source}</UtilitiesAdvancedMeteringDataSourceTypeCode>"
        f"<UtiltiesMeasurementTask><UtilitiesMeasurementTaskID>{TASK}</UtilitiesMeasurementTaskID>"
        f"<UtilitiesObjectIdentificationSystemCodeText>1-0:1.8.0</UtilitiesObjectIdentificationSystemCodeText>"
        f"<UtiltiesDevice><UtilitiesDeviceID>{device_id}</UtilitiesDeviceID>{ams(ams_id)}</UtiltiesDevice>"
        f"</UtiltiesMeasurementTask></MeterReadingDocument>"
    )


def reading_cancellation(ams_id: str) -> str:
    """Of the cancellation of that order."""
    system = f"<UtilitiesAdvancedMeteringSystemID>{ams_id}</UtilitiesAdvancedMeteringSystemID>"
    return (
        f"<MeterReadingDocument><ID>{DOCUMENT}</ID><UtilitiesDeviceSmartMeter>{system}</UtilitiesDeviceSmartMeter>"
        f"</MeterReadingDocument>"
    )


def result_confirmation(code: str) -> str:
    """Of SAP's answer to the result of that order."""
    return (
        f"<MeterReadingDocument><ID>{DOCUMENT}</ID></MeterReadingDocument>"
        f"<Log><BusinessDocumentProcessingResultCode>{code}</BusinessDocumentProcessingResultCode></Log>"
    )


def switch(ams_id: str | None, *, planned_at: datetime, category: str = "1", device_id: str = DEVICE) -> str:
    """Of an order to disconnect, or to reconnect."""
    return (
        f"<UtilitiesConnectionStatusChangeRequest><ID>{REQUEST}</ID><CategoryCode>{category}</CategoryCode>"
        f"<PlannedProcessingDateTime>{planned_at:%Y-%m-%dT%H:%M:%SZ}</PlannedProcessingDateTime>"
        f"<DeviceConnectionStatus><UtilitiesDeviceID>{device_id}</UtilitiesDeviceID>{ams(ams_id)}"
        f"</DeviceConnectionStatus></UtilitiesConnectionStatusChangeRequest>"
    )
