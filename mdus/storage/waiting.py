"""Items that wait, and what wakes them: of a parking and the arrival it waits for, one always sees the other.

On PostgreSQL two transactions do not see each other's rows. An item that is parked while what it waits for is being
stored would sleep until its deadline. So each name that is waited for has a lock, held until the end of a transaction:

```
arrival   store the value, announce its names (shared)                       -> wake what is parked
parking   decide: park -> hold the name (exclusive) -> look again, still not there -> parked
                                  |                            +-- there by now: decided in the next turn
                                  +-- just being announced: decided in the next turn
```
Arrivals wait for a parking that is being committed, a parking never waits. On SQLite there is one writer anyway.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, select, text, update

from mdus.messaging.status import ItemStatus
from mdus.storage.job import simulated_time
from mdus.storage.keys import among_given, told
from mdus.storage.message import ITEM, ITEM_IS_PARKED, MESSAGE_EVENT
from mdus.storage.rows import insert_rows

#: The first of the two numbers of these advisory locks: no other locks of ours have two.
_SPACE: Final = 7305

_ANNOUNCING: Final = text(
    "SELECT pg_advisory_xact_lock_shared(:space, lock) FROM unnest(CAST(:locks AS int[])) AS lock"
)

#: Names share so many locks: a bulk may announce thousands, and PostgreSQL's table of locks is small.
_LOCKS: Final = 1024


def wake(connection: Connection, which: ColumnElement[bool], *, limit: int | None = None) -> int:
    """Make READY the waiting items that `which` finds, with an event each; returns how many."""
    return _wake(connection, _waking(which, limit))


def _waking(which: ColumnElement[bool], limit: int | None = None) -> Any:
    found = select(ITEM.c.id).where(which).order_by(ITEM.c.id).limit(limit).with_for_update()
    return (
        update(ITEM)
        .where(ITEM.c.id.in_(found), ITEM.c.status.in_([ItemStatus.AWAITING, ItemStatus.PARKED]))
        .values(status=ItemStatus.READY, waits_for=None, until=None, due_at=None)
        .returning(ITEM.c.id, ITEM.c.message_id)
    )


def _wake(connection: Connection, waking: Any, parameters: Mapping[str, Any] | None = None) -> int:
    woken = connection.execute(waking, parameters).all()
    if woken:
        at = business_now(connection)
        rows = [(row.message_id, row.id, ItemStatus.READY.value, at) for row in woken]
        insert_rows(connection, MESSAGE_EVENT, ("message_id", "item_id", "status", "at"), rows)
    return len(woken)


def wake_parked(connection: Connection, names: Collection[str]) -> int:
    """Wake the items that are parked under one of these names; the arrival of each must be announced before."""
    if not names:
        return 0
    wanted = told(connection, [ITEM.c.waits_for], [(name,) for name in names])
    return _wake(connection, _waking_parked(connection.dialect.name), wanted)


@cache
def _waking_parked(dialect: str) -> Any:
    """Return the statement of `wake_parked`: every batch asks it once or twice, nearly always in vain."""
    return _waking(among_given(dialect, [ITEM.c.waits_for]) & ITEM_IS_PARKED)


def announce(connection: Connection, names: Collection[str]) -> None:
    """Let nobody park under these names until this transaction ends; waits for those that are just being parked."""
    if names and connection.dialect.name != "sqlite":
        connection.execute(
            _ANNOUNCING,
            {"space": _SPACE, "locks": sorted({_lock_of(name) for name in names})},
        )


def hold(connection: Connection, names: Collection[str]) -> set[str]:
    """Let nobody announce these names until this transaction ends; returns those that nobody announces just now."""
    if connection.dialect.name == "sqlite":
        return set(names)
    held = connection.execute(
        text(
            "SELECT lock FROM unnest(CAST(:locks AS int[])) AS lock"
            " WHERE pg_try_advisory_xact_lock(CAST(:space AS int), lock)"
        ),
        {"space": _SPACE, "locks": sorted({_lock_of(name) for name in names})},
    )
    mine = set(held.scalars())
    return {name for name in names if _lock_of(name) in mine}


def business_now(connection: Connection) -> datetime:
    """Return the present business instant: real, or of the simulated clock's row."""
    simulated, real = simulated_time(connection), datetime.now(UTC)
    return real if simulated is None else simulated.at(real)


def _lock_of(name: str) -> int:
    return zlib.crc32(name.encode()) % _LOCKS
