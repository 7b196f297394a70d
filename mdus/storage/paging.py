"""Pages of lists by index, whatever the filters: of each combination of values that is meant the first few, merged.

A list is filtered by any of several columns and goes by identity, the newest or the oldest first. One index per set of
filters would be many, each paid for by every row that is written. So a list has a few ways, each an index of columns
that end with the identity. Columns of it that no filter names are named all the same: the states there are, the sender
systems there are. Each combination is read from the index, backwards or forwards, at most a page of it, and the first
of all make the page:

```
status = dead   way (service, sender_system, status, id)   ->  A/S4/dead  B/S4/dead  A/P11/dead  B/P11/dead  ->  merge
```

So a page costs the same whether many rows meet the filters or none. A way that is narrow, such as a device, leaves so
few rows that they are all read and the other filters applied to them. A list in another order than that of identities
goes by the index of that order.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Index,
    Select,
    Subquery,
    Table,
    and_,
    func,
    literal,
    literal_column,
    select,
    text,
    true,
    tuple_,
)

from mdus.storage.column_types import EnumText
from mdus.storage.keys import given
from mdus.storage.mapping import AnyRow
from mdus.storage.sorting import NEWEST, Place, Sort

#: What every identity is between: the numbers of 64 bits.
LEAST_IDENTITY: Final = -(2**63)
MOST_IDENTITY: Final = 2**63 - 1

#: Values that are meant, by the name of their column.
Wanted = Mapping[str, Collection[Any]]


class NoWay(Exception):
    """A list is asked with filters that no index serves together: a defect."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """Which part of a list: rows beyond the place `after` in the order `sort` (None: from the first), at most `limit`.

    `systems` are the sender systems the caller may see, None for all.
    """

    limit: int
    sort: Sort = NEWEST
    after: Place | None = None
    systems: Collection[str] | None = None

    def wanted(self, table: Table, filters: Mapping[str, Any]) -> dict[str, Collection[Any]]:
        """Return the values that are meant, by column: those of the filters that are set, and the caller's systems."""
        values: dict[str, Collection[Any]] = {name: {value} for name, value in filters.items() if value is not None}
        if self.systems is not None and "sender_system" in table.c:
            values["sender_system"] = set(self.systems) & set(values.get("sender_system", self.systems))
        return values

    def conditions(self, table: Table, wanted: Wanted) -> list[ColumnElement[bool]]:
        """Return the conditions on rows of a table: that they have wanted values, and are beyond the place."""
        conditions = [_is_one_of(table.c[name], values) for name, values in wanted.items()]
        if self.after is not None:
            conditions.append(self.sort.beyond(table, self.after))
        return conditions


def _is_one_of(column: Column[Any], values: Collection[Any]) -> ColumnElement[bool]:
    return column == next(iter(values)) if len(values) == 1 else column.in_(sorted(values))


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """An index a list can go by: its columns, all but the identity that it ends with.

    `condition` is that of a partial index, in its very words: SQLite uses it for nothing else. A `narrow` way, whose
    last column tells rows apart, need not end with the identity, and serves with other filters beside its own.
    """

    columns: tuple[str, ...]
    condition: str | None = None
    narrow: bool = False

    def serves(self, wanted: Wanted) -> bool:
        """Tell whether rows with these values can be found by it."""
        return self.columns[-1] in wanted if self.narrow else set(wanted) <= set(self.columns)

    def open_columns(self, wanted: Wanted) -> int:
        """Return how many of its columns no filter names."""
        return len(set(self.columns) - set(wanted))


def list_index(name: str, *columns: str, always: str) -> Index:
    """Return an index for lists: its columns and the identity, of all rows.

    On SQLite it is partial by a condition that `always` holds and that only lists state: without statistics SQLite
    would else take it for more telling than the indexes that other statements are made for.
    """
    return Index(name, *columns, "id", sqlite_where=text(always))


def sorted_few(few: Select[Any], *, limit: int, sort: Sort = NEWEST) -> Select[Any]:
    """Return the query of the first rows of one that finds few, by its column `id`.

    Materialized, so that they are found first: a plan that goes by identity until there are enough may go through all.
    """
    rows = few.cte("few").prefix_with("MATERIALIZED")
    return select(rows).order_by(*sort.order(rows)).limit(limit)


def rows_of_page(
    connection: Connection, query: Select[Any], table: Table, page: Page, wanted: Wanted, ways: Sequence[Way]
) -> Sequence[AnyRow]:
    """Return a page of the rows of a query that have wanted values in a table.

    Raises NoWay where the page goes by identity and none of the ways serves these filters.
    """
    if not all(wanted.values()):
        return ()  # filters that contradict each other, or a system that the caller may not see
    if page.sort.is_by_identity and (wanted or all(way.condition for way in ways)):
        query = query.where(table.c.id.in_(_identities(connection, table, page, wanted, ways)))
    else:
        query = query.where(*page.conditions(table, wanted))
    return connection.execute(query.order_by(*page.sort.order(table)).limit(page.limit)).all()


