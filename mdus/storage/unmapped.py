"""What head ends told under codes that no table explains, and the tables that deliveries were read by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Index,
    Table,
    Text,
    UniqueConstraint,
    and_,
    delete,
    func,
    null,
    select,
    update,
)

from mdus.domain.mapping_version import MappingVersion
from mdus.domain.unmapped import UnmappedCode, UnmappedSource, UnmappedValue
from mdus.storage.audit import AUDIT, Deed, note_deed
from mdus.storage.column_types import EnumText, UtcInstant
from mdus.storage.command import HEAD_END_DELIVERY
from mdus.storage.delivery import DeliveryStatus
from mdus.storage.exception_case import DEAD_DELIVERIES, close_cases
from mdus.storage.keys import among
from mdus.storage.mapping import METADATA, AnyRow, Identity64
from mdus.storage.paging import Page, Way, rows_of_page
from mdus.storage.rows import insert_rows

#: Each value once, however often it is told.
UNMAPPED_VALUE: Final = Table(
    "unmapped_value",
    METADATA,
    Column("id", Identity64, primary_key=True, autoincrement=True),
    Column("head_end", Text, nullable=False),
    Column("source", EnumText(UnmappedSource), nullable=False),
    Column("code", Text, nullable=False),
    Column("serial_id", Text, nullable=False),
    Column("at", UtcInstant),  # NULL: it says no instant
    Column("value", Text),
    Column("unit", Text),
    Column("text", Text),
    Column("delivery_id", BigInteger, nullable=False),  # that told it first
    Column("received_at", UtcInstant, nullable=False),  # business instant
    Column("content_hash", Text, nullable=False),
    UniqueConstraint("head_end", "content_hash", name="unmapped_value_key"),
    Index("unmapped_value_source", "head_end", "source", "id"),
    Index("unmapped_value_code", "head_end", "source", "code", "id"),
    Index("unmapped_value_serial", "serial_id", "head_end"),
    Index("unmapped_value_delivery", "delivery_id"),
)

#: The tables of each version that anything was read by: head_end_delivery.read_by names it.
MAPPING_VERSION: Final = Table(
    "mapping_version",
    METADATA,
    Column("id", Identity64, primary_key=True, autoincrement=True),
    Column("name", Text, nullable=False),
    Column("content", Text, nullable=False),  # JSON
    Column("first_at", UtcInstant, nullable=False),  # business instant
    UniqueConstraint("name", name="mapping_version_key"),
)

_TABLE, _CODE = UNMAPPED_VALUE, (UNMAPPED_VALUE.c.head_end, UNMAPPED_VALUE.c.source, UNMAPPED_VALUE.c.code)
_COLUMNS: Final = (
    "head_end",
    "source",
    "code",
    "serial_id",
    "at",
    "value",
    "unit",
    "text",
    "delivery_id",
    "received_at",
    "content_hash",
)

_WAYS: Final = (
    Way(columns=("head_end", "source")),
    Way(columns=("head_end", "source", "code")),
    Way(columns=("head_end", "serial_id"), narrow=True),
)

#: What the target of a deed begins with.
_UNMAPPED: Final = "unmapped"

#: What is read again: deliveries that have been taken in, or wait, or were given up.
_READ_AGAIN: Final = (DeliveryStatus.DONE, DeliveryStatus.UNMATCHED, DeliveryStatus.DEAD)


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """What became of unmapped values: how many are new, of which codes, and which codes have none any more."""

    new: Counter[UnmappedCode] = field(default_factory=Counter)
    gone: frozenset[UnmappedCode] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class WhichCodes:
    """Which codes are meant: all that meet every condition stated."""

    head_end: str | None = None
    source: UnmappedSource | None = None
    code: str | None = None

    def __str__(self) -> str:
        said = {"head_end": self.head_end, "source": self.source, "code": self.code}
        return " ".join([_UNMAPPED, *(f"{name}={value}" for name, value in said.items() if value)])

    @property
    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the conditions on rows of unmapped_value."""
        said = zip(_CODE, (self.head_end, self.source, self.code), strict=True)
        return [column == value for column, value in said if value is not None]


def note_version(connection: Connection, version: MappingVersion, *, now: datetime) -> None:
    """Keep the tables of a version; one that is kept already stays as it is."""
    row = (version.name, version.content, now)
    insert_rows(connection, MAPPING_VERSION, ("name", "content", "first_at"), [row], key=("name",))


