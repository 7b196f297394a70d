"""What a trace tells of: a name is resolved to what it names, then all that shares its keys is gathered by index.

A name is a UUID or header ID of a message or an item, a device, a serial number, a point of delivery, a meter reading
document, the request of a connection order, or the key of a command. Zeros that lead may be left out.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Connection, Select, Table, literal_column, select

from mdus.domain.command import OwnerKind
from mdus.messaging.trace import Call, Change, Gathered, Remark, TracedCommand, TracedItem, TracedMessage
from mdus.storage.command import COMMAND, COMMAND_INTENT
from mdus.storage.end_device_control import END_DEVICE_CONTROL
from mdus.storage.end_device_event import END_DEVICE_EVENT
from mdus.storage.keys import among
from mdus.storage.mapping import ValueTable
from mdus.storage.message import ITEM, ITEM_IS_READY, MESSAGE, MESSAGE_EVENT
from mdus.storage.meter_reading_document import METER_READING_DOCUMENT
from mdus.storage.paging import sender_systems, sorted_few
from mdus.storage.reading import METER_READING
from mdus.storage.reading_verdict import verdicts_on
from mdus.storage.registry import END_DEVICE, USAGE_POINT
from mdus.storage.unmapped import UNMAPPED_VALUE

#: Lengths of SAP's ids with leading zeros: orders, devices and points of delivery; documents.
_LENGTHS: Final = (10, 12, 18, 20, 22)

#: In the words of its index: SQLite uses a partial index for nothing else.
_ITEM_WAS_TAKEN: Final[ColumnElement[bool]] = literal_column("message_item.status <> 'ready'")

_DOCUMENT, _CONTROL, _DEVICE = METER_READING_DOCUMENT.table, END_DEVICE_CONTROL.table, END_DEVICE.table
_COMMAND, _EVENT, _READING = COMMAND.table, END_DEVICE_EVENT.table, METER_READING.table

Key = tuple[str, str]  # sender system, id


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What a name stands for; ids of devices, documents and connection orders with their sender system."""

    devices: frozenset[Key] = field(default_factory=frozenset)
    documents: frozenset[Key] = field(default_factory=frozenset)
    orders: frozenset[Key] = field(default_factory=frozenset)
    messages: frozenset[int] = field(default_factory=frozenset)
    items: frozenset[int] = field(default_factory=frozenset)
    commands: frozenset[int] = field(default_factory=frozenset)

    @property
    def is_known(self) -> bool:
        """Tell whether the name stands for anything."""
        return any((self.devices, self.documents, self.orders, self.messages, self.items, self.commands))


def resolve(connection: Connection, name: str, *, systems: Collection[str] | None) -> Subject:
    """Return what a name stands for among what the caller may see (`systems`; None: all)."""
    known = set(sender_systems(connection, _DEVICE, _DOCUMENT, _CONTROL))
    wanted = sorted(known if systems is None else known & set(systems))
    ids = _spellings(name)
    keys = [(system, each) for system in wanted for each in ids]

    def found(table: Table, *columns: str) -> frozenset[Key]:
        by = [table.c[column] for column in columns]
        rows = connection.execute(select(*by).where(among(connection, by, keys)).distinct()) if keys else ()
        return frozenset((row[0], row[1]) for row in rows)

    serials = {
        (row.sender_system, row.device_id)
        for row in connection.execute(
            select(_DEVICE.c.sender_system, _DEVICE.c.device_id).where(
                among(connection, [_DEVICE.c.sender_system, _DEVICE.c.serial_id], keys)
            )
        )
    }
    points = USAGE_POINT.table
    supplied = {
        (row.sender_system, row.device_id)
        for row in connection.execute(
            select(points.c.sender_system, points.c.device_id).where(
                among(connection, [points.c.point_of_delivery_id], [(each,) for each in ids])
            )
        )
        if row.sender_system in wanted
    }
    texts = [(each,) for each in ids]
    return Subject(
        devices=found(_DEVICE, "sender_system", "device_id") | serials | supplied,
        documents=found(_DOCUMENT, "sender_system", "document_id"),
        orders=found(_CONTROL, "sender_system", "request_id"),
        messages=frozenset(
            each
            for column in (MESSAGE.c.key, MESSAGE.c.uuid)  # one by one: PostgreSQL reads the table for either
            for each in _seen(
                connection,
                select(MESSAGE.c.id, MESSAGE.c.sender_system).where(among(connection, [column], texts)),
                systems,
            )
        ),
        items=_seen(
            connection,
            select(ITEM.c.id, ITEM.c.sender_system).where(among(connection, [ITEM.c.key], texts)),
            systems,
        ),
        commands=_seen(
            connection,
            select(_COMMAND.c.id, _COMMAND.c.sender_system).where(among(connection, [_COMMAND.c.command_key], texts)),
            systems,
        ),
    )


