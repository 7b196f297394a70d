"""What is told of a day."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mdus.bootstrap.discovery import discover
from mdus.vee.days import Fact
from mdus.vee.explaining import basis_of, spans
from mdus.vee.pipeline import run
from mdus.vee.rule_set import RuleSetRow
from tests.unit.vee.channel_days import days_of

ROW = RuleSetRow.model_validate(
    {
        "name": "test",
        "reading_types": ["*"],
        "rules": [{"name": "missing_intervals"}, {"name": "negative_value", "replaces": True}],
        "methods": [{"name": "linear", "max_minutes": 30}],
        "estimated_share": 0.5,
    }
)


@pytest.mark.parametrize(("row", "at"), [([], []), ([0, 0], []), ([1, 1, 0, 1], [[0, 1], [3, 3]]), ([0, 1], [[1, 1]])])
def test_spans_name_first_and_last(row: list[int], at: list[list[int]]) -> None:
    assert spans(np.array(row, dtype=np.bool_)) == at


def test_says_what_was_found_and_made() -> None:
    days = days_of([4, -1, 8, 8], [4, 4, 4, 4], [None, None, None, 4], facts={Fact.LAST_VALUE: 4})
    result = run(days, discover().tools.rule_set(ROW))
    told, plain, withheld = (basis_of(result, place) for place in range(3))
    assert plain is None
    assert told is not None
    assert json.loads(told) == {
        "set": "test@1",
        "found": [
            {
                "rule": "negative_value",
                "severity": "issue",
                "says": "1 values are below zero",
                "at": [[1, 1]],
                "replaces": True,
            }
        ],
        "estimates": [
            {
                "method": "linear",
                "at": [[1, 1]],
                "from": "the values before and after: 0.004 and 0.008",
                "confidence": 0.88,
            }
        ],
    }
    assert withheld is not None
    assert json.loads(withheld)["withheld"] is True
