"""What the people at SAP decide becomes objects and messages."""

import pytest

from simulators.sap_cis.building import Builder
from simulators.sap_cis.business import Business, CannotOrder
from simulators.sap_cis.cis import Cis
from tests.unit.simulators.sap_cis.conftest import METERS, NOW, make_cis


class TestInitializeDevices:
    def test_gives_ids_that_keep_their_zeros(self, cis: Cis, business: Business) -> None:
        device = business.initialize_devices(METERS)[0]
        assert device.id == "000000000010000001"
        assert device.serial == "0000001230"
        assert [register.lrn for register in device.registers] == ["000000000000000001", "000000000000000002"]
        assert {len(d.point_of_delivery) for d in cis.view.devices.values()} == {33}

    def test_gives_every_device_new_ids_in_a_second_list(self, cis: Cis, business: Business) -> None:
        business.initialize_devices(METERS)
        business.initialize_devices(METERS)
        lrns = [register.lrn for device in cis.view.devices.values() for register in device.registers]
        assert len(cis.view.devices) == len(METERS) * 2
        assert len(set(lrns)) == len(METERS) * 4

    def test_shuffles_by_seed_without_waiting(self) -> None:
        def order(seed: int) -> list[str]:
            cis = make_cis()
            Business(cis, seed=seed).initialize_devices(METERS, order="shuffled", bulk=False)
            assert all(sent.after is None for sent in cis.view.waiting.values())
            return [sent.process for sent in cis.view.waiting.values()]

        assert order(1) == order(1)
        assert len({tuple(order(seed)) for seed in range(5)}) > 1

    def test_holds_the_device_back_when_the_fault_fires(self) -> None:
        cis = make_cis(faults="sends_early=1")
        Business(cis).initialize_devices(METERS)
        create = next(sent for sent in cis.view.waiting.values() if sent.process == "device_create")
        others = [sent for sent in cis.view.waiting.values() if sent is not create]
        assert create.due is not None
        assert (create.due - NOW).total_seconds() == 300
        assert len(others) == 3
        assert all(sent.due is None and sent.after is None for sent in others)
        assert cis.view.faults == [("sends_early", "000000000010000001")]

    def test_rejects_an_order_it_does_not_know(self, business: Business) -> None:
        with pytest.raises(CannotOrder, match="in_order or shuffled"):
            business.initialize_devices(METERS, order="random")

    @pytest.mark.parametrize(("unit", "expected"), [("kWh", "KWH"), ("m3", "M3")])
    def test_says_units_in_saps_three_characters(self, business: Business, unit: str, expected: str) -> None:
        meter = {**METERS[0], "registers": [{"obis": "7-0:3.0.0*255", "unit": unit, "digits": 5, "decimals": 3}]}
        (device,) = business.initialize_devices([meter])
        assert device.registers[0].unit == expected


class TestOrders:
    def test_rejects_devices_nobody_knows(self, business: Business) -> None:
        with pytest.raises(CannotOrder, match="no such device"):
            business.order_readings(["1"], reason="01", scheduled_on="2026-03-27")

    def test_orders_each_register_once(self, business: Business) -> None:
        business.initialize_devices(METERS)
        orders = business.order_readings("all", reason="01", scheduled_on="2026-03-27")
        assert len({(order.device, order.lrn) for order in orders}) == len(orders) == len(METERS) * 2
        assert orders[0].id == "00000000000000000001"

    def test_puts_several_devices_into_a_document(self, cis: Cis, business: Business) -> None:
        devices = [device.id for device in business.initialize_devices(METERS)]
        documents = business.order_connections(devices, category="2", devices_per_document=2)
        assert [len(cis.view.documents[key].devices) for key in documents] == [2, 1]
        assert documents == ["000000000001", "000000000002"]

    def test_rejects_a_category_nobody_knows(self, business: Business) -> None:
        with pytest.raises(CannotOrder, match="category"):
            business.order_connections([], category="3")

    def test_marks_a_test_in_the_header(self, cis: Cis, business: Business) -> None:
        devices = [device.id for device in business.initialize_devices(METERS[:1])]
        business.order_connections(devices, category="1", test=True)
        sent = next(sent for sent in cis.view.waiting.values() if sent.process == "connection_order")
        arguments = Builder(cis.view, own_system="S4HANA", time_zone_code=None).arguments(sent, now=NOW)
        assert arguments["MessageHeader"]["TestDataIndicator"] == "true"

    def test_cancels_after_the_order_unless_early(self, cis: Cis, business: Business) -> None:
        business.initialize_devices(METERS[:1])
        (first, *_) = business.order_readings("all", reason="01", scheduled_on="2026-03-27")
        order = next(sent for sent in cis.view.waiting.values() if sent.process == "reading_order")
        (waits,) = business.cancel_readings([first.id])
        (early,) = business.cancel_readings([first.id], early=True)
        assert cis.view.sent[waits].after == order.uuid
        assert cis.view.sent[early].after is None
