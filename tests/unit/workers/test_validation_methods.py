"""Every method of estimation can be named in a rule set, whatever is known of the day."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from mdus.bootstrap.discovery import discover
from mdus.domain.channel import MISSING
from mdus.domain.reading_quality import ESTIMATED
from tests.unit.workers.test_validation import END, FULL, TABLES, Validating

METHODS = sorted(name for name, method in discover().tools.methods.items() if not method.of_register)
#: Those that have something to offer for a channel of which nothing but the values of the day is known.
ALONE = {"average_around", "linear", "value_fill", "zero_fill"}
LIMITS = {"value_fill": ", value = 0.5", "zero_fill": ", only_outages = false"}


@pytest.fixture
def using(tmp_path: Path) -> Iterator[Callable[[str, str], Validating]]:
    """Make an installation on a database whose rule set for electricity has one method."""
    made: list[Validating] = []

    def make(url: str, name: str) -> Validating:
        methods = f'[{{ name = "{name}"{LIMITS.get(name, "")} }}]'
        (tmp_path / "test.toml").write_text(
            f'{TABLES}\n[[rule_sets]]\nname = "electricity"\nreading_types = ["1-*"]\nrules = []\nmethods = {methods}\n'
        )
        made.append(Validating(url, str(tmp_path)))
        made[-1].register()
        return made[-1]

    yield make
    for each in made:
        each.database.close()


@pytest.mark.parametrize("name", METHODS)
def test_fills_a_day_or_leaves_it(name: str, using: Callable[[str, str], Validating], sqlite_url: str) -> None:
    meter = using(sqlite_url, name)
    meter.tell([*FULL[:50], MISSING, MISSING, *FULL[52:]])
    meter.work(at=END + timedelta(days=2))

    block = meter.final()
    assert block.values[:50].tolist() == FULL[:50]
    assert block.values[52:].tolist() == FULL[52:]
    if name in ALONE:
        assert block.is_complete
        assert meter.codes(block, 50) == (ESTIMATED,)
        (told,) = json.loads(block.basis or "")["estimates"]
        assert (told["method"], told["at"]) == (name, [[50, 51]])
        assert told["from"]
        assert 0 < told["confidence"] <= 1
    else:
        assert block.values[50:52].tolist() == [MISSING, MISSING]


def test_takes_the_register_where_it_was_read_at_both_ends(
    using: Callable[[str, str], Validating], database_url: str
) -> None:
    meter = using(database_url, "equal_distribution")
    meter.read(END - timedelta(days=1), "1000")
    meter.read(END, "1020")
    meter.tell([*FULL[:50], MISSING, MISSING, *FULL[52:]])
    meter.work(at=END + timedelta(days=2))

    block = meter.final()
    left = 20_000 - sum(FULL[:50]) - sum(FULL[52:])
    assert block.values[50:52].tolist() == [(left + 1) // 2] * 2
