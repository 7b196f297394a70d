"""What SAP says of technical work: other data, another meter in the same place, values read by people."""

from typing import Any

import pytest

from simulators.sap_cis.building import Builder
from simulators.sap_cis.business import Business, CannotOrder
from simulators.sap_cis.cis import Cis
from simulators.sap_cis.technical import TechnicalWork
from simulators.sap_cis.view import Sent
from tests.unit.simulators.sap_cis import mdus_messages as mdus
from tests.unit.simulators.sap_cis.conftest import METERS, NOW

TODAY, YESTERDAY = "2026-03-28", "2026-03-27"
OBIS = "1-0:1.8.0*255"
SPARE = {**METERS[0], "serial": "0000009999"}


@pytest.fixture
def work(cis: Cis, business: Business) -> TechnicalWork:
    """Technical work at two devices in service since yesterday."""
    business.initialize_devices(METERS[:2], start_on=YESTERDAY)
    return TechnicalWork(cis, business)


def said(cis: Cis, uuid: str) -> dict[str, Any]:
    """This will return the content of a message as it would be built now."""
    sent = cis.view.sent[uuid]
    return Builder(cis.view, own_system="S4HANA", time_zone_code=None).arguments(sent, now=NOW)


def replace(work: TechnicalWork, old: str, **facts: Any) -> list[Sent]:
    """This will replace a device by the spare meter and return the messages planned, in order."""
    replacement = {
        "device": old,
        "meter": SPARE,
        "removal": {OBIS: {"at": "09:30:00", "value": "100.25"}},
        "installation": {OBIS: {"at": "09:45:00", "value": "0.50"}},
    }
    _, messages = work.replace_devices([{**replacement, **facts}], on=TODAY)
    return [work._cis.view.sent[uuid] for uuid in messages]


class TestReplacement:
    def test_keeps_place_numbers_and_point_of_delivery(self, cis: Cis, work: TechnicalWork) -> None:
        old = next(iter(cis.view.devices.values()))
        replace(work, old.id)
        new = list(cis.view.devices.values())[-1]
        assert (new.serial, new.replaces, new.start_on) == ("0000009999", old.id, TODAY)
        assert old.last_day == YESTERDAY
        assert [register.lrn for register in new.registers] == [register.lrn for register in old.registers]
        assert (new.place, new.point_of_delivery) == (old.place, old.point_of_delivery)
        assert new.id not in (old.id, list(cis.view.devices)[1])

    def test_says_of_both_meters_what_there_is_to_say(self, cis: Cis, work: TechnicalWork) -> None:
        old = next(iter(cis.view.devices))
        messages = replace(work, old)
        assert [sent.process for sent in messages] == [
            "manual_reading",
            "register_change",
            "location",
            *["point_of_delivery"] * 2,
            "device_create",
            "register_create",
            "location",
            *["point_of_delivery"] * 2,
            "manual_reading",
        ]
        closed = said(cis, messages[1].uuid)["UtilitiesDevice"]["Register"]
        assert {register["EndDate"] for register in closed} == {YESTERDAY}
        assert {register["Specifications"][0]["EndDate"] for register in closed} == {YESTERDAY}
        assert "Location" not in said(cis, messages[2].uuid)["UtilitiesDevice"]
        assert "Location" in said(cis, messages[7].uuid)["UtilitiesDevice"]
        ends = [
            said(cis, sent.uuid)["UtilitiesMeasurementTask"]["UtilitiesPointOfDeliveryAssignment"][0]["EndDate"]
            for sent in messages
            if sent.process == "point_of_delivery"
        ]
        assert ends == [YESTERDAY, YESTERDAY, "9999-12-31", "9999-12-31"]

    def test_waits_message_by_message_in_order_and_for_nothing_when_shuffled(
        self, cis: Cis, work: TechnicalWork
    ) -> None:
        first, second = list(cis.view.devices)[:2]
        messages = replace(work, first)
        assert [sent.after for sent in messages] == [None, *(sent.uuid for sent in messages[:-1])]
        wanted = {"device": second, "meter": {**SPARE, "serial": "0000009998"}, "removal": {}, "installation": {}}
        _, shuffled = work.replace_devices([wanted], on=TODAY, order="shuffled")
        assert [cis.view.sent[uuid].after for uuid in shuffled] == [None] * 9

    def test_rejects_a_meter_with_other_registers(self, cis: Cis, work: TechnicalWork) -> None:
        other = {**SPARE, "registers": METERS[0]["registers"][:1]}
        with pytest.raises(CannotOrder, match="are not those of"):
            replace(work, next(iter(cis.view.devices)), meter=other)
        assert len(cis.view.devices) == 2

    def test_takes_the_old_meter_out_of_orders_for_all(self, cis: Cis, work: TechnicalWork, business: Business) -> None:
        old = next(iter(cis.view.devices))
        replace(work, old)
        orders = business.order_readings("all", reason="01", scheduled_on=TODAY)
        assert old not in {order.device for order in orders}
        assert len({order.device for order in orders}) == 2


