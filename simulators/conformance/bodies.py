"""What SAP says of a subject in each of its messages: the content below the header, right, and wrong in business terms.

Wrong means what every MDUS can see at once, without waiting for anything: the rule is beside it.
"""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from simulators.conformance.subjects import Subject, World, now
from simulators.conformance.writing import Content, stamp

_OPEN_END = "9999-12-31"
_DAY = timedelta(days=1)

DISCONNECT, RECONNECT = "1", "2"
PERIODIC, CONTROL, UNKNOWN_REASON = "01", "10", "99"
STORED, ON_DEMAND = "0", "1"


def _ams(world: World) -> Content:
    return {"UtilitiesAdvancedMeteringSystemID": world.ams}


# -- devices and registers --------------------------------------------------------------------------------------------


def device_create(subject: Subject, world: World, *, other_meter: bool = False) -> Content:
    """A new device; `other_meter`: another meter under its id, which is taken."""
    return {
        "UtilitiesDevice": {
            "ID": subject.device,
            "StartDate": world.start_on,
            "EndDate": _OPEN_END,
            "SerialID": f"X{subject.meter.serial}" if other_meter else subject.meter.serial,
            "MaterialID": f"X{subject.meter.material}" if other_meter else subject.meter.material,
            "IndividualMaterialManufacturerInformation": {"SerialID": subject.meter.serial},
            "SmartMeter": _ams(world),
        }
    }


def device_change(subject: Subject, world: World, *, other_meter: bool = False) -> Content:
    """Other data of the manufacturer; `other_meter`: for a serial number the device does not have."""
    return {
        "UtilitiesDevice": {
            "ID": subject.device,
            "SerialID": f"X{subject.meter.serial}" if other_meter else subject.meter.serial,
            "StartDate": world.start_on,
            "EndDate": _OPEN_END,
            "MaterialID": subject.meter.material,
            "IndividualMaterialManufacturerInformation": {"PartyInternalID": "MAKER", "SerialID": subject.meter.serial},
            "SmartMeter": _ams(world),
        }
    }


def _register(subject: Subject, *, start: date, end: date) -> dict[str, Any]:
    meter = subject.meter
    return {
        "StartDate": start,
        "EndDate": end,
        "UtilitiesMeasurementTaskID": subject.task,
        "UtilitiesObjectIdentificationSystemCodeText": meter.obis,
        "UtilitiesDivisionCategoryCode": meter.division,
        "UtilitiesMeasurementRecurrenceCode": None,
        "Specifications": {
            "MeasureUnitCode": meter.unit,
            "DecimalValuePrecision": {
                "TotalDigitNumberValue": str(meter.digits + meter.decimals),
                "FractionDigitNumberValue": str(meter.decimals),
            },
            "MeterReadingResultAdjustmentFactorValue": "1",
        },
    }


def register_create(subject: Subject, world: World, *, too_early: bool = False, intervals: bool = False) -> Content:
    """One register that ends; `too_early`: it begins before its device; `intervals`: a channel for a profile."""
    start = world.start_on - 30 * _DAY if too_early else world.start_on
    register = _register(subject, start=start, end=world.last_day)
    if intervals:
        register["UtilitiesObjectIdentificationSystemCodeText"] = subject.meter.interval_obis
        register["UtilitiesMeasurementRecurrenceCode"] = world.recurrence
    return {"UtilitiesDevice": {"ID": subject.device, "Register": [register], "SmartMeter": _ams(world)}}


def register_change(subject: Subject, world: World, *, reversed_dates: bool = False) -> Content:
    """The register ends a day earlier; `reversed_dates`: it ends before it begins."""
    end = world.start_on - 10 * _DAY if reversed_dates else world.last_day - _DAY
    register = _register(subject, start=world.start_on, end=end)
    specifications = {"StartDate": register["StartDate"], "EndDate": register["EndDate"], **register["Specifications"]}
    changed = {**register, "Specifications": [specifications]}
    return {"UtilitiesDevice": {"ID": subject.device, "Register": [changed], "SmartMeter": _ams(world)}}


