"""Case 9. An order for a day to come: confirmed now, read then, whatever restarts between.

If its register or its meter ends before, it fails when it is due, as an event: SAP accepts no second confirmation.
"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mdus.domain.meter_reading_document import DocumentStatus
from mdus.domain.register import Register
from mdus.domain.value import Remove
from tests.flows.both_sides import BothSides, texts
from tests.flows.hard_cases.conftest import Open
from tests.flows.hard_cases.sap_messages import (
    CHANGE,
    METER,
    READ,
    READ_ACCEPTED,
    RESULT,
    SWITCH,
    SWITCHED,
    VALUE,
    device_ends,
    reading,
    switch,
)
from tests.flows.hard_cases.steps import answers, carry_out, document, late_failures, switches

JUNE = datetime(2026, 6, 15, 22, tzinfo=UTC)  # the end of the 15th in Berlin


def when_due(sides: BothSides) -> None:
    """Let the day come, with a value of the meter."""
    sides.clock.instant = JUNE
    sides.snapshot(JUNE, (METER, "500.25"))
    sides.clock.move(hours=1)
    sides.rest()


class TestAReadingOrder:
    def test_is_confirmed_now_and_read_on_its_day_by_an_mdus_started_since(
        self, sides: BothSides, open_sides: Open, database_url: str
    ) -> None:
        sides.tell(READ, reading(on="2026-06-15"))
        sides.rest()
        assert answers(sides, READ_ACCEPTED) == [("3", [])]

        restarted = open_sides(database_url)
        restarted.clock.instant = JUNE
        restarted.rest()
        assert restarted.sap.received == []
        when_due(restarted)

        [result] = restarted.sap.messages(RESULT)
        assert texts(result, VALUE) == ["500.25"]

    def test_on_demand_asks_the_meter_when_its_day_begins(self, sides_on_sqlite: BothSides) -> None:
        sides = sides_on_sqlite
        sides.tell(READ, reading(on="2026-06-15", source="1"))
        sides.rest()
        sides.clock.instant = datetime(2026, 6, 14, 21, 59, 59, tzinfo=UTC)
        sides.rest()
        assert sides.head_end.submitted == []

        sides.clock.move(seconds=1)
        sides.rest()
        assert len(sides.head_end.submitted) == 1

    def test_fails_as_an_event_when_its_register_is_gone(self, sides_on_sqlite: BothSides) -> None:
        sides = sides_on_sqlite
        sides.tell(READ, reading(on="2026-06-15"))
        sides.rest()
        register = sides.all(Register)[0]
        with sides.database.begin() as uow:
            uow.save([Remove(Register, register.key)])
        when_due(sides)

        self.failed_aloud(sides, "register")

    @pytest.mark.parametrize("source", ["0", "1"], ids=["stored", "on demand"])
    @pytest.mark.parametrize(
        ("last_day", "is_read"),
        [pytest.param("2026-06-15", True, id="that day"), pytest.param("2026-06-14", False, id="the day before")],
    )
    def test_is_read_only_if_its_meter_is_in_service_till(
        self, sides_on_sqlite: BothSides, last_day: str, is_read: bool, source: str
    ) -> None:
        sides = sides_on_sqlite
        sides.tell(READ, reading(on="2026-06-15", source=source))
        sides.rest()
        sides.tell(CHANGE, device_ends(ends=last_day))
        when_due(sides)

        if is_read:
            assert late_failures(sides) == []
            return
        self.failed_aloud(sides, "not in service")

    def failed_aloud(self, sides: BothSides, why: str) -> None:
        assert document(sides).status is DocumentStatus.FAILED
        assert why in (document(sides).note or "")
        assert late_failures(sides) == ["reading_missing"]
        assert sides.sap.messages(RESULT) == []
        assert len(sides.sap.messages(READ_ACCEPTED)) == 1

    @pytest.mark.parametrize(
        ("on", "answer"),
        [
            pytest.param("2026-05-31", ("3", []), id="its last day"),
            pytest.param("2026-06-01", ("5", ["211(MDUS)"]), id="the day after"),
        ],
    )
    def test_for_a_meter_whose_end_is_known_is_refused_at_once(
        self, sides_on_sqlite: BothSides, on: str, answer: tuple[str, list[str]]
    ) -> None:
        sides = sides_on_sqlite
        sides.tell(CHANGE, device_ends(ends="2026-05-31"))
        sides.rest()
        sides.tell(READ, reading(on=on))
        sides.rest()

        assert answers(sides, READ_ACCEPTED) == [answer]


class TestAConnectionOrder:
    def test_leaves_at_its_instant_from_an_mdus_started_since(
        self, sides: BothSides, open_sides: Open, database_url: str
    ) -> None:
        sides.tell(SWITCH, switch(planned_at=JUNE))
        sides.rest()
        restarted = open_sides(database_url)
        restarted.clock.instant = JUNE.replace(hour=21, minute=59, second=59)
        restarted.rest()
        assert switches(restarted) == []

        restarted.clock.move(seconds=1)
        carry_out(restarted)
        assert (switches(sides), switches(restarted)) == ([], ["disconnected"])
        assert answers(restarted, SWITCHED) == [("3", [])]

    def test_is_refused_on_its_day_when_the_meter_has_left_service(self, sides_on_sqlite: BothSides) -> None:
        sides = sides_on_sqlite
        sides.tell(SWITCH, switch(planned_at=JUNE))
        sides.rest()
        sides.tell(CHANGE, device_ends(ends="2026-06-01"))
        sides.clock.instant = JUNE
        sides.rest()

        assert answers(sides, SWITCHED) == [("5", ["316(MDUS)"])]
        assert switches(sides) == []
