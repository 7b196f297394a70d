"""A meter goes over from one head end to another: SAP names its new metering system, and it stays the same meter."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from mdus.domain.command import Command, CommandKind
from mdus.domain.end_device import EndDevice
from mdus.domain.reading import MeterReading
from mdus.domain.register import Register
from tests.flows.both_sides import texts
from tests.flows.side_by_side.messages import (
    CHANGE_DEVICE,
    CODE,
    CREATE_DEVICE,
    CREATE_REGISTERS,
    DEVICE,
    DEVICE_CHANGED,
    ENERGY,
    READ,
    RESULT,
    SERIAL,
    SWITCH,
    SWITCHED,
    TYPE_ID,
    VALUE,
    changed_device,
    device,
    reading,
    registers,
    switch,
)
from tests.flows.side_by_side.systems import FieldSide, Sap, SideBySide

START = datetime(2026, 3, 28, 10, 0, tzinfo=UTC)
OLD, NEW = "AM01", "AM02"


@pytest.fixture
def sides(database_url: str, tmp_path: Path) -> Iterator[SideBySide]:
    """P11's device 42 stands at AM01, which the head end `city` serves; `village` serves AM02."""
    made = SideBySide(
        database_url,
        tmp_path,
        now=START,
        saps=[Sap("P11", zone="Europe/Berlin")],
        head_ends=[FieldSide("city", ams_ids=[OLD]), FieldSide("village", ams_ids=[NEW])],
    )
    made.tell("P11", CREATE_DEVICE, device(OLD))
    made.tell("P11", CREATE_REGISTERS, registers(OLD))
    made.rest()
    yield made
    made.close()


def move(sides: SideBySide, system: str = NEW) -> None:
    """Let SAP name another metering system of the device."""
    sides.tell("P11", CHANGE_DEVICE, changed_device(system))
    sides.rest()


def shows(value: str, *, at: datetime) -> list[dict[str, str]]:
    """Return the register of the meter as a head end tells it."""
    return [{"obis": ENERGY, "at": at.isoformat(), "value": value, "unit": "kWh"}]


def answered(sides: SideBySide, head_end: str, value: str) -> None:
    """Let a head end answer the reading it was asked for."""
    assert sides.answer(head_end, CommandKind.READ_ON_DEMAND, readings=shows(value, at=sides.clock.now())) == 1
    sides.rest()


class TestAMeterThatMoves:
    def test_is_read_at_either_head_end_as_the_same_device_and_register(self, sides: SideBySide) -> None:
        before = sides.all(Register)
        sides.tell("P11", READ, reading(OLD, document="1"))
        sides.rest()
        answered(sides, "city", "100.00")
        move(sides)
        sides.clock.move(minutes=5)
        sides.tell("P11", READ, reading(NEW, document="2"))
        sides.rest()
        answered(sides, "village", "101.50")

        [confirmed] = sides.saps["P11"].messages(DEVICE_CHANGED)
        assert texts(confirmed, CODE) == ["3"]
        [stored] = sides.all(EndDevice)
        assert (stored.device_id, stored.ams_id, stored.head_end) == (DEVICE, NEW, "village")
        assert sides.all(Register) == before
        values = [(one.device_id, one.reading_type, one.value) for one in sides.all(MeterReading)]
        assert values == [(DEVICE, ENERGY, Decimal("100.00")), (DEVICE, ENERGY, Decimal("101.50"))]
        assert results(sides) == [Decimal("100.00"), Decimal("101.50")]
        for name in ("city", "village"):
            assert len(sides.head_ends[name].orders(CommandKind.READ_ON_DEMAND)) == 1

    def test_is_made_known_to_the_new_head_end_with_its_registers(self, sides: SideBySide) -> None:
        move(sides)

        [old], [new] = (sides.head_ends[name].orders(CommandKind.PROVISION) for name in ("city", "village"))
        assert (new["serial"], new["device_id"], new["registers"]) == (SERIAL, DEVICE, old["registers"])

    def test_is_made_known_once_more_where_it_comes_back(self, sides: SideBySide) -> None:
        for system in (NEW, OLD, NEW):
            for head_end in ("city", "village"):
                sides.answer(head_end, CommandKind.PROVISION)
            sides.rest()
            move(sides, system)

        given = {name: sides.head_ends[name].orders(CommandKind.PROVISION) for name in ("city", "village")}
        assert [len(orders) for orders in given.values()] == [2, 2]
        assert len({order["reference"] for orders in given.values() for order in orders}) == 4

    def test_is_not_asked_again_where_it_was_asked_before(self, sides: SideBySide) -> None:
        """What the old head end was asked in time it may still answer."""
        sides.tell("P11", READ, reading(OLD))
        sides.rest()
        move(sides)
        answered(sides, "city", "100.00")

        assert results(sides) == [Decimal("100.00")]
        assert sides.head_ends["village"].orders(CommandKind.READ_ON_DEMAND) == []

    def test_is_asked_at_the_new_head_end_where_the_order_had_not_left(self, sides: SideBySide) -> None:
        sides.head_ends["city"].api.close()
        sides.tell("P11", READ, reading(OLD))
        sides.rest()
        assert [command.head_end for command in reads(sides)] == ["city"]
        sides.tell("P11", CHANGE_DEVICE, changed_device(NEW))
        sides.clock.move(minutes=1)
        sides.rest()

        assert len(sides.head_ends["village"].orders(CommandKind.READ_ON_DEMAND)) == 1

    def test_is_not_switched_by_an_order_that_was_planned_before(self, sides: SideBySide) -> None:
        sides.tell("P11", SWITCH, switch(OLD, planned_at=START + timedelta(hours=2)))
        sides.rest()
        move(sides)
        sides.clock.move(hours=2)
        sides.rest()

        [confirmed] = sides.saps["P11"].messages(SWITCHED)
        assert texts(confirmed, TYPE_ID) == ["321(MDUS)"]
        assert [sides.head_ends[name].orders(CommandKind.SWITCH) for name in ("city", "village")] == [[], []]

    def test_is_no_longer_believed_to_be_at_the_old_head_end(self, sides: SideBySide) -> None:
        move(sides)
        row = {"serial": SERIAL, **shows("999.00", at=START)[0]}
        for name in ("city", "village"):
            sides.push(name, "readings", {"delivery_id": "d-9", "readings": [{**row, "value": f"{len(name)}.00"}]})
        sides.rest()

        assert [one.value for one in sides.all(MeterReading)] == [Decimal("7.00")]


def reads(sides: SideBySide) -> list[Command]:
    """Return the stored commands to read on demand."""
    return [command for command in sides.all(Command) if command.kind is CommandKind.READ_ON_DEMAND]


def results(sides: SideBySide) -> list[Decimal]:
    """Return the values SAP was sent, in their order."""
    return [Decimal(value) for result in sides.saps["P11"].messages(RESULT) for value in texts(result, VALUE)]
