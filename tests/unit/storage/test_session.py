"""Transactions that only read: what the driver knows by heart afterwards, and what a failure leaves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from mdus.storage.session import Database

ASKED = "SELECT 4711 AS asked"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()


class TestRead:
    def test_leaves_what_the_server_has_prepared(self, database: Database) -> None:
        if database.is_sqlite:
            pytest.skip("SQLite prepares in the process")
        for _ in range(3):
            with database.read() as uow:
                uow.connection.execute(text(ASKED))

        with database.read() as uow:
            prepared = uow.connection.execute(text("SELECT statement FROM pg_prepared_statements"))
            assert ASKED in set(prepared.scalars())
            # A plan kept while a table was small would read all of it when it has grown.
            assert uow.connection.scalar(text("SHOW plan_cache_mode")) == "force_custom_plan"

    def test_ends_with_a_failure_as_if_nothing_had_been_asked(self, database: Database) -> None:
        with suppress(ZeroDivisionError), database.read() as uow:
            uow.connection.execute(text("CREATE TABLE never (id INTEGER)"))
            raise ZeroDivisionError

        with database.read() as uow, pytest.raises(DBAPIError, match="never"):
            uow.connection.execute(text("SELECT id FROM never"))
