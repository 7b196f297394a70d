"""One condition for many keys: the statement stays the same whatever their number, and an index serves it.

A list of a thousand places costs more to build and to plan than its rows to fetch, and SQLite reads the whole table for
a list of tuples. So the keys go in as one value: JSON on SQLite, an array per column on PostgreSQL.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Column,
    ColumnElement,
    Connection,
    Text,
    and_,
    bindparam,
    func,
    select,
    tuple_,
)
from sqlalchemy import column as sql_column
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

#: Where a row stands among those that go in.
_PLACE: Final = Column("place", BigInteger)

#: The parameters that a set of rows goes in as.
_GIVEN: Final = "given_{}"


def among(
    connection: Connection, columns: Sequence[Column[Any]], keys: Collection[tuple[Any, ...]]
) -> ColumnElement[bool]:
    """Return the condition that the columns together equal one of the keys; text, numbers, dates, instants, enums."""
    wanted: Any = columns[0] if len(columns) == 1 else tuple_(*columns)
    condition: ColumnElement[bool] = wanted.in_(select(*given(connection, columns, keys)))
    return condition


def among_alike(
    connection: Connection, columns: Sequence[Column[Any]], keys: Collection[tuple[Any, ...]]
) -> ColumnElement[bool]:
    """Return the same condition, in which a part that all keys share is told once.

    Thousands of keys of one day then are a list of numbers. For tables of which no other index begins with a column so
    shared: a database might take that one, and read all of it.
    """
    parts = list(zip(*keys, strict=True))
    varied = [place for place, part in enumerate(parts) if part.count(part[0]) < len(part)]
    alike = [
        column == part[0]
        for place, (column, part) in enumerate(zip(columns, parts, strict=False))
        if place not in varied
    ]
    if not alike or not varied:
        return among(connection, columns, keys)
    some = list(zip(*(parts[place] for place in varied), strict=True))
    return and_(*alike, among(connection, [columns[place] for place in varied], some))


def among_given(dialect: str, columns: Sequence[Column[Any]]) -> ColumnElement[bool]:
    """Return the condition of `among` for a statement that is made once; `told` are the parameters of each execution.

    Making a statement takes several times as long as executing it, unless there are hundreds of rows.
    """
    wanted: Any = columns[0] if len(columns) == 1 else tuple_(*columns)
    condition: ColumnElement[bool] = wanted.in_(select(*given_later(dialect, columns)))
    return condition


def given(
    connection: Connection, columns: Sequence[Column[Any]], rows: Collection[tuple[Any, ...]]
) -> list[ColumnElement[Any]]:
    """Return the columns of a set of rows that goes in with the statement, to be joined; each like one of `columns`."""
    values = told(connection, columns, rows)
    return _set_of(connection.dialect.name, columns, lambda name, kind: bindparam(None, values[name], type_=kind))


def given_later(dialect: str, columns: Sequence[Column[Any]]) -> list[ColumnElement[Any]]:
    """Return the columns of a set of rows that `told` gives when the statement is executed; one set per statement."""
    return _set_of(dialect, columns, lambda name, kind: bindparam(name, type_=kind))


def told(connection: Connection, columns: Sequence[Column[Any]], rows: Collection[tuple[Any, ...]]) -> dict[str, Any]:
    """Return a set of rows as the parameters of a statement with `given_later` or `among_given`."""
    parts = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
    if connection.dialect.name != "sqlite":
        return {_GIVEN.format(place): list(part) for place, part in enumerate(parts)}
    return {_GIVEN.format(0): _as_json(connection, columns, parts)}


def given_in_order(
    connection: Connection, columns: Sequence[Column[Any]], rows: Sequence[tuple[Any, ...]]
) -> list[ColumnElement[Any]]:
    """Return the place of each row, from 0, and its columns; there is at least one row.

    What all rows share is told once. Not so the first column, that a join goes by: a database might else take another
    index that begins with it, and read all of the table.
    """
    parts = list(zip(*rows, strict=True))
    varied = [0, *(place for place, part in enumerate(parts) if place and part.count(part[0]) < len(part))]
    some, told_by_row = [columns[place] for place in varied], [parts[place] for place in varied]
    if connection.dialect.name == "sqlite":
        text = _as_json(connection, some, told_by_row)
        each = func.json_each(bindparam(None, text, type_=Text)).table_valued(sql_column("key", BigInteger), "value").c
        number: ColumnElement[Any] = each.key
        by_row = _parts_of(each.value, some)
    else:
        number, *by_row = given(connection, [_PLACE, *some], list(zip(range(len(rows)), *told_by_row, strict=True)))
    found = dict(zip(varied, by_row, strict=True))
    shared = (bindparam(None, part[0], type_=one.type) for one, part in zip(columns, parts, strict=True))
    return [number, *(found.get(place, value) for place, value in enumerate(shared))]


def _set_of(
    dialect: str, columns: Sequence[Column[Any]], bound: Callable[[str, TypeEngine[Any]], BindParameter[Any]]
) -> list[ColumnElement[Any]]:
    if dialect != "sqlite":
        arrays = [bound(_GIVEN.format(place), postgresql.ARRAY(column.type)) for place, column in enumerate(columns)]
        names = [f"given{place}" for place in range(len(columns))]
        return list(func.unnest(*arrays).table_valued(*names).render_derived().c)
    return _parts_of(func.json_each(bound(_GIVEN.format(0), Text())).table_valued("value").c.value, columns)


def _parts_of(value: ColumnElement[Any], columns: Sequence[Column[Any]]) -> list[ColumnElement[Any]]:
    """Return the columns of a row in JSON: of a single one the value itself."""
    if len(columns) == 1:
        return [value]
    return [func.json_extract(value, f"$[{place}]", type_=column.type) for place, column in enumerate(columns)]


def _as_json(connection: Connection, columns: Sequence[Column[Any]], parts: Sequence[Sequence[Any]]) -> str:
    """Return rows, given by their columns, as JSON: of a single column its values."""
    stored = [_stored(connection, column, part) for column, part in zip(columns, parts, strict=True)]
    return json.dumps(stored[0] if len(stored) == 1 else list(zip(*stored, strict=True)))


def _stored(connection: Connection, column: Column[Any], values: Sequence[Any]) -> list[Any]:
    """Return values as the column holds them."""
    process = column.type.dialect_impl(connection.dialect).bind_processor(connection.dialect)
    return list(values) if process is None else [process(value) for value in values]
