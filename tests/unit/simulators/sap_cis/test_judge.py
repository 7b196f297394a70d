"""A message is judged by what was said before it: its form, its repetition, the states of orders, results, events."""

from uuid import uuid4

import pytest
from lxml import etree

from simulators.sap_cis.cis import Cis
from tests.unit.simulators.sap_cis import mdus_messages as mdus
from tests.unit.simulators.sap_cis.conftest import METERS, make_cis
from tests.unit.simulators.sap_cis.scene import EVENT, RESULT, STATUS, Scene, put


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
        put(f"{RESULT}/Result/ActualMeterReadingTime", "00:00:01")(message)
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
        for time in message.iterfind(f"{STATUS}/ProcessingDateTime"):
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
        put(f"{EVENT}/TypeCode", "0101")(message)
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
