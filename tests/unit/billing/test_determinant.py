"""Quantities of a period: exact, rounded half up once, held by gates, in versions that replace each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdus.billing.determinant import (
    Determinant,
    DeterminantStatus,
    VersionCause,
    determinants_of,
    gate,
    new_versions,
    released_by_hand,
    rounded,
    spread,
)
from mdus.billing.measured import Span
from mdus.billing.period import Period
from mdus.billing.tally import Flags, Tally, tally
from mdus.domain.channel import MISSING
from tests.unit.billing.market import (
    AUTUMN,
    SPRING,
    WORKDAYS,
    calendar,
    channel,
    days,
    instant,
    parted,
    policy,
    row,
    stored,
)

NOW = datetime(2026, 7, 2, 5, 0, tzinfo=UTC)
JUNE = Period(start=date(2026, 6, 1), end=date(2026, 7, 1), reason="month")
NO_FLAGS = Flags(estimated=np.zeros(1, dtype=np.bool_), suspect=np.zeros(1, dtype=np.bool_))


def counted(period: Period, values: dict[date, Sequence[int]], made: Any, factor: int | str = 1) -> Tally:
    """Return what a period comes to, measured by one channel."""
    of = channel()
    parts = stored(made, {(of, day): parted(made, of, day, each) for day, each in values.items()})
    span = Span(channel=of, start=instant(date(2026, 1, 1)), end=None, factor=Fraction(factor))
    return tally([span], period, made.rows[0], parts, {}, NO_FLAGS, made)


def quantities(found: Tally, made: Any, period: Period = JUNE) -> dict[str, tuple[Decimal, str]]:
    given = determinants_of(
        found, made.rows[0], period, sender_system="P11", point_of_delivery_id="DE1", now=NOW, by="test"
    )
    return {one.name: (one.quantity, one.unit) for one in given}


class TestQuantities:
    def test_are_computed_by_hand(self) -> None:
        """Two workdays of 96 x 1 and 96 x 2 Wh; factor 40; half hours."""
        two = Period(start=date(2026, 6, 10), end=date(2026, 6, 12), reason="1")
        made = policy()
        found = counted(two, {date(2026, 6, 10): [1] * 96, date(2026, 6, 11): [2] * 96}, made, 40)
        assert quantities(found, made, two) == {
            "total": (Decimal("11.52"), "KWH"),  # 288 Wh x 40
            "total.high": (Decimal("7.68"), "KWH"),  # 64 x 3 x 40
            "total.low": (Decimal("3.84"), "KWH"),
            "demand": (Decimal("0.32"), "KW"),  # 2 x 2 Wh in half an hour, x 40
            "demand.high": (Decimal("0.32"), "KW"),
            "demand.low": (Decimal("0.32"), "KW"),
        }
        assert found.peaks["low"].at == instant(date(2026, 6, 11))

    @pytest.mark.parametrize(
        ("day", "count", "two"), [(SPRING, 92, 0), (AUTUMN, 100, 8)], ids=["of 23 hours", "of 25 hours"]
    )
    def test_of_a_day_of_a_change_of_clocks(self, day: date, count: int, two: int) -> None:
        every = calendar({"bucket": "two", "days": ["every"], "from": "02:00", "to": "03:00"})
        made = policy(calendars=[every])
        period = Period(start=day, end=date.fromordinal(day.toordinal() + 1), reason="1")
        found = quantities(counted(period, {day: [10] * count}, made), made, period)
        assert found["total"] == (Decimal(count) / 100, "KWH")
        assert found["total.two"][0] == Decimal(two) / 100

    def test_are_told_in_the_unit_of_the_row(self) -> None:
        made = policy(row(unit="WH", demand_unit="W"))
        found = quantities(counted(JUNE, {day: [1] * 96 for day in days(JUNE.start, 30)}, made), made)
        assert found["total"] == (Decimal(2880), "WH")
        assert found["demand"] == (Decimal(4), "W")

    def test_in_a_unit_that_measures_something_else_are_held(self) -> None:
        made = policy(row(unit="M3", determinants=["total"]))
        found = counted(JUNE, {day: [1] * 96 for day in days(JUNE.start, 30)}, made)
        assert gate(found, made.rows[0], JUNE) == "values in KWH are none in M3"

    def test_of_calendars_that_follow_each_other_are_those_of_each(self) -> None:
        later = calendar(name="later", valid_from=date(2026, 6, 16), otherwise="all", windows=[])
        made = policy(calendars=[WORKDAYS, later])
        found = quantities(counted(JUNE, {day: [1] * 96 for day in days(JUNE.start, 30)}, made), made)
        assert found["total.all"][0] == Decimal(15 * 96) / 1000
        assert found["total.high"][0] == Decimal(11 * 64) / 1000
        assert sum(found[name][0] for name in ("total.high", "total.low", "total.all")) == found["total"][0]


class TestDemand:
    """Half hours of one day after another: 96 x 1 Wh, but for 23:45 of the one and 00:00 of the other."""

    VALUES = {  # noqa: RUF012 - never changed
        date(2026, 6, 10): [1] * 95 + [100],
        date(2026, 6, 11): [60] + [1] * 95,
    }
    PERIOD = Period(start=date(2026, 6, 10), end=date(2026, 6, 12), reason="1")

    @pytest.mark.parametrize(
        ("kind", "watts", "at"),
        [
            pytest.param("fixed", 202, instant(date(2026, 6, 10), 23, 30), id="fixed"),  # (1 + 100) x 2
            pytest.param("rolling", 320, instant(date(2026, 6, 10), 23, 45), id="rolling"),  # (100 + 60) x 2
        ],
    )
    def test_is_of_windows(self, kind: str, watts: int, at: datetime) -> None:
        made = policy(row(demand=kind))
        found = counted(self.PERIOD, self.VALUES, made)
        assert quantities(found, made, self.PERIOD)["demand"] == (Decimal(watts) / 1000, "KW")
        assert max(found.peaks.values()).at == at

    def test_that_rolls_needs_both_days(self) -> None:
        made = policy(row(demand="rolling"))
        period = Period(start=date(2026, 6, 10), end=date(2026, 6, 13), reason="1")
        apart = {date(2026, 6, 10): self.VALUES[date(2026, 6, 10)], date(2026, 6, 12): self.VALUES[date(2026, 6, 11)]}
        found = counted(period, apart, made)
        assert quantities(found, made, period)["demand"][0] == Decimal("0.202")
        assert found.missing == 96

    def test_that_rolls_over_a_missing_value_is_none(self) -> None:
        made = policy(row(demand="rolling"))
        values = {**self.VALUES, date(2026, 6, 11): [MISSING] + [1] * 95}
        assert quantities(counted(self.PERIOD, values, made), made, self.PERIOD)["demand"][0] == Decimal("0.202")


class TestRounding:
    @pytest.mark.parametrize(
        ("value", "decimals", "becomes"),
        [
            ("3.345", 2, "3.35"),
            ("2.675", 2, "2.68"),
            ("-2.675", 2, "-2.68"),
            ("2.6749999", 2, "2.67"),
            ("0.5", 0, "1"),
            ("2.500000", 6, "2.5"),
            ("0", 6, "0"),
            ("100", 2, "100"),
        ],
    )
    def test_is_half_up(self, value: str, decimals: int, becomes: str) -> None:
        assert format(rounded(Fraction(value), decimals), "f") == becomes

    @given(
        st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), st.fractions(-1000, 1000), min_size=1), st.integers(0, 6)
    )
    def test_leaves_parts_that_add_up(self, sums: dict[str, Fraction], decimals: int) -> None:
        total, parts = spread(sums, decimals)
        assert sum(parts.values(), Decimal(0)) == total
        assert total == rounded(sum(sums.values(), Fraction(0)), decimals)

    def test_gives_what_is_over_to_the_largest(self) -> None:
        third = Fraction(1, 3)
        total, parts = spread({"a": third, "b": 1 + third, "c": third}, 1)
        assert (total, parts) == (Decimal(2), {"a": Decimal("0.3"), "b": Decimal("1.4"), "c": Decimal("0.3")})


class TestVersions:
    ONE = Determinant(
        sender_system="P11",
        point_of_delivery_id="DE1",
        period_from=JUNE.start,
        period_to=JUNE.end,
        reason="month",
        reading_type="x",
        name="total",
        quantity=Decimal(1),
        unit="KWH",
        intervals=2880,
        missing=1,
        estimated=0,
        status=DeterminantStatus.HELD,
        gate_reason="why",
        made_at=NOW,
        made_by="test",
    )
    STORED = replace(ONE, id=7)

    def versions(self, *found: Determinant, stored: Determinant = STORED, ended: Sequence[Period] = (JUNE,)) -> Any:
        return new_versions(found, [stored], ended, looked_at={(JUNE.start, JUNE.end)}, now=NOW)

    def test_of_what_says_the_same_are_none(self) -> None:
        assert self.versions(self.ONE) == []

    def test_replace_what_says_something_else(self) -> None:
        [version] = self.versions(replace(self.ONE, quantity=Decimal(2)))
        assert (version.version, version.replaces, version.cause) == (2, 7, VersionCause.CORRECTED)

    def test_are_not_made_of_what_a_person_released_while_its_quantity_stays(self) -> None:
        released = replace(released_by_hand(self.STORED, by="me", reason="so", now=NOW), id=8)
        assert (released.version, released.replaces, released.status) == (2, 7, DeterminantStatus.RELEASED)
        assert self.versions(self.ONE, stored=released) == []
        [again] = self.versions(replace(self.ONE, quantity=Decimal(2)), stored=released)
        assert (again.version, again.replaces, again.status) == (3, 8, DeterminantStatus.HELD)
        [worse] = self.versions(replace(self.ONE, missing=2), stored=released)
        assert worse.status is DeterminantStatus.HELD

    def test_withdraw_what_is_asked_for_no_longer(self) -> None:
        [version] = self.versions()
        assert (version.status, version.replaces) == (DeterminantStatus.WITHDRAWN, 7)
        assert self.versions(stored=replace(self.STORED, status=DeterminantStatus.WITHDRAWN)) == []

    def test_withdraw_what_is_of_another_period_now(self) -> None:
        halves = [replace(JUNE, end=date(2026, 6, 15)), replace(JUNE, start=date(2026, 6, 15))]
        [version] = self.versions(ended=halves)
        assert version.gate_reason == "its period is another now"
        # Of a period beyond those that are looked at nothing is said.
        assert new_versions([], [self.STORED], [Period(start=date(2026, 8, 1), end=date(2026, 9, 1), reason="month")],
                            looked_at=set(), now=NOW) == []  # fmt: skip

    def test_of_what_was_withdrawn_come_back(self) -> None:
        gone = replace(self.STORED, status=DeterminantStatus.WITHDRAWN, version=2, id=8)
        [version] = self.versions(self.ONE, stored=gone)
        assert (version.version, version.replaces, version.status) == (3, 8, DeterminantStatus.HELD)