def _identities(
    connection: Connection, table: Table, page: Page, wanted: Wanted, ways: Sequence[Way]
) -> Select[tuple[int]]:
    """Return the query of the identities of a page by identity."""
    serving = [way for way in ways if way.serves(wanted)]
    if not serving:
        raise NoWay(f"No index of {table.name} serves a list by {', '.join(sorted(wanted))}: add a way")
    way = min(serving, key=lambda each: (not each.narrow, each.open_columns(wanted)))
    columns = [table.c[name] for name in way.columns]
    combinations = list(product(*(_values(connection, column, ways, wanted) for column in columns)))
    values = given(connection, columns, combinations)
    branches = select(*(one.label(name) for one, name in zip(values, way.columns, strict=True))).subquery("branch")
    always: list[ColumnElement[bool]] = [literal_column(way.condition)] if way.condition is not None else []
    if way.narrow:
        others = {name: some for name, some in wanted.items() if name not in way.columns}
        found: Select[Any] = _among_few(table, branches, [*always, *_equal(table, branches, way, page)], others)
    elif connection.dialect.name == "sqlite":
        found = _of_each_by_list(table, branches, [*always, *_equal(table, branches, way, page)], page)
    else:
        found = _of_each(table, branches, [*always, *_between(table, branches, way, page)], way, page)
    identity = found.selected_columns[0]
    return found.order_by(_directed(identity, page)).limit(page.limit)


def _directed(identity: ColumnElement[Any], page: Page) -> ColumnElement[Any]:
    return identity.desc() if page.sort.descending else identity.asc()


def _values(connection: Connection, column: Column[Any], ways: Sequence[Way], wanted: Wanted) -> Sequence[Any]:
    """Return the values of a column that are meant: those wanted, else all there are, which must be few."""
    if column.name in wanted:
        return sorted(wanted[column.name])
    if isinstance(column.type, EnumText):
        return list(column.type.members)
    way = next(way for way in ways if way.columns[0] == column.name)
    return distinct_values(connection, column, condition=way.condition)


def distinct_values(connection: Connection, column: Column[Any], *, condition: str | None = None) -> Sequence[Any]:
    """Return the values a column has, from one to the next by an index that begins with it: they are few.

    `condition` is that of a partial index, in its very words.
    """
    where: list[ColumnElement[bool]] = [literal_column(condition)] if condition else []
    least = select(func.min(column).label("value")).where(*where).cte("value", recursive=True)
    following = select(func.min(column)).where(column > least.c.value, *where).correlate(least).scalar_subquery()
    values = least.union_all(select(following).where(least.c.value.is_not(None)))
    return connection.scalars(select(values.c.value).where(values.c.value.is_not(None))).all()


def sender_systems(connection: Connection, *tables: Table, condition: str | None = None) -> list[str]:
    """Return the sender systems that have rows in any of some tables; `condition` as of `distinct_values`."""
    found = (distinct_values(connection, table.c.sender_system, condition=condition) for table in tables)
    return sorted({system for some in found for system in some})


def _among_few(
    table: Table, branches: Subquery, conditions: Sequence[ColumnElement[bool]], others: Wanted
) -> Select[Any]:
    """Return the query of the rows of all branches that have the other values too."""
    # Materialized, so that no index of the other columns, or of the identity, is taken for the better one.
    few = select(table).select_from(branches.join(table, and_(*conditions))).cte("few").prefix_with("MATERIALIZED")
    return select(few.c.id).where(*(few.c[name].in_(sorted(values)) for name, values in others.items()))


def _equal(table: Table, branches: Subquery, way: Way, page: Page) -> list[ColumnElement[bool]]:
    """Return the conditions that a row has the values of a branch and is beyond the place of the page."""
    conditions: list[ColumnElement[bool]] = [table.c[name] == branches.c[name] for name in way.columns]
    if page.after is not None:
        conditions.append(page.sort.beyond(table, page.after))
    return conditions


def _between(table: Table, branches: Subquery, way: Way, page: Page) -> list[ColumnElement[bool]]:
    """Return the same conditions as `_equal`, with the last column and the identity said as a range.

    With equality PostgreSQL takes the rows of a branch to be ordered by identity alone, and where a value seems common
    it reads the primary key until there are enough: all rows, when the value that is asked for has none.
    """
    *others, last = way.columns
    least, most = LEAST_IDENTITY, MOST_IDENTITY
    if page.after is not None:
        [place] = page.after
        least, most = (least, place) if page.sort.descending else (place, most)
    row = tuple_(table.c[last], table.c.id)
    value = branches.c[last]
    return [
        *(table.c[name] == branches.c[name] for name in others),
        row > tuple_(value, literal(least, BigInteger())),
        row < tuple_(value, literal(most, BigInteger())),
    ]


def _of_each(
    table: Table, branches: Subquery, conditions: Sequence[ColumnElement[bool]], way: Way, page: Page
) -> Select[Any]:
    """Return the query of the first rows of each branch."""
    order = (_directed(table.c[name], page) for name in (way.columns[-1], "id"))
    each = select(table.c.id).where(*conditions).order_by(*order).limit(page.limit).lateral("found")
    return select(each.c.id).select_from(branches.join(each, true()))


def _of_each_by_list(
    table: Table, branches: Subquery, conditions: Sequence[ColumnElement[bool]], page: Page
) -> Select[Any]:
    """Return the same query for SQLite: it has no LATERAL, but a list of identities may be one per branch."""
    some = select(table.c.id).where(*conditions).order_by(_directed(table.c.id, page)).limit(page.limit)
    row = table.alias("found")
    return select(row.c.id).select_from(branches.join(row, row.c.id.in_(some.correlate(branches))))
