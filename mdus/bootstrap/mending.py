"""What an operator mends: messages taken in or sent once more, and what was given up tried again or left for good.

Each deed leaves a row in `audit`, in its own transaction: who, what, why.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from mdus.bootstrap.composition import compose
from mdus.bootstrap.database import prepare
from mdus.bootstrap.errors import CannotStart
from mdus.bootstrap.operating import clock_of
from mdus.endpoints.intake import Intake
from mdus.endpoints.received_body import ReceivedBody
from mdus.endpoints.refusal import Refused
from mdus.messaging.status import MessageStatus
from mdus.storage import audit, listing, mending
from mdus.storage.intake import Fate, body_of_message
from mdus.storage.mapping import AnyRow
from mdus.storage.mending import Which
from mdus.storage.session import Database
from mdus.telemetry import logs


@dataclass(frozen=True, kw_only=True, slots=True)
class Deed:
    """Who does something, and why."""

    who: str
    reason: str

    def note(self, what: str) -> str:
        """Return the note on what is changed."""
        return f"{what} by {self.who}: {self.reason}"


def given_up(database: Database, which: Which, *, limit: int) -> Sequence[AnyRow]:
    """Return what is given up (see `storage.mending`), the oldest first."""
    with database.read() as uow:
        return mending.given_up(uow.connection, which, limit=limit)


def try_again(database: Database, which: Which, deed: Deed) -> int:
    """Have what is given up tried again; returns how many."""
    now = clock_of(database).now()
    with database.begin() as uow:
        count = mending.try_again(uow.connection, which, note=deed.note("tried again"), now=now)
        _note(uow.connection, deed, action="retry", target=_told(which), count=count, at=now)
    return count


def leave(database: Database, which: Which, deed: Deed) -> int:
    """Leave what is given up as it is for good; returns how many."""
    now = clock_of(database).now()
    with database.begin() as uow:
        count = mending.leave(uow.connection, which, note=deed.note("left"), now=now)
        _note(uow.connection, deed, action="leave", target=_told(which), count=count, at=now)
    return count


def send_once_more(database: Database, message_id: int, deed: Deed) -> None:
    """Send a message to SAP once more, the same bytes under its own UUID; raises CannotStart where it cannot be."""
    now = clock_of(database).now()
    with database.begin() as uow:
        note = deed.note("sent once more")
        if not mending.send_once_more(uow.connection, message_id, note=note, now=now):
            row = listing.message(uow.connection, message_id)
            raise CannotStart.because(
                f"message {message_id} " + (f"is {row.status} ({row.direction})" if row else "is not known"),
                where="the number of the message",
                mend="name one to SAP that is delivered, confirmed or dead: /api/v1/messages lists them",
            )
        _note(uow.connection, deed, action="resend", target=f"message {message_id}", count=1, at=now)


def replay(environ: Mapping[str, str], message_id: int, deed: Deed, *, dry_run: bool) -> str:
    """Take the body of a message of SAP's in once more, as if SAP had sent it again; returns what became of it.

    What was taken in before is a duplicate: nothing is decided twice, and the confirmations it had go out again. What
    was refused is judged anew. Raises CannotStart where there is no such body, or it is refused again.
    """
    parts = compose(environ, simulated_clock=True)
    runtime = parts.runtime
    database, settings = runtime.database, runtime.settings
    try:
        logs.configure(form=settings.log.format, level="warning", secrets=settings.secrets())
        prepare(database, simulated_clock=True)
        with database.read() as uow:
            row = listing.message(uow.connection, message_id)
            packed = body_of_message(uow.connection, message_id)
        if row is None or row.direction != "in" or packed is None:
            what = "is not known" if row is None else "was not sent by SAP" if row.direction != "in" else "has no body"
            mend = "name one that SAP has sent: /api/v1/messages?direction=in lists them"
            raise CannotStart.because(f"message {message_id} {what}", where="the number of the message", mend=mend)
        if dry_run:
            if row.status is MessageStatus.REFUSED:
                return "it was refused; it would be judged anew"
            return "it was taken in before: nothing would be done twice, its confirmations would go out again"
        with closing(ReceivedBody(settings.http, gzip=False)) as body:
            body.feed(zlib.decompress(packed))
            body.finish()
            try:
                taken = Intake(runtime).take(body, interface=None, sender=settings.sender_for(row.sender_system))
            except Refused as refused:
                raise CannotStart.because(
                    f"message {message_id} is refused: {refused.told}",
                    where="the body as SAP sent it",
                    mend="mend what is said; if it is SAP's, SAP must send it anew",
                ) from refused
        with database.begin() as uow:
            target = f"message {message_id} as {taken.message_id}"
            _note(uow.connection, deed, action="replay", target=target, count=1, at=runtime.clock.now())
    finally:
        parts.close()
    if taken.fate is Fate.NEW:
        return f"taken in as message {taken.message_id}"
    return f"a duplicate, kept as message {taken.message_id}: nothing is done twice, its confirmations go out again"


def _note(connection: Connection, deed: Deed, *, action: str, target: str, count: int, at: datetime) -> None:
    audit.note_deed(connection, who=deed.who, action=action, target=target, count=count, reason=deed.reason, at=at)


def _told(which: Which) -> str:
    said = {
        "ids": ",".join(map(str, sorted(which.ids))),
        "sender_system": which.sender_system,
        "service": which.service,
        "head_end": which.head_end,
        "before": which.before and which.before.isoformat(),
    }
    return f"{which.kind} " + " ".join(f"{name}={value}" for name, value in said.items() if value)