class TestChanges:
    def test_a_tariff_counts_from_a_day_on(self, cis: Cis, work: TechnicalWork) -> None:
        device = next(iter(cis.view.devices))
        (uuid,) = work.change_tariffs([device], tariff="02", since=TODAY, bulk=False)
        for register in said(cis, uuid)["UtilitiesDevice"]["Register"]:
            (specification,) = register["Specifications"]
            assert (register["StartDate"], specification["StartDate"]) == (YESTERDAY, TODAY)
            assert specification["UtilitiesTimeOfUseCode"] == "02"
        assert {register.tariff for register in cis.view.devices[device].registers} == {"02"}

    def test_a_device_gets_another_part_number(self, cis: Cis, work: TechnicalWork) -> None:
        (uuid,) = work.change_devices([next(iter(cis.view.devices))], part="B")
        device = said(cis, uuid)["UtilitiesDevice"]
        assert device["IndividualMaterialManufacturerInformation"]["PartNumberID"] == "B"

    def test_a_device_moves_to_another_metering_system_and_keeps_all_else(self, cis: Cis, work: TechnicalWork) -> None:
        device, other = cis.view.devices.values()
        [uuid] = work.move_devices([device.id], system="AM02")
        told = said(cis, uuid)["UtilitiesDevice"]
        assert told["SmartMeter"] == {"UtilitiesAdvancedMeteringSystemID": "AM02"}
        assert told["IndividualMaterialManufacturerInformation"] == {"SerialID": device.serial}
        assert (cis.view.devices[device.id].system, cis.view.devices[other.id].system) == ("AM02", "AM01")

    def test_a_device_nobody_knows_is_not_changed(self, cis: Cis, work: TechnicalWork) -> None:
        before = len(cis.view.sent)
        with pytest.raises(CannotOrder, match="no such device"):
            work.change_devices(["9"], part="B")
        assert len(cis.view.sent) == before


class TestReadingsByPeople:
    def test_have_document_numbers_of_their_own(self, cis: Cis, work: TechnicalWork, business: Business) -> None:
        device = next(iter(cis.view.devices))
        reading = {"device": device, "obis": OBIS, "reason": "08", "on": TODAY, "at": "10:00:00", "value": "1.5"}
        ordered = {order.id for order in business.order_readings("all", reason="01", scheduled_on=TODAY)}
        documents = [
            said(cis, uuid)["MeterReadingDocument"]["ID"]
            for _ in range(2)
            for uuid in work.enter_readings([reading, reading])
        ]
        assert len(set(documents)) == 4
        assert not ordered & set(documents)

    def test_of_a_register_the_device_lacks_are_not_entered(self, cis: Cis, work: TechnicalWork) -> None:
        reading = {"device": next(iter(cis.view.devices)), "obis": "7-0:3.0.0*255", "reason": "08"}
        with pytest.raises(CannotOrder, match="no register"):
            work.enter_readings([reading])


class TestForgotten:
    @pytest.mark.parametrize(("forgotten", "defects"), [(True, []), (False, ["registered_twice"])])
    def test_only_a_restored_sap_may_be_told_again(
        self, cis: Cis, work: TechnicalWork, forgotten: bool, defects: list[str]
    ) -> None:
        device = next(iter(cis.view.devices))
        for sent in list(cis.view.sent.values()):
            if sent.process == "device_create":
                answer = mdus.confirmation(sent, cis.view)
                cis.receive(answer, interface=f"{answer.tag.rpartition('}')[2]}_In")
        interface = "UtilitiesDeviceERPSmartMeterRegisteredBulkNotification_In"
        cis.receive(mdus.registered((device,)), interface=interface)
        if forgotten:
            work.forget_registered([device])
            assert not cis.view.devices[device].registered
        cis.receive(mdus.registered((device,)), interface=interface)
        assert cis.view.devices[device].registered
        assert [defect["name"] for defect in cis.view.defects] == defects
