"""In what order a list is read, and where a page of it begins: by columns that an index holds in that order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import gt, lt
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, FromClause, literal, tuple_

#: The values of a row in the columns it is sorted by.
Place = tuple[Any, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sort:
    """An order of rows: by each of the columns, all in one direction; together they tell any two rows apart.

    `kinds` are the types of their values: int, str, date or datetime.
    """

    columns: tuple[str, ...] = ("id",)
    kinds: tuple[type, ...] = (int,)
    descending: bool = True

    @classmethod
    def by(cls, *, descending: bool = False, **columns: type) -> Sort:
        """Return the order by some columns with the types of their values."""
        return cls(columns=tuple(columns), kinds=tuple(columns.values()), descending=descending)

    def order(self, table: FromClause) -> list[ColumnElement[Any]]:
        """Return what the rows of a table are ordered by."""
        columns = [table.c[name] for name in self.columns]
        return [column.desc() for column in columns] if self.descending else list(columns)

    def beyond(self, table: FromClause, place: Place) -> ColumnElement[bool]:
        """Return the condition that a row comes after a place."""
        operator: Callable[[Any, Any], ColumnElement[bool]] = lt if self.descending else gt
        columns = [table.c[name] for name in self.columns]
        if len(columns) == 1:
            # A cursor may name a number beyond those that the column can hold.
            value = literal(place[0], BigInteger()) if self.kinds == (int,) else place[0]
            return operator(columns[0], value)
        # As one comparison of rows, which an index serves; both databases have it.
        bound = tuple_(*place, types=[column.type for column in columns])
        return operator(tuple_(*columns), bound)

    def place(self, row: Any) -> Place:
        """Return where a row stands."""
        return tuple(getattr(row, name) for name in self.columns)

    @property
    def is_by_identity(self) -> bool:
        """Tell whether rows are told in the order they came, or the reverse."""
        return self.columns == ("id",)

    def holds(self, place: Sequence[Any]) -> bool:
        """Tell whether values are a place of this order."""
        return tuple(type(value) for value in place) == self.kinds


#: As rows came, the newest first, and the oldest first.
NEWEST = Sort()
OLDEST = Sort(descending=False)
