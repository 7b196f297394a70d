"""Which schema a database has, held against the one this version of MDUS needs."""

from __future__ import annotations

from enum import StrEnum

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

from mdus.settings import data_folder


class SchemaState(StrEnum):
    """How a database's schema stands to the one this version needs."""

    EMPTY = "empty"  # no table at all
    CURRENT = "current"
    OLDER = "older"  # migrations are missing
    NEWER = "newer"  # migrated by a version this one does not know
    FOREIGN = "foreign"  # tables, but none that says which schema they are


def schema_state(connection: Connection) -> SchemaState:
    """Return how the database's schema stands to the one this version of MDUS needs."""
    scripts = ScriptDirectory(str(data_folder("migrations")))
    heads = set(MigrationContext.configure(connection).get_current_heads())
    if not heads:
        tables = set(inspect(connection).get_table_names()) - {"alembic_version"}
        return SchemaState.FOREIGN if tables else SchemaState.EMPTY
    if heads == set(scripts.get_heads()):
        return SchemaState.CURRENT
    known = {script.revision for script in scripts.walk_revisions()}
    return SchemaState.OLDER if heads <= known else SchemaState.NEWER
