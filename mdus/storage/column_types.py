"""The column types of our own (exact decimals, UTC instants, text enums, named texts), and the database's clock."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Any

from sqlalchemy import NUMERIC, BigInteger, DateTime, Dialect, Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class ExactDecimal(TypeDecorator[Decimal]):
    """A decimal that loses no digit: NUMERIC on PostgreSQL, canonical text on SQLite."""

    impl = NUMERIC
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the column type of this database."""
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else NUMERIC(asdecimal=True))

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        """Return the value as it is stored; the same number always gives the same text."""
        if value is None or dialect.name != "sqlite":
            return value
        return canonical(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        """Return the stored number, exact."""
        return None if value is None else Decimal(value)


def canonical(value: Decimal) -> str:
    """Return the one text of a number: no exponent, no needless zeros, no negative zero."""
    if not value:
        return "0"
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


class UtcInstant(TypeDecorator[datetime]):
    """An aware UTC instant: timestamptz on PostgreSQL, microseconds since 1970 as int64 on SQLite."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the column type of this database."""
        return dialect.type_descriptor(BigInteger() if dialect.name == "sqlite" else DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Return the instant as it is stored; raises ValueError for a naive one."""
        return self.bind_processor(dialect)(value)

    # A batch has thousands of instants: each goes through one function, not through two of SQLAlchemy's around it.

    def bind_processor(self, dialect: Dialect) -> Callable[[datetime | None], Any]:
        """Return what makes the stored form of an instant."""
        return _to_microseconds if dialect.name == "sqlite" else _with_zone

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None]:
        """Return what makes an instant in UTC of its stored form."""
        return _from_microseconds if dialect.name == "sqlite" else _in_utc


def _to_microseconds(value: datetime | None) -> int | None:
    if value is None:
        return None
    if value.tzinfo is None:
        raise _naive(value)
    return (value - _EPOCH) // _MICROSECOND


@lru_cache(maxsize=4096)  # a batch has the same few instants thousands of times
def _from_microseconds(value: int | None) -> datetime | None:
    return None if value is None else _EPOCH + timedelta(microseconds=value)


def _with_zone(value: datetime | None) -> datetime | None:
    if value is not None and value.tzinfo is None:
        raise _naive(value)
    return value


def _in_utc(value: datetime | None) -> datetime | None:
    return None if value is None else value.astimezone(UTC)


def _naive(value: datetime) -> ValueError:
    return ValueError(f"{value} has no time zone: instants are stored as UTC")


class EnumText(TypeDecorator[StrEnum]):
    """A text enum stored by its value."""

    impl = Text
    cache_ok = True

    def __init__(self, members: type[StrEnum]) -> None:
        """Take the enum whose members the column holds."""
        super().__init__()
        self.members = members

    def process_bind_param(self, value: StrEnum | str | None, dialect: Dialect) -> str | None:
        """Return the member's value."""
        return None if value is None else str(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[str | None], StrEnum | None]:
        """Return what finds the member of a stored value; a value that is no member's raises KeyError."""
        members: dict[str | None, StrEnum | None] = {member.value: member for member in self.members}
        members[None] = None
        return members.__getitem__


NamedTexts = tuple[tuple[str, str], ...]


class TextPairs(TypeDecorator[NamedTexts]):
    """Texts by their names, in their order, stored as JSON."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: NamedTexts | None, dialect: Dialect) -> str | None:
        """Return the pairs as they are stored."""
        return None if value is None else json.dumps(value, ensure_ascii=False)

    def process_result_value(self, value: str | None, dialect: Dialect) -> NamedTexts | None:
        """Return the stored pairs."""
        return None if value is None else tuple((name, text) for name, text in json.loads(value))


class database_now(FunctionElement[datetime]):  # noqa: N801 - reads as the SQL function it is
    """The database's real clock, as an SQL expression: what leases and backoff are measured with."""

    type = UtcInstant()
    inherit_cache = True

    def __init__(self, *, plus: timedelta = timedelta()) -> None:
        """Take what to add to the present instant."""
        from sqlalchemy import literal

        super().__init__(literal(int(plus / _MICROSECOND), BigInteger()))


@compiles(database_now, "sqlite")
def _now_on_sqlite(element: database_now, compiler: Any, **options: Any) -> str:
    plus = compiler.process(element.clauses, **options)
    return f"(CAST((julianday('now') - 2440587.5) * 86400000000.0 AS INTEGER) + {plus})"


@compiles(database_now)
def _now_on_postgresql(element: database_now, compiler: Any, **options: Any) -> str:
    plus = compiler.process(element.clauses, **options)
    return f"(clock_timestamp() + {plus} * interval '1 microsecond')"
