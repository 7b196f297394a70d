"""News for clients: what has happened, written with what happened and numbered when it is told.

Rows are numbered by one transaction at a time, so that whoever has read up to a number has missed nothing: the
identities of rows follow the order of their inserts, not that of their commits.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Index,
    Table,
    Text,
    and_,
    delete,
    func,
    or_,
    select,
    text,
)

from mdus.storage.column_types import EnumText, UtcInstant
from mdus.storage.mapping import METADATA, AnyRow, Identity64
from mdus.storage.rows import insert_rows, update_rows

#: The lock of whoever numbers news on PostgreSQL; SQLite has one writer.
_NUMBERING: Final = 0x4E455753
#: Numbers looked through for one page.
_LOOKED_THROUGH: Final = 20_000
_COLUMNS: Final = ("at", "topic", "sender_system", "client", "about", "content")


class Topic(StrEnum):
    """What news are about."""

    EVENTS = "events"  # what a meter told of itself, or MDUS of what failed: for whoever may see the sender system
    REQUESTS = "requests"  # a client's request is settled: for that client
    EXCEPTIONS = "exceptions"  # a storm of missing data began or ended: for whoever may see the sender system
    READINGS = "readings"  # a client's reading order has its value, or has failed: for that client


NEWS = Table(
    "news",
    METADATA,
    Column("id", Identity64, primary_key=True, autoincrement=True),
    Column("number", BigInteger),  # NULL: not told yet
    Column("at", UtcInstant, nullable=False),  # business instant
    Column("topic", EnumText(Topic), nullable=False),
    Column("sender_system", Text, nullable=False),
    Column("client", Text),  # whose order it is about; NULL: for all that may see the system
    Column("about", Text, nullable=False),
    Column("content", Text, nullable=False),  # JSON
    Index("news_number", "number", unique=True),
    Index("news_untold", "id", sqlite_where=text("number IS NULL"), postgresql_where=text("number IS NULL")),
    Index("news_at", "at"),
)

#: Asked so often that making it anew costs more than its answer.
_ONE_UNTOLD: Final = select(NEWS.c.id).where(text("number IS NULL")).limit(1)


@dataclass(frozen=True, kw_only=True, slots=True)
class News:
    """One thing that has happened; `content` is what a resource of REST would show of it."""

    at: datetime
    topic: Topic
    sender_system: str
    client: str | None = None
    about: str
    content: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Audience:
    """Who listens: a client (None: to the orders of all), to some sender systems (None: all), about some topics."""

    client: str | None
    systems: Collection[str] | None = None
    topics: Collection[Topic] = tuple(Topic)

    def hears(self) -> ColumnElement[bool]:
        """Return the condition on rows of the table."""
        conditions: list[ColumnElement[bool]] = [NEWS.c.topic.in_(sorted(self.topics))]
        if self.systems is not None:
            conditions.append(NEWS.c.sender_system.in_(sorted(self.systems)))
        if self.client is not None:
            conditions.append(or_(NEWS.c.client.is_(None), NEWS.c.client == self.client))
        return and_(*conditions)


def note_news(connection: Connection, news: Sequence[News]) -> None:
    """Write what has happened, in the transaction in which it did."""
    rows = [
        (one.at, one.topic, one.sender_system, one.client, one.about, json.dumps(one.content, ensure_ascii=False))
        for one in news
    ]
    insert_rows(connection, NEWS, _COLUMNS, rows)


def is_any_untold(connection: Connection) -> bool:
    """Tell whether any news are to be numbered; asked without waiting for a writer."""
    return connection.execute(_ONE_UNTOLD).first() is not None


def number_news(connection: Connection, *, limit: int) -> Sequence[AnyRow]:
    """Number news that are not yet, the oldest first, and return them; none while another transaction does so."""
    if connection.dialect.name != "sqlite":
        alone = connection.execute(select(func.pg_try_advisory_xact_lock(_NUMBERING))).scalar()
        if not alone:
            return []
    ids = connection.scalars(select(NEWS.c.id).where(text("number IS NULL")).order_by(NEWS.c.id).limit(limit)).all()
    last = connection.execute(select(func.max(NEWS.c.number))).scalar() or 0
    numbered = [(number, one) for number, one in enumerate(ids, start=last + 1)]
    update_rows(connection, NEWS, ("number",), numbered, by=("id",))
    if not numbered:
        return []
    return connection.execute(
        select(NEWS).where(NEWS.c.number.between(last + 1, last + len(numbered))).order_by(NEWS.c.number)
    ).all()


def last_number(connection: Connection) -> int:
    """Return the number of the newest news, 0 where there are none."""
    return connection.execute(select(func.max(NEWS.c.number))).scalar() or 0


class Heard(NamedTuple):
    """News an audience hears, the oldest first, and the number up to which there are no others for it."""

    rows: Sequence[AnyRow]
    up_to: int


def news_after(connection: Connection, number: int, audience: Audience, *, limit: int) -> Heard:
    """Return the news after a number that an audience hears.

    So many numbers are looked through at most that an audience that hears little is answered as soon as any other: it
    goes on from `up_to`.
    """
    first, last = connection.execute(select(func.min(NEWS.c.number), func.max(NEWS.c.number))).one()
    if last is None or number >= last:
        return Heard((), max(number, last or 0))
    begin = max(number, first - 1)
    end = min(begin + _LOOKED_THROUGH, last)
    query = select(NEWS).where(NEWS.c.number > begin, NEWS.c.number <= end, audience.hears())
    rows = connection.execute(query.order_by(NEWS.c.number).limit(limit)).all()
    return Heard(rows, rows[-1].number if len(rows) == limit else end)


def forget_news(connection: Connection, *, before: datetime, limit: int) -> int:
    """Delete news that were told before an instant; the newest stays, so that no number is given twice."""
    newest = select(func.max(NEWS.c.number)).scalar_subquery()
    old = select(NEWS.c.id).where(NEWS.c.at < before, NEWS.c.number < newest).order_by(NEWS.c.at).limit(limit)
    return connection.execute(delete(NEWS).where(NEWS.c.id.in_(old))).rowcount


def shown_news(row: AnyRow) -> dict[str, Any]:
    """Return one of the news as clients read it, whichever way it reaches them."""
    return {
        "number": row.number,
        "at": row.at.isoformat(),
        "topic": row.topic.value,
        "sender_system": row.sender_system,
        "client": row.client,
        "about": row.about,
        "content": json.loads(row.content),
    }
