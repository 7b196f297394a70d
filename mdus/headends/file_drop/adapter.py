"""The head end behind the kind `file_drop`: what it tells lies in a folder, and so does what it is asked for.

It is never called: requests are files that it takes away when it likes, results and all else are files that it leaves.
Without a folder for requests it takes no command. It never takes a switch: a file may lie for days.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from mdus.domain.capability import Capability
from mdus.domain.command import CommandKind
from mdus.domain.head_end import (
    Arrival,
    Batch,
    HeadEndKind,
    Probe,
    RawDelivery,
    Rejection,
    SilentHeadEnd,
    Submission,
    options_of,
)
from mdus.headends.file_drop import codec
from mdus.headends.file_drop.compressed import TooLarge
from mdus.headends.file_drop.folder import Claim, DropFolder
from mdus.headends.file_drop.formats import Format
from mdus.headends.file_drop.options import Options
from mdus.headends.file_drop.parting import part_file
from mdus.headends.file_drop.requests import REQUESTABLE, RequestFolder, request
from mdus.messaging.retry import TransientError
from mdus.settings import HeadEnd as Row
from mdus.settings import Settings


class FileDropHeadEnd(SilentHeadEnd):
    """One head end of kind `file_drop`; one thread at a time may look for arrivals."""

    def __init__(self, row: Row) -> None:
        self.name = row.name
        self.batch_size = row.devices_per_call
        options = options_of(row, Options)
        self._folder = options.folder
        self._patterns = [(pattern.lower(), told) for pattern, told in options.patterns.items()]
        self._most_bytes = options.max_file_bytes
        self._drop = _drop_folder(options)
        self._requests: RequestFolder | None = None
        if options.request_folder is not None and options.taken is not None:
            self._requests = RequestFolder(options.request_folder, taken=options.taken)

    def submit(self, batch: Batch) -> Submission:
        """Leave a request file, named after the call; without a folder for it reject every command."""
        if self._requests is None or batch.kind not in REQUESTABLE:
            text = f"{self.name} takes no command {batch.kind.value}"
            rejections = [
                Rejection(command_key=each.command_key, code="NOT_SUPPORTED", text=text) for each in batch.commands
            ]
            return Submission(token="", rejections=tuple(rejections))
        self._requests.write(batch.correlation, request(batch.commands, kind=batch.kind))
        return Submission(token=batch.correlation)

    def find(self, correlation: str) -> Submission | None:
        """Look for a request that may have been left."""
        is_there = self._requests is not None and self._requests.has(correlation)
        return Submission(token=correlation) if is_there else None

    def probe(self) -> Probe:
        """Look whether the folders are there; what it takes depends on whether there is one for requests."""
        if self._folder is not None and not self._folder.is_dir():
            raise TransientError(f"there is no folder {self._folder}")
        if self._requests is not None:
            self._requests.check()
        takes = REQUESTABLE if self._requests is not None else frozenset()
        return Probe(takes=takes, text="files" if self._folder is None else f"files in {self._folder}")

    def arrivals(self) -> Iterator[Arrival]:
        """Yield the files that lie in the folder and are whole, each in parts."""
        if self._drop is None:
            return
        try:
            for claim in self._drop.claims():
                with claim:
                    yield Arrival(deliveries=self._deliveries(claim), taken=claim.done, failed=claim.failed)
        except OSError as error:
            raise TransientError(f"{self.name}: files cannot be had from {self._folder}: {error}") from error

    def _deliveries(self, claim: Claim) -> Iterator[RawDelivery]:
        name = claim.name.lower()
        told = next((found for pattern, found in self._patterns if fnmatchcase(name, pattern)), None)
        try:
            for part in part_file(claim.file, None if told is None else Format(told).value, most=self._most_bytes):
                yield RawDelivery(topic=part.topic, correlation="", body=part.body)
        except TooLarge as error:
            setting = f"head_ends.{self.name}.options.max_file_bytes"
            raise ValueError(f"the file {claim.name}: {error} ({setting})") from error
        except ValueError as error:
            raise ValueError(f"the file {claim.name}: {error}") from error
        except OSError as error:
            raise TransientError(f"the file {claim.name} cannot be read now: {error}") from error


def connect(settings: Settings, row: Row) -> FileDropHeadEnd:
    """Return the head end that a row of config/head_ends.toml describes; nothing is looked at yet."""
    del settings  # it is asked for no channel by name
    return FileDropHeadEnd(row)


def _lacking(row: Row) -> frozenset[CommandKind]:
    """Return what cannot be asked: anything, where there is no folder for it."""
    return frozenset() if options_of(row, Options).request_folder is not None else REQUESTABLE


def _drop_folder(options: Options) -> DropFolder | None:
    folder, done, failed = options.folder, options.done, options.failed
    if folder is None or done is None or failed is None:
        return None
    return DropFolder(Path(folder), done=done, failed=failed, settled_seconds=options.settled_seconds)


HEAD_END = HeadEndKind(
    name="file_drop",
    capabilities=REQUESTABLE,
    connect=connect,
    decoder=codec.decoder,
    options=Options,
    lacks=_lacking,
    tells=frozenset({Capability.REMOTE_READING, Capability.LOAD_PROFILE, Capability.EVENTS}),
    answers=False,
    listens=True,
    part_file=part_file,
)
