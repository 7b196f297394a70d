"""Case 7. Clocks change: a day has 23 or 25 hours, an hour is shown twice or not at all.

Days are those of the sender's calendar, distances are real time; the repeated hour of a result carries no marker, so
what decides is kept as an instant.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mdus.domain.command import CommandKind
from mdus.domain.usage_point import UsagePoint
from tests.flows.both_sides import BothSides, texts
from tests.flows.hard_cases.sap_messages import (
    DOCUMENT,
    METER,
    POINT_OF_DELIVERY,
    READ,
    READ_ON,
    READ_TIME,
    RESULT,
    RESULT_CONFIRMED,
    VALUE,
    assignment,
    points_of_delivery,
    reading,
    result_confirmed,
)
from tests.flows.hard_cases.steps import document

#: Local days in Berlin, the instants they begin at and end at.
DAYS = [
    pytest.param("2026-03-29", datetime(2026, 3, 28, 23, tzinfo=UTC), 23, id="23 hours"),
    pytest.param("2026-10-25", datetime(2026, 10, 24, 22, tzinfo=UTC), 25, id="25 hours"),
    pytest.param("2026-06-15", datetime(2026, 6, 14, 22, tzinfo=UTC), 24, id="24 hours"),
]


class TestTheDayOfAnOrder:
    @pytest.mark.parametrize(("day", "begins_at", "hours"), DAYS)
    def test_ends_when_the_calendar_says(
        self, sides_on_sqlite: BothSides, day: str, begins_at: datetime, hours: int
    ) -> None:
        sides = sides_on_sqlite
        sides.tell(READ, reading(on=day))
        ends_at = begins_at + timedelta(hours=hours)
        # What a day of 24 hours would end with is there too, an hour off.
        for shift in (-1, 0, 1):
            sides.snapshot(ends_at + timedelta(hours=shift), (METER, f"{100 + shift}.25"))
        sides.clock.instant = ends_at + timedelta(hours=1)
        sides.rest()

        [result] = sides.sap.messages(RESULT)
        assert texts(result, VALUE) == ["100.25"]
        assert texts(result, READ_TIME) == ["00:00:00"]

    @pytest.mark.parametrize(("day", "begins_at", "hours"), DAYS)
    def test_begins_when_the_calendar_says(
        self, sides_on_sqlite: BothSides, day: str, begins_at: datetime, hours: int
    ) -> None:
        sides = sides_on_sqlite
        sides.tell(READ, reading(on=day, reason="06"))
        sides.rest()

        assert document(sides).due_at == begins_at


class TestTheHourShownTwice:
    def test_has_no_marker_on_the_wire_and_its_order_is_kept(self, sides: BothSides) -> None:
        before = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)  # 02:30 in summer time, an hour later again 02:30
        for number, value in enumerate(("100.25", "101.25")):
            sides.clock.instant = before + timedelta(hours=number)
            sides.tell(READ, reading(str(number), on="2026-10-25", source="1"))
            sides.rest()
            at = sides.clock.now().isoformat()
            shown = {"obis": "1-0:1.8.0*255", "at": at, "value": value, "unit": "kWh"}
            sides.answer(CommandKind.READ_ON_DEMAND, readings=[shown])
            sides.rest()
            sides.tell(RESULT_CONFIRMED, result_confirmed(document=str(number)))

        results = sides.sap.messages(RESULT)
        assert [texts(result, READ_ON) + texts(result, READ_TIME) for result in results] == [
            ["2026-10-25", "02:30:00"]
        ] * 2
        assert [texts(result, VALUE) for result in results] == [["100.25"], ["101.25"]]
        assert [document(sides, str(number)).measured_at for number in (0, 1)] == [
            before,
            before + timedelta(hours=1),
        ]

    def test_as_a_beginning_is_its_first_time(self, sides_on_sqlite: BothSides) -> None:
        sides = sides_on_sqlite
        sides.tell(POINT_OF_DELIVERY, points_of_delivery(assignment(starts=("2026-10-25", "02:30:00"))))
        sides.rest()

        assert [one.valid_from for one in sides.all(UsagePoint)] == [datetime(2026, 10, 25, 0, 30, tzinfo=UTC)]


class TestTheHourThatIsSkipped:
    def test_as_a_beginning_is_as_long_after_the_change(self, sides_on_sqlite: BothSides) -> None:
        sides = sides_on_sqlite
        sides.tell(POINT_OF_DELIVERY, points_of_delivery(assignment(starts=("2026-03-29", "02:30:00"))))
        sides.rest()

        assert [one.valid_from for one in sides.all(UsagePoint)] == [datetime(2026, 3, 29, 1, 30, tzinfo=UTC)]

    def test_is_told_in_the_time_that_follows_it(self, sides_on_sqlite: BothSides) -> None:
        sides = sides_on_sqlite
        sides.clock.instant = datetime(2026, 3, 29, 1, 0, 0, tzinfo=UTC)  # 01:59:59 is followed by 03:00:00
        sides.tell(READ, reading(DOCUMENT, source="1"))
        sides.rest()
        shown = {"obis": "1-0:1.8.0*255", "at": sides.clock.now().isoformat(), "value": "1.25", "unit": "kWh"}
        sides.answer(CommandKind.READ_ON_DEMAND, readings=[shown])
        sides.rest()

        assert texts(sides.sap.messages(RESULT)[0], READ_TIME) == ["03:00:00"]
