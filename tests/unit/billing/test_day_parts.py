"""The parts of days: sums by bucket, peaks of fixed and rolling demand; numbers computed by hand."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdus.billing.schedule import Recipe
from mdus.domain.channel import MISSING
from tests.unit.billing.market import AUTUMN, BERLIN, SPRING, USUAL, calendar, channel, parted, policy, row


def day_of(**at: int) -> list[int]:
    """Return a usual day of ones, other values by `_<place>`."""
    values = [1] * 96
    for name, value in at.items():
        values[int(name[1:])] = value
    return values


class TestSums:
    @pytest.mark.parametrize(("day", "count"), [(SPRING, 92), (USUAL, 96), (AUTUMN, 100)])
    def test_are_by_bucket(self, day: date, count: int) -> None:
        every = calendar({"bucket": "high", "days": ["every"], "from": "06:00", "to": "22:00"})
        made = policy(calendars=[every])
        numbers = parted(made, channel(), day, range(count)).numbers[0]
        first = 24 - (96 - count)
        assert numbers[0] == sum(range(first, first + 64))
        assert numbers[0] + numbers[1] == sum(range(count))

    def test_leave_out_what_is_missing_or_not_expected_and_count_it(self) -> None:
        values = day_of(_0=MISSING, _1=100, _2=50, _3=2**60)
        parts = parted(policy(), channel(), USUAL, values, estimated=[0, 2, 4], suspect=[1, 2], unexpected=[1])
        assert parts.numbers[0, :2].sum() == 92 + 50
        assert (parts.missing[0], parts.estimated[0], parts.suspect[0]) == (2, 2, 1)

    @given(st.lists(st.one_of(st.just(MISSING), st.integers(-(2**49), 2**49)), min_size=96, max_size=96))
    def test_add_up_to_the_total_exactly(self, values: list[int]) -> None:
        numbers = parted(policy(), channel(), USUAL, values).numbers[0]
        assert int(numbers[0]) + int(numbers[1]) == sum(value for value in values if value != MISSING)


class TestFixedDemand:
    """Half hours, side by side. 10:15 and 10:30 are in two of them."""

    def test_is_the_highest_window(self) -> None:
        numbers = parted(policy(), channel(), USUAL, day_of(_41=10, _42=20, _43=3, _80=11, _81=12)).numbers[0]
        # high: 10:00 1 + 10, 10:30 20 + 3, 20:00 11 + 12: the first of the highest.
        assert numbers[2:4].tolist() == [23, 2]
        assert numbers[4:6].tolist() == [42, 0]

    def test_takes_no_window_that_lacks_a_value(self) -> None:
        numbers = parted(policy(), channel(), USUAL, day_of(_42=20, _43=MISSING, _80=11)).numbers[0]
        assert numbers[2:5].tolist() == [12, 2, 80]

    def test_is_none_where_no_window_has_all_values(self) -> None:
        values = [1 if place % 2 else MISSING for place in range(96)]
        assert parted(policy(), channel(), USUAL, values).numbers[0, 2:4].tolist() == [MISSING, MISSING]

    def test_of_negative_values_is_the_one_nearest_to_zero(self) -> None:
        numbers = parted(policy(), channel(), USUAL, [-5] * 96).numbers[0]
        assert numbers[2:4].tolist() == [-10, -10]

    @pytest.mark.parametrize(("day", "hours"), [(SPRING, 23), (USUAL, 24), (AUTUMN, 25)])
    def test_has_a_window_for_each_hour(self, day: date, hours: int) -> None:
        made = policy(row(demand_minutes=60))
        recipe = made.recipe(channel(), day)
        assert recipe is not None
        [schedule] = recipe.schedules
        assert schedule.lengths.tolist() == [4] * hours

    def test_has_no_window_that_a_change_of_clocks_cuts(self) -> None:
        """Lord Howe Island puts its clocks back by half an hour, at 02:00."""
        made = policy(row(demand_minutes=60))
        of = channel(time_zone="Australia/Lord_Howe")
        recipe = made.recipe(of, date(2026, 4, 5))
        assert recipe is not None
        assert recipe.schedules[0].lengths.tolist() == [4, 4, 2] + [4] * 22

    def test_is_none_over_windows_shorter_than_an_interval(self) -> None:
        recipe = policy(row(demand_minutes=15)).recipe(channel(interval_minutes=60), USUAL)
        assert recipe is not None
        assert recipe.schedules[0].width == 0
        assert recipe.size == 2


class TestRollingDemand:
    """Half hours again, one for each interval: 10:15 to 10:45 is one of them."""

    def test_is_the_highest_of_all_windows(self) -> None:
        made = policy(row(demand="rolling"))
        numbers = parted(made, channel(), USUAL, day_of(_41=10, _42=20, _43=3)).numbers[0]
        assert numbers[2:4].tolist() == [30, 2]
        assert numbers[4:6].tolist() == [41, 0]

    def test_belongs_to_the_bucket_it_ends_in(self) -> None:
        made = policy(row(demand="rolling"))
        # 21:45 + 22:00 ends in the low bucket.
        numbers = parted(made, channel(), USUAL, day_of(_87=10, _88=20)).numbers[0]
        assert numbers[2:6].tolist() == [11, 30, 86, 87]

    def test_keeps_the_edges_of_the_day(self) -> None:
        made = policy(row(demand="rolling", demand_minutes=60))
        numbers = parted(made, channel(), USUAL, day_of(_0=7, _2=MISSING, _94=8, _95=9)).numbers[0]
        assert numbers[6:].tolist() == [7, 1, MISSING, 1, 8, 9]


class TestBlocks:
    def test_of_many_channels_are_parted_as_each_alone(self) -> None:
        random = np.random.default_rng(1)
        values = random.integers(-1000, 10**9, (50, 100))
        values[random.random(values.shape) < 0.05] = MISSING
        made = policy(row(demand="rolling"), row(name="b", set="b", demand_minutes=60))
        recipe = made.recipe(channel(), AUTUMN)
        assert recipe is not None
        assert len(recipe.schedules) == 2
        none = np.zeros(values.shape, dtype=np.bool_)
        from mdus.billing.day_parts import day_parts

        together = day_parts(values, recipe, estimated=none, suspect=none, expected=~none)
        alone = [parted(made, channel(), AUTUMN, each.tolist()).numbers[0] for each in values]
        assert (together.numbers == np.array(alone)).all()


class TestRecipes:
    def test_are_the_same_for_days_that_are_parted_alike(self) -> None:
        made = policy()
        wednesday, thursday, sunday = (made.recipe(channel(), date(2026, 6, day)) for day in (10, 11, 14))
        assert wednesday is thursday
        assert wednesday is not sunday

    def test_are_told_apart_by_what_they_part_by(self) -> None:
        numbers = {
            _number(policy(*rows, calendars=calendars))
            for rows, calendars in [
                ([row()], [calendar()]),
                ([row()], [calendar(otherwise="all")]),
                ([row(demand="rolling")], [calendar()]),
                ([row(demand_minutes=60)], [calendar()]),
                ([row(determinants=["total"])], [calendar()]),
                ([row()], [calendar({"bucket": "low", "days": ["every"]}, {"bucket": "b", "days": ["every"]})]),
            ]
        }
        assert len(numbers) == 6
        assert _number(policy(row(most_missing=5))) == _number(policy())

    def test_have_each_way_once(self) -> None:
        made = policy(row(), row(name="b", set="b", most_missing=9), row(name="c", set="c", demand="rolling"))
        recipe = made.recipe(channel(), USUAL)
        assert recipe is not None
        assert len(recipe.schedules) == 2
        assert recipe.offset(1) == 6

    def test_are_none_for_what_no_set_asks_for(self) -> None:
        assert policy().recipe(channel(reading_type="x"), USUAL) is None
        later = policy(row(valid_from=date(2026, 6, 11)))
        assert later.recipe(channel(), USUAL) is None
        assert isinstance(later.recipe(channel(), date(2026, 6, 11)), Recipe)


def _number(made: object) -> int:
    recipe = made.recipe(channel(time_zone=BERLIN), USUAL)  # type: ignore[attr-defined]
    return int(recipe.number)
