"""Rows of a CSV whose header names its columns, in any order and with others beside them; each row for itself."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from mdus.contracts.printable import printable
from mdus.domain.head_end import FieldEvent, UnreadableLine
from mdus.headends.file_drop.numbers import number

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


def split(text: str) -> list[str]:
    """Return the fields of a line, without the spaces around them. Raises ValueError where it has none."""
    try:
        return [each.strip() for each in next(csv.reader([text]))]
    except csv.Error as error:
        raise ValueError(f"fields separated by commas are expected: {error}") from None


def columns(line: bytes) -> list[str]:
    """Return the names a header has, in small letters; none where the line is no header at all."""
    text = line.removeprefix(BYTE_ORDER_MARK).rstrip(b"\r\n").decode("utf-8", "replace")
    try:
        return [name.lower() for name in split(text)]
    except ValueError:
        return []


@dataclass(frozen=True, slots=True)
class Row:
    """The texts of a row by the names of their columns. What is not as it must be is a ValueError with the column."""

    line: int
    texts: Mapping[str, str]

    def optional(self, name: str) -> str | None:
        """Return a text, None where it is empty or there is no such column."""
        return self.texts.get(name) or None

    def text(self, name: str) -> str:
        """Return a text that must be there."""
        found = self.optional(name)
        if found is None:
            raise ValueError(f"{name}: a text is expected, found nothing")
        return found

    def number(self, name: str) -> Decimal | None:
        """Return a decimal number, None where there is none."""
        found = self.optional(name)
        if found is None:
            return None
        read = number(found)
        if read is None:
            raise ValueError(f"{name}: a number is expected, found {_shown(found)}")
        return read

    def instant(self, name: str) -> datetime | None:
        """Return an instant with a zone, in UTC; None where there is none."""
        found = self.optional(name)
        if found is None:
            return None
        with suppress(ValueError, OverflowError):
            at = datetime.fromisoformat(found)
            if at.tzinfo is not None:
                return at.astimezone(UTC)
        raise ValueError(f"{name}: an instant such as 2026-03-29T00:00:00Z is expected, found {_shown(found)}")

    def needed_instant(self, name: str) -> datetime:
        """Return an instant that must be there."""
        at = self.instant(name)
        if at is None:
            raise ValueError(f"{name}: an instant is expected, found nothing")
        return at


def rows(body: bytes, needed: Sequence[str]) -> Iterator[Row | UnreadableLine]:
    """Yield the rows of a body, and each line that is none. Raises ValueError where its header lacks a column."""
    head, _, rest = body.partition(b"\n")
    names = columns(head)
    if not set(needed) <= set(names):
        found = _shown(head.decode("utf-8", "replace"))
        raise ValueError(f"line 1: a header with the columns {', '.join(needed)} is expected, found {found}")
    for line, text in enumerate(rest.split(b"\n"), start=2):
        whole = text.rstrip(b"\r")
        if not whole:
            continue
        try:
            fields = split(printable(whole.decode("utf-8", "replace")))
        except ValueError as error:
            yield UnreadableLine(line=line, reason=str(error))
            continue
        if len(fields) == len(names):
            yield Row(line, dict(zip(names, fields, strict=True)))
        else:
            yield UnreadableLine(line=line, reason=f"{len(names)} columns are expected, found {len(fields)}")


def events_of(body: bytes, needed: Sequence[str], read: Callable[[Row], Iterable[FieldEvent]]) -> Iterator[FieldEvent]:
    """Yield what the rows of a body tell, and each row that cannot be read; a bad one costs no other."""
    for row in rows(body, needed):
        if isinstance(row, UnreadableLine):
            yield row
            continue
        try:
            told = list(read(row))
        except ValueError as error:
            yield UnreadableLine(line=row.line, reason=str(error))
        else:
            yield from told


def _shown(text: str) -> str:
    return repr(printable(text[:60]))
