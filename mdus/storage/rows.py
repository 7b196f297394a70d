"""Many rows in one statement, at the speed of the driver: inserts, and updates by key.

Building the parameters of each row by name costs more than storing the row. So the statement is made once per table and
columns, and rows are tuples: SQLite gets them by the handful (`executemany` of an INSERT with many rows), PostgreSQL as
one array per column (`unnest`), which it plans, executes and answers once, or as a COPY, which it stores while the next
rows are still being made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Any, Final, NamedTuple

import psycopg
from psycopg.errors import UniqueViolation
from sqlalchemy import Boolean, Column, Connection, Dialect, LargeBinary, Table
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.schema import ScalarElementColumnDefault

#: Values of one row, in the order of the columns named.
Values = tuple[Any, ...]

_Process = Callable[[Any], Any]

#: Rows in one INSERT of SQLite: going to the database and back costs half as much as storing a row.
_HANDFUL: Final = 50

#: COPY's word for NULL, and the characters that mean something to it.
_NULL: Final = r"\N"
_ESCAPED: Final = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})
_SPECIAL: Final = "\\\t\n\r"


class _Statement(NamedTuple):
    """SQL text with a place per column, and what turns each column's values into what the driver takes."""

    text: str
    processors: tuple[_Process | None, ...]


def insert_rows(
    connection: Connection,
    table: Table,
    columns: Sequence[str],
    rows: Sequence[Values],
    *,
    shared: Mapping[str, Any] | None = None,
    key: Sequence[str] = (),
    replaced: Sequence[str] = (),
    merged: Mapping[str, str] | None = None,
) -> None:
    """Insert rows, whose values are those of `columns`; `shared` are further columns with one value for all rows.

    With `key`, the columns of a unique constraint, a row whose key is taken is left out. Unless `replaced` names
    columns of the stored row that take its values, or `merged` says by column what they become, as SQL that calls the
    new row `excluded`. Of rows with the same key only one may be given then.
    """
    if not rows:
        return
    same = _same(table, columns, shared)
    becomes = tuple((merged or {name: f'excluded."{name}"' for name in replaced}).items())
    database = _Database.of(connection.dialect)
    names = (tuple(same), tuple(columns), tuple(key), becomes, database)
    in_handfuls = len(rows) - len(rows) % _HANDFUL if database.name == "sqlite" else 0
    if in_handfuls:
        _execute(connection, _insert(table, *names, _HANDFUL), rows[:in_handfuls], tuple(same.values()), _HANDFUL)
    if rows[in_handfuls:]:
        _execute(connection, _insert(table, *names), rows[in_handfuls:], tuple(same.values()))


def insert_alike(
    connection: Connection,
    table: Table,
    columns: Sequence[str],
    rows: Sequence[Values],
    *,
    key: Sequence[str] = (),
    merged: Mapping[str, str] | None = None,
) -> None:
    """Insert rows of which many columns have one value in all: each of these goes to the database once."""
    told = list(zip(*rows, strict=True))
    alike = {name: some[0] for name, some in zip(columns, told, strict=False) if some.count(some[0]) == len(rows)}
    varied = [(name, some) for name, some in zip(columns, told, strict=False) if name not in alike]
    if varied:
        columns, some = zip(*varied, strict=True)
        rows = list(zip(*some, strict=True))
    else:  # a single row, or none
        alike = {}
    insert_rows(connection, table, columns, rows, shared=alike, key=key, merged=merged)


def insert_batches(
    connection: Connection,
    table: Table,
    columns: Sequence[str],
    batches: Iterable[Sequence[Values]],
    *,
    shared: Mapping[str, Any],
    key: Sequence[str],
) -> None:
    """Insert many rows in batches that can be gone through again, leaving out those whose `key` is taken.

    PostgreSQL takes each batch while the next is made. That a key is taken is rare, and takes a second turn.
    """
    if connection.dialect.name == "sqlite" or not _copy(connection, table, columns, batches, shared=shared):
        for batch in batches:
            insert_rows(connection, table, columns, batch, shared=shared, key=key)


