"""Both sides at noon of the day of the technical work, Saturday 2026-03-28 in Berlin, before a night an hour short."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.flows.both_sides import BothSides

NOON = datetime(2026, 3, 28, 11, 0, tzinfo=UTC)


@pytest.fixture
def sides(database_url: str, tmp_path: Path) -> Iterator[BothSides]:
    made = BothSides(database_url, tmp_path, now=NOON)
    yield made
    made.close()