def gather(connection: Connection, subject: Subject, *, limit: int, content: bool) -> Gathered:
    """Return what there is of a subject: of each kind at most `limit`, the newest; with `content` also of items."""
    gathering = _Gathering(connection, limit=limit)
    gathering.follow(subject)
    return gathering.gathered(subject, content=content)


class _Gathering:
    """Follows keys from one kind of row to the next, each step one statement."""

    def __init__(self, connection: Connection, *, limit: int) -> None:
        self._connection = connection
        self._limit = limit
        self._is_cut = False
        self.items: set[int] = set()
        self.messages: set[int] = set()
        self.commands: set[int] = set()
        self.documents: set[Key] = set()
        self.controls: set[int] = set()

    def follow(self, subject: Subject) -> None:
        self.messages |= subject.messages
        self.items |= subject.items | self._items_of(subject.messages)
        self.commands |= subject.commands
        self.documents |= subject.documents
        self._add_owners(subject.commands)
        if subject.devices:
            names = [(f"{system}/{device}",) for system, device in subject.devices]
            self.items |= self._items_named(names)
            self.documents |= {
                (row.sender_system, row.document_id)
                for row in self._newest(_DOCUMENT, [_DOCUMENT.c.sender_system, _DOCUMENT.c.device_id], subject.devices)
            }
            self.controls |= self._ids(_CONTROL, [_CONTROL.c.sender_system, _CONTROL.c.device_id], subject.devices)
            self.commands |= self._ids(_COMMAND, [_COMMAND.c.sender_system, _COMMAND.c.device_id], subject.devices)
        if subject.orders:
            self.controls |= self._ids(_CONTROL, [_CONTROL.c.sender_system, _CONTROL.c.request_id], subject.orders)
        self.documents |= self._documents_of_items()
        self._add_orders()
        self.commands |= self._commands_owned()
        self._add_messages()

    def gathered(self, subject: Subject, *, content: bool) -> Gathered:
        messages = self._rows(_MESSAGE_COLUMNS, MESSAGE.c.id, self.messages)
        items = self._rows(_ITEM_COLUMNS if content else _ITEM_COLUMNS[:-1], ITEM.c.id, self.items)
        commands = self._rows(list(_COMMAND.c), _COMMAND.c.id, self.commands)
        return Gathered(
            messages=[TracedMessage(**row) for row in messages],
            items=[TracedItem(**{"content": None, **row}) for row in items],
            commands=[
                TracedCommand(
                    id=row["id"],
                    command=_value(COMMAND, row),
                    attempts=row["attempts"],
                    token=row["token"],
                    answer_by=row["answer_by"],
                )
                for row in commands
            ],
            documents=METER_READING_DOCUMENT.read(self._connection, ("sender_system", "document_id"), self.documents),
            controls=[
                _value(END_DEVICE_CONTROL, row) for row in self._rows(list(_CONTROL.c), _CONTROL.c.id, self.controls)
            ],
            changes=self._changes(),
            calls=[Call(**row) for row in self._rows(_CALL_COLUMNS, COMMAND_INTENT.c.command_id, self.commands)],
            remarks=list(self._remarks(subject)),
            is_cut=self._is_cut,
        )

    # ---- from one kind to the next ----

    def _items_of(self, messages: Collection[int]) -> set[int]:
        """Return the items of messages, and those that messages confirm."""
        if not messages:
            return set()
        keys = [(each,) for each in messages]
        mine = select(ITEM.c.id).where(among(self._connection, [ITEM.c.message_id], keys)).limit(self._limit + 1)
        confirmed = (
            select(ITEM.c.id)
            .where(ITEM.c.confirmation_id.is_not(None), among(self._connection, [ITEM.c.confirmation_id], keys))
            .limit(self._limit + 1)
        )
        return self._cut(self._connection.scalars(mine)) | self._cut(self._connection.scalars(confirmed))

    def _items_named(self, names: Sequence[tuple[str]]) -> set[int]:
        """Return the items ordered under these names: those taken up by index, those not yet by their own."""
        named = among(self._connection, [ITEM.c.ordering_key], names)
        taken = sorted_few(select(ITEM.c.id).where(_ITEM_WAS_TAKEN, named), limit=self._limit + 1)
        ready = select(ITEM.c.id).where(ITEM_IS_READY, named).limit(self._limit + 1)
        return self._cut(self._connection.scalars(taken)) | self._cut(self._connection.scalars(ready))

    def _documents_of_items(self) -> set[Key]:
        """Return the meter reading documents that items order, cancel or answer: they name them in their content."""
        query = select(ITEM.c.sender_system, ITEM.c.content).where(self._among(ITEM.c.id, self.items))
        found: set[Key] = set()
        for system, text in self._connection.execute(query):
            content = json.loads(text)
            name = content.get("document_id") if isinstance(content, dict) else None
            if isinstance(name, str):
                found.add((system, name))
        return found

    def _add_orders(self) -> None:
        """Add the items that ordered the documents and controls, and those about the documents."""
        if self.documents:
            by = [_DOCUMENT.c.sender_system, _DOCUMENT.c.document_id]
            orders = select(_DOCUMENT.c.order_item_id).where(among(self._connection, by, self.documents))
            self.items |= {each for each in self._connection.scalars(orders) if each}
            self.items |= self._items_named([(f"{system}/{document}",) for system, document in self.documents])
        if self.items:
            ordered = select(_CONTROL.c.id).where(self._among(_CONTROL.c.item_id, self.items))
            self.controls |= set(self._connection.scalars(ordered))
        if self.controls:
            query = select(_CONTROL.c.item_id).where(self._among(_CONTROL.c.id, self.controls))
            self.items |= set(self._connection.scalars(query))

    def _commands_owned(self) -> set[int]:
        owners = [(OwnerKind.ITEM, str(each)) for each in self.items]
        owners += [(OwnerKind.DOCUMENT, f"{system}/{document}") for system, document in self.documents]
        if not owners:
            return set()
        by = [_COMMAND.c.owner_kind, _COMMAND.c.owner_key]
        owned = select(_COMMAND.c.id).where(among(self._connection, by, owners))
        return self._cut(self._connection.scalars(sorted_few(owned, limit=self._limit + 1)))

    def _add_owners(self, commands: Collection[int]) -> None:
        """Add the items and documents that own commands."""
        query = select(_COMMAND.c.owner_kind, _COMMAND.c.owner_key).where(self._among(_COMMAND.c.id, commands))
        for kind, key in self._connection.execute(query):
            if kind is OwnerKind.ITEM:
                self.items.add(int(key))
            elif kind is OwnerKind.DOCUMENT:
                system, _, document = key.partition("/")
                self.documents.add((system, document))

    def _add_messages(self) -> None:
        """Add the messages of items and those that confirm them; of messages without items, their repeats."""
        if self.items:
            query = select(ITEM.c.message_id, ITEM.c.confirmation_id).where(self._among(ITEM.c.id, self.items))
            for row in self._connection.execute(query):
                self.messages |= {each for each in row if each is not None}
        elif self.messages:
            repeats = select(MESSAGE.c.id).where(self._among(MESSAGE.c.original_id, self.messages)).limit(self._limit)
            self.messages |= set(self._connection.scalars(repeats))

    # ---- rows ----

    def _newest(self, table: Table, by: Sequence[Column[Any]], keys: Iterable[Key]) -> list[Any]:
        query = sorted_few(select(table).where(among(self._connection, by, set(keys))), limit=self._limit + 1)
        rows = list(self._connection.execute(query))
        self._is_cut |= len(rows) > self._limit
        return rows[: self._limit]

    def _ids(self, table: Table, by: Sequence[Column[Any]], keys: Iterable[Key]) -> set[int]:
        return {row.id for row in self._newest(table, by, keys)}

    def _rows(self, columns: Sequence[Any], by: Column[Any], ids: Collection[int]) -> list[dict[str, Any]]:
        query = select(*columns).where(self._among(by, ids)).order_by(by)
        return [dict(row._mapping) for row in self._connection.execute(query)]

    def _changes(self) -> list[Change]:
        table = MESSAGE_EVENT
        conditions = (
            (table.c.item_id.is_(None) & table.c.message_id.is_not(None), table.c.message_id, self.messages),
            (table.c.item_id.is_not(None), table.c.item_id, self.items),
            (table.c.command_id.is_not(None), table.c.command_id, self.commands),
        )
        names = ("message_id", "item_id", "command_id", "status", "at", "note")
        return [
            Change(**row._mapping)
            for condition, column, ids in conditions
            if ids
            for row in self._connection.execute(
                select(*(table.c[name] for name in names))
                .where(condition, self._among(column, ids))
                .order_by(table.c.id)
            )
        ]

    def _remarks(self, subject: Subject) -> Iterable[Remark]:
        """Yield what the meters themselves have said."""
        readings = self._newest(_READING, [_READING.c.sender_system, _READING.c.device_id], subject.devices)
        for row in readings:
            unit = f" {row.unit}" if row.unit else ""
            note = f"{row.value}{unit}, measured {row.measured_at:%Y-%m-%d %H:%M:%S} UTC, {row.origin}"
            yield Remark(at=row.received_at, what="reading", of=f"{row.device_id} {row.reading_type}", note=note)
        for verdict in verdicts_on(self._connection, readings):
            if verdict is not None:
                of, note = f"{verdict.device_id} {verdict.reading_type}", f"{verdict.value}: {verdict.says()}"
                yield Remark(at=verdict.judged_at, what="reading judged", of=of, note=note)
        for row in self._newest(_EVENT, [_EVENT.c.sender_system, _EVENT.c.device_id], subject.devices):
            note = f"{row.state}" + (f" ({row.reason})" if row.reason else "")
            yield Remark(at=row.told_at, what="smart meter event", of=f"{row.device_id} {row.event_type}", note=note)
        for row in self._unmapped(subject.devices):
            told = " ".join(part for part in (row.value, row.unit, row.text) if part)
            note = f"{told}, told by {row.head_end}" if told else f"told by {row.head_end}"
            yield Remark(
                at=row.received_at, what=f"{row.source} not mapped", of=f"{row.serial_id} {row.code}", note=note
            )

    def _unmapped(self, devices: Collection[Key]) -> list[Any]:
        """Return what the head ends of devices told of them under codes that no table explains."""
        by = [_DEVICE.c.sender_system, _DEVICE.c.device_id]
        query = select(_DEVICE.c.serial_id, _DEVICE.c.head_end).where(among(self._connection, by, set(devices)))
        meters = {(row.serial_id, row.head_end) for row in self._connection.execute(query)} if devices else set()
        return (
            self._newest(UNMAPPED_VALUE, [UNMAPPED_VALUE.c.serial_id, UNMAPPED_VALUE.c.head_end], meters)
            if meters
            else []
        )

    def _among(self, column: Column[Any], ids: Collection[int]) -> Any:
        return among(self._connection, [column], [(each,) for each in ids])

    def _cut(self, ids: Iterable[int]) -> set[int]:
        some = list(ids)
        self._is_cut |= len(some) > self._limit
        return set(some[: self._limit])