def _copy(
    connection: Connection,
    table: Table,
    columns: Sequence[str],
    batches: Iterable[Sequence[Values]],
    *,
    shared: Mapping[str, Any],
) -> bool:
    """Insert batches of rows by PostgreSQL's COPY; False when a unique key was taken: then none of them is in."""
    same = _same(table, columns, shared)
    names = (*same, *columns)
    processors = _processors(table, names, _Database.of(connection.dialect))
    statement = f'COPY "{table.name}" ({", ".join(_quoted(names))}) FROM STDIN'
    before = "".join(
        f"{_copied(process, [value])[0]}\t" for process, value in zip(processors, same.values(), strict=False)
    )
    try:
        with connection.begin_nested(), connection.connection.cursor() as cursor, cursor.copy(statement) as copy:  # type: ignore[attr-defined]
            for batch in batches:
                texts = map(_copied, processors[len(same) :], zip(*batch, strict=True))
                copy.write("".join([f"{before}{row}\n" for row in map("\t".join, zip(*texts, strict=True))]))
    except UniqueViolation:
        return False
    except psycopg.Error as error:
        raise DBAPIError.instance(statement, None, error, psycopg.Error, dialect=connection.dialect) from error
    return True


def _copied(process: _Process | None, values: Sequence[Any]) -> Sequence[str]:
    """Return the values of one column as COPY reads them."""
    given = [process(value) for value in values] if process else values
    texts = [value if type(value) is str else "" if value is None else str(value) for value in given]
    together = "".join(texts)
    if any(character in together for character in _SPECIAL):
        texts = [text.translate(_ESCAPED) for text in texts]
    return (
        [_NULL if value is None else text for value, text in zip(given, texts, strict=True)] if None in given else texts
    )


