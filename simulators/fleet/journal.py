"""The state that survives a kill: JSON lines, appended and forced to disk before anything is answered.

Replaying the lines in order rebuilds the state. One line is one fact, whole or absent: the last line may be torn by a
kill and is then cut off, as nobody was told of it.
"""

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Record = dict[str, Any]


class JournalDamaged(Exception):
    """A line of the journal that is not the last one cannot be read."""


class Journal:
    """This will keep records in `path`; without a path nothing is kept and every commit succeeds at once.

    Commits that arrive while the disk is busy are forced together by the next flush: many small jobs cost few flushes.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: int | None = None
        self._pending: list[bytes] = []
        self._noted = self._kept = 0
        self._flush: asyncio.Task[None] | None = None

    def replay(self) -> Iterator[Record]:
        """This will give the records kept, oldest first, cut off a torn last line, and open the file for appending."""
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        whole = 0
        with self._path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.endswith(b"\n"):
                    break
                try:
                    record = json.loads(line)
                except ValueError as error:
                    raise JournalDamaged(f"{self._path}, line {number}: {error}") from error
                whole += len(line)
                yield record
        os.ftruncate(self._file, whole)

    def note(self, record: Record) -> None:
        """This will append a record that may be lost in a kill: it reaches the disk with the next commit."""
        if self._file is not None:
            self._pending.append(json.dumps(record, separators=(",", ":")).encode() + b"\n")
            self._noted += 1

    def soon(self) -> None:
        """This will begin to force what was noted, without anybody waiting for it."""
        if self._file is not None and self._flush is None:
            self._flush = asyncio.ensure_future(self._write())

    async def commit(self, *records: Record) -> None:
        """This will append the records and return when they, and all noted before, are on the disk."""
        for record in records:
            self.note(record)
        mine = self._noted
        while self._file is not None and self._kept < mine:
            self.soon()
            if self._flush is not None:
                await asyncio.shield(self._flush)

    def close(self) -> None:
        """This will write what is pending and close the file."""
        if self._file is not None:
            self._force(b"".join(self._pending))
            os.close(self._file)
            self._file, self._pending = None, []

    async def _write(self) -> None:
        data, upto, self._pending = b"".join(self._pending), self._noted, []
        try:
            await asyncio.to_thread(self._force, data)
            self._kept = upto
        finally:
            self._flush = None

    def _force(self, data: bytes) -> None:
        assert self._file is not None
        os.write(self._file, data)
        os.fsync(self._file)
