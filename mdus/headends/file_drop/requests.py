"""Requests by file (docs/head_ends/file_drop.md): one for each call, named after it, which the head end takes away."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from mdus.domain.command import Command, CommandKind
from mdus.messaging.retry import TransientError, UncertainError

#: What can be asked for by file. Nothing that must not happen too late is among it: a file may lie for days.
REQUESTABLE: Final = frozenset({CommandKind.READ_REGISTERS, CommandKind.READ_INTERVALS, CommandKind.READ_ON_DEMAND})

HEADER: Final = ("reference", "serial", "what", "from", "to", "expires")


def request(commands: Sequence[Command], *, kind: CommandKind) -> bytes:
    """Return a request file: a row for each meter."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(HEADER)
    for command in commands:
        period = (_stamp(command.period_from), _stamp(command.period_to))
        if kind is not CommandKind.READ_ON_DEMAND and "" in period:
            raise ValueError(f"the command {command.command_key} reads values of no period")
        rows.writerow((command.command_key, command.serial_id, kind.value, *period, _stamp(command.expires_at)))
    return text.getvalue().encode()


class RequestFolder:
    """Where requests wait until the head end has taken them, and where it puts them then."""

    def __init__(self, folder: Path, *, taken: Path) -> None:
        self._folder = folder
        self._taken = taken

    def write(self, correlation: str, body: bytes) -> None:
        """Leave a request, whole or not at all; one that is there already, or was taken, is not written again.

        Raises TransientError when it is certainly not there, UncertainError when it may be.
        """
        if self.has(correlation):
            return
        target = self._folder / _name(correlation)
        draft = target.with_name(f"{target.name}.part")
        try:
            with draft.open("wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise TransientError(f"no request can be written into {self._folder}: {error}") from error
        try:
            draft.rename(target)
            folder = os.open(self._folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise UncertainError(f"the request {target.name} may have been left: {error}") from error

    def has(self, correlation: str) -> bool:
        """Tell whether a request was left, taken or not."""
        return any((folder / _name(correlation)).exists() for folder in (self._folder, self._taken))

    def check(self) -> None:
        """Raise TransientError where no request could be left."""
        if not os.access(self._folder, os.W_OK | os.X_OK):
            raise TransientError(f"the folder {self._folder} cannot be written to")


def _name(correlation: str) -> str:
    return f"{correlation}.csv"


def _stamp(at: datetime | None) -> str:
    return "" if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")
