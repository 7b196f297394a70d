"""Rows by their numbers: how many there are of what, and the SQL that writes what row `n` holds, on both databases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Connection, Table

from tests.benchmarks.orders import SYSTEM

#: Of fifty devices nine belong to the second system and one to the third.
SECOND_SYSTEM: Final = "P11"
THIRD_SYSTEM: Final = "Q11"
#: Serves one device in a thousand.
SMALL_HEAD_END: Final = "hilltop"

#: Items in each bulk.
BULK: Final = 2000

_START: Final = int(datetime(2025, 9, 1, tzinfo=UTC).timestamp())


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """How many rows there are of what; message events come to twice the messages and more."""

    devices: int
    messages: int

    @property
    def bulks(self) -> int:
        """Bulks among the messages: they hold half of all items."""
        return self.messages // (2 * BULK)

    @property
    def documents(self) -> int:
        """Reading orders, each in an item of a bulk and with a command of its own."""
        return self.messages // 5

    def device_of_pair(self, number: int) -> int:
        """Return the number of the device that a pair of messages is about."""
        return number * 7919 % self.devices + 1

    def device_of_document(self, number: int) -> int:
        """Return the number of the device that a reading order, a connection order or a reading is of."""
        return number * 31 % self.devices + 1

    def key_of_command(self, number: int) -> str:
        """Return the key of the command of a reading order."""
        return uuid_of(2 * self.messages + number)

    @property
    def readings(self) -> int:
        """Register readings."""
        return self.messages * 3 // 10

    @property
    def controls(self) -> int:
        """Devices of connection orders."""
        return self.messages // 50

    @property
    def events(self) -> int:
        """Events of devices; of exception cases, runs of jobs and deliveries of head ends there are less."""
        return self.messages // 20


class Filling:
    """Writes rows numbered from 1 as the database's own SQL, in which `n` is the number of the row."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.is_sqlite = connection.dialect.name == "sqlite"

    def insert(self, table: Table, count: int, columns: Mapping[str, str]) -> None:
        """This will insert `count` rows; each column's expression may use `n`."""
        if self.is_sqlite:
            numbers = f"SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {count}"
            series = f"(WITH RECURSIVE s(n) AS ({numbers}) SELECT n FROM s)"
        else:
            series = f"generate_series(1, CAST({count} AS bigint)) AS s(n)"
        names = ", ".join(f'"{name}"' for name in columns)
        statement = f'INSERT INTO "{table.name}" ({names}) SELECT {", ".join(columns.values())} FROM {series}'
        self._connection.exec_driver_sql(statement if self.is_sqlite else statement.replace("%", "%%"))

    def at(self, seconds: str) -> str:
        """Return the instant so many seconds after the start."""
        return f"({_START} + {seconds}) * 1000000" if self.is_sqlite else f"to_timestamp({_START} + {seconds})"

    def padded(self, number: str, length: int) -> str:
        """Return a number with leading zeros."""
        if self.is_sqlite:
            return f"printf('%0{length}d', {number})"
        return f"lpad(CAST({number} AS text), {length}, '0')"

    def uuid(self, number: str) -> str:
        """Return a UUID: neighbours in number are none in order, as UUIDs are."""
        scattered = f"(({number}) * 2654435761) % 4294967296"
        first = f"printf('%08x', {scattered})" if self.is_sqlite else f"lpad(to_hex({scattered}), 8, '0')"
        return f"{first} || '-0000-4000-8000-' || {self.padded(number, 12)}"

    def content(self, name: str, value: str) -> str:
        """Return the JSON of an item's content: one member that counts, and as many bytes as an item has."""
        return f"""'{{"{name}": "' || {value} || '", "text": "{"x" * 300}"}}'"""


def system_of(device: int) -> str:
    """This will return the sender system of a device."""
    return THIRD_SYSTEM if device % 50 == 0 else SECOND_SYSTEM if device % 50 < 10 else SYSTEM


def uuid_of(number: int) -> str:
    """This will return the UUID of a message by its number."""
    return f"{number * 2654435761 % 4294967296:08x}-0000-4000-8000-{number:012}"


def case(value: str, *ways: tuple[str, str], otherwise: str) -> str:
    """This will return an expression that picks by a value; each way is a condition and what it picks."""
    return f"CASE {' '.join(f'WHEN {value} {when} THEN {then}' for when, then in ways)} ELSE {otherwise} END"


def system_of_row(device: str) -> str:
    """This will return the expression of a device's sender system, as `system_of` has it."""
    return case(f"{device} % 50", ("= 0", f"'{THIRD_SYSTEM}'"), ("< 10", f"'{SECOND_SYSTEM}'"), otherwise=f"'{SYSTEM}'")


def device_of_document(size: Size) -> str:
    """This will return the expression of `Size.device_of_document` for row `n`."""
    return f"(n * 31 % {size.devices} + 1)"
