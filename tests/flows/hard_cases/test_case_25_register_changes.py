"""Case 25. A register change with no register, with one, with many; with many of which only dates differ; of a tariff.

None is the reversal of the installation, one with an end is closed, several are a replacement or a change of tariff;
what is listed as it is changes nothing.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from mdus.domain.meter_reading_document import DocumentStatus
from mdus.domain.reading import MeterReading
from mdus.domain.register import Register
from tests.flows.both_sides import BothSides, texts
from tests.flows.hard_cases.conftest import Open
from tests.flows.hard_cases.sap_messages import (
    CREATE,
    METER,
    OPEN,
    READ,
    READ_ACCEPTED,
    REGISTER_CHANGE,
    REGISTER_CHANGED,
    REGISTERS,
    RESULT,
    VALUE,
    device,
    reading,
    register,
    registers,
    specified,
)
from tests.flows.hard_cases.steps import MIDNIGHT, answers, document, late_failures

START = "2026-01-01"
DAY, HIGH, LOW = "0001", "0002", "0003"
TOTAL, HIGH_TARIFF, LOW_TARIFF = "1-0:1.8.0", "1-0:1.8.1", "1-0:1.8.2"

Spans = dict[str, list[tuple[date, date | None]]]


@pytest.fixture
def sides(empty_sides_on_sqlite: BothSides) -> BothSides:
    """A meter with one register that counts everything."""
    return with_one(empty_sides_on_sqlite)


def with_one(sides: BothSides) -> BothSides:
    sides.tell(CREATE, device())
    sides.tell(REGISTERS, registers(register(DAY)))
    sides.rest()
    return sides


def change(sides: BothSides, *listed: str) -> tuple[str, list[str]]:
    """Change registers, and return what SAP reads when it must have an answer."""
    sides.tell(REGISTER_CHANGE, registers(*listed))
    sides.rest()
    sides.clock.move(minutes=30)
    sides.rest()
    return answers(sides, REGISTER_CHANGED)[-1]


def spans(sides: BothSides) -> Spans:
    found: Spans = {}
    for one in sorted(sides.all(Register), key=lambda one: one.valid_from):
        found.setdefault(one.measurement_task_id, []).append((one.valid_from, one.valid_to))
    return found


class TestNoRegister:
    def test_reverses_the_installation(self, sides: BothSides) -> None:
        assert change(sides) == ("3", [])
        assert spans(sides) == {}

    def test_is_refused_by_setting(self, open_sides: Open, sqlite_url: str, tmp_path: Path) -> None:
        (tmp_path / "mdus.toml").write_text('[register_change]\nempty_list = "is_refused"\n')
        sides = with_one(open_sides(sqlite_url))
        assert change(sides) == ("5", ["141(MDUS)"])
        assert len(spans(sides)) == 1

    def test_leaves_what_ended_before(self, sides: BothSides) -> None:
        assert change(sides, specified(DAY, START, "2026-02-28")) == ("3", [])
        assert change(sides) == ("3", [])
        assert spans(sides) == {DAY: [(date(2026, 1, 1), date(2026, 3, 1))]}


class TestOneRegister:
    def test_with_an_end_is_closed(self, sides: BothSides) -> None:
        assert change(sides, specified(DAY, START, "2026-05-31")) == ("3", [])
        assert spans(sides) == {DAY: [(date(2026, 1, 1), date(2026, 6, 1))]}

    @pytest.mark.parametrize("times", [1, 2])
    def test_as_it_is_changes_nothing_however_often(self, sides: BothSides, times: int) -> None:
        before = sides.all(Register)
        for _ in range(times):
            assert change(sides, specified(DAY, START)) == ("3", [])
        assert spans(sides) == {DAY: [(date(2026, 1, 1), None)]}
        assert len(before) == 1

    def test_that_nobody_knows_is_refused(self, sides: BothSides) -> None:
        assert change(sides, specified("0099", START, "2026-05-31")) == ("5", ["130(MDUS)"])
        assert spans(sides) == {DAY: [(date(2026, 1, 1), None)]}

    def test_that_ends_before_it_starts_is_refused(self, sides: BothSides) -> None:
        assert change(sides, specified(DAY, START, "2025-11-30")) == ("5", ["106(MDUS)"])

    def test_gets_another_factor_from_a_day_on(self, sides: BothSides) -> None:
        assert change(sides, specified(DAY, "2026-06-01", factor="40")) == ("3", [])
        found = {one.valid_from: one.factor for one in sides.all(Register)}
        assert list(found.values())[-1] == 40
        assert spans(sides) == {DAY: [(date(2026, 1, 1), date(2026, 6, 1)), (date(2026, 6, 1), None)]}


class TestManyRegisters:
    TARIFF = (
        specified(DAY, START, "2026-05-31"),
        specified(HIGH, "2026-06-01", obis=HIGH_TARIFF),
        specified(LOW, "2026-06-01", obis=LOW_TARIFF),
    )

    def test_change_the_tariff_on_a_day_all_of_them_or_none(self, empty_sides: BothSides) -> None:
        sides = with_one(empty_sides)
        wrong = (*self.TARIFF[:2], specified(LOW, "2026-06-01", obis=HIGH_TARIFF))
        assert change(sides, *wrong)[0] == "5"
        assert spans(sides) == {DAY: [(date(2026, 1, 1), None)]}

        assert change(sides, *self.TARIFF) == ("3", [])
        assert spans(sides) == {
            DAY: [(date(2026, 1, 1), date(2026, 6, 1))],
            HIGH: [(date(2026, 6, 1), None)],
            LOW: [(date(2026, 6, 1), None)],
        }

    def test_are_read_by_the_numbers_of_the_day(self, sides: BothSides) -> None:
        assert change(sides, *self.TARIFF) == ("3", [])
        orders = {
            "1": reading("1", task=DAY, on="2026-05-31", obis=TOTAL),
            "2": reading("2", task=DAY, on="2026-06-01", obis=TOTAL),
            "3": reading("3", task=HIGH, on="2026-06-01", obis=HIGH_TARIFF),
        }
        for body in orders.values():
            sides.tell(READ, body)
            sides.rest()
        assert answers(sides, READ_ACCEPTED) == [("3", []), ("5", ["202(MDUS)"]), ("3", [])]

    def test_of_which_only_dates_differ_get_these_dates(self, sides: BothSides) -> None:
        """A peer takes several registers for a replacement and carries out the last one only."""
        assert change(sides, *self.TARIFF) == ("3", [])
        shifted = (specified(HIGH, "2026-06-01", "2026-12-31", obis=HIGH_TARIFF),)
        shifted += (specified(LOW, "2026-06-01", "2026-11-30", obis=LOW_TARIFF),)
        assert change(sides, *shifted) == ("3", [])
        assert spans(sides) == {
            DAY: [(date(2026, 1, 1), date(2026, 6, 1))],
            HIGH: [(date(2026, 6, 1), date(2027, 1, 1))],
            LOW: [(date(2026, 6, 1), date(2026, 12, 1))],
        }

    def test_swap_their_numbers(self, sides: BothSides) -> None:
        assert change(sides, *self.TARIFF) == ("3", [])
        swapped = (
            specified(HIGH, "2026-06-01", "2026-06-30", obis=HIGH_TARIFF),
            specified(HIGH, "2026-07-01", OPEN, obis=LOW_TARIFF),
            specified(LOW, "2026-06-01", "2026-06-30", obis=LOW_TARIFF),
            specified(LOW, "2026-07-01", OPEN, obis=HIGH_TARIFF),
        )
        assert change(sides, *swapped) == ("3", [])
        july = {one.measurement_task_id: one.reading_type for one in sides.all(Register) if one.valid_to is None}
        assert july == {HIGH: f"{LOW_TARIFF}*255", LOW: f"{HIGH_TARIFF}*255"}


class TestANumberThatMovesAfterItsReadingWasOrdered:
    """The order was accepted for what the number named then; it is read by what the number names on the day."""

    def ordered(self, sides: BothSides, obis: str) -> list[str]:
        """Order a reading, let SAP name another channel, let both have values; return what SAP is sent."""
        [before] = sides.all(Register)
        sides.tell(READ, reading(on="2026-03-29"))
        sides.rest()
        assert answers(sides, READ_ACCEPTED) == [("3", [])]
        assert change(sides, specified(METER, START, obis=obis)) == ("3", [])
        [after] = sides.all(Register)
        sides.clock.instant = MIDNIGHT
        for named, value in ((before, "11.11"), (after, "22.22")):
            sides.save(
                MeterReading(
                    sender_system=named.sender_system,
                    device_id=METER,
                    reading_type=named.reading_type,
                    measured_at=MIDNIGHT,
                    value=Decimal(value),
                    received_at=MIDNIGHT,
                )
            )
        sides.clock.move(hours=1)
        sides.rest()
        return [texts(sent, VALUE)[0] for sent in sides.sap.messages(RESULT)]

    def test_is_not_sent_the_value_of_the_old_channel(self, open_sides: Open, database_url: str) -> None:
        sides = open_sides(database_url)
        sides.meter(METER)

        assert self.ordered(sides, "1-0:2.8.0") == []
        assert document(sides).status is DocumentStatus.FAILED
        assert document(sides).note == "The register measures 1-0:2.8.0 now, not 1-0:1.8.0"
        assert late_failures(sides) == ["reading_missing"]

    def test_is_sent_that_of_the_new_one_where_both_are_what_was_ordered(
        self, open_sides: Open, database_url: str
    ) -> None:
        sides = open_sides(database_url)
        sides.meter(METER)
        [stored] = sides.all(Register)
        sides.save(replace(stored, reading_type="as it was named before"))

        assert self.ordered(sides, TOTAL) == ["22.22"]
