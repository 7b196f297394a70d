"""How a frozen domain value becomes a row and back: one column per field, written per type in one statement."""

from __future__ import annotations

import types
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from functools import cache
from operator import attrgetter
from typing import Any, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Date,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Row,
    Table,
    Text,
    UniqueConstraint,
    bindparam,
    delete,
    select,
)
from sqlalchemy.types import TypeEngine

from mdus.domain.value import Value, type_key
from mdus.storage.column_types import EnumText, ExactDecimal, NamedTexts, TextPairs, UtcInstant
from mdus.storage.keys import among_given, told
from mdus.storage.rows import Values, insert_rows

V = TypeVar("V", bound=Value)

#: All tables of MDUS; the migrations create them.
METADATA = MetaData()

#: An int64 identity on both databases (SQLite numbers rows only in a column that is INTEGER PRIMARY KEY).
Identity64 = BigInteger().with_variant(Integer(), "sqlite")

_TYPES: Mapping[Any, Callable[[], TypeEngine[Any]]] = {
    str: Text,
    int: BigInteger,
    bool: Boolean,
    bytes: LargeBinary,
    float: Float,
    Decimal: ExactDecimal,
    datetime: UtcInstant,
    date: Date,
    NamedTexts: TextPairs,
}

#: A row of whatever columns a query names.
AnyRow = Row[*tuple[Any, ...]]

#: Keys per IN list; far below the bind limits of both databases.
CHUNK = 1000

#: Comparisons that `one_of` writes out; beyond, the database gets a list of tuples.
_GROUPS = 20


