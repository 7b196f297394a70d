"""Commands to head ends, the intents before each call, and the raw deliveries that come back."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    and_,
    bindparam,
    case,
    insert,
    literal,
    literal_column,
    or_,
    select,
    text,
    update,
)

from mdus.domain.command import ENDED, HARMS_WHEN_LATE, Command, CommandStatus, OwnerKind
from mdus.domain.meter_reading_document import DocumentStatus
from mdus.messaging.status import ItemStatus
from mdus.storage.column_types import UtcInstant
from mdus.storage.keys import among, among_given, given, told
from mdus.storage.mapping import METADATA, Identity64, ValueTable
from mdus.storage.message import ITEM, MESSAGE_EVENT
from mdus.storage.waiting import wake

COMMAND = ValueTable(
    Command,
    "command",
    keep=True,  # a command once stored changes by its transitions only
    extra=[
        Column("attempts", Integer, nullable=False, server_default="0"),
        Column("due_at", UtcInstant),  # real clock: NULL is at once
        Column("lease_token", Text),
        Column("lease_until", UtcInstant),
        Column("correlation", Text),  # of the newest intent
        Column("token", Text),  # the head end's, of the newest accepted intent
        Column("answer_by", UtcInstant),  # business instant from which an accepted command has timed out
        Column("poll_at", UtcInstant),  # real clock: when the results of an accepted command are asked for next
        Column("polls", Integer, nullable=False, server_default="0"),
    ],
    constraints=[
        Index(
            "command_ready",
            "head_end",
            "kind",
            "not_before",
            sqlite_where=text("status = 'ready'"),
            postgresql_where=text("status = 'ready'"),
        ),
        Index(
            "command_under_way",
            "status",
            "answer_by",
            sqlite_where=text("status IN ('submitting', 'accepted')"),
            postgresql_where=text("status IN ('submitting', 'accepted')"),
        ),
        Index(
            "command_polled",
            "head_end",
            "poll_at",
            sqlite_where=text("status IN ('accepted', 'timed_out') AND poll_at IS NOT NULL"),
            postgresql_where=text("status IN ('accepted', 'timed_out') AND poll_at IS NOT NULL"),
        ),
        Index("command_owner", "owner_kind", "owner_key"),
        Index("command_device", "sender_system", "device_id"),
        Index(
            "command_provisioned",
            "owner_key",
            sqlite_where=text("kind = 'provision'"),
            postgresql_where=text("kind = 'provision'"),
        ),
    ],
)

#: One row per command and call, written before the call.
#: An intent without outcome is never submitted again for a switch: the state is read.
COMMAND_INTENT = Table(
    "command_intent",
    METADATA,
    Column("id", Identity64, primary_key=True, autoincrement=True),
    Column("command_id", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("head_end", Text, nullable=False),
    Column("correlation", Text, nullable=False),  # one per call: all commands of a batch share it
    Column("at", UtcInstant, nullable=False),
    Column("outcome", Text),  # accepted | rejected | transient | uncertain
    Column("token", Text),
    Column("ended_at", UtcInstant),
    UniqueConstraint("command_id", "attempt", name="command_intent_key"),
    Index("command_intent_correlation", "correlation"),
    Index("command_intent_token", "token"),
)

#: Raw bodies that head ends pushed or that were fetched: stored before anything is done with them.
HEAD_END_DELIVERY = Table(
    "head_end_delivery",
    METADATA,
    Column("id", Identity64, primary_key=True, autoincrement=True),
    Column("head_end", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("content_hash", LargeBinary, nullable=False),
    Column("correlation", Text, nullable=False),  # empty when the transport names none
    Column("data", LargeBinary, nullable=False),  # zlib
    Column("received_at", UtcInstant, nullable=False),  # business instant
    Column("status", Text, nullable=False),  # ready | done | unmatched | dead
    Column("attempts", Integer, nullable=False),
    Column("due_at", UtcInstant),  # real clock: NULL is at once
    Column("note", Text),
    Column("read_by", Text),  # the version of the tables it was read by last (mapping_version); NULL: not yet
    UniqueConstraint("head_end", "topic", "content_hash", "correlation", name="head_end_delivery_key"),
    Index(
        "head_end_delivery_ready",
        "id",
        sqlite_where=text("status IN ('ready', 'unmatched')"),
        postgresql_where=text("status IN ('ready', 'unmatched')"),
    ),
    Index(
        "head_end_delivery_dead",
        "id",
        sqlite_where=text("status = 'dead'"),
        postgresql_where=text("status = 'dead'"),
    ),
)

# Conditions in the very words of the partial indexes: SQLite proves nothing about a bound value.
COMMAND_IS_READY: ColumnElement[bool] = literal_column("command.status = 'ready'")
COMMAND_IS_POLLED: ColumnElement[bool] = literal_column(
    "command.status IN ('accepted', 'timed_out') AND command.poll_at IS NOT NULL"
)
COMMAND_IS_UNDER_WAY: ColumnElement[bool] = literal_column("command.status IN ('submitting', 'accepted')")
COMMAND_PROVISIONS: ColumnElement[bool] = literal_column("command.kind = 'provision'")
DELIVERY_IS_OPEN: ColumnElement[bool] = literal_column("head_end_delivery.status IN ('ready', 'unmatched')")

_TABLE = COMMAND.table

#: An attempt may have been carried out, and may do harm: of such a command nobody can say that it did nothing.
COMMAND_IS_DOUBTFUL: Final[ColumnElement[bool]] = and_(
    or_(*(_TABLE.c.kind == kind.value for kind in sorted(HARMS_WHEN_LATE))),  # an IN list takes one row at a time only
    select(COMMAND_INTENT.c.id)
    .where(COMMAND_INTENT.c.command_id == _TABLE.c.id, COMMAND_INTENT.c.outcome == "uncertain")
    .exists(),
)

_IS_AWAITING = ITEM.c.status == ItemStatus.AWAITING


def save_commands(connection: Connection, commands: Collection[Command]) -> None:
    """Store new commands and take back those marked CANCELLED that have not been submitted yet.

    A known key keeps its stored command; a command that has left is not taken back. Where an attempt may have been
    carried out and do harm, what is taken back ends UNCERTAIN.
    """
    fresh = [command for command in commands if command.status is CommandStatus.READY]
    if fresh:
        COMMAND.write(connection, fresh)
    taken_back = [command for command in commands if command.status is CommandStatus.CANCELLED]
    if taken_back:
        connection.execute(
            update(_TABLE)
            .where(_TABLE.c.command_key == bindparam("b_key"), _TABLE.c.status == CommandStatus.READY)
            .values(
                status=case(
                    (COMMAND_IS_DOUBTFUL, _status(CommandStatus.UNCERTAIN)), else_=_status(CommandStatus.CANCELLED)
                ),
                ended_at=bindparam("b_ended_at", type_=UtcInstant()),
                result_text=bindparam("b_text"),
            ),
            [
                {"b_key": command.command_key, "b_ended_at": command.ended_at, "b_text": command.result_text}
                for command in taken_back
            ],
        )
        wake_owners(connection, [command.command_key for command in taken_back])


def _status(status: CommandStatus) -> ColumnElement[Any]:
    return literal(status, _TABLE.c.status.type)


def commands_of(
    connection: Connection, *, owner_kind: OwnerKind, owner_keys: Collection[str], lock: bool = False
) -> list[Command]:
    """Return all commands of these owners, oldest first."""
    return COMMAND.read(
        connection, ("owner_kind", "owner_key"), [(owner_kind.value, key) for key in owner_keys], lock=lock
    )


def provisionings_of(connection: Connection, owner_keys: Collection[str]) -> list[Command]:
    """Return what head ends were told of devices, by `registry_owner` of each, oldest first.

    The registry owns more: whatever is read from a device to fill its gaps.
    """
    if not owner_keys:
        return []
    query, by = _provisionings(connection.dialect.name)
    return COMMAND.fetch(connection, query, told(connection, by, {(key,) for key in owner_keys}))


@cache
def _provisionings(dialect: str) -> tuple[Any, list[Column[Any]]]:
    """Return the query of `provisionings_of`, with the columns of its keys; not by kind of owner, for its index."""
    by = [_TABLE.c.owner_key]
    query = COMMAND.select().where(among_given(dialect, by), COMMAND_PROVISIONS)
    return query.order_by(_TABLE.c.id), by


def asked_about(
    connection: Connection, head_end: str, meters: Collection[tuple[str, str, str]]
) -> set[tuple[str, str, str]]:
    """Return those meters (sender system, device id, serial number) about which a head end was given a command."""
    if not meters:
        return set()
    columns = [_TABLE.c.sender_system, _TABLE.c.device_id, _TABLE.c.serial_id]
    wanted = given(connection, columns, sorted(meters))
    is_it = and_(*(column == part for column, part in zip(columns, wanted, strict=True)))
    was_asked = select(_TABLE.c.id).where(is_it, _TABLE.c.head_end == head_end).exists()
    return {(row[0], row[1], row[2]) for row in connection.execute(select(*wanted).where(was_asked))}


def wake_owners(connection: Connection, command_keys: Sequence[str]) -> None:
    """Make ready every owner of these commands that awaits no command any more.

    An inbox item becomes READY; a meter reading document, and a demand limit whose time is up, is looked at in the next
    turn of its worker.
    """
    if not command_keys:
        return
    _hold_items_of(connection, command_keys)
    items, documents, limits = [], [], []
    for kind, key in connection.execute(_owners_done(connection.dialect.name), _names(connection, command_keys)):
        if kind is OwnerKind.ITEM:
            items.append(int(key))
        elif kind is OwnerKind.DOCUMENT:
            documents.append(tuple(key.split("/", 1)))
        elif kind is OwnerKind.LIMIT:
            limits.append(int(key))
    wake_items(connection, items)
    _look_again(connection, documents)
    if limits:
        from mdus.storage.device_limit import look_again

        look_again(connection, limits)


@cache
def _owners_done(dialect: str) -> Any:
    """Return the query of the owners of commands that await no command any more."""
    other = _TABLE.alias()
    open_sibling = (
        select(other.c.id)
        .where(
            other.c.owner_kind == _TABLE.c.owner_kind,
            other.c.owner_key == _TABLE.c.owner_key,
            other.c.status.not_in([status.value for status in ENDED]),
        )
        .exists()
    )
    return select(_TABLE.c.owner_kind, _TABLE.c.owner_key).where(_named(dialect), ~open_sibling).distinct()


def _named(dialect: str) -> ColumnElement[bool]:
    """Return the condition that a command is one of those of `_names`."""
    return among_given(dialect, [_TABLE.c.command_key])


def _names(connection: Connection, command_keys: Collection[str]) -> dict[str, Any]:
    return told(connection, [_TABLE.c.command_key], [(key,) for key in command_keys])


def _hold_items_of(connection: Connection, command_keys: Collection[str]) -> None:
    """Let the ends of an item's last two commands come one after the other, so that the later sees the earlier's.

    On SQLite there is one writer. An item that is just being decided is not awaiting: it sees the commands itself.
    """
    if connection.dialect.name == "sqlite":
        return
    owners = connection.scalars(_items_of(connection.dialect.name), _names(connection, command_keys))
    ids = [(int(key),) for key in owners]
    if ids:
        awaiting = select(ITEM.c.id).where(among(connection, [ITEM.c.id], ids), _IS_AWAITING)
        connection.execute(awaiting.order_by(ITEM.c.id).with_for_update()).all()


@cache
def _items_of(dialect: str) -> Any:
    return select(_TABLE.c.owner_key).where(_named(dialect), _TABLE.c.owner_kind == OwnerKind.ITEM).distinct()


def wake_items(connection: Connection, item_ids: Collection[int]) -> None:
    """Make awaiting items ready to be decided once more."""
    if item_ids:
        wake(connection, among(connection, [ITEM.c.id], [(item_id,) for item_id in item_ids]) & _IS_AWAITING)


def _look_again(connection: Connection, documents: Collection[tuple[str, ...]]) -> None:
    if documents:
        again, by = _looking_again(connection.dialect.name)
        connection.execute(again, told(connection, by, documents))


@cache
def _looking_again(dialect: str) -> tuple[Any, list[Column[Any]]]:
    """Return the statement of `_look_again`, with the columns of its keys."""
    from mdus.storage.meter_reading_document import METER_READING_DOCUMENT

    table = METER_READING_DOCUMENT.table
    by = [table.c.sender_system, table.c.document_id]
    are_ordered = update(table).where(among_given(dialect, by), table.c.status == DocumentStatus.ORDERED)
    return are_ordered.values(next_try_at=table.c.due_at), by


def add_events_of(connection: Connection, command_keys: Collection[str], *, at: datetime, note: str | None) -> None:
    """Leave a row in message_event for the present status of these commands."""
    if command_keys:
        parameters = _names(connection, command_keys) | {"of_at": at, "of_note": note}
        connection.execute(_adding_events(connection.dialect.name), parameters)


@cache
def _adding_events(dialect: str) -> Any:
    at, note = bindparam("of_at", type_=UtcInstant()), bindparam("of_note", type_=Text())
    events = select(_TABLE.c.id, _TABLE.c.status, at, note).where(_named(dialect))
    return insert(MESSAGE_EVENT).from_select(["command_id", "status", "at", "note"], events)
