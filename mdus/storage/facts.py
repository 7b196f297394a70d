"""Exception cases."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Index, text

from mdus.domain.exception_case import ExceptionCase
from mdus.storage.mapping import ValueTable


def _of_kind(name: str, condition: str) -> Index:
    return Index(name, "kind", "id", sqlite_where=text(condition), postgresql_where=text(condition))


EXCEPTION_CASE = ValueTable(
    ExceptionCase,
    "exception_case",
    constraints=[
        _of_kind("exception_case_open", "closed_at IS NULL"),
        _of_kind("exception_case_closed", "closed_at IS NOT NULL"),
    ],
)

# In the words of the partial indexes.
CASE_IS_OPEN: Final = "exception_case.closed_at IS NULL"
CASE_IS_CLOSED: Final = "exception_case.closed_at IS NOT NULL"
