"""Case 22. Units of more than three characters in the field, and SAP's own codes beside those of ISO.

A table says which are the same and what one is in another; what it does not say is refused or fails aloud. Nothing
longer than SAP's three characters ever leaves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from mdus.domain.command import CommandKind
from mdus.domain.meter_reading_document import DocumentStatus
from mdus.domain.reading import MeterReading
from mdus.domain.register import Register
from tests.flows.both_sides import ENERGY, SENDER, BothSides, texts
from tests.flows.hard_cases.conftest import Open
from tests.flows.hard_cases.sap_messages import (
    CREATE,
    METER,
    READ,
    REGISTERS,
    REGISTERS_CREATED,
    RESULT,
    VALUE,
    device,
    reading,
    register,
    registers,
)
from tests.flows.hard_cases.steps import MIDNIGHT, answers, document, late_failures
from tests.flows.profiles.metering import CREATE as CREATE_VALUES
from tests.flows.profiles.metering import Metering, role

FIRST = datetime(2026, 3, 26, 23, tzinfo=UTC)


def told(sides: BothSides, *, wanted: str, unit: str, value: str = "1500.00") -> list[Decimal]:
    """Return what SAP reads of a register in one unit when the head end tells its value in another."""
    stored = next(one for one in sides.all(Register) if one.device_id == METER)
    sides.save(replace(stored, unit=wanted, total_digits=12))
    sides.tell(READ, reading())
    sides.clock.instant = MIDNIGHT
    sides.save(
        MeterReading(
            sender_system=SENDER,
            device_id=METER,
            reading_type=ENERGY,
            measured_at=MIDNIGHT,
            value=Decimal(value),
            unit=unit,
            received_at=MIDNIGHT,
        )
    )
    sides.clock.move(hours=1)
    sides.rest()
    return [Decimal(texts(result, VALUE)[0]) for result in sides.sap.messages(RESULT)]


class TestAReading:
    @pytest.mark.parametrize(
        ("unit", "wanted", "shown"),
        [
            pytest.param("kvarh", "KVR", "1500", id="five letters, three in SAP"),
            pytest.param("KVARH", "KVR", "1500", id="in capitals"),
            pytest.param("kvarh", "KVH", "1500", id="by SAP's other code for it"),
            pytest.param("m3", "MTQ", "1500", id="SAP writes ISO"),
            pytest.param("m³", "M3", "1500", id="the field writes it small"),
            pytest.param("Wh", "KWH", "1.5", id="a thousandth"),
            pytest.param("kWh", "MWH", "1.5", id="a thousand times"),
        ],
    )
    def test_reaches_sap_in_the_unit_of_its_register(
        self, sides_on_sqlite: BothSides, unit: str, wanted: str, shown: str
    ) -> None:
        assert told(sides_on_sqlite, wanted=wanted, unit=unit) == [Decimal(shown)]

    def test_of_another_quantity_is_never_taken_and_fails_aloud(self, sides: BothSides) -> None:
        assert told(sides, wanted="KWH", unit="kvarh") == []
        for _ in range(5):
            sides.answer(CommandKind.READ_REGISTERS)
            sides.rest()
            sides.clock.move(days=1)
            sides.rest()

        assert document(sides).status is DocumentStatus.FAILED
        assert "is in kvarh, the register in KWH" in (document(sides).note or "")
        assert late_failures(sides) == ["reading_missing"]


class TestARegister:
    @pytest.mark.parametrize(
        ("unit", "answer"),
        [
            pytest.param("KVR", ("3", []), id="of the table"),
            pytest.param("XYZ", ("5", ["121(MDUS)"]), id="of no table"),
            pytest.param("kwh", ("5", ["121(MDUS)"]), id="SAP writes capitals"),
        ],
    )
    def test_in_a_unit_that_no_table_holds_is_refused(
        self, empty_sides_on_sqlite: BothSides, unit: str, answer: tuple[str, list[str]]
    ) -> None:
        sides = empty_sides_on_sqlite
        sides.tell(CREATE, device())
        sides.tell(REGISTERS, registers(register(unit=unit)))
        sides.rest()

        assert answers(sides, REGISTERS_CREATED) == [answer]

    def test_is_taken_once_a_table_holds_it(self, open_sides: Open, sqlite_url: str, tmp_path: Path) -> None:
        (tmp_path / "units.toml").write_text(
            '[[units]]\nname = "kva_hour"\ncode = "KVA"\ntexts = ["kVAh"]\nquantity = "apparent_energy"\n'
        )
        sides = open_sides(sqlite_url)
        sides.tell(CREATE, device())
        sides.tell(REGISTERS, registers(register(unit="KVA")))
        sides.rest()

        assert answers(sides, REGISTERS_CREATED) == [("3", [])]
        assert told(sides, wanted="KVA", unit="kVAh") == [1500]


@pytest.fixture
def metering(sqlite_url: str, tmp_path: Path) -> Iterator[Metering]:
    """A meter with a load profile."""
    rows = '[[load_profiles]]\nname = "reactive"\nreading_type = "1-0:3.8.0*255"\nintervals = "1-0:1.29.0*255"\n'
    made = Metering(sqlite_url, tmp_path, now=FIRST, settings=rows)
    yield made
    made.close()


class TestIntervalValues:
    def test_go_out_under_saps_code_of_three_characters(self, metering: Metering) -> None:
        metering.meter(unit="KVR", reading_type="1-0:3.8.0*255")
        metering.assign(role(), unit=None)
        metering.deliver(FIRST, ["0.250"] * 96, unit="kvarh")
        metering.export(at=FIRST + timedelta(hours=26))

        sent = metering.sent(CREATE_VALUES).values()
        assert {text.split()[2] for text in sent} == {"KVR"}
        assert len(sent) == 96
