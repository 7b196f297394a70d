"""Pages of sorted lists: which sorts a list has, and cursors that are good for one sort only."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Any, Final, TypeVar

from fastapi import Query
from pydantic import AwareDatetime, BaseModel, BeforeValidator

from mdus.endpoints.rest.problems import Problem
from mdus.endpoints.rest.shapes import LARGEST_ID, Listed
from mdus.storage.listing import Page
from mdus.storage.sorting import NEWEST, Place, Sort

S = TypeVar("S", bound=BaseModel)

Limit = Annotated[int, Query(ge=1, le=1000, description="Most rows of a page.")]
#: A number is a cursor of the newest first; others begin with the name of their sort.
Cursor = Annotated[
    str | None,
    Query(
        pattern=r"^([0-9]{1,16}|-?[a-z_]{2,40}\.[A-Za-z0-9_-]{2,1000})$",
        description="`next` of the page before, asked for with the same `sort`.",
    ),
]


def _day(value: Any) -> Any:
    """Let texts pass that are dates as ISO 8601 has them: a number is none."""
    if isinstance(value, str) and not re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        raise ValueError("expected a date such as 2026-03-28")
    return value


def _moment(value: Any) -> Any:
    """Let texts pass that begin with a date: a number is no instant."""
    if isinstance(value, str) and not re.match(r"\d{4}-\d\d-\d\d[T ]", value):
        raise ValueError("expected an instant such as 2026-03-28T10:00:00Z")
    return value


Day = Annotated[date, BeforeValidator(_day)]
Instant = Annotated[AwareDatetime, BeforeValidator(_moment)]

#: As rows came, the newest first.
DEFAULT: Final = "-id"


class Sorts:
    """The sorts of one list: by identity, and by further orders under the names of their fields, each both ways."""

    def __init__(self, **fields: Sort) -> None:
        """Take the ascending orders by their names."""
        both = {"id": Sort(descending=False), **fields}
        self._sorts = {
            **both,
            **{
                f"-{name}": Sort(columns=sort.columns, kinds=sort.kinds, descending=True) for name, sort in both.items()
            },
        }

    def page(self, name: str, *, cursor: str | None, limit: int, systems: Collection[str] | None = None) -> Page:
        """Return the page of a sort that a cursor begins. Raises Problem for a cursor that is not one of this sort."""
        sort = self._sorts[name]
        if cursor is None:
            return Page(limit=limit, systems=systems, sort=sort)
        if sort == NEWEST and cursor.isdigit():
            return Page(limit=limit, systems=systems, before=int(cursor))
        return Page(limit=limit, systems=systems, sort=sort, after=self._place(name, sort, cursor))

    def listed(self, shape: type[S], rows: Sequence[Any], page: Page) -> Listed[S]:
        """Return rows as a page, with the cursor of the next where this one is full."""
        return Listed(items=[shape.model_validate(row) for row in rows], next=self.following(rows, page))

    def following(self, rows: Sequence[Any], page: Page) -> str | None:
        """Return the cursor of the page after these rows, None where this one is not full."""
        if len(rows) < page.limit:
            return None
        if page.sort == NEWEST:
            return str(rows[-1].id)
        name = next(name for name, sort in self._sorts.items() if sort == page.sort)
        packed = json.dumps(page.sort.place(rows[-1]), default=lambda value: value.isoformat(), separators=(",", ":"))
        return f"{name}.{base64.urlsafe_b64encode(packed.encode()).decode().rstrip('=')}"

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
