"""Keys that REST clients give their writes, with what was asked and answered: the same again is not done again."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from sqlalchemy import (
    Column,
    Connection,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    delete,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from mdus.storage.column_types import UtcInstant, database_now
from mdus.storage.mapping import METADATA, AnyRow

#: How long a key is kept at least, on the database's clock: retries are of real minutes.
KEPT: Final = timedelta(hours=24)
#: Older ones that a new one lets go.
_LET_GO: Final = 100

IDEMPOTENCY_KEY = Table(
    "idempotency_key",
    METADATA,
    Column("client", Text, nullable=False),  # rest:<client>
    Column("key", Text, nullable=False),
    Column("asked_hash", LargeBinary, nullable=False),  # SHA-256 of what was asked
    Column("status", Integer),  # of the answer; NULL: an order, which is answered by its request
    Column("body", LargeBinary),  # the answer
    Column("at", UtcInstant, nullable=False),  # real clock
    PrimaryKeyConstraint("client", "key"),
    Index("idempotency_key_at", "at"),
)

_TABLE = IDEMPOTENCY_KEY


def known_key(connection: Connection, client: str, key: str) -> AnyRow | None:
    """Return what a client asked under a key and was answered, None where the key is new."""
    return connection.execute(select(_TABLE).where(_TABLE.c.client == client, _TABLE.c.key == key)).first()


def take_key(connection: Connection, client: str, key: str, *, asked_hash: bytes) -> AnyRow | None:
    """Keep a new key; returns what was asked and answered where it is not new.

    Waits for whoever has taken the same key and has not ended: afterwards it is answered, or new again.
    """
    make = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    new = (
        make(_TABLE)
        .values(client=client, key=key, asked_hash=asked_hash, at=database_now())
        .on_conflict_do_nothing(index_elements=["client", "key"])
        .returning(_TABLE.c.key)
    )
    while connection.execute(new).first() is None:
        known = known_key(connection, client, key)
        if known is not None:  # else it was let go, or given back, between the two statements
            return known
    _let_go(connection)
    return None


def keep_answer(connection: Connection, client: str, key: str, *, status: int, body: bytes) -> None:
    """Keep what was answered."""
    taken = update(_TABLE).where(_TABLE.c.client == client, _TABLE.c.key == key)
    connection.execute(taken.values(status=status, body=body))


def give_back(connection: Connection, client: str, key: str) -> None:
    """Let a key be new again: nothing was done under it."""
    connection.execute(delete(_TABLE).where(_TABLE.c.client == client, _TABLE.c.key == key))


def _let_go(connection: Connection) -> None:
    """Delete some of the keys that need not be kept any more; those that others delete are theirs."""
    name = (_TABLE.c.client, _TABLE.c.key)
    old = select(*name).where(_TABLE.c.at < database_now(plus=-KEPT)).order_by(_TABLE.c.at).limit(_LET_GO)
    connection.execute(delete(_TABLE).where(tuple_(*name).in_(old.with_for_update(skip_locked=True))))
