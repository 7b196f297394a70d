"""A watched folder: which of its files are whole, whose they are, and where they go.

```
folder/x            lies there, unchanged for `settled_seconds`
   |  renamed       from here on no other process finds it
folder/.working/    <number>.x, locked while it is read; a lock ends with its process, and so another goes on
   |  renamed       all of it is durable, or it cannot be read
done/x, failed/x    x.2 where there is an x already
```

Whoever is killed at any moment leaves a file in exactly one of these places. What was stored of it before is known by
its content, and is told again without effect.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, NamedTuple, Self

import structlog

from mdus.messaging.retry import TransientError

log = structlog.get_logger(__name__)

_WORKING: Final = ".working"

#: Names of files that are still being written, beside those that begin with a point.
_UNFINISHED: Final = (".part", ".tmp", ".filepart")

#: Digits of the number before a claimed file's name.
_NUMBER: Final = 12


class _Look(NamedTuple):
    """What a file looked like: it is another, or has changed, when this has."""

    inode: int
    size: int
    changed_ns: int

    @classmethod
    def at(cls, status: os.stat_result) -> _Look:
        return cls(status.st_ino, status.st_size, status.st_mtime_ns)


class _Seen(NamedTuple):
    """A file that lies there: how it looks, since when, and when it came.

    That is when it was named as it is: a time of change is copied along with a file, this is not.
    """

    look: _Look
    since: float
    came_ns: int


@dataclass(slots=True)
class Claim:
    """A file that is ours until it is closed; `name` is the one it came under."""

    name: str
    file: BinaryIO
    _path: Path
    _look: _Look
    _done: Path
    _failed: Path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.file.close()

    def done(self) -> None:
        """Move the file to those that were taken in; one that has grown meanwhile stays, and is read again."""
        if _Look.at(os.fstat(self.file.fileno())) != self._look:
            log.warning("file_changed_while_it_was_read", file=self.name)
            return
        _moved(self._path, self._done, self.name)

    def failed(self, reason: str) -> None:
        """Move the file to those that cannot be read, with the reason beside it."""
        log.warning("file_unreadable", file=self.name, reason=reason)
        target = _moved(self._path, self._failed, self.name)
        try:
            target.with_name(f"{target.name}.reason").write_text(f"{reason}\n")
        except OSError as error:
            log.warning("reason_not_written", file=self.name, reason=str(error))


class DropFolder:
    """The files that a head end leaves in a folder. `monotonic` is the real clock by which they settle."""

    def __init__(
        self,
        folder: Path,
        *,
        done: Path,
        failed: Path,
        settled_seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._working = folder / _WORKING
        self._done = done
        self._failed = failed
        self._settled_seconds = settled_seconds
        self._monotonic = monotonic
        self._seen: dict[Path, _Seen] = {}

    def claims(self) -> Iterator[Claim]:
        """Yield the files that are whole, oldest first, each claimed; close it before the next is asked for.

        Raises OSError where the folder cannot be looked into. A single file that cannot be had costs no other.
        """
        self._look()
        now = self._monotonic()
        ready = [path for path, seen in self._seen.items() if now - seen.since >= self._settled_seconds]
        for path in sorted(ready, key=self._turn):
            try:
                claim = self._claim(path)
            except OSError as error:
                log.warning("file_not_claimed", file=path.name, reason=str(error))
                continue
            if claim is not None:
                yield claim

    def _look(self) -> None:
        """Look at all files, and note since when each looks as it does."""
        self._working.mkdir(exist_ok=True)
        now = self._monotonic()
        before, self._seen = self._seen, {}
        for each in self._files():
            path = Path(each.path)
            try:
                status = each.stat()
            except FileNotFoundError:
                continue  # another process has just taken it
            look, known = _Look.at(status), before.get(path)
            since = known.since if known is not None and known.look == look else now
            self._seen[path] = _Seen(look, since, status.st_ctime_ns)

    def _turn(self, path: Path) -> tuple[bool, int, str]:
        """Return by what files are put in order: what was claimed before, then what came first."""
        return path.parent != self._working, self._seen[path].came_ns, path.name

    def _files(self) -> Iterator[os.DirEntry[str]]:
        for folder in (self._working, self._folder):
            with os.scandir(folder) as entries:
                for each in entries:
                    is_unfinished = each.name.startswith(".") or each.name.lower().endswith(_UNFINISHED)
                    if not is_unfinished and each.is_file(follow_symlinks=False):
                        yield each

    def _claim(self, path: Path) -> Claim | None:
        """Return a file as ours, None where another process has it or somebody still writes to it."""
        look = self._seen[path].look
        name = path.name
        if path.parent == self._folder:
            claimed = self._working / f"{uuid.uuid4().hex[:_NUMBER]}.{name}"
            try:
                path.rename(claimed)
            except FileNotFoundError:
                return None
        else:
            claimed, name = path, name[_NUMBER + 1 :]
        try:
            file = _opened(claimed)
        except FileNotFoundError:
            return None
        if not _is_held(file, claimed) or _Look.at(os.fstat(file.fileno())) != look:
            file.close()
            return None
        return Claim(name, file, claimed, look, self._done, self._failed)


def _opened(path: Path) -> BinaryIO:
    """Return a file open to be read; where it may be, to be written, too: on network shares only such are locked."""
    try:
        return path.open("r+b")
    except PermissionError:
        return path.open("rb")


def _is_held(file: BinaryIO, path: Path) -> bool:
    """Lock a file; returns False where another process has it, or had it and has finished with it meanwhile."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return path.stat().st_ino == os.fstat(file.fileno()).st_ino
    except (BlockingIOError, FileNotFoundError):
        return False
    except OSError:
        file.close()
        raise


def _moved(path: Path, folder: Path, name: str) -> Path:
    """Move a file into a folder, under another name where there is one of its name already; returns where it is.

    Raises TransientError where it cannot be moved now.
    """
    try:
        return _moved_now(path, folder, name)
    except OSError as error:
        raise TransientError(f"the file {name} cannot be moved to {folder}: {error}") from error


def _moved_now(path: Path, folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in count(1):
        target = folder / (name if number == 1 else f"{name}.{number}")
        try:
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            continue
        shutil.move(path, target)
        return target
    raise AssertionError  # names do not end
