"""Nothing a trace asks reads a whole table: shown by the plans of all its statements."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, text

from mdus.domain.command import CommandKind
from mdus.storage.session import migrate
from mdus.storage.tracing import gather, resolve
from tests.flows.both_sides import BothSides
from tests.flows.connection_status_change.test_meter_is_switched import ORDER as SWITCH
from tests.flows.connection_status_change.test_meter_is_switched import order as switch
from tests.flows.meter_reading.test_reading_is_ordered import DEVICE, DOCUMENT, ORDER, START, order

#: What may be read from end to end: the keys that go in with a statement, and the items nobody has decided yet.
_GIVEN = re.compile(
    r"SCAN (json_each|CONSTANT ROW|anon_\d+|value|few|\(subquery|message_item USING INDEX message_item_ready)",
    re.IGNORECASE,
)


@pytest.fixture
def traced(tmp_path: Path) -> Iterator[tuple[BothSides, str]]:
    migrate(f"sqlite:///{tmp_path / 'mdus.db'}")
    sides = BothSides(f"sqlite:///{tmp_path / 'mdus.db'}", tmp_path, now=START)
    sides.meter(DEVICE)
    uuid = sides.tell(ORDER, order(source="1"))
    sides.tell(SWITCH, switch(DEVICE, planned_at=datetime(2026, 3, 29, 10, 0, tzinfo=UTC)))
    sides.rest()
    assert sides.submitted(CommandKind.READ_ON_DEMAND)
    yield sides, uuid
    sides.close()


def plans(connection: Connection, name: str) -> Iterator[tuple[str, str]]:
    """Yield each statement of a trace with each line of its plan."""
    asked: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        asked.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", note)
    subject = resolve(connection, name, systems=None)
    assert subject.is_known
    found = gather(connection, subject, limit=50, content=True)
    assert found.items
    assert found.commands
    event.remove(connection, "before_cursor_execute", note)
    for statement, parameters in asked:
        for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters):
            yield statement, str(row.detail)


@pytest.mark.parametrize("name", ["uuid", DOCUMENT, DEVICE, f"S{DEVICE}", "000000004711"])
def test_no_statement_reads_a_whole_table(traced: tuple[BothSides, str], name: str) -> None:
    sides, uuid = traced
    with sides.database.read() as uow:
        uow.connection.execute(text("SELECT 1"))
        found = list(plans(uow.connection, uuid if name == "uuid" else name))
    whole = [
        (detail, statement) for statement, detail in found if detail.startswith("SCAN") and not _GIVEN.match(detail)
    ]
    assert whole == []
