"""What the simulated SAP must not forget: one JSON line per event, on the disk before anybody is answered."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Event = dict[str, Any]


class Journal:
    """This will keep events in `path`, append-only; with None it keeps nothing. Not thread safe: one writer.

    A line torn by a kill was never answered for, so it is cut off when the journal is opened again.
    """

    def __init__(self, path: Path | None) -> None:
        self._file = None
        self._path = path
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+b")

    def replay(self) -> Iterator[Event]:
        """This will yield all events of earlier lives in order, then leave the file ready to be appended to."""
        if self._file is None:
            return
        self._file.seek(0)
        whole = 0
        for line in self._file:
            if not line.endswith(b"\n"):
                break
            yield json.loads(line)
            whole += len(line)
        self._file.truncate(whole)

    def append(self, *events: Event) -> None:
        """This will write the events and return when the disk has them, all or (after a kill) only the first ones."""
        if self._file is None:
            return
        self._file.write(b"".join(json.dumps(event, separators=(",", ":")).encode() + b"\n" for event in events))
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """This will close the file."""
        if self._file is not None:
            self._file.close()
