"""A profile's assignments told anew: what is removed and stored, and from which day on values are looked at."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from mdus.domain.register import Register
from mdus.domain.time_series import TimeSeriesAssignment
from mdus.domain.time_series_reassignment import Reassignment, held_at_once, holders
from mdus.domain.time_series_upload import TimeSeriesLook
from mdus.domain.value import Remove

ZONE = "Europe/Berlin"
NOW = datetime(2026, 3, 20, 12, 0, tzinfo=UTC)
TICK = timedelta(microseconds=1)


def assignment(first: int, last: int | None = None, *, task: str = "1") -> TimeSeriesAssignment:
    """The profile on a number from one day of March up to another."""
    return TimeSeriesAssignment(
        sender_system="P11",
        time_series_id="7",
        valid_from=datetime(2026, 3, first, tzinfo=UTC),
        valid_to=None if last is None else datetime(2026, 3, last, tzinfo=UTC),
        role_code="0001",
        measurement_task_id=task,
        assigned_at=NOW,
    )


def register(first: int, last: int | None = None) -> Register:
    return Register(
        sender_system="P11",
        device_id="42",
        measurement_task_id="1",
        valid_from=date(2026, 3, first),
        valid_to=None if last is None else date(2026, 3, last),
        reading_type="1-0:1.8.0*255",
        unit="KWH",
    )


def look(anew: Reassignment, *, backfill: timedelta = timedelta(days=40)) -> TimeSeriesLook | None:
    return anew.look(zone=ZONE, backfill=backfill, now=NOW)


class TestChanges:
    def test_of_a_complete_list_remove_what_it_leaves_out(self) -> None:
        anew = Reassignment(listed=[assignment(5)], stored=[assignment(1, 5)], complete=True)
        assert list(anew.changes()) == [Remove(TimeSeriesAssignment, assignment(1, 5).key), assignment(5)]

    def test_of_an_incomplete_list_keep_it(self) -> None:
        anew = Reassignment(listed=[assignment(5)], stored=[assignment(1, 5)], complete=False)
        assert list(anew.changes()) == [assignment(5)]

    def test_are_none_when_the_same_is_said_later(self) -> None:
        again = replace(assignment(5), assigned_at=NOW + TICK)
        anew = Reassignment(listed=[again], stored=[assignment(5)], complete=True)
        assert (list(anew.changes()), look(anew)) == ([], None)


class TestOverlap:
    @pytest.mark.parametrize(("complete", "overlaps"), [(True, False), (False, True)])
    def test_is_with_what_stays(self, *, complete: bool, overlaps: bool) -> None:
        anew = Reassignment(listed=[assignment(4)], stored=[assignment(1, 5)], complete=complete)
        assert anew.overlap == ((assignment(1, 5), assignment(4)) if overlaps else None)

    def test_is_none_of_spans_that_touch(self) -> None:
        assert Reassignment(listed=[assignment(5)], stored=[assignment(1, 5)], complete=False).overlap is None


class TestTheLook:
    @pytest.mark.parametrize(
        ("listed", "stored", "day"),
        [
            pytest.param(assignment(5), None, date(2026, 3, 4), id="at what is new"),
            pytest.param(assignment(5), assignment(5, 9), date(2026, 3, 8), id="at what is longer"),
            pytest.param(assignment(5, 7), assignment(5, 9), date(2026, 3, 6), id="at what is shorter"),
            pytest.param(assignment(5, 7, task="2"), assignment(5, 9), date(2026, 3, 4), id="at what is another"),
        ],
    )
    def test_begins_the_day_before(
        self, listed: TimeSeriesAssignment, stored: TimeSeriesAssignment | None, day: date
    ) -> None:
        found = look(Reassignment(listed=[listed], stored=[stored] if stored else [], complete=True))
        assert found is not None
        assert (found.day, found.due_at, found.onward) == (day, NOW, True)

    def test_goes_no_further_back_than_the_setting(self) -> None:
        found = look(Reassignment(listed=[assignment(5)], stored=[], complete=True), backfill=timedelta(days=2))
        assert found is not None
        assert found.day == date(2026, 3, 17)

    def test_is_not_taken_of_values_that_stay_here(self) -> None:
        remote = replace(assignment(5), remotely_stored=True)
        assert look(Reassignment(listed=[remote], stored=[], complete=True)) is None


class TestRegisters:
    @pytest.mark.parametrize(
        ("of", "found"),
        [
            pytest.param(register(1), True, id="open"),
            pytest.param(register(1, 5), False, id="ended before"),
            pytest.param(register(1, 6), True, id="ended within"),
            pytest.param(register(9), True, id="begun within"),
            pytest.param(register(10), True, id="begun in the last hour: its day begins earlier than that of UTC"),
            pytest.param(register(11), False, id="begun after"),
        ],
    )
    def test_hold_the_number_in_the_time_of_the_assignment(self, of: Register, *, found: bool) -> None:
        assert holders([of], assignment(5, 10), zone=ZONE) == ([of] if found else [])

    def test_with_one_number_do_not_have_it_at_once(self) -> None:
        assert held_at_once([register(1, 5), register(5)]) is None
        assert held_at_once([register(1, 6), register(5)]) == (register(1, 6), register(5))
