"""Case 4. SAP's last day, 9999-12-31, is inclusive: a day later there is none. An open end is None, never a date."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from mdus.domain.end_device import EndDevice
from mdus.domain.register import Register
from mdus.domain.usage_point import DeviceLocation, UsagePoint
from tests.flows.both_sides import BothSides
from tests.flows.hard_cases.sap_messages import (
    CHANGE,
    CREATE,
    LOCATION,
    POINT_OF_DELIVERY,
    READ,
    READ_ACCEPTED,
    REGISTERS,
    SWITCH,
    SWITCHED,
    assignment,
    device,
    device_ends,
    locations,
    place,
    points_of_delivery,
    reading,
    register,
    registers,
    switch,
)
from tests.flows.hard_cases.steps import answers, late_failures, message, switches

DATED = (EndDevice, Register, DeviceLocation)


def tell_all(sides: BothSides, ends: str) -> None:
    sides.tell(CREATE, device(ends=ends))
    sides.tell(REGISTERS, registers(register(ends=ends)))
    sides.tell(LOCATION, locations(place(ends=ends)))
    sides.tell(POINT_OF_DELIVERY, points_of_delivery(assignment(ends=(ends, "23:59:59"))))
    sides.rest()
    assert late_failures(sides) == []


def ends_of(sides: BothSides) -> list[Any]:
    return [one.valid_to for kind in DATED for one in sides.all(kind)]


class TestALastDay:
    def test_of_9999_12_31_is_an_open_end_wherever_it_stands(self, empty_sides: BothSides) -> None:
        tell_all(empty_sides, "9999-12-31")

        assert ends_of(empty_sides) == [None] * 3
        assert [one.valid_to for one in empty_sides.all(UsagePoint)] == [None]

    def test_a_day_earlier_is_a_day_like_any_other(self, empty_sides: BothSides) -> None:
        tell_all(empty_sides, "9999-12-30")

        assert ends_of(empty_sides) == [date(9999, 12, 31)] * 3
        assert [one.valid_to for one in empty_sides.all(UsagePoint)] == [datetime(9999, 12, 30, 23, tzinfo=UTC)]

    @pytest.mark.parametrize("at", ["00:00:00", "23:59:59", "24:00:00"])
    def test_is_open_at_whatever_time_of_it(self, sides_on_sqlite: BothSides, at: str) -> None:
        sides = sides_on_sqlite
        sides.tell(POINT_OF_DELIVERY, points_of_delivery(assignment(ends=("9999-12-31", at))))
        sides.rest()

        assert [one.valid_to for one in sides.all(UsagePoint)] == [None]

    def test_that_was_set_is_taken_back_by_an_open_one(self, sides: BothSides) -> None:
        sides.tell(CHANGE, device_ends(ends="2026-12-31"))
        sides.rest()
        assert sides.all(EndDevice)[0].valid_to == date(2027, 1, 1)

        sides.tell(CHANGE, device_ends(ends="9999-12-31"))
        sides.rest()
        assert sides.all(EndDevice)[0].valid_to is None


class TestTheFirstDayOfTheCalendar:
    def test_has_no_instant_before_it_and_is_taken_for_the_first(self, sides: BothSides) -> None:
        sides.tell(POINT_OF_DELIVERY, points_of_delivery(assignment(starts=("0001-01-01", "00:00:00"))))
        sides.rest()

        assert [one.valid_from for one in sides.all(UsagePoint)] == [datetime(1, 1, 1, tzinfo=UTC)]


class TestAnOrderForTheEndOfTime:
    @pytest.mark.parametrize("source", ["0", "1"], ids=["stored", "on demand"])
    @pytest.mark.parametrize(
        ("on", "answer"),
        [
            pytest.param("9999-12-31", ("5", ["206(MDUS)"]), id="the last day"),
            pytest.param("9999-12-29", ("5", ["206(MDUS)"]), id="its window would end after it"),
            pytest.param("9999-12-27", ("3", []), id="its window just ends in time"),
        ],
    )
    def test_is_refused_where_the_calendar_ends(
        self, sides_on_sqlite: BothSides, on: str, answer: tuple[str, list[str]], source: str
    ) -> None:
        sides = sides_on_sqlite
        sides.tell(READ, reading(on=on, source=source))
        sides.rest()

        assert answers(sides, READ_ACCEPTED) == [answer]

    @pytest.mark.parametrize("category", ["1", "2"], ids=["disconnect", "reconnect"])
    @pytest.mark.parametrize(
        ("year", "answer"),
        [pytest.param(9999, [("5", ["304(MDUS)"])], id="9999"), pytest.param(9998, [], id="9998 is just far ahead")],
    )
    def test_of_a_switch_is_refused_too(
        self, sides_on_sqlite: BothSides, year: int, answer: list[Any], category: str
    ) -> None:
        sides = sides_on_sqlite
        planned_at = datetime(year, 12, 31, 23, 59, 59, tzinfo=UTC)
        sides.tell(SWITCH, switch(planned_at=planned_at, category=category))
        sides.rest()

        assert answers(sides, SWITCHED) == answer
        assert switches(sides) == []

    def test_at_an_instant_after_it_is_no_message_at_all(self, sides_on_sqlite: BothSides) -> None:
        body = switch(planned_at=datetime(9999, 12, 31, tzinfo=UTC)).replace("T00:00:00Z", "T24:00:00Z")
        answer = sides_on_sqlite.mdus.post(message(SWITCH, body))

        assert answer.status_code == 500
        assert "PlannedProcessingDateTime" in answer.text
