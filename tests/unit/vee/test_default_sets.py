"""The rule sets of config/vee.toml: they let plausible profiles pass, and find what is put into them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Final

import numpy as np
import pytest

from mdus.bootstrap.discovery import discover
from mdus.domain.channel import MISSING
from mdus.settings import load_settings
from mdus.vee.days import Days, Fact, Flag, unknown
from mdus.vee.pipeline import Result, State, run
from mdus.vee.rule import Severity
from mdus.vee.rule_set import Judges, RuleSet, RuleSetRow, fitting
from tests.unit.vee.load_profiles import ELECTRICITY, GAS, HEAT, WATER, Kind, days_of_year, together

#: The share of plausible days of which anything at all may be told.
FALSE_ALARMS: Final = 0.005
METERS: Final = 6
NO_FLAG: Final = Flag(0)


@lru_cache
def rows() -> tuple[RuleSetRow, ...]:
    loaded = load_settings({})
    return tuple(row for row in loaded.rows("rule_sets", RuleSetRow) if row.judges is Judges.INTERVALS)


def rule_set(reading_type: str) -> RuleSet:
    row = fitting(rows(), reading_type)
    assert row is not None
    return discover().tools.rule_set(row)


def channels(kind: Kind, *, quantum: int, meters: int = METERS) -> Days:
    rng = np.random.default_rng(20260211)
    steps = (quantum, 100, 1000)
    return together(
        [days_of_year(kind, rng, quantum=quantum, step=steps[number % len(steps)]) for number in range(meters)]
    )


def found(result: Result) -> dict[str, int]:
    """The days a rule has anything to say of, by rule."""
    counted = {}
    for step, finding in zip(result.rule_set.steps, result.findings, strict=True):
        if finding is not None and finding.flagged.any():
            counted[step.rule.name] = int(finding.flagged.sum())
    return counted


CASES: Final = [
    pytest.param(reading_type, kind, quantum, id=f"{medium}-{name}-{quantum}")
    for medium, reading_type, kinds in (
        ("electricity", "1-0:1.29.0*255", ELECTRICITY),
        ("gas", "7-0:3.0.0*255", GAS),
        ("water", "8-0:1.0.0*255", WATER),
        ("heat", "6-0:1.0.0*255", HEAT),
    )
    for name, kind in kinds.items()
    for quantum in (1, 10)
]


class TestPlausibleProfiles:
    @pytest.mark.parametrize(("reading_type", "kind", "quantum"), CASES)
    def test_hardly_any_day_is_told_of(self, reading_type: str, kind: Kind, quantum: int) -> None:
        days = channels(kind, quantum=quantum)
        result = run(days, rule_set(reading_type))
        assert (~result.is_plain).mean() < FALSE_ALARMS, found(result)

    @pytest.mark.parametrize(
        "name",
        [name for name in ELECTRICITY if name != "flow_heater"],  # its first days are all peaks: docs/vee.md
    )
    def test_hardly_any_day_of_a_new_meter_is_told_of(self, name: str) -> None:
        days = channels(ELECTRICITY[name], quantum=1)
        past = {fact: unknown(fact, days.count, 96) for fact in Fact if fact.value.startswith("past_")}
        result = run(replace(days, facts={**days.facts, **past}), rule_set("1-0:1.29.0*255"))
        assert (~result.is_plain).mean() < FALSE_ALARMS, found(result)


class TestTheSets:
    @pytest.mark.parametrize(
        ("reading_type", "name"),
        [
            ("1-0:1.29.0*255", "electricity"),
            ("1-0:2.29.0*255", "electricity"),
            ("1-0:16.29.0*255", "electricity_net"),
            ("1-0:3.29.0*255", "electricity_reactive"),
            ("1-0:8.29.0*255", "electricity_reactive"),
            ("1-0:32.29.0*255", "electricity"),
            ("7-0:3.0.0*255", "gas"),
            ("8-0:1.0.0*255", "water"),
            ("6-0:1.0.0*255", "heat"),
        ],
    )
    def test_there_is_one_for_each_medium(self, reading_type: str, name: str) -> None:
        assert rule_set(reading_type).name == name

    def test_electricity_has_the_rules_it_must_have(self) -> None:
        numbers = {step.rule.number for step in rule_set("1-0:1.29.0*255").steps}
        assert {"V1", "V4", "V6", "V7", "V13", "V14", "V16", "V28"} <= numbers

    @pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
    def test_replace_nothing_but_values_that_are_surely_wrong(self, row: RuleSetRow) -> None:
        replacing = {use.name for use in row.rules if use.replaces}
        assert (
            {"pulse_overflow", "test_mode"} <= replacing <= {"pulse_overflow", "test_mode", "negative_value", "spike"}
        )
        assert all(use.severity is Severity.ISSUE for use in row.rules if use.replaces)


def plain_day() -> Days:
    """The first of a household's days: nothing is to be told of it."""
    days = channels(ELECTRICITY["household"], quantum=1, meters=1)
    return days.rows(np.arange(days.count) == 100)