def location(subject: Subject, world: World, *, reversed_dates: bool = False) -> Content:
    """Where the device is installed; `reversed_dates`: until before it was."""
    number = subject.device[-11:]
    end = str(world.start_on - 10 * _DAY) if reversed_dates else _OPEN_END
    return {
        "UtilitiesDevice": {
            "@locationListCompleteTransmissionIndicator": "true",
            "@logicalLocationListCompleteTransmissionIndicator": "true",
            "ID": subject.device,
            "LogicalLocation": [
                {"StartDate": world.start_on, "EndDate": end, "LogicalInstallationPointID": f"L{number}"}
            ],
            "Location": [
                {
                    "StartDate": world.start_on,
                    "EndDate": end,
                    "InstallationPointID": f"I{number}",
                    "InstallationPointAddressInformation": {
                        "HouseID": "12",
                        "StreetPostalCode": "20095",
                        "CityName": "Hamburg",
                        "StreetName": "Am Zählerplatz",
                        "CountryCode": "DE",
                    },
                    "InstallationPointHierarchyRelationship": {"ParentInstallationPointID": f"P{number}"},
                    "ModificationInformation": {"InstallationDate": world.start_on, "InstallationTime": "00:00:00"},
                }
            ],
            "SmartMeter": _ams(world),
        }
    }


def point_of_delivery(subject: Subject, world: World, *, reversed_dates: bool = False) -> Content:
    """Whose consumption the register measures; `reversed_dates`: until before it was."""
    return {
        "UtilitiesMeasurementTask": {
            "ID": subject.task,
            "UtilitiesObjectIdentificationSystemCodeText": subject.meter.obis,
            "UtilitiesPointOfDeliveryAssignmentListCompleteTransmissionIndicator": "true",
            "UtilitiesPointOfDeliveryAssignment": [
                {
                    "StartDate": world.start_on,
                    "StartTime": "00:00:00",
                    "EndDate": str(world.start_on - 10 * _DAY) if reversed_dates else _OPEN_END,
                    "EndTime": "23:59:59",
                    "UtilitiesPointOfDeliveryPartyID": subject.point,
                }
            ],
            "UtilitiesDevice": {
                "UtilitiesDeviceID": subject.device,
                "SmartMeter": {"AdvancedMeteringSystemID": world.ams},  # without "Utilities" here only
            },
        }
    }


def measurement_task_assignment(subject: Subject, world: World, *, reversed_dates: bool = False) -> Content:
    """The register's values are the profile's; `reversed_dates`: until before they were."""
    return {
        "UtilitiesTimeSeries": {
            "@measurementTaskAssignmentRoleListCompleteTransmissionIndicator": "true",
            "ID": subject.profile,
            "UtilitiesMeasurementRecurrenceCode": world.recurrence,
            "MeasureUnitCode": subject.meter.unit,
            "MeasurementTaskAssignmentRole": [
                {
                    "StartDate": world.start_on,
                    "StartTime": "00:00:00",
                    "EndDate": world.start_on - 10 * _DAY if reversed_dates else world.last_day,
                    "EndTime": "23:59:59",
                    "UtilitiesTimeSeriesAssignmentRoleCode": world.role,
                    "UtilitiesMeasurementTaskID": subject.task,
                    "UtilitiesDeviceSmartMeter": _ams(world),
                }
            ],
        }
    }


# -- reading ----------------------------------------------------------------------------------------------------------


def reading_order(
    subject: Subject,
    world: World,
    *,
    on: date | None = None,
    reason: str = PERIODIC,
    source: str = STORED,
) -> Content:
    """A reading; without a date on the last day of its register, which still counts."""
    return {
        "MeterReadingDocument": {
            "ID": subject.document,
            "MeterReadingReasonCode": reason,
            "ScheduledMeterReadingDate": on or world.last_day,
            "UtilitiesAdvancedMeteringDataSourceTypeCode": source,
            "UtiltiesMeasurementTask": {
                "UtilitiesMeasurementTaskID": subject.task,
                "UtilitiesObjectIdentificationSystemCodeText": subject.meter.obis,
                "UtiltiesDevice": {"UtilitiesDeviceID": subject.device, "SmartMeter": _ams(world)},
            },
        }
    }


