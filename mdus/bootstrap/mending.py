"""What an operator mends: messages taken in or sent once more, and what was given up tried again or left for good.

Each deed leaves a row in `audit`, in its own transaction: who, what, why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mdus.bootstrap.composition import compose
from mdus.bootstrap.database import prepare
from mdus.bootstrap.errors import CannotStart
from mdus.bootstrap.operating import clock_of
from mdus.domain.unmapped import UnmappedCode
from mdus.endpoints import replaying
from mdus.storage import listing, mending, unmapped
from mdus.storage.audit import Deed
from mdus.storage.mapping import AnyRow
from mdus.storage.mending import Which
from mdus.storage.paging import Page
from mdus.storage.session import Database
from mdus.storage.sorting import OLDEST
from mdus.storage.unmapped import WhichCodes
from mdus.telemetry import logs


def given_up(database: Database, which: Which, *, limit: int) -> Sequence[AnyRow]:
    """Return what is given up (see `storage.mending`), the oldest first."""
    with database.read() as uow:
        return mending.given_up(uow.connection, which, Page(limit=limit, sort=OLDEST))


def try_again(database: Database, which: Which, deed: Deed) -> int:
    """Have what is given up tried again; returns how many."""
    now = clock_of(database).now()
    with database.begin() as uow:
        return mending.try_again(uow.connection, which, deed, now=now)


def leave(database: Database, which: Which, deed: Deed) -> int:
    """Leave what is given up as it is for good; returns how many."""
    now = clock_of(database).now()
    with database.begin() as uow:
        return mending.leave(uow.connection, which, deed, now=now)


def unmapped_codes(database: Database, which: WhichCodes, *, limit: int) -> list[dict[str, Any]]:
    """Return the codes of head ends that no table explains, each with the row that would."""
    with database.read() as uow:
        rows = unmapped.codes(uow.connection, which, limit=limit)
    return [{**row._mapping, "row": UnmappedCode(row.head_end, row.source, row.code).row} for row in rows]


def read_again(database: Database, which: WhichCodes, deed: Deed) -> int:
    """Have the deliveries read again that tell something under these codes; returns how many."""
    now = clock_of(database).now()
    with database.begin() as uow:
        return unmapped.read_again(uow.connection, which, deed, now=now)


def leave_unmapped(database: Database, which: WhichCodes, deed: Deed) -> int:
    """Keep what was told under these codes no longer; returns how many values."""
    now = clock_of(database).now()
    with database.begin() as uow:
        return unmapped.leave(uow.connection, which, deed, now=now)


def send_once_more(database: Database, message_id: int, deed: Deed) -> None:
    """Send a message to SAP once more, the same bytes under its own UUID; raises CannotStart where it cannot be."""
    now = clock_of(database).now()
    with database.begin() as uow:
        if mending.send_once_more(uow.connection, message_id, deed, now=now):
            return
        row = listing.message(uow.connection, message_id)
    raise CannotStart.because(
        f"message {message_id} " + (f"is {row.status} ({row.direction})" if row else "is not known"),
        where="the number of the message",
        mend="name one to SAP that is delivered, confirmed or dead: /api/v1/messages lists them",
    )


def replay(environ: Mapping[str, str], message_id: int, deed: Deed, *, dry_run: bool) -> str:
    """Take a message of SAP's in once more; returns what became of it. Raises CannotStart where it cannot be."""
    parts = compose(environ, simulated_clock=True)
    settings = parts.runtime.settings
    try:
        logs.configure(form=settings.log.format, level="warning", secrets=settings.secrets())
        prepare(parts.runtime.database, simulated_clock=True)
        return replaying.replay(parts.runtime, message_id, deed, dry_run=dry_run, systems=None)
    except replaying.NotReplayed as error:
        raise CannotStart.because(str(error), where="the number of the message", mend=error.mend) from error
    finally:
        parts.close()
