"""Rows in one statement: what is stored is what was given, on both databases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection, event, select
from sqlalchemy.exc import DBAPIError, IntegrityError

from mdus.domain.end_device import EndDeviceStatus, SwitchState
from mdus.domain.register import Register
from mdus.messaging.status import ItemStatus
from mdus.storage.message import BODY, MESSAGE, MESSAGE_EVENT
from mdus.storage.registry import END_DEVICE_STATUS, REGISTER
from mdus.storage.rows import insert_alike, insert_batches, insert_rows, update_rows
from mdus.storage.session import Database

AT = datetime(2026, 3, 29, 1, 30, 0, 123456, tzinfo=UTC)


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    """A writing transaction on an empty database."""
    database = Database(database_url)
    with database.begin() as uow:
        yield uow.connection
    database.close()


def stored(connection: Connection, table: Any, *columns: str) -> list[tuple[Any, ...]]:
    """Return these columns of all rows, in the order they were stored."""
    order = table.c.id if "id" in table.c else table.c[columns[0]]
    return [tuple(row) for row in connection.execute(select(*(table.c[name] for name in columns)).order_by(order))]


def register(number: int, **changes: Any) -> Register:
    """Return a register with every type of column that values have."""
    given: dict[str, Any] = {
        "sender_system": "P11",
        "device_id": f"{number:018}",
        "measurement_task_id": "0042",
        "valid_from": date(2026, 1, 1),
        "reading_type": "1-0:1.8.0*255",
        "unit": "KWH",
    }
    return Register(**(given | changes))


class TestInsertAlike:
    @pytest.mark.parametrize("count", [0, 1, 2, 120])
    def test_stores_the_same_rows(self, connection: Connection, count: int) -> None:
        rows = [("P11", f"{number:03}", AT, None, "unknown") for number in range(count)]
        columns = ("sender_system", "device_id", "first_heard_at", "has_breaker", "switch_state")
        insert_alike(connection, END_DEVICE_STATUS.table, columns, rows)
        assert stored(connection, END_DEVICE_STATUS.table, *columns) == rows

    def test_merges_a_row_whose_key_is_there(self, connection: Connection) -> None:
        columns = ("sender_system", "device_id", "first_heard_at", "switch_state")
        for state in ("unknown", "connected"):
            rows = [("P11", number, AT, state) for number in ("1", "2")]
            merged = {"switch_state": "excluded.switch_state"}
            insert_alike(
                connection, END_DEVICE_STATUS.table, columns, rows, key=("sender_system", "device_id"), merged=merged
            )
        assert stored(connection, END_DEVICE_STATUS.table, "device_id", "switch_state") == [
            ("1", "connected"),
            ("2", "connected"),
        ]


class TestInsertRows:
    def test_stores_every_type_of_column_and_none(self, connection: Connection) -> None:
        insert_rows(
            connection,
            END_DEVICE_STATUS.table,
            ("sender_system", "device_id", "first_heard_at", "has_breaker", "switch_state"),
            [("P11", "007", AT, True, "connected"), ("P11", "008", None, None, "unknown")],
        )
        columns = ("device_id", "first_heard_at", "has_breaker", "switch_state")
        assert stored(connection, END_DEVICE_STATUS.table, *columns) == [
            ("007", AT, True, "connected"),
            ("008", None, None, "unknown"),
        ]

    def test_gives_every_row_the_values_they_share(self, connection: Connection) -> None:
        shared = {"status": "ready", "at": AT}
        insert_rows(connection, MESSAGE_EVENT, ("note", "item_id"), [("a", 1), (None, 2)], shared=shared)
        assert stored(connection, MESSAGE_EVENT, "status", "at", "note", "item_id") == [
            ("ready", AT, "a", 1),
            ("ready", AT, None, 2),
        ]

    @pytest.mark.parametrize("number", [1, 49, 50, 51, 137])
    def test_keeps_the_order_of_many_rows_and_leaves_out_those_whose_key_is_taken(
        self, connection: Connection, number: int
    ) -> None:
        columns, shared = ("content_hash", "size"), {"data": b"raw"}
        insert_rows(connection, BODY, columns, [(b"%04d" % (number // 2), 0)], shared=shared)
        rows = [(b"%04d" % place, 1) for place in range(number)]
        insert_rows(connection, BODY, columns, rows, shared=shared, key=("content_hash",))
        expected = [(key, b"raw", 0 if place == number // 2 else 1) for place, (key, _) in enumerate(rows)]
        assert stored(connection, BODY, "content_hash", "data", "size") == expected

        events = [(f"{place}", AT) for place in range(number)]
        insert_rows(connection, MESSAGE_EVENT, ("note", "at"), events, shared={"status": "ready"})
        assert stored(connection, MESSAGE_EVENT, "note", "at") == events

    def test_gives_columns_that_are_not_named_their_default(self, connection: Connection) -> None:
        given = {
            "direction": "in",
            "sender_system": "P11",
            "service": "S",
            "root": "R",
            "bulk": False,
            "status": "received",
            "created_at": AT,
            "stored_at": AT,
        }
        insert_rows(connection, MESSAGE, ("key", "item_count"), [("k", 3)], shared=given)
        assert stored(connection, MESSAGE, "key", "item_count", "test_data", "set_aside") == [("k", 3, False, 0)]

    def test_refuses_an_instant_without_a_zone(self, connection: Connection) -> None:
        naive = AT.replace(tzinfo=None)
        with pytest.raises(ValueError, match="has no time zone"):
            insert_rows(connection, MESSAGE_EVENT, ("status", "at"), [("ready", naive)])

    def test_gives_instants_and_members_back_as_they_were(self, connection: Connection) -> None:
        told = EndDeviceStatus(
            sender_system="P11", device_id="1", last_heard_at=AT, switch_state=SwitchState.DISCONNECTED
        )
        END_DEVICE_STATUS.add(connection, [told])
        [found] = END_DEVICE_STATUS.fetch(connection, END_DEVICE_STATUS.select())
        assert found == told
        assert found.switch_state is SwitchState.DISCONNECTED
        assert found.last_heard_at is not None
        assert found.last_heard_at.tzinfo is UTC

    def test_stores_bytes_as_they_are(self, connection: Connection) -> None:
        insert_rows(connection, BODY, ("content_hash", "data", "size"), [(b"\x00\xff", b"\\x5c'%s", 7)])
        assert stored(connection, BODY, "content_hash", "data", "size") == [(b"\x00\xff", b"\\x5c'%s", 7)]

    def test_stores_decimals_to_the_last_digit(self, connection: Connection) -> None:
        factor = Decimal("12345678901234567890.123456789")
        REGISTER.add(connection, [register(1, factor=factor), register(2)])
        assert [value.factor for value in REGISTER.fetch(connection, REGISTER.select())] == [factor, None]

    def test_numbers_rows_in_the_order_given(self, connection: Connection) -> None:
        notes = [f"note {number}" for number in range(500)]
        insert_rows(connection, MESSAGE_EVENT, ("status", "at", "note"), [("ready", AT, note) for note in notes])
        assert [note for (note,) in stored(connection, MESSAGE_EVENT, "note")] == notes

    def test_text_that_looks_like_sql_stays_text(self, connection: Connection) -> None:
        note = "'); DROP TABLE message_event; -- %s {NULL} \" \\ ü"
        insert_rows(connection, MESSAGE_EVENT, ("status", "at", "note"), [("ready", AT, note)])
        assert stored(connection, MESSAGE_EVENT, "note") == [(note,)]

    def test_refuses_a_taken_key_when_nothing_else_is_said(self, connection: Connection) -> None:
        REGISTER.add(connection, [register(1)])
        with pytest.raises(IntegrityError), connection.begin_nested():
            REGISTER.add(connection, [register(1)])

    def test_leaves_a_stored_row_as_it_is_where_its_key_is_named(self, connection: Connection) -> None:
        columns, key = ("content_hash", "data", "size"), ("content_hash",)
        insert_rows(connection, BODY, columns, [(b"1", b"first", 5)], key=key)
        insert_rows(connection, BODY, columns, [(b"1", b"again", 5), (b"2", b"other", 5)], key=key)
        assert stored(connection, BODY, "content_hash", "data") == [(b"1", b"first"), (b"2", b"other")]

    def test_replaces_only_the_columns_named(self, connection: Connection) -> None:
        columns, key = ("content_hash", "data", "size"), ("content_hash",)
        insert_rows(connection, BODY, columns, [(b"1", b"first", 5)])
        insert_rows(connection, BODY, columns, [(b"1", b"again", 6)], key=key, replaced=("data",))
        assert stored(connection, BODY, *columns) == [(b"1", b"again", 5)]

    def test_merges_the_stored_row_with_the_new_one_as_it_is_told(self, connection: Connection) -> None:
        columns, key = ("content_hash", "data", "size"), ("content_hash",)
        insert_rows(connection, BODY, columns, [(b"1", b"", 5), (b"2", b"", 5)])
        merged = {"size": "body.size + excluded.size"}
        insert_rows(connection, BODY, columns, [(b"1", b"x", 6), (b"3", b"", 7)], key=key, merged=merged)
        assert stored(connection, BODY, *columns) == [(b"1", b"", 11), (b"2", b"", 5), (b"3", b"", 7)]

    def test_does_nothing_without_rows(self, connection: Connection) -> None:
        insert_rows(connection, BODY, ("content_hash", "data", "size"), [])
        assert stored(connection, BODY, "size") == []


class TestInsertBatches:
    COLUMNS = ("status", "at", "note", "item_id", "message_id")

    def test_stores_every_batch_in_order(self, connection: Connection) -> None:
        batches = [[("ready", AT, f"{batch}/{row}", row, batch) for row in range(60)] for batch in range(5)]
        insert_batches(connection, MESSAGE_EVENT, self.COLUMNS, batches, shared={"command_id": None}, key=("id",))
        assert stored(connection, MESSAGE_EVENT, *self.COLUMNS) == [row for batch in batches for row in batch]

    @pytest.mark.parametrize("note", ["", "\\N", "a\\tb", "a\tb", "a\nb\r\n", '{"x":"\\"\\\\"ü"}', "NULL", None])
    def test_text_stays_as_it_is(self, connection: Connection, note: str | None) -> None:
        rows = [("ready", AT, note, 1, None), ("ready", AT, None, None, 2)]
        insert_batches(connection, MESSAGE_EVENT, self.COLUMNS, [rows], shared={}, key=("id",))
        assert stored(connection, MESSAGE_EVENT, *self.COLUMNS) == rows

    def test_leaves_out_rows_whose_key_is_taken_by_a_stored_row(self, connection: Connection) -> None:
        insert_rows(connection, MESSAGE_EVENT, ("id", "status", "at", "note"), [(2, "ready", AT, "first")])
        batches = [[(1, "ready", AT, "a")], [(2, "ready", AT, "b"), (3, "ready", AT, "c")]]
        columns = ("id", "status", "at", "note")
        insert_batches(connection, MESSAGE_EVENT, columns, batches, shared={}, key=("id",))
        assert stored(connection, MESSAGE_EVENT, "id", "note") == [(1, "a"), (2, "first"), (3, "c")]

    def test_stores_the_first_of_two_rows_with_one_key(self, connection: Connection) -> None:
        columns = ("id", "status", "at", "note")
        batches = [[(1, "ready", AT, "first")], [(1, "ready", AT, "second"), (2, "ready", AT, "other")]]
        insert_batches(connection, MESSAGE_EVENT, columns, batches, shared={}, key=("id",))
        assert stored(connection, MESSAGE_EVENT, "id", "note") == [(1, "first"), (2, "other")]

    def test_what_fails_while_a_batch_is_made_fails_the_whole(self, connection: Connection) -> None:
        def making() -> Iterator[list[tuple[Any, ...]]]:
            yield [("ready", AT, "made", 1, None)]
            raise ArithmeticError

        with pytest.raises(ArithmeticError), connection.begin_nested():
            insert_batches(connection, MESSAGE_EVENT, self.COLUMNS, making(), shared={}, key=("id",))
        assert stored(connection, MESSAGE_EVENT, "note") == []

    def test_what_the_database_refuses_is_told_as_by_any_statement(self, connection: Connection) -> None:
        rows = [(None, AT, "a status is missing", 1, None)]
        with pytest.raises(DBAPIError), connection.begin_nested():
            insert_batches(connection, MESSAGE_EVENT, self.COLUMNS, [rows], shared={}, key=("id",))


class TestUpdateRows:
    @pytest.fixture
    def events(self, connection: Connection) -> list[int]:
        rows = [("ready", AT, note) for note in ("a", "b", "c")]
        insert_rows(connection, MESSAGE_EVENT, ("status", "at", "note"), rows)
        return [number for (number,) in stored(connection, MESSAGE_EVENT, "id")]

    def test_gives_each_row_its_own_values(self, connection: Connection, events: Sequence[int]) -> None:
        rows = [("done", events[2]), (None, events[0])]
        update_rows(connection, MESSAGE_EVENT, ("note",), rows, by=("id",))
        assert stored(connection, MESSAGE_EVENT, "note") == [(None,), ("b",), ("done",)]

    def test_changes_nothing_where_the_condition_fails(self, connection: Connection, events: Sequence[int]) -> None:
        rows = [("done", event) for event in events]
        update_rows(connection, MESSAGE_EVENT, ("status",), rows, by=("id",), where="message_event.note <> 'b'")
        assert stored(connection, MESSAGE_EVENT, "status") == [("done",), ("ready",), ("done",)]

    def test_finds_rows_by_several_columns(self, connection: Connection, events: Sequence[int]) -> None:
        rows = [(ItemStatus.CLOSED, "a", AT), (ItemStatus.CLOSED, "b", AT.replace(year=2020))]
        update_rows(connection, MESSAGE_EVENT, ("status",), rows, by=("note", "at"))
        assert stored(connection, MESSAGE_EVENT, "status") == [("closed",), ("ready",), ("ready",)]

    def test_is_one_statement_whatever_the_number_of_rows(self, connection: Connection, events: Sequence[int]) -> None:
        seen: list[str] = []

        def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
            seen.append(statement)

        event.listen(connection.engine, "before_cursor_execute", note)
        update_rows(connection, MESSAGE_EVENT, ("note",), [("x", number) for number in events], by=("id",))
        event.remove(connection.engine, "before_cursor_execute", note)
        assert len(seen) == 1
