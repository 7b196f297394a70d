"""V1: the intervals of a day that have no value."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mdus.vee.validation.missing_intervals import RULE
from tests.unit.vee.channel_days import days_of, found, suspects


class TestCheck:
    @pytest.mark.parametrize("width", [92, 96, 100])
    def test_passes_a_complete_day_of_any_length(self, width: int) -> None:
        assert not found(RULE, days_of([5] * width)).flagged[0]

    @pytest.mark.parametrize(("missing", "is_flagged"), [(2, False), (3, True)])
    def test_flags_more_than_are_allowed(self, missing: int, is_flagged: bool) -> None:
        finding = found(RULE, days_of([None] * missing + [5] * 93), at_most=2)
        assert finding.flagged[0] == is_flagged
        assert suspects(finding) == (list(range(missing)) if is_flagged else [])

    def test_flags_one_by_default(self) -> None:
        finding = found(RULE, days_of([5, None, 5]))
        assert suspects(finding) == [1]
        assert finding.figure[0] == 1

    def test_expects_nothing_of_a_meter_that_was_not_there(self) -> None:
        days = replace(days_of([None, None, 5]), expected=np.array([[False, True, True]]))
        finding = found(RULE, days)
        assert suspects(finding) == [1]
        assert finding.figure[0] == 1

    def test_does_not_judge_a_day_that_is_not_over(self) -> None:
        finding = found(RULE, days_of([5, None, 5], is_over=False))
        assert not finding.judged[0]
        assert not finding.flagged[0]
