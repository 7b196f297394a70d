"""What the tables say of profiles."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from pydantic import ValidationError

from mdus.domain.reading_quality import QualitySet
from mdus.domain.recurrence import Recurrences
from mdus.domain.time_series_policy import Gaps, IntervalExportRow, ItemStatusRow, LoadProfileRow, TimeSeriesPolicy
from mdus.services.measurement_task_assignment_change import TABLES
from mdus.settings import load_settings
from tests.unit.domain.profiles import INTERVALS, REGISTER, policy, register


def schedule(said: TimeSeriesPolicy, **facts: Any) -> timedelta:
    told = {"time_series": "815", "role": "01", "recurrence": "15", **facts}
    return said.schedule(told.pop("sender_system", "P11"), **told).cadence


class TestTheDefaults:
    def test_feed_the_usual_registers_and_export_daily(self) -> None:
        said = TimeSeriesPolicy.of(load_settings({}, tables=TABLES))
        assert said.interval_types(register()) == (INTERVALS,)
        assert schedule(said) == timedelta(days=1)
        assert (said.valid_status, said.missing_status) == ("ACTL", "INVL")
        assert said.schedule("P11", time_series="1", role="1", recurrence=None).gaps is Gaps.OMIT


class TestIntervalTypes:
    def test_are_those_of_the_rows(self) -> None:
        assert policy().interval_types(register()) == (INTERVALS,)

    def test_are_none_of_a_plain_register_without_a_row(self) -> None:
        assert policy().interval_types(register(reading_type="1-0:2.8.0*255")) == ()

    def test_are_its_own_when_its_recurrence_says_so(self) -> None:
        said = policy(recurrences=Recurrences(minutes={"0": 0, "15": 15}))
        gas = register(reading_type="7-0:3.0.0*255", recurrence_code="015")
        assert said.interval_types(gas) == ("7-0:3.0.0*255",)
        assert said.interval_types(register(reading_type="7-0:3.0.0*255", recurrence_code="0")) == ()
        assert said.interval_types(register(recurrence_code="15")) == (INTERVALS, REGISTER)

    def test_are_its_own_when_it_is_what_intervals_come_under(self) -> None:
        assert policy().interval_types(register(reading_type=INTERVALS)) == (INTERVALS,)


class TestFactorOf:
    def test_is_the_registers(self) -> None:
        assert policy().factor_of(register(factor=Decimal("2.5")), INTERVALS) == Fraction(5, 2)
        assert policy().factor_of(register(), INTERVALS) == 1

    def test_is_one_where_the_head_end_has_applied_it(self) -> None:
        row = LoadProfileRow(name="a", reading_type=REGISTER, intervals=INTERVALS, factor_applied_by="head_end")
        said = policy(load_profiles=(row,))
        assert said.factor_of(register(factor=Decimal(40)), INTERVALS) == 1
        assert said.factor_of(register(factor=Decimal(40)), REGISTER) == 40

    def test_is_one_then_for_the_interval_register_of_these_values_too(self) -> None:
        row = LoadProfileRow(name="a", reading_type=REGISTER, intervals=INTERVALS, factor_applied_by="head_end")
        own = register(reading_type=INTERVALS, factor=Decimal(40))
        assert policy(load_profiles=(row,)).factor_of(own, INTERVALS) == 1
        assert policy().factor_of(own, INTERVALS) == 40


class TestSchedule:
    ROWS = (
        IntervalExportRow(name="all", cadence_minutes=1440),
        IntervalExportRow(name="quarter", recurrence="15", cadence_minutes=15),
        IntervalExportRow(name="industry", time_series="8*", recurrence="15", cadence_minutes=30),
        IntervalExportRow(name="again", time_series="81*", recurrence="15", cadence_minutes=60),
        IntervalExportRow(name="other", sender_system="P12", role="02", cadence_minutes=120),
    )

    @pytest.mark.parametrize(
        ("facts", "minutes"),
        [
            pytest.param({"recurrence": None}, 1440, id="nothing stated"),
            pytest.param({"recurrence": "015", "time_series": "915"}, 15, id="recurrence as a number"),
            pytest.param({}, 30, id="the first of those that state as much"),
            pytest.param({"sender_system": "P12", "role": "2", "recurrence": "60"}, 120, id="sender and role"),
            pytest.param({"sender_system": "P12", "role": "1", "recurrence": "60"}, 1440, id="another role"),
        ],
    )
    def test_is_that_of_the_row_that_states_most(self, facts: dict[str, Any], minutes: int) -> None:
        assert schedule(policy(exports=self.ROWS), **facts) == timedelta(minutes=minutes)

    @pytest.mark.parametrize(
        ("facts", "is_sound"),
        [
            pytest.param({"cadence_minutes": 20}, True, id="part of the hour"),
            pytest.param({"cadence_minutes": 120}, True, id="whole hours"),
            pytest.param({"cadence_minutes": 45}, False, id="neither"),
            pytest.param({"cut_off_minutes": 60, "give_up_minutes": 60}, True, id="given up at the cut-off"),
            pytest.param({"cut_off_minutes": 61, "give_up_minutes": 60}, False, id="given up before the cut-off"),
        ],
    )
    def test_is_sound(self, facts: dict[str, int], is_sound: bool) -> None:
        if is_sound:
            IntervalExportRow(name="row", **facts)
        else:
            with pytest.raises(ValidationError):
                IntervalExportRow(name="row", **facts)


class TestStatusOf:
    ROWS = (
        ItemStatusRow(name="estimated", quality="*.8.*", code="ESTM"),
        ItemStatusRow(name="doubtful", quality="*.10.*", code="DOUB"),
    )

    def test_is_that_of_the_first_row_that_fits(self) -> None:
        said = policy(statuses=self.ROWS)
        assert said.status_of(QualitySet()) == "ACTL"
        assert said.status_of(QualitySet.of(["1.10.2"])) == "DOUB"
        assert said.status_of(QualitySet.of(["1.10.2", "2.8.1"])) == "ESTM"

    def test_has_a_name_for_people(self) -> None:
        said = policy(statuses=self.ROWS)
        assert [said.name_of(code) for code in ("ACTL", "INVL", "ESTM", "OLD")] == [
            "valid",
            "missing",
            "estimated",
            None,
        ]
