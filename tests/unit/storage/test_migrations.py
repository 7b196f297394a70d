"""The migrations make the very tables that the code speaks to."""

from __future__ import annotations

import importlib
import pkgutil

from alembic import command as alembic
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect

from mdus import storage
from mdus.settings import data_folder
from mdus.storage.mapping import METADATA


def test_migrations_and_tables_agree(database_url: str) -> None:
    for module in pkgutil.iter_modules(storage.__path__, "mdus.storage."):
        importlib.import_module(module.name)  # declares its tables
    engine = create_engine(database_url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    engine.dispose()


def test_indexes_of_0020_come_and_go(database_url: str) -> None:
    url = database_url.replace("postgresql://", "postgresql+psycopg://")
    engine = create_engine(url)
    config = Config()
    config.attributes["url"] = url
    config.set_main_option("script_location", str(data_folder("migrations")))
    made = {("command", "command_provisioned"), ("load_control_event", "load_control_event_past")}

    def there() -> set[tuple[str, str | None]]:
        found = inspect(engine)
        return made & {(table, each["name"]) for table, _ in made for each in found.get_indexes(table)}

    assert there() == made
    alembic.downgrade(config, "0019")
    assert there() == set()
    alembic.upgrade(config, "head")
    assert there() == made
    engine.dispose()