def changed(days: Days, *, values: Mapping[int, int], flags: Flag = NO_FLAG) -> Days:
    """The day with other values at some intervals, which carry these flags."""
    new, bits = days.values.copy(), days.flags.copy()
    for place, value in values.items():
        new[0, place] = value
        bits[0, place] = int(flags)
    return replace(days, values=new, flags=bits)


class TestWhatIsPutIn:
    @pytest.mark.parametrize(
        ("rule", "values", "flags"),
        [
            pytest.param("missing_intervals", {40: MISSING}, NO_FLAG, id="a_gap"),
            pytest.param("pulse_overflow", {40: 65_535}, Flag.OVERFLOW, id="overflow"),
            pytest.param("test_mode", {40: 900}, Flag.TEST_MODE, id="test_mode"),
            pytest.param("negative_value", {40: -1}, NO_FLAG, id="negative"),
            pytest.param("spike", {40: 9_999}, NO_FLAG, id="spike"),
            pytest.param("sum_check", {40: 2_500}, NO_FLAG, id="sum"),
            pytest.param("frozen_value", dict.fromkeys(range(40, 56), 431), NO_FLAG, id="frozen"),
            pytest.param("consecutive_zeros", dict.fromkeys(range(40, 49), 0), NO_FLAG, id="zeros"),
            pytest.param("zero_consumption", dict.fromkeys(range(96), 0), NO_FLAG, id="all_zero"),
            pytest.param("high_low_usage", dict.fromkeys(range(96), 2_000), NO_FLAG, id="too_high"),
            pytest.param("device_flags", {40: 20}, Flag.DEVICE_FAULT, id="fault"),
        ],
    )
    def test_is_found(self, rule: str, values: Mapping[int, int], flags: Flag) -> None:
        days = plain_day()
        assert run(days, rule_set("1-0:1.29.0*255")).is_plain.all()
        result = run(changed(days, values=values, flags=flags), rule_set("1-0:1.29.0*255"))
        assert rule in found(result)

    def test_values_below_zero_are_in_order_in_a_channel_of_both_directions(self) -> None:
        days = changed(plain_day(), values={40: -900, 41: -700})
        days.facts[Fact.ADVANCE][:] = days.totals()
        assert run(days, rule_set("1-0:16.29.0*255")).is_plain.all()
        assert not run(days, rule_set("1-0:1.29.0*255")).is_plain.any()

    @pytest.mark.parametrize("value", [9_999, -1])
    def test_is_replaced_when_surely_wrong_and_the_day_is_mended(self, value: int) -> None:
        days = plain_day()
        result = run(changed(days, values={40: value}), rule_set("1-0:1.29.0*255"))
        assert result.state[0, 40] == State.ESTIMATED
        assert result.values[0].sum() == days[Fact.ADVANCE][0]
        assert not result.at_issue[0]
