"""What SAP has of a day, in whatever grid, unit and decimals it is asked for; and what it has when it refuses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mdus.domain.channel import MISSING, DayGrid, day_grid
from mdus.domain.time_series_upload import (
    OTHERWISE,
    Marked,
    Operation,
    Run,
    TimeSeriesDay,
    TimeSeriesUpload,
    runs,
    runs_of,
    stored,
)

DAY = date(2026, 3, 29)  # of 23 hours in Berlin
GRID = day_grid(DAY, 60, "Europe/Berlin")


def told(values: Sequence[int | None], *, statuses: Sequence[int] = (), **facts: Any) -> TimeSeriesDay:
    elements = [MISSING if value is None else value for value in values]
    elements += [MISSING] * (GRID.count - len(elements))
    marks = [*statuses, *[0] * (GRID.count - len(statuses))]
    said: dict[str, Any] = {
        "sender_system": "P11",
        "time_series_id": "815",
        "day": DAY,
        "time_zone": "Europe/Berlin",
        "interval_minutes": 60,
        "unit": "KWH",
        "decimals": 3,
        "told": np.array(elements, dtype="<i8").tobytes(),
        "statuses": np.array(marks, dtype=np.uint8).tobytes(),
        "codes": "ACTL INVL",
    }
    return TimeSeriesDay(**{**said, **facts})


def has(day: TimeSeriesDay, grid: DayGrid = GRID, *, unit: str = "KWH", decimals: int = 3) -> list[int]:
    return day.had_in(grid, unit=unit, decimals=decimals).values.tolist()


class TestRuns:
    def test_are_parted_where_the_intervals_the_lengths_or_the_statuses_part(self) -> None:
        found = list(runs(GRID, [0, 1, 2, 5, 6], [10, 11, 12, 15, 16], ["A", "A", "B", "B", "B"]))
        assert [(run.status, run.values) for run in found] == [("A", (10, 11)), ("B", (12,)), ("B", (15, 16))]
        assert [run.start for run in found] == [GRID.starts_at(place) for place in (0, 2, 5)]

    def test_know_an_interval_that_ends_with_the_day(self) -> None:
        daily = day_grid(DAY, 1440, "Europe/Berlin")
        assert [run.minutes for run in runs(daily, [0], [1], ["A"])] == [23 * 60]

    @given(st.lists(st.tuples(st.integers(-(10**15), 10**15), st.sampled_from(["ACTL", "X"])), max_size=23))
    def test_are_read_as_they_were_stored(self, elements: list[tuple[int, str]]) -> None:
        some = list(runs(GRID, range(len(elements)), [value for value, _ in elements], [code for _, code in elements]))
        assert list(runs_of(stored(some))) == some


class TestWhatSapHas:
    def test_is_what_it_was_told(self) -> None:
        assert has(told([1, None, 3]))[:3] == [1, MISSING, 3]

    def test_is_found_again_in_other_decimals(self) -> None:
        assert has(told([1000, 1001]), decimals=0)[:3] == [1, OTHERWISE, MISSING]
        assert has(told([1000]), decimals=4)[:2] == [10000, MISSING]
        assert has(told([2**62]), decimals=4)[0] == OTHERWISE

    def test_is_something_else_in_another_unit(self) -> None:
        assert has(told([1000]), unit="WH")[:2] == [OTHERWISE, MISSING]

    def test_is_found_again_in_another_grid_where_intervals_begin_together(self) -> None:
        quarters = day_grid(DAY, 15, "Europe/Berlin")
        assert has(told([1, 2]), quarters)[:9] == [1, *[MISSING] * 3, 2, *[MISSING] * 4]
        other_zone = day_grid(DAY, 60, "Europe/Lisbon")  # begins an hour later
        assert has(told([1, 2, 3]), other_zone)[:3] == [2, 3, MISSING]

    def test_keeps_its_statuses(self) -> None:
        assert told([1, 2], statuses=[0, 1]).had_in(GRID, unit="KWH", decimals=3).statuses[:2].tolist() == [0, 1]


class TestTakenBack:
    def upload(self, operation: Operation, *, before: str = "", **facts: Any) -> TimeSeriesUpload:
        values = Run(start=GRID.starts_at(1), minutes=60, status="ACTL", values=(20, 30))
        said: dict[str, Any] = {
            "sender_system": "P11",
            "time_series_id": "815",
            "number": 1,
            "day": DAY,
            "operation": operation,
            "unit": "KWH",
            "decimals": 3,
            "count": 2,
            "content": str(values),
            "before": before,
            "made_at": datetime(2026, 3, 30, tzinfo=UTC),
        }
        return TimeSeriesUpload(**{**said, **facts})

    def test_sap_has_nothing_of_what_it_did_not_create(self) -> None:
        assert has(told([10, 20, 30, 40]).taken_back(self.upload(Operation.CREATE)))[:4] == [10, MISSING, MISSING, 40]

    def test_sap_has_what_it_had_before_a_change(self) -> None:
        before = str(Run(start=GRID.starts_at(1), minutes=60, status="INVL", values=(2, 3)))
        day = told([10, 20, 30, 40]).taken_back(self.upload(Operation.CHANGE, before=before))
        assert has(day)[:4] == [10, 2, 3, 40]
        assert day.had_in(GRID, unit="KWH", decimals=3).statuses[:4].tolist() == [0, 1, 1, 0]

    def test_sap_keeps_what_it_got_since(self) -> None:
        day = told([10, 20, 31, 40]).taken_back(self.upload(Operation.CREATE))
        assert has(day)[:4] == [10, MISSING, 31, 40]
        other_status = told([10, 20, 30], statuses=[0, 1, 0]).taken_back(self.upload(Operation.CREATE))
        assert has(other_status)[:3] == [10, 20, MISSING]

    def test_a_day_in_another_unit_stays_as_it_is(self) -> None:
        day = told([10, 20, 30])
        assert day.taken_back(self.upload(Operation.CREATE, unit="WH")) == day
        assert replace(day, decimals=2).taken_back(self.upload(Operation.CREATE)) == replace(day, decimals=2)


class TestMarked:
    def test_takes_from_another_where_a_mask_does_not_hold(self) -> None:
        nothing = Marked.nothing(2)
        one = Marked(np.array([1, 2], dtype=np.int64), np.array([1, 1], dtype=np.uint8))
        mixed = one.where(np.array([True, False]), nothing)
        assert (mixed.values.tolist(), mixed.statuses.tolist()) == ([1, MISSING], [1, 0])

    def test_names_its_runs(self) -> None:
        one = Marked(np.array([1, 2], dtype=np.int64), np.array([1, 0], dtype=np.uint8))
        found = list(one.at([0, 1], day=GRID, codes=["ACTL", "INVL"]))
        assert [(run.status, run.values) for run in found] == [("INVL", (1,)), ("ACTL", (2,))]
        assert found[1].start - found[0].start == timedelta(hours=1)
