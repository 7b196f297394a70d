"""Supply is stopped for debts or an empty home, and restored: the switch, the extra reading, and what comes between."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mdus.domain.command import CommandKind
from mdus.domain.exception_case import ExceptionCase
from tests.flows import orders
from tests.flows.both_sides import BothSides, texts

START = datetime(2026, 3, 27, 9, 0, tzinfo=UTC)
TODAY = "2026-03-27"
DEVICE, DOCUMENT, READING = "000000000000000042", "000000004711", "00000000000000000013"


@pytest.fixture
def sides(sqlite_url: str, tmp_path: Path) -> Iterator[BothSides]:
    made = BothSides(sqlite_url, tmp_path, now=START)
    made.meter(DEVICE)
    yield made
    made.close()


def states(sides: BothSides) -> list[str]:
    """The positions that meters were switched to, in their order."""
    return [switch["state"] for switch in sides.submitted(CommandKind.SWITCH)]


def reading_at_disconnection(on: str = TODAY) -> str:
    return orders.reading(READING, DEVICE, reason="13", on=on)


class TestADisconnectionForCollection:
    """The customer has not paid: SAP orders the disconnection and, apart from it, a reading of that day (13)."""

    def test_is_carried_out_and_the_meter_read(self, sides: BothSides) -> None:
        sides.tell(orders.SWITCH, orders.switch(DOCUMENT, DEVICE, at=START, reason="01"))
        sides.tell(orders.READING, reading_at_disconnection())
        orders.carry_out(sides, "disconnected")
        assert orders.switches(sides) == {DOCUMENT: ("3", [])}
        assert states(sides) == ["disconnected"]

        assert orders.read_now(sides, "777.00") == 1
        told = orders.results(sides)[READING]
        assert (told["reason"], told["on"], told["value"]) == ("13", TODAY, "777.00")

    def test_is_carried_out_though_the_meter_cannot_be_read(self, sides: BothSides) -> None:
        sides.tell(orders.SWITCH, orders.switch(DOCUMENT, DEVICE, at=START, reason="01"))
        sides.tell(orders.READING, reading_at_disconnection())
        orders.carry_out(sides, "disconnected")
        for _ in range(3):
            sides.answer(CommandKind.READ_ON_DEMAND, status="failed", code="NO_RESPONSE", text="silence")
            sides.rest()
            sides.clock.move(minutes=15)
            sides.rest()

        assert orders.switches(sides) == {DOCUMENT: ("3", [])}
        assert [case.kind for case in sides.all(ExceptionCase)] == ["reading_missing"]

    def test_is_read_though_it_cannot_be_carried_out(self, sides: BothSides) -> None:
        sides.head_end.script = ["reject NO_BREAKER"]
        sides.tell(orders.SWITCH, orders.switch(DOCUMENT, DEVICE, at=START, reason="01"))
        sides.rest()
        sides.tell(orders.READING, reading_at_disconnection())
        orders.read_now(sides, "777.00")
        assert orders.switches(sides) == {DOCUMENT: ("5", ["314(MDUS)"])}
        assert orders.results(sides)[READING]["value"] == "777.00"

    def test_is_called_off_with_its_reading_when_the_customer_pays(self, sides: BothSides) -> None:
        sides.tell(orders.SWITCH, orders.switch(DOCUMENT, DEVICE, at=START + timedelta(hours=24), reason="01"))
        sides.tell(orders.READING, reading_at_disconnection(on="2026-03-28"))
        sides.rest()
        sides.tell(orders.CANCEL_SWITCH, orders.switch_cancelled(DOCUMENT, DEVICE))
        sides.tell(orders.CANCEL_READING, orders.reading_cancelled(READING))
        sides.rest()
        sides.clock.move(days=3)
        sides.rest()

        assert [texts(one, orders.CODE) for one in sides.sap.messages(orders.SWITCH_CANCELLED)] == [["3"]]
        assert [texts(one, orders.CODE) for one in sides.sap.messages(orders.READING_CANCELLED)] == [["3"]]
        assert orders.switches(sides) == {}
        assert sides.head_end.submitted == []

    def test_held_up_over_a_weekend_is_not_carried_out_on_monday(self, sides: BothSides) -> None:
        sides.tell(orders.SWITCH, orders.switch(DOCUMENT, DEVICE, at=START, reason="01"))
        sides.decide()
        sides.clock.move(days=3)
        sides.rest()
        assert orders.switches(sides) == {DOCUMENT: ("5", ["312(MDUS)"])}
        assert states(sides) == []


class TestADisconnectionForVacancy:
    """Nobody lives there any more: the same order for another reason, planned for the day after the last one."""

    def test_waits_for_its_day_and_is_read_then(self, sides: BothSides) -> None:
        planned = datetime(2026, 4, 1, 6, 0, tzinfo=UTC)
        sides.tell(orders.SWITCH, orders.switch(DOCUMENT, DEVICE, at=planned, reason="02"))
        sides.tell(orders.READING, reading_at_disconnection(on="2026-04-01"))
        sides.rest()
        midnight = datetime(2026, 3, 31, 22, 0, tzinfo=UTC)
        sides.clock.instant = midnight - timedelta(seconds=1)
        sides.rest()
        assert sides.head_end.submitted == []

        # A reading ordered ahead is taken when its day begins.
        sides.clock.instant = midnight
        assert orders.read_now(sides, "800.00") == 1
        told = orders.results(sides)[READING]
        assert (told["on"], told["at"], told["value"]) == ("2026-04-01", "00:00:30", "800.00")
        assert states(sides) == []

        sides.clock.instant = planned
        orders.carry_out(sides, "disconnected")
        assert orders.switches(sides) == {DOCUMENT: ("3", [])}

    def test_of_a_meter_that_stands_so_already_is_confirmed_without_a_switch(self, sides: BothSides) -> None:
        sides.tell(orders.SWITCH, orders.switch("1", DEVICE, at=START, reason="01"))
        orders.carry_out(sides, "disconnected")
        sides.tell(orders.SWITCH, orders.switch("2", DEVICE, at=sides.clock.now(), reason="02"))
        sides.rest()
        assert orders.switches(sides) == {"1": ("3", []), "2": ("3", [])}
        assert states(sides) == ["disconnected"]


class TestAReconnection:
    """The customer has paid, or somebody moves in: the breaker is closed, the meter read (18)."""

    @pytest.fixture(autouse=True)
    def _disconnected(self, sides: BothSides) -> None:
        sides.tell(orders.SWITCH, orders.switch("1", DEVICE, at=START, reason="01"))
        orders.carry_out(sides, "disconnected")
        sides.clock.move(hours=20)

    def test_is_carried_out_at_once_and_the_meter_read(self, sides: BothSides) -> None:
        now = sides.clock.now()
        order = orders.switch("2", DEVICE, at=now + timedelta(hours=6), category="2", immediate=True)
        sides.tell(orders.SWITCH, order)
        sides.tell(orders.READING, orders.reading("18", DEVICE, reason="18", on="2026-03-28"))
        orders.carry_out(sides, "connected")
        orders.read_now(sides, "777.00")
        assert orders.switches(sides)["2"] == ("3", [])
        assert states(sides) == ["disconnected", "connected"]
        assert orders.results(sides)["18"]["reason"] == "18"

    def test_planned_long_ago_is_carried_out_all_the_same(self, sides: BothSides) -> None:
        sides.tell(orders.SWITCH, orders.switch("2", DEVICE, at=START + timedelta(hours=1), category="2"))
        orders.carry_out(sides, "connected")
        assert orders.switches(sides)["2"] == ("3", [])

    def test_that_the_meter_does_not_follow_is_told_and_may_be_ordered_again(self, sides: BothSides) -> None:
        sides.tell(orders.SWITCH, orders.switch("2", DEVICE, at=sides.clock.now(), category="2"))
        orders.carry_out(sides, "disconnected")  # the relay is stuck
        assert orders.switches(sides)["2"] == ("5", ["318(MDUS)"])

        sides.clock.move(hours=2)
        sides.tell(orders.SWITCH, orders.switch("3", DEVICE, at=sides.clock.now(), category="2"))
        orders.carry_out(sides, "connected")
        assert orders.switches(sides)["3"] == ("3", [])


class TestRescheduling:
    """SAP moves the day: it cancels the order and orders again, under another name or the same."""

    NEXT_DAY = START + timedelta(days=1)

    @pytest.fixture(autouse=True)
    def _ordered(self, sides: BothSides) -> None:
        sides.tell(orders.SWITCH, orders.switch(DOCUMENT, DEVICE, at=START + timedelta(hours=5), reason="01"))
        sides.rest()

    @pytest.mark.parametrize("number", [DOCUMENT, "000000004712"], ids=["the same name", "another name"])
    def test_switches_on_the_new_day_only(self, sides: BothSides, number: str) -> None:
        sides.tell(orders.CANCEL_SWITCH, orders.switch_cancelled(DOCUMENT, DEVICE))
        sides.tell(orders.SWITCH, orders.switch(number, DEVICE, at=self.NEXT_DAY, reason="01"))
        sides.rest()
        assert [texts(one, orders.CODE) for one in sides.sap.messages(orders.SWITCH_CANCELLED)] == [["3"]]
        sides.clock.instant = self.NEXT_DAY - timedelta(seconds=1)
        sides.rest()
        assert states(sides) == []

        sides.clock.instant = self.NEXT_DAY
        orders.carry_out(sides, "disconnected")
        assert states(sides) == ["disconnected"]
        assert orders.switches(sides) == {number: ("3", [])}

    @pytest.mark.parametrize("number", [DOCUMENT, "000000004712"], ids=["the same name", "another name"])
    def test_ends_the_same_when_the_new_order_comes_first(self, sides: BothSides, number: str) -> None:
        sides.tell(orders.SWITCH, orders.switch(number, DEVICE, at=self.NEXT_DAY, reason="01"))
        sides.rest()
        sides.clock.move(minutes=10)
        sides.tell(orders.CANCEL_SWITCH, orders.switch_cancelled(DOCUMENT, DEVICE))
        sides.rest()
        sides.clock.instant = self.NEXT_DAY
        orders.carry_out(sides, "disconnected")
        assert states(sides) == ["disconnected"]
        assert orders.switches(sides) == {number: ("3", [])}

    def test_may_happen_again_and_again(self, sides: BothSides) -> None:
        for days in (1, 2, 3):
            sides.tell(orders.CANCEL_SWITCH, orders.switch_cancelled(DOCUMENT, DEVICE))
            sides.rest()
            sides.tell(orders.SWITCH, orders.switch(DOCUMENT, DEVICE, at=START + timedelta(days=days), reason="01"))
            sides.rest()
        sides.clock.instant = START + timedelta(days=3)
        orders.carry_out(sides, "disconnected")
        assert states(sides) == ["disconnected"]
        assert [texts(one, orders.CODE) for one in sides.sap.messages(orders.SWITCH_CANCELLED)] == [["3"]] * 3
        assert orders.switches(sides) == {DOCUMENT: ("3", [])}

    def test_comes_too_late_once_the_switch_has_left(self, sides: BothSides) -> None:
        sides.clock.move(hours=5)
        sides.rest()
        sides.tell(orders.CANCEL_SWITCH, orders.switch_cancelled(DOCUMENT, DEVICE))
        sides.tell(orders.SWITCH, orders.switch(DOCUMENT, DEVICE, at=self.NEXT_DAY, reason="01"))
        orders.carry_out(sides, "disconnected")

        assert [texts(one, orders.TYPE_ID) for one in sides.sap.messages(orders.SWITCH_CANCELLED)] == [["331(MDUS)"]]
        told = [(texts(one, orders.CODE)[0], texts(one, orders.TYPE_ID)) for one in sides.sap.messages(orders.SWITCHED)]
        assert sorted(told) == [("3", []), ("5", ["302(MDUS)"])]
        assert states(sides) == ["disconnected"]
