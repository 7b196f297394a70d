"""Pages of sorted lists: which sorts a list has, and cursors that are good for one sort only."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Any, Final, Literal, TypeVar

from fastapi import Query
from pydantic import AwareDatetime, BaseModel, BeforeValidator

from mdus.endpoints.rest.problems import Problem
from mdus.endpoints.rest.shapes import LARGEST_ID, Listed
from mdus.storage.paging import Page
from mdus.storage.sorting import OLDEST, Place, Sort

S = TypeVar("S", bound=BaseModel)

Limit = Annotated[int, Query(ge=1, le=1000, description="Most rows of a page.")]
#: A number is a cursor of the order a list has unasked; others begin with the name of their sort.
Cursor = Annotated[
    str | None,
    Query(
        pattern=r"^([0-9]{1,16}|-?[a-z_]{2,40}\.[A-Za-z0-9_-]{2,1000})$",
        description="`next` of the page before, asked for with the same `sort`.",
    ),
]


def _day(value: Any) -> Any:
    """Let texts pass that are dates as ISO 8601 has them: a number is none."""
    is_one = isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value)
    if not is_one and not isinstance(value, date) and value is not None:
        raise ValueError("expected a date such as 2026-03-28")
    return value


def _moment(value: Any) -> Any:
    """Let texts pass that begin with a date: a number is no instant."""
    if isinstance(value, str) and not re.match(r"\d{4}-\d\d-\d\d[T ]", value):
        raise ValueError("expected an instant such as 2026-03-28T10:00:00Z")
    return value


#: Beyond, no meter has measured anything.
YEARS: Final = range(1970, 2200)

Day = Annotated[date, BeforeValidator(_day)]
Instant = Annotated[AwareDatetime, BeforeValidator(_moment)]


def refuse_unusual(day: date, *, at: str) -> None:
    """Raise Problem (409) for a day on which no meter has measured anything."""
    if day.year not in YEARS:
        raise Problem(
            409,
            "no day that anything was measured on",
            at=at,
            expected=f"a day from {YEARS.start} to {YEARS.stop - 1}, such as 2026-03-28",
            found=str(day),
            mend="name another day",
        )


#: As rows came, the newest first.
DEFAULT: Final = "-id"
ById = Annotated[Literal["id", "-id"], Query(description="The order; `-` descends.")]


class Sorts:
    """The sorts of one list: by identity, and by further orders under the names of their fields, each both ways.

    The list has the order `unasked` where none is asked for; if that is by one number, a number is its cursor.
    """

    def __init__(self, *, unasked: str = DEFAULT, **fields: Sort) -> None:
        """Take the ascending orders by their names."""
        both = {"id": OLDEST, **fields}
        self._sorts = {
            **both,
            **{
                f"-{name}": Sort(columns=sort.columns, kinds=sort.kinds, descending=True) for name, sort in both.items()
            },
        }
        self._unasked = self._sorts[unasked]

    def page(self, name: str, *, cursor: str | None, limit: int, systems: Collection[str] | None = None) -> Page:
        """Return the page of a sort that a cursor begins. Raises Problem for a cursor that is not one of this sort."""
        sort = self._sorts[name]
        if cursor is None:
            return Page(limit=limit, systems=systems, sort=sort)
        if self._has_numbers(sort) and cursor.isdigit():
            return Page(limit=limit, systems=systems, sort=sort, after=(int(cursor),))
        return Page(limit=limit, systems=systems, sort=sort, after=self._place(name, sort, cursor))

    def listed(self, shape: type[S], rows: Sequence[Any], page: Page) -> Listed[S]:
        """Return rows as a page, with the cursor of the next where this one is full."""
        return Listed(items=[shape.model_validate(row) for row in rows], next=self.following(rows, page))

    def following(self, rows: Sequence[Any], page: Page) -> str | None:
        """Return the cursor of the page after these rows, None where this one is not full."""
        if len(rows) < page.limit:
            return None
        if self._has_numbers(page.sort):
            return str(*page.sort.place(rows[-1]))
        name = next(name for name, sort in self._sorts.items() if sort == page.sort)
        packed = json.dumps(page.sort.place(rows[-1]), default=lambda value: value.isoformat(), separators=(",", ":"))
        return f"{name}.{base64.urlsafe_b64encode(packed.encode()).decode().rstrip('=')}"

    def _has_numbers(self, sort: Sort) -> bool:
        return sort == self._unasked and sort.kinds == (int,)

    def _place(self, name: str, sort: Sort, cursor: str) -> Place:
        of_sort, _, packed = cursor.partition(".")
        place = _unpacked(packed, sort.kinds) if self._sorts.get(of_sort) == sort else None
        if place is None or not sort.holds(place):
            raise Problem(
                409,
                "the cursor is of another list or sort",
                at="query.cursor",
                expected=f"`next` of a page of this list with sort={name}",
                found=cursor,
                mend="begin without a cursor, and keep `sort` and the filters from page to page",
            )
        return place


def _unpacked(packed: str, kinds: Sequence[type]) -> Place | None:
    """Return the values in a cursor, None where it holds none of these kinds."""
    try:
        values = json.loads(base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)))
        return tuple(_READ[kind](value) for kind, value in zip(kinds, values, strict=True))
    except (ValueError, TypeError):
        return None


def _number(value: Any) -> Any:
    if value > LARGEST_ID:
        raise ValueError("beyond any identity")
    return value


def _text(value: Any) -> Any:
    if "\0" in value:
        raise ValueError("no text of a database")
    return value


def _instant(value: Any) -> datetime:
    return datetime.fromisoformat(value).astimezone(UTC)


#: How the values of a place are read back from JSON; each raises ValueError or TypeError for what is none.
_READ: Final[Mapping[type, Callable[[Any], Any]]] = {
    int: _number,
    str: _text,
    date: date.fromisoformat,
    datetime: _instant,
}
