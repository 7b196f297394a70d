"""What the hard cases share: both sides of MDUS with two meters, and a few steps that most of them take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.flows.both_sides import BothSides
from tests.flows.hard_cases.sap_messages import METER, OTHER
from tests.flows.hard_cases.steps import START

Open = Callable[[str], BothSides]


@pytest.fixture
def open_sides(tmp_path: Path) -> Iterator[Open]:
    """What opens both sides on a database without any device, as often as a test restarts MDUS."""
    opened: list[BothSides] = []

    def make(url: str) -> BothSides:
        folder = tmp_path / f"sides{len(opened)}"
        folder.mkdir()
        for given in tmp_path.glob("*.toml"):
            (folder / given.name).write_text(given.read_text())
        opened.append(BothSides(url, folder, now=START))
        return opened[-1]

    yield make
    for sides in opened:
        sides.close()


@pytest.fixture
def empty_sides(open_sides: Open, database_url: str) -> BothSides:
    """Both sides without any device, once on SQLite and once on PostgreSQL."""
    return open_sides(database_url)


@pytest.fixture
def sides(empty_sides: BothSides) -> BothSides:
    """Both sides with two meters that have a breaker and one register each."""
    empty_sides.meter(METER)
    empty_sides.meter(OTHER)
    return empty_sides


@pytest.fixture
def empty_sides_on_sqlite(open_sides: Open, sqlite_url: str) -> BothSides:
    """Both sides without any device, for what does not depend on the database."""
    return open_sides(sqlite_url)


@pytest.fixture
def sides_on_sqlite(empty_sides_on_sqlite: BothSides) -> BothSides:
    """Both sides with two meters, for what does not depend on the database."""
    empty_sides_on_sqlite.meter(METER)
    empty_sides_on_sqlite.meter(OTHER)
    return empty_sides_on_sqlite


@pytest.fixture(params=["Asia/Kolkata", "America/New_York"])
def zone_of_the_server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Let the machine stand somewhere else."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()
