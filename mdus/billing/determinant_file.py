"""Determinants as CSV: a line per version, which says what it replaces, in the order they were made."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import fields
from datetime import date, datetime
from typing import Any, Final

from mdus.billing.determinant import Determinant

#: The columns of a file; those of `Determinant`, the id first.
COLUMNS: Final = ("id", *(field.name for field in fields(Determinant) if field.name != "id"))


def file_name(day: date) -> str:
    """Return the name of the file of the versions that were made on a day."""
    return f"determinants-{day}.csv"


def header() -> str:
    """Return the first line."""
    return _text([COLUMNS])


def lines(versions: Iterable[Determinant]) -> str:
    """Return a line per version: instants in UTC, quantities without exponent, nothing where there is nothing."""
    return _text([_told(getattr(version, name)) for name in COLUMNS] for version in versions)


def _told(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%SZ}"
    return str(value)


def _text(rows: Iterable[Iterable[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
