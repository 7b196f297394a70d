"""Determinants in tables: versions and their ids, and that what is asked of them is found by index."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import event

from mdus.billing.determinant import Determinant, DeterminantStatus
from mdus.storage import determinant as determinants
from mdus.storage.billing_part import final_days
from mdus.storage.session import Database

NOW = datetime(2026, 7, 2, 5, 0, tzinfo=UTC)
JUNE, JULY = date(2026, 6, 1), date(2026, 7, 1)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(database_url)
    yield made
    made.close()


def version(number: int = 1, **changes: Any) -> Determinant:
    given = {
        "sender_system": "P11",
        "point_of_delivery_id": f"DE{number}",
        "period_from": JUNE,
        "period_to": JULY,
        "reason": "month",
        "reading_type": "1-0:1.29.0*255",
        "name": "total",
        "quantity": Decimal("12.3456789"),
        "unit": "KWH",
        "peak_at": NOW,
        "intervals": 2880,
        "missing": 1,
        "estimated": 2,
        "status": DeterminantStatus.HELD,
        "gate_reason": "why",
        "made_at": NOW,
        "made_by": "test",
    }
    return Determinant(**(given | changes))


def written(database: Database, *versions: Determinant) -> None:
    with database.begin() as uow:
        determinants.alone(uow.connection)
        determinants.write_versions(uow.connection, versions)


class TestVersions:
    def test_come_back_as_they_were_stored(self, database: Database) -> None:
        written(database, version())
        with database.read() as uow:
            [found] = determinants.newest_of(uow.connection, [("P11", "DE1")], since=JULY)
            assert determinants.newest_of(uow.connection, [("P11", "DE1")], since=JULY + timedelta(days=1)) == []
            assert determinants.newest_of(uow.connection, [("P12", "DE1")], since=JULY) == []
            assert determinants.newest_of(uow.connection, [], since=JULY) == []
        assert found.id is not None
        assert found == version(id=found.id)

    def test_that_are_replaced_are_the_newest_no_more(self, database: Database) -> None:
        written(database, version(), version(2))
        with database.read() as uow:
            [first] = determinants.newest_of(uow.connection, [("P11", "DE1")], since=JULY)
        written(database, version(version=2, replaces=first.id, quantity=Decimal(13)))
        with database.read() as uow:
            [newest] = determinants.newest_of(uow.connection, [("P11", "DE1")], since=JULY)
            every = determinants.versions_after(uow.connection, 0, limit=10)
            only = determinants.versions_after(uow.connection, 0, limit=10, newest=True)
        assert (newest.version, newest.quantity) == (2, Decimal(13))
        assert [row.is_newest for row in every.rows] == [False, True, True]
        assert [row.version for row in only.rows] == [1, 2]

    def test_of_one_number_are_stored_once(self, database: Database) -> None:
        written(database, version())
        with pytest.raises(Exception, match=r"(?i)unique"):
            written(database, version())


class TestPages:
    def test_go_on_after_what_was_looked_through(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        written(database, *(version(number, unit="WH" if number == 9 else "KWH") for number in range(1, 11)))
        monkeypatch.setattr(determinants, "_LOOKED_THROUGH", 4)
        found, after, pages = [], 0, 0
        with database.read() as uow:
            last = determinants.versions_after(uow.connection, 0, limit=100).up_to
            assert last < 10
            while True:
                page = determinants.versions_after(uow.connection, after, limit=2, unit="WH")
                if page.up_to == after:
                    break
                found += [row.point_of_delivery_id for row in page.rows]
                after, pages = page.up_to, pages + 1
        assert (found, pages) == (["DE9"], 3)


class TestDays:
    def test_have_what_was_made_in_them_in_its_order(self, database: Database) -> None:
        moments = [NOW, NOW, NOW - timedelta(seconds=1), NOW + timedelta(hours=1), NOW + timedelta(days=1), NOW]
        written(database, *(version(number, made_at=at) for number, at in enumerate(moments)))
        with database.read() as uow:
            names, start, after = [], NOW, 0
            while rows := determinants.versions_made(
                uow.connection, start, NOW + timedelta(days=1), after=after, limit=2
            ):
                names.append([row.point_of_delivery_id for row in rows])
                start, after = rows[-1].made_at, rows[-1].id
        assert names == [["DE0", "DE1"], ["DE5", "DE3"]]


@pytest.mark.parametrize(
    ("ask", "index"),
    [
        pytest.param(
            lambda connection: determinants.newest_of(connection, [("P11", "DE1")], since=JULY),
            "determinant_newest",
            id="newest of a point of delivery",
        ),
        pytest.param(
            lambda connection: determinants.versions_after(connection, 5, limit=9, point_of_delivery_id="DE1"),
            "determinant_point_of_delivery_id",
            id="versions of a point of delivery",
        ),
        pytest.param(
            lambda connection: determinants.versions_after(
                connection, 5, limit=9, newest=True, status=DeterminantStatus.HELD
            ),
            "determinant_held",
            id="what is held",
        ),
        pytest.param(
            lambda connection: determinants.versions_after(connection, 5, limit=9, name="total"),
            "INTEGER PRIMARY KEY",
            id="a part of all",
        ),
        pytest.param(
            lambda connection: determinants.versions_made(connection, NOW, NOW, after=5, limit=9),
            "determinant_made_at",
            id="versions of a day",
        ),
        pytest.param(
            lambda connection: final_days(connection, since=NOW, limit=9), "interval_block_revised", id="final days"
        ),
    ],
)
def test_what_is_asked_is_found_by_index(sqlite_url: str, ask: Callable[[Any], Any], index: str) -> None:
    database = Database(sqlite_url)
    statements: list[tuple[str, Any]] = []
    with database.begin() as uow:
        determinants.write_versions(uow.connection, [version(number) for number in range(1, 20)])
    with database.read() as uow:
        note = lambda *given: statements.append((given[2], given[3]))  # noqa: E731
        event.listen(uow.connection, "before_cursor_execute", note)
        ask(uow.connection)
        event.remove(uow.connection, "before_cursor_execute", note)
        plans = [
            " ".join(str(row[3]) for row in uow.connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", given))
            for text, given in statements
        ]
    database.close()
    assert index in plans[-1]
    assert "SCAN determinant" not in plans[-1]
    assert "SCAN interval_block" not in plans[-1]
