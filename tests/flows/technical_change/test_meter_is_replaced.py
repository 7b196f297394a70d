"""A meter is replaced on its point of delivery: no gap, no overlap, whatever order SAP's messages come in."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from mdus.domain.command import CommandKind
from mdus.domain.end_device import EndDevice
from mdus.domain.end_device_event import EndDeviceEvent
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.meter_reading_document import DocumentStatus, MeterReadingDocument
from mdus.domain.reading import MeterReading, ReadingOrigin
from mdus.domain.register import Register
from mdus.domain.usage_point import DeviceLocation, UsagePoint
from tests.flows.both_sides import BothSides, texts
from tests.flows.technical_change.messages import (
    ALL_REGISTERED,
    CODE,
    DEVICE_CREATE,
    LOCATION,
    ORDER,
    ORDERED,
    POINT_OF_DELIVERY,
    READING,
    READING_TAKEN,
    REGISTER_CHANGE,
    REGISTER_CHANGED,
    REGISTER_CREATE,
    REGISTER_CREATED,
    REGISTERED,
    RESULT,
    Told,
    changed,
    device,
    installed,
    location,
    order,
    point_of_delivery,
    reading,
    register,
    registers,
)

OLD, NEW = "000000000000000041", "000000000000000042"
NUMBER = "000000000000000107"  # the logical register number stays with the point of delivery
TODAY, YESTERDAY = "2026-03-28", "2026-03-27"
MIDNIGHT = datetime(2026, 3, 27, 23, 0, tzinfo=UTC)  # when the day of the replacement begins in Berlin

#: The old meter leaves.
REMOVAL: Sequence[Told] = (
    (READING, reading("1", OLD, NUMBER, reason="22", on=TODAY, at="09:30:00", value="45678.90")),
    (REGISTER_CHANGE, registers(OLD, changed(NUMBER, "2026-01-01", YESTERDAY))),
    (LOCATION, location(OLD)),
    (POINT_OF_DELIVERY, point_of_delivery(OLD, NUMBER, ("2026-01-01", YESTERDAY))),
)
#: The new one comes.
INSTALLATION: Sequence[Told] = (
    (DEVICE_CREATE, device(NEW)),
    (REGISTER_CREATE, registers(NEW, register(NUMBER, TODAY))),
    (LOCATION, location(NEW, "IP1", TODAY)),
    (POINT_OF_DELIVERY, point_of_delivery(NEW, NUMBER, (TODAY, "9999-12-31"))),
    (READING, reading("2", NEW, NUMBER, reason="21", on=TODAY, at="09:45:00", value="0.50")),
)


def in_order(seed: int) -> list[Told]:
    """SAP's messages in the order of the work, or in another one by a seed."""
    told = [*REMOVAL, *INSTALLATION]
    if seed:
        random.Random(seed).shuffle(told)
    return told


def replace_meter(sides: BothSides, *, seed: int = 0) -> None:
    """Have the old meter installed since New Year, then replace it."""
    for root, body in installed(OLD, NUMBER):
        sides.tell(root, body)
    sides.rest()
    for root, body in in_order(seed):
        sides.tell(root, body)
        sides.rest()


