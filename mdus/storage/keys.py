"""One condition for many keys: the statement stays the same whatever their number, and an index serves it.

A list of a thousand places costs more to build and to plan than its rows to fetch, and SQLite reads the whole table for
a list of tuples. So the keys go in as one value: JSON on SQLite, an array per column on PostgreSQL.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Text, bindparam, func, select, tuple_
from sqlalchemy.dialects import postgresql


def among(
    connection: Connection, columns: Sequence[Column[Any]], keys: Collection[tuple[Any, ...]]
) -> ColumnElement[bool]:
    """Return the condition that the columns together equal one of the keys; text, numbers, dates, instants, enums."""
    wanted: Any = columns[0] if len(columns) == 1 else tuple_(*columns)
    condition: ColumnElement[bool] = wanted.in_(
        _from_json(connection, columns, keys) if connection.dialect.name == "sqlite" else _from_arrays(columns, keys)
    )
    return condition


def _from_json(connection: Connection, columns: Sequence[Column[Any]], keys: Collection[tuple[Any, ...]]) -> Any:
    stored = [_stored(connection, column, [key[place] for key in keys]) for place, column in enumerate(columns)]
    if len(stored) == 1:
        [values] = stored
        rows = func.json_each(bindparam(None, json.dumps(values), type_=Text)).table_valued("value")
        return select(rows.c.value)
    text = json.dumps(list(zip(*stored, strict=True)))
    rows = func.json_each(bindparam(None, text, type_=Text)).table_valued("value")
    return select(*(func.json_extract(rows.c.value, f"$[{place}]") for place in range(len(stored))))


def _stored(connection: Connection, column: Column[Any], values: Sequence[Any]) -> list[Any]:
    """Return values as the column holds them."""
    process = column.type.dialect_impl(connection.dialect).bind_processor(connection.dialect)
    return list(values) if process is None else [process(value) for value in values]


def _from_arrays(columns: Sequence[Column[Any]], keys: Collection[tuple[Any, ...]]) -> Any:
    arrays = [
        bindparam(None, [key[place] for key in keys], type_=postgresql.ARRAY(column.type))
        for place, column in enumerate(columns)
    ]
    rows = func.unnest(*arrays).table_valued(*(f"key{place}" for place in range(len(columns)))).render_derived()
    return select(*rows.c)