def keep(connection: Connection, values: Sequence[UnmappedValue], *, again: Collection[int]) -> Kept:
    """Keep what deliveries told under unknown codes, each value once; a few statements whatever their number.

    `again` are the deliveries among them that were read before: of these only what they tell now stays.
    """
    before: dict[tuple[str, str], UnmappedCode] = {}
    if again:
        is_theirs = among(connection, [_TABLE.c.delivery_id], {(each,) for each in again})
        for row in connection.execute(delete(_TABLE).where(is_theirs).returning(_TABLE.c.content_hash, *_CODE)):
            before[row.head_end, row.content_hash] = UnmappedCode(row.head_end, row.source, row.code)
    told = {(each.head_end, each.content_hash): each for each in reversed(values)}
    known = set(before) | _known(connection, told)
    rows = [(*(getattr(each, name) for name in _COLUMNS[:-1]), key[1]) for key, each in sorted(told.items())]
    insert_rows(connection, _TABLE, _COLUMNS, rows, key=("head_end", "content_hash"))
    new = Counter(each.names for key, each in told.items() if key not in known)
    left = set(before.values()) - {each.names for each in told.values()}
    return Kept(new=new, gone=frozenset(left - _with_values(connection, left)))


def _known(connection: Connection, keys: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return those of the values, by head end and hash, that are kept already."""
    if not keys:
        return set()
    by = [_TABLE.c.head_end, _TABLE.c.content_hash]
    return {(row[0], row[1]) for row in connection.execute(select(*by).where(among(connection, by, keys)))}


def _with_values(connection: Connection, codes: Collection[UnmappedCode]) -> set[UnmappedCode]:
    """Return those of the codes that any value was told under."""
    found = set()
    for each in sorted(codes):
        which = WhichCodes(head_end=each.head_end, source=each.source, code=each.code)
        if connection.execute(select(_TABLE.c.id).where(*which.conditions).limit(1)).first() is not None:
            found.add(each)
    return found


def values(connection: Connection, page: Page, **filters: Any) -> Sequence[AnyRow]:
    """Return a page of what was told under unknown codes; by head end, source and code, or by serial number."""
    return rows_of_page(connection, select(_TABLE), _TABLE, page, page.wanted(_TABLE, filters), _WAYS)


def codes(connection: Connection, which: WhichCodes, *, limit: int) -> Sequence[AnyRow]:
    """Return the codes no table explains: how many values and meters of each, since when and until when."""
    columns = [
        func.count().label("count"),
        func.count(_TABLE.c.serial_id.distinct()).label("meters"),
        func.min(_TABLE.c.received_at).label("first_at"),
        func.max(_TABLE.c.received_at).label("last_at"),
    ]
    query = select(*_CODE, *columns).where(*which.conditions).group_by(*_CODE)
    return connection.execute(query.order_by(*_CODE).limit(limit)).all()


def count(connection: Connection, which: WhichCodes) -> int:
    """Return how many deliveries tell something under these codes."""
    query = select(func.count(_TABLE.c.delivery_id.distinct())).where(*which.conditions)
    return int(connection.execute(query).scalar_one())


def read_again(connection: Connection, which: WhichCodes, deed: Deed, *, now: datetime) -> int:
    """Have the deliveries read again that told something under these codes; returns how many.

    What is explained then leaves the table, and the case of a code that has nothing left is closed.
    """
    delivery = HEAD_END_DELIVERY
    holding = select(_TABLE.c.delivery_id).where(*which.conditions)
    again = connection.execute(
        update(delivery)
        .where(
            delivery.c.id.in_(holding),
            delivery.c.status.in_([each.value for each in _READ_AGAIN]),
            func.length(delivery.c.data) > 0,
        )
        .values(status=DeliveryStatus.READY.value, attempts=0, due_at=null(), note=deed.note("read again"))
        .returning(delivery.c.id, delivery.c.head_end)
    ).all()
    for kind in DEAD_DELIVERIES:
        close_cases(connection, kind, {f"{row.head_end}/{row.id}" for row in again}, now=now)
    note_deed(connection, deed, action="retry", target=str(which), count=len(again), at=now)
    return len(again)


def leave(connection: Connection, which: WhichCodes, deed: Deed, *, now: datetime) -> int:
    """Keep what was told under these codes no longer, and close their cases; returns how many values.

    Their deliveries go when the time of deliveries is over. What is told under such a code later is kept anew.
    """
    left = connection.execute(delete(_TABLE).where(*which.conditions).returning(*_CODE)).all()
    named = {UnmappedCode(row.head_end, row.source, row.code) for row in left}
    close(connection, named, now=now)
    note_deed(connection, deed, action="leave", target=str(which), count=len(left), at=now)
    return len(left)


def was_mended(connection: Connection, *, since: datetime) -> bool:
    """Tell whether deliveries were read again, or left, since an instant: those that had to stay may go now."""
    is_one = and_(AUDIT.c.at >= since, AUDIT.c.target.startswith(_UNMAPPED))
    return connection.execute(select(AUDIT.c.id).where(is_one).limit(1)).first() is not None


def close(connection: Connection, which: Collection[UnmappedCode], *, now: datetime) -> None:
    """Close the cases of codes."""
    for source in UnmappedSource:
        keys = {each.case_key for each in which if each.source is source}
        close_cases(connection, source.case_kind, keys, now=now)
