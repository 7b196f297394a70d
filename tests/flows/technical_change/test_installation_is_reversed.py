"""An installation that never was: registers, assignment and reading go, in any order, and the meter can come again."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import pytest

from mdus.domain.end_device import EndDevice
from mdus.domain.end_device_event import EndDeviceEvent
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.meter_reading_document import DocumentStatus, MeterReadingDocument
from mdus.domain.reading import MeterReading
from mdus.domain.register import Register
from mdus.domain.usage_point import DeviceLocation, UsagePoint
from tests.flows.both_sides import BothSides, texts
from tests.flows.technical_change.messages import (
    CANCEL,
    CANCELLED,
    CODE,
    LOCATION,
    ORDER,
    ORDERED,
    POINT_OF_DELIVERY,
    READING,
    REGISTER_CHANGE,
    REGISTER_CHANGED,
    REGISTER_CREATE,
    REGISTER_CREATED,
    Told,
    cancellation,
    installed,
    location,
    order,
    point_of_delivery,
    reading,
    register,
    registers,
)

METER, OTHER = "000000000000000042", "000000000000000043"
NUMBER = "000000000000000107"
TODAY = "2026-03-28"
REVERSAL: Sequence[Told] = (
    (REGISTER_CHANGE, registers(METER)),
    (CANCEL, cancellation("1")),
    (LOCATION, location(METER)),
    (POINT_OF_DELIVERY, point_of_delivery(METER, NUMBER)),
)


def install(sides: BothSides) -> None:
    """Install the meter today, with the reading that a person made."""
    for root, body in installed(METER, NUMBER, start=TODAY):
        sides.tell(root, body)
    sides.tell(READING, reading("1", METER, NUMBER, reason="08", on=TODAY))
    sides.rest()
    assert [len(sides.all(kind)) for kind in (Register, DeviceLocation, UsagePoint, MeterReading)] == [1, 1, 1, 1]


def codes(sides: BothSides, root: str) -> list[list[str]]:
    return [texts(message, CODE) for message in sides.sap.messages(root)]


class TestAReversal:
    @pytest.mark.parametrize("order_", [*itertools.permutations(range(4))][::7], ids=str)
    def test_leaves_the_meter_in_stock_in_any_order(self, sides: BothSides, order_: tuple[int, ...]) -> None:
        install(sides)
        for root, body in (REVERSAL[place] for place in order_):
            sides.tell(root, body)
            sides.rest()

        assert (codes(sides, REGISTER_CHANGED), codes(sides, CANCELLED)) == ([["3"]], [["3"]])
        assert [sides.all(kind) for kind in (Register, DeviceLocation, UsagePoint, MeterReading)] == [[], [], [], []]
        (document,) = sides.all(MeterReadingDocument)
        assert document.status is DocumentStatus.CANCELLED
        assert [one.device_id for one in sides.all(EndDevice)] == [METER]
        sides.clock.move(days=2)
        sides.rest()
        assert sides.all(ExceptionCase) == sides.all(EndDeviceEvent) == []

    def test_again_changes_nothing(self, sides: BothSides) -> None:
        install(sides)
        for _ in range(2):
            sides.tell(*REVERSAL[0])
            sides.rest()
        assert codes(sides, REGISTER_CHANGED) == [["3"], ["3"]]

    def test_lets_the_meter_be_installed_on_another_day(self, sides: BothSides) -> None:
        install(sides)
        for root, body in REVERSAL:
            sides.tell(root, body)
        sides.rest()
        sides.clock.move(days=3)
        for root, body in installed(METER, NUMBER, start="2026-03-30")[1:]:
            sides.tell(root, body)
        sides.tell(READING, reading("2", METER, NUMBER, reason="08", on="2026-03-30"))
        sides.rest()
        assert [(one.valid_from, one.valid_to) for one in sides.all(Register)] == [(date(2026, 3, 30), None)]
        assert [one.valid_from for one in sides.all(UsagePoint)] == [datetime(2026, 3, 29, 22, 0, tzinfo=UTC)]
        assert [one.measured_at for one in sides.all(MeterReading)] == [datetime(2026, 3, 30, 8, 0, tzinfo=UTC)]

    def test_frees_the_number_for_a_meter_that_waits_for_it(self, sides: BothSides) -> None:
        install(sides)
        (root, body), *_ = installed(OTHER, NUMBER)
        sides.tell(root, body)
        sides.tell(REGISTER_CREATE, registers(OTHER, register(NUMBER, TODAY)))
        sides.rest()
        assert codes(sides, REGISTER_CREATED) == [["3"]]
        sides.tell(*REVERSAL[0])
        sides.rest()
        assert codes(sides, REGISTER_CREATED) == [["3"], ["3"]]
        assert [one.device_id for one in sides.all(Register)] == [OTHER]

    def test_fails_the_open_orders_of_its_registers_aloud(self, sides: BothSides) -> None:
        install(sides)
        sides.tell(ORDER, order("7", METER, NUMBER, reason="01", on=TODAY))
        sides.rest()
        assert codes(sides, ORDERED) == [["3"]]
        sides.tell(*REVERSAL[0])
        sides.clock.instant += timedelta(days=1)
        sides.rest()
        assert [case.kind for case in sides.all(ExceptionCase)] == ["reading_missing"]
