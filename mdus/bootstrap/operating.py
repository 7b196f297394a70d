"""What an operator does to a running installation from the command line: one short transaction each."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from mdus.bootstrap.database import refuse_other_schema, state_of
from mdus.bootstrap.discovery import discover
from mdus.domain.access import Role
from mdus.domain.clock import Clock
from mdus.messaging.trace import Patience, Trace, traced
from mdus.settings import load_settings
from mdus.storage import access_token, end_device_control
from mdus.storage.activity import lease_ages
from mdus.storage.audit import Deed, note_deed
from mdus.storage.mapping import AnyRow
from mdus.storage.registration_resend import order_resends
from mdus.storage.session import Database, StoredClock
from mdus.storage.tracing import gather, resolve


@contextmanager
def opened(environ: Mapping[str, str]) -> Iterator[Database]:
    """Open the database the settings name; raises CannotStart unless its schema is the one this version needs."""
    settings = load_settings(environ)
    database = Database(settings.database.url, settings=settings)
    try:
        refuse_other_schema(state_of(database), settings)
        yield database
    finally:
        database.close()


def clock_of(database: Database) -> Clock:
    """Return the clock the installation goes by: the simulated one where the database belongs to a landscape."""
    return StoredClock(database, simulated=True)


def name_of(database: Database) -> str:
    """Return the database's URL without its password; of a SQLite file with the whole path, which tells it apart."""
    url, file = database.url, database.url.database
    if database.is_sqlite and file and file != ":memory:" and not file.startswith("file:"):
        url = url.set(database=str(Path(file).absolute()))
    return url.render_as_string()


def is_worked_on(database: Database) -> bool:
    """Tell whether a worker is at work on the database, or was until some seconds ago: one holds a lease."""
    with database.read() as uow:
        return any(left > 0 for left in lease_ages(uow.connection).values())


def order_switching(database: Database, *, stopped: bool, reason: str, ordered_by: str) -> None:
    """Stop or start disconnections, effective at once; who, when and why stay as the audit."""
    at = clock_of(database).now()
    with database.begin() as uow:
        end_device_control.order_switching(uow.connection, stopped=stopped, reason=reason, ordered_by=ordered_by, at=at)


def switching_stopped(database: Database) -> str | None:
    """Return why disconnections are stopped, None while they may leave."""
    with database.read() as uow:
        return end_device_control.stop_reason(uow.connection)


def order_registered_again(database: Database, which: Mapping[str, str], *, reason: str, ordered_by: str) -> int:
    """Have SAP told again that devices are registered: those with these attributes of `EndDevice`; returns how many.

    Who, when and why stay as the audit.
    """
    at = clock_of(database).now()
    with database.begin() as uow:
        return order_resends(uow.connection, which, reason=reason, ordered_by=ordered_by, at=at)


def trace(database: Database, name: str, *, limit: int, payloads: bool) -> Trace | None:
    """Return the account of what a name stands for (see `storage.tracing`), None when it stands for nothing."""
    patience = Patience.of(discover().services, database.settings)
    with database.read() as uow:
        subject = resolve(uow.connection, name, systems=None)
        if not subject.is_known:
            return None
        found = gather(uow.connection, subject, limit=limit, content=payloads)
    return traced(found, patience=patience, now=clock_of(database).now())


def make_token(
    database: Database,
    name: str,
    *,
    role: Role,
    systems: Collection[str] | None,
    lasts: timedelta | None,
    created_by: str,
) -> str | None:
    """Make a token for a REST client and return it; None where it has one in force. The audit says who and what."""
    with database.begin() as uow:
        token = access_token.make_token(
            uow.connection, name, role=role, systems=systems or None, lasts=lasts, created_by=created_by
        )
        if token is not None:
            deed = Deed(who=created_by, reason=f"{role}, {' '.join(systems or ()) or 'all systems'}")
            at = clock_of(database).now()
            note_deed(uow.connection, deed, action="token created", target=f"rest:{name}", count=1, at=at)
    return token


def revoke_token(database: Database, name: str, *, revoked_by: str) -> bool:
    """Let a client's token open nothing from now on; False where it has none in force."""
    with database.begin() as uow:
        done = access_token.revoke(uow.connection, name)
        if done:
            deed = Deed(who=revoked_by, reason="revoked")
            at = clock_of(database).now()
            note_deed(uow.connection, deed, action="token revoked", target=f"rest:{name}", count=1, at=at)
    return done


def tokens(database: Database) -> Sequence[AnyRow]:
    """Return the clients that have or had a token."""
    with database.read() as uow:
        return access_token.tokens(uow.connection)
