"""The choice of the value that answers a reading order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from mdus.domain.meter_reading_selection import (
    Anchor,
    Choice,
    Chosen,
    OutOfReach,
    ReadingPolicies,
    ReadingPolicy,
    ReadingReason,
    Window,
    best,
    candidates,
    misfit,
    reason_number,
)
from mdus.domain.reading import MeterReading, ReadingOrigin
from mdus.domain.register import Register
from mdus.domain.unit import Units
from mdus.settings import load_settings

TARGET = datetime(2026, 3, 10, 23, 0, tzinfo=UTC)
WINDOW = Window(
    starts_at=TARGET - timedelta(days=1),
    target_at=TARGET,
    ends_at=TARGET + timedelta(days=3),
)
REGISTER = Register(
    sender_system="P11",
    device_id="000000000000000042",
    measurement_task_id="000000000000100042",
    valid_from=date(2026, 1, 1),
    reading_type="1-0:1.8.0*255",
    unit="KWH",
    total_digits=8,
    fraction_digits=2,
)


def reading(
    at: datetime,
    value: str = "100.00",
    *,
    unit: str | None = "kWh",
    origin: ReadingOrigin = ReadingOrigin.SNAPSHOT,
) -> MeterReading:
    return MeterReading(
        sender_system="P11",
        device_id="000000000000000042",
        reading_type="1-0:1.8.0*255",
        measured_at=at,
        value=Decimal(value),
        unit=unit,
        origin=origin,
        received_at=at,
    )


UNITS = Units.of(load_settings({}))


def choose(
    readings: Iterable[MeterReading], *, units: Units, turns_over: bool = False, held: Any = frozenset(), **order: Any
) -> Chosen | None:
    ranked = candidates(readings, units=units, turns_over=turns_over, **order)
    return best(ranked, held=held, **order)


def chosen_at(*readings: MeterReading, choice: Choice = Choice.NEAREST, on_demand: bool = False) -> datetime | None:
    chosen = choose(readings, register=REGISTER, window=WINDOW, choice=choice, on_demand=on_demand, units=UNITS)
    return chosen and chosen.measured_at


def hours(count: float) -> datetime:
    return TARGET + timedelta(hours=count)


class TestWindow:
    @pytest.mark.parametrize(
        ("scheduled_on", "target", "day_length"),
        [
            pytest.param(date(2026, 3, 10), datetime(2026, 3, 10, 23, 0, tzinfo=UTC), 24, id="day of 24 hours"),
            pytest.param(date(2026, 3, 29), datetime(2026, 3, 29, 22, 0, tzinfo=UTC), 23, id="day of 23 hours"),
            pytest.param(date(2026, 10, 25), datetime(2026, 10, 25, 23, 0, tzinfo=UTC), 25, id="day of 25 hours"),
        ],
    )
    def test_means_the_midnight_after_the_scheduled_day(
        self, scheduled_on: date, target: datetime, day_length: int
    ) -> None:
        policy = ReadingPolicy(anchor=Anchor.END_OF_DAY, days_back=1)

        window = policy.window(scheduled_on, zone="Europe/Berlin")

        assert window.target_at == target
        assert window.target_at - window.starts_at == timedelta(hours=day_length)
        assert window.ends_at == target

    def test_means_the_midnight_before_the_scheduled_day(self) -> None:
        policy = ReadingPolicy(anchor=Anchor.START_OF_DAY, days_forward=1)

        window = policy.window(date(2026, 10, 25), zone="Europe/Berlin")

        assert window.target_at == window.starts_at == datetime(2026, 10, 24, 22, 0, tzinfo=UTC)
        assert window.ends_at - window.starts_at == timedelta(hours=25)

    def test_keeps_to_the_zone_of_the_sender(self) -> None:
        window = ReadingPolicy().window(date(2026, 3, 10), zone="Asia/Kolkata")

        assert window.target_at == datetime(2026, 3, 10, 18, 30, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("scheduled_on", "days_forward", "holds"),
        [
            pytest.param(date(9999, 12, 30), 0, True, id="its window is the last day"),
            pytest.param(date(9999, 12, 30), 1, False, id="its window leaves the calendar"),
            pytest.param(date(9999, 12, 31), 0, False, id="no day after it"),
        ],
    )
    def test_is_refused_beyond_the_calendar(self, scheduled_on: date, days_forward: int, holds: bool) -> None:
        policy = ReadingPolicy(days_forward=days_forward)

        if holds:
            assert policy.window(scheduled_on, zone="Europe/Berlin").target_at.year == 9999
        else:
            with pytest.raises(OutOfReach):
                policy.window(scheduled_on, zone="Europe/Berlin")

    @pytest.mark.parametrize(
        ("choice", "instant"),
        [
            pytest.param(Choice.EARLIEST, WINDOW.starts_at, id="earliest"),
            pytest.param(Choice.NEAREST, WINDOW.target_at, id="nearest"),
            pytest.param(Choice.LATEST, WINDOW.ends_at, id="latest"),
        ],
    )
    def test_is_complete_when_the_best_value_may_be_there(self, choice: Choice, instant: datetime) -> None:
        assert WINDOW.complete_at(choice) == instant


class TestPolicies:
    def test_follow_the_table_of_the_installation(self) -> None:
        settings = load_settings({}, tables={"reading_reasons": ReadingReason})

        policies = ReadingPolicies.of(settings)

        periodic = policies.for_reason("01")
        assert periodic == ReadingPolicy(days_forward=3)
        assert policies.for_reason("08") == ReadingPolicy(
            anchor=Anchor.START_OF_DAY, choice=Choice.EARLIEST, days_forward=1
        )
        assert policies.collection_delay == timedelta(hours=1)

    @pytest.mark.parametrize("code", ["1", "01", "001"])
    def test_compare_reasons_as_numbers(self, code: str) -> None:
        policies = ReadingPolicies(by_reason={"1": ReadingPolicy()})

        assert policies.for_reason(code) is not None

    @pytest.mark.parametrize("code", ["10", "11", "0", ""])
    def test_do_not_take_one_reason_for_another(self, code: str) -> None:
        policies = ReadingPolicies(by_reason={"1": ReadingPolicy()})

        assert policies.for_reason(code) is None

    def test_let_a_row_have_attempts_of_its_own(self) -> None:
        environ = {
            "MDUS_READING_REASONS__PERIODIC__ATTEMPTS": "7",
            "MDUS_READING_REASONS__PERIODIC__ATTEMPT_INTERVAL_MINUTES": "30",
        }

        policies = ReadingPolicies.of(load_settings(environ, tables={"reading_reasons": ReadingReason}))

        periodic, interim = policies.for_reason("1"), policies.for_reason("2")
        assert periodic is not None
        assert interim is not None
        assert (periodic.attempts, periodic.attempt_interval) == (7, timedelta(minutes=30))
        assert (interim.attempts, interim.attempt_interval) == (3, timedelta(days=1))

    def test_refuse_a_code_that_stands_in_two_rows(self) -> None:
        settings = load_settings({"MDUS_READING_REASONS__CONTROL__CODE": "1"})

        with pytest.raises(ValueError, match="stands in several rows"):
            ReadingPolicies.of(settings)


class TestReasonNumber:
    @pytest.mark.parametrize(("code", "number"), [("1", "1"), ("01", "1"), ("10", "10"), ("0", "0"), ("00", "0")])
    def test_drops_leading_zeros_only(self, code: str, number: str) -> None:
        assert reason_number(code) == number


class TestChoose:
    def test_has_nothing_to_choose_from(self) -> None:
        assert chosen_at() is None

    def test_takes_the_nearest(self) -> None:
        assert chosen_at(reading(hours(-5)), reading(hours(2)), reading(hours(9))) == hours(2)

    def test_takes_the_later_of_two_as_near(self) -> None:
        assert chosen_at(reading(hours(-2)), reading(hours(2)), reading(hours(3))) == hours(2)

    def test_takes_the_earliest(self) -> None:
        readings = reading(hours(9)), reading(hours(-5)), reading(hours(0))

        assert chosen_at(*readings, choice=Choice.EARLIEST) == hours(-5)

    def test_takes_the_latest(self) -> None:
        readings = reading(hours(9)), reading(hours(-5)), reading(hours(0))

        assert chosen_at(*readings, choice=Choice.LATEST) == hours(9)

    @pytest.mark.parametrize(
        ("at", "fits"),
        [
            pytest.param(WINDOW.starts_at - timedelta(microseconds=1), False, id="just before"),
            pytest.param(WINDOW.starts_at, True, id="at the start"),
            pytest.param(WINDOW.ends_at, True, id="at the end"),
            pytest.param(WINDOW.ends_at + timedelta(microseconds=1), False, id="just after"),
        ],
    )
    def test_keeps_to_the_window(self, at: datetime, fits: bool) -> None:
        assert (chosen_at(reading(at)) is not None) is fits

    def test_believes_the_newer_row_of_one_instant(self) -> None:
        rows = [reading(TARGET, "100.00"), reading(TARGET, "101.00")]

        chosen = choose(rows, register=REGISTER, window=WINDOW, choice=Choice.NEAREST, on_demand=False, units=UNITS)

        assert chosen is not None
        assert chosen.value == Decimal("101.00")

    @pytest.mark.parametrize(
        ("value", "digits", "shown"),
        [
            pytest.param("12345.679", 2, "12345.67", id="cut, never rounded up"),
            pytest.param("12345.999", 0, "12345", id="no decimals"),
            pytest.param("12345.6", 2, "12345.60", id="fewer decimals than the register"),
            pytest.param("0.009", 2, "0.00", id="less than the register shows"),
        ],
    )
    def test_cuts_to_the_decimals_of_the_register(self, value: str, digits: int, shown: str) -> None:
        register = replace(REGISTER, fraction_digits=digits)

        chosen = choose(
            [reading(TARGET, value)],
            register=register,
            window=WINDOW,
            choice=Choice.NEAREST,
            on_demand=False,
            units=UNITS,
        )

        assert chosen is not None
        assert str(chosen.value) == shown

    @pytest.mark.parametrize(
        ("value", "kept", "turned_over"),
        [
            pytest.param("999999.99", "999999.99", "999999.99", id="the largest it shows"),
            pytest.param("999999.999", "999999.99", "999999.99", id="cut before it is counted"),
            pytest.param("1000000.00", None, "0.00", id="one more"),
            pytest.param("12345678.91", None, "345678.91", id="counted on for long"),
            pytest.param("-1.239", "-1.23", "-1.23", id="below zero, cut towards it"),
            pytest.param("-0.009", "0.00", "0.00", id="no negative zero"),
        ],
    )
    def test_takes_no_more_digits_than_the_register_has(self, value: str, kept: str | None, turned_over: str) -> None:
        for turns_over, shown in ((False, kept), (True, turned_over)):
            chosen = choose(
                [reading(TARGET, value)],
                register=replace(REGISTER, total_digits=8),
                window=WINDOW,
                choice=Choice.NEAREST,
                on_demand=False,
                units=UNITS,
                turns_over=turns_over,
            )
            assert (chosen and str(chosen.value)) == shown

    @pytest.mark.parametrize(
        "total", [pytest.param(None, id="not known"), pytest.param(999_999_999, id="more than there are")]
    )
    def test_takes_any_value_a_result_can_carry_where_the_digits_do_not_say(self, total: int | None) -> None:
        register = replace(REGISTER, total_digits=total)
        assert register.has_digits_for(Decimal("999999999999999.99"))
        assert not register.has_digits_for(Decimal(10**15))
        assert not register.has_digits_for(-Decimal(10**15))
        assert register.turned_over(Decimal(10**15)) == 10**15

    @pytest.mark.parametrize("total", [8, None])
    @pytest.mark.parametrize("turns_over", [False, True])
    @pytest.mark.parametrize(
        "value", ["3.4028235E+38", "-3.4028235E+38", "1E+60", "9" * 27, "0." + "1" * 60], ids=lambda text: text[:8]
    )
    def test_can_be_asked_about_any_number_a_head_end_tells(
        self, value: str, turns_over: bool, total: int | None
    ) -> None:
        chosen = choose(
            [reading(TARGET, value)],
            register=replace(REGISTER, total_digits=total),
            window=WINDOW,
            choice=Choice.NEAREST,
            on_demand=False,
            units=UNITS,
            turns_over=turns_over,
        )
        assert (chosen is not None) is (abs(Decimal(value)) < 1)

    def test_cuts_to_as_many_decimals_as_a_result_can_carry(self) -> None:
        register = replace(REGISTER, total_digits=None, fraction_digits=14)
        assert str(register.as_shown(Decimal("1.123456789099"))) == "1.1234567890"

    @pytest.mark.parametrize(
        ("value", "unit", "why"),
        [
            pytest.param("999999.99", "kWh", None, id="fits"),
            pytest.param("1000000", "kWh", "The value 1000000.00 has more digits than the register", id="too long"),
            pytest.param("5", "m3", "The value 5 is in m3, the register in KWH", id="another unit"),
        ],
    )
    def test_says_why_a_value_is_none_of_the_register(self, value: str, unit: str, why: str | None) -> None:
        register = replace(REGISTER, total_digits=8)
        assert misfit([reading(TARGET, value, unit=unit)], register=register, units=UNITS) == why

    @pytest.mark.parametrize(
        ("told", "wanted", "value"),
        [
            pytest.param("kWh", "KWH", "5000.00", id="same unit in other letters"),
            pytest.param(None, "KWH", "5000.00", id="no unit told"),
            pytest.param("Wh", "KWH", "5.00", id="smaller unit"),
            pytest.param("MWh", "KWH", "5000000.00", id="larger unit"),
            pytest.param("m³", "M3", "5000.00", id="superscript"),
            pytest.param("kvarh", "KVR", "5000.00", id="four letters in the field, three in SAP"),
            pytest.param("l", "MTQ", "5.00", id="an ISO code"),
            pytest.param("kvarh", "KWH", None, id="another quantity"),
            pytest.param("m3", "KWH", None, id="another commodity"),
        ],
    )
    def test_brings_the_value_to_the_unit_of_the_register(
        self, told: str | None, wanted: str, value: str | None
    ) -> None:
        register = replace(REGISTER, unit=wanted, total_digits=None)

        chosen = choose(
            [reading(TARGET, "5000", unit=told)],
            register=register,
            window=WINDOW,
            choice=Choice.NEAREST,
            on_demand=False,
            units=UNITS,
        )

        assert (chosen and str(chosen.value)) == value

    @pytest.mark.parametrize(
        ("choice", "at", "certain"),
        [
            pytest.param(Choice.NEAREST, TARGET, True, id="nearest at the instant meant"),
            pytest.param(Choice.NEAREST, TARGET + timedelta(seconds=1), False, id="nearest a second off"),
            pytest.param(Choice.EARLIEST, WINDOW.starts_at, True, id="earliest at the start"),
            pytest.param(Choice.EARLIEST, TARGET, False, id="earliest later"),
            pytest.param(Choice.LATEST, WINDOW.ends_at, True, id="latest at the end"),
            pytest.param(Choice.LATEST, TARGET, False, id="latest earlier"),
        ],
    )
    def test_tells_whether_a_better_value_may_come(self, choice: Choice, at: datetime, certain: bool) -> None:
        chosen = choose([reading(at)], register=REGISTER, window=WINDOW, choice=choice, on_demand=False, units=UNITS)

        assert chosen is not None
        assert chosen.is_certain is certain


class TestChooseOnDemand:
    def test_prefers_what_was_read_for_a_command(self) -> None:
        stored, asked = reading(hours(1)), reading(hours(2), origin=ReadingOrigin.ON_DEMAND)

        assert chosen_at(stored, asked, on_demand=True) == hours(2)

    def test_takes_the_first_of_several_commands(self) -> None:
        asked = [reading(hours(count), origin=ReadingOrigin.ON_DEMAND) for count in (3, 2)]

        assert chosen_at(*asked, on_demand=True) == hours(2)

    def test_falls_back_on_a_stored_value_but_is_not_certain_of_it(self) -> None:
        chosen = choose(
            [reading(hours(1))], register=REGISTER, window=WINDOW, choice=Choice.NEAREST, on_demand=True, units=UNITS
        )

        assert chosen is not None
        assert not chosen.is_certain


class TestPartOfAWindow:
    @pytest.mark.parametrize(
        ("starts", "ends", "expected"),
        [
            pytest.param(None, None, (-1, 0, 3), id="no bound"),
            pytest.param(-9, 9, (-1, 0, 3), id="bounds outside"),
            pytest.param(-1, 0, (-1, 0, 0), id="up to what is meant"),
            pytest.param(0, None, (0, 0, 3), id="from what is meant on"),
            pytest.param(None, -1, (-1, -1, -1), id="an instant before what is meant"),
            pytest.param(2, None, (2, 2, 3), id="after what is meant"),
        ],
    )
    def test_has_what_is_meant_inside(
        self, starts: int | None, ends: int | None, expected: tuple[int, int, int]
    ) -> None:
        bounds = [None if days is None else TARGET + timedelta(days=days) for days in (starts, ends)]
        first, target, last = (TARGET + timedelta(days=days) for days in expected)
        assert WINDOW.within(*bounds) == Window(starts_at=first, target_at=target, ends_at=last)

    def test_includes_its_bounds_and_nothing_beyond(self) -> None:
        moment = timedelta(microseconds=1)
        assert WINDOW.includes(WINDOW.starts_at)
        assert WINDOW.includes(WINDOW.ends_at)
        assert not WINDOW.includes(WINDOW.starts_at - moment)
        assert not WINDOW.includes(WINDOW.ends_at + moment)

    def test_without_an_instant_in_common_includes_none(self) -> None:
        part = WINDOW.within(None, WINDOW.starts_at - timedelta(days=1))
        assert not any(part.includes(TARGET + timedelta(days=days)) for days in range(-3, 5))
