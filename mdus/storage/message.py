"""Messages, their raw bodies, their items, and what happened to each: the inbox and the outbox are these tables."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    false,
    literal_column,
    text,
)

from mdus.messaging.status import ItemStatus, MessageStatus
from mdus.storage.column_types import EnumText, UtcInstant
from mdus.storage.mapping import METADATA, Identity64
from mdus.storage.paging import list_index
from mdus.storage.rows import insert_rows


def _partial(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    return Index(name, *columns, unique=unique, sqlite_where=text(where), postgresql_where=text(where))


#: Raw bodies, each kept once and compressed (zlib): a duplicate names the same hash.
BODY = Table(
    "body",
    METADATA,
    Column("content_hash", LargeBinary, primary_key=True),  # SHA-256 of the body's bytes
    Column("data", LargeBinary, nullable=False),  # empty: not kept any more, only that there was one
    Column("size", BigInteger, nullable=False),  # bytes before compression
)

#: One row per message received or to be sent.
MESSAGE = Table(
    "message",
    METADATA,
    Column("id", Identity64, primary_key=True, autoincrement=True),
    Column("direction", Text, nullable=False),  # in | out
    Column("sender_system", Text, nullable=False),  # the SAP system on the other side, whichever way it goes
    Column("service", Text, nullable=False),  # SERVICE.name; empty for a refused body that named none
    Column("root", Text, nullable=False),
    Column("bulk", Boolean, nullable=False),
    Column("status", EnumText(MessageStatus), nullable=False),
    Column("key", Text),  # lower-case UUID, else header ID; NULL for refused and duplicate copies
    Column("uuid", Text),  # as on the wire
    Column("header_id", Text),
    Column("reference_uuid", Text),
    Column("reference_id", Text),
    Column("test_data", Boolean, nullable=False, default=False),
    Column("client", Text),  # rest:<client> that sent it; NULL: SAP, or MDUS itself
    Column("imported", Boolean, nullable=False, server_default=false()),  # from a file of ours: SAP awaits no answer
    Column("content_hash", LargeBinary, ForeignKey("body.content_hash")),
    Column("item_count", Integer, nullable=False, default=0),
    Column("set_aside", Integer, nullable=False, default=0),  # children the contract does not know, tolerated
    Column("created_at", UtcInstant, nullable=False),  # CreationDateTime of the header
    Column("stored_at", UtcInstant, nullable=False),  # business instant
    Column("result_code", Text),  # of a bulk confirmation received: its overall BusinessDocumentProcessingResultCode
    Column("refusal", Text),  # why it was refused, as the fault told
    Column("original_id", BigInteger),  # of a duplicate: the message first stored; of a confirmation: the request
    Column("part", Integer, nullable=False, default=0),  # of a confirmation: 1, 2 ... as items became ready
    Column("attempts", Integer, nullable=False, default=0),
    Column("due_at", UtcInstant),  # real clock of the database: next attempt
    Column("lease_token", Text),
    Column("lease_until", UtcInstant),
    Column("ended_at", UtcInstant),  # business instant of completion or delivery
    Column("last_error", Text),
    # The key first: it tells two rows apart at once, the others are the same for thousands.
    UniqueConstraint("key", "service", "sender_system", "direction", name="message_key"),
    _partial("message_outbox_ready", "due_at", "id", where="status = 'ready'"),
    _partial("message_outbox_sending", "lease_until", where="status = 'sending'"),
    _partial("message_unanswered", "ended_at", where="direction = 'out' AND status = 'delivered'"),
    _partial("message_dead", "id", where="status = 'dead'"),
    _partial("message_open", "id", where="status = 'received'"),
    _partial("message_client", "client", "sender_system", "id", where="client IS NOT NULL AND direction = 'in'"),
    list_index("message_listed", "sender_system", "status", always="status <> ''"),
    list_index("message_listed_service", "service", "sender_system", "status", always="status <> ''"),
    Index("message_uuid", "uuid"),
    Index("message_original_id", "original_id"),
    Index("message_content_hash", "content_hash"),
)

#: One row per item: the unit that is decided, confirmed and retried. A single message has exactly one.
ITEM = Table(
    "message_item",
    METADATA,
    Column("id", Identity64, primary_key=True, autoincrement=True),
    # No foreign key: items are stored with their message, and PostgreSQL would ask for it once for each of thousands.
    Column("message_id", BigInteger, nullable=False),
    Column("position", Integer, nullable=False),
    Column("direction", Text, nullable=False),
    Column("sender_system", Text, nullable=False),
    Column("service", Text, nullable=False),
    Column("status", EnumText(ItemStatus), nullable=False),
    Column("key", Text),  # item's UUID or ID, else message key/position; business key of what we send; NULL: duplicate
    Column("duplicate_of", BigInteger),  # the item first stored under this key
    Column("uuid", Text),  # of the item's own header
    Column("header_id", Text),
    Column("reference_uuid", Text),  # in: what a confirmation answers; out: the order that the item answers
    Column("reference_id", Text),
    Column("ordering_key", Text, nullable=False),  # sender/device: no two claims hold the same
    Column("content", Text, nullable=False),  # the Request (in) or the wire content (out) as JSON
    Column("shape_version", Text, nullable=False),
    Column("result", Text),  # the Result as JSON
    Column("test_data", Boolean, nullable=False, server_default=false()),  # its own header or the message's says so
    Column("silent", Boolean, nullable=False, server_default=false()),  # decided without a confirmation of its own
    Column("confirmation_id", BigInteger),  # the message that confirms it
    Column("waits_for", Text),
    Column("until", UtcInstant),  # business instant
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("due_at", UtcInstant),  # real clock: NULL is at once
    Column("stored_at", UtcInstant, nullable=False),
    Column("note", Text),
    UniqueConstraint("key", "service", "sender_system", "direction", name="message_item_key"),
    UniqueConstraint("message_id", "position", name="message_item_position"),
    _partial("message_item_ready", "service", "id", where="status = 'ready'"),
    _partial("message_item_waiting", "until", where="status IN ('awaiting', 'parked')"),
    _partial("message_item_dead", "id", where="status = 'dead'"),
    _partial("message_item_parked", "waits_for", where="status = 'parked'"),
    _partial("message_item_decided", "message_id", where="status = 'decided'"),
    _partial("message_item_confirmation_id", "confirmation_id", where="confirmation_id IS NOT NULL"),
    _partial("message_item_sent", "ordering_key", where="status = 'sent'"),
    # For traces; not of what waits to be decided, lest the intake of a bulk pays for it.
    _partial("message_item_taken", "ordering_key", where="status <> 'ready'"),
)

# Conditions in the very words of the partial indexes: SQLite proves nothing about a bound value, so a query with one
# would read the whole table. They have no type, for to one that is Boolean SQLAlchemy appends ` = 1` on SQLite.
ITEM_IS_READY: ColumnElement[bool] = literal_column("message_item.status = 'ready'")
ITEM_IS_WAITING: ColumnElement[bool] = literal_column("message_item.status IN ('awaiting', 'parked')")
ITEM_IS_PARKED: ColumnElement[bool] = literal_column("message_item.status = 'parked'")
ITEM_IS_DECIDED: ColumnElement[bool] = literal_column("message_item.status = 'decided'")
ITEM_IS_SENT: ColumnElement[bool] = literal_column("message_item.status = 'sent'")
MESSAGE_IS_REQUEST: Final = "message.client IS NOT NULL AND message.direction = 'in'"
MESSAGE_IS_READY: ColumnElement[bool] = literal_column("message.status = 'ready'")
MESSAGE_IS_SENDING: ColumnElement[bool] = literal_column("message.status = 'sending'")
#: What every row meets, and the indexes for lists are for: see `list_index`.
MESSAGE_IS_LISTED: Final = "message.status <> ''"

#: Every change of status of a message, an item or a command.
MESSAGE_EVENT = Table(
    "message_event",
    METADATA,
    Column("id", Identity64, primary_key=True, autoincrement=True),
    Column("message_id", BigInteger),
    Column("item_id", BigInteger),
    Column("command_id", BigInteger),
    Column("status", Text, nullable=False),
    Column("at", UtcInstant, nullable=False),  # business instant
    Column("note", Text),
    # Each row names one of three, and there are ten for every order: an index holds only the rows it is for.
    _partial("message_event_message_id", "message_id", where="item_id IS NULL AND message_id IS NOT NULL"),
    _partial("message_event_item_id", "item_id", where="item_id IS NOT NULL"),
    _partial("message_event_command_id", "command_id", where="command_id IS NOT NULL"),
)


def store_body(connection: Connection, *, content_hash: bytes, data: bytes, size: int) -> None:
    """Keep a raw body once: `data` is zlib-compressed, `size` its bytes before.

    A known hash is left as it is, unless its body is not kept any more.
    """
    row = (content_hash, data, size)
    again = {"data": 'CASE WHEN length("body"."data") = 0 THEN excluded."data" ELSE "body"."data" END'}
    insert_rows(connection, BODY, ("content_hash", "data", "size"), [row], key=("content_hash",), merged=again)