class ValueTable(Generic[V]):
    """The table of one kind of value.

    `keep` leaves a stored row with the same key as it is (facts that never change); otherwise it is replaced. `keep`
    may also be a condition on the new row, as SQL that calls it `excluded`: then only rows that meet it change nothing.
    `extra` are columns the value does not know (leases, tokens): saving a value never touches them, unless `becomes`
    says what becomes of a column of the stored row, as SQL that calls the new row `excluded`.
    """

    def __init__(
        self,
        kind: type[V],
        table_name: str,
        *,
        keep: bool | str = False,
        becomes: Mapping[str, str] | None = None,
        extra: Sequence[Column[Any]] = (),
        indexes: Sequence[Sequence[str]] = (),
        constraints: Sequence[Any] = (),
    ) -> None:
        hints = get_type_hints(kind)
        self.kind = kind
        self.names = tuple(field.name for field in fields(kind))
        columns = [Column("id", Identity64, primary_key=True, autoincrement=True)]
        columns += [_column(name, hints[name]) for name in self.names]
        self.table = Table(
            table_name,
            METADATA,
            *columns,
            *extra,
            UniqueConstraint(*kind.KEY, name=f"{table_name}_key"),
            *(Index(f"{table_name}_{'_'.join(names)}", *names) for names in indexes),
            *constraints,
        )
        self._columns = tuple(self.table.c[name] for name in self.names)
        self._others = tuple(name for name in self.names if name not in kind.KEY)
        self._row: Callable[[V], Values] = attrgetter(*self.names)
        self._value = _maker(kind, self.names)
        self._keep = keep
        self._merged = self._kept_when(keep) if isinstance(keep, str) else None
        if becomes is not None:
            self._merged = {**{name: f'excluded."{name}"' for name in self._others}, **becomes}

    def _kept_when(self, condition: str) -> dict[str, str]:
        """Return what becomes of the columns of a stored row, by whether the new row meets the condition."""
        table = self.table.name
        return {
            name: f'CASE WHEN {condition} THEN "{table}"."{name}" ELSE excluded."{name}" END' for name in self._others
        }

    def write(self, connection: Connection, values: Collection[V]) -> None:
        """Store the values in one statement; of two with the same key the last counts."""
        latest = {value.key: value for value in values}
        replaced = () if self._keep else self._others
        rows = list(map(self._row, latest.values()))
        insert_rows(connection, self.table, self.names, rows, key=self.kind.KEY, replaced=replaced, merged=self._merged)

    def add(self, connection: Connection, values: Collection[V]) -> None:
        """Store values that must be new; a known key raises IntegrityError."""
        insert_rows(connection, self.table, self.names, list(map(self._row, values)))

    def remove(self, connection: Connection, keys: Collection[type_key]) -> None:
        """Delete the values with these keys."""
        named = [self.table.c[name] == bindparam(f"key_{name}") for name in self.kind.KEY]
        connection.execute(
            delete(self.table).where(*named),
            [{f"key_{name}": part for name, part in zip(self.kind.KEY, key, strict=True)} for key in keys],
        )

    def read(
        self,
        connection: Connection,
        by: Sequence[str],
        keys: Collection[tuple[Any, ...]],
        *,
        lock: bool = False,
        where: Sequence[Any] = (),
    ) -> list[V]:
        """Return the values whose attributes `by` equal one of `keys`, ordered by identity.

        `lock` holds the rows until the transaction ends (PostgreSQL; SQLite has one writer anyway).
        """
        if not keys:
            return []
        query, columns = self._reading(connection.dialect.name, tuple(by), lock)
        rows = connection.execute(query.where(*where) if where else query, told(connection, columns, set(keys)))
        return self.values(rows.all())

    @cache  # noqa: B019 - there is one mapping per kind, and it stays
    def _reading(self, dialect: str, by: tuple[str, ...], lock: bool) -> tuple[Any, list[Column[Any]]]:
        """Return the query of `read`, with the columns of its keys."""
        columns = [self.table.c[name] for name in by]
        query = select(*self._columns).where(among_given(dialect, columns)).order_by(self.table.c.id)
        return query.with_for_update() if lock else query, columns

    def fetch(self, connection: Connection, query: Any, parameters: Mapping[str, Any] | None = None) -> list[V]:
        """Return the values of a query that selects this mapping's columns in order."""
        return self.values(connection.execute(query, parameters).all())

    def fetch_beside(
        self, connection: Connection, query: Any, count: int = 1, *, parameters: Mapping[str, Any] | None = None
    ) -> list[tuple[tuple[Any, ...], V]]:
        """Return what the first `count` columns of a query hold, each with the value of the others, as in `fetch`."""
        rows = connection.execute(query, parameters).all()
        return list(zip([row[:count] for row in rows], self.values([row[count:] for row in rows]), strict=True))

    def values(self, rows: Sequence[Sequence[Any]]) -> list[V]:
        """Return the values of rows that hold this mapping's columns in order."""
        return list(map(self._value, rows))

    def select(self) -> Any:
        """Return a query of this mapping's columns, to be narrowed and given to `fetch`."""
        return select(*self._columns)


def _maker(kind: type[V], names: Sequence[str]) -> Callable[[Sequence[Any]], V]:
    """Return what makes a value of the fields of a row, in the order of their names.

    Into the slots of one that checks nothing of itself: that takes a third of the time of telling its fields by name.
    """
    slots = [getattr(kind, name, None) for name in names]
    if hasattr(kind, "__post_init__") or not all(isinstance(slot, types.MemberDescriptorType) for slot in slots):
        return lambda row: kind(**dict(zip(names, row, strict=True)))
    setters = [slot.__set__ for slot in slots if slot is not None]

    def made(row: Sequence[Any]) -> V:
        value = object.__new__(kind)
        for place, part in zip(setters, row, strict=True):
            place(value, part)
        return value

    return made


def chunks(keys: Sequence[Any], size: int = CHUNK) -> Iterator[Sequence[Any]]:
    """Yield the keys in pieces that one IN list holds."""
    for start in range(0, len(keys), size):
        yield keys[start : start + size]


def _column(name: str, hint: Any) -> Column[Any]:
    optional = get_origin(hint) in (Union, types.UnionType)
    inner = next(part for part in get_args(hint) if part is not type(None)) if optional else hint
    if isinstance(inner, type) and issubclass(inner, StrEnum):
        return Column(name, EnumText(inner), nullable=optional)
    return Column(name, _TYPES[inner](), nullable=optional)
