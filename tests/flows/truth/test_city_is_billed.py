"""A small city whose true consumption is known: every fault that has to be found is, and the bills are right."""

from __future__ import annotations

from datetime import date

import pytest

from tests.benchmarks.truth.faults import KINDS
from tests.benchmarks.truth.judging import Judgement
from tests.benchmarks.truth.page import page
from tests.benchmarks.truth.run import figures, outcome
from tests.benchmarks.truth.scenario import Scenario, scenario

#: Ten days with the change of clocks, of 60 meters; eight of them by SOAP as well.
FIRST, DAYS, METERS, THROUGH_SAP = date(2026, 3, 22), 10, 60, 8


@pytest.fixture(scope="module")
def played() -> Scenario:
    return scenario(meters=METERS, first=FIRST, days=DAYS, through_sap=THROUGH_SAP)


@pytest.fixture(scope="module")
def found(played: Scenario, tmp_path_factory: pytest.TempPathFactory) -> Judgement:
    return outcome(played, tmp_path_factory.mktemp("truth"))


class TestACity:
    def test_misses_no_fault_beyond_a_threshold(self, found: Judgement) -> None:
        assert found.missed_beyond == []
        assert sum(each.flagged for each in found.kinds) > METERS / 2

    def test_has_faults_on_both_sides_of_the_thresholds(self, played: Scenario) -> None:
        assert {each.kind for each in played.faults} == set(KINDS)
        assert {each.own for each in played.faults} == {True, False}
        assert {each.beyond for each in played.faults} == {True, False}

    def test_raises_no_alarm_about_meters_without_faults(self, found: Judgement) -> None:
        assert found.clean_days == DAYS * METERS / 2
        assert found.false_alarm_percent < 0.5

    def test_bills_what_registers_moved_or_nothing(self, found: Judgement) -> None:
        assert found.off_register == {}
        assert found.held
        assert all("the register moved" in reason or "suspect" in reason for reason in found.held.values())
        assert found.billed + len(found.held) == METERS

    def test_bills_what_was_consumed(self, found: Judgement) -> None:
        assert found.clean_money.wrong == 0
        assert found.money.percent <= 0.5
        assert found.money.percent < found.money_as_it_stands.percent <= 0.5
        assert found.money_without.percent > 5

    def test_is_billed_the_same_by_soap(self, found: Judgement) -> None:
        assert found.compared == 3 * THROUGH_SAP
        assert (found.differing, found.one_way) == ([], [])

    def test_is_told_with_all_aims_held(self, played: Scenario, found: Judgement) -> None:
        assert [figure.name for figure in figures(found) if figure.held is False] == []
        told = page(played, found)
        assert "**no**" not in told
        assert all(f"\n| {kind} |" in told for kind in KINDS)

    def test_is_the_same_each_time(self, played: Scenario) -> None:
        again = scenario(meters=METERS, first=FIRST, days=DAYS, through_sap=THROUGH_SAP)
        assert [(each.kind, each.meter, each.day, each.beyond) for each in again.faults] == [
            (each.kind, each.meter, each.day, each.beyond) for each in played.faults
        ]
        assert all((again.city.loads[day] == loads).all() for day, loads in played.city.loads.items())
