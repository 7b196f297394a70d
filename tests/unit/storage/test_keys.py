"""One condition for many keys: it finds what the keys name and nothing else, on both databases, by an index."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import Connection, select

from mdus.domain.register import Register
from mdus.storage.keys import among, among_alike, among_given, told
from mdus.storage.message import MESSAGE_EVENT
from mdus.storage.registry import REGISTER
from mdus.storage.rows import insert_rows
from mdus.storage.session import Database

AT = datetime(2026, 3, 29, 1, 30, 0, 123456, tzinfo=UTC)


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    """A writing transaction on a database with four registers."""
    database = Database(database_url)
    with database.begin() as uow:
        REGISTER.add(uow.connection, [register(system, task) for system in ("P11", "P12") for task in ("1", '0"2')])
        yield uow.connection
    database.close()


def register(system: str, task: str) -> Register:
    """Return a register of one device."""
    return Register(
        sender_system=system,
        device_id="0042",
        measurement_task_id=task,
        valid_from=date(2026, 1, 1),
        reading_type="1-0:1.8.0*255",
        unit="KWH",
    )


def found(connection: Connection, names: tuple[str, ...], keys: list[tuple[Any, ...]]) -> list[tuple[str, str]]:
    """Return (sender system, measurement task) of the registers that the keys name."""
    table = REGISTER.table
    query = select(table.c.sender_system, table.c.measurement_task_id).order_by(table.c.id)
    is_wanted = among(connection, [table.c[name] for name in names], keys)
    return [tuple(row) for row in connection.execute(query.where(is_wanted))]


class TestAmongGiven:
    def test_finds_what_each_execution_is_told(self, connection: Connection) -> None:
        table = REGISTER.table
        by = [table.c.sender_system, table.c.measurement_task_id, table.c.valid_from]
        made_once = (
            select(table.c.sender_system, table.c.measurement_task_id)
            .where(among_given(connection.dialect.name, by))
            .order_by(table.c.id)
        )

        def keyed(*keys: tuple[Any, ...]) -> list[tuple[str, str]]:
            return [tuple(row) for row in connection.execute(made_once, told(connection, by, keys))]

        assert keyed(("P11", "1", date(2026, 1, 1)), ("P12", '0"2', date(2026, 1, 1))) == [("P11", "1"), ("P12", '0"2')]
        assert keyed(("P12", "1", date(2026, 1, 1)), ("P11", "1", date(2026, 1, 2))) == [("P12", "1")]
        assert keyed() == []


class TestAmong:
    def test_finds_by_one_column(self, connection: Connection) -> None:
        assert found(connection, ("measurement_task_id",), [('0"2',), ("7",)]) == [("P11", '0"2'), ("P12", '0"2')]

    def test_finds_by_several_columns_together_not_each_apart(self, connection: Connection) -> None:
        keys = [("P11", "1"), ("P12", '0"2')]
        assert found(connection, ("sender_system", "measurement_task_id"), keys) == keys

    def test_finds_by_a_date(self, connection: Connection) -> None:
        names = ("sender_system", "valid_from")
        assert len(found(connection, names, [("P11", date(2026, 1, 1))])) == 2
        assert found(connection, names, [("P11", date(2026, 1, 2))]) == []

    def test_keeps_leading_zeros(self, connection: Connection) -> None:
        assert found(connection, ("device_id",), [("42",)]) == []
        assert len(found(connection, ("device_id",), [("0042",)])) == 4

    def test_finds_nothing_without_keys(self, connection: Connection) -> None:
        assert found(connection, ("sender_system", "measurement_task_id"), []) == []
        assert found(connection, ("measurement_task_id",), []) == []

    def test_finds_numbers_and_instants(self, connection: Connection) -> None:
        insert_rows(connection, MESSAGE_EVENT, ("message_id", "status", "at"), [(2**53 + 1, "a", AT), (3, "b", AT)])
        table = MESSAGE_EVENT
        for columns, key in (
            ([table.c.message_id], (2**53 + 1,)),
            ([table.c.message_id, table.c.at], (2**53 + 1, AT)),
        ):
            query = select(table.c.status).where(among(connection, columns, [key]))
            assert connection.scalars(query).all() == ["a"]

    def test_is_the_same_statement_for_one_key_and_for_a_thousand(self, connection: Connection) -> None:
        texts = {
            str(
                select(REGISTER.table.c.id)
                .where(among(connection, [REGISTER.table.c.device_id], [(str(number),) for number in range(count)]))
                .compile(connection.engine)
            )
            for count in (1, 1000)
        }
        assert len(texts) == 1


class TestAmongAlike:
    @pytest.mark.parametrize(
        "keys",
        [
            pytest.param([], id="none"),
            pytest.param([("P11", "0042", "1")], id="one"),
            pytest.param([("P11", "0042", "1"), ("P11", "0042", '0"2')], id="one part differs"),
            pytest.param([("P11", "0042", "1"), ("P12", "0042", '0"2')], id="two parts differ"),
            pytest.param([("P11", "0042", "1"), ("P12", "0043", "7")], id="all differ"),
        ],
    )
    def test_finds_what_among_finds(self, connection: Connection, keys: list[tuple[str, ...]]) -> None:
        table = REGISTER.table
        columns = [table.c[name] for name in Register.KEY[:3]]
        queries = [select(table.c.id).where(how(connection, columns, keys)) for how in (among, among_alike)]
        first, second = (sorted(connection.scalars(query)) for query in queries)
        assert first == second
        assert len(first) == len([key for key in keys if key[1] == "0042"])


def test_sqlite_finds_the_rows_of_several_columns_by_their_index(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    table = REGISTER.table
    with database.read() as uow:
        is_wanted = among(uow.connection, [table.c[name] for name in Register.KEY[:2]], [("P11", "0042")])
        query = select(table.c.id).where(is_wanted).compile(uow.connection, compile_kwargs={"literal_binds": True})
        plan = [row[3] for row in uow.connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}")]
    database.close()
    assert plan[0].startswith("SEARCH register USING"), plan
