"""A migrated database, head ends that a test scripts or rehearses with the field behind them, and a validated meter."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mdus.storage.session import Database
from tests.head_ends.field import Field
from tests.head_ends.rehearsed import RehearsedHeadEnd
from tests.head_ends.scripted import ScriptedHeadEnd
from tests.unit.workers.validating import TABLES, Validating


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A migrated database, once on SQLite and once on PostgreSQL."""
    opened = Database(database_url)
    yield opened
    opened.close()


@pytest.fixture
def scripted() -> Iterator[ScriptedHeadEnd]:
    """A head end over real HTTP that does what a test says."""
    head_end = ScriptedHeadEnd()
    yield head_end
    head_end.close()


@pytest.fixture
def head_end() -> RehearsedHeadEnd:
    """A head end in this process that answers as a test has rehearsed it."""
    return RehearsedHeadEnd()


@pytest.fixture
def field(database_url: str, scripted: ScriptedHeadEnd) -> Iterator[Field]:
    """MDUS connected to the scripted head end, without a device yet."""
    field = Field(database_url, scripted.url)
    yield field
    field.close()


@pytest.fixture
def meter(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Validating]:
    """An installation on an empty database, whose raw interval values are validated."""
    folder = tmp_path_factory.mktemp("config")
    (folder / "test.toml").write_text(TABLES)
    found = Validating(database_url, str(folder))
    yield found
    found.close()
