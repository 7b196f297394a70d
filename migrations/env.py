"""Alembic's entry: runs the migrations on the database whose URL the caller names."""

from __future__ import annotations

import os

from alembic import context
from alembic.runtime.migration import MigrationInfo
from sqlalchemy import create_engine, pool

from mdus.storage import session  # noqa: F401 - importing it declares every table
from mdus.storage.column_types import EnumText, ExactDecimal, TextPairs, UtcInstant
from mdus.storage.mapping import METADATA


def render_item(kind: str, item: object, autogen_context: object) -> str | bool:
    """Write our own column types into a new migration by their names."""
    if kind == "type" and isinstance(item, EnumText | TextPairs):
        return "sa.Text()"
    if kind == "type" and isinstance(item, ExactDecimal | UtcInstant):
        return f"{type(item).__name__}()"
    return False


def tell(*, step: MigrationInfo, **_: object) -> None:
    """Tell the caller of the migrations which revision was applied just now."""
    applied = context.config.attributes.get("applied")
    if applied is not None and step.up_revision_id is not None:
        applied(step.up_revision_id)


url = context.config.attributes.get("url") or os.environ.get("MDUS_DATABASE__URL", "sqlite:///mdus.db")
engine = create_engine(url, poolclass=pool.NullPool)
with engine.connect() as connection:
    context.configure(
        connection=connection,
        render_item=render_item,
        target_metadata=METADATA,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
        on_version_apply=tell,
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