_MESSAGE_COLUMNS: Final = [
    *(
        MESSAGE.c[name]
        for name in (
            "id",
            "direction",
            "sender_system",
            "service",
            "root",
            "status",
            "uuid",
            "stored_at",
            "ended_at",
            "attempts",
            "refusal",
            "last_error",
            "client",
        )
    ),
    MESSAGE.c.original_id.label("answers"),
]
_ITEM_COLUMNS: Final = [
    ITEM.c[name]
    for name in (
        "id",
        "message_id",
        "position",
        "direction",
        "service",
        "status",
        "key",
        "stored_at",
        "waits_for",
        "until",
        "confirmation_id",
        "note",
        "content",
    )
]
_CALL_COLUMNS: Final = [
    COMMAND_INTENT.c[name] for name in ("command_id", "attempt", "head_end", "at", "ended_at", "outcome", "token")
]


def _value(table: ValueTable[Any], row: dict[str, Any]) -> Any:
    return table.kind(**{name: row[name] for name in table.names})


def _seen(connection: Connection, query: Select[Any], systems: Collection[str] | None) -> frozenset[int]:
    return frozenset(row.id for row in connection.execute(query) if systems is None or row.sender_system in systems)


def _spellings(name: str) -> list[str]:
    """Return a name as it may be stored: as it is, in lower and in upper case, and with SAP's leading zeros."""
    names = {name, name.lower(), name.upper()}
    if name.isascii() and name.isdigit():
        names |= {name.zfill(length) for length in _LENGTHS}
    return sorted(names)
