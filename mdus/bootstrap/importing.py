"""`mdus import`: takes a file in like SAP's messages, has it decided by the same worker, and writes the report.

```
file -> rows -> Requests -> inbox (marked as imported) -> inbox worker, this one or another -> report
```
One kind after the other: registers are taken in when their devices are decided, so none waits for what is in the file.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sqlalchemy.exc import DBAPIError

from mdus.bootstrap.composition import Parts, compose, examine, retry_policy
from mdus.bootstrap.database import prepare
from mdus.bootstrap.errors import CannotStart
from mdus.bootstrap.working import only_worker
from mdus.contracts.catalog import catalog
from mdus.endpoints.initial_load.findings import UnusableFile, write_report
from mdus.endpoints.initial_load.kinds import KINDS, Kind
from mdus.endpoints.initial_load.load import InitialLoad
from mdus.endpoints.initial_load.spool import Spool
from mdus.endpoints.intake import Intake
from mdus.endpoints.received_body import ReceivedBody
from mdus.endpoints.refusal import Refused
from mdus.endpoints.runtime import Runtime
from mdus.settings import Settings
from mdus.storage.imported import not_taken, undecided
from mdus.storage.session import Database, is_collision
from mdus.telemetry import logs
from mdus.workers.inbox import InboxWorker

#: What is going on, how far it is, and how far it goes.
Progress = Callable[[str, int, int], None]

_LOOK_SECONDS: Final = 0.2
#: How long nothing may be decided before the rest is reported as undecided.
_PATIENCE_SECONDS: Final = 120.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Counted:
    """The rows of one kind: how many there were, and how many something is wrong with."""

    rows: int
    wrong: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """What became of a file: its rows by kind ('' where they tell none), and the findings written to the report."""

    kinds: Mapping[str, Counted] = field(default_factory=dict)
    findings: int = 0

    @property
    def rows(self) -> int:
        """Return how many rows there were."""
        return sum(counted.rows for counted in self.kinds.values())

    @property
    def wrong(self) -> int:
        """Return how many rows something is wrong with."""
        return sum(counted.wrong for counted in self.kinds.values())


def import_file(
    environ: Mapping[str, str],
    file: Path,
    *,
    system: str,
    kind: str | None,
    dry_run: bool,
    report: Path,
    progress: Progress,
) -> Imported:
    """Import a file for a sender system and write the report; a dry run judges the rows and leaves the database alone.

    `kind` is that of rows that name none. Raises CannotStart when nothing of the file can be used, or nothing stored.
    """
    _check_report(report, file)
    with tempfile.TemporaryDirectory(prefix="mdus-import-") as folder, closing(Spool(Path(folder))) as spool:
        if dry_run:
            settings = _examined(environ)
            _check_system(settings, system)
            load = InitialLoad(spool=spool, system=system, contract=catalog(), clock=lambda: datetime.now(UTC))
            _read(load, file, kind=kind, progress=progress)
            for each in KINDS.values():
                for _ in load.requests(each):
                    pass
        else:
            with _opened(environ) as parts:
                runtime = parts.runtime
                _check_system(runtime.settings, system)
                load = InitialLoad(spool=spool, system=system, contract=runtime.catalog, clock=runtime.clock.now)
                _read(load, file, kind=kind, progress=progress)
                for each in KINDS.values():
                    _take_in(parts, load, each, progress=progress)
        count = write_report(spool.findings(), report)
        counted = {name: Counted(rows=rows, wrong=spool.faulty(name)) for name, rows in load.seen.items()}
    return Imported(kinds=counted, findings=count)


def _examined(environ: Mapping[str, str]) -> Settings:
    examined = examine(environ)
    if examined.settings is None or examined.problems:
        raise CannotStart(examined.problems)
    return examined.settings


def _check_system(settings: Settings, system: str) -> None:
    if settings.senders and settings.sender_for(system) is None:
        known = ", ".join(name for sender in settings.senders for name in sender.systems)
        raise CannotStart.because(
            f"no sender speaks for the system {system!r}", where="--system", mend=f"name one of {known}"
        )


@contextmanager
def _opened(environ: Mapping[str, str]) -> Iterator[Parts]:
    parts = compose(environ, simulated_clock=True)
    settings = parts.runtime.settings
    try:
        # A line for every message would tear the progress bar apart.
        logs.configure(form=settings.log.format, level="warning", secrets=settings.secrets())
        prepare(parts.runtime.database, simulated_clock=True)
        yield parts
    finally:
        parts.close()


def _read(load: InitialLoad, file: Path, *, kind: str | None, progress: Progress) -> None:
    try:
        load.read(file, kind=kind, progress=lambda done, total: progress("reading", done, total))
    except UnusableFile as error:
        raise CannotStart.because(str(error), where=str(file), mend=error.mend) from error


def _take_in(parts: Parts, load: InitialLoad, kind: Kind, *, progress: Progress) -> None:
    """Store the rows of one kind, wait until they are decided, and settle them."""
    database = parts.runtime.database
    stored = _stored(parts.runtime, load, kind)
    total = sum(items for _, items in stored)
    with _deciding(parts) as decide:
        done, patience = 0, _PATIENCE_SECONDS
        for message_id, items in stored:
            for left in _decided(database, message_id, items, decide=decide, patience=patience):
                progress(kind.name, done + items - left, total)
            done += items
            with database.read() as uow:
                if undecided(uow.connection, message_id):
                    patience = 0.0  # it is the same for all that follow
                outcomes = not_taken(uow.connection, message_id)
            load.settle(kind, outcomes)


def _stored(runtime: Runtime, load: InitialLoad, kind: Kind) -> list[tuple[int, int]]:
    """Take in the messages of one kind; return the id of each and the number of its items."""
    intake = Intake(runtime)
    stored = []
    for message, items in load.messages(kind):
        with closing(ReceivedBody(runtime.settings.http, gzip=False)) as body:
            try:
                body.feed(message)
                body.finish()
                taken = intake.take(body, interface=None, sender=None, imported=True)
            except Refused as refused:
                where, mend = "http.max_body_bytes", "allow for larger messages"
                raise CannotStart.because(refused.text, where=where, mend=mend) from refused
        stored.append((taken.message_id, items))
    return stored


def _decided(
    database: Database, message_id: int, items: int, *, decide: Callable[[], int], patience: float
) -> Iterator[int]:
    """Yield how many items of a message are left to be decided, until none is or patience ends."""
    left, deadline = items, time.monotonic() + patience
    while left and time.monotonic() < deadline:
        if decide() == 0:
            time.sleep(_LOOK_SECONDS)
        with database.read() as uow:
            still = undecided(uow.connection, message_id)
        if still < left:
            left, deadline = still, time.monotonic() + patience
        yield left


@contextmanager
def _deciding(parts: Parts) -> Iterator[Callable[[], int]]:
    """Return what decides a batch and tells how many items it moved: nothing where a SQLite file has its worker."""
    runtime = parts.runtime
    worker = InboxWorker(
        database=runtime.database,
        services=runtime.services,
        settings=runtime.settings,
        clock=runtime.clock,
        retry=retry_policy(runtime.settings),
    )

    def turn() -> int:
        try:
            return worker.turn()
        except DBAPIError as error:
            if not is_collision(error):
                raise
            return 0  # taken again

    with ExitStack() as alone:
        try:
            alone.enter_context(only_worker(runtime.database, seconds=0))
        except CannotStart:
            yield lambda: 0
        else:
            yield turn


def _check_report(report: Path, file: Path) -> None:
    """Raise CannotStart where the report cannot be written: known before anything is stored."""
    mend = "name a file that can, with --report"
    if report.exists() and file.exists() and report.samefile(file):
        raise CannotStart.because("the report would replace the file itself", where=str(report), mend=mend)
    if not os.access(report if report.exists() else report.parent, os.W_OK):
        raise CannotStart.because("the report cannot be written", where=str(report), mend=mend)
