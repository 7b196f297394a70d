"""Tokens of REST clients: only their hashes are kept, so a copy of the database opens no door."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    insert,
    or_,
    select,
    update,
)

from mdus.domain.access import Caller, Client, Role
from mdus.domain.command import Command, OwnerKind
from mdus.storage.column_types import EnumText, UtcInstant, database_now
from mdus.storage.keys import among
from mdus.storage.mapping import METADATA, AnyRow, Identity64
from mdus.storage.message import ITEM, MESSAGE

#: How a token begins: whoever finds one knows what it opens.
PREFIX: Final = "mdus_"

#: How a client's name begins in the audit.
_AUDITED: Final = "rest:"

ACCESS_TOKEN = Table(
    "access_token",
    METADATA,
    Column("id", Identity64, primary_key=True, autoincrement=True),
    Column("name", Text, nullable=False),  # the client, as the audit says it
    Column("role", EnumText(Role), nullable=False),
    Column("systems", Text),  # sender systems it may see, parted by blanks; NULL: all
    Column("token_hash", LargeBinary, nullable=False),  # SHA-256: a token is 256 random bits
    Column("created_at", UtcInstant, nullable=False),  # real instants, as doors are opened in real time
    Column("created_by", Text, nullable=False),
    Column("expires_at", UtcInstant),
    Column("revoked_at", UtcInstant),
    UniqueConstraint("name", name="access_token_name"),
    UniqueConstraint("token_hash", name="access_token_hash"),
)

_TABLE = ACCESS_TOKEN


def make_token(
    connection: Connection,
    name: str,
    *,
    role: Role,
    systems: Collection[str] | None,
    lasts: timedelta | None,
    created_by: str,
) -> str | None:
    """Store a new token and return it, the only time it is told; None where the client has one that is in force.

    A revoked or expired token of the same client gives way.
    """
    now = _real_now(connection)
    known = connection.execute(select(_TABLE).where(_TABLE.c.name == name)).first()
    if known is not None and known.revoked_at is None and (known.expires_at is None or known.expires_at > now):
        return None
    token = PREFIX + secrets.token_urlsafe(32)
    values = {
        "role": role,
        "systems": None if systems is None else " ".join(sorted(systems)),
        "token_hash": _hash(token),
        "created_at": now,
        "created_by": created_by,
        "expires_at": None if lasts is None else now + lasts,
        "revoked_at": None,
    }
    if known is None:
        connection.execute(insert(_TABLE).values(name=name, **values))
    else:
        connection.execute(update(_TABLE).where(_TABLE.c.id == known.id).values(**values))
    return token


def caller_of(connection: Connection, token: str) -> Caller | None:
    """Return who presents a token, None where it is unknown, expired or revoked."""
    row = connection.execute(
        select(_TABLE.c.name, _TABLE.c.role, _TABLE.c.systems).where(_TABLE.c.token_hash == _hash(token), *_in_force())
    ).first()
    if row is None:
        return None
    systems = None if row.systems is None else tuple(row.systems.split())
    role: Role = row.role
    return Caller(name=f"{_AUDITED}{row.name}", role=role, systems=systems, sees_personal=role.includes(Role.OPERATOR))


def clients_named(connection: Connection, names: Collection[str]) -> list[Client]:
    """Return those of the clients, named as an audit says them, whose tokens are in force."""
    bare = {(name.removeprefix(_AUDITED),) for name in names if name.startswith(_AUDITED)}
    if not bare:
        return []
    in_force = select(_TABLE.c.name, _TABLE.c.role).where(among(connection, [_TABLE.c.name], bare), *_in_force())
    return [Client(name=f"{_AUDITED}{row.name}", role=row.role) for row in connection.execute(in_force)]


def clients_behind(connection: Connection, commands: Collection[Command]) -> dict[str, Client]:
    """Return the clients whose items own these commands and whose tokens are in force, by the owner key."""
    items = {(int(command.owner_key),) for command in commands if command.owner_kind is OwnerKind.ITEM}
    if not items:
        return {}
    asked = (
        select(ITEM.c.id, MESSAGE.c.client)
        .join(MESSAGE, MESSAGE.c.id == ITEM.c.message_id)
        .where(among(connection, [ITEM.c.id], items), MESSAGE.c.client.is_not(None))
    )
    names = {str(row.id): row.client for row in connection.execute(asked)}
    clients = {client.name: client for client in clients_named(connection, set(names.values()))}
    return {key: clients[name] for key, name in names.items() if name in clients}


def revoke(connection: Connection, name: str) -> bool:
    """Let a client's token open nothing from now on; False where it has none in force."""
    revoked = connection.execute(
        update(_TABLE).where(_TABLE.c.name == name, _TABLE.c.revoked_at.is_(None)).values(revoked_at=database_now())
    )
    return bool(revoked.rowcount)


def tokens(connection: Connection) -> Sequence[AnyRow]:
    """Return all tokens there were, by client; never the tokens themselves."""
    columns = [column for column in _TABLE.c if column.name not in ("id", "token_hash")]
    return connection.execute(select(*columns).order_by(_TABLE.c.name)).all()


def _in_force() -> tuple[ColumnElement[bool], ...]:
    return _TABLE.c.revoked_at.is_(None), or_(_TABLE.c.expires_at.is_(None), _TABLE.c.expires_at > database_now())


def _real_now(connection: Connection) -> datetime:
    now: datetime = connection.execute(select(database_now())).scalar_one()
    return now


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
