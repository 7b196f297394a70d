"""Case 21. A value with more digits than its register, below zero, with more decimals; a factor applied twice.

A result carries what the register shows, cut to its decimals, never rounded up, and before any factor: SAP applies the
factor. The bill is made here of nothing but what SAP has received.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from mdus.domain.command import CommandKind
from mdus.domain.meter_reading_document import DocumentStatus
from mdus.domain.reading import MeterReading
from mdus.domain.register import Register
from tests.flows.both_sides import ENERGY as CHANNEL
from tests.flows.both_sides import BothSides, texts
from tests.flows.hard_cases.conftest import Open
from tests.flows.hard_cases.sap_messages import (
    CREATE,
    METER,
    OTHER,
    READ,
    READ_BULK,
    REGISTERS,
    REGISTERS_CREATED,
    RESULT,
    RESULT_CONFIRMED,
    VALUE,
    device,
    reading,
    register,
    registers,
    result_confirmed,
)
from tests.flows.hard_cases.steps import MIDNIGHT, answers, document, late_failures
from tests.flows.profiles.metering import CREATE as CREATE_VALUES
from tests.flows.profiles.metering import Metering, role


def sent(sides: BothSides, value: str, *, total: int = 8, decimals: int = 2, unit: str = "KWH") -> list[str]:
    """Return what SAP is told when a head end tells a value of a register with so many digits."""
    stored = next(one for one in sides.all(Register) if one.device_id == METER)
    sides.save(replace(stored, total_digits=total, fraction_digits=decimals, unit=unit))
    sides.tell(READ, reading())
    sides.clock.instant = MIDNIGHT
    sides.snapshot(MIDNIGHT, (METER, value))
    sides.clock.move(hours=1)
    sides.rest()
    return [str(Decimal(text).quantize(Decimal("0.001")).normalize()) for text in told(sides)]


def told(sides: BothSides) -> list[str]:
    return [texts(result, VALUE)[0] for result in sides.sap.messages(RESULT)]


class TestDecimals:
    @pytest.mark.parametrize(
        ("value", "decimals", "shown"),
        [
            pytest.param("123.999", 2, "123.99", id="cut, never rounded up"),
            pytest.param("123.999", 0, "123", id="to none"),
            pytest.param("123.9", 3, "123.9", id="fewer than the register has"),
            pytest.param("0.009", 2, "0", id="to nothing"),
            pytest.param("-1.239", 2, "-1.23", id="below zero towards it"),
            pytest.param("-0.009", 2, "0", id="and never to minus nothing"),
        ],
    )
    def test_are_cut_to_those_of_the_register(
        self, sides_on_sqlite: BothSides, value: str, decimals: int, shown: str
    ) -> None:
        assert sent(sides_on_sqlite, value, decimals=decimals) == [shown]

    def test_are_cut_after_the_unit_is_brought_to_that_of_the_register(self, sides_on_sqlite: BothSides) -> None:
        assert sent(sides_on_sqlite, "1234.567", unit="MWH") == ["1.23"]

    def test_below_nothing_are_no_minus_nothing_on_the_wire(self, sides: BothSides) -> None:
        sent(sides, "-0.009")
        assert not told(sides)[0].startswith("-")


class TestMoreDigitsThanTheRegister:
    @pytest.mark.parametrize(
        ("value", "shown"),
        [
            pytest.param("999999.999", ["999999.99"], id="the largest it shows"),
            pytest.param("1000000.00", [], id="one more"),
            pytest.param("-1000000.00", [], id="below zero"),
        ],
    )
    def test_are_not_sent(self, sides_on_sqlite: BothSides, value: str, shown: list[str]) -> None:
        assert sent(sides_on_sqlite, value) == shown

    def test_fail_the_order_aloud_and_with_the_reason(self, sides: BothSides) -> None:
        assert sent(sides, "1000000.00") == []
        for _ in range(5):
            sides.answer(CommandKind.READ_REGISTERS)
            sides.rest()
            sides.clock.move(days=1)
            sides.rest()

        assert document(sides).status is DocumentStatus.FAILED
        assert document(sides).note == "The value 1000000.00 has more digits than the register"
        assert late_failures(sides) == ["reading_missing"]

    @pytest.mark.parametrize(
        ("value", "shown"),
        [("999999.99", "999999.99"), ("1000000.00", "0"), ("1000012.345", "12.34"), ("123000012.34", "12.34")],
    )
    def test_are_turned_over_by_setting(
        self, open_sides: Open, sqlite_url: str, tmp_path: Path, value: str, shown: str
    ) -> None:
        (tmp_path / "mdus.toml").write_text('[reading]\nbeyond_digits = "turn_over"\n')
        sides = open_sides(sqlite_url)
        sides.meter(METER)

        assert sent(sides, value) == [shown]

    @pytest.mark.parametrize(("total", "decimals"), [(2, 3), (0, 0)], ids=["more decimals than digits", "no digit"])
    def test_cannot_be_judged_and_such_a_register_is_refused(
        self, empty_sides_on_sqlite: BothSides, total: int, decimals: int
    ) -> None:
        sides = empty_sides_on_sqlite
        sides.tell(CREATE, device())
        sides.tell(REGISTERS, registers(register(digits=total, decimals=decimals)))
        sides.rest()

        assert answers(sides, REGISTERS_CREATED) == [("5", ["115(MDUS)"])]


class TestANumberNoRegisterHas:
    """A meter that has no value may tell the largest number it knows, such as that of single precision."""

    ABSURD = "340282346638528859811704183484516925440"

    @pytest.mark.parametrize("total", [8, None], ids=["digits known", "digits not known"])
    def test_stops_no_other_order_and_fails_its_own_aloud(self, sides: BothSides, total: int | None) -> None:
        sides.save(*(replace(one, total_digits=total) for one in sides.all(Register)))
        sides.tell(READ_BULK, reading("D1"), reading("D2", device_id=OTHER))
        sides.rest()
        sides.clock.instant = MIDNIGHT
        told_of = {METER: self.ABSURD, OTHER: "2.25"}
        values = [
            {"serial": f"S{device_id}", "obis": CHANNEL, "at": MIDNIGHT.isoformat(), "value": value, "unit": "kWh"}
            for device_id, value in told_of.items()
        ]
        sides.push("readings", {"delivery_id": "1", "readings": values})
        sides.clock.move(hours=1)
        sides.rest()

        assert {one.device_id: one.value for one in sides.all(MeterReading)} == {
            device_id: Decimal(value) for device_id, value in told_of.items()
        }
        assert document(sides, "D2").status is DocumentStatus.RESULT_SENT
        assert document(sides, "D1").status is DocumentStatus.ORDERED
        for _ in range(5):
            sides.answer(CommandKind.READ_REGISTERS)
            sides.rest()
            sides.clock.move(days=1)
            sides.rest()
        assert document(sides, "D1").status is DocumentStatus.FAILED
        assert document(sides, "D1").note == f"The value {self.ABSURD}.00 has more digits than the register"
        assert late_failures(sides) == ["reading_missing"]


class TestAFactorOfForty:
    """Current transformers: what the register shows is a fortieth of what is consumed."""

    FACTOR = Decimal(40)
    PRICE = Decimal("0.25")

    def test_is_billed_exactly_once_by_readings(self, empty_sides: BothSides) -> None:
        sides = empty_sides
        sides.tell(CREATE, device())
        sides.tell(REGISTERS, registers(register(factor="40.00000")))
        sides.rest()
        for number, (day, shown) in enumerate((("2026-03-28", "1000.507"), ("2026-03-29", "1010.759"))):
            sides.tell(READ, reading(str(number), on=day))
            midnight = datetime(2026, 3, 28, 23, tzinfo=UTC) if number == 0 else MIDNIGHT
            sides.clock.instant = midnight
            sides.snapshot(midnight, (METER, shown))
            sides.clock.move(hours=1)
            sides.rest()
            sides.tell(RESULT_CONFIRMED, result_confirmed(document=str(number)))
            sides.rest()

        # What SAP bills: the difference of what the registers show, by the factor it keeps itself.
        first, last = (Decimal(value) for value in told(sides))
        assert (first, last) == (Decimal("1000.50"), Decimal("1010.75"))
        assert (last - first) * self.FACTOR * self.PRICE == Decimal("102.50")

    @pytest.mark.parametrize("applied_by", ["mdus", "head_end"])
    def test_is_billed_exactly_once_by_a_profile(self, sqlite_url: str, tmp_path: Path, applied_by: str) -> None:
        """SAP applies no factor to a profile: what it is sent is what was consumed, whoever multiplies."""
        begins = datetime(2026, 3, 26, 23, tzinfo=UTC)
        rows = f'[[load_profiles]]\nname = "active_import"\nfactor_applied_by = "{applied_by}"\n'
        metering = Metering(sqlite_url, tmp_path, now=begins, settings=rows)
        metering.meter(factor=self.FACTOR)
        metering.assign(role())
        shown = Decimal(1) if applied_by == "mdus" else self.FACTOR
        metering.deliver(begins, [str(shown * value) for value in [Decimal("0.1")] * 95 + [Decimal("0.75")]])
        metering.export(at=begins + timedelta(hours=26))
        received = [Decimal(told.split()[1]) for told in metering.sent(CREATE_VALUES).values()]
        metering.close()

        # The same day as by the readings above: 10.25 shown, times forty.
        assert len(received) == 96
        assert sum(received) * self.PRICE == Decimal("102.50")

    @pytest.mark.parametrize(("factor", "answer"), [("0", ("5", ["116(MDUS)"])), ("0.00001", ("3", []))])
    def test_of_nothing_is_refused(
        self, empty_sides_on_sqlite: BothSides, factor: str, answer: tuple[str, list[str]]
    ) -> None:
        sides = empty_sides_on_sqlite
        sides.tell(CREATE, device())
        sides.tell(REGISTERS, registers(register(factor=factor)))
        sides.rest()

        assert answers(sides, REGISTERS_CREATED) == [answer]

    def test_is_told_to_the_head_end_and_to_nobody_else(self, empty_sides: BothSides) -> None:
        """Its registers are collected as shown; the factor is for what head ends display, not for what they tell."""
        sides = empty_sides
        sides.tell(CREATE, device())
        sides.tell(REGISTERS, registers(register(factor="40")))
        sides.rest()

        [told_of] = sides.submitted(CommandKind.PROVISION)
        assert [Decimal(one["factor"]) for one in told_of["registers"]] == [self.FACTOR]
