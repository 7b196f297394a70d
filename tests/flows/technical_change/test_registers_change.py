"""Technical change through SOAP: the device and its registers change, and everything that rests on them follows."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from mdus.domain.command import CommandKind
from mdus.domain.end_device import EndDevice
from mdus.domain.register import Register
from tests.flows.both_sides import BothSides, texts
from tests.flows.technical_change.messages import (
    ALL_REGISTERED,
    CODE,
    DEVICE_CHANGE,
    DEVICE_CHANGED,
    NOTE,
    ORDER,
    ORDERED,
    REGISTER_CHANGE,
    REGISTER_CHANGED,
    REGISTER_CHANGES,
    REGISTER_CREATE,
    REGISTERED,
    REGISTERS_CHANGED,
    RESULT,
    TYPE_ID,
    changed,
    changed_device,
    installed,
    order,
    register,
    registers,
    specification,
)

METER = "000000000000000042"
NUMBER = "000000000000000107"


def install(sides: BothSides, device_id: str = METER, number: str = NUMBER) -> None:
    """Bring a meter so far that SAP uses it."""
    for root, body in installed(device_id, number, point=f"IP{device_id}"):
        sides.tell(root, body)
    sides.rest()
    sides.push(
        "heard", {"delivery_id": device_id, "meters": [{"serial": f"S{device_id}", "at": "2026-03-28T10:00:00Z"}]}
    )
    sides.answer(CommandKind.PROVISION)
    sides.rest()


def spans(sides: BothSides) -> list[tuple[str, str, date, date | None]]:
    """Number, channel and span of every register."""
    found = [(one.measurement_task_id, one.reading_type, one.valid_from, one.valid_to) for one in sides.all(Register)]
    return sorted(found, key=lambda span: (span[0], span[2]))


def answers(sides: BothSides, root: str) -> list[list[str]]:
    """Code and type ids of every confirmation of a kind."""
    return [texts(message, CODE) + texts(message, TYPE_ID) for message in sides.sap.messages(root)]


class TestADevice:
    def test_is_changed_and_ended(self, sides: BothSides) -> None:
        install(sides)
        sides.tell(DEVICE_CHANGE, changed_device(METER, end="2026-12-31", part="P2"))
        sides.rest()
        assert answers(sides, DEVICE_CHANGED) == [["3"]]
        (device,) = sides.all(EndDevice)
        assert (device.valid_to, device.manufacturer_part_id) == (date(2027, 1, 1), "P2")


class TestATariff:
    def change(self, sides: BothSides) -> None:
        """Let two tariffs take the place of one register on 2026-03-29."""
        install(sides)
        sides.tell(
            REGISTER_CHANGE,
            registers(
                METER,
                changed(NUMBER, "2026-01-01", "2026-03-28"),
                changed("201", "2026-03-29", code="1-0:1.8.1"),
                changed("202", "2026-03-29", code="1-0:1.8.2"),
            ),
        )
        sides.rest()

    def test_is_changed_on_a_day(self, sides: BothSides) -> None:
        self.change(sides)
        assert answers(sides, REGISTER_CHANGED) == [["3"]]
        assert spans(sides) == [
            (NUMBER, "1-0:1.8.0*255", date(2026, 1, 1), date(2026, 3, 29)),
            ("201", "1-0:1.8.1*255", date(2026, 3, 29), None),
            ("202", "1-0:1.8.2*255", date(2026, 3, 29), None),
        ]

    def test_is_told_to_the_head_end_beside_what_it_still_has_to_read(self, sides: BothSides) -> None:
        self.change(sides)
        first, second = sides.submitted(CommandKind.PROVISION)
        assert [register["obis"] for register in first["registers"]] == ["1-0:1.8.0*255"]
        assert [register["obis"] for register in second["registers"]] == [
            "1-0:1.8.0*255",
            "1-0:1.8.1*255",
            "1-0:1.8.2*255",
        ]

    @pytest.mark.parametrize(
        ("number", "code", "on", "answer"),
        [
            pytest.param(NUMBER, "1-0:1.8.0", "2026-03-28", ["3"], id="the old one on its last day"),
            pytest.param(NUMBER, "1-0:1.8.0", "2026-03-29", ["5", "202(MDUS)"], id="the old one a day later"),
            pytest.param("201", "1-0:1.8.1", "2026-03-28", ["5", "202(MDUS)"], id="a new one a day early"),
            pytest.param("201", "1-0:1.8.1", "2026-03-29", ["3"], id="a new one on its first day"),
        ],
    )
    def test_is_ordered_by_the_numbers_of_the_day(
        self, sides: BothSides, number: str, code: str, on: str, answer: list[str]
    ) -> None:
        self.change(sides)
        sides.tell(ORDER, order("1", METER, number, reason="01", on=on, code=code))
        sides.rest()
        assert answers(sides, ORDERED) == [answer]

    def test_leaves_the_order_of_the_last_day_to_be_read_at_the_midnight_of_the_change(self, sides: BothSides) -> None:
        self.change(sides)
        sides.tell(ORDER, order("1", METER, NUMBER, reason="01", on="2026-03-28"))
        sides.rest()
        midnight = datetime(2026, 3, 28, 23, 0, tzinfo=UTC)
        sides.clock.instant = midnight
        sides.snapshot(midnight, (METER, "12345.67"))
        sides.clock.move(hours=1)
        sides.rest()
        (result,) = sides.sap.messages(RESULT)
        assert texts(result, "MeterReadingDocument/Result/MeterReadingResultValue") == ["12345.67"]


class TestARegister:
    def test_gets_new_specifications_on_a_day(self, sides: BothSides) -> None:
        install(sides)
        specifications = (
            specification("2026-01-01", "2026-03-28"),
            specification("2026-03-29", factor="40.0"),
        )
        sides.tell(REGISTER_CHANGE, registers(METER, register(NUMBER, "2026-01-01", "9999-12-31", *specifications)))
        sides.rest()
        assert answers(sides, REGISTER_CHANGED) == [["3"]]
        assert [(one.valid_from, one.valid_to, one.factor) for one in sides.all(Register)] == [
            (date(2026, 1, 1), date(2026, 3, 29), Decimal(1)),
            (date(2026, 3, 29), None, Decimal(40)),
        ]
        assert len(sides.submitted(CommandKind.PROVISION)) == 2

    def test_swaps_its_number_with_another(self, sides: BothSides) -> None:
        install(sides)
        sides.tell(
            REGISTER_CHANGE,
            registers(METER, changed(NUMBER, "2026-01-01"), changed("2", "2026-01-01", code="1-0:2.8.0")),
        )
        sides.rest()
        swapped = (
            changed(NUMBER, "2026-03-29", code="1-0:2.8.0"),
            changed("2", "2026-03-29"),
        )
        sides.tell(REGISTER_CHANGE, registers(METER, *swapped))
        sides.rest()
        assert answers(sides, REGISTER_CHANGED) == [["3"], ["3"]]
        assert spans(sides) == [
            (NUMBER, "1-0:1.8.0*255", date(2026, 1, 1), date(2026, 3, 29)),
            (NUMBER, "1-0:2.8.0*255", date(2026, 3, 29), None),
            ("2", "1-0:2.8.0*255", date(2026, 1, 1), date(2026, 3, 29)),
            ("2", "1-0:1.8.0*255", date(2026, 3, 29), None),
        ]

    def test_is_waited_for_when_its_change_comes_first(self, sides: BothSides) -> None:
        create, (_, created), *_ = installed(METER, NUMBER)
        sides.tell(*create)
        sides.tell(REGISTER_CHANGE, registers(METER, changed(NUMBER, "2026-01-01", "2026-03-28")))
        sides.rest()
        assert answers(sides, REGISTER_CHANGED) == []
        sides.tell(REGISTER_CREATE, created)
        sides.rest()
        assert answers(sides, REGISTER_CHANGED) == [["3"]]
        assert spans(sides) == [(NUMBER, "1-0:1.8.0*255", date(2026, 1, 1), date(2026, 3, 29))]

    @pytest.mark.parametrize(("minutes", "answer"), [(29, []), (30, [["5", "130(MDUS)"]])], ids=["29 minutes", "30"])
    def test_that_never_comes_is_refused(self, sides: BothSides, minutes: int, answer: list[list[str]]) -> None:
        install(sides)
        sides.tell(REGISTER_CHANGE, registers(METER, changed("9", "2026-01-01", "2026-03-28")))
        sides.rest()
        sides.clock.move(minutes=minutes)
        sides.rest()
        assert answers(sides, REGISTER_CHANGED) == answer

    def test_that_opens_lets_sap_be_told_that_the_meter_is_registered(self, sides: BothSides) -> None:
        create, _, *_ = installed(METER, NUMBER)
        sides.tell(*create)
        sides.tell(REGISTER_CREATE, registers(METER, register(NUMBER, "2026-01-01", "2026-02-28")))
        sides.push("heard", {"delivery_id": "h", "meters": [{"serial": f"S{METER}", "at": "2026-03-28T10:00:00Z"}]})
        sides.rest()
        assert sides.sap.messages(ALL_REGISTERED) == []
        sides.tell(REGISTER_CHANGE, registers(METER, changed(NUMBER, "2026-01-01")))
        sides.rest()
        (told,) = sides.sap.messages(ALL_REGISTERED)
        assert texts(told, f"{REGISTERED}Message/UtilitiesDevice/SmartMeter/StartDate") == ["2026-01-01"]


class TestABulk:
    def test_fails_only_the_device_at_fault_and_names_its_registers(self, sides: BothSides) -> None:
        others = ("000000000000000043", "000000000000000044")
        for number, device_id in enumerate((METER, *others)):
            install(sides, device_id, f"{number}")
        bad = (changed("1", "2026-01-01", factor="0.0"), changed("91", "2025-12-31", "2026-01-31", code="1-0:2.8.0"))
        sides.tell(
            REGISTER_CHANGES,
            registers(METER, changed("0", "2026-01-01", "2026-03-28")),
            registers(others[0], *bad),
            registers(others[1], changed("2", "2026-01-01", "2026-03-28")),
        )
        sides.rest()
        (answer,) = sides.sap.messages(REGISTERS_CHANGED)
        item = f"{REGISTER_CHANGED}Message"
        assert texts(answer, CODE) == ["4"]
        assert texts(answer, f"{item}/{CODE}") == ["3", "5", "3"]
        assert texts(answer, f"{item}/UtilitiesDevice/ID") == [METER, *others]
        assert texts(answer, f"{item}/{TYPE_ID}") == ["116(MDUS)", "130(MDUS)"]
        assert [note[:5] for note in texts(answer, f"{item}/{NOTE}")] == ["[1] I", "[91] "]
        assert [span[3] for span in spans(sides)] == [date(2026, 3, 29), None, date(2026, 3, 29)]
