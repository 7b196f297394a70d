"""Case 5. SAP's EndDate is inclusive, our spans are half-open.

Spans that touch, that share a day, that hold none; a number used again on the next meter; two that change places.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from mdus.domain.reading import MeterReading
from mdus.domain.register import Register
from mdus.domain.usage_point import DeviceLocation, UsagePoint
from tests.flows.both_sides import SENDER, BothSides, texts
from tests.flows.hard_cases.sap_messages import (
    CREATE,
    LOCATION,
    METER,
    OTHER,
    POINT_OF_DELIVERY,
    READ,
    READ_ACCEPTED,
    REGISTERS,
    REGISTERS_CREATED,
    RESULT,
    RESULT_CONFIRMED,
    VALUE,
    assignment,
    device,
    locations,
    place,
    points_of_delivery,
    reading,
    register,
    registers,
    result_confirmed,
)
from tests.flows.hard_cases.steps import answers, late_failures

IMPORT, EXPORT = "1-0:1.8.0", "1-0:2.8.0"


def with_two(sides: BothSides) -> BothSides:
    for device_id in (METER, OTHER):
        sides.tell(CREATE, device(device_id))
    sides.rest()
    return sides


@pytest.fixture
def two(empty_sides: BothSides) -> BothSides:
    """Two devices without registers."""
    return with_two(empty_sides)


@pytest.fixture
def two_on_sqlite(empty_sides_on_sqlite: BothSides) -> BothSides:
    """The same, for what does not depend on the database."""
    return with_two(empty_sides_on_sqlite)


def told(sides: BothSides, *listed: str, device_id: str = METER) -> tuple[str, list[str]]:
    """Tell registers, and return what SAP has read when it must have an answer."""
    sides.tell(REGISTERS, registers(*listed, device_id=device_id))
    sides.rest()
    sides.clock.move(minutes=30)
    sides.rest()
    return answers(sides, REGISTERS_CREATED)[-1]


class TestTwoRegistersOfOneQuantity:
    @pytest.mark.parametrize(
        ("starts", "answer"),
        [
            pytest.param("2026-05-31", ("5", ["119(MDUS)"]), id="share the last day"),
            pytest.param("2026-06-01", ("3", []), id="touch"),
            pytest.param("2026-06-02", ("3", []), id="leave a day between them"),
        ],
    )
    @pytest.mark.parametrize("number", ["0007", "0008"], ids=["one number", "two numbers"])
    def test_may_touch_and_not_overlap(
        self, two_on_sqlite: BothSides, starts: str, answer: tuple[str, list[str]], number: str
    ) -> None:
        two = two_on_sqlite
        assert told(two, register("0007", ends="2026-05-31")) == ("3", [])
        assert told(two, register(number, starts=starts)) == answer


class TestASpan:
    @pytest.mark.parametrize(
        ("ends", "answer"),
        [
            pytest.param("2026-03-01", ("3", []), id="one day"),
            pytest.param("2026-02-28", ("5", ["106(MDUS)"]), id="no day"),
            pytest.param("2026-02-27", ("5", ["106(MDUS)"]), id="less than no day"),
        ],
    )
    def test_of_a_register_holds_a_day_at_least(
        self, two_on_sqlite: BothSides, ends: str, answer: tuple[str, list[str]]
    ) -> None:
        assert told(two_on_sqlite, register(starts="2026-03-01", ends=ends)) == answer

    @pytest.mark.parametrize(
        ("ends", "kept"), [pytest.param("2026-03-01", 1, id="one day"), pytest.param("2026-02-28", 0, id="no day")]
    )
    def test_of_a_location_does_too(self, two_on_sqlite: BothSides, ends: str, kept: int) -> None:
        two = two_on_sqlite
        two.tell(LOCATION, locations(place(starts="2026-03-01", ends=ends)))
        two.rest()

        assert len(two.all(DeviceLocation)) == kept
        assert late_failures(two) == ["location_failed"] * (1 - kept)

    @pytest.mark.parametrize(
        ("ends", "kept"),
        [pytest.param("10:00:01", 1, id="a second"), pytest.param("10:00:00", 0, id="nothing")],
    )
    def test_of_a_point_of_delivery_is_longer_than_nothing(
        self, sides_on_sqlite: BothSides, ends: str, kept: int
    ) -> None:
        sides = sides_on_sqlite
        day = "2026-03-01"
        sides.tell(POINT_OF_DELIVERY, points_of_delivery(assignment(starts=(day, "10:00:00"), ends=(day, ends))))
        sides.rest()

        assert len(sides.all(UsagePoint)) == kept
        assert late_failures(sides) == ["message_failed"] * (1 - kept)


class TestPointsOfDelivery:
    @pytest.mark.parametrize("last", ["23:59:59", "24:00:00"])
    def test_follow_each_other_without_gap_at_the_last_second_of_a_day(self, sides: BothSides, last: str) -> None:
        old = assignment("DE1", ends=("2026-05-31", last))
        new = assignment("DE2", starts=("2026-06-01", "00:00:00"))
        sides.tell(POINT_OF_DELIVERY, points_of_delivery(old, new))
        sides.rest()

        midnight = datetime(2026, 5, 31, 22, tzinfo=UTC)
        assert [(one.valid_from, one.valid_to) for one in sides.all(UsagePoint)][1:] == [(midnight, None)]
        assert sides.all(UsagePoint)[0].valid_to == midnight

    @pytest.mark.parametrize("first", ["24:00:00", "00:00:00"])
    def test_begin_at_the_midnight_that_24_00_00_is(self, sides_on_sqlite: BothSides, first: str) -> None:
        sides = sides_on_sqlite
        day = "2026-05-31" if first == "24:00:00" else "2026-06-01"
        sides.tell(POINT_OF_DELIVERY, points_of_delivery(assignment(starts=(day, first))))
        sides.rest()

        assert [one.valid_from for one in sides.all(UsagePoint)] == [datetime(2026, 5, 31, 22, tzinfo=UTC)]

    def test_that_overlap_by_a_second_are_refused(self, sides_on_sqlite: BothSides) -> None:
        sides = sides_on_sqlite
        old = assignment("DE1", ends=("2026-06-01", "00:00:01"))
        new = assignment("DE2", starts=("2026-06-01", "00:00:00"))
        sides.tell(POINT_OF_DELIVERY, points_of_delivery(old, new))
        sides.rest()

        assert sides.all(UsagePoint) == []
        assert late_failures(sides) == ["message_failed"]


class TestANumber:
    @pytest.mark.parametrize(
        ("starts", "answer"),
        [
            pytest.param("2026-06-01", ("3", []), id="the day after its end"),
            pytest.param("2026-05-31", ("5", ["119(MDUS)"]), id="on its last day"),
        ],
    )
    def test_is_used_again_on_the_meter_that_replaces_the_first(
        self, two: BothSides, starts: str, answer: tuple[str, list[str]]
    ) -> None:
        assert told(two, register("0007", ends="2026-05-31")) == ("3", [])
        assert told(two, register("0007", starts=starts), device_id=OTHER) == answer

    def test_changes_places_with_another_on_one_day(self, two: BothSides) -> None:
        swapped = (
            register("0007", obis=IMPORT, ends="2026-05-31"),
            register("0008", obis=EXPORT, ends="2026-05-31"),
            register("0007", obis=EXPORT, starts="2026-06-01"),
            register("0008", obis=IMPORT, starts="2026-06-01"),
        )
        assert told(two, *swapped) == ("3", [])
        assert len(two.all(Register)) == 4

        # On either day the number stands for what it measures on that day, and for nothing else.
        two.tell(READ, reading("1", task="0007", on="2026-05-31", obis=IMPORT))
        two.tell(READ, reading("2", task="0007", on="2026-06-01", obis=EXPORT))
        two.tell(READ, reading("3", task="0007", on="2026-06-01", obis=IMPORT))
        two.rest()
        assert sorted(answers(two, READ_ACCEPTED)) == [("3", []), ("3", []), ("5", ["203(MDUS)"])]

        for month, day, shown in ((5, 31, ("100.25", "200.25")), (6, 1, ("110.25", "220.25"))):
            midnight = datetime(2026, month, day, 22, tzinfo=UTC)
            two.clock.instant = midnight
            for reading_type, value in zip((IMPORT, EXPORT), shown, strict=True):
                two.save(shows(two, f"{reading_type}*255", value, midnight))
            two.clock.move(hours=1)
            two.rest()
            two.tell(RESULT_CONFIRMED, result_confirmed(document="1"))
        assert [texts(result, VALUE)[0] for result in two.sap.messages(RESULT)] == ["100.25", "220.25"]


def shows(sides: BothSides, reading_type: str, value: str, at: datetime) -> MeterReading:
    return MeterReading(
        sender_system=SENDER,
        device_id=METER,
        reading_type=reading_type,
        measured_at=at,
        value=Decimal(value),
        unit="kWh",
        received_at=sides.clock.now(),
    )
