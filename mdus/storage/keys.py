"""One condition for many keys: the statement stays the same whatever their number, and an index serves it.

A list of a thousand places costs more to build and to plan than its rows to fetch, and SQLite reads the whole table for
a list of tuples. So the keys go in as one value: JSON on SQLite, an array per column on PostgreSQL.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Text, and_, bindparam, func, select, tuple_
from sqlalchemy.dialects import postgresql


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


def given(
    connection: Connection, columns: Sequence[Column[Any]], rows: Collection[tuple[Any, ...]]
) -> list[ColumnElement[Any]]:
    """Return the columns of a set of rows that goes in with the statement, to be joined; each like one of `columns`."""
    if connection.dialect.name == "sqlite":
        return _from_json(connection, columns, rows)
    arrays = [
        bindparam(None, [row[place] for row in rows], type_=postgresql.ARRAY(column.type))
        for place, column in enumerate(columns)
    ]
    names = [f"given{place}" for place in range(len(columns))]
    return list(func.unnest(*arrays).table_valued(*names).render_derived().c)


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
    told = given(connection, [columns[place] for place in varied], rows)
    by_place = dict(zip(varied, told, strict=True))
    return [
        bindparam(None, parts[place][0], type_=columns[place].type) if place in alike else by_place[place]
        for place in range(len(columns))
    ]


def _from_json(
    connection: Connection, columns: Sequence[Column[Any]], rows: Collection[tuple[Any, ...]]
) -> list[ColumnElement[Any]]:
    stored = [_stored(connection, column, [row[place] for row in rows]) for place, column in enumerate(columns)]
    text = json.dumps(stored[0] if len(stored) == 1 else list(zip(*stored, strict=True)))
    value = func.json_each(bindparam(None, text, type_=Text)).table_valued("value").c.value
    if len(stored) == 1:
        return [value]
    return [func.json_extract(value, f"$[{place}]", type_=columns[place].type) for place in range(len(stored))]


def _stored(connection: Connection, column: Column[Any], values: Sequence[Any]) -> list[Any]:
    """Return values as the column holds them."""
    process = column.type.dialect_impl(connection.dialect).bind_processor(connection.dialect)
    return list(values) if process is None else [process(value) for value in values]
