"""Two SAP systems with the same ids for everything, each with a head end of its own: nothing crosses."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from mdus.domain.command import CommandKind
from mdus.domain.end_device import EndDevice, EndDeviceStatus
from mdus.domain.end_device_control import ControlStatus, EndDeviceControl
from mdus.domain.meter_reading_document import DocumentStatus, MeterReadingDocument
from mdus.domain.reading import MeterReading
from mdus.domain.register import Register
from mdus.domain.usage_point import DeviceLocation, UsagePoint
from mdus.storage.command import HEAD_END_DELIVERY
from mdus.storage.message import MESSAGE
from tests.flows.both_sides import texts
from tests.flows.side_by_side.messages import (
    ASSIGN,
    CANCEL_READING,
    CODE,
    CREATE_DEVICE,
    CREATE_REGISTERS,
    DEVICE,
    DEVICE_CREATED,
    DOCUMENT,
    ENERGY,
    LOCATE,
    READ,
    READING_CANCELLED,
    REGISTERED,
    REGISTERED_IN_BULK,
    REGISTERS_CREATED,
    RESULT,
    RESULT_CONFIRMED,
    SERIAL,
    SWITCH,
    SWITCHED,
    TO_BE_READ,
    VALUE,
    device,
    location,
    point_of_delivery,
    reading,
    reading_cancellation,
    registers,
    result_confirmation,
    switch,
)
from tests.flows.side_by_side.systems import FieldSide, Sap, SideBySide

START = datetime(2026, 3, 28, 10, 0, tzinfo=UTC)

#: Each system with its metering system and the head end that stands for it.
SYSTEMS = {"P11": ("AM01", "city"), "P12": ("AM02", "village")}


@pytest.fixture
def sides(database_url: str, tmp_path: Path) -> Iterator[SideBySide]:
    made = SideBySide(
        database_url,
        tmp_path,
        now=START,
        saps=[Sap("P11", zone="Europe/Berlin"), Sap("P12", zone="America/New_York")],
        head_ends=[FieldSide("city", ams_ids=["AM01"]), FieldSide("village", ams_ids=["AM02"])],
    )
    yield made
    made.close()


@pytest.fixture
def initialized(sides: SideBySide) -> SideBySide:
    """Both systems have told their device 42, and both head ends have heard it."""
    for number, (system, (ams_id, head_end)) in enumerate(SYSTEMS.items(), start=1):
        sides.tell(system, CREATE_DEVICE, device(ams_id))
        sides.tell(system, CREATE_REGISTERS, registers(ams_id, factor=str(number)))
        sides.rest()
        sides.answer(head_end, CommandKind.PROVISION)
        heard = [{"serial": SERIAL, "first": True, "at": sides.clock.now().isoformat()}]
        sides.push(head_end, "heard", {"delivery_id": "h-1", "meters": heard})
        sides.rest()
    for sap in sides.saps.values():
        sap.received.clear()
    return sides


def on_demand(sides: SideBySide, value: str) -> dict[str, object]:
    """What a head end tells of a meter that shows this value now."""
    at = sides.clock.now().isoformat()
    return {"readings": [{"obis": ENERGY, "at": at, "value": value, "unit": "kWh"}]}


def documents(sides: SideBySide) -> dict[str, DocumentStatus]:
    return {document.sender_system: document.status for document in sides.all(MeterReadingDocument)}


def read_and_told(sides: SideBySide) -> None:
    """Let both systems order the same reading, and both head ends answer."""
    for system, (ams_id, _) in SYSTEMS.items():
        sides.tell(system, READ, reading(ams_id))
    sides.rest()
    sides.answer("city", CommandKind.READ_ON_DEMAND, **on_demand(sides, "111.11"))
    sides.answer("village", CommandKind.READ_ON_DEMAND, **on_demand(sides, "222.22"))
    sides.rest()


class TestTheRegistry:
    def test_knows_the_device_of_each_system(self, sides: SideBySide) -> None:
        same = str(uuid.uuid4())
        for number, (system, (ams_id, _)) in enumerate(SYSTEMS.items(), start=1):
            sides.tell(system, CREATE_DEVICE, device(ams_id), uuid_=same)
            sides.tell(system, CREATE_REGISTERS, registers(ams_id, factor=str(number)), uuid_=same)
            sides.tell(system, LOCATE, location(ams_id), uuid_=same)
            sides.tell(system, ASSIGN, point_of_delivery(ams_id, point=f"POD of {system}"), uuid_=same)
        sides.rest()

        devices = {one.sender_system: (one.device_id, one.head_end) for one in sides.all(EndDevice)}
        assert devices == {"P11": (DEVICE, "city"), "P12": (DEVICE, "village")}
        assert {one.sender_system: one.factor for one in sides.all(Register)} == {"P11": Decimal(1), "P12": Decimal(2)}
        points = {one.sender_system: one.point_of_delivery_id for one in sides.all(UsagePoint)}
        assert points == {"P11": "POD of P11", "P12": "POD of P12"}
        assert [one.sender_system for one in sides.all(DeviceLocation)] == ["P11", "P12"]
        for head_end, factor in (("city", "1"), ("village", "2")):
            [told] = sides.head_ends[head_end].orders(CommandKind.PROVISION)
            assert (told["serial"], told["registers"][0]["factor"]) == (SERIAL, factor)
        for sap in sides.saps.values():
            for root in (DEVICE_CREATED, REGISTERS_CREATED):
                [confirmation] = sap.messages(root)
                assert texts(confirmation, CODE) == ["3"]
                assert texts(confirmation, "MessageHeader/ReferenceUUID") == [same]
                assert texts(confirmation, "MessageHeader/RecipientBusinessSystemID") == [sap.name]

    def test_of_one_system_does_not_release_what_another_waits_for(self, sides: SideBySide) -> None:
        sides.tell("P12", CREATE_REGISTERS, registers("AM02"))
        sides.tell("P11", CREATE_DEVICE, device("AM01"))
        sides.rest()

        assert sides.saps["P12"].received == []
        assert sides.all(Register) == []

    def test_hears_each_meter_from_its_own_head_end(self, sides: SideBySide) -> None:
        for system, (ams_id, _) in SYSTEMS.items():
            sides.tell(system, CREATE_DEVICE, device(ams_id))
            sides.tell(system, CREATE_REGISTERS, registers(ams_id))
        sides.rest()
        heard = [{"serial": SERIAL, "first": True, "at": START.isoformat()}]
        sides.push("village", "heard", {"delivery_id": "h-1", "meters": heard})
        sides.rest()

        assert [one.sender_system for one in sides.all(EndDeviceStatus) if one.first_heard_at] == ["P12"]
        told = {
            sap.name: len(sap.messages(REGISTERED)) + len(sap.messages(REGISTERED_IN_BULK))
            for sap in sides.saps.values()
        }
        assert told == {"P11": 0, "P12": 1}

    def test_is_shown_to_each_system_by_itself(self, initialized: SideBySide) -> None:
        for system, (_, head_end) in SYSTEMS.items():
            [shown] = initialized.mdus.get("/api/v1/devices", headers=initialized.headers(system)).json()["items"]
            assert (shown["sender_system"], shown["head_end"]) == (system, head_end)


class TestReadings:
    def test_are_had_from_the_head_end_and_told_to_the_system_that_ordered(self, initialized: SideBySide) -> None:
        sides, same = initialized, str(uuid.uuid4())
        for system, (ams_id, _) in SYSTEMS.items():
            sides.tell(system, READ, reading(ams_id), uuid_=same)
        sides.rest()
        for head_end, value in (("village", "222.22"), ("city", "111.11")):
            assert len(sides.head_ends[head_end].orders(CommandKind.READ_ON_DEMAND)) == 1
            sides.answer(head_end, CommandKind.READ_ON_DEMAND, **on_demand(sides, value))
        sides.rest()

        for system, value, at in (("P11", "111.11", "11:00:00"), ("P12", "222.22", "06:00:00")):
            [accepted] = sides.saps[system].messages(TO_BE_READ)
            assert texts(accepted, "MessageHeader/ReferenceUUID") == [same]
            [result] = sides.saps[system].messages(RESULT)
            assert texts(result, "MeterReadingDocument/ID") == [DOCUMENT]
            assert texts(result, VALUE) == [value]
            # Each in the zone of its system.
            assert texts(result, "MeterReadingDocument/Result/ActualMeterReadingTime") == [at]

    def test_confirmed_by_one_system_wait_for_the_other(self, initialized: SideBySide) -> None:
        sides = initialized
        read_and_told(sides)
        sides.tell("P12", RESULT_CONFIRMED, result_confirmation("3"))
        sides.rest()
        assert documents(sides) == {"P11": DocumentStatus.RESULT_SENT, "P12": DocumentStatus.CONFIRMED}

        sides.tell("P11", RESULT_CONFIRMED, result_confirmation("5"))
        sides.rest()
        sides.clock.move(minutes=10)
        sides.rest()
        assert [len(sides.saps[system].messages(RESULT)) for system in SYSTEMS] == [2, 1]
        assert documents(sides)["P12"] is DocumentStatus.CONFIRMED

    def test_cancelled_by_one_system_are_had_for_the_other(self, initialized: SideBySide) -> None:
        sides = initialized
        for system, (ams_id, _) in SYSTEMS.items():
            sides.tell(system, READ, reading(ams_id))
        sides.rest()
        sides.tell("P11", CANCEL_READING, reading_cancellation("AM01"))
        sides.rest()
        for head_end in sides.head_ends:
            sides.answer(head_end, CommandKind.READ_ON_DEMAND, **on_demand(sides, "5.00"))
        sides.rest()

        assert documents(sides) == {"P11": DocumentStatus.CANCELLED, "P12": DocumentStatus.RESULT_SENT}
        assert [len(sides.saps[system].messages(RESULT)) for system in SYSTEMS] == [0, 1]
        assert [len(sides.saps[system].messages(READING_CANCELLED)) for system in SYSTEMS] == [1, 0]

    def test_pushed_by_a_head_end_are_of_its_own_meters(self, initialized: SideBySide) -> None:
        row = {"serial": SERIAL, "obis": ENERGY, "at": START.isoformat(), "value": "7.00", "unit": "kWh"}
        initialized.push("village", "readings", {"delivery_id": "r-1", "readings": [row]})
        initialized.rest()

        assert [one.sender_system for one in initialized.all(MeterReading)] == ["P12"]

    def test_are_never_answered_by_the_other_head_end(self, initialized: SideBySide) -> None:
        sides = initialized
        sides.tell("P11", READ, reading("AM01"))
        sides.rest()
        sides.answer("city", CommandKind.READ_ON_DEMAND, pushed_by="village", **on_demand(sides, "9.00"))
        sides.rest()

        assert sides.all(MeterReading) == []
        assert documents(sides) == {"P11": DocumentStatus.ORDERED}
        *_, told = sides.mdus.rows(HEAD_END_DELIVERY)
        assert (told.head_end, told.status) == ("village", "unmatched")


class TestSwitches:
    @pytest.mark.parametrize("system", list(SYSTEMS))
    def test_move_the_breaker_of_the_system_that_ordered(self, initialized: SideBySide, system: str) -> None:
        sides, (ams_id, head_end) = initialized, SYSTEMS[system]
        [other] = set(sides.head_ends) - {head_end}
        sides.tell(system, SWITCH, switch(ams_id, planned_at=START))
        sides.rest()
        for kind in (CommandKind.SWITCH, CommandKind.SWITCH_STATE):
            at = sides.clock.now().isoformat()
            sides.answer(head_end, kind, switch_state="disconnected", switched_at=at)
            sides.rest()

        assert len(sides.head_ends[head_end].orders(CommandKind.SWITCH)) == 1
        assert sides.head_ends[other].orders(CommandKind.SWITCH) == []
        [confirmation] = sides.saps[system].messages(SWITCHED)
        assert texts(confirmation, CODE) == ["3"]
        assert [sap.name for sap in sides.saps.values() if sap.received] == [system]
        positions = {one.sender_system: one.switch_state.value for one in sides.all(EndDeviceStatus)}
        assert positions[system] == "disconnected"
        assert list(positions.values()).count("disconnected") == 1

    def test_under_the_same_number_are_two_orders(self, initialized: SideBySide) -> None:
        sides = initialized
        sides.tell("P11", SWITCH, switch("AM01", planned_at=START, category="1"))
        sides.tell("P12", SWITCH, switch("AM02", planned_at=START + timedelta(days=1), category="1"))
        sides.rest()

        orders = {one.sender_system: (one.status, one.planned_at) for one in sides.all(EndDeviceControl)}
        assert orders == {
            "P11": (ControlStatus.ORDERED, START),
            "P12": (ControlStatus.ORDERED, START + timedelta(days=1)),
        }
        assert [len(head_end.orders(CommandKind.SWITCH)) for head_end in sides.head_ends.values()] == [1, 0]

    def test_are_not_superseded_by_another_systems_reconnection(self, initialized: SideBySide) -> None:
        sides = initialized
        sides.tell("P11", SWITCH, switch("AM01", planned_at=START + timedelta(minutes=5), category="1"))
        sides.tell("P12", SWITCH, switch("AM02", planned_at=START + timedelta(minutes=6), category="2"))
        sides.clock.move(minutes=6)
        sides.rest()

        states = [[order["state"] for order in one.orders(CommandKind.SWITCH)] for one in sides.head_ends.values()]
        assert states == [["disconnected"], ["connected"]]


class TestWhenOneIsDown:
    def test_the_other_system_gets_its_answers(self, initialized: SideBySide) -> None:
        sides = initialized
        sides.saps["P11"].is_down = True
        read_and_told(sides)

        assert sides.saps["P11"].received == []
        assert [texts(result, VALUE) for result in sides.saps["P12"].messages(RESULT)] == [["222.22"]]
        waiting = {row.sender_system for row in sides.mdus.rows(MESSAGE) if row.status == "ready"}
        assert waiting == {"P11"}

    def test_the_other_head_end_gets_its_orders(self, initialized: SideBySide) -> None:
        sides = initialized
        sides.head_ends["city"].api.close()
        for system, (ams_id, _) in SYSTEMS.items():
            sides.tell(system, SWITCH, switch(ams_id, planned_at=START))
        sides.rest()

        assert len(sides.head_ends["village"].orders(CommandKind.SWITCH)) == 1
        statuses = {one.sender_system: one.status for one in sides.all(EndDeviceControl)}
        assert set(statuses.values()) == {ControlStatus.ORDERED}


class TestAUser:
    def test_speaks_for_its_own_system_only(self, sides: SideBySide) -> None:
        answer = sides.post(CREATE_DEVICE, device("AM02"), system="P12", user_of="P11")

        assert answer.status_code != 202
        assert b"P12" in answer.content
        sides.rest()
        assert sides.all(EndDevice) == []
