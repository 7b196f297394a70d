"""What fails when no confirmation can tell SAP any more becomes an event; on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mdus.cis.client import Delivery
from mdus.domain.command import CommandKind, CommandStatus
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.meter_reading_document import DocumentStatus, MeterReadingDocument
from tests.flows.both_sides import SENDER, BothSides, texts
from tests.flows.connection_status_change.test_meter_is_switched import ORDER as SWITCH
from tests.flows.connection_status_change.test_meter_is_switched import order as switch_order
from tests.flows.events.scene import (
    EVENTS,
    METER,
    START,
    alarm,
    cases,
    confirm,
    item,
    meter,
    playing,
    push,
    states,
    told,
)
from tests.flows.meter_reading.test_reading_is_ordered import ORDER as READING
from tests.flows.meter_reading.test_reading_is_ordered import order as reading_order

LOCATION = "UtilitiesDeviceERPSmartMeterLocationNotification"
POINT_OF_DELIVERY = "SmartMeterUtilitiesMeasurementTaskERPPointOfDeliveryAssignedNotification"
CREATE = "UtilitiesDeviceERPSmartMeterCreateRequest"
CREATED = "UtilitiesDeviceERPSmartMeterCreateConfirmation"
_SYSTEM = "<SmartMeter><UtilitiesAdvancedMeteringSystemID>AM01</UtilitiesAdvancedMeteringSystemID></SmartMeter>"
_SPAN = "<StartDate>2026-03-01</StartDate><EndDate>9999-12-31</EndDate>"


@pytest.fixture
def sides(database_url: str, tmp_path: Path) -> Iterator[BothSides]:
    with playing(database_url, tmp_path) as made:
        yield made


def location(device_id: str = METER) -> str:
    return (
        f'<UtilitiesDevice locationListCompleteTransmissionIndicator="true"><ID>{device_id}</ID>'
        f"<Location>{_SPAN}<InstallationPointID>IP1</InstallationPointID><InstallationPointHierarchyRelationship>"
        f"<ParentInstallationPointID>IP0</ParentInstallationPointID></InstallationPointHierarchyRelationship></Location>"
        f"{_SYSTEM}</UtilitiesDevice>"
    )


def assignment() -> str:
    complete = "UtilitiesPointOfDeliveryAssignmentListCompleteTransmissionIndicator"
    return (
        f"<UtilitiesMeasurementTask><ID>1</ID><{complete}>true</{complete}><UtilitiesPointOfDeliveryAssignment>"
        "<StartDate>2026-03-01</StartDate><StartTime>00:00:00</StartTime>"
        "<EndDate>9999-12-31</EndDate><EndTime>23:59:59</EndTime>"
        "<UtilitiesPointOfDeliveryPartyID>DE1</UtilitiesPointOfDeliveryPartyID></UtilitiesPointOfDeliveryAssignment>"
        "<UtilitiesDevice>"
        f"<UtilitiesDeviceID>{METER}</UtilitiesDeviceID><SmartMeter><AdvancedMeteringSystemID>AM01"
        "</AdvancedMeteringSystemID></SmartMeter></UtilitiesDevice></UtilitiesMeasurementTask>"
    )


def only_event(sides: BothSides) -> Any:
    """Return the one event SAP was told."""
    [message] = sides.sap.messages(EVENTS)
    return item(message)


def read_in_vain(sides: BothSides) -> None:
    """Order a reading that the meter cannot give, until all attempts are used up."""
    sides.tell(READING, reading_order(on="2026-03-28"))
    sides.clock.move(hours=14)
    for _ in range(3):
        sides.rest()
        sides.answer(CommandKind.READ_REGISTERS, status="failed", code="NO_RESPONSE", text="silence")
        sides.rest()
        sides.clock.move(days=1)
    [document] = sides.all(MeterReadingDocument)
    assert document.status is DocumentStatus.FAILED


class TestALocation:
    def test_of_a_device_that_never_came_is_told_as_type_1000(self, sides: BothSides) -> None:
        sides.tell(LOCATION, location())
        sides.rest()
        sides.clock.move(hours=24)
        sides.rest()

        event = only_event(sides)
        assert event.findtext("TypeCode") == "1000"
        assert event.findtext("UtilitiesDeviceID") == METER
        assert event.findtext("DateTime") == "2026-03-29T10:00:00Z"
        assert "The device is not known" in event.findtext("Property/ObjectPropertyValue/Text")
        assert cases(sides) == [("location_failed", False)]

    def test_that_contradicts_the_registry_is_told_at_once(self, sides: BothSides) -> None:
        meter(sides, registered=False)
        sides.tell(LOCATION, location().replace("AM01", "AM02"))
        sides.rest()
        assert only_event(sides).findtext("TypeCode") == "1000"

    def test_that_is_fine_is_not_told(self, sides: BothSides) -> None:
        meter(sides)
        sides.tell(LOCATION, location())
        sides.rest()
        assert (told(sides), cases(sides)) == ([], [])


class TestAnotherNotification:
    def test_that_failed_is_told_as_such(self, sides: BothSides) -> None:
        sides.tell(POINT_OF_DELIVERY, assignment())
        sides.rest()
        sides.clock.move(hours=24)
        sides.rest()

        assert told(sides, "TypeCode") == ["1001"]
        assert cases(sides) == [("message_failed", False)]


class TestAReading:
    def test_that_could_not_be_had_is_told_once(self, sides: BothSides) -> None:
        meter(sides)
        read_in_vain(sides)
        sides.rest()

        event = only_event(sides)
        assert (event.findtext("TypeCode"), event.findtext("UtilitiesDeviceID")) == ("1002", METER)
        assert "NO_RESPONSE" in event.findtext("Property/ObjectPropertyValue/Text")

    def test_stays_visible_with_its_reason_though_its_case_is_closed(self, sides: BothSides) -> None:
        meter(sides)
        read_in_vain(sides)
        sides.rest()

        assert cases(sides) == [("reading_missing", False)]
        [order] = sides.mdus.get("/api/v1/orders", params={"kind": "reading", "status": "failed"}).json()["items"]
        assert (order["device_id"], order["status"]) == (METER, "failed")
        assert order["note"] == "The meter could not be read in 3 attempts (NO_RESPONSE: silence)"

    def test_of_a_meter_that_is_not_registered_is_told_all_the_same(self, sides: BothSides) -> None:
        meter(sides, registered=False)
        read_in_vain(sides)
        sides.rest()
        assert told(sides, "TypeCode") == ["1002"]

    def test_keeps_its_case_open_where_the_table_sends_no_such_event(self, database_url: str, tmp_path: Path) -> None:
        (tmp_path / "types.toml").write_text('[[event_types]]\nname = "reading_missing"\nsend = false\n')
        with playing(database_url, tmp_path) as sides:
            meter(sides)
            read_in_vain(sides)
            sides.rest()
            assert (told(sides), states(sides)) == ([], ["withheld: unwanted"])
            assert cases(sides) == [("reading_missing", True)]


class TestASwitch:
    def test_whose_position_is_unknown_is_told_and_keeps_its_case(self, sides: BothSides) -> None:
        meter(sides)
        sides.head_end.script = ["cut"]
        sides.tell(SWITCH, switch_order(METER))
        sides.rest()
        sides.clock.move(minutes=1)
        for _ in range(3):
            sides.rest()
            sides.answer(CommandKind.SWITCH_STATE, status="failed", code="NO_RESPONSE", text="silence")
        sides.rest()

        assert told(sides, "TypeCode") == ["1003"]
        assert cases(sides) == [("switch_state_unknown", True)]

    def test_that_happened_after_all_is_told_and_keeps_its_case(self, sides: BothSides) -> None:
        meter(sides)
        sides.tell(SWITCH, switch_order(METER))
        sides.rest()
        sides.clock.move(minutes=121)
        for _ in range(4):
            sides.rest()
            sides.answer(CommandKind.SWITCH_STATE, switch_state="connected", switched_at=None)
        sides.rest()
        assert sides.switches()[0].status is not CommandStatus.DONE

        sides.answer(CommandKind.SWITCH, switch_state="disconnected", switched_at=sides.clock.now().isoformat())
        sides.rest()

        assert told(sides, "TypeCode") == ["1004"]
        assert cases(sides) == [("switch_contradiction", True)]


class TestAConfirmation:
    @pytest.fixture
    def deaf_to_confirmations(self, sides: BothSides, monkeypatch: pytest.MonkeyPatch) -> BothSides:
        """A SAP that takes everything but confirmations of device creations."""
        post = sides.sap.post

        def refuse(body: bytes, *, interface: str, sender_system: str) -> Delivery:
            if interface.startswith(CREATED):
                return Delivery(delivered=False, error="HTTP 500")
            return post(body, interface=interface, sender_system=sender_system)

        monkeypatch.setattr(sides.sap, "post", refuse)
        return sides

    def test_that_could_not_be_told_is_told_as_an_event_of_no_device(self, deaf_to_confirmations: BothSides) -> None:
        sides = deaf_to_confirmations
        serial = "<SerialID>0000001234</SerialID><MaterialID>LX100</MaterialID>"
        uuid = sides.tell(CREATE, f"<UtilitiesDevice><ID>{METER}</ID>{_SPAN}{serial}{_SYSTEM}</UtilitiesDevice>")
        sides.rest()
        assert states(sides) == ["held"]  # SAP may take nothing at all
        sides.clock.move(minutes=1)
        meter(sides, "1")
        sides.tell(READING, reading_order("1", "1", on="2026-03-28"))  # which SAP is confirmed
        sides.rest()

        event = only_event(sides)
        assert event.findtext("TypeCode") == "1005"
        assert event.find("UtilitiesDeviceID") is None
        assert event.findtext("Property/ObjectPropertyValue/Text") == f"{CREATED} for {uuid} could not be delivered"
        assert cases(sides) == [("dead_message", True)]

    def test_that_was_told_after_all_makes_no_event(self, sides: BothSides) -> None:
        meter(sides)
        sides.sap.closed = True
        uuid = sides.tell(READING, reading_order(on="2026-03-28"))
        sides.rest()
        assert (states(sides), cases(sides)) == (["held"], [("dead_message", True)])

        sides.sap.closed = False
        sides.tell(READING, reading_order(on="2026-03-28"), uuid_=uuid)
        sides.rest()
        assert (states(sides), cases(sides)) == (["withheld: moot"], [("dead_message", False)])
        assert told(sides) == []

    def test_is_the_only_message_of_ours_whose_end_makes_an_event(self, sides: BothSides) -> None:
        """Else an event that could not be delivered would make another one, and so on."""
        meter(sides)
        sides.sap.closed = True
        push(sides, alarm())
        sides.rest()
        assert (states(sides), cases(sides)) == (["sent"], [("dead_message", True)])

    def test_of_sap_that_is_wrong_makes_no_event(self, sides: BothSides) -> None:
        """Else a refused confirmation of an event would make an event, and so on."""
        meter(sides)
        read_in_vain(sides)
        sides.rest()
        [event_id] = told(sides)
        confirm(sides, "5", event_id)
        confirm(sides, "5", "X" * 22)
        for code in ("3", "4"):
            confirm(sides, code, event_id, item_uuid="0e3f5a52-7c4e-4d0a-9f56-0a4a1d7f9a01")
        assert ("message_failed", True) in cases(sides)  # the same key with other content
        assert len(told(sides)) == 1


class TestSeveralFailures:
    def test_of_one_instant_are_each_told(self, database_url: str, tmp_path: Path) -> None:
        with playing(database_url, tmp_path, settings="storm_limit = 1") as sides:
            for number in range(1, 6):
                sides.tell(LOCATION, location(f"{number:018d}"))
            sides.rest()
            sides.clock.move(hours=24)
            sides.rest()

            assert sorted(told(sides, "UtilitiesDeviceID")) == [f"{number:018d}" for number in range(1, 6)]
            assert len(sides.sap.messages(EVENTS)) == 1
            assert set(cases(sides)) == {("location_failed", False)}
            assert {case.opened_at for case in sides.all(ExceptionCase)} == {START + timedelta(hours=24)}
            assert texts(sides.sap.messages(EVENTS)[0], "MessageHeader/RecipientBusinessSystemID") == [SENDER]
