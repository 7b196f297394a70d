"""SAP's messages that build the registry, and the state they leave: for flows about many devices."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

from mdus.contracts.catalog import catalog
from mdus.domain.command import Command, CommandKind
from mdus.domain.end_device import EndDevice
from mdus.domain.register import Register
from mdus.domain.usage_point import DeviceLocation, LogicalLocation, UsagePoint
from mdus.storage.session import TABLES, Database
from tests.flows.both_sides import SENDER

DEVICE = "UtilitiesDeviceERPSmartMeterCreateRequest"
DEVICES = "UtilitiesDeviceERPSmartMeterBulkCreateRequest"
REGISTER = "UtilitiesDeviceERPSmartMeterRegisterCreateRequest"
REGISTERS = "UtilitiesDeviceERPSmartMeterRegisterBulkCreateRequest"
LOCATION = "UtilitiesDeviceERPSmartMeterLocationNotification"
LOCATIONS = "UtilitiesDeviceERPSmartMeterLocationBulkNotification"
POINT = "SmartMeterUtilitiesMeasurementTaskERPPointOfDeliveryAssignedNotification"
POINTS = "SmartMeterUtilitiesMeasurementTaskERPPointOfDeliveryBulkAssignedNotification"
DEVICE_CREATED = "UtilitiesDeviceERPSmartMeterCreateConfirmation"
DEVICES_CREATED = "UtilitiesDeviceERPSmartMeterBulkCreateConfirmation"
REGISTER_CREATED = "UtilitiesDeviceERPSmartMeterRegisterCreateConfirmation"
REGISTERS_CREATED = "UtilitiesDeviceERPSmartMeterRegisterBulkCreateConfirmation"
REGISTERED = "UtilitiesDeviceERPSmartMeterRegisteredNotification"
ALL_REGISTERED = "UtilitiesDeviceERPSmartMeterRegisteredBulkNotification"

_SPAN = "<StartDate>2026-01-01</StartDate><EndDate>9999-12-31</EndDate>"
_AMS = "<SmartMeter><UtilitiesAdvancedMeteringSystemID>AM01</UtilitiesAdvancedMeteringSystemID></SmartMeter>"
_COMPLETE = "UtilitiesPointOfDeliveryAssignmentListCompleteTransmissionIndicator"


def device(device_id: str, *, serial_id: str | None = None) -> str:
    """The body of a device create; its serial number is its id behind an S."""
    serial = serial_id or f"S{device_id}"
    return (
        f"<UtilitiesDevice><ID>{device_id}</ID>{_SPAN}<SerialID>{serial}</SerialID><MaterialID>LX100</MaterialID>"
        f"{_AMS}</UtilitiesDevice>"
    )


def register(device_id: str, *, obis: str = "1-0:1.8.0", task: str | None = None) -> str:
    """The body of a register create with one register, whose number is the device's."""
    return (
        f"<UtilitiesDevice><ID>{device_id}</ID><Register>{_SPAN}"
        f"<UtilitiesMeasurementTaskID>{task or device_id}</UtilitiesMeasurementTaskID>"
        f"<UtilitiesObjectIdentificationSystemCodeText>{obis}</UtilitiesObjectIdentificationSystemCodeText>"
        "<Specifications><MeasureUnitCode>KWH</MeasureUnitCode><DecimalValuePrecision>"
        "<TotalDigitNumberValue>8</TotalDigitNumberValue><FractionDigitNumberValue>2</FractionDigitNumberValue>"
        f"</DecimalValuePrecision></Specifications></Register>{_AMS}</UtilitiesDevice>"
    )


def location(device_id: str, *, at: str | None = None) -> str:
    """The body of a location notification with one installation point, the list complete."""
    return (
        '<UtilitiesDevice locationListCompleteTransmissionIndicator="true">'
        f"<ID>{device_id}</ID><Location>{_SPAN}<InstallationPointID>{at or f'IP{device_id}'}</InstallationPointID>"
        "<InstallationPointHierarchyRelationship><ParentInstallationPointID>CO1</ParentInstallationPointID>"
        f"</InstallationPointHierarchyRelationship></Location>{_AMS}</UtilitiesDevice>"
    )


def point_of_delivery(device_id: str, *, point: str | None = None) -> str:
    """The body of a point of delivery notification for the device's register, the list complete."""
    return (
        f"<UtilitiesMeasurementTask><ID>{device_id}</ID><{_COMPLETE}>true</{_COMPLETE}>"
        "<UtilitiesPointOfDeliveryAssignment><StartDate>2026-01-01</StartDate><StartTime>00:00:00</StartTime>"
        "<EndDate>9999-12-31</EndDate><EndTime>23:59:59</EndTime><UtilitiesPointOfDeliveryPartyID>"
        f"{point or f'DE{device_id}'}</UtilitiesPointOfDeliveryPartyID></UtilitiesPointOfDeliveryAssignment>"
        f"<UtilitiesDevice><UtilitiesDeviceID>{device_id}</UtilitiesDeviceID><SmartMeter>"
        "<AdvancedMeteringSystemID>AM01</AdvancedMeteringSystemID></SmartMeter></UtilitiesDevice>"
        "</UtilitiesMeasurementTask>"
    )


def registry(database: Database) -> dict[str, Any]:
    """What the registry holds, whoever told it and in whatever order; with it what head ends are to be told."""
    with database.read() as uow:

        def stored(kind: type[Any]) -> list[Any]:
            return list(TABLES[kind].fetch(uow.connection, TABLES[kind].select()))

        devices = [replace(one, create_item_id=None) for one in stored(EndDevice)]
        provisioned = [
            (one.device_id, one.serial_id, one.head_end, one.purpose)
            for one in stored(Command)
            if one.kind is CommandKind.PROVISION
        ]
        kinds = (Register, DeviceLocation, LogicalLocation, UsagePoint)
        return {
            "EndDevice": {one.key: one for one in devices},
            **{kind.__name__: {one.key: one for one in stored(kind)} for kind in kinds},
            "provisioned": sorted(provisioned),
        }


def envelope(root: str, *items: str, header: str | None = None) -> bytes:
    """A message whose items are given with their headers; a single one is its only item."""
    element = catalog().root(root).item_element
    inside = "".join(f"<{element}>{item}</{element}>" for item in items) if element else items[0]
    header = (header or head(uuid.uuid4())) if element else ""
    text = f'<n0:{root} xmlns:n0="http://sap.com/xi/SAPGlobal20/Global">{header}{inside}</n0:{root}>'
    return (
        f'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>{text}</s:Body></s:Envelope>'
    ).encode()


def head(made: object = None) -> str:
    """A header with a UUID, or without anything that tells it from another."""
    named = f"<UUID>{made}</UUID>" if made else ""
    return (
        f"<MessageHeader>{named}<CreationDateTime>2026-03-28T10:00:00Z</CreationDateTime>"
        f"<SenderBusinessSystemID>{SENDER}</SenderBusinessSystemID></MessageHeader>"
    )
