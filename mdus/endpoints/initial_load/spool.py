"""Where the rows of a file wait until they are sorted: a file of its own beside the process, gone when it ends.

Rows come in any order; those that go together are found again by their owner, and twins by their identity. What is
wrong with rows waits there too, so that the report lists it in the order of the file. Memory does not grow with either.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import astuple
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Final, NamedTuple

from mdus.endpoints.initial_load.findings import Fault, Finding

_TABLES: Final = """
CREATE TABLE row (kind, identity, owner, number INTEGER, content, PRIMARY KEY (kind, identity)) WITHOUT ROWID;
CREATE INDEX row_owner ON row (kind, owner, number);
CREATE INDEX row_number ON row (number);
CREATE TABLE spoiled (kind, owner, number INTEGER, PRIMARY KEY (kind, owner)) WITHOUT ROWID;
CREATE TABLE finding (number INTEGER, kind, field, expected, found, mend);
"""

_GROUPS: Final = """
SELECT owner, number, content FROM (
    SELECT owner, number, content, MIN(number) OVER (PARTITION BY owner) AS first FROM row
    WHERE kind = ? AND NOT EXISTS (SELECT 1 FROM spoiled WHERE spoiled.kind = row.kind AND spoiled.owner = row.owner)
) ORDER BY first, number
"""


class Waiting(NamedTuple):
    """One row: its number in the file, and the Request it makes alone, as JSON."""

    number: int
    content: str


class Spool:
    """The rows and findings of one file, in a folder that is thrown away."""

    def __init__(self, folder: Path) -> None:
        """Make the spool; close it before the folder goes."""
        self._database = sqlite3.connect(folder / "rows.db", isolation_level=None)
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-8192"):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.executescript(_TABLES)
        self._database.execute("BEGIN")

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    # -- rows ---------------------------------------------------------------------------------------------------------

    def add(self, kind: str, row: Waiting, *, owner: str, identity: str) -> int | None:
        """Keep a row; where another has its identity, keep only that, and return its number."""
        added = self._database.execute(
            "INSERT OR IGNORE INTO row VALUES (?, ?, ?, ?, ?)", (kind, identity, owner, row.number, row.content)
        )
        if added.rowcount:
            return None
        twin = self._database.execute("SELECT number FROM row WHERE kind = ? AND identity = ?", (kind, identity))
        return int(twin.fetchone()[0])

    def spoil(self, kind: str, owner: str, number: int) -> None:
        """Hold back the rows of an owner, because one of them is wrong."""
        self._database.execute("INSERT OR IGNORE INTO spoiled VALUES (?, ?, ?)", (kind, owner, number))

    def count(self, kind: str) -> int:
        """Return how many rows of a kind wait, held back or not."""
        return int(self._database.execute("SELECT COUNT(*) FROM row WHERE kind = ?", (kind,)).fetchone()[0])

    def groups(self, kind: str) -> Iterator[tuple[str, list[Waiting]]]:
        """Yield the owners of a kind with their rows, those that come first in the file leading."""
        rows = self._database.cursor().execute(_GROUPS, (kind,))
        for owner, some in groupby(rows, key=itemgetter(0)):
            yield owner, [Waiting(number, content) for _, number, content in some]

    def together_with(self, kind: str, number: int) -> list[Waiting]:
        """Return a row and those that go together with it."""
        query = (
            "SELECT number, content FROM row WHERE kind = ? AND"
            " owner = (SELECT owner FROM row WHERE kind = ? AND number = ?) ORDER BY number"
        )
        return [Waiting(*row) for row in self._database.execute(query, (kind, kind, number))]

    def held_back(self, kind: str) -> Iterator[tuple[int, int]]:
        """Yield the rows that are right and held back, each with the row that is to blame."""
        query = (
            "SELECT row.number, spoiled.number FROM spoiled"
            " JOIN row ON row.kind = spoiled.kind AND row.owner = spoiled.owner AND row.number <> spoiled.number"
            " WHERE spoiled.kind = ? ORDER BY row.number"
        )
        yield from self._database.cursor().execute(query, (kind,))

    # -- findings -----------------------------------------------------------------------------------------------------

    def find(self, kind: str, number: int, fault: Fault) -> None:
        """Keep what is wrong with a row."""
        finding = Finding(
            row=number, kind=kind, field=fault.field, expected=fault.expected, found=fault.found, mend=fault.mend
        )
        self._database.execute("INSERT INTO finding VALUES (?, ?, ?, ?, ?, ?)", astuple(finding))

    def findings(self) -> Iterator[Finding]:
        """Yield what is wrong, in the order of the rows."""
        query = "SELECT number, kind, field, expected, found, mend FROM finding ORDER BY number, rowid"
        for number, kind, field, expected, found, mend in self._database.cursor().execute(query):
            yield Finding(row=number, kind=kind, field=field, expected=expected, found=found, mend=mend)

    def faulty(self, kind: str) -> int:
        """Return how many rows of a kind something is wrong with."""
        query = "SELECT COUNT(DISTINCT number) FROM finding WHERE kind = ?"
        return int(self._database.execute(query, (kind,)).fetchone()[0])
