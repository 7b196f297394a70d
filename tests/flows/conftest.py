"""An installation per test, once on SQLite and once on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.flows.intake.installation import Installation


@pytest.fixture
def mdus(database_url: str) -> Iterator[Installation]:
    """An installation without credentials, asked from loopback."""
    installation = Installation(database_url)
    yield installation
    installation.database.close()


@pytest.fixture
def mdus_on_sqlite(sqlite_url: str) -> Iterator[Installation]:
    """The same for what does not depend on the database."""
    installation = Installation(sqlite_url)
    yield installation
    installation.database.close()
