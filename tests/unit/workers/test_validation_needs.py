"""What the default rule sets ask the database for: nothing around a meter, whatever else is there."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import pytest
from sqlalchemy import event

from mdus.bootstrap.discovery import discover
from mdus.domain.channel import MISSING
from mdus.settings import load_settings
from mdus.vee.days import Fact
from mdus.vee.rule_set import Judges, RuleSetRow
from tests.unit.workers.validating import END, FULL, Validating

AROUND: Final = frozenset(
    {
        Fact.SIBLING,
        Fact.HAS_SIBLING,
        Fact.CHECK,
        Fact.SIMILAR,
        Fact.TEMPERATURE,
        Fact.HISTORY_TEMPERATURE,
        Fact.REFERENCE_DAYS,
        Fact.SPAN_ADVANCE,
    }
)
SETS: Final = [row for row in load_settings({}).rows("rule_sets", RuleSetRow) if row.judges is Judges.INTERVALS]


@pytest.fixture
def meter(meter: Validating) -> Validating:
    """An installation with the default rule sets and the meter's register."""
    meter.register()
    return meter


@pytest.mark.parametrize("row", SETS, ids=lambda row: row.name)
def test_a_default_set_asks_for_nothing_around_a_meter(row: RuleSetRow) -> None:
    rule_set = discover().tools.rule_set(row)
    assert not (rule_set.needs | rule_set.methods_need) & AROUND


@pytest.mark.parametrize(
    ("values", "after", "most"),
    [(FULL, timedelta(hours=1), 20), ([*FULL[:40], *[MISSING] * 20, *FULL[60:]], timedelta(days=2), 26)],
    ids=["a whole day", "a day with a gap"],
)
def test_the_default_set_for_electricity_costs_what_it_did(
    meter: Validating, values: list[int], after: timedelta, most: int
) -> None:
    meter.tell(values)
    seen: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    meter.clock.instant = END + after
    event.listen(meter.database.engine, "before_cursor_execute", note)
    assert meter.worker.turn() == 1
    event.remove(meter.database.engine, "before_cursor_execute", note)
    asked = [each for each in seen if not each.startswith(("BEGIN", "SAVEPOINT", "RELEASE"))]
    looked = [each for each in asked if "day_temperature" in each or "device_location" in each]
    assert len(looked) == (values is not FULL)  # where a meter hangs is asked of days that lack values
    assert len(asked) == most
