"""Findings: about intervals, about days."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from mdus.vee.rule import Amount, Finding, Parameters
from tests.unit.vee.channel_days import days_of


class Limits(Parameters):
    tolerance: Amount = 1.0


class TestFinding:
    def test_of_intervals_flags_the_days_they_are_in_and_counts_them(self) -> None:
        finding = Finding.of_intervals(np.array([[True, True], [False, False]]))
        assert finding.flagged.tolist() == [True, False]
        assert finding.judged.tolist() == [True, True]
        assert finding.figure.tolist() == [2, 0]
        assert finding.limit.tolist() == [0, 0]

    def test_of_intervals_takes_figures_for_all_or_for_each(self) -> None:
        finding = Finding.of_intervals(
            np.zeros((2, 3), dtype=np.bool_), judged=np.array([True, False]), figure=np.array([1, 2]), limit=7
        )
        assert finding.judged.tolist() == [True, False]
        assert finding.figure.tolist() == [1, 2]
        assert finding.limit.tolist() == [7, 7]

    def test_of_days_suspects_no_value(self) -> None:
        days = days_of([1, 2], [3, 4])
        finding = Finding.of_days(np.array([True, False]), days=days, figure=1, limit=2)
        assert not finding.suspect.any()
        assert finding.suspect.shape == (2, 2)
        assert finding.flagged.tolist() == [True, False]
        assert finding.judged.tolist() == [True, True]


class TestParameters:
    @pytest.mark.parametrize("wrong", [{"tolerance": -0.1}, {"tolerance": float("nan")}, {"tolerances": 1}])
    def test_refuse_what_is_no_limit(self, wrong: dict[str, float]) -> None:
        with pytest.raises(ValidationError):
            Limits.model_validate(wrong)

    def test_take_a_limit(self) -> None:
        assert Limits.model_validate({"tolerance": 0}).tolerance == 0
