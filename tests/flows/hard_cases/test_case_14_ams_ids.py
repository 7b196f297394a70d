"""Case 14. An AMS id that is unknown, foreign or missing; one SAP with several AMS; several SAP systems.

Unknown: no head end stands for it. Foreign: it is another one than the device's. Both are refused with the reason;
nothing is ever routed by guess.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from lxml import etree

from mdus.domain.command import CommandKind
from mdus.domain.end_device import EndDevice
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.register import Register
from mdus.domain.usage_point import DeviceLocation, UsagePoint
from tests.flows.both_sides import texts
from tests.flows.side_by_side.messages import (
    ASSIGN,
    CANCEL_READING,
    CHANGE_DEVICE,
    CODE,
    CREATE_DEVICE,
    CREATE_REGISTERS,
    DEVICE,
    DEVICE_CHANGED,
    DEVICE_CREATED,
    LOCATE,
    READ,
    READING_CANCELLED,
    REGISTERS_CREATED,
    SERIAL,
    SWITCH,
    SWITCHED,
    TO_BE_READ,
    TYPE_ID,
    changed_device,
    device,
    location,
    point_of_delivery,
    reading,
    reading_cancellation,
    registers,
    switch,
)
from tests.flows.side_by_side.systems import FieldSide, Sap, SideBySide

START = datetime(2026, 3, 28, 10, 0, tzinfo=UTC)

#: What stands for one system, for another one that is served too, and for one that nobody serves.
OWN, FOREIGN, UNKNOWN = "AM01", "AM02", "AM99"


@pytest.fixture
def sides(database_url: str, tmp_path: Path) -> Iterator[SideBySide]:
    """One SAP with two metering systems, a head end for each, beside another SAP."""
    made = SideBySide(
        database_url,
        tmp_path,
        now=START,
        saps=[Sap("P11", zone="Europe/Berlin"), Sap("P12", zone="Europe/Berlin")],
        head_ends=[FieldSide("city", ams_ids=[OWN]), FieldSide("village", ams_ids=[FOREIGN])],
    )
    yield made
    made.close()


@pytest.fixture
def with_device(sides: SideBySide) -> SideBySide:
    """P11's device 42 stands at AM01."""
    sides.tell("P11", CREATE_DEVICE, device(OWN))
    sides.tell("P11", CREATE_REGISTERS, registers(OWN))
    sides.rest()
    sides.saps["P11"].received.clear()
    return sides


def told(sides: SideBySide, root: str, *, system: str = "P11") -> etree._Element:
    [confirmation] = sides.saps[system].messages(root)
    return confirmation


class TestAnUnknownSystem:
    def test_of_a_new_device_is_refused(self, sides: SideBySide) -> None:
        sides.tell("P11", CREATE_DEVICE, device(UNKNOWN))
        sides.rest()

        confirmation = told(sides, DEVICE_CREATED)
        assert (texts(confirmation, CODE), texts(confirmation, TYPE_ID)) == (["5"], ["104(MDUS)"])
        assert texts(confirmation, "Log/Item/Note") == ["No head end stands for the advanced metering system AM99"]
        assert sides.all(EndDevice) == []

    def test_of_a_known_device_is_refused_when_it_changes(self, with_device: SideBySide) -> None:
        with_device.tell("P11", CHANGE_DEVICE, changed_device(UNKNOWN))
        with_device.rest()

        assert texts(told(with_device, DEVICE_CHANGED), TYPE_ID) == ["104(MDUS)"]
        [stored] = with_device.all(EndDevice)
        assert (stored.ams_id, stored.head_end) == (OWN, "city")


class TestAMissingSystem:
    def test_is_not_guessed_where_there_are_several(self, sides: SideBySide) -> None:
        sides.tell("P11", CREATE_DEVICE, device(None))
        sides.rest()

        confirmation = told(sides, DEVICE_CREATED)
        assert (texts(confirmation, CODE), texts(confirmation, TYPE_ID)) == (["5"], ["105(MDUS)"])
        assert sides.all(EndDevice) == []

    def test_means_the_only_one_there_is(self, sqlite_url: str, tmp_path: Path) -> None:
        sides = SideBySide(
            sqlite_url,
            tmp_path,
            now=START,
            saps=[Sap("P11", zone="Europe/Berlin")],
            head_ends=[FieldSide("city", ams_ids=[OWN])],
        )
        sides.tell("P11", CREATE_DEVICE, device(None))
        sides.rest()

        assert texts(told(sides, DEVICE_CREATED), CODE) == ["3"]
        [stored] = sides.all(EndDevice)
        assert (stored.ams_id, stored.head_end) == (OWN, "city")
        sides.close()

    @pytest.mark.parametrize(
        ("root", "body"),
        [
            pytest.param(CREATE_REGISTERS, registers(None), id="registers"),
            pytest.param(LOCATE, location(None), id="location"),
            pytest.param(ASSIGN, point_of_delivery(None), id="point of delivery"),
            pytest.param(READ, reading(None), id="reading order"),
            pytest.param(SWITCH, switch(None, planned_at=START), id="connection order"),
        ],
    )
    def test_breaks_the_contract_of_every_other_message(self, with_device: SideBySide, root: str, body: str) -> None:
        answer = with_device.post(root, body, system="P11")

        assert answer.status_code == 500
        assert b"Fault" in answer.content
        assert b"SmartMeter" in answer.content or b"AdvancedMeteringSystemID" in answer.content