def reading_cancellation(subject: Subject, world: World, *, foreign: bool = False) -> Content:
    """The order taken back; `foreign`: in the name of a metering system it was not for."""
    ams = {"UtilitiesAdvancedMeteringSystemID": "ZZZZ" if foreign else world.ams}
    return {"MeterReadingDocument": {"ID": subject.document, "UtilitiesDeviceSmartMeter": ams}}


def manual_reading(subject: Subject, world: World, *, too_early: bool = False) -> Content:
    """A reading a person took at the installation; `too_early`: when the register was not there yet."""
    on = world.start_on - 30 * _DAY if too_early else world.start_on + _DAY
    return {
        "MeterReadingDocument": {
            "ID": subject.document,
            "MeterReadingReasonCode": "21",
            "UtilitiesMeasurementTask": {
                "UtilitiesMeasurementTaskID": subject.task,
                "UtilitiesDevice": {"UtilitiesDeviceID": subject.device, "SmartMeter": _ams(world)},
            },
            "Result": {
                "MeterReadingDate": on,
                "MeterReadingTime": "10:00:00",
                "MeterReadingTypeCode": "01",
                "MeterReadingResultValue": "12",
            },
        }
    }


# -- switching --------------------------------------------------------------------------------------------------------


def connection_order(
    subject: Subject, world: World, *, category: str = RECONNECT, planned: datetime | None = None
) -> Content:
    """A switch; without an instant planned for just now."""
    return {
        "UtilitiesConnectionStatusChangeRequest": {
            "ID": subject.request,
            "CategoryCode": category,
            "PlannedProcessingDateTime": stamp(planned or now() - timedelta(seconds=5)),
            "DeviceConnectionStatus": [{"UtilitiesDeviceID": subject.device, "SmartMeter": _ams(world)}],
        }
    }


def connection_cancellation(subject: Subject, world: World, *, category: str = DISCONNECT) -> Content:
    """The switch order taken back."""
    return {
        "UtilitiesConnectionStatusChangeRequest": {
            "ID": subject.request,
            "CategoryCode": category,
            "DeviceConnectionStatus": [{"UtilitiesDeviceID": subject.device, "SmartMeter": _ams(world)}],
        }
    }


# -- profiles ---------------------------------------------------------------------------------------------------------


def time_series_query(profile: str, world: World, *, start: datetime, end: datetime) -> Content:
    """The values of a profile between two instants; the times on the wire are local to the zone named."""
    local = {
        name: world.local(instant).strftime("%Y-%m-%dT%H:%M:%S")
        for name, instant in (("StartDateTime", start), ("EndDateTime", end))
    }
    return {
        "UtilitiesTimeSeriesItemSelectionByID": {
            "UtilitiesTimeSeriesID": profile,
            "UtilitiesTimeSeriesItemTimeZoneCode": world.zone_code,
            "UtilitiesTimeSeriesItemValidityPeriod": local,
        }
    }


# -- SAP's answers ----------------------------------------------------------------------------------------------------


def log(code: str) -> Content:
    """The log of a confirmation of SAP."""
    if code == "3":
        return {"BusinessDocumentProcessingResultCode": code}
    reason = {"TypeID": "117(E9)", "CategoryCode": "PRE", "SeverityCode": "3", "Note": "Implausible, says the tester"}
    return {"BusinessDocumentProcessingResultCode": code, "MaximumLogItemSeverityCode": "3", "Item": [reason]}


def confirmation(service: str, item: Mapping[str, str], code: str) -> Content:
    """SAP's confirmation of one item of MDUS; `item` holds its ids."""
    match service:
        case "reading_result":
            device = {"UtiltiesDevice": {"UtilitiesDeviceID": item["device"]}} if item.get("device") else None
            said: Content = {"MeterReadingDocument": {"ID": item.get("key") or None, "UtiltiesMeasurementTask": device}}
        case "event":
            said = {"UtilitiesSmartMeterEvent": {"ID": item["event"], "UtilitiesDeviceID": item.get("key") or None}}
        case _:
            said = {"UtilitiesTimeSeries": {"ID": item.get("key") or None}}
    return {**said, "Log": log(code)}
