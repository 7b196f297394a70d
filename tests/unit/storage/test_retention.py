"""What is forgotten is found by an index, the oldest first, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import insert

from mdus.domain.load_control_event import LoadControlEvent
from mdus.storage.command import COMMAND_INTENT
from mdus.storage.load_control_event import LOAD_CONTROL_EVENT
from mdus.storage.retention import forget_load_control, last_command
from mdus.storage.session import Database, UnitOfWork
from tests.unit.storage.load_control import load_control_event
from tests.unit.storage.test_listing_plans import too_much

NOW = datetime(2027, 6, 1, tzinfo=UTC)
KEYS, MINUTE = timedelta(days=400), timedelta(minutes=1)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url)
    yield opened
    opened.close()


def planned(event_id: str, days: int, *, settled: bool = True) -> LoadControlEvent:
    """An event of load control that began so many days ago."""
    at = NOW - timedelta(days=days)
    return load_control_event(at, event_id=event_id, settled_at=at if settled else None)


def left(uow: UnitOfWork) -> list[str]:
    """Return the events that are still there."""
    return [each.event_id for each in LOAD_CONTROL_EVENT.fetch(uow.connection, LOAD_CONTROL_EVENT.select())]


class TestForgetLoadControl:
    def test_takes_those_first_that_began_first(self, database: Database) -> None:
        with database.begin() as uow:
            uow.save([planned("later", 500), planned("first", 501)])
            assert forget_load_control(uow.connection, before=NOW - KEYS, limit=1) == 1
            assert left(uow) == ["later"]

    def test_looks_at_none_that_stays(self, database: Database) -> None:
        with database.begin() as uow:
            uow.save([planned(f"open {number}", 900, settled=False) for number in range(200)])
            uow.save([planned(f"old {number}", 500) for number in range(5)])
            uow.save([planned(f"young {number}", 1) for number in range(200)])
        with database.begin() as uow:
            if not database.is_sqlite:
                uow.connection.exec_driver_sql("ANALYZE load_control_event")
                # The table is small enough to be read whole: what counts is what the indexes allow.
                for setting in ("enable_seqscan", "enable_hashjoin", "enable_mergejoin"):
                    uow.connection.exec_driver_sql(f"SET LOCAL {setting} = off")
            ask = partial(forget_load_control, uow.connection, before=NOW - KEYS, limit=500)
            assert too_much(uow.connection, ask, most=5) == []
            assert len(left(uow)) == 400


class TestLastCommand:
    @pytest.mark.parametrize("commands", [1, 1000], ids=["a call of one", "the largest call there is"])
    def test_is_found_though_older_commands_were_given_after_it(self, database: Database, commands: int) -> None:
        """The commands of the last call had waited for their instant, or for a head end that was away."""
        last, before = 2000, NOW - KEYS
        given = [(last, before - 2 * MINUTE), *((older, before - MINUTE) for older in range(1, commands + 1))]
        intents = [
            {"command_id": each, "attempt": 1, "head_end": "city", "correlation": "x", "at": at}
            for each, at in [*given, (last + 1, before)]
        ]
        with database.begin() as uow:
            uow.connection.execute(insert(COMMAND_INTENT), intents)
            assert last_command(uow.connection, before=before) == last