def _same(table: Table, columns: Sequence[str], shared: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the columns that have one value in all rows: those given, and those with a default on our side."""
    same = {**_defaults(table), **(shared or {})}
    return {name: value for name, value in same.items() if name not in columns}


@cache
def _defaults(table: Table) -> Mapping[str, Any]:
    """Return the values of columns that have a default on our side."""
    return {
        column.name: column.default.arg for column in table.c if isinstance(column.default, ScalarElementColumnDefault)
    }


def update_rows(
    connection: Connection,
    table: Table,
    columns: Sequence[str],
    rows: Sequence[Values],
    *,
    by: Sequence[str],
    where: str = "",
) -> None:
    """Give `columns` of the rows found by the columns `by` new values; each row holds the values of both, `by` last.

    `where` is a further condition, as SQL with the table's name before its columns. Whoever may meet another
    transaction at the same rows holds them first, in one order: the order of the update is the database's.
    """
    if rows:
        statement = _update(table, tuple(columns), tuple(by), where, _Database.of(connection.dialect))
        _execute(connection, statement, rows)


def _execute(
    connection: Connection,
    statement: _Statement,
    rows: Sequence[Values],
    shared: Sequence[Any] = (),
    at_once: int = 1,
) -> None:
    """Execute a statement for all rows, on SQLite as often as it takes when it takes `at_once` of them."""
    text, processors = statement.text, statement.processors
    same = tuple(process(value) if process else value for process, value in zip(processors, shared, strict=False))
    is_sqlite = connection.dialect.name == "sqlite"
    given: Iterable[Values] = rows
    if any(processors[len(same) :]) or not is_sqlite:
        columns = [
            list(map(process, column)) if process else column
            for process, column in zip(processors[len(same) :], zip(*rows, strict=True), strict=True)
        ]
        if not is_sqlite:
            connection.exec_driver_sql(text, (*same, *map(list, columns)))
            return
        given = zip(*columns, strict=True)
    if at_once == 1:
        connection.exec_driver_sql(text, [same + row for row in given])
    else:
        several = zip(*[iter(given)] * at_once, strict=True)
        connection.exec_driver_sql(text, [tuple(chain(same, *some)) for some in several])


class _Database(NamedTuple):
    """A dialect as a key of what is cached for it: one per kind of database is enough."""

    name: str
    dialect: Dialect

    @staticmethod
    def of(dialect: Dialect) -> _Database:
        return _DATABASES.setdefault(dialect.name, _Database(dialect.name, dialect))


_DATABASES: Final[dict[str, _Database]] = {}


@cache
def _insert(
    table: Table,
    shared: tuple[str, ...],
    columns: tuple[str, ...],
    key: tuple[str, ...],
    becomes: tuple[tuple[str, str], ...],
    database: _Database,
    at_once: int = 1,
) -> _Statement:
    conflict = ""
    if becomes:
        values = ", ".join(f'"{name}" = {value}' for name, value in becomes)
        conflict = f" ON CONFLICT ({', '.join(_quoted(key))}) DO UPDATE SET {values}"
    elif key:
        conflict = f" ON CONFLICT ({', '.join(_quoted(key))}) DO NOTHING"
    names = (*shared, *columns)
    if database.name == "sqlite":
        width = len(columns)
        # Numbered, so that what all rows share is given once.
        each = (_places(0, len(shared)) + _places(len(shared) + row * width, width) for row in range(at_once))
        source = "VALUES " + ", ".join(f"({', '.join(places)})" for places in each)
    else:
        same = "".join(f"%s::{kind}, " for kind in _kinds(table, shared, database))
        source = f"SELECT {same}new.* FROM {_arrays(table, columns, database)} AS new"  # noqa: S608 - our own names
    text = f'INSERT INTO "{table.name}" ({", ".join(_quoted(names))}) {source}{conflict}'
    return _Statement(text, _processors(table, names, database))


@cache
def _update(table: Table, columns: tuple[str, ...], by: tuple[str, ...], where: str, database: _Database) -> _Statement:
    further = f" AND {where}" if where else ""
    if database.name == "sqlite":
        values = ", ".join(f"{name} = ?" for name in _quoted(columns))
        found = " AND ".join(f"{name} = ?" for name in _quoted(by))
        text = f'UPDATE "{table.name}" SET {values} WHERE {found}{further}'  # noqa: S608 - our own names, never a value
    else:
        values = ", ".join(f"{name} = new.{name}" for name in _quoted(columns))
        found = " AND ".join(f'"{table.name}".{name} = new.{name}' for name in _quoted(by))
        names = ", ".join(_quoted((*columns, *by)))
        source = _arrays(table, (*columns, *by), database)
        text = f'UPDATE "{table.name}" SET {values} FROM {source} AS new ({names}) WHERE {found}{further}'  # noqa: S608
    return _Statement(text, _processors(table, (*columns, *by), database))


def _arrays(table: Table, columns: tuple[str, ...], database: _Database) -> str:
    """Return the set of rows that PostgreSQL makes of one array per column."""
    # %b: in the binary form, which needs no quoting; quoting JSON in an array takes longer than storing it.
    return f"unnest({', '.join(f'%b::{kind}[]' for kind in _kinds(table, columns, database))})"


def _places(before: int, count: int) -> list[str]:
    """Return `count` numbered places of SQLite that follow the first `before`."""
    return [f"?{place + 1}" for place in range(before, before + count)]


def _kinds(table: Table, columns: tuple[str, ...], database: _Database) -> list[str]:
    return [table.c[name].type.compile(database.dialect) for name in columns]


def _processors(table: Table, columns: tuple[str, ...], database: _Database) -> tuple[_Process | None, ...]:
    return tuple(_processor(table.c[name], database.dialect) for name in columns)


def _processor(column: Column[Any], dialect: Dialect) -> _Process | None:
    """Return what gives a value of the column's type to the driver, None when it goes as it is."""
    if isinstance(column.type, Boolean | LargeBinary):
        return None  # both drivers take it; SQLAlchemy would look whether it is a truth value, and wrap what is bytes
    process: _Process | None = column.type.dialect_impl(dialect).bind_processor(dialect)
    return process


def _quoted(names: Sequence[str]) -> list[str]:
    """Return column names as SQL; some, such as `key`, are words of SQL elsewhere."""
    return [f'"{name}"' for name in names]
