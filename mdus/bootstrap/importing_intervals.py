"""`mdus import intervals`: takes a file of interval values in as deliveries of a head end, in this process.

```
file -> parts of whole lines -> compressed and decoded -> stored and taken in, a transaction each
        (this thread)           (beside it, one ahead)    (this thread, as the readings worker does)
```
A part is stored once: what was taken in before an interruption is passed over when the file is told again. Never more
than a few parts are in memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from mdus.bootstrap.composition import Parts, compose, readings_worker
from mdus.bootstrap.database import prepare
from mdus.bootstrap.errors import CannotStart
from mdus.bootstrap.working import collect_seldom
from mdus.domain.head_end import FieldEvent, FilePart, PartFile, RawDelivery, UnreadableLine
from mdus.storage import delivery
from mdus.storage.delivery import Packed
from mdus.telemetry import logs
from mdus.workers.readings import ReadingsWorker

#: What is going on, how far it is, and how far it goes.
Progress = Callable[[str, int, int], None]

#: Parts prepared before they are needed: while the database works, the next is read.
_AHEAD: Final = 2

#: Lines and reasons that are listed one by one; the rest is counted.
_LISTED: Final = 100


@dataclass(kw_only=True, slots=True)
class ImportedIntervals:
    """What became of a file: its deliveries, those known before, values told, and what is wrong.

    `unmapped` counts what is told under codes that no table explains. `unreadable` and `unplaced` list the first
    hundred: lines of the file, and what found no place yet.
    """

    deliveries: int = 0
    known: int = 0
    values: int = 0
    unmapped: int = 0
    unreadable_lines: int = 0
    unreadable: list[UnreadableLine] = field(default_factory=list)
    unplaced_parts: int = 0
    unplaced: list[str] = field(default_factory=list)

    @property
    def is_in_order(self) -> bool:
        """Tell whether every line was read and understood, and every value found its place."""
        return not self.unreadable_lines and not self.unmapped and not self.unplaced_parts


class _Prepared(NamedTuple):
    """A part that needs nothing but a transaction; without events it is known."""

    part: FilePart
    raw: RawDelivery
    packed: Packed
    events: tuple[FieldEvent, ...] | None


def import_intervals(
    environ: Mapping[str, str], file: Path, *, head_end: str, told: str | None, progress: Progress
) -> ImportedIntervals:
    """Take a file in for a head end whose kind reads files, in the format `told` or as it looks.

    Raises CannotStart when nothing of the file can be used.
    """
    parts = compose(environ, simulated_clock=True)
    runtime = parts.runtime
    try:
        part_file = _parting(parts, head_end)
        # A line for every delivery would tear the progress bar apart.
        logs.configure(form=runtime.settings.log.format, level="error", secrets=runtime.settings.secrets())
        prepare(runtime.database, simulated_clock=True)
        collect_seldom()
        with _opened(file) as opened:
            total = file.stat().st_size
            try:
                return _import(readings_worker(parts), part_file(opened, told), head_end, total, progress)
            except ValueError as error:
                mend = "see docs/head_ends/file_drop.md for what may stand there"
                raise CannotStart.because(str(error), where=str(file), mend=mend) from error
    finally:
        parts.close()


def _parting(parts: Parts, head_end: str) -> PartFile:
    reading = parts.runtime.part_files
    part_file = reading.get(head_end)
    if part_file is None:
        known = ", ".join(reading) or "none is configured"
        what = f"there is no head end {head_end!r} that delivers files"
        raise CannotStart.because(what, where="--head-end", mend=f"name one of kind file_drop: {known}")
    return part_file


def _opened(file: Path) -> BinaryIO:
    try:
        return file.open("rb")
    except OSError as error:
        raise CannotStart.because(str(error), where=str(file), mend="name a file that can be read") from error


def _import(
    worker: ReadingsWorker, parts: Iterator[FilePart], head_end: str, total: int, progress: Progress
) -> ImportedIntervals:
    imported, done = ImportedIntervals(), 0
    for part, raw, packed, events in _ahead(worker, parts, head_end):
        imported.deliveries += 1
        taken = None if events is None else worker.take_at_once(raw, packed, events, head_end=head_end)
        if taken is None or not taken.is_new:
            imported.known += 1
        else:
            imported.values += taken.values
            imported.unmapped += taken.unmapped
            imported.unreadable_lines += len(taken.unreadable)
            imported.unreadable += [
                UnreadableLine(line=each.line + part.lines_before, reason=each.reason)
                for each in taken.unreadable[: _LISTED - len(imported.unreadable)]
            ]
            imported.unplaced_parts += bool(taken.unplaced)
            for reason in taken.unplaced:
                if len(imported.unplaced) < _LISTED and reason not in imported.unplaced:
                    imported.unplaced.append(reason)
        done += part.size
        progress("bytes", done, total)
    return imported


def _ahead(worker: ReadingsWorker, parts: Iterator[FilePart], head_end: str) -> Iterator[_Prepared]:
    """Yield the parts prepared, in their order, while the next are being prepared."""

    def prepared(part: FilePart) -> _Prepared:
        raw = RawDelivery(topic=part.topic, correlation="", body=part.body)
        packed = delivery.pack(raw)
        events = None if worker.knows(packed, head_end=head_end) else worker.decoded(raw, head_end=head_end)
        return _Prepared(part, raw, packed, events)

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="decode") as pool:
        waiting: deque[Future[_Prepared]] = deque()
        for part in parts:
            waiting.append(pool.submit(prepared, part))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