@pytest.mark.parametrize("ams_id", [FOREIGN, UNKNOWN], ids=["foreign", "unknown"])
class TestAnotherSystemThanTheDevices:
    def test_is_refused_for_registers(self, with_device: SideBySide, ams_id: str) -> None:
        with_device.tell("P11", CREATE_REGISTERS, registers(ams_id, task="8"))
        with_device.rest()

        assert texts(told(with_device, REGISTERS_CREATED), TYPE_ID) == ["111(MDUS)"]
        assert len(with_device.all(Register)) == 1

    def test_is_refused_for_a_reading(self, with_device: SideBySide, ams_id: str) -> None:
        with_device.tell("P11", READ, reading(ams_id))
        with_device.rest()

        assert texts(told(with_device, TO_BE_READ), TYPE_ID) == ["111(MDUS)"]
        assert self.orders(with_device, CommandKind.READ_ON_DEMAND) == 0

    def test_is_refused_for_the_cancellation_of_a_reading(self, with_device: SideBySide, ams_id: str) -> None:
        with_device.tell("P11", READ, reading(OWN))
        with_device.rest()
        with_device.tell("P11", CANCEL_READING, reading_cancellation(ams_id))
        with_device.rest()

        assert texts(told(with_device, READING_CANCELLED), TYPE_ID) == ["111(MDUS)"]

    def test_is_refused_for_a_switch(self, with_device: SideBySide, ams_id: str) -> None:
        with_device.tell("P11", SWITCH, switch(ams_id, planned_at=START))
        with_device.rest()

        assert texts(told(with_device, SWITCHED), TYPE_ID) == ["111(MDUS)"]
        assert self.orders(with_device, CommandKind.SWITCH) == 0

    @pytest.mark.parametrize(
        ("root", "make", "kind", "seen"),
        [
            pytest.param(LOCATE, location, DeviceLocation, "location_failed", id="location"),
            pytest.param(ASSIGN, point_of_delivery, UsagePoint, "message_failed", id="point of delivery"),
        ],
    )
    def test_of_a_notification_changes_nothing_and_is_seen(
        self, with_device: SideBySide, ams_id: str, root: str, make: object, kind: type, seen: str
    ) -> None:
        with_device.tell("P11", root, make(ams_id))  # type: ignore[operator]
        with_device.rest()

        assert with_device.all(kind) == []
        [case] = with_device.all(ExceptionCase)
        assert case.kind == seen
        assert OWN in case.note

    def orders(self, sides: SideBySide, kind: CommandKind) -> int:
        return sum(len(head_end.orders(kind)) for head_end in sides.head_ends.values())


class TestOneSapWithSeveralSystems:
    def test_has_each_device_at_the_head_end_of_its_system(self, sides: SideBySide) -> None:
        # Each head end numbers its own meters: the same serial number is another meter there.
        for ams_id, device_id, task in ((OWN, DEVICE, "7"), (FOREIGN, "43", "8")):
            sides.tell("P11", CREATE_DEVICE, device(ams_id, device_id=device_id))
            sides.tell("P11", CREATE_REGISTERS, registers(ams_id, device_id=device_id, task=task))
        sides.rest()

        for name, device_id in (("city", DEVICE), ("village", "43")):
            [provisioned] = sides.head_ends[name].orders(CommandKind.PROVISION)
            assert (provisioned["serial"], provisioned["device_id"]) == (SERIAL, device_id)

    def test_orders_each_meter_at_its_own_head_end(self, sides: SideBySide) -> None:
        for ams_id, device_id in ((OWN, DEVICE), (FOREIGN, "43")):
            sides.tell("P11", CREATE_DEVICE, device(ams_id, device_id=device_id))
        sides.rest()
        sides.tell("P11", SWITCH, switch(FOREIGN, device_id="43", planned_at=START))
        sides.rest()

        assert len(sides.head_ends["village"].orders(CommandKind.SWITCH)) == 1
        assert sides.head_ends["city"].orders(CommandKind.SWITCH) == []


class TestSeveralSapSystems:
    def test_may_name_the_same_metering_system_for_meters_of_their_own(self, sides: SideBySide) -> None:
        for system, serial in (("P11", "0000000011"), ("P12", "0000000012")):
            sides.tell(system, CREATE_DEVICE, device(OWN, serial=serial))
            sides.tell(system, CREATE_REGISTERS, registers(OWN))
        sides.rest()

        provisioned = sides.head_ends["city"].orders(CommandKind.PROVISION)
        assert sorted(order["serial"] for order in provisioned) == ["0000000011", "0000000012"]
        assert {one.sender_system for one in sides.all(EndDevice)} == {"P11", "P12"}

    def test_cannot_both_have_one_meter_of_a_head_end(self, sides: SideBySide) -> None:
        for system in ("P11", "P12"):
            sides.tell(system, CREATE_DEVICE, device(OWN))
            sides.rest()

        assert texts(told(sides, DEVICE_CREATED), CODE) == ["3"]
        assert texts(told(sides, DEVICE_CREATED, system="P12"), TYPE_ID) == ["101(MDUS)"]
        [stored] = sides.all(EndDevice)
        assert stored.sender_system == "P11"
