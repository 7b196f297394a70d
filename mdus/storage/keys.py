"""One condition for many keys: the statement stays the same whatever their number, and an index serves it.

A list of a thousand places costs more to build and to plan than its rows to fetch, and SQLite reads the whole table for
a list of tuples. So the keys go in as one value: JSON on SQLite, an array per column on PostgreSQL.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

from sqlalchemy import BindParameter, Column, ColumnElement, Connection, Text, and_, bindparam, func, select, tuple_
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

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
    stored = [_stored(connection, column, part) for column, part in zip(columns, parts, strict=True)]
    return {_GIVEN.format(0): json.dumps(stored[0] if len(stored) == 1 else list(zip(*stored, strict=True)))}


def given_alike(
    connection: Connection, columns: Sequence[Column[Any]], rows: Sequence[tuple[Any, ...]]
) -> list[ColumnElement[Any]]:
    """Return the same columns, of which those that all rows share are told once; there is at least one row.

    The first two columns are never among them: what tells the rows apart, and what a join goes by.
    """
    parts = list(zip(*rows, strict=True))
    alike = {place for place, part in enumerate(parts) if place > 1 and part.count(part[0]) == len(part)}
    varied = [place for place in range(len(columns)) if place not in alike]
    rows = list(zip(*(parts[place] for place in varied), strict=True))
    columns_told = given(connection, [columns[place] for place in varied], rows)
    by_place = dict(zip(varied, columns_told, strict=True))
    return [
        bindparam(None, parts[place][0], type_=columns[place].type) if place in alike else by_place[place]
        for place in range(len(columns))
    ]


def _set_of(
    dialect: str, columns: Sequence[Column[Any]], bound: Callable[[str, TypeEngine[Any]], BindParameter[Any]]
) -> list[ColumnElement[Any]]:
    if dialect != "sqlite":
        arrays = [bound(_GIVEN.format(place), postgresql.ARRAY(column.type)) for place, column in enumerate(columns)]
        names = [f"given{place}" for place in range(len(columns))]
        return list(func.unnest(*arrays).table_valued(*names).render_derived().c)
    value = func.json_each(bound(_GIVEN.format(0), Text())).table_valued("value").c.value
    if len(columns) == 1:
        return [value]
    return [func.json_extract(value, f"$[{place}]", type_=column.type) for place, column in enumerate(columns)]


def _stored(connection: Connection, column: Column[Any], values: Sequence[Any]) -> list[Any]:
    """Return values as the column holds them."""
    process = column.type.dialect_impl(connection.dialect).bind_processor(connection.dialect)
    return list(values) if process is None else [process(value) for value in values]
