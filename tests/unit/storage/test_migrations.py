"""The migrations make the very tables that the code speaks to."""

from __future__ import annotations

import importlib
import pkgutil

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from mdus import storage
from mdus.storage.mapping import METADATA


def test_migrations_and_tables_agree(database_url: str) -> None:
    for module in pkgutil.iter_modules(storage.__path__, "mdus.storage."):
        importlib.import_module(module.name)  # declares its tables
    engine = create_engine(database_url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    engine.dispose()
