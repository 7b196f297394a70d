"""Case 24. A location message without a location, an installation reversed and done again, a meter replaced.

On the day of a replacement the old meter's number ends as the new one's begins, and the final reading (22) of the one
and the initial reading (21) of the other are of that day. Where the meter stays and what it measures gets another
number, both are of the instant at which it does, and no value of one is ever sent for the other.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from mdus.domain.command import CommandKind
from mdus.domain.register import Register
from mdus.domain.usage_point import DeviceLocation, UsagePoint
from tests.flows.both_sides import BothSides, texts
from tests.flows.hard_cases.sap_messages import (
    CREATE,
    LOCATION,
    METER,
    OTHER,
    POINT_OF_DELIVERY,
    READ,
    READ_ACCEPTED,
    REGISTER_CHANGE,
    REGISTER_CHANGED,
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
    specified,
)
from tests.flows.hard_cases.steps import MIDNIGHT, answers, late_failures

TASK = "000000000000000107"
TODAY, YESTERDAY = "2026-03-28", "2026-03-27"
IN_THE_MORNING = datetime(2026, 3, 28, 8, 30, tzinfo=UTC)
BEGINS = datetime(2026, 3, 27, 23, tzinfo=UTC)  # of today, in Berlin


def spans(sides: BothSides) -> list[tuple[str, date, date | None]]:
    return [(one.installation_point_id, one.valid_from, one.valid_to) for one in sides.all(DeviceLocation)]


class TestALocationMessageWithoutALocation:
    def test_is_the_removal_of_the_meter_on_the_day_it_came(self, sides_on_sqlite: BothSides) -> None:
        sides = sides_on_sqlite
        sides.tell(LOCATION, locations(place("IP1")))
        sides.rest()
        for _ in range(2):
            sides.tell(LOCATION, locations())
            sides.rest()

        assert spans(sides) == [("IP1", date(2026, 1, 1), date(2026, 3, 28))]
        assert late_failures(sides) == []

    def test_of_a_meter_installed_today_leaves_no_trace(self, sides_on_sqlite: BothSides) -> None:
        sides = sides_on_sqlite
        sides.tell(LOCATION, locations(place("IP1", starts=TODAY)))
        sides.rest()
        sides.tell(LOCATION, locations())
        sides.rest()

        assert spans(sides) == []

    def test_lets_the_meter_be_installed_elsewhere_on_the_same_day(self, sides: BothSides) -> None:
        sides.tell(LOCATION, locations(place("IP1")))
        sides.rest()
        sides.tell(LOCATION, locations())
        sides.rest()
        sides.tell(LOCATION, locations(place("IP2", starts=TODAY), complete=False))
        sides.rest()

        assert spans(sides) == [
            ("IP1", date(2026, 1, 1), date(2026, 3, 28)),
            ("IP2", date(2026, 3, 28), None),
        ]

    def test_but_with_logical_locations_only_is_none(self, sides_on_sqlite: BothSides) -> None:
        sides = sides_on_sqlite
        logical = "<LogicalLocation><StartDate>2026-01-01</StartDate><EndDate>9999-12-31</EndDate>"
        logical += "<LogicalInstallationPointID>L1</LogicalInstallationPointID></LogicalLocation>"
        sides.tell(LOCATION, locations(place("IP1")))
        sides.rest()
        sides.tell(LOCATION, locations(logical, complete=False))
        sides.rest()

        assert spans(sides) == [("IP1", date(2026, 1, 1), None)]


class TestAnInstallation:
    def test_reversed_and_done_again_on_another_day_is_as_if_done_once(self, empty_sides: BothSides) -> None:
        sides = empty_sides
        sides.tell(CREATE, device())
        for starts in ("2026-03-02", "2026-03-09"):
            if starts == "2026-03-09":
                sides.tell(REGISTER_CHANGE, registers())  # no register at all: it never was installed
                sides.rest()
                assert sides.all(Register) == []
            sides.tell(REGISTERS, registers(register(TASK, starts=starts)))
            sides.tell(POINT_OF_DELIVERY, points_of_delivery(assignment(starts=(starts, "00:00:00")), task=TASK))
            sides.tell(LOCATION, locations(place("IP1", starts=starts)))
            sides.rest()

        assert [one.valid_from for one in sides.all(Register)] == [date(2026, 3, 9)]
        assert [one.valid_from for one in sides.all(UsagePoint)] == [datetime(2026, 3, 8, 23, tzinfo=UTC)]
        assert spans(sides) == [("IP1", date(2026, 3, 9), None)]
        assert {code for code, _ in answers(sides, REGISTERS_CREATED) + answers(sides, REGISTER_CHANGED)} == {"3"}


class TestAReplacement:
    @pytest.fixture
    def replaced(self, empty_sides_on_sqlite: BothSides) -> BothSides:
        """The number is on the old meter till yesterday and on the new one from today on."""
        sides = empty_sides_on_sqlite
        for device_id in (METER, OTHER):
            sides.tell(CREATE, device(device_id))
        sides.tell(REGISTERS, registers(register(TASK)))
        sides.rest()
        # The new meter's message comes first and waits until the number is free.
        sides.tell(REGISTERS, registers(register(TASK, starts=TODAY), device_id=OTHER))
        sides.rest()
        assert len(answers(sides, REGISTERS_CREATED)) == 1
        sides.tell(REGISTER_CHANGE, registers(specified(TASK, "2026-01-01", YESTERDAY)))
        sides.rest()
        assert answers(sides, REGISTERS_CREATED) + answers(sides, REGISTER_CHANGED) == [("3", [])] * 3
        return sides

    def test_leaves_the_number_no_day_without_a_meter_and_none_with_two(self, replaced: BothSides) -> None:
        found = {one.device_id: (one.valid_from, one.valid_to) for one in replaced.all(Register)}
        assert found == {METER: (date(2026, 1, 1), date(2026, 3, 28)), OTHER: (date(2026, 3, 28), None)}

    def test_has_a_final_reading_of_the_old_and_an_initial_one_of_the_new(self, replaced: BothSides) -> None:
        sides = replaced
        sides.snapshot(BEGINS, (METER, "5000.25"), (OTHER, "0.00"))
        sides.snapshot(IN_THE_MORNING, (METER, "5003.75"), (OTHER, "0.25"))
        sides.tell(READ, reading("22", device_id=METER, task=TASK, on=TODAY, reason="22"))
        sides.tell(READ, reading("21", device_id=OTHER, task=TASK, on=TODAY, reason="21"))
        sides.rest()
        sides.clock.instant = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
        sides.rest()
        sides.answer(CommandKind.READ_REGISTERS, status="failed", code="NO_DATA", text="nothing more")
        sides.rest()

        assert answers(sides, READ_ACCEPTED) == [("3", [])] * 2
        told = {texts(one, "MeterReadingDocument/ID")[0]: one for one in sides.sap.messages(RESULT)}
        values = {name: Decimal(texts(one, VALUE)[0]) for name, one in told.items()}
        assert values == {"22": Decimal("5003.75"), "21": Decimal(0)}

    @pytest.mark.parametrize(
        ("device_id", "reason", "on", "answer"),
        [
            pytest.param(METER, "01", YESTERDAY, ("3", []), id="the old meter on its last day"),
            pytest.param(METER, "01", TODAY, ("5", ["202(MDUS)"]), id="the old meter afterwards"),
            pytest.param(METER, "22", TODAY, ("3", []), id="its removal is of the day it goes"),
            pytest.param(OTHER, "01", YESTERDAY, ("5", ["202(MDUS)"]), id="the new meter before its time"),
            pytest.param(OTHER, "01", TODAY, ("3", []), id="the new meter on its first day"),
        ],
    )
    def test_lets_each_be_read_on_its_days_only(
        self, replaced: BothSides, device_id: str, reason: str, on: str, answer: tuple[str, list[str]]
    ) -> None:
        replaced.tell(READ, reading(device_id=device_id, task=TASK, on=on, reason=reason))
        replaced.rest()
        replaced.tell(RESULT_CONFIRMED, result_confirmed())

        assert answers(replaced, READ_ACCEPTED) == [answer]


class TestAChannelThatGetsAnotherNumber:
    """The meter stays where it is, or hangs elsewhere: from the 29th on its register is another customer's."""

    NEXT = "000000000000000777"
    CHANGES_ON = datetime(2026, 3, 28, 23, tzinfo=UTC)  # the 29th begins in Berlin; it has 23 hours

    @pytest.fixture
    def changing(self, sides: BothSides) -> BothSides:
        [mine] = [one for one in sides.all(Register) if one.device_id == METER]
        on = date(2026, 3, 29)
        sides.save(replace(mine, valid_to=on), replace(mine, measurement_task_id=self.NEXT, valid_from=on))
        return sides

    def sent(self, sides: BothSides, *ordered: str) -> dict[str, Decimal]:
        """Order readings and wait for a week, the head end having nothing more; return the values that SAP has."""
        for body in ordered:
            sides.tell(READ, body)
            sides.rest()
        assert answers(sides, READ_ACCEPTED) == [("3", [])] * len(ordered)
        sides.clock.instant = MIDNIGHT + timedelta(hours=1)
        for _ in range(7):
            sides.rest()
            sides.answer(CommandKind.READ_REGISTERS)
            sides.rest()
            sides.clock.move(days=1)
        results = sides.sap.messages(RESULT)
        return {texts(one, "MeterReadingDocument/ID")[0]: Decimal(texts(one, VALUE)[0]) for one in results}

    def test_has_one_value_for_both_at_that_instant(self, changing: BothSides) -> None:
        sides = changing
        sides.snapshot(self.CHANGES_ON, (METER, "100.25"))
        sides.snapshot(MIDNIGHT, (METER, "130.25"))  # the last day the window of a removal reaches to

        values = self.sent(
            sides, reading("22", on="2026-03-29", reason="22"), reading("21", task=self.NEXT, reason="21")
        )
        assert values == {"22": Decimal("100.25"), "21": Decimal("100.25")}

    @pytest.mark.parametrize(("reason", "on"), [("01", "2026-03-28"), ("03", "2026-03-28"), ("22", "2026-03-29")])
    def test_has_no_value_of_the_next_customer_for_the_last_one(
        self, changing: BothSides, reason: str, on: str
    ) -> None:
        sides = changing
        sides.snapshot(self.CHANGES_ON + timedelta(minutes=1), (METER, "100.25"))
        sides.snapshot(MIDNIGHT, (METER, "130.25"))

        assert self.sent(sides, reading(reason=reason, on=on)) == {}
        assert late_failures(sides) == ["reading_missing"]

    def test_has_no_value_of_the_last_customer_for_the_next_one(self, changing: BothSides) -> None:
        sides = changing
        sides.snapshot(self.CHANGES_ON - timedelta(minutes=1), (METER, "90.25"))
        sides.snapshot(MIDNIGHT, (METER, "130.25"))

        values = self.sent(
            sides, reading("06", task=self.NEXT, reason="06"), reading("03", on="2026-03-28", reason="03")
        )
        assert values == {"06": Decimal("130.25"), "03": Decimal("90.25")}

    def test_may_be_read_days_later_where_only_the_factor_changes(self, sides_on_sqlite: BothSides) -> None:
        sides = sides_on_sqlite
        [mine] = [one for one in sides.all(Register) if one.device_id == METER]
        on = date(2026, 3, 29)
        sides.save(replace(mine, valid_to=on), replace(mine, valid_from=on, factor=Decimal(40)))
        sides.snapshot(MIDNIGHT, (METER, "130.25"))

        assert self.sent(sides, reading("01", on="2026-03-28")) == {"01": Decimal("130.25")}
