"""Every defect is found by its name, and the correct twin of each defective message passes."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

import pytest
from lxml import etree

from simulators.sap_cis.business import Business
from simulators.sap_cis.cis import Cis
from simulators.sap_cis.defects import DEFECTS
from simulators.sap_cis.view import Order, Sent
from tests.unit.simulators.sap_cis import mdus_messages as mdus
from tests.unit.simulators.sap_cis.conftest import METERS, make_cis


class Scene:
    """A simulated SAP in the middle of its business: two devices created, two orders and two documents accepted."""

    def __init__(self) -> None:
        self.cis: Cis = make_cis()
        self.business = Business(self.cis)
        self.devices = [device.id for device in self.business.initialize_devices(METERS[:2])]
        for sent in list(self.cis.view.sent.values()):
            if sent.process in ("device_create", "register_create"):
                self.say(mdus.confirmation(sent, self.cis.view))
        self.orders = self.business.order_readings(
            "all", reason="01", scheduled_on="2026-03-27", obis=["1-0:1.8.0*255"]
        )
        self.say(mdus.confirmation(self.sent("reading_order"), self.cis.view))
        assert self.cis.view.defects == []

    def sent(self, process: str) -> Sent:
        """The latest message of a process."""
        return [sent for sent in self.cis.view.sent.values() if sent.process == process][-1]

    def say(self, message: etree._Element, *, interface: str | None = None) -> None:
        """MDUS posts a message."""
        self.cis.receive(message, interface=interface or f"{etree.QName(message).localname}_In")

    @property
    def defects(self) -> set[str]:
        return {defect["name"] for defect in self.cis.view.defects}

    # What MDUS could say now, correctly -------------------------------------------------------------------------

    def new_orders(self) -> tuple[Order, ...]:
        return tuple(self.business.order_readings("all", reason="01", scheduled_on="2026-03-27"))

    def order_confirmation(self, code: str = "3", *, bulk: bool = True) -> etree._Element:
        self.business.order_readings("all", reason="09", scheduled_on="2026-03-27", obis=["1-0:1.8.0*255"], bulk=bulk)
        sent = self.sent("reading_order")
        return mdus.confirmation(sent, self.cis.view, codes=dict.fromkeys(sent.items, code))

    def switched(self, code: str = "3", *, together: int = 2) -> etree._Element:
        self.business.order_connections(self.devices, category="1", devices_per_document=together)
        sent = self.sent("connection_order")
        return mdus.confirmation(sent, self.cis.view, codes=dict.fromkeys(sent.items, code))

    def result(self, *, value: str = "1234.56") -> etree._Element:
        return mdus.results((self.orders[0],), value=value)

    def event(self) -> etree._Element:
        self.say(mdus.registered((self.devices[0],)))
        return mdus.events(self.devices[0])

    def failure(self) -> etree._Element:
        return mdus.events(self.devices[0], type_code="1002", category="0009")


def put(path: str, value: str) -> Callable[[etree._Element], None]:
    """This will return a change of the first element at `path`."""

    def change(message: etree._Element) -> None:
        element = message.find(path)
        assert element is not None, path
        assert element.text != value
        element.text = value

    return change


def drop(path: str) -> Callable[[etree._Element], None]:
    """This will return the removal of the first element at `path`."""

    def change(message: etree._Element) -> None:
        element = message.find(path)
        assert element is not None, path
        element.getparent().remove(element)

    return change


@dataclass(frozen=True, kw_only=True)
class Spoilt:
    """A message correct as built, and what makes it wrong."""

    defects: set[str]
    build: Callable[[Scene], etree._Element]
    spoil: Callable[[etree._Element], None]


_REFUSED = "SmartMeterMeterReadingDocumentERPCreateConfirmationMessage/Log"
_STATUS = "UtilitiesConnectionStatusChangeRequest/DeviceConnectionStatus"
_RESULT = "MeterReadingDocumentERPResultCreateRequestMessage/MeterReadingDocument"
_TASK = f"{_RESULT}/UtiltiesMeasurementTask"
_EVENT = "UtilitiesSmartMeterEventERPCreateRequestMessage/UtilitiesSmartMeterEvent"


def spoilt(
    defect: str | set[str], build: Callable[[Scene], etree._Element], spoil: object, *, name: str = ""
) -> object:
    """This will return a row of the table."""
    names = {defect} if isinstance(defect, str) else defect
    assert names <= DEFECTS.keys()
    return pytest.param(Spoilt(defects=names, build=build, spoil=spoil), id=name or "-".join(sorted(names)))  # type: ignore[arg-type]


def _second_device(message: etree._Element) -> None:
    status = message.find(_STATUS)
    assert status is not None
    status.getparent().remove(status)


def _repeat_device(message: etree._Element) -> None:
    status = message.find(_STATUS)
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
        put(f"{_STATUS}/UtilitiesDeviceConnectionStatusProcessingResultCode", "0"),
    ),
    spoilt(
        "overall_code_inconsistent",
        Scene.switched,
        put(f"{_STATUS}/UtilitiesDeviceConnectionStatusProcessingResultCode", "2"),
        name="overall_code_inconsistent_with_devices",
    ),
    spoilt("processing_before_planned", Scene.switched, put(f"{_STATUS}/ProcessingDateTime", "2026-03-28T09:59:59Z")),
    spoilt("processing_in_future", Scene.switched, put(f"{_STATUS}/ProcessingDateTime", "2026-03-28T10:02:01Z")),
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
    spoilt("result_without_order", Scene.result, drop(f"{_RESULT}/ID")),
    spoilt("result_for_unknown_order", Scene.result, put(f"{_RESULT}/ID", "1")),
    spoilt("lrn_zeros_lost", Scene.result, put(f"{_TASK}/UtilitiesMeasurementTaskID", "1")),
    spoilt("lrn_differs", Scene.result, put(f"{_TASK}/UtilitiesMeasurementTaskID", "000000000000000002")),
    spoilt("device_differs", Scene.result, put(f"{_TASK}/UtiltiesDevice/UtilitiesDeviceID", "10000001")),
    spoilt("obis_differs", Scene.result, put(f"{_TASK}/UtilitiesObjectIdentificationSystemCodeText", "1-0:2.8.0*255")),
    spoilt("reason_differs", Scene.result, put(f"{_RESULT}/MeterReadingReasonCode", "09")),
    spoilt("scheduled_date_differs", Scene.result, put(f"{_RESULT}/ScheduledMeterReadingDate", "2026-03-28")),
    spoilt("reading_in_future", Scene.result, put(f"{_RESULT}/Result/ActualMeterReadingTime", "11:02:01")),
    spoilt("reading_outside_window", Scene.result, put(f"{_RESULT}/Result/ActualMeterReadingDate", "2026-03-23")),
    spoilt("value_decimals", Scene.result, put(f"{_RESULT}/Result/MeterReadingResultValue", "1234.567")),
    spoilt("value_too_large", Scene.result, put(f"{_RESULT}/Result/MeterReadingResultValue", "1000000")),
    spoilt("value_negative", Scene.result, put(f"{_RESULT}/Result/MeterReadingResultValue", "-1.00")),
    spoilt("lrn_differs", Scene.result, drop(f"{_TASK}/UtilitiesMeasurementTaskID"), name="lrn_missing"),
    # Smart meter events
    spoilt("event_type_unknown", Scene.event, put(f"{_EVENT}/TypeCode", "100")),
    spoilt("event_category_differs", Scene.event, put(f"{_EVENT}/CategoryCode", "0001")),
    spoilt("event_category_differs", Scene.event, drop(f"{_EVENT}/CategoryCode"), name="event_category_missing"),
    spoilt("event_severity_unknown", Scene.event, put(f"{_EVENT}/SeverityCode", "0")),
    spoilt(
        {"event_severity_unknown", "schema_invalid"},
        Scene.event,
        drop(f"{_EVENT}/SeverityCode"),
        name="event_severity_missing",
    ),
    spoilt("event_origin_unknown", Scene.event, put(f"{_EVENT}/OriginTypeCode", "03")),
    spoilt("event_property_unknown", Scene.event, put(f"{_EVENT}/Property/Code", "IECT")),
    spoilt("event_property_empty", Scene.event, drop(f"{_EVENT}/Property/ObjectPropertyValue/Text")),
    spoilt("event_in_future", Scene.event, put(f"{_EVENT}/DateTime", "2026-03-28T10:02:01Z")),
    spoilt(
        {"timestamp_not_utc", "schema_invalid"},
        Scene.event,
        put(f"{_EVENT}/DateTime", "2026-03-28T10:30:00+01:00"),
        name="event_with_offset",
    ),
    spoilt("event_without_device", Scene.event, drop(f"{_EVENT}/UtilitiesDeviceID")),
    spoilt("event_unknown_device", Scene.event, put(f"{_EVENT}/UtilitiesDeviceID", "10000001")),
    spoilt("event_before_register", Scene.event, put(f"{_EVENT}/DateTime", "2026-03-27T09:30:00Z")),
    spoilt(
        "event_unknown_device", Scene.failure, put(f"{_EVENT}/UtilitiesDeviceID", "1"), name="failure_unknown_device"
    ),
    spoilt(
        {"schema_invalid", "event_type_unknown"},
        Scene.event,
        put(f"{_EVENT}/TypeCode", "00100"),
        name="event_type_long",
    ),
    spoilt("schema_invalid", Scene.event, put(f"{_EVENT}/ID", "x" * 23), name="event_id_too_long"),
    spoilt("schema_invalid", Scene.event, drop(f"{_EVENT}/ID"), name="event_id_missing"),
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


class TestForm:
    def test_rejects_a_message_at_the_address_of_another_interface(self) -> None:
        scene = Scene()
        scene.say(scene.order_confirmation(), interface="UtilitiesDeviceERPSmartMeterCreateConfirmation_In")
        assert scene.defects == {"wrong_interface"}

    def test_rejects_a_single_message_that_answers_a_bulk(self) -> None:
        scene = Scene()
        single = scene.order_confirmation(bulk=False)
        scene.order_confirmation()
        bulk = scene.sent("reading_order")
        put("MessageHeader/ReferenceUUID", bulk.uuid)(single)
        put("MeterReadingDocument/ID", next(iter(bulk.items)))(single)
        scene.say(single)
        assert scene.defects == {"wrong_form"}

    def test_accepts_a_single_message_that_answers_a_single_one(self) -> None:
        scene = Scene()
        scene.say(scene.order_confirmation(bulk=False))
        assert scene.defects == set()

    def test_rejects_an_element_spelled_correctly_where_sap_misspells_it(self) -> None:
        scene = Scene()
        scene.say(mdus.renamed(scene.result(), "UtiltiesMeasurementTask", "UtilitiesMeasurementTask"))
        assert "schema_invalid" in scene.defects

    def test_rejects_qualified_children(self) -> None:
        scene = Scene()
        message = scene.order_confirmation()
        text = etree.tostring(message).decode().replace("<MessageHeader>", '<MessageHeader xmlns="urn:other">')
        scene.say(etree.fromstring(text))
        assert "schema_invalid" in scene.defects


class TestDuplicates:
    def test_tolerates_and_counts_the_same_message_again(self) -> None:
        scene = Scene()
        message = scene.order_confirmation()
        scene.say(message)
        scene.say(message)
        assert scene.defects == set()
        uuid = message.findtext("MessageHeader/UUID") or ""
        assert scene.cis.view.received[uuid].count == 2

    def test_rejects_a_second_message_for_the_same_items(self) -> None:
        scene = Scene()
        message = scene.order_confirmation()
        scene.say(message)
        put("MessageHeader/UUID", str(uuid4()))(message)
        scene.say(message)
        assert scene.defects == {"item_confirmed_twice"}

    def test_accepts_a_bulk_confirmed_in_two_parts(self) -> None:
        scene = Scene()
        scene.order_confirmation()
        sent = scene.sent("reading_order")
        for key in sent.items:
            scene.say(mdus.confirmation(sent, scene.cis.view, keys=(key,)))
        assert scene.defects == set()
        assert len(sent.confirmed) == 2

    def test_rejects_the_same_item_twice_in_one_bulk(self) -> None:
        scene = Scene()
        message = scene.order_confirmation()
        item = message[1]
        item.addnext(etree.fromstring(etree.tostring(item)))
        scene.say(message)
        assert scene.defects == {"item_confirmed_twice"}

    def test_rejects_a_uuid_used_for_other_content(self) -> None:
        scene = Scene()
        message = scene.result()
        scene.say(message)
        put(f"{_RESULT}/Result/ActualMeterReadingTime", "00:00:01")(message)
        scene.say(message)
        assert "uuid_reused" in scene.defects


class TestRegistered:
    def test_rejects_a_device_whose_creation_was_not_confirmed(self) -> None:
        scene = Scene()
        (fresh,) = scene.business.initialize_devices(METERS[2:])
        scene.say(mdus.registered((fresh.id,)))
        assert scene.defects == {"registered_before_created"}

    def test_rejects_a_second_notification(self) -> None:
        scene = Scene()
        scene.say(mdus.registered((scene.devices[0],)))
        assert scene.defects == set()
        scene.say(mdus.registered((scene.devices[0],)))
        assert scene.defects == {"registered_twice"}


class TestOrderOfStates:
    def test_rejects_a_result_before_the_order_was_confirmed(self) -> None:
        scene = Scene()
        scene.say(mdus.results(scene.new_orders()[:1]))
        assert scene.defects == {"result_before_acceptance"}

    def test_rejects_a_result_for_a_rejected_order(self) -> None:
        scene = Scene()
        message = scene.order_confirmation("5")
        scene.say(message)
        key = next(iter(scene.sent("reading_order").items))
        scene.say(mdus.results((scene.cis.view.orders[key],)))
        assert scene.defects == {"result_for_rejected_order"}

    def test_rejects_a_result_for_a_cancelled_order(self) -> None:
        scene = Scene()
        scene.business.cancel_readings([scene.orders[0].id])
        scene.say(mdus.confirmation(scene.sent("reading_cancellation"), scene.cis.view))
        assert scene.defects == set()
        scene.say(scene.result())
        assert scene.defects == {"result_for_cancelled_order"}

    def test_accepts_a_result_after_a_refused_cancellation(self) -> None:
        scene = Scene()
        key = scene.orders[0].id
        scene.business.cancel_readings([key])
        sent = scene.sent("reading_cancellation")
        scene.say(mdus.confirmation(sent, scene.cis.view, codes={key: "5"}))
        scene.say(scene.result())
        assert scene.defects == set()

    def test_rejects_a_switch_confirmed_after_its_cancellation(self) -> None:
        scene = Scene()
        late = scene.switched()
        scene.business.cancel_connections(list(scene.cis.view.documents))
        scene.say(mdus.confirmation(scene.sent("connection_cancellation"), scene.cis.view))
        assert scene.defects == set()
        scene.say(late)
        assert scene.defects == {"confirmation_after_cancellation"}

    def test_rejects_a_cancellation_of_an_executed_switch(self) -> None:
        scene = Scene()
        scene.say(scene.switched())
        scene.business.cancel_connections(list(scene.cis.view.documents))
        sent = scene.sent("connection_cancellation")
        scene.say(mdus.confirmation(sent, scene.cis.view))
        assert scene.defects == {"cancellation_too_late"}

    def test_accepts_a_refused_cancellation_of_an_executed_switch(self) -> None:
        scene = Scene()
        scene.say(scene.switched())
        scene.business.cancel_connections(list(scene.cis.view.documents))
        sent = scene.sent("connection_cancellation")
        scene.say(mdus.confirmation(sent, scene.cis.view, codes=dict.fromkeys(sent.items, "5")))
        assert scene.defects == set()

    def test_accepts_a_switch_refused_before_its_planned_time(self) -> None:
        scene = Scene()
        message = scene.switched("5")
        for time in message.iterfind(f"{_STATUS}/ProcessingDateTime"):
            time.text = "2026-03-28T09:59:00Z"
        scene.say(message)
        assert scene.defects == set()


class TestResultAgain:
    def test_accepts_the_same_result_under_a_new_uuid_while_sap_has_not_answered(self) -> None:
        scene = Scene()
        scene.say(scene.result())
        scene.say(scene.result())
        assert scene.defects == set()

    def test_rejects_another_value_while_sap_has_not_answered(self) -> None:
        scene = Scene()
        scene.say(scene.result())
        scene.say(scene.result(value="1234.57"))
        assert scene.defects == {"result_changed"}

    def test_rejects_a_second_result_once_the_first_is_confirmed(self) -> None:
        scene = Scene()
        scene.say(scene.result())
        answer = scene.sent("result_confirmation")
        scene.cis.record({"event": "delivered", "uuid": answer.uuid, "posted": 0.0, "real": 1.0})
        scene.say(scene.result())
        assert scene.defects == {"result_twice"}

    def test_accepts_a_corrected_result_after_sap_rejected_the_first(self) -> None:
        scene = Scene()
        scene.cis.record({"event": "rejections", "left": 1})
        scene.say(scene.result())
        answer = scene.sent("result_confirmation")
        assert [item["code"] for item in answer.items.values()] == ["5"]
        scene.cis.record({"event": "delivered", "uuid": answer.uuid, "posted": 0.0, "real": 1.0})
        scene.say(scene.result(value="1234.57"))
        assert scene.defects == set()


class TestReadingTime:
    def test_rejects_a_local_time_the_clocks_skip(self) -> None:
        scene = Scene()
        # A year before the scene, where the gap is in the past; so the window is broken too.
        message = mdus.results((scene.orders[0],), on="2025-03-30", at="02:30:00")
        scene.say(message)
        assert scene.defects == {"reading_time_nonexistent", "reading_outside_window"}


class TestEvents:
    def test_rejects_an_event_of_a_meter_not_registered_yet(self) -> None:
        scene = Scene()
        scene.say(mdus.events(scene.devices[1]))
        assert scene.defects == {"event_before_registration"}

    @pytest.mark.parametrize("device", [0, None], ids=["of_a_device", "of_none"])
    def test_accepts_what_mdus_could_not_do_whether_the_device_is_registered_or_not(self, device: int | None) -> None:
        scene = Scene()
        device_id = "" if device is None else scene.devices[device]
        scene.say(mdus.events(device_id, type_code="1001", category="0009"))
        assert scene.defects == set()

    def test_rejects_an_id_that_comes_again(self) -> None:
        scene = Scene()
        message = scene.event()
        scene.say(message)
        assert scene.defects == set()
        put("MessageHeader/UUID", str(uuid4()))(message)
        put(f"{_EVENT}/TypeCode", "0101")(message)
        scene.say(message)
        assert scene.defects == {"event_twice"}
        assert [event.type for event in scene.cis.view.events.values()] == ["0100"]

    def test_rejects_the_same_id_twice_in_one_bulk(self) -> None:
        scene = Scene()
        message = scene.event()
        item = message[1]
        item.addnext(etree.fromstring(etree.tostring(item)))
        scene.say(message)
        assert scene.defects == {"event_twice"}

    def test_counts_the_same_message_again_as_one(self) -> None:
        scene = Scene()
        message = scene.event()
        for _ in range(2):
            scene.say(message)
        assert scene.defects == set()
        assert len(scene.cis.view.events) == 1


class TestConfirmationOfEvents:
    def answers(self, cis: Cis) -> list[dict[str, str]]:
        return [
            {key: item["code"] for key, item in sent.items.items()}
            for sent in cis.view.sent.values()
            if sent.process == "event_confirmation"
        ]

    def test_is_given_to_no_type_without_customizing(self) -> None:
        scene = Scene()
        scene.say(scene.event())
        assert self.answers(scene.cis) == []

    def test_is_given_to_the_types_customized_and_to_no_other(self) -> None:
        cis = make_cis(confirmed_events=frozenset({"1001"}))
        for type_code in ("1001", "1002"):
            cis.receive(mdus.events("", type_code=type_code, category="0009"), interface="")
        (event, _) = cis.view.events
        assert self.answers(cis) == [{event: "3"}]

    def test_refuses_what_cannot_be_booked_and_what_a_script_says(self) -> None:
        cis = make_cis(confirmed_events=frozenset({"0100", "1001"}))
        cis.record({"event": "event_rejections", "left": 1})
        for _ in range(2):
            cis.receive(mdus.events("", type_code="1001", category="0009"), interface="")
        cis.receive(mdus.events("10000001"), interface="")
        assert [list(answer.values()) for answer in self.answers(cis)] == [["5"], ["3"], ["5"]]
        assert cis.view.event_rejections_left == 0

    def test_is_one_message_that_refers_to_the_events_and_their_bulk(self) -> None:
        cis = make_cis(confirmed_events=frozenset({"1001"}))
        message = mdus.events("", "", type_code="1001", category="0009")
        cis.receive(message, interface="")
        (sent,) = (sent for sent in cis.view.sent.values() if sent.process == "event_confirmation")
        uuids = [item.findtext("MessageHeader/UUID") for item in message[1:]]
        assert [item["reference"] for item in sent.items.values()] == uuids
        assert {item["bulk_reference"] for item in sent.items.values()} == {message.findtext("MessageHeader/UUID")}

    def test_is_remembered_once_mdus_has_it(self) -> None:
        cis = make_cis(confirmed_events=frozenset({"1001"}))
        cis.receive(mdus.events("", type_code="1001", category="0009"), interface="")
        (sent,) = (sent for sent in cis.view.sent.values() if sent.process == "event_confirmation")
        (event,) = cis.view.events.values()
        assert event.code is None
        cis.record({"event": "delivered", "uuid": sent.uuid, "posted": 0.0, "real": 1.0})
        assert event.code == "3"
