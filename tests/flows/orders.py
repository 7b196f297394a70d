"""SAP's orders for readings and switches, and its answers, for flows in which several of them play together."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from lxml import etree

from mdus.domain.command import CommandKind
from tests.flows.both_sides import ENERGY, BothSides, texts

READING = "SmartMeterMeterReadingDocumentERPCreateRequest"
READINGS = "SmartMeterMeterReadingDocumentERPBulkCreateRequest"
READING_ACCEPTED = "SmartMeterMeterReadingDocumentERPCreateConfirmation"
READINGS_ACCEPTED = "SmartMeterMeterReadingDocumentERPBulkCreateConfirmation"
CANCEL_READING = "SmartMeterMeterReadingDocumentERPCancellationRequest"
CANCEL_READINGS = "SmartMeterMeterReadingDocumentERPBulkCancellationRequest"
READING_CANCELLED = "SmartMeterMeterReadingDocumentERPCancellationConfirmation"
READINGS_CANCELLED = "SmartMeterMeterReadingDocumentERPBulkCancellationConfirmation"
RESULT = "MeterReadingDocumentERPResultCreateRequest"
RESULTS = "MeterReadingDocumentERPResultBulkCreateRequest"
RESULT_CONFIRMED = "MeterReadingDocumentERPResultCreateConfirmation"
SWITCH = "SmartMeterUtilitiesConnectionStatusChangeRequestERPCreateRequest"
SWITCHES = "SmartMeterUtilitiesConnectionStatusChangeRequestERPBulkCreateRequest"
SWITCHED = "SmartMeterUtilitiesConnectionStatusChangeRequestERPCreateConfirmation"
ALL_SWITCHED = "SmartMeterUtilitiesConnectionStatusChangeRequestERPBulkCreateConfirmation"
CANCEL_SWITCH = "SmartMeterUtilitiesConnectionStatusChangeRequestERPCancellationRequest"
SWITCH_CANCELLED = "SmartMeterUtilitiesConnectionStatusChangeRequestERPCancellationConfirmation"
CODE = "Log/BusinessDocumentProcessingResultCode"
TYPE_ID = "Log/Item/TypeID"

_AMS = "<SmartMeter><UtilitiesAdvancedMeteringSystemID>AM01</UtilitiesAdvancedMeteringSystemID></SmartMeter>"


def reading(
    document: str, device: str, *, reason: str, on: str, source: str | None = None, point: str | None = None
) -> str:
    """The body of a reading order for the device's register; `source` 0 means stored values, 1 on demand."""
    asked = "UtilitiesAdvancedMeteringDataSourceTypeCode"
    delivery = f"<UtilitiesPointOfDeliveryPartyID>{point}</UtilitiesPointOfDeliveryPartyID>"
    return (
        f"<MeterReadingDocument><ID>{document}</ID><MeterReadingReasonCode>{reason}</MeterReadingReasonCode>"
        f"<ScheduledMeterReadingDate>{on}</ScheduledMeterReadingDate>"
        + (f"<{asked}>{source}</{asked}>" if source else "")
        + f"<UtiltiesMeasurementTask><UtilitiesMeasurementTaskID>{device}</UtilitiesMeasurementTaskID>"
        "<UtilitiesObjectIdentificationSystemCodeText>1-0:1.8.0</UtilitiesObjectIdentificationSystemCodeText>"
        f"<UtiltiesDevice><UtilitiesDeviceID>{device}</UtilitiesDeviceID>{_AMS}</UtiltiesDevice>"
        + (f"<UtilitiesPointOfDelivery>{delivery}</UtilitiesPointOfDelivery>" if point else "")
        + "</UtiltiesMeasurementTask></MeterReadingDocument>"
    )


def reading_cancelled(document: str) -> str:
    """The body of the cancellation of a reading order."""
    return (
        f"<MeterReadingDocument><ID>{document}</ID><UtilitiesDeviceSmartMeter><UtilitiesAdvancedMeteringSystemID>AM01"
        "</UtilitiesAdvancedMeteringSystemID></UtilitiesDeviceSmartMeter></MeterReadingDocument>"
    )


