"""What the simulated SAP must not forget: JSON lines, on the disk before anybody is answered.

A line holds what belongs together: one event, or a list of events that hold all or none.
"""

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
            together = json.loads(line)
            yield from together if isinstance(together, list) else [together]
            whole += len(line)
        self._file.truncate(whole)

    def append(self, *events: Event) -> None:
        """This will write the events and return when the disk has them: all of them or, after a kill, none."""
        if self._file is None or not events:
            return
        together = events[0] if len(events) == 1 else events
        self._file.write(json.dumps(together, separators=(",", ":")).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """This will close the file."""
        if self._file is not None:
            self._file.close()
