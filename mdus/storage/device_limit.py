"""The demand limits that meters have confirmed or may have, which of them end, and what is told of them late."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Index,
    Integer,
    bindparam,
    literal_column,
    select,
    text,
    update,
)

from mdus.domain.command import Command, CommandKind, CommandStatus
from mdus.domain.device_limit import DeviceLimit
from mdus.domain.end_device import EndDevice
from mdus.messaging.status import ItemStatus
from mdus.storage.command import COMMAND
from mdus.storage.keys import among
from mdus.storage.mapping import ValueTable
from mdus.storage.message import ITEM

DEVICE_LIMIT = ValueTable(
    DeviceLimit,
    "device_limit",
    indexes=[("item_id",)],
    constraints=[
        Index(
            "device_limit_due",
            "look_at",
            sqlite_where=text("look_at IS NOT NULL"),
            postgresql_where=text("look_at IS NOT NULL"),
        ),
        Index("device_limit_listed", "sender_system", "id"),
    ],
)

_TABLE = DEVICE_LIMIT.table
_COMMAND = COMMAND.table

# In the very words of the partial index.
LIMIT_ENDS: ColumnElement[bool] = literal_column("device_limit.look_at IS NOT NULL")


def is_any_due(connection: Connection, *, now: datetime) -> bool:
    """Tell whether a limit is to be looked at; asked without waiting for a writer."""
    return bool(connection.scalar(_any_due(), {"now": now}))


@cache
def _any_due() -> Any:
    return select(select(_TABLE.c.id).where(LIMIT_ENDS, _TABLE.c.look_at <= bindparam("now")).exists())


def due_devices(connection: Connection, *, now: datetime, limit: int) -> set[tuple[str, str]]:
    """Return the devices (sender system, device id) of the `limit` limits that have waited longest to be looked at."""
    return {(row.sender_system, row.device_id) for row in connection.execute(_due(), {"now": now, "most": limit})}


@cache
def _due() -> Any:
    return (
        select(_TABLE.c.sender_system, _TABLE.c.device_id)
        .where(LIMIT_ENDS, _TABLE.c.look_at <= bindparam("now"))
        .order_by(_TABLE.c.look_at, _TABLE.c.id)
        .limit(bindparam("most", type_=Integer))
    )


def look_again(connection: Connection, item_ids: Collection[int]) -> None:
    """Have the limits that these items set looked at: a command that was to take one away has ended."""
    if item_ids:
        is_one = among(connection, [_TABLE.c.item_id], {(each,) for each in item_ids})
        connection.execute(update(_TABLE).where(is_one, LIMIT_ENDS).values(look_at=_TABLE.c.valid_until))


def held(
    connection: Connection, devices: Collection[tuple[str, str]]
) -> tuple[list[DeviceLimit], frozenset[tuple[str, str]]]:
    """Return the limits of devices, held, and those devices of which somebody else holds one: nobody is waited for."""
    there = DEVICE_LIMIT.read(connection, EndDevice.KEY, devices)
    columns: list[Column[Any]] = [_TABLE.c.sender_system, _TABLE.c.device_id]
    query = DEVICE_LIMIT.select().where(among(connection, columns, set(devices))).order_by(_TABLE.c.id)
    ours = DEVICE_LIMIT.fetch(connection, query.with_for_update(skip_locked=True))
    keys = {limit.key for limit in ours}
    return ours, frozenset(limit.device_key for limit in there if limit.key not in keys)


def undecided(connection: Connection, item_ids: Collection[int]) -> frozenset[int]:
    """Return those of the items of which it is not decided what whoever ordered them is told."""
    if not item_ids:
        return frozenset()
    is_one = among(connection, [ITEM.c.id], {(each,) for each in item_ids})
    query = select(ITEM.c.id).where(is_one, ITEM.c.status.not_in([ItemStatus.DECIDED, ItemStatus.CLOSED]))
    return frozenset(connection.scalars(query))


def commands_about(connection: Connection, devices: Collection[tuple[str, str]]) -> list[Command]:
    """Return all commands about the limits of these devices, oldest first."""
    columns: list[Column[Any]] = [_COMMAND.c.sender_system, _COMMAND.c.device_id]
    query = COMMAND.select().where(
        among(connection, columns, set(devices)), _COMMAND.c.kind == CommandKind.LIMIT_DEMAND
    )
    return COMMAND.fetch(connection, query.order_by(_COMMAND.c.id))


def open_commands(connection: Connection, kind: CommandKind, devices: Collection[tuple[str, str]]) -> list[Command]:
    """Return the commands of a kind for these devices that have not ended, oldest first."""
    if not devices:
        return []
    columns: list[Column[Any]] = [_COMMAND.c.sender_system, _COMMAND.c.device_id]
    is_open = _COMMAND.c.status.in_([CommandStatus.READY, CommandStatus.SUBMITTING, CommandStatus.ACCEPTED])
    query = COMMAND.select().where(among(connection, columns, set(devices)), _COMMAND.c.kind == kind, is_open)
    return COMMAND.fetch(connection, query.order_by(_COMMAND.c.id))