def result_confirmed(document: str, code: str = "3") -> str:
    """The body of SAP's answer to a result."""
    return (
        f"<MeterReadingDocument><ID>{document}</ID></MeterReadingDocument>"
        f"<Log><BusinessDocumentProcessingResultCode>{code}</BusinessDocumentProcessingResultCode></Log>"
    )


def switch(
    number: str, *devices: str, at: datetime, category: str = "1", reason: str | None = None, immediate: bool = False
) -> str:
    """The body of a connection order: category 1 disconnects, 2 reconnects."""
    why = "UtilitiesServiceDisconnectionReasonCode"
    return (
        f"<UtilitiesConnectionStatusChangeRequest><ID>{number}</ID><CategoryCode>{category}</CategoryCode>"
        + (f"<{why}>{reason}</{why}>" if reason else "")
        + f"<PlannedProcessingDateTime>{at:%Y-%m-%dT%H:%M:%SZ}</PlannedProcessingDateTime>"
        + ("<ImmediateStatusChangeIndicator>true</ImmediateStatusChangeIndicator>" if immediate else "")
        + f"{_switched(devices)}</UtilitiesConnectionStatusChangeRequest>"
    )


def switch_cancelled(number: str, *devices: str, category: str = "1") -> str:
    """The body of the cancellation of a connection order."""
    return (
        f"<UtilitiesConnectionStatusChangeRequest><ID>{number}</ID><CategoryCode>{category}</CategoryCode>"
        f"{_switched(devices)}</UtilitiesConnectionStatusChangeRequest>"
    )


def _switched(devices: tuple[str, ...]) -> str:
    return "".join(
        f"<DeviceConnectionStatus><UtilitiesDeviceID>{one}</UtilitiesDeviceID>{_AMS}</DeviceConnectionStatus>"
        for one in devices
    )


def carry_out(sides: BothSides, state: str) -> None:
    """Let the head end switch, then tell the position."""
    sides.rest()
    for kind in (CommandKind.SWITCH, CommandKind.SWITCH_STATE):
        sides.clock.move(seconds=20)
        sides.answer(kind, switch_state=state, switched_at=sides.clock.now().isoformat())
        sides.rest()


def read_now(sides: BothSides, value: str) -> int:
    """Let the head end answer what it was asked on demand, half a minute later; returns how many meters it read."""
    sides.rest()
    sides.clock.move(seconds=30)
    told = {"obis": ENERGY, "at": sides.clock.now().isoformat(), "value": value, "unit": "kWh"}
    count = sides.answer(CommandKind.READ_ON_DEMAND, readings=[told])
    sides.rest()
    return count


def results(sides: BothSides) -> dict[str, dict[str, str]]:
    """What SAP was told of each document: reason, date, time and value, and the point of delivery."""
    found: dict[str, dict[str, str]] = {}
    for message in (*sides.sap.messages(RESULT), *sides.sap.messages(RESULTS)):
        items: list[Any] = (
            [message] if etree.QName(message).localname == RESULT else message.findall(f"{RESULT}Message")
        )
        for item in items:
            (document,) = texts(item, "MeterReadingDocument/ID")
            found[document] = {
                "reason": texts(item, "MeterReadingDocument/MeterReadingReasonCode")[0],
                "on": texts(item, "MeterReadingDocument/Result/ActualMeterReadingDate")[0],
                "at": texts(item, "MeterReadingDocument/Result/ActualMeterReadingTime")[0],
                # As many decimals as the register shows, which not every database keeps.
                "value": f"{Decimal(texts(item, 'MeterReadingDocument/Result/MeterReadingResultValue')[0]):.2f}",
                "point": "".join(texts(item, "MeterReadingDocument//UtilitiesPointOfDeliveryPartyID")),
            }
    return found


def switches(sides: BothSides) -> dict[str, tuple[str, list[str]]]:
    """What SAP was told of each connection order: code and TypeIDs."""
    return {
        texts(message, "UtilitiesConnectionStatusChangeRequest/ID")[0]: (
            texts(message, CODE)[0],
            texts(message, TYPE_ID),
        )
        for message in sides.sap.messages(SWITCHED)
    }
