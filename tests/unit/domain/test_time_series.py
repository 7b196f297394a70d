"""Which values are a profile's: every step of the assignment is dated, and each interval has one owner."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdus.domain.channel import MISSING
from mdus.domain.reading_quality import QualitySet
from mdus.domain.time_series import Grid, scaled
from mdus.domain.time_series_policy import ItemStatusRow, LoadProfileRow
from tests.unit.domain.profiles import (
    DAY,
    DEVICE,
    INTERVALS,
    MIDNIGHT,
    QUARTER,
    REGISTER,
    SENDER,
    TASK,
    ZONE,
    assignment,
    block,
    channel,
    numbers,
    policy,
    register,
    sources,
    values_of,
)

END = MIDNIGHT + timedelta(days=1)
NOON = MIDNIGHT + timedelta(hours=12)
OTHER_DEVICE, OTHER_TASK = "000000000000000043", "000000000000100043"


class TestSegments:
    def test_are_cut_to_what_holds(self) -> None:
        [found] = sources().segments([assignment(valid_from=NOON, valid_to=END + QUARTER)], start=MIDNIGHT, end=END)
        assert (found.start, found.end, found.device, found.channels) == (NOON, END, (SENDER, DEVICE), (channel(),))

    def test_are_none_outside_the_assignment(self) -> None:
        assert sources().segments([assignment(valid_to=MIDNIGHT)], start=MIDNIGHT, end=END) == []

    def test_go_by_the_dates_of_the_registers_in_the_zone_of_the_sender(self) -> None:
        registers = [
            register(valid_to=date(2026, 3, 28)),
            register(device_id=OTHER_DEVICE, valid_from=date(2026, 3, 28)),
        ]
        both = [channel(), channel(device_id=OTHER_DEVICE)]
        found = sources(registers=registers, channels=both, zone="America/New_York").segments(
            [assignment()], start=MIDNIGHT, end=END + timedelta(days=1)
        )
        change = datetime(2026, 3, 28, 4, 0, tzinfo=UTC)
        assert [(each.start, each.end, each.device) for each in found] == [
            (MIDNIGHT, change, (SENDER, DEVICE)),
            (change, END + timedelta(days=1), (SENDER, OTHER_DEVICE)),
        ]

    def test_say_when_the_number_is_on_no_device(self) -> None:
        registers = [
            register(valid_to=date(2026, 3, 28)),
            register(device_id=OTHER_DEVICE, valid_from=date(2026, 3, 30)),
        ]
        found = sources(registers=registers).segments([assignment()], start=MIDNIGHT, end=END + timedelta(days=5))
        assert [(each.device, each.end - each.start) for each in found] == [
            ((SENDER, DEVICE), timedelta(days=1)),
            (None, timedelta(hours=47)),  # two days, on the second of which the clocks go forward
            ((SENDER, OTHER_DEVICE), timedelta(hours=73)),
        ]

    def test_take_the_channels_of_the_profiles_grid(self) -> None:
        hourly = channel(interval_minutes=60)
        there = sources(channels=[hourly, channel()])
        assert there.segments([assignment()], start=MIDNIGHT, end=END)[0].channels == (channel(),)
        assert there.segments([assignment(interval_minutes=60)], start=MIDNIGHT, end=END)[0].channels == (hourly,)
        assert there.segments([assignment(interval_minutes=None)], start=MIDNIGHT, end=END)[0].channels == (channel(),)

    def test_take_the_reading_types_in_the_order_of_the_table(self) -> None:
        rows = (
            LoadProfileRow(name="a", reading_type=REGISTER, intervals="LP2"),
            LoadProfileRow(name="b", reading_type=REGISTER, intervals=INTERVALS),
        )
        there = [channel(), channel(reading_type="LP2"), channel(reading_type="LP3")]
        found = sources(channels=there, said=policy(load_profiles=rows)).segments(
            [assignment()], start=MIDNIGHT, end=END
        )
        assert [each.reading_type for each in found[0].channels] == ["LP2", INTERVALS]

    @given(st.lists(st.integers(0, 95 * 60), min_size=1, max_size=6, unique=True))
    def test_give_each_interval_one_owner(self, minutes: list[int]) -> None:
        """A profile that moves at any minute, seconds after a quarter or not: no gap, no overlap."""
        cuts = [MIDNIGHT + timedelta(seconds=each * 15) for each in sorted(minutes)]
        spans = zip([MIDNIGHT - timedelta(days=9), *cuts], [*cuts, None], strict=True)
        tasks = [f"{number:018d}" for number in range(len(cuts) + 1)]
        moved = [
            assignment(valid_from=start, valid_to=end, measurement_task_id=task)
            for (start, end), task in zip(spans, tasks, strict=True)
        ]
        registers = [register(measurement_task_id=task, device_id=task) for task in tasks]
        channels = [channel(device_id=task) for task in tasks]
        there = sources(registers=registers, channels=channels)
        blocks = [block([f"0.{number:03}"] * 96, of=each) for number, each in enumerate(channels)]
        found = numbers(values_of(*blocks, assignments=moved, told=there))
        ends = [MIDNIGHT + (place + 1) * QUARTER for place in range(96)]
        assert found == [sum(cut < end for cut in cuts) for end in ends]


class TestAProfilesDay:
    def test_is_of_the_values_in_its_unit_and_decimals(self) -> None:
        day = values_of(block(["0.0019", "1", None, "0"]))
        assert numbers(day)[:5] == [1, 1000, None, 0, None]
        assert day.expected.all()
        assert {day.codes[place] for place in day.statuses[:2]} == {"ACTL"}

    def test_is_converted_from_the_channels_unit(self) -> None:
        wh = channel(unit="WH")
        assert numbers(values_of(block(["1234.9"], of=wh), told=sources(channels=[wh])))[0] == 1234

    def test_has_no_values_of_another_quantity(self) -> None:
        volume = channel(unit="M3")
        assert numbers(values_of(block(["1"], of=volume), told=sources(channels=[volume]))) == [None] * 96

    def test_takes_values_without_a_unit_as_they_are(self) -> None:
        plain = channel(unit="")
        assert numbers(values_of(block(["1.5"], of=plain), told=sources(channels=[plain])))[0] == 1500

    def test_is_multiplied_by_the_factor_once(self) -> None:
        there = sources(registers=[register(factor=Decimal(40))])
        assert numbers(values_of(block(["0.0004"]), told=there))[0] == 16

    def test_has_the_factor_of_each_span(self) -> None:
        registers = [
            register(factor=Decimal(2), valid_to=DAY),
            register(factor=Decimal(3), valid_from=DAY, valid_to=date(2026, 3, 28)),
            register(factor=Decimal(5), valid_from=date(2026, 3, 28)),
        ]
        assert set(numbers(values_of(block(["1"] * 96), told=sources(registers=registers)))) == {3000}

    def test_takes_what_the_first_channel_lacks_from_the_second(self) -> None:
        rows = (
            LoadProfileRow(name="a", reading_type=REGISTER, intervals=INTERVALS),
            LoadProfileRow(name="b", reading_type=REGISTER, intervals="LP2"),
        )
        second = channel(reading_type="LP2")
        there = sources(channels=[channel(), second], said=policy(load_profiles=rows))
        day = values_of(block(["0.1", None]), block(["0.2", "0.3"], of=second), told=there)
        assert numbers(day)[:3] == [100, 300, None]

    def test_takes_what_the_channel_keeps_as_text(self) -> None:
        assert numbers(values_of(block(["0.12345678"])))[0] == 123

    def test_has_the_status_of_its_qualities(self) -> None:
        rows = (ItemStatusRow(name="estimated", quality="*.8.*", code="ESTM"),)
        sets = {0: QualitySet(), 1: QualitySet.of(["2.8.1"]), 2: QualitySet.of(["2.5.257"])}
        day = values_of(
            block(["1", "1", "1"], marks=[0, 1, 2]), told=sources(said=policy(statuses=rows)), qualities=sets
        )
        assert [day.codes[place] for place in day.statuses[:3]] == ["ACTL", "ESTM", "ACTL"]

    def test_lies_in_the_zone_of_the_channel(self) -> None:
        lisbon = channel(time_zone="Europe/Lisbon")
        day = values_of(block(["1"] * 96, of=lisbon), told=sources(channels=[lisbon]))
        assert day.day.start == MIDNIGHT + timedelta(hours=1)
        assert day.present.all()

    def test_is_made_of_the_days_of_two_zones(self) -> None:
        """A meter is replaced by one whose head end counts its days elsewhere."""
        lisbon = channel(device_id=OTHER_DEVICE, time_zone="Europe/Lisbon")
        there = sources(
            registers=[register(), register(device_id=OTHER_DEVICE, measurement_task_id=OTHER_TASK)],
            channels=[channel(), lisbon],
        )
        moved = [assignment(valid_to=NOON), assignment(valid_from=NOON, measurement_task_id=OTHER_TASK)]
        blocks = [
            block(["1"] * 96),
            block(["1"] * 96, day=date(2026, 3, 28)),
            block(["2"] * 96, of=lisbon),
            block(["2"] * 96, of=lisbon, day=date(2026, 3, 26)),
        ]
        day = values_of(*blocks, assignments=moved, told=there)
        assert day.day.start == MIDNIGHT + timedelta(hours=1)
        assert numbers(day) == [1000] * 44 + [2000] * 52

    def test_leaves_out_what_lies_between_its_intervals(self) -> None:
        half = channel(time_zone="Asia/Kolkata", interval_minutes=60)
        hourly = channel(device_id=OTHER_DEVICE, interval_minutes=60)
        there = sources(
            registers=[register(), register(device_id=OTHER_DEVICE, measurement_task_id=OTHER_TASK)],
            channels=[half, hourly],
        )
        moved = [
            assignment(valid_to=NOON, interval_minutes=60),
            assignment(valid_from=NOON, measurement_task_id=OTHER_TASK, interval_minutes=60),
        ]
        day = values_of(block(["1"] * 24, of=half), block(["2"] * 24, of=hourly), assignments=moved, told=there)
        assert numbers(day) == [None] * 12 + [2000] * 12

    def test_is_held_where_sap_may_not_hear_of_the_device(self) -> None:
        day = values_of(block(["1"] * 96), held={(SENDER, DEVICE)})
        assert day.held.all()
        assert not values_of(block(["1"] * 96), held={("P12", DEVICE)}).held.any()

    def test_of_23_hours_has_one_daily_interval(self) -> None:
        daily = channel(interval_minutes=1440)
        short = date(2026, 3, 29)
        day = values_of(
            block(["24"], of=daily, day=short),
            assignments=[assignment(interval_minutes=1440)],
            told=sources(channels=[daily]),
            day=short,
        )
        assert numbers(day) == [24000]
        assert (day.day.ends_at(0) - day.day.starts_at(0)) == timedelta(hours=23)


class TestScaled:
    @pytest.mark.parametrize(
        ("value", "by", "expected"),
        [
            pytest.param("0.000999", 1000, 0, id="cut"),
            pytest.param("-0.0019", 1000, -1, id="towards zero"),
            pytest.param("0.001", 1000, 1, id="exact"),
            pytest.param("0.333333", 3000, 999, id="cut after the factor"),
        ],
    )
    def test_is_cut_and_never_rounded_up(self, value: str, by: int, expected: int) -> None:
        assert scaled(block([value]), Fraction(by))[0] == expected

    def test_is_exact_where_int64_would_overflow(self) -> None:
        assert scaled(block(["9000000000000"]), Fraction(10**5, 3))[0] == 9 * 10**17 // 3

    def test_has_no_value_for_what_is_too_large(self) -> None:
        assert scaled(block(["9000000000000"]), Fraction(10**9))[0] == MISSING

    @given(st.integers(-(10**12), 10**12), st.fractions(min_value="0.001", max_value=10**6, max_denominator=10**6))
    def test_agrees_with_exact_arithmetic(self, element: int, by: Fraction) -> None:
        told = block([str(Decimal(element).scaleb(-6))])
        exact = Fraction(element, 10**6) * by
        cut = abs(exact.numerator) // exact.denominator
        assert scaled(told, by)[0] == (cut if exact >= 0 else -cut)


class TestGrid:
    def test_takes_from_the_register_and_the_channel_what_sap_leaves_out(self) -> None:
        plain = assignment(unit=None, fraction_digits=None, interval_minutes=None)
        found = sources(registers=[register(unit="WH")]).segments([plain], start=MIDNIGHT, end=END)
        assert Grid.of(found, zone="UTC") == Grid(zone=ZONE, minutes=15, unit="WH", decimals=6)

    def test_lies_in_the_senders_zone_before_any_value_has_come(self) -> None:
        found = sources(channels=[]).segments([assignment()], start=MIDNIGHT, end=END)
        assert Grid.of(found, zone="America/New_York").zone == "America/New_York"

    def test_has_no_more_decimals_than_an_array_holds(self) -> None:
        found = sources().segments([assignment(fraction_digits=14)], start=MIDNIGHT, end=END)
        assert Grid.of(found, zone=ZONE).decimals == 9


class TestOverlaps:
    def test_tells_spans_that_share_an_instant_from_those_that_touch(self) -> None:
        first = assignment(valid_to=NOON)
        assert not first.overlaps(replace(first, valid_from=NOON, valid_to=None))
        assert first.overlaps(replace(first, valid_from=NOON - timedelta(seconds=1), valid_to=None))
        assert first.measurement_task_id == TASK
