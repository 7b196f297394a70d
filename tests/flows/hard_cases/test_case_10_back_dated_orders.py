"""Case 10. An order for a day gone by, older than what is stored; a value exactly at a bound; a gap.

Which value answers says the policy of the reason: the next within the window, the last before, or none, aloud.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mdus.domain.command import CommandKind
from mdus.domain.meter_reading_document import DocumentStatus
from tests.flows.both_sides import BothSides, texts
from tests.flows.hard_cases.sap_messages import METER, READ, READ_ACCEPTED, RESULT, VALUE, reading
from tests.flows.hard_cases.steps import answers, document, late_failures

#: The end of 10 March in Berlin; the clock of the tests stands at the 28th.
ANCHOR = datetime(2026, 3, 10, 23, tzinfo=UTC)
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


class TestAnOrderOlderThanWhatIsStored:
    def test_asks_the_head_end_for_its_window_at_once(self, sides_on_sqlite: BothSides) -> None:
        sides = sides_on_sqlite
        sides.tell(READ, reading(on="2026-01-10"))
        sides.rest()

        [asked] = sides.submitted(CommandKind.READ_REGISTERS)
        assert asked["period"] == {"from": "2026-01-10T23:00:00Z", "to": "2026-01-13T23:00:01Z"}
        shown = {"obis": "1-0:1.8.0*255", "at": "2026-01-10T23:00:00Z", "value": "12.25", "unit": "kWh"}
        sides.answer(CommandKind.READ_REGISTERS, readings=[shown])
        sides.rest()
        assert texts(sides.sap.messages(RESULT)[0], VALUE) == ["12.25"]

    def test_fails_aloud_at_once_when_the_meter_has_nothing_so_old(self, sides: BothSides) -> None:
        sides.tell(READ, reading(on="2026-01-10"))
        sides.rest()
        sides.answer(CommandKind.READ_REGISTERS, status="failed", code="NO_DATA", text="nothing stored")
        sides.rest()

        assert answers(sides, READ_ACCEPTED) == [("3", [])]
        assert document(sides).status is DocumentStatus.FAILED
        assert late_failures(sides) == ["reading_missing"]
        assert sides.sap.messages(RESULT) == []

    @pytest.mark.parametrize(
        ("on", "answer"),
        [
            pytest.param("2026-03-27", ("3", []), id="within the window of the reason"),
            pytest.param("2026-03-20", ("5", ["207(MDUS)"]), id="before it"),
        ],
    )
    def test_on_demand_is_refused_where_a_meter_asked_now_cannot_know(
        self, sides_on_sqlite: BothSides, on: str, answer: tuple[str, list[str]]
    ) -> None:
        sides_on_sqlite.tell(READ, reading(on=on, source="1"))
        sides_on_sqlite.rest()

        assert answers(sides_on_sqlite, READ_ACCEPTED) == [answer]


class TestAGap:
    """The head end is asked for what is missing, and has nothing more: what is there answers, or nothing does."""

    @pytest.mark.parametrize(
        ("reason", "there", "answered_by"),
        [
            pytest.param("01", {"exact": 0 * DAY, "next": DAY}, "exact", id="periodic, at the instant"),
            pytest.param("01", {"next": 2 * DAY, "after": 3 * DAY}, "next", id="periodic, the next"),
            pytest.param("01", {"at the bound": 3 * DAY}, "at the bound", id="periodic, at the bound"),
            pytest.param("01", {"outside": 3 * DAY + SECOND}, None, id="periodic, a second outside"),
            pytest.param("01", {"before": -SECOND}, None, id="periodic, never one before"),
            pytest.param("03", {"before": -DAY}, "before", id="move-out, one before"),
            pytest.param("03", {"before": -DAY, "after": DAY}, "after", id="move-out, of two as near the later"),
            pytest.param("03", {"outside": -DAY - SECOND}, None, id="move-out, a second too early"),
            pytest.param("22", {"first": -DAY, "last": -SECOND}, "last", id="removal, the last before"),
            pytest.param("22", {"after": SECOND}, None, id="removal, never one after"),
            pytest.param("21", {"first": -DAY + SECOND, "last": -SECOND}, "first", id="installation, the first"),
        ],
    )
    def test_is_bridged_as_the_reason_says(
        self, sides_on_sqlite: BothSides, reason: str, there: dict[str, timedelta], answered_by: str | None
    ) -> None:
        sides = sides_on_sqlite
        values = {name: f"{number}.25" for number, name in enumerate(there, start=1)}
        for name, distance in there.items():
            sides.snapshot(ANCHOR + distance, (METER, values[name]))
        sides.tell(READ, reading(on="2026-03-10", reason=reason))
        sides.rest()
        sides.answer(CommandKind.READ_REGISTERS, status="failed", code="NO_DATA", text="nothing else")
        sides.rest()

        found = [texts(result, VALUE)[0] for result in sides.sap.messages(RESULT)]
        assert found == ([] if answered_by is None else [values[answered_by]])
        assert late_failures(sides) == (["reading_missing"] if answered_by is None else [])
