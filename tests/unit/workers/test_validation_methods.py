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
from tests.unit.workers.validating import END, FULL, TABLES, Validating

METHODS = sorted(name for name, method in discover().tools.methods.items() if not method.of_register)
#: Those that have something to offer for a channel of which nothing but the values of the day is known.
ALONE = ("average_around", "linear", "value_fill")
GAP = [*FULL[:50], MISSING, MISSING, *FULL[52:]]


@pytest.fixture
def using(tmp_path: Path, database_url: str) -> Iterator[Callable[..., Validating]]:
    """Make an installation whose rule set for electricity has these methods in this order, and no rule."""
    made: list[Validating] = []

    def make(*names: str) -> Validating:
        limits = {"value_fill": ", value = 0.5"}
        methods = ", ".join(f'{{ name = "{name}"{limits.get(name, "")} }}' for name in names)
        (tmp_path / "test.toml").write_text(
            f'{TABLES}\n[[rule_sets]]\nname = "electricity"\nreading_types = ["1-*"]\n'
            f"rules = []\nmethods = [{methods}]\n"
        )
        made.append(Validating(database_url, str(tmp_path)))
        made[-1].register()
        return made[-1]

    yield make
    for each in made:
        each.database.close()


def test_what_has_nothing_to_offer_leaves_the_gap_to_the_next(using: Callable[..., Validating]) -> None:
    meter = using(*(name for name in METHODS if name not in ALONE), *ALONE)
    meter.tell(GAP)
    meter.work(at=END + timedelta(days=2))

    block = meter.final()
    assert block.values[:50].tolist() == FULL[:50]
    assert block.values[52:].tolist() == FULL[52:]
    assert meter.codes(block, 50) == (ESTIMATED,)
    (told,) = json.loads(block.basis or "")["estimates"]
    assert (told["method"], told["at"]) == ("average_around", [[50, 51]])
    assert told["from"] == "the mean of 10 values around the gap"
    assert 0 < told["confidence"] <= 1


def test_the_register_counts_where_it_was_read_at_both_ends(using: Callable[..., Validating]) -> None:
    meter = using("equal_distribution")
    meter.read(END - timedelta(days=1), "1000")
    meter.read(END, "1020")
    meter.tell(GAP)
    meter.work(at=END + timedelta(days=2))

    left = 20_000 - sum(FULL[:50]) - sum(FULL[52:])
    assert meter.final().values[50:52].tolist() == [(left + 1) // 2] * 2
