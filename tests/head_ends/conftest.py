"""The fixture of the shared suite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.head_ends.city import City
from tests.head_ends.kinds import KINDS


@pytest.fixture(params=sorted(KINDS))
def city(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> Iterator[City]:
    """A running simulated head end of each kind, on each database."""
    city = City(request.param, database_url, tmp_path)
    yield city
    city.close()
