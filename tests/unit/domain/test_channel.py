"""Days of 23, 24 and 25 hours in intervals, and quantities as whole numbers."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from mdus.domain.channel import MISSING, Channel

BERLIN = Channel(
    sender_system="P11",
    device_id="000000000000000042",
    reading_type="1-0:1.29.0*255",
    interval_minutes=15,
    time_zone="Europe/Berlin",
    unit="KWH",
    decimals=3,
)


class TestDay:
    @pytest.mark.parametrize(
        ("on", "count"),
        [
            pytest.param(date(2026, 3, 28), 96, id="24 hours"),
            pytest.param(date(2026, 3, 29), 92, id="23 hours"),
            pytest.param(date(2026, 10, 25), 100, id="25 hours"),
        ],
    )
    def test_has_as_many_intervals_as_its_hours_hold(self, on: date, count: int) -> None:
        grid = BERLIN.day(on)
        assert grid.count == count
        assert [grid.position(grid.starts_at(place)) for place in range(count)] == list(range(count))
        assert grid.starts_at(count) == grid.end == BERLIN.day(on + timedelta(days=1)).start

    def test_tells_the_hour_that_comes_twice_apart(self) -> None:
        grid = BERLIN.day(date(2026, 10, 25))
        first, second = datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
        assert (grid.position(first), grid.position(second)) == (10, 14)

    def test_has_no_place_for_an_instant_between_two_intervals(self) -> None:
        grid = BERLIN.day(date(2026, 3, 29))
        assert grid.position(grid.start + timedelta(minutes=15)) == 1
        assert grid.position(grid.start + timedelta(minutes=14, seconds=59)) is None

    @pytest.mark.parametrize(
        ("at", "on"),
        [
            pytest.param(datetime(2026, 3, 28, 23, tzinfo=UTC), date(2026, 3, 29), id="the first instant"),
            pytest.param(datetime(2026, 3, 28, 22, 59, 59, tzinfo=UTC), date(2026, 3, 28), id="the last before"),
            pytest.param(datetime(2026, 3, 29, 21, 45, tzinfo=UTC), date(2026, 3, 29), id="the last interval"),
            pytest.param(datetime(2026, 3, 29, 22, tzinfo=UTC), date(2026, 3, 30), id="the first of the next"),
        ],
    )
    def test_is_the_local_one(self, at: datetime, on: date) -> None:
        assert BERLIN.day_of(at).on == on


class TestScale:
    @pytest.mark.parametrize(
        ("text", "element"),
        [
            pytest.param("0.012", 12, id="all decimals"),
            pytest.param("-1", -1000, id="negative"),
            pytest.param("0.0120", 12, id="a needless zero"),
            pytest.param("0.0125", None, id="a decimal too many"),
            pytest.param("9223372036854775.807", 2**63 - 1, id="the largest"),
            pytest.param("9223372036854775.808", None, id="too large"),
            pytest.param("-9223372036854775.808", None, id="the mark of a missing value"),
            pytest.param("NaN", None, id="no number"),
            pytest.param("Infinity", None, id="no finite number"),
        ],
    )
    def test_holds_a_quantity_exactly_or_not_at_all(self, text: str, element: int | None) -> None:
        assert BERLIN.scaled(Decimal(text)) == element
        if element is not None:
            assert BERLIN.quantity(element) == Decimal(text)

    def test_has_no_quantity_for_a_missing_value(self) -> None:
        assert BERLIN.quantity(MISSING) is None
