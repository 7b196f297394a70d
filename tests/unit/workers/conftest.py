"""A migrated database, and head ends that a test scripts or rehearses, with the field behind them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mdus.storage.session import Database
from tests.head_ends.field import Field
from tests.head_ends.rehearsed import RehearsedHeadEnd
from tests.head_ends.scripted import ScriptedHeadEnd


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