class TestAReplacement:
    @pytest.mark.parametrize("seed", range(5))
    def test_leaves_no_gap_and_no_overlap_in_any_order(self, sides: BothSides, seed: int) -> None:
        replace_meter(sides, seed=seed)

        assert {texts(message, CODE)[0] for message in sides.sap.received if message.find("Log") is not None} == {"3"}
        for root, count in ((REGISTER_CREATED, 2), (REGISTER_CHANGED, 1), (READING_TAKEN, 2)):
            assert len(sides.sap.messages(root)) == count
        assert {(one.device_id, one.valid_from, one.valid_to) for one in sides.all(Register)} == {
            (OLD, date(2026, 1, 1), date(2026, 3, 28)),
            (NEW, date(2026, 3, 28), None),
        }
        assert {(one.device_id, one.valid_from, one.valid_to) for one in sides.all(DeviceLocation)} == {
            (OLD, date(2026, 1, 1), date(2026, 3, 28)),
            (NEW, date(2026, 3, 28), None),
        }
        assert {(one.device_id, one.valid_from, one.valid_to) for one in sides.all(UsagePoint)} == {
            (OLD, datetime(2025, 12, 31, 23, 0, tzinfo=UTC), MIDNIGHT),
            (NEW, MIDNIGHT, None),
        }
        assert {(one.device_id, one.measured_at, one.value, one.origin) for one in sides.all(MeterReading)} == {
            (OLD, datetime(2026, 3, 28, 8, 30, tzinfo=UTC), Decimal("45678.90"), ReadingOrigin.MANUAL),
            (NEW, datetime(2026, 3, 28, 8, 45, tzinfo=UTC), Decimal("0.50"), ReadingOrigin.MANUAL),
        }
        assert sides.all(ExceptionCase) == sides.all(EndDeviceEvent) == []

    def test_tells_sap_of_the_new_meter_once_it_is_heard(self, sides: BothSides) -> None:
        replace_meter(sides)
        assert len(sides.all(EndDevice)) == 2
        assert [one["serial"] for one in sides.submitted(CommandKind.PROVISION)] == [f"S{OLD}", f"S{NEW}"]
        assert sides.sap.messages(ALL_REGISTERED) == []
        sides.push("heard", {"delivery_id": "h", "meters": [{"serial": f"S{NEW}", "at": "2026-03-28T10:30:00Z"}]})
        sides.rest()
        (told,) = sides.sap.messages(ALL_REGISTERED)
        item = f"{REGISTERED}Message/UtilitiesDevice"
        assert (texts(told, f"{item}/ID"), texts(told, f"{item}/SmartMeter/StartDate")) == ([NEW], [TODAY])

    @pytest.mark.parametrize(
        ("device_id", "on", "code"),
        [
            pytest.param(OLD, YESTERDAY, "3", id="the old meter on its last day"),
            pytest.param(OLD, TODAY, "5", id="the old meter a day later"),
            pytest.param(NEW, YESTERDAY, "5", id="the new meter a day early"),
            pytest.param(NEW, TODAY, "3", id="the new meter on its first day"),
        ],
    )
    def test_lets_orders_find_the_meter_of_the_day(self, sides: BothSides, device_id: str, on: str, code: str) -> None:
        replace_meter(sides)
        sides.tell(ORDER, order("9", device_id, NUMBER, reason="01", on=on))
        sides.rest()
        (answer,) = sides.sap.messages(ORDERED)
        assert texts(answer, CODE) == [code]

    def test_takes_the_removal_read_by_the_meter_itself(self, sides: BothSides) -> None:
        for root, body in installed(OLD, NUMBER):
            sides.tell(root, body)
        sides.tell(ORDER, order("1", OLD, NUMBER, reason="22", on=TODAY))
        sides.rest()
        for root, body in REMOVAL[1:]:
            sides.tell(root, body)
        sides.snapshot(datetime(2026, 3, 28, 9, 0, tzinfo=UTC), (OLD, "45678.905"))
        sides.clock.instant = datetime(2026, 3, 29, 0, 0, tzinfo=UTC)
        sides.rest()
        # No value still to come can be better once the head end says there is none.
        sides.answer(CommandKind.READ_REGISTERS, status="failed", code="NO_DATA", text="removed")
        sides.rest()
        (result,) = sides.sap.messages(RESULT)
        (value,) = texts(result, "MeterReadingDocument/Result/MeterReadingResultValue")
        assert Decimal(value) == Decimal("45678.90")
        (document,) = sides.all(MeterReadingDocument)
        assert document.status is DocumentStatus.RESULT_SENT
