"""Every defect is found by its name, and the correct twin of each defective message passes."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

import pytest
from lxml import etree

from simulators.sap_cis.defects import DEFECTS
from tests.unit.simulators.sap_cis import mdus_messages as mdus
from tests.unit.simulators.sap_cis.scene import EVENT, RESULT, STATUS, Scene, drop, put

_REFUSED = "SmartMeterMeterReadingDocumentERPCreateConfirmationMessage/Log"
_TASK = f"{RESULT}/UtiltiesMeasurementTask"


@dataclass(frozen=True, kw_only=True)
class Spoilt:
    """A message correct as built, and what makes it wrong."""

    defects: set[str]
    build: Callable[[Scene], etree._Element]
    spoil: Callable[[etree._Element], None]


def spoilt(
    defect: str | set[str], build: Callable[[Scene], etree._Element], spoil: object, *, name: str = ""
) -> object:
    """This will return a row of the table."""
    names = {defect} if isinstance(defect, str) else defect
    assert names <= DEFECTS.keys()
    return pytest.param(Spoilt(defects=names, build=build, spoil=spoil), id=name or "-".join(sorted(names)))  # type: ignore[arg-type]


def _second_device(message: etree._Element) -> None:
    status = message.find(STATUS)
    assert status is not None
    status.getparent().remove(status)


def _repeat_device(message: etree._Element) -> None:
    status = message.find(STATUS)
    assert status is not None
    status.addnext(etree.fromstring(etree.tostring(status)))


SPOILT = [
    # Header
    spoilt("uuid_missing", Scene.order_confirmation, drop("MessageHeader/UUID")),
    spoilt(
        "creation_time_in_future",
        Scene.order_confirmation,
        put("MessageHeader/CreationDateTime", "2026-03-28T11:00:00Z"),
    ),
    spoilt(
        {"timestamp_not_utc", "schema_invalid"},
        Scene.order_confirmation,
        put("MessageHeader/CreationDateTime", "2026-03-28T10:59:58+01:00"),
    ),
    spoilt("schema_invalid", Scene.order_confirmation, drop("MessageHeader/CreationDateTime"), name="no_creation_time"),
    spoilt("wrong_recipient", Scene.order_confirmation, put("MessageHeader/RecipientBusinessSystemID", "S4OTHER")),
    spoilt("wrong_sender", Scene.order_confirmation, put("MessageHeader/SenderBusinessSystemID", "S4HANA")),
    spoilt("reference_missing", Scene.order_confirmation, drop("MessageHeader/ReferenceUUID")),
    spoilt("reference_unknown", Scene.order_confirmation, put("MessageHeader/ReferenceUUID", str(uuid4()))),
    spoilt(
        "item_reference_wrong",
        Scene.order_confirmation,
        put("SmartMeterMeterReadingDocumentERPCreateConfirmationMessage/MessageHeader/ReferenceUUID", str(uuid4())),
    ),
    # Log
    spoilt(
        {"result_code_unknown", "overall_code_inconsistent"},
        Scene.order_confirmation,
        put(f"{_REFUSED}/BusinessDocumentProcessingResultCode", "2"),
    ),
    spoilt(
        "overall_code_inconsistent",
        Scene.order_confirmation,
        put("Log/BusinessDocumentProcessingResultCode", "4"),
        name="overall_code_inconsistent_in_bulk",
    ),
    spoilt(
        "severity_inconsistent",
        lambda scene: scene.order_confirmation("5"),
        put(f"{_REFUSED}/MaximumLogItemSeverityCode", "1"),
    ),
    spoilt("failure_without_reason", lambda scene: scene.order_confirmation("5"), drop(f"{_REFUSED}/Item")),
    spoilt("type_id_form", lambda scene: scene.order_confirmation("5"), put(f"{_REFUSED}/Item/TypeID", "001")),
    spoilt(
        {"note_too_long", "schema_invalid"},
        lambda scene: scene.order_confirmation("5"),
        put(f"{_REFUSED}/Item/Note", "x" * 201),
    ),
    # Confirmations
    spoilt(
        "item_not_asked",
        Scene.order_confirmation,
        put(
            "SmartMeterMeterReadingDocumentERPCreateConfirmationMessage/MeterReadingDocument/ID", "00000000000000009999"
        ),
    ),
    spoilt("category_differs", Scene.switched, put("UtilitiesConnectionStatusChangeRequest/CategoryCode", "2")),
    spoilt("device_list_differs", Scene.switched, _second_device),
    spoilt("device_list_differs", Scene.switched, _repeat_device, name="device_listed_twice"),
    spoilt(
        "device_result_unknown",
        Scene.switched,
        put(f"{STATUS}/UtilitiesDeviceConnectionStatusProcessingResultCode", "0"),
    ),
    spoilt(
        "overall_code_inconsistent",
        Scene.switched,
        put(f"{STATUS}/UtilitiesDeviceConnectionStatusProcessingResultCode", "2"),
        name="overall_code_inconsistent_with_devices",
    ),
    spoilt("processing_before_planned", Scene.switched, put(f"{STATUS}/ProcessingDateTime", "2026-03-28T09:59:59Z")),
    spoilt("processing_in_future", Scene.switched, put(f"{STATUS}/ProcessingDateTime", "2026-03-28T10:02:01Z")),
    # Registered notification
    spoilt(
        "registered_unknown_device",
        lambda scene: mdus.registered((scene.devices[0],), bulk=False),
        put("UtilitiesDevice/ID", "10000001"),
    ),
    spoilt(
        "wrong_metering_system",
        lambda scene: mdus.registered((scene.devices[0],), bulk=False),
        put("UtilitiesDevice/SmartMeter/UtilitiesAdvancedMeteringSystemID", "AM02"),
    ),
    # Meter reading results
    spoilt("result_without_order", Scene.result, drop(f"{RESULT}/ID")),
    spoilt("result_for_unknown_order", Scene.result, put(f"{RESULT}/ID", "1")),
    spoilt("lrn_zeros_lost", Scene.result, put(f"{_TASK}/UtilitiesMeasurementTaskID", "1")),
    spoilt("lrn_differs", Scene.result, put(f"{_TASK}/UtilitiesMeasurementTaskID", "000000000000000002")),
    spoilt("device_differs", Scene.result, put(f"{_TASK}/UtiltiesDevice/UtilitiesDeviceID", "10000001")),
    spoilt("obis_differs", Scene.result, put(f"{_TASK}/UtilitiesObjectIdentificationSystemCodeText", "1-0:2.8.0*255")),
    spoilt("reason_differs", Scene.result, put(f"{RESULT}/MeterReadingReasonCode", "09")),
    spoilt("scheduled_date_differs", Scene.result, put(f"{RESULT}/ScheduledMeterReadingDate", "2026-03-28")),
    spoilt("reading_in_future", Scene.result, put(f"{RESULT}/Result/ActualMeterReadingTime", "11:02:01")),
    spoilt("reading_outside_window", Scene.result, put(f"{RESULT}/Result/ActualMeterReadingDate", "2026-03-23")),
    spoilt("value_decimals", Scene.result, put(f"{RESULT}/Result/MeterReadingResultValue", "1234.567")),
    spoilt("value_too_large", Scene.result, put(f"{RESULT}/Result/MeterReadingResultValue", "1000000")),
    spoilt("value_negative", Scene.result, put(f"{RESULT}/Result/MeterReadingResultValue", "-1.00")),
    spoilt("lrn_differs", Scene.result, drop(f"{_TASK}/UtilitiesMeasurementTaskID"), name="lrn_missing"),
    # Smart meter events
    spoilt("event_type_unknown", Scene.event, put(f"{EVENT}/TypeCode", "100")),
    spoilt("event_category_differs", Scene.event, put(f"{EVENT}/CategoryCode", "0001")),
    spoilt("event_category_differs", Scene.event, drop(f"{EVENT}/CategoryCode"), name="event_category_missing"),
    spoilt("event_severity_unknown", Scene.event, put(f"{EVENT}/SeverityCode", "0")),
    spoilt(
        {"event_severity_unknown", "schema_invalid"},
        Scene.event,
        drop(f"{EVENT}/SeverityCode"),
        name="event_severity_missing",
    ),
    spoilt("event_origin_unknown", Scene.event, put(f"{EVENT}/OriginTypeCode", "03")),
    spoilt("event_property_unknown", Scene.event, put(f"{EVENT}/Property/Code", "IECT")),
    spoilt("event_property_empty", Scene.event, drop(f"{EVENT}/Property/ObjectPropertyValue/Text")),
    spoilt("event_in_future", Scene.event, put(f"{EVENT}/DateTime", "2026-03-28T10:02:01Z")),
    spoilt(
        {"timestamp_not_utc", "schema_invalid"},
        Scene.event,
        put(f"{EVENT}/DateTime", "2026-03-28T10:30:00+01:00"),
        name="event_with_offset",
    ),
    spoilt("event_without_device", Scene.event, drop(f"{EVENT}/UtilitiesDeviceID")),
    spoilt("event_unknown_device", Scene.event, put(f"{EVENT}/UtilitiesDeviceID", "10000001")),
    spoilt("event_before_register", Scene.event, put(f"{EVENT}/DateTime", "2026-03-27T09:30:00Z")),
    spoilt(
        "event_unknown_device", Scene.failure, put(f"{EVENT}/UtilitiesDeviceID", "1"), name="failure_unknown_device"
    ),
    spoilt(
        {"schema_invalid", "event_type_unknown"},
        Scene.event,
        put(f"{EVENT}/TypeCode", "00100"),
        name="event_type_long",
    ),
    spoilt("schema_invalid", Scene.event, put(f"{EVENT}/ID", "x" * 23), name="event_id_too_long"),
    spoilt("schema_invalid", Scene.event, drop(f"{EVENT}/ID"), name="event_id_missing"),
]


class TestOneDefect:
    @pytest.mark.parametrize("case", SPOILT)
    def test_is_found_by_its_name(self, case: Spoilt) -> None:
        scene = Scene()
        message = case.build(scene)
        case.spoil(message)
        scene.say(message)
        assert scene.defects == case.defects

    @pytest.mark.parametrize("case", SPOILT)
    def test_is_absent_from_the_correct_twin(self, case: Spoilt) -> None:
        scene = Scene()
        scene.say(case.build(scene))
        assert scene.defects == set()
