"""An installation per test, once on SQLite and once on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.flows.validation.installed import Installed
from tests.flows.validation.street import Street


@pytest.fixture
def meter(database_url: str, tmp_path: Path) -> Iterator[Installed]:
    """One channel of one meter."""
    folder = tmp_path / "config"
    folder.mkdir()
    made = Installed(database_url, folder)
    yield made
    made.close()


@pytest.fixture
def street(database_url: str, tmp_path: Path) -> Iterator[Callable[..., Street]]:
    """Make a street with the rules, methods and tables that a test gives."""
    folder = tmp_path / "street"
    folder.mkdir()
    made: list[Street] = []

    def make(**given: str) -> Street:
        made.append(Street(database_url, folder, **given))
        return made[-1]

    yield make
    for each in made:
        each.close()
