"""An installation per test, once on SQLite and once on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.validation.installed import Installed


@pytest.fixture
def meter(database_url: str, tmp_path: Path) -> Iterator[Installed]:
    """One channel of one meter."""
    folder = tmp_path / "config"
    folder.mkdir()
    made = Installed(database_url, folder)
    yield made
    made.close()
