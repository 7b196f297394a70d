"""From what is to be said to the arguments zeep builds a message from.

The keys are the wire's own names, SAP's misspellings included; zeep puts them in the schema's order. Values are text,
because ids keep their zeros and time stamps their `Z`.
"""

from datetime import UTC, datetime
from typing import Any

from simulators.sap_cis.contract import SENT
from simulators.sap_cis.view import Device, Order, Register, Sent, View

_OPEN_END = "9999-12-31"

#: Digits of a profile's values, those after the point among them.
_PROFILE_DIGITS = "14"

#: Commodity -> UtilitiesDivisionCategoryCode.
_DIVISIONS = {"electricity": "1", "gas": "2", "water": "3"}

Arguments = dict[str, Any]


def wire_instant(instant: datetime) -> str:
    """This will print an instant as the contract's time stamps want it: UTC with Z, whole seconds."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Builder:
    """This will build zeep's arguments from messages planned and the view; `time_zone_code` is SAP's code or None."""

    def __init__(self, view: View, *, own_system: str, time_zone_code: str | None) -> None:
        self._view = view
        self._own_system = own_system
        self._time_zone_code = time_zone_code
        self._items = {
            "device_create": self._device_create,
            "register_create": self._register_create,
            "device_change": self._device_change,
            "register_change": self._register_change,
            "manual_reading": self._manual_reading,
            "profile_assignment": self._profile_assignment,
            "values_confirmation": self._values_confirmation,
            "values_change_confirmation": self._values_confirmation,
            "location": self._location,
            "point_of_delivery": self._point_of_delivery,
            "reading_order": self._reading_order,
            "reading_cancellation": self._reading_cancellation,
            "connection_order": self._connection_order,
            "connection_cancellation": self._connection_cancellation,
            "result_confirmation": self._result_confirmation,
            "event_confirmation": self._event_confirmation,
        }

    def arguments(self, sent: Sent, *, now: datetime) -> Arguments:
        """This will return the arguments of zeep's operation for the whole message, created at `now`."""
        process = SENT[sent.process]
        build = self._items[sent.process]
        items = list(sent.items.values())
        if sent.form == "single":
            reference = items[0].get("reference")
            return {"MessageHeader": self._header(sent.uuid, now, items[0], reference), **build(items[0])}
        assert process.item is not None
        message: Arguments = {
            "MessageHeader": self._header(sent.uuid, now, items[0], items[0].get("bulk_reference")),
            process.item: [
                {"MessageHeader": self._header(item["uuid"], now, item, item.get("reference")), **build(item)}
                for item in items
            ],
        }
        if sent.process.endswith("_confirmation"):
            codes = {item["code"] for item in items}
            overall = codes.pop() if len(codes) == 1 else "4"
            message["Log"] = {"BusinessDocumentProcessingResultCode": overall}
        return message

    def _header(self, uuid: str, now: datetime, item: dict[str, Any], reference: str | None) -> Arguments:
        """As a real SAP writes it: UUID, creation time and sender, no ID."""
        header = {"UUID": uuid, "CreationDateTime": wire_instant(now), "SenderBusinessSystemID": self._own_system}
        if reference:
            header["ReferenceUUID"] = reference
        document = self._view.documents.get(item["key"])
        if document is not None and document.test:
            header["TestDataIndicator"] = "true"
        return header

    # Device initialization ----------------------------------------------------------------------------------------

    def _device_create(self, item: dict[str, Any]) -> Arguments:
        device = self._view.devices[item["key"]]
        return {
            "UtilitiesDevice": {
                "ID": device.id,
                "StartDate": device.start_on,
                "EndDate": _OPEN_END,
                "SerialID": device.serial,
                "MaterialID": device.material,
                "IndividualMaterialManufacturerInformation": {"SerialID": device.serial},
                "SmartMeter": _system(device.system),
            }
        }

    def _register_create(self, item: dict[str, Any]) -> Arguments:
        device = self._view.devices[item["key"]]
        return {
            "UtilitiesDevice": {
                "ID": device.id,
                "Register": [self._register(device, register) for register in device.registers],
                "SmartMeter": _system(device.system),
            }
        }

    def _register(self, device: Device, register: Register) -> Arguments:
        return {
            "StartDate": device.start_on,
            "EndDate": _OPEN_END,
            "UtilitiesMeasurementTaskID": register.lrn,
            "UtilitiesObjectIdentificationSystemCodeText": register.obis,
            "UtilitiesDivisionCategoryCode": _DIVISIONS.get(device.commodity, "1"),
            **({"UtilitiesMeasurementRecurrenceCode": str(register.minutes)} if register.minutes else {}),
            **self._zone_code(),
            "Specifications": {
                "MeasureUnitCode": register.unit,
                "DecimalValuePrecision": {
                    "TotalDigitNumberValue": str(register.digits + register.decimals),
                    "FractionDigitNumberValue": str(register.decimals),
                },
                "MeterReadingResultAdjustmentFactorValue": register.factor,
            },
        }

    def _device_change(self, item: dict[str, Any]) -> Arguments:
        device = self._view.devices[item["key"]]
        part = {"PartNumberID": item["part"]} if "part" in item else {}
        return {
            "UtilitiesDevice": {
                "ID": device.id,
                "SerialID": device.serial,
                "StartDate": device.start_on,
                "EndDate": _OPEN_END,
                "MaterialID": device.material,
                "IndividualMaterialManufacturerInformation": {**part, "SerialID": device.serial},
                "SmartMeter": _system(device.system),
            }
        }

    def _register_change(self, item: dict[str, Any]) -> Arguments:
        device = self._view.devices[item["key"]]
        return {
            "UtilitiesDevice": {
                "ID": device.id,
                "Register": [self._changed(device, register, item) for register in device.registers],
                "SmartMeter": _system(device.system),
            }
        }

    def _changed(self, device: Device, register: Register, item: dict[str, Any]) -> Arguments:
        """A register that ends after `last_day`, or that counts under a `tariff` from the day `since` on."""
        told = self._register(device, register)
        begin, end = device.start_on, item.get("last_day") or _OPEN_END
        since = item.get("since") or begin
        specification = told["Specifications"]
        if item.get("tariff"):
            specification = {"UtilitiesTimeOfUseCode": item["tariff"], **specification}
        return {
            **told,
            "EndDate": end,
            "Specifications": [{"StartDate": since, "EndDate": end, **specification}],
        }

    def _location(self, item: dict[str, Any]) -> Arguments:
        device = self._view.devices[item["key"]]
        number = device.place or device.id[-9:]
        if item.get("removed"):
            return {
                "UtilitiesDevice": {
                    "locationListCompleteTransmissionIndicator": True,
                    "logicalLocationListCompleteTransmissionIndicator": True,
                    "ID": device.id,
                    "SmartMeter": _system(device.system),
                }
            }
        return {
            "UtilitiesDevice": {
                "locationListCompleteTransmissionIndicator": True,
                "logicalLocationListCompleteTransmissionIndicator": True,
                "ID": device.id,
                "LogicalLocation": [
                    {
                        "StartDate": device.start_on,
                        "EndDate": _OPEN_END,
                        "LogicalInstallationPointID": f"LL{number}",
                    }
                ],
                "Location": [
                    {
                        "StartDate": device.start_on,
                        "EndDate": _OPEN_END,
                        "InstallationPointID": f"IP{number}",
                        "InstallationPointAddressInformation": {
                            "HouseID": str(int(number) % 200 + 1),
                            "StreetPostalCode": "20095",
                            "CityName": "Hamburg",
                            "StreetName": "Am Zählerplatz",
                            "CountryCode": "DE",
                            **self._zone_code(),
                        },
                        "InstallationPointHierarchyRelationship": {"ParentInstallationPointID": f"CO{number}"},
                        "ModificationInformation": {
                            "InstallationDate": device.start_on,
                            "InstallationTime": "00:00:00",
                            **self._zone_code(),
                        },
                    }
                ],
                "SmartMeter": _system(device.system),
            }
        }

    def _point_of_delivery(self, item: dict[str, Any]) -> Arguments:
        device = self._view.devices[item["device"]]
        register = next(register for register in device.registers if register.lrn == item["key"])
        return {
            "UtilitiesMeasurementTask": {
                "ID": register.lrn,
                "UtilitiesObjectIdentificationSystemCodeText": register.obis,
                "UtilitiesPointOfDeliveryAssignmentListCompleteTransmissionIndicator": "true",
                "UtilitiesPointOfDeliveryAssignment": [
                    {
                        "StartDate": device.start_on,
                        "StartTime": "00:00:00",
                        "EndDate": item.get("last_day") or _OPEN_END,
                        "EndTime": "23:59:59",
                        "UtilitiesPointOfDeliveryPartyID": device.point_of_delivery,
                    }
                ],
                "UtilitiesDevice": {
                    "UtilitiesDeviceID": device.id,
                    "SmartMeter": {"AdvancedMeteringSystemID": device.system},  # without "Utilities" here only
                },
            }
        }

    def _zone_code(self) -> Arguments:
        return {"TimeZoneCode": self._time_zone_code} if self._time_zone_code else {}

    # Meter reading ------------------------------------------------------------------------------------------------

    def _reading_order(self, item: dict[str, Any]) -> Arguments:
        order = self._view.orders[item["key"]]
        document: Arguments = {
            "ID": order.id,
            "MeterReadingReasonCode": order.reason,
            "ScheduledMeterReadingDate": order.scheduled_on,
            "UtiltiesMeasurementTask": {
                "UtilitiesMeasurementTaskID": order.lrn,
                "UtilitiesObjectIdentificationSystemCodeText": order.obis,
                "UtiltiesDevice": {"UtilitiesDeviceID": order.device, "SmartMeter": _system(self._system_of(order))},
            },
        }
        if order.data_source is not None:
            document["UtilitiesAdvancedMeteringDataSourceTypeCode"] = order.data_source
        return {"MeterReadingDocument": document}

    def _reading_cancellation(self, item: dict[str, Any]) -> Arguments:
        order = self._view.orders[item["key"]]
        return {"MeterReadingDocument": {"ID": order.id, "UtilitiesDeviceSmartMeter": _system(self._system_of(order))}}

    def _manual_reading(self, item: dict[str, Any]) -> Arguments:
        device = self._view.devices[item["device"]]
        return {
            "MeterReadingDocument": {
                "ID": item["key"],
                "MeterReadingReasonCode": item["reason"],
                "UtilitiesMeasurementTask": {
                    "UtilitiesMeasurementTaskID": item["lrn"],
                    "UtilitiesDevice": {"UtilitiesDeviceID": device.id, "SmartMeter": _system(device.system)},
                },
                "Result": {
                    "MeterReadingDate": item["on"],
                    "MeterReadingTime": item["at"],
                    "MeterReadingTypeCode": "01",
                    "MeterReadingResultValue": item["value"],
                },
            }
        }

    def _system_of(self, order: Order) -> str:
        return self._view.devices[order.device].system

    def _event_confirmation(self, item: dict[str, Any]) -> Arguments:
        event: Arguments = {"ID": item["key"]}
        if item.get("device"):
            event["UtilitiesDeviceID"] = item["device"]
        return {"UtilitiesSmartMeterEvent": event, "Log": _log(item)}

    def _result_confirmation(self, item: dict[str, Any]) -> Arguments:
        document: Arguments = {}
        if item["key"]:
            document["ID"] = item["key"]
        if item.get("device"):
            document["UtiltiesMeasurementTask"] = {"UtiltiesDevice": {"UtilitiesDeviceID": item["device"]}}
        return {"MeterReadingDocument": document, "Log": _log(item)}

    # Load profiles ------------------------------------------------------------------------------------------------

    def _profile_assignment(self, item: dict[str, Any]) -> Arguments:
        profile = self._view.profiles[item["key"]]
        return {
            "UtilitiesTimeSeries": {
                "measurementTaskAssignmentRoleListCompleteTransmissionIndicator": True,
                "ID": profile.id,
                "UtilitiesMeasurementRecurrenceCode": str(profile.minutes),
                "MeasureUnitCode": profile.unit,
                "DecimalValuePrecision": {
                    "TotalDigitNumberValue": _PROFILE_DIGITS,
                    "FractionDigitNumberValue": str(profile.decimals),
                },
                "MeasurementTaskAssignmentRole": [
                    {
                        "StartDate": profile.start_on,
                        "StartTime": "00:00:00",
                        "EndDate": _OPEN_END,
                        "EndTime": "23:59:59",
                        "UtilitiesTimeSeriesAssignmentRoleCode": "0001",
                        "UtilitiesMeasurementTaskID": profile.lrn,
                        "UtilitiesDeviceSmartMeter": _system(self._view.devices[profile.device].system),
                    }
                ],
            }
        }

    def _values_confirmation(self, item: dict[str, Any]) -> Arguments:
        return {"UtilitiesTimeSeries": {"ID": item["key"]}, "Log": _log(item)}

    # Connection ---------------------------------------------------------------------------------------------------

    def _connection_order(self, item: dict[str, Any]) -> Arguments:
        document = self._view.documents[item["key"]]
        request: Arguments = {
            "ID": document.id,
            "CategoryCode": document.category,
            "PlannedProcessingDateTime": document.planned_at,
            "DeviceConnectionStatus": self._connection_devices(document.devices),
        }
        if document.reason is not None:
            request["UtilitiesServiceDisconnectionReasonCode"] = document.reason
        if document.immediate:
            request["ImmediateStatusChangeIndicator"] = "true"
        return {"UtilitiesConnectionStatusChangeRequest": request}

    def _connection_cancellation(self, item: dict[str, Any]) -> Arguments:
        document = self._view.documents[item["key"]]
        return {
            "UtilitiesConnectionStatusChangeRequest": {
                "ID": document.id,
                "CategoryCode": document.category,
                "DeviceConnectionStatus": self._connection_devices(document.devices),
            }
        }

    def _connection_devices(self, devices: dict[str, str | None]) -> list[Arguments]:
        return [
            {"UtilitiesDeviceID": device, "SmartMeter": _system(self._view.devices[device].system)}
            for device in devices
        ]


def _log(item: dict[str, Any]) -> Arguments:
    """What SAP says of an item it answers: its result code, and why where it is not good."""
    log: Arguments = {"BusinessDocumentProcessingResultCode": item["code"]}
    if item["code"] != "3":
        log["MaximumLogItemSeverityCode"] = "3"
        log["Item"] = [{"TypeID": "117(E9)", "CategoryCode": "PRE", "SeverityCode": "3", "Note": item["note"][:200]}]
    return log


def _system(system: str) -> Arguments:
    return {"UtilitiesAdvancedMeteringSystemID": system}
