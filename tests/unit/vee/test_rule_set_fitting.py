"""Which rule set is for a channel, and which for a register."""

from __future__ import annotations

import pytest

from mdus.bootstrap.discovery import discover
from mdus.settings import load_settings
from mdus.vee.rule_set import Judges, MethodUse, RuleSetRow, fitting

ROWS = [
    RuleSetRow(name="all", judges=Judges.REGISTERS, reading_types=("*",)),
    RuleSetRow(name="gas", judges=Judges.REGISTERS, reading_types=("*",), divisions=("02",)),
    RuleSetRow(name="import", judges=Judges.REGISTERS, reading_types=("1-0:1.8.*",)),
    RuleSetRow(name="intervals", reading_types=("1-0:1.8.0*",)),
]


class TestFitting:
    @pytest.mark.parametrize(
        ("reading_type", "division", "name"),
        [
            pytest.param("8-0:1.0.0*255", None, "all", id="without_a_division"),
            pytest.param("8-0:1.0.0*255", "01", "all", id="another_division"),
            pytest.param("8-0:1.0.0*255", "2", "gas", id="its_division_without_the_zero"),
            pytest.param("1-0:1.8.0*255", "02", "import", id="longer_pattern_before_division"),
        ],
    )
    def test_finds_the_closest_set_for_a_register(self, reading_type: str, division: str | None, name: str) -> None:
        found = fitting(ROWS, reading_type, judges=Judges.REGISTERS, division=division)
        assert found is not None
        assert found.name == name

    def test_keeps_sets_for_registers_from_intervals(self) -> None:
        found = fitting(ROWS, "1-0:1.8.0*255")
        assert found is not None
        assert found.name == "intervals"
        assert fitting(ROWS, "8-0:1.0.0*255") is None


class TestTheSetsAsShipped:
    @pytest.mark.parametrize(
        ("reading_type", "name"),
        [
            pytest.param("1-0:1.8.0*255", "counters", id="active_energy"),
            pytest.param("1-1:2.8.1*255", "counters", id="fed_in_by_tariff"),
            pytest.param("7-0:3.0.0*255", "counters", id="gas_volume"),
            pytest.param("8-0:1.0.0*255", "counters", id="water_volume"),
            pytest.param("1-0:16.8.0*255", "net_registers", id="net_energy"),
            pytest.param("1-0:1.6.0*255", None, id="maximum_that_is_reset"),
            pytest.param("1-0:1.7.0*255", None, id="power_now"),
        ],
    )
    def test_judge_registers_that_only_count_up(self, reading_type: str, name: str | None) -> None:
        rows = load_settings({}, tables=discover().tables).rows("rule_sets", RuleSetRow)
        found = fitting(rows, reading_type, judges=Judges.REGISTERS)
        assert (found and found.name) == name


class TestProblems:
    def test_are_told_of_intervals_by_division(self) -> None:
        row = RuleSetRow(name="odd", reading_types=("*",), divisions=("01",))
        assert any("division" in problem.what for problem in discover().tools.problems(row))
        assert not list(discover().tools.problems(ROWS[1]))

    @pytest.mark.parametrize(
        ("judges", "method", "fits"),
        [
            pytest.param("registers", "register_daily_average", True, id="readings"),
            pytest.param("registers", "linear", False, id="no_readings"),
            pytest.param("intervals", "linear", True, id="values"),
            pytest.param("intervals", "register_daily_average", False, id="no_values"),
        ],
    )
    def test_are_told_of_methods_for_the_other_kind(self, judges: Judges, method: str, fits: bool) -> None:
        row = RuleSetRow(name="odd", judges=judges, reading_types=("*",), methods=(MethodUse(name=method),))
        assert (not list(discover().tools.problems(row))) is fits
